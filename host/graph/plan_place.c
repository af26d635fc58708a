// SPDX-License-Identifier: Apache-2.0
/* plan_place.c - values into arenas, so that those that live at the same time lie apart. */
#include "host/graph/internal.h"

#include <stdlib.h>
#include <string.h>

/* A value in its place. */
typedef struct {
    size_t offset, end; /* bytes */
    int first, last;    /* nodes */
} placed;

typedef struct {
    placed *p; /* by offset */
    size_t n, cap;
    size_t bytes;
} arena;

typedef struct {
    const tti_plan *plan;
    tti_val *order;
    size_t n;
    arena *arenas;
    size_t narenas, cap;
    size_t *where, *offset; /* by value */
    size_t total;
} placing;

/* Lowest offset where v lies free of every placed value whose life overlaps its own. */
static size_t fit(const arena *a, const tti_plan *p, tti_val v) {
    const int first = p->first[v], last = p->end[v];
    const size_t bytes = p->bytes[v];
    size_t offset = 0;
    for (size_t i = 0; i < a->n; i++) {
        const placed *w = &a->p[i];
        if (w->first > last || w->last < first || w->end <= offset) continue;
        if (w->offset >= offset + bytes) break;
        offset = tti_align_up(w->end, p->align);
    }
    return offset;
}

