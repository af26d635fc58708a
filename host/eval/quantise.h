// SPDX-License-Identifier: Apache-2.0
/* quantise.h - a whole model folder in another storage type. */
#ifndef TT_HOST_EVAL_QUANTISE_H
#define TT_HOST_EVAL_QUANTISE_H

#include "host/model/quantise.h"

/* Everything is borrowed. */
typedef struct {
    const char *model, *out; /* folders */
    const char *type;        /* nf4, q8, bf16, f16 */
    bool nested;             /* nf4: double quantisation */
} tti_quantise_opts;

/* Writes o->out, complete or not at all: the weights in the type asked for, as tti_model_quantise
 * has them, with the model's tokenizer and generation_config.json. A folder of that name is
 * replaced where it is empty or a model's; anything else and the model itself are refused
 * (TT_E_ARG). */
tt_status tti_quantise_folder(const tti_quantise_opts *o, tti_quantise_result *result);

#endif
