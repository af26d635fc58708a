// SPDX-License-Identifier: Apache-2.0
/* support_slabs.c - see support_slabs.h */
#include "tests/op/support_slabs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "host/storage/half.h"

enum { MAX_SLABS = 3, MAX_VALUES = 64, BEHIND = 64, CANARY = 0xA5, UNSET = 0xFF };

typedef struct {
    tti_dtype type, gtype;
    size_t slabs;
    bool trained;
} storage;

typedef struct {
    tti_slab slabs[MAX_SLABS];
    size_t n;
} matrix;

typedef struct {
    td_env env;
    const td_slab_case *c;
    storage s;
    td_feed f;
    tti_graph *g;
    tti_plan *plan;
    tti_exec *e;
    tti_val w, y;
    matrix m[MAX_VALUES]; /* by value: PARAM and GRAD memory */
    /* y and gradients, in order; numbers by micro batch */
    tti_val result[MAX_VALUES];
    size_t results, count[MAX_VALUES];
    float *got[2][MAX_VALUES];
} run;

#define OK(expr) cr_assert_eq((expr), TT_OK, "%s: %s", t->c->why, tt_error())

/* Rows in n slabs, the last the smallest; src NULL: numbers that are none. */
static void matrix_make(run *t, matrix *m, tti_dtype type, size_t rows, size_t cols, size_t n,
                        const float *src) {
    const size_t each = (rows + n - 1) / n + (n > 1);
    m->n = n;
    for (size_t i = 0; i < n; i++) {
        tti_slab *s = &m->slabs[i];
        s->row0 = i * each;
        s->rows = TT_MIN(each, rows - s->row0);
        s->layout = tti_layout_plain(type, s->rows, cols);
        unsigned char *p = tti_malloc(s->layout.bytes + BEHIND);
        cr_assert_not_null(p);
        memset(p, UNSET, s->layout.bytes);
        memset(p + s->layout.bytes, CANARY, BEHIND);
        if (src) OK(tti_quantise(&s->layout, src + s->row0 * cols, p));
        OK(tti_mem_new(&s->mem, t->env.d, s->layout.bytes + BEHIND, TTI_MEM_OTHER, false));
        OK(tti_mem_write(t->env.d, s->mem, 0, p, s->layout.bytes + BEHIND));
        tti_free(p);
    }
}

/* All slabs as f32, one behind the other (tti_free). */
static float *matrix_read(run *t, const matrix *m, const char *what) {
    const tti_slab *last = &m->slabs[m->n - 1];
    const size_t cols = last->layout.cols;
    float *out = tti_malloc((last->row0 + last->rows) * cols * sizeof *out + 1);
    cr_assert_not_null(out);
    for (size_t i = 0; i < m->n; i++) {
        const tti_slab *s = &m->slabs[i];
        unsigned char *p = tti_malloc(s->layout.bytes + BEHIND);
        OK(tti_mem_read(t->env.d, s->mem, 0, p, s->layout.bytes + BEHIND));
        tti_dequantise(&s->layout, p, 0, s->rows * cols, out + s->row0 * cols);
        for (size_t k = 0; k < BEHIND; k++)
            if (p[s->layout.bytes + k] != CANARY) {
                cr_expect(false, "%s: %s written behind its end", t->c->why, what);
                break;
            }
        tti_free(p);
    }
    return out;
}

/* Coarse ones have products whose sums lie halfway between two numbers of 16 bits. */
static float *numbers(size_t count, uint32_t stream, bool coarse) {
    float *p = tti_malloc(count * sizeof *p + 1);
    cr_assert_not_null(p);
    for (size_t i = 0; i < count; i++) {
        const float x = td_random((uint32_t)i, stream);
        p[i] = coarse ? rintf(x * 32) / 32 : x;
    }
    return p;
}

/* Weights as given, else random; every gradient and accumulator is unset. */
static void bind(run *t, const float *w) {
    const tti_val gradient = tti_value_at(t->g, t->w)->grad;
    cr_assert_leq(tti_graph_values(t->g), MAX_VALUES);
    for (size_t v = 0; v < tti_graph_values(t->g); v++) {
        const tti_value *p = tti_value_at(t->g, (tti_val)v);
        if (p->kind != TTI_VALUE_PARAM && p->kind != TTI_VALUE_GRAD) continue;
        const bool own = (tti_val)v == t->w || ((tti_val)v == gradient && !t->c->sparse);
        const size_t rows = tti_shape_count(&p->shape, &t->f.max);
        float *src = NULL;
        if (p->kind == TTI_VALUE_PARAM && (tti_val)v != t->w)
            src = numbers(rows * p->shape.cols, (uint32_t)v + 9, t->c->coarse);
        matrix_make(t, &t->m[v], p->shape.dtype, rows, p->shape.cols, own ? t->s.slabs : 1,
                    (tti_val)v == t->w ? w : src);
        tti_exec_bind_slabs(t->e, (tti_val)v, t->m[v].slabs, t->m[v].n);
        tti_free(src);
    }
}

