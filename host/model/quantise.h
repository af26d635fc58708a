// SPDX-License-Identifier: Apache-2.0
/* quantise.h - a checkpoint rewritten in another storage type. */
#ifndef TT_HOST_MODEL_QUANTISE_H
#define TT_HOST_MODEL_QUANTISE_H

#include "host/model/model.h"

/* What was written. */
typedef struct {
    size_t matrices; /* whose type changed */
} tti_quantise_result;

/* Writes the checkpoint in dir into the existing folder `to`, as model.safetensors and config.json.
 * NF4 (as bitsandbytes and transformers have it; nested: scales are 8-bit numbers) and Q8 (this
 * program's own) take the matrices of the body's linear layers; all other tensors are copied as
 * they are. F16 and BF16 take all floating-point tensors. Needs no device; the largest matrix is
 * held in its new type, never in f32. TT_E_ARG: another type. TT_E_NUMERIC: a number that the type
 * cannot hold. */
tt_status tti_model_quantise(const char *dir, const char *to, tti_dtype type, bool nested,
                             tti_quantise_result *out);

#endif
