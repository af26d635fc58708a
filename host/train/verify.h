// SPDX-License-Identifier: Apache-2.0
/* verify.h - parity cases: what one step and three AdamW updates must give, on a device.
 * A case is a folder: model/ (a checkpoint), adapter/ (where it trains one), case.json (batch,
 * selection, method, optimizer, tolerances), expected.safetensors (loss, logits, grad.<parameter>,
 * after3.<parameter>, losses3). Written by tests/ref/make_cases.py. */
#ifndef TT_HOST_TRAIN_VERIFY_H
#define TT_HOST_TRAIN_VERIFY_H

#include "host/train/session.h"

typedef struct {
    char worst[224];         /* tensor with the largest error relative to its tolerance */
    double error, tolerance; /* its max |got - want| / max |want| */
    size_t tensors;          /* compared */
    size_t noise; /* of these, gradients that are zero but for rounding, judged as zero */
} tti_verify_result;

/* Runs the case in dir. TT_OK: every tensor is within its tolerance. TT_E_MISMATCH: some is not, or
 * is missing (the message names it; *out is filled in where a comparison was made). Others: the
 * case cannot be run. */
tt_status tti_verify(tti_verify_result *out, tti_device *d, tti_gemm *gemm, const char *dir);

#endif
