// SPDX-License-Identifier: Apache-2.0
/* build.c - values, nodes, and the appending of ops. */
#include "host/graph/internal.h"

#include <string.h>

static const tti_shape input_shape[TTI_IN_COUNT] = {
    [TTI_IN_IDS_SEL] = {TTI_ROWS_SEL, 0, 1, TTI_I32},
    [TTI_IN_IDS_REST] = {TTI_ROWS_REST, 0, 1, TTI_I32},
    [TTI_IN_POS_SEL] = {TTI_ROWS_SEL, 0, 1, TTI_I32},
    [TTI_IN_POS_REST] = {TTI_ROWS_REST, 0, 1, TTI_I32},
    [TTI_IN_POSID_SEL] = {TTI_ROWS_SEL, 0, 1, TTI_I32},
    [TTI_IN_POSID_REST] = {TTI_ROWS_REST, 0, 1, TTI_I32},
    [TTI_IN_TYPE_SEL] = {TTI_ROWS_SEL, 0, 1, TTI_I32},
    [TTI_IN_TYPE_REST] = {TTI_ROWS_REST, 0, 1, TTI_I32},
    [TTI_IN_SEQ_SEL] = {TTI_ROWS_SEL, 0, 1, TTI_I32},
    [TTI_IN_SEQ_REST] = {TTI_ROWS_REST, 0, 1, TTI_I32},
    [TTI_IN_OFF_SEL] = {TTI_ROWS_SEQ1, 0, 1, TTI_I32},
    [TTI_IN_OFF_REST] = {TTI_ROWS_SEQ1, 0, 1, TTI_I32},
    [TTI_IN_BLK_SEL] = {TTI_ROWS_BLK_SEL, 0, 4, TTI_I32},
    [TTI_IN_BLK_REST] = {TTI_ROWS_BLK_REST, 0, 4, TTI_I32},
    [TTI_IN_LAB_ROW] = {TTI_ROWS_LAB, 0, 1, TTI_I32},
    [TTI_IN_LAB_ID] = {TTI_ROWS_LAB, 0, 1, TTI_I32},
    [TTI_IN_LABELS] = {TTI_ROWS_SEQ, 0, 1, TTI_I32},
    [TTI_IN_IDS_PERM] = {TTI_ROWS_SEL, 0, 1, TTI_I32},
    [TTI_IN_IDS_START] = {TTI_ROWS_UNIQ1, 0, 1, TTI_I32},
    [TTI_IN_IDS_DST] = {TTI_ROWS_UNIQ, 0, 1, TTI_I32},
    [TTI_IN_POS_PERM] = {TTI_ROWS_SEL, 0, 1, TTI_I32},
    [TTI_IN_POS_START] = {TTI_ROWS_UNIQ1, 0, 1, TTI_I32},
    [TTI_IN_POS_DST] = {TTI_ROWS_UNIQ, 0, 1, TTI_I32},
    [TTI_IN_TYPE_PERM] = {TTI_ROWS_SEL, 0, 1, TTI_I32},
    [TTI_IN_TYPE_START] = {TTI_ROWS_UNIQ1, 0, 1, TTI_I32},
    [TTI_IN_TYPE_DST] = {TTI_ROWS_UNIQ, 0, 1, TTI_I32},
    [TTI_IN_CACHE] = {TTI_ROWS_SEQ, 0, 2, TTI_I32},
    [TTI_IN_CACHE_ROW] = {TTI_ROWS_SEL, 0, 1, TTI_I32},
    [TTI_IN_KEPT_REST] = {TTI_ROWS_REST, 0, 1, TTI_I32},
};

size_t tti_shape_count(const tti_shape *s, const tti_rows *rows) {
    return s->kind == TTI_ROWS_CONST ? s->n : rows->n[s->kind];
}

size_t tti_shape_bytes(const tti_shape *s, const tti_rows *rows) {
    return tti_shape_count(s, rows) * tti_row_bytes(s->dtype, s->cols);
}

const char *tti_shape_str(const tti_shape *s) {
    static const char *const kind[TTI_ROWS_KINDS] = {"",       "sel",     "rest",     "seq",
                                                     "seq+1",  "blk_sel", "blk_rest", "uniq",
                                                     "uniq+1", "lab",     "step_uniq"};
    static _Thread_local char text[4][64];
    static _Thread_local int turn;
    char *t = text[turn++ & 3];
    if (s->kind == TTI_ROWS_CONST)
        snprintf(t, sizeof text[0], "[%zu,%zu]", s->n, s->cols);
    else
        snprintf(t, sizeof text[0], "[%s,%zu]", kind[s->kind], s->cols);
    return t;
}

