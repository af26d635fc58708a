// SPDX-License-Identifier: Apache-2.0
/* verify.h - parity cases: what one step and three AdamW updates must give, on a device.
 * A case is a folder: model/ (a checkpoint), adapter/ (where it trains one), case.json (batch,
 * selection, method, optimizer, tolerances), expected.safetensors (loss, logits, grad.<parameter>,
 * after3.<parameter>, losses3). Written by tests/ref/make_cases.py. */
#ifndef TT_HOST_TRAIN_VERIFY_H
#define TT_HOST_TRAIN_VERIFY_H

#include "host/train/budget.h"

typedef struct {
    char worst[224];         /* tensor with the largest error relative to its tolerance */
    double error, tolerance; /* its max |got - want| / max |want| */
    size_t tensors;          /* compared */
    size_t noise; /* of these, gradients that are zero but for rounding, judged as zero */
    bool skipped; /* nothing was: the case cannot have what the dials ask for */
} tti_verify_result;

/* Runs the case in dir; with the storage and recomputation of `dials`, where it is not NULL, and
 * tolerances wider by what its types explain (verify_storage.h has the formula; the case itself is
 * computed in f32). The method, the sizes and the optimizer are the case's. Where `write` is not
 * NULL, the values computed become that file, in the form of expected.safetensors, before they are
 * judged.
 * TT_OK: every tensor is within its tolerance. TT_E_MISMATCH: some is not, or is missing (the
 * message names it; *out is filled in where a comparison was made). Others: the case cannot be run;
 * out->skipped where it is because the case cannot have what the dials ask for. */
tt_status tti_verify(tti_verify_result *out, tti_device *d, tti_gemm *gemm, const char *dir,
                     const tti_dials *dials, const char *write);
#endif
