// SPDX-License-Identifier: Apache-2.0
/* loss.c - loss over sequences with its gradient; kernels cl/loss.cl. */
#include "host/ops/launch.h"

enum { LOGITS, LABELS };          /* inputs */
enum { LOSS, DLOGITS, ROW_LOSS }; /* outputs; ROW_LOSS is scratch */
enum { CLASSES };                 /* attr.i */

static tt_status shape(tti_graph *g, tti_node *n) {
    const tti_shape z = *tti_val_shape(g, n->in[LOGITS]);
    if (z.kind != TTI_ROWS_SEQ)
        return tti_fail(TT_E_SHAPE, "loss: logits are %s, not [seq,C]", tti_shape_str(&z));
    if (!n->attr.i[CLASSES] && z.cols != 1)
        return tti_fail(TT_E_SHAPE, "loss: squared error of %zu outputs, must be 1", z.cols);
    tti_out(g, n, LOSS, tti_shape_const(1, 1));
    tti_out(g, n, DLOGITS, z);
    tti_out(g, n, ROW_LOSS, tti_shape_rows(TTI_ROWS_SEQ, 1));
    return TT_OK;
}

static tt_status enqueue(tti_exec *e, const tti_node *n) {
    const size_t rows = tti_x_rows(e, n->in[LOGITS]);
    const char *defines = tti_x_defines(e, " ");
    tti_launch k =
        tti_kernel(e->dev, "loss", n->attr.i[CLASSES] ? "loss_classes" : "loss_squared", defines);
    tti_arg_mem(&k, tti_x_mem(e, n->out[DLOGITS]));
    tti_arg_mem(&k, tti_x_mem(e, n->out[ROW_LOSS]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[LOGITS]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[LABELS]));
    tti_arg_i32(&k, (int)tti_x_cols(e, n->in[LOGITS]));
    tti_arg_f32(&k, e->loss_scale);
    TT_TRY(tti_run_groups(&k, rows));
    k = tti_kernel(e->dev, "loss", "loss_sum", defines);
    tti_arg_mem(&k, tti_x_mem(e, n->out[LOSS]));
    tti_arg_mem(&k, tti_x_mem(e, n->out[ROW_LOSS]));
    tti_arg_i32(&k, (int)rows);
    tti_arg_f32(&k, e->loss_scale);
    tti_arg_i32(&k, tti_x_accumulate(e, n));
    return tti_run(&k, 1, (size_t[]){1}, (size_t[]){1});
}

static const tti_op op = {.name = "loss", .shape = shape, .enqueue = enqueue, .exact_outs = ~0u};

tti_val tti_loss(tti_graph *g, tti_val logits, tti_val loss, bool classes) {
    const tti_attr attr = {.i = {[CLASSES] = classes}};
    const tti_val in[] = {logits, tti_graph_input(g, TTI_IN_LABELS)};
    if (tti_emit_into(g, &op, in, 2, &attr, loss, false) == TTI_NONE) return TTI_NONE;
    const tti_node *n = tti_node_at(g, tti_graph_nodes(g) - 1);
    tti_grad_set(g, logits, n->out[DLOGITS]); /* the backward pass starts here */
    return loss;
}
