// SPDX-License-Identifier: Apache-2.0
/* plan.c - a place in memory for every computed value, before anything runs. */
#include "host/graph/internal.h"

#include <string.h>

static bool is_temp(const tti_graph *g, tti_val v) {
    return v != TTI_NONE && g->values[v].v.kind == TTI_VALUE_TEMP;
}

static void touch(tti_plan *p, tti_val v, int node) {
    if (!is_temp(p->g, v)) return;
    if (p->first[v] < 0) p->first[v] = node;
    p->last[v] = node;
}

static void find_lives(tti_plan *p) {
    const tti_graph *g = p->g;
    for (size_t i = 0; i < g->nnodes; i++) {
        const tti_node *n = &g->nodes[i];
        for (int k = 0; k < n->nin; k++) touch(p, n->in[k], (int)i);
        for (int k = 0; k < n->nout; k++) touch(p, n->out[k], (int)i);
    }
    for (size_t v = 0; v < g->nvalues; v++)
        if (g->values[v].keep && p->first[v] >= 0) p->last[v] = (int)g->nnodes;
}

/* out goes on in the memory of in; newest: by root, the value that lies there now. */
static void take_over(tti_plan *p, tti_val *newest, tti_val in, tti_val out) {
    p->root[out] = p->root[in];
    newest[p->root[in]] = out;
}

static bool could_share(const tti_plan *p, const tti_val *newest, tti_val in, tti_val out) {
    return is_temp(p->g, in) && is_temp(p->g, out) && p->root[out] == out &&
           newest[p->root[in]] == in && p->bytes[in] == p->bytes[out] &&
           p->g->values[in].v.chunked == p->g->values[out].v.chunked;
}

/* An output may take over the memory of an input that ends with the op. In a region of chunks each
 * chunk has its own rows of both, or both exist for a chunk. */
static void share_inputs(tti_plan *p, tti_val *newest, size_t i) {
    const tti_node *n = &p->g->nodes[i];
    if (n->reuse_in < 0) return;
    const tti_val in = n->in[n->reuse_in], out = n->out[0];
    if (!could_share(p, newest, in, out) || p->last[in] != (int)i) return;
    int uses = 0; /* the same value as another operand must not be overwritten */
    for (int k = 0; k < n->nin; k++) uses += n->in[k] == in;
    if (uses == 1) take_over(p, newest, in, out);
}

/* What a region gives may lie where a value of the same rows lay that it has done with: a chunk
 * has read its own rows of that before it writes them. */
static void share_rows(tti_plan *p, tti_val *newest, size_t first, size_t i) {
    const tti_graph *g = p->g;
    const tti_val out = g->nodes[i].out[0];
    if (!is_temp(g, out) || g->values[out].v.chunked) return;
    for (size_t j = first; j < i; j++)
        for (int k = 0; k < g->nodes[j].nin && p->root[out] == out; k++) {
            const tti_val in = g->nodes[j].in[k];
            if (in != TTI_NONE && could_share(p, newest, in, out) && p->last[in] < (int)i &&
                g->values[in].v.shape.kind == g->values[out].v.shape.kind)
                take_over(p, newest, in, out);
        }
}

static tt_status share(tti_plan *p) {
    const tti_graph *g = p->g;
    tti_val *newest = tti_malloc((g->nvalues + 1) * sizeof *newest);
    if (!newest) return TT_E_NOMEM;
    for (size_t v = 0; v < g->nvalues; v++) newest[v] = (tti_val)v;
    for (size_t first = 0, end; first < g->nnodes; first = end) {
        end = tti_region_end(g, first);
        for (size_t i = first; i < end; i++) {
            share_inputs(p, newest, i);
            if (g->nodes[first].chunk) share_rows(p, newest, first, i);
        }
    }
    tti_free(newest);
    return TT_OK;
}

/* A region's nodes run again for each chunk: what outlives a chunk lives through all of it. */
static void widen(tti_plan *p, tti_val v, int first, int last) {
    if (!is_temp(p->g, v) || p->g->values[v].v.chunked) return;
    p->first[v] = TT_MIN(p->first[v], first);
    p->last[v] = TT_MAX(p->last[v], last);
}

