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
    size_t *arena_bytes;
    size_t narenas, arenas_cap;
    size_t input_offset[TTI_IN_COUNT], inputs;
    size_t kept;
};

#endif
