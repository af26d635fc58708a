// SPDX-License-Identifier: Apache-2.0
/* run.h - the memory plan of a finished graph, and its execution. */
#ifndef TT_HOST_GRAPH_RUN_H
#define TT_HOST_GRAPH_RUN_H

#include "host/graph/graph.h"

/* Bytes of one graph by what they are for. kept: values that live from the forward into the
 * backward pass; transient: the rest of the arenas. */
typedef struct {
    size_t kept, transient, inputs, workspace;
    size_t arenas;  /* number of arena buffers */
    size_t largest; /* bytes of the largest single buffer */
} tti_plan_bytes;

typedef struct tti_plan tti_plan;
/* Places every TEMP value for at most `max` rows: offsets are multiples of align, no arena is
 * larger than max_alloc. Works without a device. A value over max_alloc: TT_E_MEMORY naming it.
 * Borrows g. Gives *out. */
tt_status tti_plan_new(tti_plan **out, tti_graph *g, const tti_rows *max, size_t align,
                       size_t max_alloc);
void tti_plan_free(tti_plan *p);
tti_plan_bytes tti_plan_get_bytes(const tti_plan *p);
/* Where value v lies; false when it has no place (not TEMP, or removed). */
bool tti_plan_place(const tti_plan *p, tti_val v, size_t *arena, size_t *offset, size_t *bytes);
/* First and last node that touch v. */
bool tti_plan_life(const tti_plan *p, tti_val v, int *first, int *last);

/* Scratch bytes that the plan's ops will ask for on a device of these caps. gemm may be NULL: GEMMs
 * then count as needing none. */
tt_status tti_plan_workspace(size_t *bytes, const tti_plan *p, const tti_caps *caps,
                             tti_gemm *gemm);

/* What the host feeds for one batch: data[i] for every input the graph uses, rows of each kind. */
typedef struct {
    const void *data[TTI_IN_COUNT];
    tti_rows rows;
} tti_feed;

/* Allocates arenas, inputs and workspace as planned and chooses GEMMs. Borrows all. Gives *out. */
tt_status tti_exec_new(tti_exec **out, tti_device *d, tti_gemm *gemm, tti_graph *g,
                       const tti_plan *plan);
/* The same, in the arenas, inputs and workspace of `other`, which never runs at the same time and
 * outlives *out; what `other` lacks is allocated. Values of the one are lost when the other runs:
 * what must survive is bound by the caller, or not shared. Borrows other. */
tt_status tti_exec_new_shared(tti_exec **out, tti_exec *other, tti_graph *g, const tti_plan *plan);
/* Bytes of the plan p that tti_exec_new_shared would allocate beside what an exec of the plan
 * `other` (NULL: none) holds. workspace is 0, as in tti_plan_get_bytes: that of p is allocated
 * where it is more than that of other. */
tti_plan_bytes tti_plan_bytes_beside(const tti_plan *p, const tti_plan *other);
void tti_exec_free(tti_exec *e);
/* PARAM and GRAD memory belongs to the caller and is bound once. */
void tti_exec_bind(tti_exec *e, tti_val v, cl_mem m);
/* The same for values in slabs, or of another type than F32; borrows the array for the life of e.
 */
void tti_exec_bind_slabs(tti_exec *e, tti_val v, const tti_slab *slabs, size_t n);
/* Uploads the inputs (returns when feed may be reused) and enqueues every op; waits for nothing.
 * Rows over the planned maxima: TT_E_SHAPE. */
tt_status tti_exec_run(tti_exec *e, const tti_feed *feed);
/* Copies the first `count` floats of a TEMP or GRAD value to the host; waits. */
tt_status tti_exec_read(tti_exec *e, tti_val v, float *dst, size_t count);
/* Bytes as allocated, in the plan's terms (kept is what the placed values occupy). */
tti_plan_bytes tti_exec_bytes(const tti_exec *e);

#endif
