// SPDX-License-Identifier: Apache-2.0
/* exec_memory.c - the buffers of a planned graph. */
#include "host/graph/exec_internal.h"

static tt_status prepare(tti_exec *e, size_t *workspace) {
    const tti_rows max = e->max, chunk = tti_chunk_rows(&max);
    tt_status s = TT_OK;
    *workspace = 0;
    for (size_t i = 0; s == TT_OK && i < e->graph->nnodes; i++) {
        tti_node *n = &e->graph->nodes[i];
        e->max = e->rows = n->chunk ? chunk : max;
        if (n->op->prepare) s = n->op->prepare(e, n);
        *workspace = TT_MAX(*workspace, n->workspace);
    }
    e->max = e->rows = max;
    return s;
}

tt_status tti_plan_workspace(size_t *bytes, const tti_plan *p, const tti_caps *caps,
                             tti_gemm *gemm) {
    tti_exec_full x = {.plan = p};
    x.e.caps = caps;
    x.e.gemm = gemm;
    x.e.graph = (tti_graph *)(uintptr_t)p->g;
    x.e.max = p->max;
    return prepare(&x.e, bytes);
}

static tt_status make_tables(tti_exec_full *x) {
    const tti_plan *p = x->plan;
    x->arena = tti_calloc(p->narenas + 1, sizeof *x->arena);
    x->own_arena = tti_calloc(p->narenas + 1, sizeof *x->own_arena);
    x->owned = tti_calloc(p->g->nvalues + 1, sizeof *x->owned);
    x->e.mem = tti_calloc(p->g->nvalues + 1, sizeof *x->e.mem);
    x->slabs = tti_calloc(p->g->nvalues + 1, sizeof *x->slabs);
    return x->arena && x->own_arena && x->owned && x->e.mem && x->slabs ? TT_OK : TT_E_NOMEM;
}

/* Arenas of `other` (or NULL) where they are large enough, and new ones. */
static tt_status make_arenas(tti_exec_full *x, const tti_exec_full *other) {
    const tti_plan *p = x->plan;
    tti_plan_match m;
    tti_plan_match_begin(&m, p, other ? other->plan : NULL);
    for (size_t a = 0; a < p->narenas; a++) {
        const size_t from = tti_plan_match_next(&m);
        if (from != TTI_PLAN_NEW) {
            x->arena[a] = other->arena[from];
            continue;
        }
        TT_TRY(tti_mem_new(&x->arena[a], x->e.dev, p->arena_bytes[a], TTI_MEM_ACTIVATIONS, false));
        x->own_arena[a] = true;
    }
    return TT_OK;
}

static tt_status make_values(tti_exec_full *x) {
    const tti_plan *p = x->plan;
    for (size_t v = 0; v < p->g->nvalues; v++) {
        size_t a, offset, bytes;
        if (p->root[v] != (tti_val)v || !tti_plan_place(p, (tti_val)v, &a, &offset, &bytes))
            continue;
        TT_TRY(tti_mem_sub(&x->owned[v], x->e.dev, x->arena[a], offset, bytes));
    }
    /* Values that share memory share its handle: an op sees that it works in place. */
    for (size_t v = 0; v < p->g->nvalues; v++) x->e.mem[v] = x->owned[p->root[v]];
    return TT_OK;
}

static tt_status make_inputs(tti_exec_full *x, const tti_exec_full *other) {
    const tti_plan *p = x->plan;
    if (!p->inputs) return TT_OK;
    x->own_inputs = !other || other->plan->inputs < p->inputs;
    x->inputs = x->own_inputs ? NULL : other->inputs;
    if (x->own_inputs) TT_TRY(tti_mem_new(&x->inputs, x->e.dev, p->inputs, TTI_MEM_INPUTS, true));
    for (int i = 0; i < TTI_EXEC_STAGES; i++)
        if (!(x->stage[i] = tti_calloc(p->inputs, 1))) return TT_E_NOMEM;
    for (int i = 0; i < TTI_IN_COUNT; i++) {
        tti_val v = p->g->inputs[i];
        if (v == TTI_NONE) continue;
        size_t bytes = TT_MAX(tti_shape_bytes(&p->g->values[v].v.shape, &p->max), 4);
        TT_TRY(tti_mem_sub(&x->owned[v], x->e.dev, x->inputs, p->input_offset[i], bytes));
        x->e.mem[v] = x->owned[v];
    }
    return TT_OK;
}

