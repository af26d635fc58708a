// SPDX-License-Identifier: Apache-2.0
/* logits.h - all logits of a few texts, for comparing models. */
#ifndef TT_HOST_EVAL_LOGITS_H
#define TT_HOST_EVAL_LOGITS_H

#include "host/model/model.h"

typedef struct {
    int32_t *ids; /* owned */
    size_t n;
} tti_text_ids;

/* Loads the model in dir, runs each text alone and gives each one's logits, [tokens, vocab] of a
 * model that predicts tokens, else [labels]: out[i] (tti_free), count[i] numbers. */
tt_status tti_logits_of(float **out, size_t *count, const tti_text_ids *texts, size_t n,
                        tti_device *d, tti_gemm *gemm, const char *dir, const tti_model_opts *o);

#endif
