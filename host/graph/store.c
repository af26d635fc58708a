// SPDX-License-Identifier: Apache-2.0
/* store.c - values that live from the forward into the backward pass, kept in fewer bits. */
#include "host/graph/internal.h"

#include <string.h>

/* Fewer columns than this are left as they are: a pair of launches for a few bytes a row. */
enum { FEW_COLS = 16 };

/* What becomes of a value, by value. */
typedef struct {
    tti_dtype type; /* F32: nothing */
    bool exact;     /* the backward pass must find the number that the forward pass computed with */
    tti_val packed, rounded, loaded;
} life;

static size_t first_backward(const tti_graph *g) {
    size_t i = 0;
    while (i < g->nnodes && !g->nodes[i].backward) i++;
    return i;
}

static bool is_exact_out(const tti_graph *g, tti_val v) {
    const tti_node *n = &g->nodes[g->values[v].v.producer];
    for (int k = 0; k < n->nout; k++)
        if (n->out[k] == v) return n->op->exact_outs >> k & 1;
    return false;
}

/* Computed before node `behind`. */
static bool from_forward(const tti_graph *g, tti_val v, size_t behind) {
    if (v == TTI_NONE || g->values[v].v.kind != TTI_VALUE_TEMP) return false;
    return g->values[v].v.producer >= 0 && (size_t)g->values[v].v.producer < behind;
}

static tti_dtype type_of(const tti_graph *g, tti_val v, const tti_store_opts *o) {
    const tti_value *x = &g->values[v].v;
    const tti_rows_kind kind = x->shape.kind;
    if (g->values[v].keep || x->shape.dtype != TTI_F32 || is_exact_out(g, v)) return TTI_F32;
    if ((kind != TTI_ROWS_SEL && kind != TTI_ROWS_REST) || x->shape.cols < FEW_COLS) return TTI_F32;
    if (!x->keys || (o->keys == TTI_Q8 && kind != TTI_ROWS_REST)) return o->kept;
    return o->keys;
}

/* Whether n works with statistics that the forward pass made. */
static bool has_saved(const tti_graph *g, const tti_node *n, size_t behind) {
    for (int k = 0; k < n->nin; k++)
        if (from_forward(g, n->in[k], behind) && is_exact_out(g, n->in[k])) return true;
    return false;
}

static void choose(const tti_graph *g, size_t behind, const tti_store_opts *o, life *l) {
    for (size_t v = 0; v < g->nvalues; v++)
        l[v] = (life){.packed = TTI_NONE, .rounded = TTI_NONE, .loaded = TTI_NONE};
    for (size_t i = g->nnodes; i-- > behind;) {
        const tti_node *n = &g->nodes[i];
        /* What is computed again to be exact must come from exact values. */
        bool exact = false;
        for (int k = 0; k < n->nout; k++) exact |= l[n->out[k]].exact;
        const unsigned exact_ins = has_saved(g, n, behind) ? n->op->exact_ins : 0;
        for (int k = 0; k < n->nin; k++) {
            if (n->in[k] == TTI_NONE) continue;
            life *x = &l[n->in[k]];
            x->exact |= exact || exact_ins >> k & 1;
            if (from_forward(g, n->in[k], behind)) x->type = type_of(g, n->in[k], o);
        }
    }
}

static void append(tti_graph *g, const tti_node *n) {
    if (g->status != TT_OK) return;
    tti_graph_fail(g, TTI_GROW(g->nodes, g->nodes_cap, g->nnodes + 1));
    if (g->status != TT_OK) return;
    for (int k = 0; k < n->nout; k++) g->values[n->out[k]].v.producer = (int)g->nnodes;
    g->nodes[g->nnodes++] = *n;
}

/* Emits store or load, as a part of the region `chunk`; its result is named after v. */
static tti_val emit(tti_graph *g, const tti_op *op, tti_val in, tti_dtype type, int chunk,
                    tti_val v) {
    const tti_attr attr = {.i = {(int)type}};
    g->chunk = chunk;
    const tti_val out = tti_emit(g, op, &in, 1, &attr);
    g->chunk = 0;
    if (out == TTI_NONE) return out;
    char name[sizeof g->values->v.name];
    snprintf(name, sizeof name, "%.80s.%s", g->values[v].v.name, tti_dtype_name(type));
    memcpy(g->values[out].v.name, name, sizeof name);
    return out;
}

static void store_outputs(tti_graph *g, const tti_node *n, life *l) {
    for (int k = 0; k < n->nout && g->status == TT_OK; k++) {
        life *x = &l[n->out[k]];
        if (x->type == TTI_F32) continue;
        x->packed = emit(g, &tti_op_store, n->out[k], x->type, n->chunk, n->out[k]);
        if (x->exact) x->rounded = emit(g, &tti_op_load, x->packed, x->type, n->chunk, n->out[k]);
    }
}

static void load_inputs(tti_graph *g, const tti_node *n, life *l) {
    g->in_backward = true;
    for (int k = 0; k < n->nin && g->status == TT_OK; k++) {
        if (n->in[k] == TTI_NONE) continue;
        life *x = &l[n->in[k]];
        if (x->packed != TTI_NONE && x->loaded == TTI_NONE)
            x->loaded = emit(g, &tti_op_load, x->packed, x->type, 0, n->in[k]);
    }
    g->in_backward = false;
}

static void rebuild(tti_graph *g, life *l) {
    tti_node *old = g->nodes;
    const size_t count = g->nnodes;
    g->nodes = NULL;
    g->nnodes = g->nodes_cap = 0;
    for (size_t i = 0; i < count && g->status == TT_OK; i++) {
        tti_node n = old[i];
        if (n.backward) load_inputs(g, &n, l);
        for (int k = 0; k < n.nin; k++) {
            if (n.in[k] == TTI_NONE) continue;
            const life *x = &l[n.in[k]];
            const tti_val instead = n.backward ? x->loaded : x->rounded;
            if (instead != TTI_NONE) n.in[k] = instead;
        }
        append(g, &n);
        if (!n.backward) store_outputs(g, &n, l);
    }
    tti_free(old);
}

static bool may_keep(tti_dtype t) { return t == TTI_F32 || t == TTI_F16 || t == TTI_BF16; }

tt_status tti_graph_store(tti_graph *g, const tti_store_opts *o) {
    if (g->status != TT_OK) return g->status;
    TT_ASSERT(g->finished);
    if (!may_keep(o->kept) || (!may_keep(o->keys) && o->keys != TTI_Q8))
        return tti_graph_fail(g, tti_fail(TT_E_ARG,
                                          "kept values as %s, keys as %s: they may be f32, f16 or "
                                          "bf16, and keys q8",
                                          tti_dtype_name(o->kept), tti_dtype_name(o->keys)));
    if (o->kept == TTI_F32 && o->keys == TTI_F32) return TT_OK;
    life *l = tti_malloc(g->nvalues * sizeof *l);
    if (!l) return tti_graph_fail(g, TT_E_NOMEM);
    choose(g, first_backward(g), o, l);
    rebuild(g, l);
    tti_free(l);
    if (g->status == TT_OK) tti_graph_mark_chunked(g);
    return g->status;
}
