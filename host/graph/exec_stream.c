// SPDX-License-Identifier: Apache-2.0
/* exec_stream.c - an executor whose frozen weights are streamed: which group each node reads. */
#include "host/graph/stream_internal.h"

#include <string.h>

/* The item that v is, or n. */
static size_t item_of(const tti_stream *s, const tti_val *values, tti_val v) {
    size_t i = 0;
    while (i < s->n && (v == TTI_NONE || values[i] != v)) i++;
    return i;
}

/* The group that nodes first .. end-1 read; NO_GROUP where they read none. */
static tt_status group_of(const tti_stream *s, const tti_graph *g, const tti_val *values,
                          size_t first, size_t end, int *out) {
    *out = TTI_NO_GROUP;
    for (size_t i = first; i < end; i++)
        for (int k = 0; k < g->nodes[i].nin; k++) {
            const size_t item = item_of(s, values, g->nodes[i].in[k]);
            if (item == s->n || s->items[item].group == *out) continue;
            if (*out != TTI_NO_GROUP)
                return tti_fail(TT_E_UNSUPPORTED,
                                "%s (%s) reads streamed weights of the groups %d and %d",
                                g->nodes[i].op->name, g->values[g->nodes[i].out[0]].v.name, *out,
                                s->items[item].group);
            *out = s->items[item].group;
        }
    return TT_OK;
}

static tt_status find_visits(tti_exec_full *x, const tti_stream *s, const tti_val *values) {
    const tti_graph *g = x->plan->g;
    tti_streaming *t = &x->streaming;
    for (size_t first = 0, end; first < g->nnodes; first = end) {
        end = g->nodes[first].chunk ? tti_region_end(g, first) : first + 1;
        int group;
        TT_TRY(group_of(s, g, values, first, end, &group));
        if (group == TTI_NO_GROUP || (t->n && t->visits[t->n - 1].group == group)) continue;
        TT_TRY(TTI_GROW(t->visits, t->cap, t->n + 1));
        t->visits[t->n++] = (tti_visit){first, group};
    }
    return TT_OK;
}

static tt_status check(const tti_graph *g, const tti_stream *s, const tti_val *values) {
    for (size_t i = 0; i < s->n; i++) {
        if (values[i] == TTI_NONE) continue;
        const tti_value *v = &g->values[values[i]].v;
        if (v->kind != TTI_VALUE_PARAM || v->trainable || v->grad != TTI_NONE)
            return tti_fail(TT_E_ARG, "%s trains: only frozen weights can be streamed", v->name);
    }
    return TT_OK;
}

static void bind(tti_exec_full *x, int group, size_t slot) {
    const tti_stream *s = x->streaming.s;
    for (size_t i = 0; i < s->n; i++)
        if (s->items[i].group == group && x->streaming.values[i] != TTI_NONE)
            tti_exec_bind_slabs(&x->e, x->streaming.values[i], &s->slot[slot].slabs[s->first[i]],
                                s->items[i].n);
}

tt_status tti_exec_stream(tti_exec *e, tti_stream *s, const tti_val *values) {
    tti_exec_full *x = tti_full(e);
    TT_ASSERT(!x->streaming.s);
    TT_TRY(check(x->plan->g, s, values));
    if (!(x->streaming.values = tti_malloc((s->n + 1) * sizeof *values))) return TT_E_NOMEM;
    memcpy(x->streaming.values, values, s->n * sizeof *values);
    TT_TRY(find_visits(x, s, values));
    x->streaming.s = s;
    return TT_OK;
}

void tti_exec_stream_free(tti_exec_full *x) {
    tti_free(x->streaming.values);
    tti_free(x->streaming.visits);
}

tt_status tti_exec_stream_at(tti_exec_full *x, size_t node) {
    tti_streaming *t = &x->streaming;
    const bool ends = node == x->plan->g->nnodes;
    if (!t->n || (!ends && (t->at == t->n || t->visits[t->at].first != node))) return TT_OK;
    /* Behind the last visit comes the first one of the next run. */
    if (t->at > 0) TT_TRY(tti_stream_next(t->s, t->visits[t->at % t->n].group));
    if (ends) {
        t->at = 0;
        return TT_OK;
    }
    size_t slot;
    const int group = t->visits[t->at++].group;
    TT_TRY(tti_stream_begin(t->s, group, &slot));
    bind(x, group, slot);
    return TT_OK;
}
