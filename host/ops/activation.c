// SPDX-License-Identifier: Apache-2.0
/* activation.c - functions of one element; kernels cl/activation.cl. */
#include "host/ops/launch.h"

enum { X, DY }; /* inputs; DY of the gradient only */
enum { ACT };   /* attr.i, a tti_act; the linear op reads it when it absorbs this one */

static tt_status shape(tti_graph *g, tti_node *n) {
    n->reuse_in = n->nin - 1; /* y over x, dx over dy */
    tti_out(g, n, 0, *tti_val_shape(g, n->in[X]));
    return TT_OK;
}

static tt_status run(tti_exec *e, const tti_node *n, const char *kernel) {
    tti_launch k =
        tti_kernel(e->dev, "activation", kernel,
                   tti_x_defines(e, "-DCHUNK=%d -DACT=%d", tti_x_chunk(e), n->attr.i[ACT]));
    tti_arg_mem(&k, tti_x_mem(e, n->out[0]));
    for (int i = 0; i < n->nin; i++) tti_arg_mem(&k, tti_x_mem(e, n->in[i]));
    return tti_x_run_chunks(e, &k, n->out[0]);
}

static tt_status enqueue(tti_exec *e, const tti_node *n) { return run(e, n, "activation_fwd"); }
static tt_status enqueue_bwd(tti_exec *e, const tti_node *n) { return run(e, n, "activation_bwd"); }

static const tti_op op_bwd = {.name = "activation_bwd", .shape = shape, .enqueue = enqueue_bwd};

static tt_status backward(tti_graph *g, const tti_node *n) {
    const tti_val in[] = {tti_grad_read(g, n->in[X]), tti_grad_of(g, n->out[0])};
    tti_grad_add(g, n->in[X], tti_emit(g, &op_bwd, in, 2, &n->attr));
    return tti_graph_status(g);
}

static const tti_op op = {
    .name = "activation", .shape = shape, .enqueue = enqueue, .backward = backward};

tti_val tti_activation(tti_graph *g, tti_val x, tti_act act) {
    if (act == TTI_ACT_NONE) return x;
    const tti_attr attr = {.i = {[ACT] = (int)act}};
    const tti_val y = tti_emit(g, &op, &x, 1, &attr);
    if (y != TTI_NONE) tti_producer(g, y)->recompute = true; /* y is cheap, x is kept anyway */
    return y;
}
