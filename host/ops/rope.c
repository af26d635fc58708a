// SPDX-License-Identifier: Apache-2.0
/* rope.c - rotary embedding of queries and keys; kernel cl/rope.cl. */
#include "host/ops/launch.h"

#include <math.h>

enum { X, INV_FREQ, POS };   /* inputs; of the gradient dy in place of x */
enum { HEAD_DIM, BACKWARD }; /* attr.i; BACKWARD: turn by the negative angle */
enum { SCALE };              /* attr.f */

static tt_status shape(tti_graph *g, tti_node *n) {
    const tti_shape x = *tti_val_shape(g, n->in[X]), f = *tti_val_shape(g, n->in[INV_FREQ]);
    const tti_shape pos = *tti_val_shape(g, n->in[POS]);
    const int dh = n->attr.i[HEAD_DIM];
    if (dh < 1 || x.cols == 0 || x.cols % (size_t)dh)
        return tti_fail(TT_E_SHAPE, "rope: heads of %d columns, x is %s", dh, tti_shape_str(&x));
    if (f.kind != TTI_ROWS_CONST || f.n != 1 || f.cols < 1 || f.cols > (size_t)dh / 2)
        return tti_fail(TT_E_SHAPE, "rope: inv_freq is %s, heads have %d columns",
                        tti_shape_str(&f), dh);
    if (x.kind != pos.kind)
        return tti_fail(TT_E_SHAPE, "rope: x is %s, positions are %s", tti_shape_str(&x),
                        tti_shape_str(&pos));
    n->reuse_in = X;
    tti_out(g, n, 0, x);
    return TT_OK;
}

/* Vectors of frequencies side by side: a power of two, so that the rest takes other heads. */
static int frequency_lanes(const tti_caps *caps, size_t f) {
    int lanes = 1;
    while (lanes < caps->wg && (size_t)(lanes * caps->vw) < f) lanes *= 2;
    return lanes;
}

static tt_status enqueue(tti_exec *e, const tti_node *n) {
    const size_t f = tti_x_cols(e, n->in[INV_FREQ]), cols = tti_x_cols(e, n->in[X]);
    const char *defines =
        tti_x_defines(e, "-DEACH=%d -DCOLV=%d -DDH=%d -DF=%d -DSCALE=%.9ef -DSIGN=%d.0f",
                      tti_x_each(e), frequency_lanes(e->caps, f), n->attr.i[HEAD_DIM], (int)f,
                      (double)n->attr.f[SCALE], n->attr.i[BACKWARD] ? -1 : 1);
    tti_launch k = tti_kernel(e->dev, "rope", "rope", defines);
    tti_arg_mem(&k, tti_x_mem(e, n->out[0]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[X]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[POS]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[INV_FREQ]));
    tti_arg_i32(&k, (int)tti_x_rows(e, n->in[X]));
    tti_arg_i32(&k, (int)cols);
    return tti_x_run_rows(e, &k, tti_x_rows(e, n->in[X]), cols);
}

static const tti_op op_bwd = {.name = "rope_bwd", .shape = shape, .enqueue = enqueue};

static tt_status backward(tti_graph *g, const tti_node *n) {
    const tti_val in[] = {tti_grad_of(g, n->out[0]), n->in[INV_FREQ], n->in[POS]};
    tti_attr attr = n->attr;
    attr.i[BACKWARD] = 1;
    tti_grad_add(g, n->in[X], tti_emit(g, &op_bwd, in, 3, &attr));
    return tti_graph_status(g);
}

/* Not computed again: the gradient of attention reads the turned queries and keys, that of this op
 * nothing. */
static const tti_op op = {.name = "rope", .shape = shape, .enqueue = enqueue, .backward = backward};

tti_val tti_rope(tti_graph *g, tti_val x, tti_val inv_freq, int head_dim, float scale, bool rest) {
    if (tti_graph_status(g) != TT_OK) return TTI_NONE;
    if (!isfinite(scale)) {
        tti_graph_fail(g, tti_fail(TT_E_ARG, "rope: scale is %g", (double)scale));
        return TTI_NONE;
    }
    const tti_attr attr = {.i = {[HEAD_DIM] = head_dim}, .f = {[SCALE] = scale}};
    const tti_val pos = tti_graph_input(g, rest ? TTI_IN_POS_REST : TTI_IN_POS_SEL);
    return tti_emit(g, &op, (tti_val[]){x, inv_freq, pos}, 3, &attr);
}
