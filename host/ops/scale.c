// SPDX-License-Identifier: Apache-2.0
/* scale.c - y = s x; kernel cl/scale.cl. */
#include "host/ops/launch.h"

#include <math.h>

enum { X }; /* input; of the gradient dy */
enum { S }; /* attr.f */

static tt_status shape(tti_graph *g, tti_node *n) {
    n->reuse_in = X;
    tti_out(g, n, 0, *tti_val_shape(g, n->in[X]));
    return TT_OK;
}

static tt_status enqueue(tti_exec *e, const tti_node *n) {
    tti_launch k =
        tti_kernel(e->dev, "scale", "scale", tti_x_defines(e, "-DCHUNK=%d", tti_x_chunk(e)));
    tti_arg_mem(&k, tti_x_mem(e, n->out[0]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[X]));
    tti_arg_f32(&k, n->attr.f[S]);
    return tti_x_run_chunks(e, &k, n->out[0]);
}

static const tti_op op_bwd = {.name = "scale_bwd", .shape = shape, .enqueue = enqueue};

static tt_status backward(tti_graph *g, const tti_node *n) {
    const tti_val dy = tti_grad_of(g, n->out[0]);
    tti_grad_add(g, n->in[X], tti_emit(g, &op_bwd, &dy, 1, &n->attr));
    return tti_graph_status(g);
}

static const tti_op op = {
    .name = "scale", .shape = shape, .enqueue = enqueue, .backward = backward};

tti_val tti_scale(tti_graph *g, tti_val x, float s) {
    if (tti_graph_status(g) != TT_OK) return TTI_NONE;
    if (!isfinite(s)) {
        tti_graph_fail(g, tti_fail(TT_E_ARG, "scale: by %g", (double)s));
        return TTI_NONE;
    }
    if (s == 1.0f) return x;
    const tti_attr attr = {.f = {[S] = s}};
    return tti_emit(g, &op, &x, 1, &attr);
}
