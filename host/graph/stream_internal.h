// SPDX-License-Identifier: Apache-2.0
/* stream_internal.h - streamed weights as the executor sees them. */
#ifndef TT_HOST_GRAPH_STREAM_INTERNAL_H
#define TT_HOST_GRAPH_STREAM_INTERNAL_H

#include <limits.h>
#include "host/graph/exec_internal.h"
#include "host/graph/stream.h"

enum { TTI_SLOTS = 2 };
#define TTI_NO_GROUP INT_MIN

typedef struct {
    cl_mem *page;
    tti_slab *slabs; /* of all items, one behind the other: as they lie in this slot */
    int group;       /* what it has, or will have once `loaded` */
    cl_event loaded; /* not waited for yet, or NULL */
} tti_slot_memory;

struct tti_stream {
    tti_device *d;
    cl_command_queue queue;
    tti_stream_item *items;
    size_t *first; /* by item: its first slab among those of all */
    size_t n, slabs, pages;
    tti_slot_memory slot[TTI_SLOTS];
    size_t nslots;  /* one, where there is one group */
    size_t current; /* slot of the visit in hand */
    cl_event ended; /* when what was enqueued before the visit in hand has ended */
    size_t copied;
};

/* A visit to a group: nodes that read its weights, until others read another group's. begin: before
 * its first node is enqueued; *where: the slot it has. next: when its last one is, with the group
 * of the visit to come, whose copy begins as soon as the visit before this one has ended. */
tt_status tti_stream_begin(tti_stream *s, int group, size_t *where);
tt_status tti_stream_next(tti_stream *s, int group);

#endif
