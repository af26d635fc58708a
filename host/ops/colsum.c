// SPDX-License-Identifier: Apache-2.0
/* colsum.c - gradient of a bias: db[c] = sum over rows of dy[r,c]; kernel cl/colsum.cl. */
#include "host/ops/launch.h"

static tt_status shape(tti_graph *g, tti_node *n) {
    tti_out(g, n, 0, tti_shape_const(1, tti_val_shape(g, n->in[0])->cols));
    return TT_OK;
}

static tt_status enqueue(tti_exec *e, const tti_node *n) {
    const int colv = tti_x_colv(e);
    const size_t cols = tti_x_cols(e, n->in[0]);
    tti_launch k = tti_kernel(e->dev, "colsum", "colsum", tti_x_defines(e, "-DCOLV=%d", colv));
    tti_arg_mem(&k, tti_x_mem(e, n->out[0]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[0]));
    tti_arg_i32(&k, (int)tti_x_rows(e, n->in[0]));
    tti_arg_i32(&k, (int)cols);
    tti_arg_i32(&k, tti_x_accumulate(e, n));
    return tti_run_groups(&k, tti_x_column_groups(e, cols, colv));
}

const tti_op tti_op_colsum = {.name = "colsum", .shape = shape, .enqueue = enqueue};
