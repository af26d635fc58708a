// SPDX-License-Identifier: Apache-2.0
/* optimizer.h - optimizers over device memory, with clipping by the global norm (as
 * torch.nn.utils.clip_grad_norm_); kernels cl/optimizer*.cl.
 *   ADAMW      decoupled weight decay, as torch.optim.AdamW (Loshchilov and Hutter, 1711.05101)
 *   ADAMW8     the same with both moments in 8 bits, a scale for each block of 256 elements
 *              (Dettmers et al., 2110.02861); moments of sparse parameters stay f32, as there
 *   SGD        with momentum beta1, as torch.optim.SGD (decay decoupled)
 *   ADAFACTOR  second moments as rows and columns of each matrix (Shazeer and Stern, 1804.04235);
 *              no first moment; lr is the run's own
 *   LION       sign of the interpolated momentum (Chen et al., 2302.06675)
 *
 * Parameters in F16 or BF16 are updated in f32 and rounded stochastically, by Philox from (seed,
 * step, element), so that updates smaller than half a step of the type are not lost.
 *
 * Dense parameters lie in flat arenas; gradients and both moments repeat their layout. A sparse
 * parameter is a table of which a step reads and changes a few rows only: the other rows fall
 * behind and are brought up to date, to the same bits that a dense update with zero gradients
 * would have given, when a step next reads them (begin) or when the whole table is wanted (flush).
 *
 * A step: begin - forward and backward passes of its batches - update. Nothing waits for the
 * device. Where the norm or the loss of a step is not finite the update changes nothing: the step's
 * number is used up, its gradient is not. One thread at a time. */
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

typedef struct {
    float beta1, beta2;  /* in [0,1) */
    float eps;           /* > 0 */
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
    tti_dtype type, gtype; /* F32, F16 or BF16 each */
    const tti_matrix
        *matrices; /* ADAFACTOR: all that lies in it, ascending; vectors are [1, n]; copied */
    size_t nmatrices;
    size_t count;       /* elements, < 2^32 */
    size_t decay_count; /* the first so many get weight decay: a multiple of 16, or count */
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
/* Copies all structs, borrows d and the buffers. Moments are zero, the last step is 0. Options out
 * of range: TT_E_ARG naming it. Gives *out. */
tt_status tti_optimizer_new(tti_optimizer **out, tti_device *d, const tti_optimizer_opts *o,
                            const tti_optimizer_arena *arenas, size_t narenas,
                            const tti_optimizer_sparse *sparse, size_t nsparse);
void tti_optimizer_free(tti_optimizer *o); /* NULL is a no-op */

/* step must be 1 + that of the last begin. ids: the rows of sparse parameters that the step reads,
 * each once, n <= max_ids; they are up to date for the kernels enqueued after this. */
tt_status tti_optimizer_begin(tti_optimizer *o, uint32_t step, float lr, const int32_t *ids,
                              size_t n);
/* slot_ids: the rows whose gradient lies in slots 0..slots-1, each once and among the ids of begin.
 * loss: a buffer whose first float must be finite too, or NULL. */
tt_status tti_optimizer_update(tti_optimizer *o, const int32_t *slot_ids, size_t slots,
                               cl_mem loss);
/* Brings every row of the sparse parameters up to the last step that was begun and updated. Cheap
 * when it was done before. */
tt_status tti_optimizer_flush(tti_optimizer *o);
/* What the loss's gradient is to be multiplied by in the step that begins now; 1 unless `scaled`.
 * With `scaled`, begin waits for the step before it. Overflows: steps left out so far. */
float tti_optimizer_loss_scale(const tti_optimizer *o);
uint32_t tti_optimizer_overflows(const tti_optimizer *o);
/* Gradient norm before clipping of the last update; whether that update was made. Waits. */
tt_status tti_optimizer_stats(tti_optimizer *o, float *norm, bool *finite);
/* The first of the steps from..to whose update was left out, 0 for none; of at most the last 4096
 * steps. Waits. */
tt_status tti_optimizer_skipped(tti_optimizer *o, uint32_t from, uint32_t to, uint32_t *step);

/* For checkpoints, after a flush: `count` floats from `offset` (floats) of a moment. part counts
 * the arenas first, then the sparse parameters. Waits. */
typedef enum { TTI_MOMENT_1, TTI_MOMENT_2 } tti_moment;
tt_status tti_optimizer_read(tti_optimizer *o, tti_moment which, size_t part, size_t offset,
                             float *dst, size_t count);
tt_status tti_optimizer_write(tti_optimizer *o, tti_moment which, size_t part, size_t offset,
                              const float *src, size_t count);
/* The parameters and moments written are those after `step`: the next begin is step + 1. */
tt_status tti_optimizer_resume(tti_optimizer *o, uint32_t step);

#endif