tti_graph *tti_graph_new(void) {
    tti_graph *g = tti_calloc(1, sizeof *g);
    if (!g) return NULL;
    for (int i = 0; i < TTI_IN_COUNT; i++) g->inputs[i] = TTI_NONE;
    return g;
}

void tti_graph_free(tti_graph *g) {
    if (!g) return;
    tti_free(g->values);
    tti_free(g->nodes);
    tti_free(g);
}

tt_status tti_graph_status(const tti_graph *g) { return g->status; }

tt_status tti_graph_fail(tti_graph *g, tt_status s) {
    if (g->status == TT_OK) g->status = s;
    return s;
}

const tti_value *tti_value_at(const tti_graph *g, tti_val v) {
    TT_ASSERT(v >= 0 && (size_t)v < g->nvalues);
    return &g->values[v].v;
}

const tti_shape *tti_val_shape(const tti_graph *g, tti_val v) { return &tti_value_at(g, v)->shape; }
size_t tti_graph_values(const tti_graph *g) { return g->nvalues; }
size_t tti_graph_nodes(const tti_graph *g) { return g->nnodes; }
const tti_node *tti_node_at(const tti_graph *g, size_t i) { return &g->nodes[i]; }

static tti_val new_value(tti_graph *g, tti_value_kind kind, tti_shape shape, const char *name) {
    if (g->status != TT_OK) return TTI_NONE;
    tt_status s = TTI_GROW(g->values, g->values_cap, g->nvalues + 1);
    if (s != TT_OK) {
        tti_graph_fail(g, s);
        return TTI_NONE;
    }
    tti_slot *slot = &g->values[g->nvalues];
    *slot = (tti_slot){.arrived = TTI_NONE, .again = TTI_NONE};
    slot->v = (tti_value){.kind = kind, .shape = shape, .producer = -1, .grad = TTI_NONE};
    snprintf(slot->v.name, sizeof slot->v.name, "%s", name);
    return (tti_val)g->nvalues++;
}

tti_val tti_graph_input(tti_graph *g, tti_input which) {
    if (g->inputs[which] == TTI_NONE) {
        g->inputs[which] = new_value(g, TTI_VALUE_INPUT, input_shape[which], "input");
        if (g->inputs[which] != TTI_NONE) g->values[g->inputs[which]].v.input = (int)which;
    }
    return g->inputs[which];
}

tti_val tti_graph_param(tti_graph *g, const char *name, size_t rows, size_t cols, bool trainable) {
    tti_val v = new_value(g, TTI_VALUE_PARAM, tti_shape_const(rows, cols), name);
    if (v != TTI_NONE) g->values[v].v.trainable = g->values[v].v.needs_grad = trainable;
    return v;
}

void tti_graph_param_sparse(tti_graph *g, tti_val p) {
    if (p != TTI_NONE) g->values[p].v.sparse = true;
}

tti_val tti_graph_accumulator(tti_graph *g, const char *name, tti_shape shape) {
    return new_value(g, TTI_VALUE_GRAD, shape, name);
}

void tti_graph_keep(tti_graph *g, tti_val v) {
    if (v != TTI_NONE) g->values[v].keep = true;
}

void tti_graph_param_dtype(tti_graph *g, tti_val p, tti_dtype type) {
    if (p != TTI_NONE) g->values[p].v.shape.dtype = type;
}

void tti_graph_param_grad_dtype(tti_graph *g, tti_val p, tti_dtype type) {
    if (p != TTI_NONE) g->values[p].v.grad_dtype = type;
}

void tti_graph_mark_keys(tti_graph *g, tti_val v) {
    if (v != TTI_NONE) g->values[v].v.keys = true;
}

bool tti_graph_no_grad(tti_graph *g, bool on) {
    bool was = g->no_grad;
    g->no_grad = on;
    return was;
}

bool tti_graph_chunked(tti_graph *g, bool on) {
    const bool was = g->chunk != 0;
    g->chunk = on ? was ? g->chunk : ++g->chunks : 0;
    return was;
}

