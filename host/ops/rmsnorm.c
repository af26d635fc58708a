// SPDX-License-Identifier: Apache-2.0
/* rmsnorm.c - root-mean-square normalisation of groups of columns; kernels cl/rmsnorm.cl. */
#include "host/ops/launch.h"

enum { X, W };                   /* inputs */
enum { Y, S };                   /* outputs; S is kept for the gradient */
enum { DY, XB, WB, SB, BEFORE }; /* inputs of the gradient by x */
enum { DYW, XW, SW };            /* inputs of the gradient by w */
enum { GROUP, PLUS };            /* attr.i: columns of a group; 1: weights are stored less 1 */
enum { EPS };                    /* attr.f */

static tt_status shape(tti_graph *g, tti_node *n) {
    const tti_shape x = *tti_val_shape(g, n->in[X]), w = *tti_val_shape(g, n->in[W]);
    const int group = n->attr.i[GROUP];
    if (group < 1 || x.cols == 0 || x.cols % (size_t)group)
        return tti_fail(TT_E_SHAPE, "rmsnorm: groups of %d columns, x is %s", group,
                        tti_shape_str(&x));
    if (w.kind != TTI_ROWS_CONST || w.n != 1 || w.cols != (size_t)group)
        return tti_fail(TT_E_SHAPE, "rmsnorm: w is %s, a group has %d columns", tti_shape_str(&w),
                        group);
    tti_shape s = x;
    s.cols = x.cols / (size_t)group;
    n->reuse_in = X;
    tti_out(g, n, Y, x);
    tti_out(g, n, S, s);
    return TT_OK;
}

/* All kernels of the file with one set of defines, so that they are one program. */
static const char *defines(tti_exec *e, const tti_node *n, bool before) {
    return tti_x_defines(e, "-DEACH=%d -DPLUS=%d -DCOLV=%d -DBEFORE=%d", tti_x_each(e),
                         n->attr.i[PLUS], tti_x_colv(e), before);
}

/* Groups in v, a value shaped like x. */
static size_t groups(const tti_exec *e, const tti_node *n, tti_val v) {
    return tti_x_rows(e, v) * (tti_x_cols(e, v) / (size_t)n->attr.i[GROUP]);
}

static tt_status enqueue(tti_exec *e, const tti_node *n) {
    const size_t all = groups(e, n, n->in[X]);
    tti_launch k = tti_kernel(e->dev, "rmsnorm", "rmsnorm_fwd", defines(e, n, false));
    tti_arg_mem(&k, tti_x_mem(e, n->out[Y]));
    tti_arg_mem(&k, tti_x_mem(e, n->out[S]));
    for (int i = X; i <= W; i++) tti_arg_mem(&k, tti_x_mem(e, n->in[i]));
    tti_arg_i32(&k, (int)all);
    tti_arg_i32(&k, n->attr.i[GROUP]);
    tti_arg_f32(&k, n->attr.f[EPS]);
    return tti_x_run_rows(e, &k, all, (size_t)n->attr.i[GROUP]);
}

static tt_status shape_x(tti_graph *g, tti_node *n) {
    n->reuse_in = DY;
    tti_out(g, n, 0, *tti_val_shape(g, n->in[DY]));
    return TT_OK;
}

static tt_status enqueue_x(tti_exec *e, const tti_node *n) {
    const bool before = n->in[BEFORE] != TTI_NONE;
    const size_t all = groups(e, n, n->in[DY]);
    tti_launch k = tti_kernel(e->dev, "rmsnorm", "rmsnorm_bwd_x", defines(e, n, before));
    tti_arg_mem(&k, tti_x_mem(e, n->out[0]));
    for (int i = DY; i <= SB; i++) tti_arg_mem(&k, tti_x_mem(e, n->in[i]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[before ? BEFORE : DY]));
    tti_arg_i32(&k, (int)all);
    tti_arg_i32(&k, n->attr.i[GROUP]);
    return tti_x_run_rows(e, &k, all, (size_t)n->attr.i[GROUP]);
}

static tt_status shape_w(tti_graph *g, tti_node *n) {
    tti_out(g, n, 0, tti_shape_const(1, (size_t)n->attr.i[GROUP]));
    return TT_OK;
}

static tt_status enqueue_w(tti_exec *e, const tti_node *n) {
    tti_launch k = tti_kernel(e->dev, "rmsnorm", "rmsnorm_bwd_w", defines(e, n, false));
    tti_arg_mem(&k, tti_x_mem(e, n->out[0]));
    for (int i = DYW; i <= SW; i++) tti_arg_mem(&k, tti_x_mem(e, n->in[i]));
    tti_arg_i32(&k, (int)groups(e, n, n->in[DYW]));
    tti_arg_i32(&k, n->attr.i[GROUP]);
    tti_arg_i32(&k, tti_x_accumulate(e, n));
    return tti_run_groups(&k, tti_x_column_groups(e, (size_t)n->attr.i[GROUP], tti_x_colv(e)));
}

static const tti_op op_x = {.name = "rmsnorm_bwd_x", .shape = shape_x, .enqueue = enqueue_x};
static const tti_op op_w = {.name = "rmsnorm_bwd_w", .shape = shape_w, .enqueue = enqueue_w};

static tt_status backward(tti_graph *g, const tti_node *n) {
    const tti_val dy = tti_grad_of(g, n->out[Y]), s = n->out[S];
    const tti_val x = tti_grad_read(g, n->in[X]);
    if (tti_grad_wanted(g, n->in[W]))
        tti_grad_emit_param(g, n->in[W], &op_w, (tti_val[]){dy, x, s}, 3, &n->attr);
    if (tti_grad_wanted(g, n->in[X])) {
        const tti_val in[] = {dy, x, n->in[W], s, tti_grad_of(g, n->in[X])};
        tti_grad_set(g, n->in[X], tti_emit(g, &op_x, in, 5, &n->attr));
    }
    return tti_graph_status(g);
}

static const tti_op op = {.name = "rmsnorm",
                          .shape = shape,
                          .enqueue = enqueue,
                          .backward = backward,
                          .exact_outs = 1u << S};

tti_val tti_rmsnorm(tti_graph *g, tti_val x, tti_val w, float eps, float plus, int group) {
    if (plus != 0 && plus != 1) {
        tti_graph_fail(g, tti_fail(TT_E_ARG, "rmsnorm: plus is %g, must be 0 or 1", (double)plus));
        return TTI_NONE;
    }
    const tti_attr attr = {.i = {[GROUP] = group, [PLUS] = plus > 0}, .f = {[EPS] = eps}};
    const tti_val y = tti_emit(g, &op, (tti_val[]){x, w}, 2, &attr);
    if (y != TTI_NONE) tti_producer(g, y)->recompute = true; /* from x, which the gradient reads */
    return y;
}
