// SPDX-License-Identifier: Apache-2.0
/* optimizer.h - optimizers over device memory, with clipping by the global norm (as
 * torch.nn.utils.clip_grad_norm_); kernels cl/optimizer*.cl. Weight decay is decoupled everywhere:
 * p is multiplied by 1 - lr * weight_decay, then updated.
 *   ADAMW      as torch.optim.AdamW (Loshchilov and Hutter, 1711.05101)
 *   ADAMW8     the same with both moments in 8 bits, blocks of 256 elements with a scale each, in
 *              the dynamic maps of Dettmers et al., 2110.02861. A moment becomes the nearest entry
 *              of its map times the block's largest magnitude; a second moment above zero never
 *              becomes zero, so that no update is divided by eps alone. Blocks begin anew with each
 *              of the arena's matrices: padding, which differs between devices, moves none. Moments
 *              of sparse parameters stay f32, as there
 *   SGD        with momentum beta1 (0: none is kept), as torch.optim.SGD without dampening
 *   ADAFACTOR  second moments as rows and columns of each matrix, in full for vectors (Shazeer and
 *              Stern, 1804.04235): transformers.optimization.Adafactor with scale_parameter and
 *              relative_step off, beta1 None, eps 1e-30, clip_threshold 1, decay_rate -0.8. There
 *              is no first moment; lr is the run's own; a matrix in slabs is as many matrices
 *   LION       sign of the interpolated momentum (Chen et al., 2302.06675)
 *
 * Parameters in F16 or BF16 are updated in f32 and rounded stochastically, by Philox from (seed,
 * step, arena, element), so that updates smaller than half a step of the type are not lost.
 *
 * Dense parameters lie in flat arenas; gradients repeat their layout. A sparse parameter, F32 with
 * F32 gradients, is a table of which a step reads and changes a few rows only: the other rows fall
 * behind and are brought up to date, to the same bits that a dense update with zero gradients
 * would have given, when a step next reads them (begin) or when the whole table is wanted (flush).
 * ADAFACTOR is the exception: what its columns and the whole table's update sum up is summed over
 * the step's rows, in another order than densely; equal but for rounding.
 *
 * A step: begin - forward and backward passes of its batches - update. Nothing waits for the
 * device, except where said. Where the norm or the loss of a step is not finite the update changes
 * nothing: the step's number is used up, its gradient is not. One thread at a time. */
#ifndef TT_HOST_TRAIN_OPTIMIZER_H
#define TT_HOST_TRAIN_OPTIMIZER_H

#include "host/device/device.h"
#include "host/storage/storage.h"

typedef enum {
    TTI_OPT_ADAMW,
    TTI_OPT_ADAMW8,
    TTI_OPT_SGD,
    TTI_OPT_ADAFACTOR,
    TTI_OPT_LION,
    TTI_OPT_KINDS
} tti_optimizer_kind;
const char *tti_optimizer_name(tti_optimizer_kind k); /* "adamw", "adamw8bit", "sgd", .. */
/* False when there is none of that name. */
bool tti_optimizer_parse(const char *name, tti_optimizer_kind *out);

typedef struct {
    float beta1, beta2;  /* in [0,1); ADAFACTOR reads neither, SGD only beta1 */
    float eps;           /* > 0; ADAMW and ADAMW8 alone read it */
    float weight_decay;  /* >= 0 */
    float max_grad_norm; /* 0: the norm is computed, nothing is clipped */
    size_t max_ids;      /* most rows of a sparse parameter that one step reads (with gradient or
                            without) */
    tti_optimizer_kind kind;
    uint32_t seed; /* of stochastic rounding */
    /* Gradients come multiplied by tti_optimizer_loss_scale, which is halved when a step is not
     * finite and doubled after 2000 that are (Micikevicius et al., 1710.03740). */
    bool scaled;
} tti_optimizer_opts;
tti_optimizer_opts tti_optimizer_defaults(void); /* ADAMW, 0.9, 0.999, 1e-8, 0.01, 1, 0 */

/* Buffers may be NULL where only bytes are asked for. */
typedef struct {
    cl_mem p, g;           /* borrowed */
    size_t count;          /* elements, < 2^32 */
    size_t decay_count;    /* the first so many get weight decay: a multiple of 16, or count */
    tti_dtype type, gtype; /* F32, F16 or BF16 each */
    /* ADAFACTOR and ADAMW8: all that lies in it, ascending, weight decay for all of one or none;
     * vectors are [1, n]; copied. None: ADAMW8 takes the arena as one vector, ADAFACTOR refuses. */
    const tti_matrix *matrices;
    size_t nmatrices;
} tti_optimizer_arena;

