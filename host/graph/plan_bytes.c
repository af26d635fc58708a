// SPDX-License-Identifier: Apache-2.0
/* plan_bytes.c - what a plan needs, by itself and beside another. */
#include "host/graph/internal.h"

void tti_plan_match_begin(tti_plan_match *m, const tti_plan *p, const tti_plan *other) {
    *m = (tti_plan_match){.p = p, .other = other};
}

/* Both have their arenas largest first: what is too small for one is large enough for a later one
 * perhaps, never for an earlier. */
size_t tti_plan_match_next(tti_plan_match *m) {
    const size_t a = m->at++;
    if (!m->other || m->taken == m->other->narenas ||
        m->other->arena_bytes[m->taken] < m->p->arena_bytes[a])
        return TTI_PLAN_NEW;
    return m->taken++;
}

tti_plan_bytes tti_plan_bytes_beside(const tti_plan *p, const tti_plan *other) {
    tti_plan_bytes b = {0};
    tti_plan_match m;
    tti_plan_match_begin(&m, p, other);
    for (size_t a = 0; a < p->narenas; a++) {
        if (tti_plan_match_next(&m) != TTI_PLAN_NEW) continue;
        b.arenas++;
        b.transient += p->arena_bytes[a];
        b.largest = TT_MAX(b.largest, p->arena_bytes[a]);
    }
    b.kept = TT_MIN(p->kept, b.transient);
    b.transient -= b.kept;
    b.inputs = other && other->inputs >= p->inputs ? 0 : p->inputs;
    b.largest = TT_MAX(b.largest, b.inputs);
    return b;
}

tti_plan_bytes tti_plan_get_bytes(const tti_plan *p) { return tti_plan_bytes_beside(p, NULL); }
