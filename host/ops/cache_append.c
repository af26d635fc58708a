// SPDX-License-Identifier: Apache-2.0
/* cache_append.c - keys and values of SEL rows go behind those that their sequences keep. */
#include "host/ops/ops.h"

enum { K, V, ROW }; /* inputs */

static tt_status shape(tti_graph *g, tti_node *n) {
    const tti_shape *k = tti_val_shape(g, n->in[K]), *v = tti_val_shape(g, n->in[V]);
    if (k->kind != TTI_ROWS_SEL || v->kind != TTI_ROWS_SEL || k->cols != v->cols)
        return tti_fail(TT_E_SHAPE, "cache_append: keys are %s, values %s; both must be [sel,same]",
                        tti_shape_str(k), tti_shape_str(v));
    for (int i = 0; i < 2; i++) {
        const tti_shape *to = tti_val_shape(g, n->out[i]);
        if (to->kind != TTI_ROWS_CONST || to->cols != k->cols)
            return tti_fail(TT_E_SHAPE, "cache_append: the cache is %s, its rows must be as %s",
                            tti_shape_str(to), tti_shape_str(k));
    }
    return TT_OK;
}

static tt_status enqueue(tti_exec *e, const tti_node *n) {
    tti_launch k = tti_kernel(e->dev, "cache_append", "cache_append", tti_x_defines(e, "%s", ""));
    tti_arg_mem(&k, tti_x_mem(e, n->out[0]));
    tti_arg_mem(&k, tti_x_mem(e, n->out[1]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[K]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[V]));
    tti_arg_mem(&k, tti_x_mem(e, n->in[ROW]));
    tti_arg_i32(&k, (int)tti_x_cols(e, n->in[K]));
    return tti_run_groups(&k, tti_x_rows(e, n->in[K]));
}

static const tti_op op = {.name = "cache_append", .shape = shape, .enqueue = enqueue};

void tti_cache_append(tti_graph *g, tti_val k, tti_val v, tti_val kept_k, tti_val kept_v) {
    if (tti_graph_status(g) != TT_OK) return;
    const tti_val in[] = {k, v, tti_graph_input(g, TTI_IN_CACHE_ROW)}, out[] = {kept_k, kept_v};
    tti_emit_outs(g, &op, in, TT_COUNT(in), NULL, out, TT_COUNT(out), false);
}
