// SPDX-License-Identifier: Apache-2.0
/* stream.c - the two slots of streamed weights, and what is copied into them when. */
#include "host/graph/stream_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- where the slabs of a group lie in a slot: pages, none larger than a buffer may be ---- */

typedef struct {
    const tti_stream_item *items;
    size_t n, align, max_alloc;
    size_t *page, *offset; /* by slab of all items, one behind the other */
    size_t *page_bytes;    /* by page: of the largest group */
    size_t slabs, pages, pages_cap;
    int *groups; /* the different ones, ascending */
    size_t ngroups;
} slot_layout;

static int by_number(const void *a, const void *b) {
    const int x = *(const int *)a, y = *(const int *)b;
    return x < y ? -1 : x > y;
}

static tt_status add_slab(slot_layout *l, size_t i, size_t at[2], size_t bytes) {
    if (at[1] + bytes > l->max_alloc) {
        at[0]++;
        at[1] = 0;
    }
    while (at[0] >= l->pages) {
        TT_TRY(TTI_GROW(l->page_bytes, l->pages_cap, l->pages + 1));
        l->page_bytes[l->pages++] = 0;
    }
    l->page[i] = at[0];
    l->offset[i] = at[1];
    at[1] += tti_align_up(bytes, l->align);
    l->page_bytes[at[0]] = TT_MAX(l->page_bytes[at[0]], at[1]);
    return TT_OK;
}

static tt_status lay_out_group(slot_layout *l, int group) {
    size_t at[2] = {0, 0}; /* page, offset */
    for (size_t i = 0, slab = 0; i < l->n; slab += l->items[i++].n)
        for (size_t k = 0; l->items[i].group == group && k < l->items[i].n; k++) {
            const size_t bytes = l->items[i].slabs[k].layout.bytes;
            if (bytes > l->max_alloc)
                return tti_fail(TT_E_MEMORY,
                                "streamed weights: %zu bytes in one piece, the device allows %zu "
                                "in one buffer",
                                bytes, l->max_alloc);
            TT_TRY(add_slab(l, slab + k, at, TT_MAX(bytes, (size_t)1)));
        }
    return TT_OK;
}

static void free_layout(slot_layout *l) {
    tti_free(l->page);
    tti_free(l->offset);
    tti_free(l->page_bytes);
    tti_free(l->groups);
}

static tt_status lay_out(slot_layout *l, const tti_stream_item *items, size_t n, size_t align,
                         size_t max_alloc) {
    *l = (slot_layout){
        .items = items, .n = n, .align = align, .max_alloc = max_alloc / align * align};
    for (size_t i = 0; i < n; i++) l->slabs += items[i].n;
    l->page = tti_calloc(l->slabs + 1, sizeof *l->page);
    l->offset = tti_calloc(l->slabs + 1, sizeof *l->offset);
    l->groups = tti_calloc(n + 1, sizeof *l->groups);
    if (!l->page || !l->offset || !l->groups) return TT_E_NOMEM;
    for (size_t i = 0; i < n; i++) l->groups[i] = items[i].group;
    qsort(l->groups, n, sizeof *l->groups, by_number);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || l->groups[i] != l->groups[i - 1]) l->groups[l->ngroups++] = l->groups[i];
    for (size_t i = 0; i < l->ngroups; i++) TT_TRY(lay_out_group(l, l->groups[i]));
    return TT_OK;
}

static size_t slots_of(const slot_layout *l) { return TT_MIN(l->ngroups, (size_t)TTI_SLOTS); }

tt_status tti_stream_bytes(size_t *out, const tti_stream_item *items, size_t n, size_t align,
                           size_t max_alloc) {
    slot_layout l;
    const tt_status s = lay_out(&l, items, n, align, max_alloc);
    size_t sum = 0;
    for (size_t i = 0; i < l.pages; i++) sum += l.page_bytes[i];
    *out = sum * slots_of(&l);
    free_layout(&l);
    return s;
}

/* ---- making ---- */

static tt_status make_slot(tti_stream *s, const slot_layout *l, tti_slot_memory *slot) {
    slot->group = TTI_NO_GROUP;
    slot->page = tti_calloc(l->pages + 1, sizeof *slot->page);
    slot->slabs = tti_calloc(l->slabs + 1, sizeof *slot->slabs);
    if (!slot->page || !slot->slabs) return TT_E_NOMEM;
    for (size_t i = 0; i < l->pages; i++)
        TT_TRY(tti_mem_new(&slot->page[i], s->d, l->page_bytes[i], TTI_MEM_WEIGHTS, false));
    for (size_t i = 0, at = 0; i < s->n; i++)
        for (size_t k = 0; k < s->items[i].n; k++, at++) {
            slot->slabs[at] = s->items[i].slabs[k];
            slot->slabs[at].mem = NULL;
            TT_TRY(tti_mem_sub(&slot->slabs[at].mem, s->d, slot->page[l->page[at]], l->offset[at],
                               TT_MAX(slot->slabs[at].layout.bytes, (size_t)1)));
        }
    return TT_OK;
}

static tt_status make_queue(tti_stream *s) {
    cl_int code;
    s->queue = clCreateCommandQueue(tti_device_context(s->d), tti_device_get_info(s->d)->cl_device,
                                    tti_profiling(s->d) ? CL_QUEUE_PROFILING_ENABLE : 0, &code);
    return tti_cl(code, "a second queue, for streamed weights");
}

