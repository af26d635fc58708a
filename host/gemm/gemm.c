// SPDX-License-Identifier: Apache-2.0
/* gemm.c - the service: which providers there are, and calls checked and handed to them. */
#include "host/gemm/internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

const tti_gemm_provider *const tti_gemm_providers[TTI_GEMM_PROVIDERS] = {
    &tti_gemm_tile, &tti_gemm_clblast, &tti_gemm_vec};

static tt_status find_forced(int *forced, const char *name) {
    *forced = -1;
    const char *from = "gemm";
    if (!name) {
        name = getenv("TT_GEMM");
        from = "TT_GEMM";
    }
    if (!name || !*name || strcmp(name, "auto") == 0) return TT_OK;
    for (int i = 0; i < TTI_GEMM_PROVIDERS; i++)
        if (!tti_gemm_providers[i]->partial && strcmp(name, tti_gemm_providers[i]->name) == 0) {
            *forced = i;
            return TT_OK;
        }
    return tti_fail(TT_E_ARG,
                    "%s: \"%.40s\" is no provider of matrix products; one of auto, "
                    "clblast, tile",
                    from, name);
}

tt_status tti_gemm_new(tti_gemm **out, tti_device *d, const char *force) {
    *out = NULL;
    int forced;
    TT_TRY(find_forced(&forced, force));
    tti_gemm *g = tti_calloc(1, sizeof *g);
    if (!g) return TT_E_NOMEM;
    const char *tune = getenv("TT_GEMM_TUNE");
    g->d = d;
    g->forced = forced;
    g->tuning = !tune || strcmp(tune, "0") != 0;
    tt_status s = tti_gemm_cache_path(&g->path, d);
    if (s != TT_OK) {
        tti_gemm_free(g);
        return s;
    }
    *out = g;
    return TT_OK;
}

void tti_gemm_free(tti_gemm *g) {
    if (!g) return;
    tti_gemm_choices_clear(&g->choices);
    tti_free(g->path);
    tti_free(g);
}

int tti_gemm_flags(const tti_gemm_call *c) {
    return (c->accumulate ? 1 : 0) | (c->bias ? 2 : 0) | (c->residual ? 4 : 0) | (int)c->act << 3;
}

/* Kernels read bias and residual only when the flags say so; C stands for a missing one, since not
 * every driver takes a null buffer. */
void tti_gemm_arg_end(tti_launch *l, const tti_gemm_call *c) {
    tti_arg_mem(l, c->c);
    tti_arg_u32(l, (uint32_t)c->c_at);
    tti_arg_mem(l, c->bias ? c->bias : c->c);
    tti_arg_u32(l, c->bias ? (uint32_t)c->bias_at : 0);
    tti_arg_mem(l, c->residual ? c->residual : c->c);
}

void tti_gemm_args(tti_launch *l, const tti_gemm_call *c) {
    tti_arg_i32(l, (int)c->shape.m);
    tti_arg_i32(l, (int)c->shape.n);
    tti_arg_i32(l, (int)c->shape.k);
    tti_arg_i32(l, (int)c->lda);
    tti_arg_i32(l, (int)c->ldb);
    tti_arg_i32(l, (int)c->ldc);
    tti_arg_mem(l, c->a ? c->a : c->c);
    tti_arg_u32(l, c->a ? (uint32_t)c->a_at : 0);
    tti_arg_stored(l, c->b ? c->b : c->c, tti_gemm_layout(c));
    tti_arg_u32(l, c->b ? (uint32_t)c->b_at : 0);
    tti_gemm_arg_end(l, c);
    tti_arg_f32(l, c->alpha);
    tti_arg_i32(l, tti_gemm_flags(c));
}

const tti_layout *tti_gemm_layout(const tti_gemm_call *c) {
    return c->shape.bt == TTI_F32 ? NULL : c->b_layout;
}

/* One operand: stored [rows, cols] with a leading dimension, from element `at` of a buffer on that
 * must hold it. */
static tt_status check_operand(const char *what, cl_mem m, size_t at, size_t rows, size_t cols,
                               size_t ld) {
    if (rows == 0 || cols == 0) return TT_OK;
    if (!m) return tti_fail(TT_E_ARG, "gemm: %s: no buffer", what);
    if (ld < cols)
        return tti_fail(TT_E_SHAPE, "gemm: %s: leading dimension %zu, rows of %zu", what, ld, cols);
    size_t need, have = 0;
    if (ld > INT_MAX || at > UINT32_MAX || !tti_mul(rows - 1, ld, &need) ||
        !tti_mul(need + cols + at, sizeof(float), &need))
        return tti_fail(TT_E_SHAPE, "gemm: %s: %zu rows of %zu from %zu on are too many", what,
                        rows, ld, at);
    TT_TRY(tti_cl(clGetMemObjectInfo(m, CL_MEM_SIZE, sizeof have, &have, NULL), "gemm: a buffer"));
    if (have < need)
        return tti_fail(TT_E_SHAPE, "gemm: %s: buffer of %zu bytes, needs %zu", what, have, need);
    return TT_OK;
}