static void widen_regions(tti_plan *p) {
    const tti_graph *g = p->g;
    for (size_t first = 0, end; first < g->nnodes; first = end) {
        end = tti_region_end(g, first);
        for (size_t i = first; g->nodes[first].chunk && i < end; i++) {
            const tti_node *n = &g->nodes[i];
            for (int k = 0; k < n->nin; k++) widen(p, n->in[k], (int)first, (int)end - 1);
            for (int k = 0; k < n->nout; k++) widen(p, n->out[k], (int)first, (int)end - 1);
        }
    }
    for (size_t v = 0; v < g->nvalues; v++) /* a root's memory lives as long as what it carries */
        p->end[p->root[v]] = TT_MAX(p->end[p->root[v]], p->last[v]);
}

static void sum_kept(tti_plan *p) {
    int behind = (int)p->g->nnodes;
    for (size_t i = p->g->nnodes; i-- > 0;)
        if (p->g->nodes[i].backward) behind = (int)i;
    for (size_t v = 0; v < p->g->nvalues; v++)
        if (p->root[v] == (tti_val)v && p->first[v] >= 0 && p->first[v] < behind &&
            p->end[v] >= behind && p->end[v] < (int)p->g->nnodes)
            p->kept += p->bytes[v];
}

static void place_inputs(tti_plan *p) {
    for (int i = 0; i < TTI_IN_COUNT; i++) {
        tti_val v = p->g->inputs[i];
        if (v == TTI_NONE) continue;
        p->input_offset[i] = p->inputs;
        size_t bytes = tti_shape_bytes(&p->g->values[v].v.shape, &p->max);
        p->inputs += tti_align_up(TT_MAX(bytes, 4), p->align);
    }
}

static tt_status plan_all(tti_plan *p) {
    const tti_graph *g = p->g;
    const tti_rows chunk = tti_chunk_rows(&p->max);
    size_t n = g->nvalues + 1;
    p->first = tti_calloc(n, sizeof *p->first);
    p->last = tti_calloc(n, sizeof *p->last);
    p->end = tti_calloc(n, sizeof *p->end);
    p->root = tti_calloc(n, sizeof *p->root);
    p->arena = tti_calloc(n, sizeof *p->arena);
    p->offset = tti_calloc(n, sizeof *p->offset);
    p->bytes = tti_calloc(n, sizeof *p->bytes);
    if (!p->first || !p->last || !p->end || !p->root || !p->arena || !p->offset || !p->bytes)
        return TT_E_NOMEM;
    for (size_t v = 0; v < g->nvalues; v++) {
        p->first[v] = p->last[v] = p->end[v] = -1;
        p->root[v] = (tti_val)v;
        /* at least a few bytes, so that an empty stream still has a buffer to name */
        const tti_value *x = &g->values[v].v;
        p->bytes[v] = TT_MAX(tti_shape_bytes(&x->shape, x->chunked ? &chunk : &p->max), p->align);
    }
    find_lives(p);
    TT_TRY(share(p));
    widen_regions(p);
    TT_TRY(tti_plan_place_all(p));
    sum_kept(p);
    place_inputs(p);
    return TT_OK;
}

tt_status tti_plan_new(tti_plan **out, tti_graph *g, const tti_rows *max, size_t align,
                       size_t max_alloc) {
    TT_ASSERT(g->finished);
    tti_plan *p = tti_calloc(1, sizeof *p);
    if (!p) return TT_E_NOMEM;
    *p = (tti_plan){.g = g, .max = *max, .align = align, .max_alloc = max_alloc / align * align};
    tt_status s = plan_all(p);
    if (s != TT_OK) {
        tti_plan_free(p);
        return s;
    }
    *out = p;
    return TT_OK;
}

void tti_plan_free(tti_plan *p) {
    if (!p) return;
    tti_free(p->first);
    tti_free(p->last);
    tti_free(p->end);
    tti_free(p->root);
    tti_free(p->arena);
    tti_free(p->offset);
    tti_free(p->bytes);
    tti_free(p->arena_bytes);
    tti_free(p);
}

bool tti_plan_place(const tti_plan *p, tti_val v, size_t *arena, size_t *offset, size_t *bytes) {
    if (!is_temp(p->g, v) || p->first[v] < 0) return false;
    tti_val r = p->root[v];
    *arena = p->arena[r];
    *offset = p->offset[r];
    *bytes = p->bytes[v];
    return true;
}

bool tti_plan_life(const tti_plan *p, tti_val v, int *first, int *last) {
    if (!is_temp(p->g, v) || p->first[v] < 0) return false;
    *first = p->first[v];
    *last = p->last[v];
    return true;
}