typedef struct {
    cl_mem p; /* [rows,cols]; borrowed */
    cl_mem g; /* [slots,cols]; row i is the gradient of row slot_ids[i] of the step */
    size_t rows, cols, slots;
    bool decay;
} tti_optimizer_sparse;

typedef struct tti_optimizer tti_optimizer;

/* Device bytes (TTI_MEM_OPTIMIZER) that tti_optimizer_new will allocate, exactly. */
size_t tti_optimizer_bytes(const tti_optimizer_opts *o, const tti_optimizer_arena *arenas,
                           size_t narenas, const tti_optimizer_sparse *sparse, size_t nsparse);
/* Copies all structs, borrows d and the buffers. Moments are zero, the last step is 0. No buffer is
 * over the device's largest allocation. Options out of range: TT_E_ARG naming it. Gives *out. */
tt_status tti_optimizer_new(tti_optimizer **out, tti_device *d, const tti_optimizer_opts *o,
                            const tti_optimizer_arena *arenas, size_t narenas,
                            const tti_optimizer_sparse *sparse, size_t nsparse);
void tti_optimizer_free(tti_optimizer *o); /* NULL is a no-op */
tti_optimizer_kind tti_optimizer_kind_of(const tti_optimizer *o);

/* step must be 1 + that of the last begin. ids: the rows of sparse parameters that the step reads,
 * each once, n <= max_ids; they are up to date for the kernels enqueued after this. With `scaled`
 * it waits for the update before it. */
tt_status tti_optimizer_begin(tti_optimizer *o, uint32_t step, float lr, const int32_t *ids,
                              size_t n);
/* slot_ids: the rows whose gradient lies in slots 0..slots-1, each once and among the ids of begin.
 * loss: a buffer whose first float must be finite too, or NULL. */
tt_status tti_optimizer_update(tti_optimizer *o, const int32_t *slot_ids, size_t slots,
                               cl_mem loss);
/* Brings every row of the sparse parameters up to the last step that was begun and updated. Cheap
 * when it was done before. */
tt_status tti_optimizer_flush(tti_optimizer *o);
/* What the loss's gradient is to be multiplied by in the step that was begun last: a power of two
 * from 1 to 2^24; 1 unless `scaled`. Overflows: steps left out, so far as begin knows them. */
float tti_optimizer_loss_scale(const tti_optimizer *o);
uint32_t tti_optimizer_overflows(const tti_optimizer *o);
/* Gradient norm before clipping of the last update; finite: whether that update was made or, with
 * `scaled`, left out for gradients too large for their type only. Waits. */
tt_status tti_optimizer_stats(tti_optimizer *o, float *norm, bool *finite);
/* The first of the steps from..to that was not finite in the sense of tti_optimizer_stats, 0 for
 * none; of at most the last 4096 steps. Waits. */
tt_status tti_optimizer_skipped(tti_optimizer *o, uint32_t from, uint32_t to, uint32_t *step);

/* For checkpoints, after a flush: the state as tensors, `elem` bytes an element: 4 are f32, 1 a
 * byte. names: "<which>.<part>", parts being arenas, then sparse parameters.
 *   ADAMW m, v: moments.  ADAMW8 q: [count, 2] indices of the maps, first moment then second; s:
 *   scales, [blocks, 2].  SGD, LION m.  ADAFACTOR f: of each matrix in turn its rows' and its
 *   columns' averages, of a vector the second moment. */
typedef struct {
    char name[24];
    size_t elem, count;
} tti_optimizer_tensor;
size_t tti_optimizer_tensors(const tti_optimizer *o);
tti_optimizer_tensor tti_optimizer_tensor_at(const tti_optimizer *o, size_t i);
/* Elements offset..offset+count-1 of tensor i; waits. */
tt_status tti_optimizer_read(tti_optimizer *o, size_t i, size_t offset, void *dst, size_t count);
tt_status tti_optimizer_write(tti_optimizer *o, size_t i, size_t offset, const void *src,
                              size_t count);
/* Where the loss scale stands after the last update. get waits. */
typedef struct {
    float scale;
    uint32_t good; /* finite steps since it last changed */
    uint32_t overflows;
} tti_optimizer_scaling;
tt_status tti_optimizer_get_scaling(tti_optimizer *o, tti_optimizer_scaling *out);
/* TT_E_ARG where s is none that get gives. */
tt_status tti_optimizer_set_scaling(tti_optimizer *o, const tti_optimizer_scaling *s);
/* The parameters and state written are those after `step`: the next begin is step + 1. */
tt_status tti_optimizer_resume(tti_optimizer *o, uint32_t step);

#endif
