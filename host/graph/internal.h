// SPDX-License-Identifier: Apache-2.0
/* internal.h - the graph as its own files see it. */
#ifndef TT_HOST_GRAPH_INTERNAL_H
#define TT_HOST_GRAPH_INTERNAL_H

#include "host/graph/run.h"

typedef struct {
    tti_value v;
    tti_val arrived; /* gradient so far */
    tti_val again;   /* the same value, computed again for the backward pass */
    bool keep;
} tti_slot;

struct tti_graph {
    tt_status status;
    tti_slot *values;
    size_t nvalues, values_cap;
    tti_node *nodes;
    size_t nnodes, nodes_cap;
    tti_val inputs[TTI_IN_COUNT];
    bool no_grad, recompute, in_backward, finished;
    int chunk, chunks; /* region being built, or 0; how many there were */
    char scope[64];
};

struct tti_plan {
    const tti_graph *g;
    tti_rows max;
    size_t align, max_alloc;
    int *first, *last;              /* by value: node indices, -1 when unused */
    int *end;                       /* by root: the last node that touches its memory */
    tti_val *root;                  /* by value: whose memory it shares */
    size_t *arena, *offset, *bytes; /* by value */
    size_t *arena_bytes;            /* by arena, largest first */
    size_t narenas;
    size_t input_offset[TTI_IN_COUNT], inputs;
    size_t kept;
};

static inline size_t tti_align_up(size_t n, size_t a) { return (n + a - 1) / a * a; }

/* ---- plan_place.c ---- */
/* A place for every root that lives. */
tt_status tti_plan_place_all(tti_plan *p);

/* ---- plan_bytes.c: arenas of one plan in those of another ---- */

#define TTI_PLAN_NEW SIZE_MAX
typedef struct {
    const tti_plan *p, *other; /* other: may be NULL */
    size_t at, taken;
} tti_plan_match;
void tti_plan_match_begin(tti_plan_match *m, const tti_plan *p, const tti_plan *other);
/* For p's arenas in turn: the arena of `other` that this one can be, or TTI_PLAN_NEW. */
size_t tti_plan_match_next(tti_plan_match *m);

/* ---- regions.c: nodes that run together, chunk after chunk of REST rows ---- */

/* Of the nodes from `first` on that have the same region: the index behind the last. */
size_t tti_region_end(const tti_graph *g, size_t first);
/* TT_E_INTERNAL naming an op that does not treat each REST row by itself. */
tt_status tti_graph_check_regions(const tti_graph *g);
/* Finds the values that only their own region reads. */
void tti_graph_mark_chunked(tti_graph *g);
/* The planned maxima as nodes of a region see them. */
tti_rows tti_chunk_rows(const tti_rows *max);

#endif
