// SPDX-License-Identifier: Apache-2.0
/* support_op.c - builds and runs one case; see support_op.h. */
#include "tests/op/support_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- ops of the harness: rows of a parameter as a value of the batch ---- */

static tt_status copy_shape(tti_graph *g, tti_node *n) {
    if (n->attr.i[0] >= 0)
        tti_out(g, n, 0,
                tti_shape_rows((tti_rows_kind)n->attr.i[0], tti_val_shape(g, n->in[0])->cols));
    return TT_OK;
}

static tt_status copy_enqueue(tti_exec *e, const tti_node *n) {
    const tti_val v = n->attr.i[0] >= 0 ? n->out[0] : n->in[0];
    const size_t bytes = tti_x_rows(e, v) * tti_x_cols(e, v) * sizeof(float);
    if (!bytes) return TT_OK;
    return tti_cl(clEnqueueCopyBuffer(tti_device_queue(e->dev), tti_x_mem(e, n->in[0]),
                                      tti_x_mem(e, n->out[0]), 0, 0, bytes, 0, NULL, NULL),
                  "copy");
}

static const tti_op op_gather = {
    .name = "td_gradient", .shape = copy_shape, .enqueue = copy_enqueue};

static tt_status copy_backward(tti_graph *g, const tti_node *n) {
    const tti_attr attr = {.i = {-1}}; /* shape: that of the parameter */
    const tti_val dy = tti_grad_of(g, n->out[0]);
    tti_grad_emit_param(g, n->in[0], &op_gather, &dy, 1, &attr);
    return tti_graph_status(g);
}

static const tti_op op_source = {
    .name = "td_source", .shape = copy_shape, .enqueue = copy_enqueue, .backward = copy_backward};

tti_val td_source(tti_graph *g, tti_val param, tti_rows_kind kind) {
    const tti_attr attr = {.i = {(int)kind}};
    return tti_emit(g, &op_source, &param, 1, &attr);
}

/* ---- building ---- */

static float value(const td_case *c, int input, size_t i) {
    const float s = c->in[input].scale > 0 ? c->in[input].scale : 1.0f;
    const float x = td_random((uint32_t)i, (uint32_t)input + 1);
    return c->integers ? rintf(4 * x) : s * x;
}

static void build(td_run *t) {
    const td_case *c = t->c;
    t->g = tti_graph_new();
    cr_assert_not_null(t->g);
    for (int i = 0; i < t->nin; i++) {
        const td_input *in = &c->in[i];
        const size_t most = in->kind == TTI_ROWS_CONST ? in->rows : t->f.max.n[in->kind];
        const bool constant = in->frozen || in->kind == TTI_ROWS_REST;
        char name[16];
        snprintf(name, sizeof name, "in%d", i);
        t->param[i] = tti_graph_param(t->g, name, most, in->cols, !constant);
        if (in->sparse) tti_graph_param_sparse(t->g, t->param[i]);
        const bool was = tti_graph_no_grad(t->g, constant);
        t->source[i] =
            in->kind == TTI_ROWS_CONST ? t->param[i] : td_source(t->g, t->param[i], in->kind);
        tti_graph_no_grad(t->g, was);
    }
    t->y = c->build(t->g, t->source, c);
    cr_assert_eq(tti_graph_status(t->g), TT_OK, "%s: %s", c->why, tt_error());
    const tti_value y = *tti_value_at(t->g, t->y);
    t->is_loss = y.kind == TTI_VALUE_GRAD;
    t->ycols = y.shape.cols;
    t->yrows = td_rows(&t->f, y.shape.kind, y.shape.n);
    t->r = TTI_NONE;
    if (!t->is_loss) {
        tti_graph_keep(t->g, t->y);
        t->r = tti_graph_param(t->g, "weights", t->f.max.n[y.shape.kind], t->ycols, false);
        tti_grad_set(t->g, t->y, td_source(t->g, t->r, y.shape.kind));
    }
    const char *c_why = c->why;
    OK(tti_graph_backward(t->g));
    OK(tti_graph_finish(t->g));
    const tti_caps *caps = tti_device_caps(t->env->d);
    OK(tti_plan_new(&t->plan, t->g, &t->f.max, caps->align, caps->max_alloc));
    OK(tti_exec_new(&t->e, t->env->d, t->env->gemm, t->g, t->plan));
}

