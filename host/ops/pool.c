// SPDX-License-Identifier: Apache-2.0
/* pool.c - one row for each sequence; kernels cl/pool.cl. */
#include "host/ops/launch.h"

enum { X, OFF }; /* inputs; of the gradient dy in place of x */
enum { HOW };    /* attr.i, a tti_pool */

static tt_status shape(tti_graph *g, tti_node *n) {
    const tti_shape x = *tti_val_shape(g, n->in[X]);
    if (x.kind != TTI_ROWS_SEL)
        return tti_fail(TT_E_SHAPE, "pool: x is %s, not [sel,C]", tti_shape_str(&x));
    tti_out(g, n, 0, tti_shape_rows(TTI_ROWS_SEQ, x.cols));
    return TT_OK;
}

static tt_status shape_bwd(tti_graph *g, tti_node *n) {
    tti_out(g, n, 0, tti_shape_rows(TTI_ROWS_SEL, tti_val_shape(g, n->in[X])->cols));
    return TT_OK;
}

static tt_status run(tti_exec *e, const tti_node *n, const char *kernel) {
    const size_t cols = tti_x_cols(e, n->out[0]);
    tti_launch k = tti_kernel(e->dev, "pool", kernel, tti_x_defines(e, "-DHOW=%d", n->attr.i[HOW]));
    tti_arg_mem(&k, tti_x_mem(e, n->out[0]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[X]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[OFF]));
    tti_arg_i32(&k, (int)cols);
    /* four vectors of columns for a work-item, so that a CPU's work-groups are worth their start */
    return tti_x_run_2d(e, &k, e->rows.n[TTI_ROWS_SEQ],
                        tti_x_column_groups(e, cols, 4 * e->caps->wg));
}

static tt_status enqueue(tti_exec *e, const tti_node *n) { return run(e, n, "pool_fwd"); }
static tt_status enqueue_bwd(tti_exec *e, const tti_node *n) { return run(e, n, "pool_bwd"); }

static const tti_op op_bwd = {.name = "pool_bwd", .shape = shape_bwd, .enqueue = enqueue_bwd};

static tt_status backward(tti_graph *g, const tti_node *n) {
    const tti_val in[] = {tti_grad_of(g, n->out[0]), n->in[OFF]};
    tti_grad_add(g, n->in[X], tti_emit(g, &op_bwd, in, 2, &n->attr));
    return tti_graph_status(g);
}

static const tti_op op = {.name = "pool", .shape = shape, .enqueue = enqueue, .backward = backward};

tti_val tti_pool_rows(tti_graph *g, tti_val x, tti_pool how) {
    const tti_attr attr = {.i = {[HOW] = (int)how}};
    return tti_emit(g, &op, (tti_val[]){x, tti_graph_input(g, TTI_IN_OFF_SEL)}, 2, &attr);
}
