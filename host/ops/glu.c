// SPDX-License-Identifier: Apache-2.0
/* glu.c - gated linear unit; kernels cl/glu.cl. */
#include "host/ops/launch.h"

enum { GATE, UP };       /* inputs */
enum { DY, GATEB, UPB }; /* inputs of the gradient */
enum { DGATE, DUP };     /* its outputs */
enum { ACT };            /* attr.i, a tti_act */

static tt_status shape(tti_graph *g, tti_node *n) {
    const tti_shape a = *tti_val_shape(g, n->in[GATE]), b = *tti_val_shape(g, n->in[UP]);
    if (a.kind != b.kind || a.n != b.n || a.cols != b.cols)
        return tti_fail(TT_E_SHAPE, "glu: gate is %s, up is %s", tti_shape_str(&a),
                        tti_shape_str(&b));
    n->reuse_in = GATE;
    tti_out(g, n, 0, a);
    return TT_OK;
}

static tt_status shape_bwd(tti_graph *g, tti_node *n) {
    const tti_shape dy = *tti_val_shape(g, n->in[DY]);
    n->reuse_in = DY;
    tti_out(g, n, DGATE, dy);
    tti_out(g, n, DUP, dy);
    return TT_OK;
}

static tt_status run(tti_exec *e, const tti_node *n, const char *kernel) {
    tti_launch k =
        tti_kernel(e->dev, "glu", kernel,
                   tti_x_defines(e, "-DCHUNK=%d -DACT=%d", tti_x_chunk(e), n->attr.i[ACT]));
    for (int i = 0; i < n->nout; i++) tti_arg_mem(&k, tti_x_mem(e, n->out[i]));
    for (int i = 0; i < n->nin; i++) tti_arg_mem(&k, tti_x_mem(e, n->in[i]));
    return tti_x_run_chunks(e, &k, n->out[0]);
}

static tt_status enqueue(tti_exec *e, const tti_node *n) { return run(e, n, "glu_fwd"); }
static tt_status enqueue_bwd(tti_exec *e, const tti_node *n) { return run(e, n, "glu_bwd"); }

static const tti_op op_bwd = {.name = "glu_bwd", .shape = shape_bwd, .enqueue = enqueue_bwd};

static tt_status backward(tti_graph *g, const tti_node *n) {
    const tti_val in[] = {tti_grad_of(g, n->out[0]), tti_grad_read(g, n->in[GATE]),
                          tti_grad_read(g, n->in[UP])};
    const tti_val dgate = tti_emit(g, &op_bwd, in, 3, &n->attr);
    const tti_val dup = tti_emit_out(g, dgate, DUP);
    tti_grad_add(g, n->in[GATE], dgate);
    tti_grad_add(g, n->in[UP], dup);
    return tti_graph_status(g);
}

static const tti_op op = {.name = "glu", .shape = shape, .enqueue = enqueue, .backward = backward};

tti_val tti_glu(tti_graph *g, tti_val gate, tti_val up, tti_act act) {
    const tti_attr attr = {.i = {[ACT] = (int)act}};
    const tti_val y = tti_emit(g, &op, (tti_val[]){gate, up}, 2, &attr);
    if (y != TTI_NONE) tti_producer(g, y)->recompute = true; /* cheap, and the halves are kept */
    return y;
}
