// SPDX-License-Identifier: Apache-2.0
/* plan.c - a place in memory for every computed value, before anything runs. */
#include "host/graph/internal.h"

#include <stdlib.h>
#include <string.h>

static size_t align_up(size_t n, size_t a) { return (n + a - 1) / a * a; }

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

/* An output may take over the memory of an input that ends with the op. */
static void share(tti_plan *p) {
    const tti_graph *g = p->g;
    for (size_t i = 0; i < g->nnodes; i++) {
        const tti_node *n = &g->nodes[i];
        if (n->reuse_in < 0) continue;
        tti_val in = n->in[n->reuse_in], out = n->out[0];
        if (!is_temp(g, in) || !is_temp(g, out) || p->last[in] != (int)i) continue;
        int uses = 0; /* the same value as another operand must not be overwritten */
        for (int k = 0; k < n->nin; k++) uses += n->in[k] == in;
        if (uses == 1 && p->bytes[in] == p->bytes[out]) p->root[out] = p->root[in];
    }
    for (size_t v = 0; v < g->nvalues; v++) /* a root's memory lives as long as what it carries */
        p->end[p->root[v]] = TT_MAX(p->end[p->root[v]], p->last[v]);
}

static tt_status add_arena(tti_plan *p) {
    TT_TRY(TTI_GROW(p->arena_bytes, p->arenas_cap, p->narenas + 1));
    p->arena_bytes[p->narenas++] = 0;
    return TT_OK;
}

/* Lowest offset in arena a where v lies free of every placed value whose life overlaps its own. */
static size_t fit(const tti_plan *p, const tti_val *placed, size_t n, size_t a, tti_val v) {
    size_t offset = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t i = 0; i < n; i++) {
            tti_val w = placed[i];
            if (p->arena[w] != a || p->first[w] > p->end[v] || p->end[w] < p->first[v]) continue;
            size_t end = p->offset[w] + p->bytes[w];
            if (p->offset[w] < offset + p->bytes[v] && offset < end) {
                offset = align_up(end, p->align);
                moved = true;
            }
        }
    }
    return offset;
}

static int larger_first(const void *a, const void *b, void *plan) {
    const tti_plan *p = plan;
    tti_val x = *(const tti_val *)a, y = *(const tti_val *)b;
    if (p->bytes[x] != p->bytes[y]) return p->bytes[x] < p->bytes[y] ? 1 : -1;
    return x < y ? -1 : x > y;
}

static tt_status place(tti_plan *p, tti_val *order, size_t n) {
    for (size_t i = 0; i < n; i++) {
        tti_val v = order[i];
        if (p->bytes[v] > p->max_alloc)
            return tti_fail(TT_E_MEMORY,
                            "%s %s needs %zu bytes, the device allows %zu in one buffer; smaller "
                            "batches or shorter texts would fit",
                            p->g->values[v].v.name, tti_shape_str(&p->g->values[v].v.shape),
                            p->bytes[v], p->max_alloc);
        for (size_t a = 0;; a++) {
            if (a == p->narenas) TT_TRY(add_arena(p));
            size_t offset = fit(p, order, i, a, v);
            if (offset + p->bytes[v] > p->max_alloc) continue;
            p->arena[v] = a;
            p->offset[v] = offset;
            p->arena_bytes[a] = TT_MAX(p->arena_bytes[a], offset + p->bytes[v]);
            break;
        }
    }
    return TT_OK;
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
        p->inputs += align_up(TT_MAX(bytes, 4), p->align);
    }
}

static tt_status plan_all(tti_plan *p) {
    const tti_graph *g = p->g;
    size_t n = g->nvalues + 1;
    p->first = tti_calloc(n, sizeof *p->first);
    p->last = tti_calloc(n, sizeof *p->last);
    p->end = tti_calloc(n, sizeof *p->end);
    p->root = tti_calloc(n, sizeof *p->root);
    p->arena = tti_calloc(n, sizeof *p->arena);
    p->offset = tti_calloc(n, sizeof *p->offset);
    p->bytes = tti_calloc(n, sizeof *p->bytes);
    tti_val *order = tti_calloc(n, sizeof *order);
    tt_status s = TT_E_NOMEM;
    if (!p->first || !p->last || !p->end || !p->root || !p->arena || !p->offset || !p->bytes ||
        !order)
        goto done;
    for (size_t v = 0; v < g->nvalues; v++) {
        p->first[v] = p->last[v] = p->end[v] = -1;
        p->root[v] = (tti_val)v;
        /* at least a few bytes, so that an empty stream still has a buffer to name */
        p->bytes[v] = TT_MAX(tti_shape_bytes(&g->values[v].v.shape, &p->max), p->align);
    }
    find_lives(p);
    share(p);
    size_t count = 0;
    for (size_t v = 0; v < g->nvalues; v++)
        if (p->first[v] >= 0 && p->root[v] == (tti_val)v) order[count++] = (tti_val)v;
    qsort_r(order, count, sizeof *order, larger_first, p);
    s = place(p, order, count);
    if (s != TT_OK) goto done;
    for (size_t a = 0; a < p->narenas; a++)
        p->arena_bytes[a] = align_up(p->arena_bytes[a], p->align);
    sum_kept(p);
    place_inputs(p);
done:
    tti_free(order);
    return s;
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

tti_plan_bytes tti_plan_get_bytes(const tti_plan *p) {
    tti_plan_bytes b = {
        .kept = p->kept, .inputs = p->inputs, .arenas = p->narenas, .largest = p->inputs};
    for (size_t a = 0; a < p->narenas; a++) {
        b.transient += p->arena_bytes[a];
        b.largest = TT_MAX(b.largest, p->arena_bytes[a]);
    }
    b.transient -= p->kept;
    return b;
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