/* ---- device memory ---- */

static void fill(td_run *t, cl_mem m, size_t count, float x) {
    const char *c_why = t->c->why;
    float *p = tti_malloc(count * sizeof *p);
    cr_assert_not_null(p);
    for (size_t i = 0; i < count; i++) p[i] = x;
    OK(tti_mem_write(t->env->d, m, 0, p, count * sizeof *p));
    OK(tti_device_finish(t->env->d));
    tti_free(p);
}

static cl_mem with_canary(td_run *t, size_t count) {
    const char *c_why = t->c->why;
    cl_mem m = NULL;
    OK(tti_mem_new(&m, t->env->d, (count + TD_CANARIES) * sizeof(float), TTI_MEM_OTHER, false));
    fill(t, m, count + TD_CANARIES, TD_CANARY);
    return m;
}

size_t td_grad_rows(const td_run *t, int i) {
    if (t->c->in[i].sparse) return t->f.max.n[TTI_ROWS_STEP_UNIQ];
    return tti_val_shape(t->g, t->param[i])->n;
}

static void bind(td_run *t) {
    const char *c_why = t->c->why;
    for (int i = 0; i < t->nin; i++) {
        const tti_value *p = tti_value_at(t->g, t->param[i]);
        const size_t bytes = t->rows[i] * p->shape.cols * sizeof(float);
        OK(tti_mem_new(&t->mem[i], t->env->d, p->shape.n * p->shape.cols * sizeof(float),
                       TTI_MEM_OTHER, true));
        OK(tti_mem_write(t->env->d, t->mem[i], 0, t->host[i], bytes));
        tti_exec_bind(t->e, t->param[i], t->mem[i]);
        if (p->grad == TTI_NONE) continue;
        t->grad[i] = with_canary(t, td_grad_rows(t, i) * p->shape.cols);
        tti_exec_bind(t->e, p->grad, t->grad[i]);
    }
    t->ymem = with_canary(t, t->yrows * t->ycols);
    if (t->is_loss) tti_exec_bind(t->e, t->y, t->ymem);
    if (t->r == TTI_NONE) return;
    const size_t bytes = t->yrows * t->ycols * sizeof(float);
    OK(tti_mem_new(&t->rmem, t->env->d, tti_val_shape(t->g, t->r)->n * t->ycols * sizeof(float),
                   TTI_MEM_OTHER, true));
    OK(tti_mem_write(t->env->d, t->rmem, 0, t->rhost, bytes));
    tti_exec_bind(t->e, t->r, t->rmem);
}

static void poison(td_run *t) {
    for (size_t v = 0; v < tti_graph_values(t->g); v++) {
        size_t arena, offset, bytes;
        if (tti_plan_place(t->plan, (tti_val)v, &arena, &offset, &bytes) && t->e->mem[v] &&
            t->e->mem[v] != t->ymem)
            fill(t, t->e->mem[v],
                 tti_shape_bytes(tti_val_shape(t->g, (tti_val)v), &t->f.max) / sizeof(float), NAN);
    }
}

void td_run_once(td_run *t, unsigned micro) {
    const char *c_why = t->c->why;
    poison(t);
    t->e->seed = 11;
    t->e->step = 5;
    t->e->micro = micro;
    t->e->loss_scale = 1.0f / 3.0f;
    t->e->training = !t->c->inference;
    OK(tti_exec_run(t->e, &t->f.feed));
    OK(tti_device_finish(t->env->d));
}

float *td_fetch(td_run *t, cl_mem m, size_t count) {
    const char *c_why = t->c->why;
    float *p = tti_malloc((count + 1) * sizeof *p);
    cr_assert_not_null(p);
    OK(tti_mem_read(t->env->d, m, 0, p, count * sizeof *p));
    return p;
}

static void labels(td_run *t) {
    for (size_t s = 0; s < t->f.feed.rows.n[TTI_ROWS_SEQ]; s++) {
        const float x = 2 * td_random((uint32_t)s, 99);
        if (t->c->i > 0)
            t->f.in[TTI_IN_LABELS][s] = (int32_t)(s * 7 + 1) % t->c->i;
        else
            memcpy(&t->f.in[TTI_IN_LABELS][s], &x, sizeof x);
    }
    for (size_t i = 0; t->c->i > 0 && i < t->f.feed.rows.n[TTI_ROWS_LAB]; i++)
        t->f.in[TTI_IN_LAB_ID][i] %= t->c->i;
}