static void build(run *t) {
    const tti_caps *caps = tti_device_caps(t->env.d);
    t->g = tti_graph_new();
    t->w = tti_graph_param(t->g, "w", t->c->rows, t->c->cols, t->s.trained);
    tti_graph_param_dtype(t->g, t->w, t->s.type);
    tti_graph_param_grad_dtype(t->g, t->w, t->s.gtype);
    if (t->c->sparse) tti_graph_param_sparse(t->g, t->w);
    t->y = t->c->build(t->g, t->w, t->c);
    OK(tti_graph_status(t->g));
    const tti_value y = *tti_value_at(t->g, t->y);
    if (y.kind == TTI_VALUE_TEMP) {
        tti_graph_keep(t->g, t->y);
        const tti_val r =
            tti_graph_param(t->g, "weights of y", t->f.max.n[y.shape.kind], y.shape.cols, false);
        tti_grad_set(t->g, t->y, td_source(t->g, r, y.shape.kind));
    }
    OK(tti_graph_backward(t->g));
    OK(tti_graph_finish(t->g));
    OK(tti_plan_new(&t->plan, t->g, &t->f.max, caps->align, caps->max_alloc));
    OK(tti_exec_new(&t->e, t->env.d, t->env.gemm, t->g, t->plan));
}

static void poison(run *t) {
    for (size_t v = 0; v < tti_graph_values(t->g); v++) {
        size_t arena, offset, bytes;
        if (!tti_plan_place(t->plan, (tti_val)v, &arena, &offset, &bytes)) continue;
        void *p = tti_malloc(bytes);
        memset(p, UNSET, bytes);
        OK(tti_mem_write(t->env.d, t->e->mem[v], 0, p, bytes));
        tti_free(p);
    }
}

static void take(run *t, int micro) {
    t->results = 0;
    for (size_t v = 0; v < tti_graph_values(t->g); v++) {
        const tti_value *p = tti_value_at(t->g, (tti_val)v);
        const bool y = (tti_val)v == t->y && p->kind == TTI_VALUE_TEMP;
        if (!y && p->kind != TTI_VALUE_GRAD) continue;
        const size_t n = t->results++;
        t->result[n] = (tti_val)v;
        t->count[n] = tti_shape_count(&p->shape, &t->f.feed.rows) * p->shape.cols;
        if (y) {
            t->got[micro][n] = numbers(t->count[n], 0, false);
            OK(tti_exec_read(t->e, t->y, t->got[micro][n], t->count[n]));
        } else {
            t->got[micro][n] = matrix_read(t, &t->m[v], p->name);
        }
    }
}

/* Two batches of a step, the second added to the first. */
static void run_case(run *t, td_env env, const td_slab_case *c, const storage *s, const float *w) {
    memset(t, 0, sizeof *t);
    t->env = env;
    t->c = c;
    t->s = *s;
    td_feed_make(&t->f, c->batch, tti_device_caps(env.d)->att_rows);
    if (c->sparse) td_use_slots(&t->f);
    for (size_t i = 0; i < t->f.feed.rows.n[TTI_ROWS_LAB]; i++)
        t->f.in[TTI_IN_LAB_ID][i] %= (int32_t)c->rows;
    build(t);
    bind(t, w);
    t->e->loss_scale = 1.0f / 3.0f;
    for (int micro = 0; micro < 2; micro++) {
        t->e->micro = (unsigned)micro;
        poison(t);
        OK(tti_exec_run(t->e, &t->f.feed));
        OK(tti_device_finish(env.d));
        take(t, micro);
    }
}

static void end_run(run *t) {
    tti_exec_free(t->e);
    for (size_t v = 0; v < tti_graph_values(t->g); v++)
        for (size_t i = 0; i < t->m[v].n; i++) tti_mem_free(t->env.d, t->m[v].slabs[i].mem);
    for (size_t i = 0; i < t->results; i++)
        for (int micro = 0; micro < 2; micro++) tti_free(t->got[micro][i]);
    tti_plan_free(t->plan);
    tti_graph_free(t->g);
    td_feed_free(&t->f);
}

/* ---- judging ---- */

