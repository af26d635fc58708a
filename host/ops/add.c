// SPDX-License-Identifier: Apache-2.0
/* add.c - y = a + b; kernel cl/add.cl. */
#include "host/ops/launch.h"

enum { A, B };

static tt_status shape(tti_graph *g, tti_node *n) {
    const tti_shape a = *tti_val_shape(g, n->in[A]), b = *tti_val_shape(g, n->in[B]);
    if (a.kind != b.kind || a.n != b.n || a.cols != b.cols)
        return tti_fail(TT_E_SHAPE, "add: a is %s, b is %s", tti_shape_str(&a), tti_shape_str(&b));
    n->reuse_in = A;
    tti_out(g, n, 0, a);
    return TT_OK;
}

static tt_status enqueue(tti_exec *e, const tti_node *n) {
    tti_launch k =
        tti_kernel(e->dev, "add", "add_fwd", tti_x_defines(e, "-DCHUNK=%d", tti_x_chunk(e)));
    tti_arg_mem(&k, tti_x_mem(e, n->out[0]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[A]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[B]));
    return tti_x_run_chunks(e, &k, n->out[0]);
}

static tt_status backward(tti_graph *g, const tti_node *n) {
    const tti_val dy = tti_grad_of(g, n->out[0]);
    tti_grad_add(g, n->in[A], dy);
    tti_grad_add(g, n->in[B], dy);
    return tti_graph_status(g);
}

const tti_op tti_op_add = {.name = "add", .shape = shape, .enqueue = enqueue, .backward = backward};

tti_val tti_add(tti_graph *g, tti_val a, tti_val b) {
    return tti_emit(g, &tti_op_add, (tti_val[]){a, b}, 2, NULL);
}