void td_use_slots(td_feed *f) {
    for (size_t u = 0; u < f->feed.rows.n[TTI_ROWS_UNIQ]; u++)
        for (int slot = 0; slot < TD_VOCAB; slot++)
            if (f->slot_ids[slot] == f->in[TTI_IN_IDS_DST][u]) {
                f->in[TTI_IN_IDS_DST][u] = slot;
                break;
            }
}

static void check_shape(td_env *env, const td_case *c, int wg, int vw) {
    td_run t = {.env = env, .c = c, .wg = wg, .vw = vw};
    td_shape(env->d, wg, vw);
    td_feed_make(&t.f, c->batch, tti_device_caps(env->d)->att_rows);
    while (t.nin < TD_MAX_IN && c->in[t.nin].cols) t.nin++;
    labels(&t);
    for (int i = 0; i < t.nin; i++)
        if (c->in[i].sparse) td_use_slots(&t.f);
    for (int i = 0; i < t.nin; i++) {
        t.rows[i] = td_rows(&t.f, c->in[i].kind, c->in[i].rows);
        const size_t n = t.rows[i] * c->in[i].cols;
        t.host[i] = tti_malloc((n + 1) * sizeof(float));
        for (size_t k = 0; k < n; k++) t.host[i][k] = value(c, i, k);
    }
    build(&t);
    t.rhost = tti_malloc((t.yrows * t.ycols + 1) * sizeof(float));
    for (size_t k = 0; k < t.yrows * t.ycols; k++)
        t.rhost[k] =
            c->integers ? rintf(4 * td_random((uint32_t)k, 50)) : td_random((uint32_t)k, 50);
    bind(&t);
    td_compare(&t);
    tti_exec_free(t.e);
    tti_plan_free(t.plan);
    tti_graph_free(t.g);
    for (int i = 0; i < t.nin; i++) {
        tti_mem_free(env->d, t.mem[i]);
        tti_mem_free(env->d, t.grad[i]);
        tti_free(t.host[i]);
    }
    tti_mem_free(env->d, t.ymem);
    tti_mem_free(env->d, t.rmem);
    tti_free(t.rhost);
    td_feed_free(&t.f);
}

/* ---- what tests call ---- */

void td_shape(tti_device *d, int wg, int vw) {
    tti_caps *caps = (tti_caps *)(uintptr_t)tti_device_caps(d); /* as if it were another device */
    caps->cpu = wg == 1;
    caps->wg = wg;
    caps->vw = vw;
    caps->att_rows = wg == 1 ? vw : wg;
}

void td_check(td_env *env, const td_case *c) {
    static const int shapes[][2] = {{1, 16}, {1, 8}, {64, 4}, {64, 1}};
    const tti_caps own = *tti_device_caps(env->d);
    for (size_t i = 0; i < TT_COUNT(shapes); i++) check_shape(env, c, shapes[i][0], shapes[i][1]);
    if (!own.cpu) check_shape(env, c, own.wg, own.vw);
    *(tti_caps *)(uintptr_t)tti_device_caps(env->d) = own;
}

void td_check_all(td_env *env, const td_case *cases) {
    for (const td_case *c = cases; c->why; c++) td_check(env, c);
}

td_env td_open(void) {
    td_env env = {0};
    if (tti_device_open(&env.d, NULL) != TT_OK) {
        if (getenv("TT_REQUIRE_DEVICE")) cr_assert(false, "no device: %s", tt_error());
        cr_skip_test("no device: %s", tt_error());
    }
    cr_assert_eq(tti_gemm_new(&env.gemm, env.d, NULL), TT_OK, "%s", tt_error());
    return env;
}

void td_close(td_env *env) {
    tti_gemm_free(env->gemm);
    tti_device_close(env->d);
}

void td_expect_error(const tti_graph *g, tt_status code, const char *part) {
    cr_expect_eq(tti_graph_status(g), code, "status %d, not %d", tti_graph_status(g), code);
    cr_expect(strstr(tt_error(), part), "message \"%s\" lacks \"%s\"", tt_error(), part);
}