static tt_status make_workspace(tti_exec_full *x, const tti_exec_full *other) {
    size_t bytes;
    TT_TRY(prepare(&x->e, &bytes));
    x->own_workspace = !other || other->workspace < bytes;
    x->workspace = x->own_workspace ? bytes : other->workspace;
    if (!x->own_workspace) {
        x->e.workspace = other->e.workspace;
        return TT_OK;
    }
    x->bytes.workspace = bytes;
    if (!bytes) return TT_OK;
    return tti_mem_new(&x->e.workspace, x->e.dev, bytes, TTI_MEM_WORKSPACE, false);
}

static tt_status make(tti_exec **out, tti_device *d, tti_gemm *gemm, const tti_exec_full *other,
                      tti_graph *g, const tti_plan *plan) {
    tti_exec_full *x = tti_calloc(1, sizeof *x);
    if (!x) return TT_E_NOMEM;
    x->plan = plan;
    x->e.dev = d;
    x->e.caps = tti_device_caps(d);
    x->e.gemm = gemm;
    x->e.graph = g;
    x->e.max = plan->max;
    x->e.loss_scale = 1.0f;
    tt_status s;
    x->bytes = tti_plan_bytes_beside(plan, other ? other->plan : NULL);
    TT_GO(make_tables(x));
    TT_GO(make_arenas(x, other));
    TT_GO(make_values(x));
    TT_GO(make_inputs(x, other));
    TT_GO(make_workspace(x, other));
    TT_GO(tti_exec_make_regions(x));
    *out = &x->e;
    return TT_OK;
done:
    tti_exec_free(&x->e);
    return s;
}

tt_status tti_exec_new(tti_exec **out, tti_device *d, tti_gemm *gemm, tti_graph *g,
                       const tti_plan *plan) {
    return make(out, d, gemm, NULL, g, plan);
}

tt_status tti_exec_new_shared(tti_exec **out, tti_exec *other, tti_graph *g, const tti_plan *plan) {
    return make(out, other->dev, other->gemm, tti_full(other), g, plan);
}

void tti_exec_free(tti_exec *e) {
    if (!e) return;
    tti_exec_full *x = tti_full(e);
    for (int i = 0; i < TTI_EXEC_STAGES; i++) {
        if (x->staged[i]) {
            clWaitForEvents(1, &x->staged[i]);
            clReleaseEvent(x->staged[i]);
        }
        tti_free(x->stage[i]);
    }
    tti_exec_free_regions(x);
    tti_exec_stream_free(x);
    for (size_t v = x->plan->g->nvalues; x->owned && v-- > 0;) tti_mem_release(e->dev, x->owned[v]);
    for (size_t a = 0; x->own_arena && a < x->plan->narenas; a++)
        if (x->own_arena[a]) tti_mem_free(e->dev, x->arena[a]);
    if (x->own_inputs) tti_mem_free(e->dev, x->inputs);
    if (x->own_workspace) tti_mem_free(e->dev, e->workspace);
    for (size_t i = 0; i < x->defines.n; i++) tti_free(x->defines.text[i]);
    tti_free(x->defines.text);
    tti_free(x->slabs);
    tti_free(x->owned);
    tti_free(x->arena);
    tti_free(x->own_arena);
    tti_free(e->mem);
    tti_free(x);
}

tti_plan_bytes tti_exec_bytes(const tti_exec *e) { return tti_full(e)->bytes; }
