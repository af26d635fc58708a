// SPDX-License-Identifier: Apache-2.0
/* exec.c - a planned graph on a device: its buffers, its inputs, its run. */
#include "host/graph/internal.h"

#include <stdarg.h>
#include <string.h>

enum { STAGES = 2 }; /* input copies in flight: the host lays out one while the device reads one */

typedef struct {
    char **text;
    size_t n, cap;
} interned;

/* Memory of the caller: its slabs, or `one` where it was bound as a whole. */
typedef struct {
    const tti_slab *p;
    size_t n;
    tti_slab one;
} bound;

typedef struct {
    tti_exec e; /* first: an exec is one of these */
    const tti_plan *plan;
    cl_mem *arena; /* by arena */
    cl_mem *owned; /* by value: sub-buffers made here */
    bound *slabs;  /* by value: PARAM and GRAD memory */
    cl_mem inputs;
    char *stage[STAGES];
    cl_event staged[STAGES];
    unsigned turn;
    interned defines;
    tti_plan_bytes bytes;
} exec_full;

static exec_full *full(const tti_exec *e) { return (exec_full *)(uintptr_t)e; }

size_t tti_x_rows(const tti_exec *e, tti_val v) {
    return tti_shape_count(tti_val_shape(e->graph, v), &e->rows);
}

size_t tti_x_cols(const tti_exec *e, tti_val v) { return tti_val_shape(e->graph, v)->cols; }

const char *tti_x_defines(tti_exec *e, const char *fmt, ...) {
    char text[256];
    int n = snprintf(text, sizeof text, "-DWG=%d -DVW=%d ", e->caps->wg, e->caps->vw);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text + n, sizeof text - (size_t)n, fmt, ap);
    va_end(ap);
    interned *d = &full(e)->defines;
    for (size_t i = 0; i < d->n; i++)
        if (!strcmp(d->text[i], text)) return d->text[i];
    char *copy = TTI_GROW(d->text, d->cap, d->n + 1) == TT_OK ? tti_strdup(text) : NULL;
    if (!copy) return NULL; /* tti_kernel reports it */
    return d->text[d->n++] = copy;
}

static tt_status prepare(tti_exec *e, size_t *workspace) {
    *workspace = 0;
    e->rows = e->max;
    for (size_t i = 0; i < e->graph->nnodes; i++) {
        tti_node *n = &e->graph->nodes[i];
        if (n->op->prepare) TT_TRY(n->op->prepare(e, n));
        *workspace = TT_MAX(*workspace, n->workspace);
    }
    return TT_OK;
}

tt_status tti_plan_workspace(size_t *bytes, const tti_plan *p, const tti_caps *caps,
                             tti_gemm *gemm) {
    exec_full x = {.plan = p};
    x.e.caps = caps;
    x.e.gemm = gemm;
    x.e.graph = (tti_graph *)(uintptr_t)p->g;
    x.e.max = p->max;
    return prepare(&x.e, bytes);
}

static tt_status make_arenas(exec_full *x) {
    const tti_plan *p = x->plan;
    x->arena = tti_calloc(p->narenas + 1, sizeof *x->arena);
    x->owned = tti_calloc(p->g->nvalues + 1, sizeof *x->owned);
    x->e.mem = tti_calloc(p->g->nvalues + 1, sizeof *x->e.mem);
    x->slabs = tti_calloc(p->g->nvalues + 1, sizeof *x->slabs);
    if (!x->arena || !x->owned || !x->e.mem || !x->slabs) return TT_E_NOMEM;
    for (size_t a = 0; a < p->narenas; a++) {
        TT_TRY(tti_mem_new(&x->arena[a], x->e.dev, p->arena_bytes[a], TTI_MEM_ACTIVATIONS, false));
        x->bytes.transient += p->arena_bytes[a];
    }
    for (size_t v = 0; v < p->g->nvalues; v++) {
        size_t a, offset, bytes;
        if (p->root[v] != (tti_val)v || !tti_plan_place(p, (tti_val)v, &a, &offset, &bytes))
            continue;
        TT_TRY(tti_mem_sub(&x->owned[v], x->e.dev, x->arena[a], offset, bytes));
    }
    /* Values that share memory share its handle: an op sees that it works in place. */
    for (size_t v = 0; v < p->g->nvalues; v++) x->e.mem[v] = x->owned[p->root[v]];
    x->bytes.kept = p->kept;
    x->bytes.transient -= p->kept;
    x->bytes.arenas = p->narenas;
    return TT_OK;
}

