// SPDX-License-Identifier: Apache-2.0
/* gather.c - the rows whose next token is supervised, and kept rows that REST rows stand for;
 * kernels cl/gather.cl. */
#include "host/ops/launch.h"

enum { X, ROW }; /* inputs; of the gradient dy in place of x */

enum { KEPT }; /* attr.i */

static tt_status shape(tti_graph *g, tti_node *n) {
    const tti_shape x = *tti_val_shape(g, n->in[X]);
    if (n->attr.i[KEPT]) {
        tti_out(g, n, 0, tti_shape_rows(TTI_ROWS_REST, x.cols));
        return TT_OK;
    }
    if (x.kind != TTI_ROWS_SEL)
        return tti_fail(TT_E_SHAPE, "gather: x is %s, not [sel,C]", tti_shape_str(&x));
    tti_out(g, n, 0, tti_shape_rows(TTI_ROWS_LAB, x.cols));
    return TT_OK;
}

static tt_status shape_bwd(tti_graph *g, tti_node *n) {
    tti_out(g, n, 0, tti_shape_rows(TTI_ROWS_SEL, tti_val_shape(g, n->in[X])->cols));
    return TT_OK;
}

static tt_status run(tti_exec *e, const tti_node *n, bool bwd) {
    const size_t rows = tti_x_rows(e, n->out[0]), cols = tti_x_cols(e, n->out[0]);
    tti_launch k = tti_kernel(e->dev, "gather", bwd ? "gather_bwd" : "gather_fwd",
                              tti_x_defines(e, "-DEACH=%d", tti_x_each(e)));
    tti_arg_mem(&k, tti_x_mem(e, n->out[0]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[X]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[ROW]));
    tti_arg_i32(&k, (int)rows);
    if (bwd) tti_arg_i32(&k, (int)tti_x_rows(e, n->in[X]));
    tti_arg_i32(&k, (int)cols);
    return tti_x_run_rows(e, &k, rows, cols);
}

static tt_status enqueue(tti_exec *e, const tti_node *n) { return run(e, n, false); }
static tt_status enqueue_bwd(tti_exec *e, const tti_node *n) { return run(e, n, true); }

static const tti_op op_bwd = {.name = "gather_bwd", .shape = shape_bwd, .enqueue = enqueue_bwd};

static tt_status backward(tti_graph *g, const tti_node *n) {
    if (n->attr.i[KEPT])
        return tti_fail(TT_E_UNSUPPORTED, "gather: no gradient flows into kept rows");
    const tti_val in[] = {tti_grad_of(g, n->out[0]), n->in[ROW]};
    tti_grad_add(g, n->in[X], tti_emit(g, &op_bwd, in, 2, NULL));
    return tti_graph_status(g);
}

static const tti_op op = {
    .name = "gather", .shape = shape, .enqueue = enqueue, .backward = backward};

tti_val tti_gather_labelled(tti_graph *g, tti_val x) {
    return tti_emit(g, &op, (tti_val[]){x, tti_graph_input(g, TTI_IN_LAB_ROW)}, 2, NULL);
}

tti_val tti_gather_kept(tti_graph *g, tti_val kept) {
    const tti_attr attr = {.i = {[KEPT] = 1}};
    return tti_emit(g, &op, (tti_val[]){kept, tti_graph_input(g, TTI_IN_KEPT_REST)}, 2, &attr);
}