static tt_status put(arena *a, const tti_plan *p, tti_val v, size_t offset) {
    TT_TRY(TTI_GROW(a->p, a->cap, a->n + 1));
    size_t lo = 0, hi = a->n;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (a->p[mid].offset <= offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    memmove(a->p + lo + 1, a->p + lo, (a->n - lo) * sizeof *a->p);
    a->p[lo] = (placed){offset, offset + p->bytes[v], p->first[v], p->end[v]};
    a->n++;
    a->bytes = TT_MAX(a->bytes, tti_align_up(offset + p->bytes[v], p->align));
    return TT_OK;
}

static tt_status place_one(placing *x, tti_val v) {
    const tti_plan *p = x->plan;
    for (size_t a = 0;; a++) {
        if (a == x->narenas) {
            TT_TRY(TTI_GROW(x->arenas, x->cap, a + 1));
            x->arenas[x->narenas++] = (arena){0};
        }
        const size_t offset = fit(&x->arenas[a], p, v);
        if (offset + p->bytes[v] > p->max_alloc) continue;
        x->where[v] = a;
        x->offset[v] = offset;
        return put(&x->arenas[a], p, v, offset);
    }
}

static tt_status place(placing *x) {
    for (size_t i = 0; i < x->n; i++) TT_TRY(place_one(x, x->order[i]));
    x->total = 0;
    for (size_t a = 0; a < x->narenas; a++) x->total += x->arenas[a].bytes;
    return TT_OK;
}

/* ---- orders: which values are placed first ---- */

typedef enum { BY_SIZE, BY_AREA, BY_LIFE, ORDERS } order_kind;

typedef struct {
    double key; /* larger is earlier */
    tti_val v;
} ranked;

static int by_key(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? 1 : -1;
    return x->v < y->v ? -1 : x->v > y->v;
}

static double key_of(const tti_plan *p, tti_val v, order_kind kind) {
    const double size = (double)p->bytes[v], life = p->end[v] - p->first[v] + 1;
    return kind == BY_SIZE ? size : kind == BY_AREA ? size * life : life;
}

/* The most bytes that live at any one time: no placing needs less. */
static tt_status lower_bound(const tti_plan *p, size_t *out) {
    const size_t nodes = p->g->nnodes + 2;
    size_t *begins = tti_calloc(2 * nodes, sizeof *begins);
    if (!begins) return TT_E_NOMEM;
    size_t *ends = begins + nodes;
    for (size_t v = 0; v < p->g->nvalues; v++) {
        if (p->first[v] < 0 || p->root[v] != (tti_val)v) continue;
        begins[p->first[v]] += tti_align_up(p->bytes[v], p->align);
        ends[p->end[v] + 1] += tti_align_up(p->bytes[v], p->align);
    }
    size_t now = 0;
    *out = 0;
    for (size_t i = 0; i < nodes; i++) {
        now += begins[i];
        now -= ends[i];
        *out = TT_MAX(*out, now);
    }
    tti_free(begins);
    return TT_OK;
}

static tt_status begin(placing *x, const tti_plan *p, order_kind kind, ranked *rank) {
    const size_t n = p->g->nvalues + 1;
    *x = (placing){.plan = p};
    x->order = tti_calloc(n, sizeof *x->order);
    x->where = tti_calloc(n, sizeof *x->where);
    x->offset = tti_calloc(n, sizeof *x->offset);
    if (!x->order || !x->where || !x->offset) return TT_E_NOMEM;
    for (size_t v = 0; v < p->g->nvalues; v++)
        if (p->first[v] >= 0 && p->root[v] == (tti_val)v)
            rank[x->n++] = (ranked){key_of(p, (tti_val)v, kind), (tti_val)v};
    qsort(rank, x->n, sizeof *rank, by_key);
    for (size_t i = 0; i < x->n; i++) x->order[i] = rank[i].v;
    return place(x);
}

static void end(placing *x) {
    for (size_t a = 0; a < x->narenas; a++) tti_free(x->arenas[a].p);
    tti_free(x->arenas);
    tti_free(x->order);
    tti_free(x->where);
    tti_free(x->offset);
    *x = (placing){0};
}

/* Takes the places over; arenas are numbered anew, the largest first. */
static tt_status take(tti_plan *p, const placing *x) {
    size_t *number = tti_calloc(x->narenas + 1, sizeof *number);
    p->arena_bytes = tti_calloc(x->narenas + 1, sizeof *p->arena_bytes);
    if (!number || !p->arena_bytes) {
        tti_free(number);
        return TT_E_NOMEM;
    }
    p->narenas = x->narenas;
    for (size_t a = 0; a < x->narenas; a++) {
        for (size_t b = 0; b < x->narenas; b++)
            number[a] += x->arenas[b].bytes > x->arenas[a].bytes ||
                         (x->arenas[b].bytes == x->arenas[a].bytes && b < a);
        p->arena_bytes[number[a]] = x->arenas[a].bytes;
    }
    for (size_t i = 0; i < x->n; i++) {
        const tti_val v = x->order[i];
        p->arena[v] = number[x->where[v]];
        p->offset[v] = x->offset[v];
    }
    tti_free(number);
    return TT_OK;
}

enum { ENOUGH = 500 }; /* other orders are tried where more than a 500th part is lost */

static tt_status check_sizes(const tti_plan *p) {
    for (size_t v = 0; v < p->g->nvalues; v++) {
        if (p->first[v] < 0 || p->bytes[v] <= p->max_alloc) continue;
        const tti_value *x = &p->g->values[v].v;
        return tti_fail(TT_E_MEMORY,
                        "%s %s needs %zu bytes, the device allows %zu in one buffer; smaller "
                        "batches or shorter texts would fit",
                        x->name, tti_shape_str(&x->shape), p->bytes[v], p->max_alloc);
    }
    return TT_OK;
}

tt_status tti_plan_place_all(tti_plan *p) {
    TT_TRY(check_sizes(p));
    size_t bound;
    TT_TRY(lower_bound(p, &bound));
    placing best = {0}, next = {0};
    ranked *rank = tti_malloc((p->g->nvalues + 1) * sizeof *rank);
    tt_status s = rank ? TT_OK : TT_E_NOMEM;
    const size_t enough = bound + bound / ENOUGH;
    for (order_kind kind = 0; s == TT_OK && kind < ORDERS; kind++) {
        if (best.plan && best.total <= enough) break;
        TT_GO(begin(&next, p, kind, rank));
        if (best.plan && best.total <= next.total) {
            end(&next);
            continue;
        }
        end(&best);
        best = next;
        next = (placing){0};
    }
    TT_GO(take(p, &best));
done:
    end(&best);
    end(&next);
    tti_free(rank);
    return s;
}
