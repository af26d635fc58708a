// SPDX-License-Identifier: Apache-2.0
/* backward.c - gradient ops appended behind the loss, and the removal of what nobody reads. */
#include "host/graph/internal.h"

#include <string.h>

tti_val tti_grad_of(const tti_graph *g, tti_val v) {
    return v == TTI_NONE ? TTI_NONE : g->values[v].arrived;
}

bool tti_grad_wanted(const tti_graph *g, tti_val v) {
    return v != TTI_NONE && g->values[v].v.needs_grad;
}

tti_val tti_grad_read(tti_graph *g, tti_val v) {
    if (v == TTI_NONE || g->status != TT_OK) return v;
    int p = g->values[v].v.producer;
    if (p < 0 || !g->nodes[p].recompute || g->nodes[p].backward) return v;
    if (g->values[v].again != TTI_NONE) return g->values[v].again;
    tti_node old = g->nodes[p]; /* a copy: appending may move the array */
    tti_val in[TTI_MAX_IN];
    for (int i = 0; i < old.nin; i++) in[i] = tti_grad_read(g, old.in[i]);
    tti_val first = tti_emit(g, old.op, in, old.nin, &old.attr);
    if (first == TTI_NONE) return TTI_NONE;
    for (int i = 0; i < old.nout; i++) g->values[old.out[i]].again = tti_emit_out(g, first, i);
    return g->values[v].again;
}

void tti_grad_set(tti_graph *g, tti_val v, tti_val dv) {
    if (v != TTI_NONE) g->values[v].arrived = dv;
}

void tti_grad_add(tti_graph *g, tti_val v, tti_val dv) {
    if (!tti_grad_wanted(g, v) || dv == TTI_NONE) return;
    tti_val before = g->values[v].arrived;
    tti_val sum[] = {before, dv};
    tti_grad_set(g, v, before == TTI_NONE ? dv : tti_emit(g, &tti_op_add, sum, 2, NULL));
}

tti_val tti_grad_param(tti_graph *g, tti_val p, bool *again) {
    if (g->status != TT_OK) return TTI_NONE;
    TT_ASSERT(g->values[p].v.kind == TTI_VALUE_PARAM);
    *again = g->values[p].v.grad != TTI_NONE;
    if (*again) return g->values[p].v.grad;
    tti_shape shape = g->values[p].v.shape;
    shape.dtype = g->values[p].v.grad_dtype;
    if (g->values[p].v.sparse) shape = tti_shape_rows(TTI_ROWS_STEP_UNIQ, shape.cols);
    char name[96];
    snprintf(name, sizeof name, "grad.%.90s", g->values[p].v.name);
    tti_val grad = tti_graph_accumulator(g, name, shape);
    if (grad != TTI_NONE) g->values[p].v.grad = grad;
    return grad;
}

void tti_grad_emit_param(tti_graph *g, tti_val p, const tti_op *op, const tti_val *in, int nin,
                         const tti_attr *attr) {
    bool again;
    tti_val grad = tti_grad_param(g, p, &again);
    if (grad != TTI_NONE) tti_emit_into(g, op, in, nin, attr, grad, again);
}

tt_status tti_graph_backward(tti_graph *g) {
    const size_t forward = g->nnodes;
    g->in_backward = true;
    for (size_t i = forward; i-- > 0 && g->status == TT_OK;) {
        tti_node n = g->nodes[i];
        bool arrived = false, wanted = false;
        for (int k = 0; k < n.nout; k++) arrived |= tti_grad_of(g, n.out[k]) != TTI_NONE;
        for (int k = 0; k < n.nin; k++) wanted |= tti_grad_wanted(g, n.in[k]);
        if (!arrived || !wanted) continue;
        bool constant = true; /* built where no gradient flows */
        for (int k = 0; k < n.nout; k++) constant &= !g->values[n.out[k]].v.needs_grad;
        if (constant) continue;
        tt_status s = n.op->backward
                          ? n.op->backward(g, &n)
                          : tti_fail(TT_E_INTERNAL, "%s has no gradient rule", n.op->name);
        if (s != TT_OK) tti_graph_fail(g, s);
    }
    g->in_backward = false;
    return g->status;
}

static void mark_live(const tti_graph *g, bool *live, bool *needed) {
    for (size_t v = 0; v < g->nvalues; v++) needed[v] = g->values[v].keep;
    for (size_t i = g->nnodes; i-- > 0;) {
        const tti_node *n = &g->nodes[i];
        for (int k = 0; k < n->nout; k++)
            live[i] |= needed[n->out[k]] || g->values[n->out[k]].v.kind == TTI_VALUE_GRAD;
        for (int k = 0; live[i] && k < n->nin; k++)
            if (n->in[k] != TTI_NONE) needed[n->in[k]] = true;
    }
}

/* An activation that alone reads a GEMM's output becomes its epilogue. */
static void fuse(tti_graph *g, bool *live) {
    for (size_t i = 0; i < g->nnodes; i++) {
        tti_node *n = &g->nodes[i];
        if (!live[i] || !n->op->absorb || n->nout != 1 || g->values[n->out[0]].keep) continue;
        size_t user = 0, uses = 0;
        for (size_t j = i + 1; j < g->nnodes && uses < 2; j++)
            for (int k = 0; live[j] && k < g->nodes[j].nin; k++)
                if (g->nodes[j].in[k] == n->out[0]) user = j, uses++;
        if (uses != 1 || !n->op->absorb(n, &g->nodes[user])) continue;
        n->out[0] = g->nodes[user].out[0];
        live[user] = false;
    }
}

tt_status tti_graph_finish(tti_graph *g) {
    if (g->status != TT_OK) return g->status;
    bool *live = tti_calloc(g->nnodes + 1, 1), *needed = tti_calloc(g->nvalues + 1, 1);
    if (!live || !needed) {
        tti_free(live);
        tti_free(needed);
        return tti_graph_fail(g, TT_E_NOMEM);
    }
    mark_live(g, live, needed);
    fuse(g, live);
    for (size_t v = 0; v < g->nvalues; v++) g->values[v].v.producer = -1;
    size_t kept = 0;
    for (size_t i = 0; i < g->nnodes; i++) {
        if (!live[i]) continue;
        g->nodes[kept] = g->nodes[i];
        for (int k = 0; k < g->nodes[kept].nout; k++)
            g->values[g->nodes[kept].out[k]].v.producer = (int)kept;
        kept++;
    }
    g->nnodes = kept;
    g->finished = true;
    tti_free(live);
    tti_free(needed);
    const tt_status s = tti_graph_check_regions(g);
    if (s != TT_OK) return tti_graph_fail(g, s);
    tti_graph_mark_chunked(g);
    return TT_OK;
}