bool tti_graph_recompute(tti_graph *g, bool on) {
    bool was = g->recompute;
    g->recompute = on;
    return was;
}

void tti_graph_scope(tti_graph *g, const char *scope) {
    snprintf(g->scope, sizeof g->scope, "%s", scope);
}

static bool reached_by_gradient(const tti_graph *g, const tti_val *in, int nin) {
    if (g->no_grad || g->in_backward) return false;
    for (int i = 0; i < nin; i++)
        if (in[i] != TTI_NONE && g->values[in[i]].v.needs_grad) return true;
    return false;
}

void tti_out(tti_graph *g, tti_node *n, int i, tti_shape shape) {
    TT_ASSERT(i < TTI_MAX_OUT && i <= n->nout);
    if (i < n->nout && n->out[i] != TTI_NONE) { /* exists: must be what the op makes */
        const tti_shape *have = tti_val_shape(g, n->out[i]);
        if (have->kind != shape.kind || have->cols != shape.cols || have->n != shape.n)
            tti_graph_fail(g, tti_fail(TT_E_SHAPE, "%s: output is %s, its value is %s", n->op->name,
                                       tti_shape_str(&shape), tti_shape_str(have)));
        return;
    }
    char name[96];
    snprintf(name, sizeof name, "%s%s%s", g->scope, *g->scope ? "." : "", n->op->name);
    tti_val v = new_value(g, TTI_VALUE_TEMP, shape, name);
    n->out[i] = v;
    if (i == n->nout) n->nout++;
    if (v == TTI_NONE) return;
    g->values[v].v.producer = (int)g->nnodes; /* the node is being appended there */
    g->values[v].v.needs_grad = reached_by_gradient(g, n->in, n->nin);
}

static tti_val append(tti_graph *g, tti_node *n) {
    if (g->status != TT_OK) return TTI_NONE;
    tt_status s = n->op->shape(g, n);
    if (s != TT_OK) tti_graph_fail(g, s);
    if (g->status == TT_OK) tti_graph_fail(g, TTI_GROW(g->nodes, g->nodes_cap, g->nnodes + 1));
    if (g->status != TT_OK) return TTI_NONE;
    g->nodes[g->nnodes++] = *n;
    return n->out[0];
}

static tti_node make(const tti_graph *g, const tti_op *op, const tti_val *in, int nin,
                     const tti_attr *attr) {
    TT_ASSERT(nin <= TTI_MAX_IN);
    tti_node n = {.op = op, .nin = nin, .reuse_in = -1};
    for (int i = 0; i < nin; i++) n.in[i] = in[i];
    for (int i = 0; i < TTI_MAX_OUT; i++) n.out[i] = TTI_NONE;
    if (attr) n.attr = *attr;
    n.recompute = g->recompute && !g->in_backward;
    n.backward = g->in_backward;
    n.chunk = g->in_backward ? 0 : g->chunk;
    return n;
}

tti_val tti_emit(tti_graph *g, const tti_op *op, const tti_val *in, int nin, const tti_attr *attr) {
    tti_node n = make(g, op, in, nin, attr);
    return append(g, &n);
}

tti_val tti_emit_outs(tti_graph *g, const tti_op *op, const tti_val *in, int nin,
                      const tti_attr *attr, const tti_val *out, int nout, bool accumulate) {
    tti_node n = make(g, op, in, nin, attr);
    for (int i = 0; i < nout; i++) n.out[i] = out[i];
    n.nout = nout;
    n.accumulate = accumulate;
    return append(g, &n);
}

tti_val tti_emit_into(tti_graph *g, const tti_op *op, const tti_val *in, int nin,
                      const tti_attr *attr, tti_val out, bool accumulate) {
    return tti_emit_outs(g, op, in, nin, attr, &out, 1, accumulate);
}

tti_node *tti_producer(tti_graph *g, tti_val v) {
    if (v == TTI_NONE || g->values[v].v.producer < 0) return NULL;
    return &g->nodes[g->values[v].v.producer];
}

tti_val tti_emit_out(const tti_graph *g, tti_val v, int i) {
    if (v == TTI_NONE || g->values[v].v.producer < 0) return TTI_NONE;
    const tti_node *n = &g->nodes[g->values[v].v.producer];
    return i < n->nout ? n->out[i] : TTI_NONE;
}
