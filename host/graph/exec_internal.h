// SPDX-License-Identifier: Apache-2.0
/* exec_internal.h - an executor as its own files see it. */
#ifndef TT_HOST_GRAPH_EXEC_INTERNAL_H
#define TT_HOST_GRAPH_EXEC_INTERNAL_H

#include "host/graph/internal.h"

enum {
    TTI_EXEC_STAGES = 2
}; /* input copies in flight: the host lays out one while the device
      reads one */

typedef struct {
    char **text;
    size_t n, cap;
} tti_interned;

/* Memory of the caller: its slabs, or `one` where it was bound as a whole. */
typedef struct {
    const tti_slab *p;
    size_t n;
    tti_slab one;
} tti_bound;

/* Nodes first .. end-1 run chunk after chunk; of the values, memory outlives a chunk. */
typedef struct {
    size_t first, end;
    tti_val *values;
    cl_mem *whole; /* their memory, while a chunk runs */
    size_t n, cap;
} tti_region;

typedef struct {
    size_t first; /* node */
    int group;
} tti_visit;

/* Weights that are streamed. */
typedef struct {
    struct tti_stream *s; /* NULL: none */
    tti_val *values;      /* by item of s */
    tti_visit *visits;
    size_t n, cap;
    size_t at; /* visits begun in this run */
} tti_streaming;

typedef struct {
    tti_exec e; /* first: an exec is one of these */
    const tti_plan *plan;
    cl_mem *arena;    /* by arena */
    bool *own_arena;  /* by arena: allocated here, not another exec's */
    cl_mem *owned;    /* by value: sub-buffers made here */
    tti_bound *slabs; /* by value: PARAM and GRAD memory */
    cl_mem inputs;
    bool own_inputs, own_workspace;
    size_t workspace; /* bytes of it, own or not */
    char *stage[TTI_EXEC_STAGES];
    cl_event staged[TTI_EXEC_STAGES];
    unsigned turn;
    tti_interned defines;
    tti_region *regions;
    size_t nregions, regions_cap;
    cl_mem **parts; /* by value: a handle for each chunk of a root or input; the first is owned's */
    size_t chunks;  /* at most */
    tti_streaming streaming;
    tti_plan_bytes bytes;
} tti_exec_full;

static inline tti_exec_full *tti_full(const tti_exec *e) { return (tti_exec_full *)(uintptr_t)e; }

/* ---- exec.c ---- */
tt_status tti_exec_node(tti_exec *e, const tti_node *n); /* enqueues one */

/* ---- exec_chunks.c ---- */
tt_status tti_exec_make_regions(tti_exec_full *x); /* behind arenas and inputs */
void tti_exec_free_regions(tti_exec_full *x);
/* Enqueues the region's nodes for every chunk of the batch in hand. */
tt_status tti_exec_region(tti_exec_full *x, const tti_region *r);

/* ---- exec_stream.c ---- */
/* Before node `node` is enqueued, and with the number of nodes when all are. */
tt_status tti_exec_stream_at(tti_exec_full *x, size_t node);
void tti_exec_stream_free(tti_exec_full *x);

#endif