static tt_status make_inputs(exec_full *x) {
    const tti_plan *p = x->plan;
    if (!p->inputs) return TT_OK;
    TT_TRY(tti_mem_new(&x->inputs, x->e.dev, p->inputs, TTI_MEM_INPUTS, true));
    x->bytes.inputs = p->inputs;
    for (int i = 0; i < STAGES; i++)
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

tt_status tti_exec_new(tti_exec **out, tti_device *d, tti_gemm *gemm, tti_graph *g,
                       const tti_plan *plan) {
    exec_full *x = tti_calloc(1, sizeof *x);
    if (!x) return TT_E_NOMEM;
    x->plan = plan;
    x->e.dev = d;
    x->e.caps = tti_device_caps(d);
    x->e.gemm = gemm;
    x->e.graph = g;
    x->e.max = plan->max;
    x->e.loss_scale = 1.0f;
    tt_status s;
    TT_GO(prepare(&x->e, &x->bytes.workspace));
    TT_GO(make_arenas(x));
    TT_GO(make_inputs(x));
    if (x->bytes.workspace)
        TT_GO(tti_mem_new(&x->e.workspace, d, x->bytes.workspace, TTI_MEM_WORKSPACE, false));
    *out = &x->e;
    return TT_OK;
done:
    tti_exec_free(&x->e);
    return s;
}

void tti_exec_free(tti_exec *e) {
    if (!e) return;
    exec_full *x = full(e);
    for (int i = 0; i < STAGES; i++) {
        if (x->staged[i]) {
            clWaitForEvents(1, &x->staged[i]);
            clReleaseEvent(x->staged[i]);
        }
        tti_free(x->stage[i]);
    }
    for (size_t v = 0; x->owned && v < x->plan->g->nvalues; v++) tti_mem_release(x->owned[v]);
    for (size_t a = 0; x->arena && a < x->plan->narenas; a++) tti_mem_free(e->dev, x->arena[a]);
    tti_mem_free(e->dev, x->inputs);
    tti_mem_free(e->dev, e->workspace);
    for (size_t i = 0; i < x->defines.n; i++) tti_free(x->defines.text[i]);
    tti_free(x->defines.text);
    tti_free(x->slabs);
    tti_free(x->owned);
    tti_free(x->arena);
    tti_free(e->mem);
    tti_free(x);
}

void tti_exec_bind(tti_exec *e, tti_val v, cl_mem m) {
    const tti_shape *s = tti_val_shape(e->graph, v);
    bound *b = &full(e)->slabs[v];
    const size_t rows = tti_shape_count(s, &e->max);
    b->one = (tti_slab){m, 0, rows, tti_layout_plain(s->dtype, rows, s->cols)};
    tti_exec_bind_slabs(e, v, &b->one, 1);
}

void tti_exec_bind_slabs(tti_exec *e, tti_val v, const tti_slab *slabs, size_t n) {
    bound *b = &full(e)->slabs[v];
    b->p = slabs;
    b->n = n;
    e->mem[v] = slabs[0].mem;
}

const tti_slab *tti_x_slabs(const tti_exec *e, tti_val v, size_t *n) {
    const bound *b = &full(e)->slabs[v];
    *n = b->n;
    return b->p;
}

static tt_status check_rows(const tti_exec *e, const tti_feed *feed) {
    for (int k = TTI_ROWS_CONST + 1; k < TTI_ROWS_KINDS; k++)
        if (feed->rows.n[k] > e->max.n[k])
            return tti_fail(TT_E_SHAPE, "a batch has %zu rows of kind %d, planned for %zu",
                            feed->rows.n[k], k, e->max.n[k]);
    return TT_OK;
}

static tt_status upload(exec_full *x, const tti_feed *feed) {
    if (!x->inputs) return TT_OK;
    const tti_plan *p = x->plan;
    unsigned t = x->turn++ % STAGES;
    if (x->staged[t]) {
        TT_TRY(tti_cl(clWaitForEvents(1, &x->staged[t]), "waiting for an upload"));
        clReleaseEvent(x->staged[t]);
        x->staged[t] = NULL;
    }
    size_t end = 0;
    for (int i = 0; i < TTI_IN_COUNT; i++) {
        tti_val v = p->g->inputs[i];
        if (v == TTI_NONE) continue;
        size_t bytes = tti_shape_bytes(&p->g->values[v].v.shape, &feed->rows);
        if (bytes && !feed->data[i])
            return tti_fail(TT_E_INTERNAL, "input %d of the graph is not fed", i);
        if (bytes) memcpy(x->stage[t] + p->input_offset[i], feed->data[i], bytes);
        end = TT_MAX(end, p->input_offset[i] + bytes);
    }
    if (!end) return TT_OK;
    return tti_cl(clEnqueueWriteBuffer(tti_device_queue(x->e.dev), x->inputs, CL_FALSE, 0, end,
                                       x->stage[t], 0, NULL, &x->staged[t]),
                  "uploading a batch");
}

tt_status tti_exec_run(tti_exec *e, const tti_feed *feed) {
    exec_full *x = full(e);
    TT_TRY(check_rows(e, feed));
    e->rows = feed->rows;
    TT_TRY(upload(x, feed));
    for (size_t i = 0; i < e->graph->nnodes; i++) {
        const tti_node *n = &e->graph->nodes[i];
        tt_status s = n->op->enqueue(e, n);
        if (s != TT_OK)
            return tti_fail_in(s, "%s (%s)", n->op->name,
                               n->nout ? e->graph->values[n->out[0]].v.name : "");
    }
    return tti_device_flush(e->dev);
}

tt_status tti_exec_read(tti_exec *e, tti_val v, float *dst, size_t count) {
    if (!e->mem[v])
        return tti_fail(TT_E_INTERNAL, "%s is not in memory", tti_value_at(e->graph, v)->name);
    return tti_mem_read(e->dev, e->mem[v], 0, dst, count * sizeof *dst);
}

tti_plan_bytes tti_exec_bytes(const tti_exec *e) { return full(e)->bytes; }
