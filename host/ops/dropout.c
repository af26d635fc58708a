// SPDX-License-Identifier: Apache-2.0
/* dropout.c - zeroes elements by chance; kernel cl/dropout.cl. */
#include "host/ops/launch.h"
#include "host/core/philox.h"

enum { X, AT, SEQS }; /* inputs; AT: position of the row, or first SEL row of the sequence */
enum { SITE };        /* attr.i */

static tt_status shape(tti_graph *g, tti_node *n) {
    n->reuse_in = X;
    tti_out(g, n, 0, *tti_val_shape(g, n->in[X]));
    return TT_OK;
}

static tt_status enqueue(tti_exec *e, const tti_node *n) {
    const bool pooled = tti_val_shape(e->graph, n->in[X])->kind == TTI_ROWS_SEQ;
    tti_launch k =
        tti_kernel(e->dev, "dropout", "dropout", tti_x_defines(e, "-DPOOLED=%d", pooled));
    tti_arg_mem(&k, tti_x_mem(e, n->out[0]));
    for (int i = X; i <= SEQS; i++) tti_arg_mem(&k, tti_x_mem(e, n->in[i]));
    tti_arg_i32(&k, (int)tti_x_cols(e, n->in[X]));
    tti_arg_u32(&k, TTI_STREAM_DROPOUT + 16 * (uint32_t)n->attr.i[SITE]);
    tti_arg_u32(&k, e->seed);
    tti_arg_u32(&k, e->step);
    tti_arg_f32(&k, e->training ? n->attr.f[0] : 0.0f); /* 0 copies */
    return tti_run_groups(&k, tti_x_rows(e, n->in[X]));
}

static tt_status backward(tti_graph *g, const tti_node *n);

static const tti_op op = {
    .name = "dropout", .shape = shape, .enqueue = enqueue, .backward = backward};

/* The same numbers are drawn again: the gradient is the op itself. */
static tt_status backward(tti_graph *g, const tti_node *n) {
    const tti_val in[] = {tti_grad_of(g, n->out[0]), n->in[AT], n->in[SEQS]};
    tti_grad_add(g, n->in[X], tti_emit(g, &op, in, 3, &n->attr));
    return tti_graph_status(g);
}

tti_val tti_dropout(tti_graph *g, tti_val x, float p, int site) {
    if (p == 0.0f || x == TTI_NONE) return x;
    if (!(p > 0.0f && p < 1.0f)) {
        tti_graph_fail(g, tti_fail(TT_E_ARG, "dropout: p is %g, must be in [0,1)", (double)p));
        return TTI_NONE;
    }
    const tti_shape s = *tti_val_shape(g, x);
    tti_input at = TTI_IN_POS_SEL, seqs = TTI_IN_SEQ_SEL;
    if (s.kind == TTI_ROWS_REST)
        at = TTI_IN_POS_REST, seqs = TTI_IN_SEQ_REST;
    else if (s.kind == TTI_ROWS_SEQ)
        at = TTI_IN_OFF_SEL;
    else if (s.kind != TTI_ROWS_SEL) {
        tti_graph_fail(g, tti_fail(TT_E_SHAPE, "dropout: x is %s", tti_shape_str(&s)));
        return TTI_NONE;
    }
    const tti_attr attr = {.i = {[SITE] = site}, .f = {p}};
    const tti_val in[] = {x, tti_graph_input(g, at), tti_graph_input(g, seqs)};
    const tti_val y = tti_emit(g, &op, in, 3, &attr);
    if (y != TTI_NONE) tti_producer(g, y)->recompute = true;
    return y;
}
