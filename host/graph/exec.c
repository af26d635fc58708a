// SPDX-License-Identifier: Apache-2.0
/* exec.c - a planned graph on a device: its inputs, its run. */
#include "host/graph/exec_internal.h"

#include <stdarg.h>
#include <string.h>

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
    tti_interned *d = &tti_full(e)->defines;
    for (size_t i = 0; i < d->n; i++)
        if (!strcmp(d->text[i], text)) return d->text[i];
    char *copy = TTI_GROW(d->text, d->cap, d->n + 1) == TT_OK ? tti_strdup(text) : NULL;
    if (!copy) return NULL; /* tti_kernel reports it */
    return d->text[d->n++] = copy;
}

void tti_exec_bind(tti_exec *e, tti_val v, cl_mem m) {
    const tti_shape *s = tti_val_shape(e->graph, v);
    tti_bound *b = &tti_full(e)->slabs[v];
    const size_t rows = tti_shape_count(s, &e->max);
    b->one = (tti_slab){m, 0, rows, tti_layout_plain(s->dtype, rows, s->cols)};
    tti_exec_bind_slabs(e, v, &b->one, 1);
}

void tti_exec_bind_slabs(tti_exec *e, tti_val v, const tti_slab *slabs, size_t n) {
    tti_bound *b = &tti_full(e)->slabs[v];
    b->p = slabs;
    b->n = n;
    e->mem[v] = slabs[0].mem;
}

const tti_slab *tti_x_slabs(const tti_exec *e, tti_val v, size_t *n) {
    const tti_bound *b = &tti_full(e)->slabs[v];
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

static tt_status upload(tti_exec_full *x, const tti_feed *feed) {
    if (!x->inputs) return TT_OK;
    const tti_plan *p = x->plan;
    unsigned t = x->turn++ % TTI_EXEC_STAGES;
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

tt_status tti_exec_node(tti_exec *e, const tti_node *n) {
    const tt_status s = n->op->enqueue(e, n);
    if (s == TT_OK) return s;
    return tti_fail_in(s, "%s (%s)", n->op->name,
                       n->nout ? e->graph->values[n->out[0]].v.name : "");
}

tt_status tti_exec_run(tti_exec *e, const tti_feed *feed) {
    tti_exec_full *x = tti_full(e);
    TT_TRY(check_rows(e, feed));
    e->rows = feed->rows;
    TT_TRY(upload(x, feed));
    x->streaming.at = 0; /* a run that failed may have left it */
    for (size_t i = 0, r = 0; i < e->graph->nnodes;) {
        const tti_node *n = &e->graph->nodes[i];
        TT_TRY(tti_exec_stream_at(x, i));
        TT_TRY(n->chunk ? tti_exec_region(x, &x->regions[r]) : tti_exec_node(e, n));
        i = n->chunk ? x->regions[r++].end : i + 1;
    }
    TT_TRY(tti_exec_stream_at(x, e->graph->nnodes));
    return tti_device_flush(e->dev);
}

tt_status tti_exec_read(tti_exec *e, tti_val v, float *dst, size_t count) {
    if (!e->mem[v])
        return tti_fail(TT_E_INTERNAL, "%s is not in memory", tti_value_at(e->graph, v)->name);
    return tti_mem_read(e->dev, e->mem[v], 0, dst, count * sizeof *dst);
}
