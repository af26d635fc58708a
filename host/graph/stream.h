// SPDX-License-Identifier: Apache-2.0
/* stream.h - frozen weights that stay in host memory: a device smaller than the model sees two
 * groups of them (layers) at a time.
 *
 * Two slots, each of the largest group's bytes. While the nodes of one group compute, the next
 * group is copied into the other slot by a second queue; its nodes wait for the copy, and the copy
 * waits for the nodes that used the slot before. What lies in a slot stays there until it is
 * replaced: the backward pass begins with the last two groups, the next forward pass with the first
 * two. Everything is allocated by tti_stream_new and tti_exec_stream, nothing while running. */
#ifndef TT_HOST_GRAPH_STREAM_H
#define TT_HOST_GRAPH_STREAM_H

#include "host/graph/run.h"

/* One frozen parameter. */
typedef struct {
    int group;             /* layer: the parameters of a group are copied together */
    const tti_slab *slabs; /* its rows and their layouts; mem is not looked at */
    size_t n;
    const void *const *data; /* by slab: layout.bytes of host memory, as the device is to have it */
} tti_stream_item;

/* Device bytes of the slots, as tti_stream_new allocates them. data may be absent. */
tt_status tti_stream_bytes(size_t *out, const tti_stream_item *items, size_t n, size_t align,
                           size_t max_alloc);

/* Shared by all executors of a device, which run one after another. */
typedef struct tti_stream tti_stream;
/* Slots (weights in the ledger) and the second queue. Copies the items; borrows their slabs and
 * data, which must not change any more. Gives *out. */
tt_status tti_stream_new(tti_stream **out, tti_device *d, const tti_stream_item *items, size_t n);
void tti_stream_free(tti_stream *s); /* waits for what is enqueued; NULL is a no-op */
/* Bytes copied to the device so far. */
size_t tti_stream_copied(const tti_stream *s);

/* Binds e's PARAM values to s: values[i] is item i in e's graph, or TTI_NONE where it has none.
 * A node, or a region of chunks, that reads two groups: TT_E_UNSUPPORTED; a parameter that trains:
 * TT_E_ARG. Borrows s, which outlives e; copies values. */
tt_status tti_exec_stream(tti_exec *e, tti_stream *s, const tti_val *values);

#endif
