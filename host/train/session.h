// SPDX-License-Identifier: Apache-2.0
/* session.h - a model made ready to run on a device: graph, plan, executor and, for training,
 * gradients and optimizer. Everything is allocated here; nothing is allocated later. */
#ifndef TT_HOST_TRAIN_SESSION_H
#define TT_HOST_TRAIN_SESSION_H

#include "host/model/model.h"
#include "host/train/optimizer.h"

typedef struct {
    bool training; /* gradients and updates; else forward only */
    bool dropout;
    bool loss;    /* labels are fed; implied by training */
    int logits;   /* causal: TTI_LOGITS_NONE, _ALL or _LAST */
    tti_rows max; /* planned row counts; REST 0: every row is selected */
    /* Two passes over each batch (see tti_forward_opts): keep_keys: the session is the first one;
     * kept_rows: it is the second one, of a first one planned for so many SEL rows;
     * tti_session_keys tells which. */
    bool keep_keys;
    size_t kept_rows;
    uint32_t seed;                                        /* of dropout */
    float beta1, beta2, eps, weight_decay, max_grad_norm; /* max_grad_norm 0: no clipping */
    tti_optimizer_kind optimizer;
    tti_store_opts store; /* of values that the backward pass reads */
    tti_recompute recompute;
    bool recompute_keys; /* of REST rows; store.keys then says nothing of them */
} tti_session_opts;
tti_session_opts tti_session_defaults(void);

/* Bytes by category: what the README calls the byte table. */
typedef struct {
    size_t weights, gradients, optimizer, kept, transient, inputs, workspace, total;
} tti_bytes;

typedef struct tti_session tti_session;
/* Borrows d, gemm, model. Too little memory: TT_E_MEMORY with the table. Gives *out. */
tt_status tti_session_new(tti_session **out, tti_device *d, tti_gemm *gemm, tti_model *model,
                          const tti_session_opts *o);
void tti_session_free(tti_session *s);
/* The plan of the same without allocating: model may have been loaded without a device. caps gives
 * alignment and the allocation limit; gemm may be NULL (workspace 0). */
tt_status tti_session_plan(tti_bytes *out, const tti_caps *caps, tti_gemm *gemm, tti_model *model,
                           const tti_session_opts *o);
/* The same, and the floating-point operations of one batch of these maxima, those done again in the
 * backward pass included; flops may be NULL. */
tt_status tti_session_plan_work(tti_bytes *out, double *flops, const tti_caps *caps, tti_gemm *gemm,
                                tti_model *model, const tti_session_opts *o);
/* TT_E_MEMORY with the table and the smallest changes that help where `b` is more than the device
 * of these caps has. */
tt_status tti_bytes_fit(const tti_bytes *b, const tti_caps *caps);
tti_bytes tti_session_planned(const tti_session *s);
tti_bytes tti_session_allocated(const tti_session *s); /* from the device's ledger */

/* The keys and values that s works with are those of `first`, whose last batch must be the same
 * one, all rows selected. Borrows first. */
void tti_session_keys(tti_session *s, const tti_session *first);

/* One optimizer step = begin, one or more batches, update. Nothing here waits for the device.
 * begin: ids = the different token ids that any batch of the step reads (ascending, n of them);
 * the first `slots` entries of slot_ids are the ids whose rows get gradient (ascending): row i of
 * the sparse gradient is slot_ids[i]. step counts from 1. */
tt_status tti_session_begin(tti_session *s, uint32_t step, float lr, const int32_t *ids, size_t n,
                            const int32_t *slot_ids, size_t slots);
/* Replaces the slots of begin: for a selection that is made after it, before the first batch. */
void tti_session_slots(tti_session *s, const int32_t *slot_ids, size_t slots);
/* micro counts from 0 within the step; loss_scale = 1 / sequences of the whole step; causal: 1 /
 * supervised selected positions of it. */
tt_status tti_session_batch(tti_session *s, const tti_feed *feed, unsigned micro, float loss_scale);
tt_status tti_session_update(tti_session *s);
/* Loss of the last step (sum over its batches, scaled), global gradient norm, and whether all was
 * finite (else the update was left out). Waits for the device. */
tt_status tti_session_result(tti_session *s, float *loss, float *norm, bool *finite);
/* Sum of the step's losses so far, before or after update; waits. */
tt_status tti_session_loss(tti_session *s, float *loss);
/* Logits of the last batch, count = its sequences * labels; waits. */
tt_status tti_session_logits(tti_session *s, float *dst, size_t count);
/* Causal: losses of the last batch's supervised rows, count = its rows.lab; waits. Forward only
 * sessions have them. */
tt_status tti_session_row_losses(tti_session *s, float *dst, size_t count);
/* Forward only: runs feed and gives logits [rows.seq, num_labels]; waits. loss may be NULL. */
tt_status tti_session_infer(tti_session *s, const tti_feed *feed, float *logits, float *loss);
/* Brings lazily updated parameters up to date: before reading or saving the model. */
tt_status tti_session_flush(tti_session *s);
tti_optimizer *tti_session_optimizer(tti_session *s);
tti_exec *tti_session_exec(tti_session *s);

#endif
