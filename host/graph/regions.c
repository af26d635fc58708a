// SPDX-License-Identifier: Apache-2.0
/* regions.c - nodes that run together, chunk after chunk of REST rows, and the values that exist
 * for one chunk only. */
#include "host/graph/internal.h"

size_t tti_region_end(const tti_graph *g, size_t first) {
    size_t i = first;
    while (i < g->nnodes && g->nodes[i].chunk == g->nodes[first].chunk) i++;
    return i;
}

/* A chunk of rows can stand for all of them where every value of rows that n touches is REST's. */
static bool by_rows(const tti_graph *g, const tti_node *n) {
    for (int k = 0; k < n->nout; k++)
        if (g->values[n->out[k]].v.shape.kind != TTI_ROWS_REST) return false;
    for (int k = 0; k < n->nin; k++) {
        if (n->in[k] == TTI_NONE) continue;
        const tti_rows_kind kind = g->values[n->in[k]].v.shape.kind;
        if (kind != TTI_ROWS_REST && kind != TTI_ROWS_CONST) return false;
    }
    return true;
}

tt_status tti_graph_check_regions(const tti_graph *g) {
    for (size_t first = 0, end; first < g->nnodes; first = end) {
        end = tti_region_end(g, first);
        const int chunk = g->nodes[first].chunk;
        for (size_t i = first; chunk && i < g->nnodes; i++) {
            const tti_node *n = &g->nodes[i];
            if (n->chunk != chunk || (i < end && by_rows(g, n))) continue;
            return tti_fail(TT_E_INTERNAL, "%s (%s) stands %s a region of chunks of rows",
                            n->op->name, g->values[n->out[0]].v.name,
                            i < end ? "with rows that are not REST's in"
                                    : "apart from the rest of");
        }
    }
    return TT_OK;
}

void tti_graph_mark_chunked(tti_graph *g) {
    for (size_t v = 0; v < g->nvalues; v++) {
        const tti_slot *s = &g->values[v];
        g->values[v].v.chunked = s->v.kind == TTI_VALUE_TEMP && s->v.producer >= 0 && !s->keep &&
                                 g->nodes[s->v.producer].chunk;
    }
    for (size_t i = 0; i < g->nnodes; i++) {
        const tti_node *n = &g->nodes[i];
        for (int k = 0; k < n->nin; k++) {
            if (n->in[k] == TTI_NONE) continue;
            tti_value *v = &g->values[n->in[k]].v;
            if (v->chunked && g->nodes[v->producer].chunk != n->chunk) v->chunked = false;
        }
    }
}

tti_rows tti_chunk_rows(const tti_rows *max) {
    tti_rows r = *max;
    r.n[TTI_ROWS_REST] = TT_MIN(r.n[TTI_ROWS_REST], (size_t)TTI_CHUNK_ROWS);
    return r;
}