/* B in another type than f32, stored [rows, cols]. */
static tt_status check_stored(const tti_gemm_call *c, size_t rows, size_t cols) {
    const tti_layout *l = c->b_layout;
    if (rows == 0 || cols == 0) return TT_OK;
    if (c->b_at)
        return tti_fail(TT_E_ARG, "gemm: B: begins at element %zu, of type %s; only f32 may",
                        c->b_at, tti_dtype_name(c->shape.bt));
    if (!c->b || !l || l->type != c->shape.bt)
        return tti_fail(TT_E_ARG, "gemm: B: no buffer, or no layout of type %s",
                        tti_dtype_name(c->shape.bt));
    if (l->cols != c->ldb || l->cols < cols || l->rows < rows || l->cols > INT_MAX)
        return tti_fail(TT_E_SHAPE,
                        "gemm: B: a layout of %zu x %zu, needed is %zu x %zu in rows of %zu",
                        l->rows, l->cols, rows, cols, c->ldb);
    return tti_stored_check(l, c->b, "gemm: B");
}

static tt_status check_sizes(const tti_gemm_shape *s) {
    if (s->m > INT_MAX / 2 || s->n > INT_MAX / 2 || s->k > INT_MAX / 2)
        return tti_fail(TT_E_SHAPE, "gemm: %zu x %zu x %zu: sizes over %d", s->m, s->n, s->k,
                        INT_MAX / 2);
    return TT_OK;
}

static tt_status check_call(const tti_gemm_call *c) {
    const tti_gemm_shape *s = &c->shape;
    TT_TRY(check_sizes(s));
    if (c->accumulate && (c->bias || c->residual || c->act != TTI_ACT_NONE))
        return tti_fail(TT_E_ARG, "gemm: accumulating with a bias, residual or activation");
    if ((unsigned)c->act > TTI_ACT_TANH)
        return tti_fail(TT_E_ARG, "gemm: activation %d: unknown", (int)c->act);
    if (c->c && (c->c == c->a || c->c == c->b))
        return tti_fail(TT_E_ARG, "gemm: C is one of the operands; give it a buffer of its own");
    const size_t a_rows = s->ta ? s->k : s->m, b_rows = s->tb ? s->n : s->k;
    const size_t a_cols = s->ta ? s->m : s->k, b_cols = s->tb ? s->k : s->n;
    TT_TRY(check_operand("A", c->a, c->a_at, s->k ? a_rows : 0, a_cols, c->lda));
    if (s->bt == TTI_F32)
        TT_TRY(check_operand("B", c->b, c->b_at, s->k ? b_rows : 0, b_cols, c->ldb));
    else
        TT_TRY(check_stored(c, s->k ? b_rows : 0, b_cols));
    TT_TRY(check_operand("C", c->c, c->c_at, s->m, s->n, c->ldc));
    if (c->bias) TT_TRY(check_operand("bias", c->bias, c->bias_at, 1, s->n, s->n));
    if (c->residual) TT_TRY(check_operand("residual", c->residual, c->c_at, s->m, s->n, c->ldc));
    return TT_OK;
}

static tt_status check_plan(const tti_gemm_plan *p, const tti_gemm_shape *s, cl_mem workspace) {
    if ((unsigned)p->provider >= TTI_GEMM_PROVIDERS ||
        p->variant >= tti_gemm_providers[p->provider]->variants || p->variant < 0)
        return tti_fail(TT_E_INTERNAL, "gemm: a plan that nobody chose");
    const tti_gemm_shape *l = &p->largest;
    if (s->m > l->m || s->n > l->n || s->k > l->k || s->ta != l->ta || s->tb != l->tb ||
        s->bt != l->bt)
        return tti_fail(
            TT_E_ARG, "gemm: %c%c %s %zu x %zu x %zu is over the planned %c%c %s %zu x %zu x %zu",
            s->ta ? 't' : 'n', s->tb ? 't' : 'n', tti_dtype_name(s->bt), s->m, s->n, s->k,
            l->ta ? 't' : 'n', l->tb ? 't' : 'n', tti_dtype_name(l->bt), l->m, l->n, l->k);
    size_t have = 0;
    if (p->workspace == 0) return TT_OK;
    if (workspace)
        TT_TRY(tti_cl(clGetMemObjectInfo(workspace, CL_MEM_SIZE, sizeof have, &have, NULL),
                      "gemm: the workspace"));
    if (have < p->workspace)
        return tti_fail(TT_E_ARG, "gemm: workspace of %zu bytes, the plan needs %zu", have,
                        p->workspace);
    return TT_OK;
}

tt_status tti_gemm_run(tti_gemm *g, const tti_gemm_plan *plan, const tti_gemm_call *call,
                       cl_mem workspace) {
    TT_TRY(check_plan(plan, &call->shape, workspace));
    TT_TRY(check_call(call));
    if (call->shape.m == 0 || call->shape.n == 0) return TT_OK;
    if (call->accumulate && call->shape.k == 0) return TT_OK;
    return tti_gemm_providers[plan->provider]->run(g->d, plan->variant, call, workspace);
}

const char *tti_gemm_plan_name(const tti_gemm *g, const tti_gemm_plan *plan) {
    (void)g;
    static _Thread_local char name[48];
    if ((unsigned)plan->provider >= TTI_GEMM_PROVIDERS) return "none";
    const tti_gemm_provider *p = tti_gemm_providers[plan->provider];
    if (plan->variant < 0 || plan->variant >= p->variants) return "none";
    const char *variant = p->variant_name(plan->variant);
    snprintf(name, sizeof name, "%s%s%s", p->name, *variant ? " " : "", variant);
    return name;
}