static void compare(const run *t, size_t result, int micro, const float *want, double tol) {
    const float *got = t->got[micro][result];
    double top = 1; /* sums of numbers so large */
    for (size_t i = 0; tol > 0 && i < t->count[result]; i++)
        if (isfinite(want[i])) top = fmax(top, fabs((double)want[i]));
    for (size_t i = 0; i < t->count[result]; i++) {
        const double g = (double)got[i], x = (double)want[i];
        if (!memcmp(&got[i], &want[i], 4) || fabs(g - x) <= tol * top) continue;
        cr_expect(false, "%s, %zu of %s, gradient %s, vw %d, batch %d: %s[%zu] is %.9g, not %.9g",
                  t->c->why, t->s.slabs, tti_dtype_name(t->s.type), tti_dtype_name(t->s.gtype),
                  tti_device_caps(t->env.d)->vw, micro, tti_value_at(t->g, t->result[result])->name,
                  i, g, x);
        return;
    }
}

/* to = as kept in the type: x, or what is there already + x */
static void add_rounded(tti_dtype type, float *to, const float *x, size_t n, bool add) {
    for (size_t i = 0; i < n; i++) {
        const float sum = add ? to[i] + x[i] : x[i];
        to[i] = type == TTI_F16 ? tti_f16_to_f32(tti_f32_to_f16(sum))
                                : tti_bf16_to_f32(tti_f32_to_bf16(sum));
    }
}

static void judge(run *want, const run *got) {
    const td_slab_case *c = got->c;
    const tti_val gradient = tti_value_at(got->g, got->w)->grad;
    cr_assert_eq(want->results, got->results);
    for (size_t i = 0; i < got->results; i++) {
        const tti_val v = got->result[i];
        const int what = v == got->y ? TD_SUM_Y : v == gradient ? TD_SUM_DW : TD_SUM_OTHERS;
        const double tol = (c->sums & what) && got->s.slabs > 1 ? 3e-6 * sqrt((double)c->rows) : 0;
        const bool rounded = v == gradient && got->s.gtype != TTI_F32;
        float *now = numbers(got->count[i], 0, false);
        for (int micro = 0; micro < 2; micro++) {
            if (rounded) add_rounded(got->s.gtype, now, want->got[0][i], got->count[i], micro > 0);
            compare(got, i, micro, rounded ? now : want->got[micro][i], tol);
        }
        tti_free(now);
    }
}

/* w as the slabs hold it */
static float *as_kept(run *t, const td_slab_case *c, const storage *s) {
    float *src = numbers(c->rows * c->cols, 1, c->coarse);
    matrix m;
    t->c = c;
    matrix_make(t, &m, s->type, c->rows, c->cols, s->slabs, src);
    float *w = matrix_read(t, &m, "w");
    for (size_t i = 0; i < m.n; i++) tti_mem_free(t->env.d, m.slabs[i].mem);
    tti_free(src);
    return w;
}

static void check(td_env env, const td_slab_case *c) {
    static const storage in[] = {
        {TTI_F32, TTI_F32, 3, true},  {TTI_F16, TTI_F32, 1, true},   {TTI_F16, TTI_F16, 3, true},
        {TTI_BF16, TTI_F32, 3, true}, {TTI_BF16, TTI_BF16, 1, true}, {TTI_F32, TTI_BF16, 3, true},
        {TTI_Q8, TTI_F32, 1, false},  {TTI_Q8, TTI_F32, 3, false},   {TTI_NF4, TTI_F32, 1, false},
        {TTI_NF4, TTI_F32, 3, false}, {TTI_F32, TTI_F32, 3, false},
    };
    for (size_t i = 0; i < TT_COUNT(in); i++) {
        if (in[i].gtype != TTI_F32 && !c->short_gradients) continue;
        run want = {.env = env}, got;
        const storage plain = {TTI_F32, TTI_F32, 1, in[i].trained};
        float *w = as_kept(&want, c, &in[i]), *src = numbers(c->rows * c->cols, 1, c->coarse);
        run_case(&want, env, c, &plain, w);
        run_case(&got, env, c, &in[i], src);
        judge(&want, &got);
        end_run(&want);
        end_run(&got);
        tti_free(w);
        tti_free(src);
    }
}

void td_check_slabs(const td_slab_case *cases) {
    static const int shapes[][2] = {{1, 16}, {1, 8}, {64, 4}};
    td_env env = td_open();
    const tti_caps own = *tti_device_caps(env.d);
    tti_gemm_free(env.gemm);
    setenv("TT_GEMM_TUNE", "0", 1); /* the first variant that suits */
    cr_assert_eq(tti_gemm_new(&env.gemm, env.d, "tile"), TT_OK, "%s", tt_error());
    for (size_t i = 0; i < TT_COUNT(shapes); i++) {
        td_shape(env.d, shapes[i][0], shapes[i][1]);
        for (const td_slab_case *c = cases; c->why; c++)
            if (i == 0 || !c->large) check(env, c);
    }
    *(tti_caps *)(uintptr_t)tti_device_caps(env.d) = own;
    td_close(&env);
}
