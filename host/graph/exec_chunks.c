// SPDX-License-Identifier: Apache-2.0
/* exec_chunks.c - regions: the same nodes, chunk after chunk of REST rows. */
#include "host/graph/exec_internal.h"

/* Whether v is there as a whole, and a chunk sees its own rows of it. */
static bool is_whole(const tti_graph *g, tti_val v) {
    if (v == TTI_NONE || g->values[v].v.shape.kind != TTI_ROWS_REST) return false;
    return g->values[v].v.kind == TTI_VALUE_INPUT ||
           (g->values[v].v.kind == TTI_VALUE_TEMP && !g->values[v].v.chunked);
}

static tt_status add_value(const tti_exec_full *x, tti_region *r, tti_val v) {
    if (!is_whole(x->plan->g, v)) return TT_OK;
    for (size_t i = 0; i < r->n; i++)
        if (r->values[i] == v) return TT_OK;
    TT_TRY(TTI_GROW(r->values, r->cap, r->n + 1));
    r->values[r->n++] = v;
    return TT_OK;
}

/* Handles of the chunks of v's memory: sub-buffers of what it lies in. */
static tt_status make_parts(tti_exec_full *x, tti_val v) {
    const tti_plan *p = x->plan;
    const tti_value *val = &p->g->values[v].v;
    const tti_val r = p->root[v];
    if (x->parts[r]) return TT_OK;
    if (!(x->parts[r] = tti_calloc(x->chunks, sizeof *x->parts[r]))) return TT_E_NOMEM;
    x->parts[r][0] = x->owned[r];
    const size_t row = tti_row_bytes(val->shape.dtype, val->shape.cols);
    const size_t step = TTI_CHUNK_ROWS * row, all = p->max.n[TTI_ROWS_REST] * row;
    if (x->chunks > 1 && step % p->align)
        return tti_fail(TT_E_UNSUPPORTED,
                        "%s: %d rows of it are %zu bytes; parts of buffers begin at multiples of "
                        "%zu on this device",
                        val->name, TTI_CHUNK_ROWS, step, p->align);
    size_t base = 0;
    cl_mem in = x->inputs;
    if (val->kind == TTI_VALUE_INPUT) {
        base = p->input_offset[val->input];
    } else {
        in = x->arena[p->arena[r]];
        base = p->offset[r];
    }
    for (size_t c = 1; c < x->chunks; c++)
        TT_TRY(tti_mem_sub(&x->parts[r][c], x->e.dev, in, base + c * step,
                           TT_MIN(step, all - c * step)));
    return TT_OK;
}

static tt_status make_region(tti_exec_full *x, size_t first, size_t end) {
    const tti_graph *g = x->plan->g;
    TT_TRY(TTI_GROW(x->regions, x->regions_cap, x->nregions + 1));
    tti_region *r = &x->regions[x->nregions++];
    *r = (tti_region){.first = first, .end = end};
    for (size_t i = first; i < end; i++) {
        const tti_node *n = &g->nodes[i];
        for (int k = 0; k < n->nin; k++) TT_TRY(add_value(x, r, n->in[k]));
        for (int k = 0; k < n->nout; k++) TT_TRY(add_value(x, r, n->out[k]));
    }
    for (size_t i = 0; i < r->n; i++) TT_TRY(make_parts(x, r->values[i]));
    return (r->whole = tti_calloc(r->n + 1, sizeof *r->whole)) ? TT_OK : TT_E_NOMEM;
}

tt_status tti_exec_make_regions(tti_exec_full *x) {
    const tti_graph *g = x->plan->g;
    const size_t rest = x->plan->max.n[TTI_ROWS_REST];
    x->chunks = TT_MAX((rest + TTI_CHUNK_ROWS - 1) / TTI_CHUNK_ROWS, (size_t)1);
    if (!(x->parts = tti_calloc(g->nvalues + 1, sizeof *x->parts))) return TT_E_NOMEM;
    for (size_t first = 0, end; first < g->nnodes; first = end) {
        end = tti_region_end(g, first);
        if (g->nodes[first].chunk) TT_TRY(make_region(x, first, end));
    }
    return TT_OK;
}

void tti_exec_free_regions(tti_exec_full *x) {
    for (size_t v = 0; x->parts && v < x->plan->g->nvalues; v++) {
        for (size_t c = x->chunks; x->parts[v] && c-- > 1;)
            tti_mem_release(x->e.dev, x->parts[v][c]);
        tti_free(x->parts[v]);
    }
    tti_free(x->parts);
    for (size_t i = 0; i < x->nregions; i++) {
        tti_free(x->regions[i].values);
        tti_free(x->regions[i].whole);
    }
    tti_free(x->regions);
}

tt_status tti_exec_region(tti_exec_full *x, const tti_region *r) {
    tti_exec *e = &x->e;
    const size_t rest = e->rows.n[TTI_ROWS_REST], most = e->max.n[TTI_ROWS_REST];
    tt_status s = TT_OK;
    for (size_t i = 0; i < r->n; i++) r->whole[i] = e->mem[r->values[i]];
    e->max = tti_chunk_rows(&e->max);
    for (size_t c = 0; s == TT_OK && c * TTI_CHUNK_ROWS < rest; c++) {
        e->rows.n[TTI_ROWS_REST] = TT_MIN(rest - c * TTI_CHUNK_ROWS, (size_t)TTI_CHUNK_ROWS);
        for (size_t i = 0; i < r->n; i++)
            e->mem[r->values[i]] = x->parts[x->plan->root[r->values[i]]][c];
        for (size_t i = r->first; s == TT_OK && i < r->end; i++)
            s = tti_exec_node(e, &e->graph->nodes[i]);
    }
    for (size_t i = 0; i < r->n; i++) e->mem[r->values[i]] = r->whole[i];
    e->rows.n[TTI_ROWS_REST] = rest;
    e->max.n[TTI_ROWS_REST] = most;
    return s;
}
