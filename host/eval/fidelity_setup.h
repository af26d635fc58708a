// SPDX-License-Identifier: Apache-2.0
/* fidelity_setup.h - a model that trains and its samples, without a run around them. */
#ifndef TT_HOST_EVAL_FIDELITY_SETUP_H
#define TT_HOST_EVAL_FIDELITY_SETUP_H

#include "host/train/export.h"
#include "host/train/samples.h"

/* Strings are borrowed for the call; NULL and 0 are what training would take. */
typedef struct {
    const char *model;
    const char *const *data;
    size_t ndata;
    const char *text, *text2, *label; /* columns; models that classify */
    bool regress;                     /* labels are numbers, for a model without head */
    bool classify;                    /* a decoder is to classify, not to predict tokens */
    const char *template_name;        /* causal */
    bool loss_all;                    /* causal */
    size_t max_len;
    bool lora;
    const char *adapter; /* to continue; implies lora */
    size_t rank;
    const char *const *targets;
    size_t ntargets;
    uint32_t seed;
} tti_fidelity_source;

typedef struct {
    tti_model *model;
    tti_tokenizer *tokenizer;
    tti_dataset *set; /* NULL: causal */
    tti_samples samples;
} tti_fidelity_setup;

/* Gives *out (tti_fidelity_setup_free). Borrows d. */
tt_status tti_fidelity_setup_open(tti_fidelity_setup *out, tti_device *d,
                                  const tti_fidelity_source *from);
void tti_fidelity_setup_free(tti_fidelity_setup *s);

#endif
