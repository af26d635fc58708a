// SPDX-License-Identifier: Apache-2.0
/* layernorm.c - normalisation of rows; kernels cl/layernorm.cl. */
#include "host/ops/launch.h"

enum { X, W, B };                    /* inputs */
enum { Y, STATS };                   /* outputs; STATS are kept for the gradient */
enum { DY, XB, WB, STATSB, BEFORE }; /* inputs of the gradient by x */
enum { DYW, XW, STATSW };            /* inputs of the gradient by w */

static tt_status shape(tti_graph *g, tti_node *n) {
    const tti_shape x = *tti_val_shape(g, n->in[X]);
    for (int i = W; i <= B; i++) {
        const tti_shape *p = tti_val_shape(g, n->in[i]);
        if (p->kind != TTI_ROWS_CONST || p->n != 1 || p->cols != x.cols)
            return tti_fail(TT_E_SHAPE, "layernorm: %s is %s, x is %s", i == W ? "w" : "b",
                            tti_shape_str(p), tti_shape_str(&x));
    }
    tti_shape stats = x;
    stats.cols = 2;
    n->reuse_in = X;
    tti_out(g, n, Y, x);
    tti_out(g, n, STATS, stats);
    return TT_OK;
}

/* All kernels of the file with one set of defines, so that they are one program. */
static const char *defines(tti_exec *e, bool before) {
    return tti_x_defines(e, "-DCOLV=%d -DBEFORE=%d", tti_x_colv(e), before);
}

static tt_status enqueue(tti_exec *e, const tti_node *n) {
    tti_launch k = tti_kernel(e->dev, "layernorm", "layernorm_fwd", defines(e, false));
    tti_arg_mem(&k, tti_x_mem(e, n->out[Y]));
    tti_arg_mem(&k, tti_x_mem(e, n->out[STATS]));
    for (int i = X; i <= B; i++) tti_arg_mem(&k, tti_x_mem(e, n->in[i]));
    tti_arg_i32(&k, (int)tti_x_cols(e, n->in[X]));
    tti_arg_f32(&k, n->attr.f[0]);
    return tti_run_groups(&k, tti_x_rows(e, n->in[X]));
}

static tt_status shape_x(tti_graph *g, tti_node *n) {
    n->reuse_in = DY;
    tti_out(g, n, 0, *tti_val_shape(g, n->in[DY]));
    return TT_OK;
}

static tt_status enqueue_x(tti_exec *e, const tti_node *n) {
    const bool before = n->in[BEFORE] != TTI_NONE;
    tti_launch k = tti_kernel(e->dev, "layernorm", "layernorm_bwd_x", defines(e, before));
    tti_arg_mem(&k, tti_x_mem(e, n->out[0]));
    for (int i = DY; i <= STATSB; i++) tti_arg_mem(&k, tti_x_mem(e, n->in[i]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[before ? BEFORE : DY]));
    tti_arg_i32(&k, (int)tti_x_cols(e, n->in[DY]));
    return tti_run_groups(&k, tti_x_rows(e, n->in[DY]));
}

static tt_status shape_w(tti_graph *g, tti_node *n) {
    tti_out(g, n, 0, tti_shape_const(1, tti_val_shape(g, n->in[DYW])->cols));
    return TT_OK;
}

static tt_status enqueue_w(tti_exec *e, const tti_node *n) {
    const int colv = tti_x_colv(e);
    const size_t cols = tti_x_cols(e, n->in[DYW]);
    tti_launch k = tti_kernel(e->dev, "layernorm", "layernorm_bwd_w", defines(e, false));
    tti_arg_mem(&k, tti_x_mem(e, n->out[0]));
    for (int i = DYW; i <= STATSW; i++) tti_arg_mem(&k, tti_x_mem(e, n->in[i]));
    tti_arg_i32(&k, (int)tti_x_rows(e, n->in[DYW]));
    tti_arg_i32(&k, (int)cols);
    tti_arg_i32(&k, tti_x_accumulate(e, n));
    return tti_run_groups(&k, tti_x_column_groups(e, cols, colv));
}

static const tti_op op_x = {.name = "layernorm_bwd_x", .shape = shape_x, .enqueue = enqueue_x};
static const tti_op op_w = {.name = "layernorm_bwd_w", .shape = shape_w, .enqueue = enqueue_w};

static tt_status backward(tti_graph *g, const tti_node *n) {
    const tti_val dy = tti_grad_of(g, n->out[Y]), stats = n->out[STATS];
    const tti_val x = tti_grad_read(g, n->in[X]);
    if (tti_grad_wanted(g, n->in[W]))
        tti_grad_emit_param(g, n->in[W], &op_w, (tti_val[]){dy, x, stats}, 3, NULL);
    if (tti_grad_wanted(g, n->in[B]))
        tti_grad_emit_param(g, n->in[B], &tti_op_colsum, &dy, 1, NULL);
    if (tti_grad_wanted(g, n->in[X])) {
        const tti_val in[] = {dy, x, n->in[W], stats, tti_grad_of(g, n->in[X])};
        tti_grad_set(g, n->in[X], tti_emit(g, &op_x, in, 5, NULL));
    }
    return tti_graph_status(g);
}

static const tti_op op = {.name = "layernorm",
                          .shape = shape,
                          .enqueue = enqueue,
                          .backward = backward,
                          .exact_outs = 1u << STATS};

tti_val tti_layernorm(tti_graph *g, tti_val x, tti_val w, tti_val b, float eps) {
    const tti_attr attr = {.f = {eps}};
    const tti_val y = tti_emit(g, &op, (tti_val[]){x, w, b}, 3, &attr);
    if (y != TTI_NONE) tti_producer(g, y)->recompute = true; /* from x, which the gradient reads */
    return y;
}