static tt_status make(tti_stream *s, const slot_layout *l, const tti_stream_item *items) {
    s->items = tti_calloc(s->n + 1, sizeof *s->items);
    s->first = tti_calloc(s->n + 1, sizeof *s->first);
    if (!s->items || !s->first) return TT_E_NOMEM;
    for (size_t i = 0, at = 0; i < s->n; at += items[i++].n) {
        s->items[i] = items[i];
        s->first[i] = at;
    }
    s->pages = l->pages;
    s->slabs = l->slabs;
    s->nslots = slots_of(l); /* a part of a slot is freed as well */
    for (size_t i = 0; i < s->nslots; i++) TT_TRY(make_slot(s, l, &s->slot[i]));
    return make_queue(s);
}

tt_status tti_stream_new(tti_stream **out, tti_device *d, const tti_stream_item *items, size_t n) {
    const tti_caps *caps = tti_device_caps(d);
    tti_stream *x = tti_calloc(1, sizeof *x);
    if (!x) return TT_E_NOMEM;
    x->d = d;
    x->n = n;
    slot_layout l;
    tt_status s = lay_out(&l, items, n, caps->align, caps->max_alloc);
    if (s == TT_OK) s = make(x, &l, items);
    free_layout(&l);
    if (s == TT_OK)
        *out = x;
    else
        tti_stream_free(x);
    return s;
}

static void free_slot(tti_stream *s, tti_slot_memory *slot) {
    if (slot->loaded) clReleaseEvent(slot->loaded);
    for (size_t i = 0; slot->slabs && i < s->slabs; i++) tti_mem_release(s->d, slot->slabs[i].mem);
    for (size_t i = 0; slot->page && i < s->pages; i++) tti_mem_free(s->d, slot->page[i]);
    tti_free(slot->slabs);
    tti_free(slot->page);
}

void tti_stream_free(tti_stream *s) {
    if (!s) return;
    tti_device_finish(s->d); /* copies wait for what it runs */
    if (s->queue) clFinish(s->queue);
    if (s->ended) clReleaseEvent(s->ended);
    for (size_t i = 0; i < s->nslots; i++) free_slot(s, &s->slot[i]);
    if (s->queue) clReleaseCommandQueue(s->queue);
    tti_free(s->items);
    tti_free(s->first);
    tti_free(s);
}

size_t tti_stream_copied(const tti_stream *s) { return s->copied; }

/* ---- running ---- */

static size_t slot_of(const tti_stream *s, int group) {
    for (size_t i = 0; i < s->nslots; i++)
        if (s->slot[i].group == group) return i;
    return s->nslots;
}

static void let_go(tti_stream *s, cl_event e) {
    if (e && tti_profiling(s->d))
        tti_profile_take(s->d, "stream", e);
    else if (e)
        clReleaseEvent(e);
}

/* *last: the event of the copy enqueued before, then that of this one. */
static tt_status copy(tti_stream *s, const tti_slab *to, const void *data, cl_event *last) {
    if (!to->layout.bytes) return TT_OK;
    let_go(s, *last);
    *last = NULL;
    const cl_int code = clEnqueueWriteBuffer(s->queue, to->mem, CL_FALSE, 0, to->layout.bytes, data,
                                             1, &s->ended, last);
    s->copied += to->layout.bytes;
    return tti_cl(code, "copying streamed weights");
}

/* Enqueues the copies of a group; they begin when all that was enqueued before the visit in hand
 * has ended. */
static tt_status load(tti_stream *s, size_t to, int group) {
    tti_slot_memory *slot = &s->slot[to];
    cl_event last = NULL;
    tt_status status = TT_OK;
    slot->group = TTI_NO_GROUP; /* until all of it is enqueued */
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; s->items[i].group == group && k < s->items[i].n; k++)
            if (status == TT_OK)
                status = copy(s, &slot->slabs[s->first[i] + k], s->items[i].data[k], &last);
    let_go(s, slot->loaded);
    slot->loaded = last;
    TT_TRY(status);
    slot->group = group;
    return tti_cl(clFlush(s->queue), "flushing the queue of streamed weights");
}

tt_status tti_stream_begin(tti_stream *s, int group, size_t *where) {
    cl_command_queue q = tti_device_queue(s->d);
    if (s->ended) clReleaseEvent(s->ended);
    s->ended = NULL;
    TT_TRY(tti_cl(clEnqueueMarkerWithWaitList(q, 0, NULL, &s->ended), "marking streamed weights"));
    TT_TRY(tti_device_flush(s->d)); /* another queue waits for it */
    size_t at = slot_of(s, group);
    if (at == s->nslots) {
        at = s->nslots > 1 ? 1 - s->current : 0;
        TT_TRY(load(s, at, group));
    }
    *where = s->current = at;
    tti_slot_memory *slot = &s->slot[at];
    if (!slot->loaded) return TT_OK;
    TT_TRY(tti_cl(clEnqueueBarrierWithWaitList(q, 1, &slot->loaded, NULL),
                  "waiting for streamed weights"));
    let_go(s, slot->loaded); /* what comes later in this queue need not wait again */
    slot->loaded = NULL;
    return TT_OK;
}

tt_status tti_stream_next(tti_stream *s, int group) {
    if (s->nslots < 2 || slot_of(s, group) < s->nslots) return TT_OK;
    TT_TRY(tti_device_flush(s->d)); /* some drivers wait for the copy here: let nodes run */
    return load(s, 1 - s->current, group);
}
