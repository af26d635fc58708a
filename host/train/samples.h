// SPDX-License-Identifier: Apache-2.0
/* samples.h - a data set as token ids, encoded once. */
#ifndef TT_HOST_TRAIN_SAMPLES_H
#define TT_HOST_TRAIN_SAMPLES_H

#include "host/data/causal.h"
#include "host/data/dataset.h"
#include "host/tokenizer/tokenizer.h"
#include "host/train/batch.h"

typedef struct {
    size_t n;
    size_t *start;        /* n + 1: first token of each sample */
    int32_t *ids, *types; /* all samples end to end */
    int32_t *label;       /* class; 0 where there is none */
    float *target;
    /* causal; NULL for others */
    int32_t *next;  /* by token: the one that follows where that is learned, else negative */
    size_t *prompt; /* by sample: tokens before the first answer */
    size_t cut;     /* samples that were shortened */
    size_t longest; /* tokens */
} tti_samples;

/* Encodes every sample to at most max_len tokens. An id that is no row of a vocabulary of `vocab`:
 * TT_E_DATA, for the tokenizer then belongs to another model. Gives *out (tti_samples_free). */
tt_status tti_samples_encode(tti_samples *out, const tti_dataset *ds, const tti_tokenizer *t,
                             size_t max_len, int vocab);
/* The same of samples for decoders, which are encoded already. */
tt_status tti_samples_causal(tti_samples *out, const tti_causal_dataset *ds, int vocab);
void tti_samples_free(tti_samples *s);
/* Moves `count` of the causal samples of s, drawn by seed, to *held; both keep their order. */
tt_status tti_samples_hold_back(tti_samples *s, tti_samples *held, size_t count, uint32_t seed);
static inline size_t tti_samples_length(const tti_samples *s, size_t i) {
    return s->start[i + 1] - s->start[i];
}
/* Sample i with every position selected; borrows from s. */
tti_sequence tti_samples_at(const tti_samples *s, size_t i);
/* Of ids, types, labels and targets: equal when a run on them would be the same. */
uint64_t tti_samples_digest(const tti_samples *s);

#endif
