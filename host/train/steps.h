// SPDX-License-Identifier: Apache-2.0
/* steps.h - which samples each step of a run holds, which positions it selects, and its batches.
 *
 * Step s (from 1) takes the next batch * accumulate samples of the epoch's order; the last step of
 * an epoch is short where they do not come out even. Everything follows from (seed, step), so a run
 * can go on at any step. Micro-batches are consecutive parts of a step: that accumulate 4 times 2
 * is one batch of 8 is so by construction. */
#ifndef TT_HOST_TRAIN_STEPS_H
#define TT_HOST_TRAIN_STEPS_H

#include "host/train/samples.h"
#include "host/train/select.h"

typedef struct {
    size_t batch, accumulate; /* >= 1 */
    double keep, epochs;
    uint64_t steps; /* 0: as epochs make */
    uint32_t seed;
    tti_select_policy policy; /* see select.h; shares of 0: as keep */
    double keep_prompt, keep_answer, temperature;
} tti_steps_opts;

typedef struct tti_steps tti_steps;
/* Borrows samples (n >= 1) and copies info. dense_ids, att_rows: see tti_batch_fill. Gives *out. */
tt_status tti_steps_new(tti_steps **out, const tti_samples *samples, const tti_model_info *info,
                        int att_rows, bool dense_ids, const tti_steps_opts *o);
void tti_steps_free(tti_steps *s); /* NULL is a no-op */
uint64_t tti_steps_total(const tti_steps *s);
uint64_t tti_steps_per_epoch(const tti_steps *s);
/* The most rows of each kind that any batch of the run has: exact from all batches of all steps,
 * or, where there are too many to look at, from the longest samples. */
tti_rows tti_steps_rows(tti_steps *s);

/* One step laid out. */
typedef struct {
    size_t sequences, micros, tokens;
    size_t supervised;                /* causal: selected rows whose next token is learned */
    float loss_scale;                 /* 1 / sequences; causal: 1 / supervised, or 1 for none */
    const tti_idset *read, *gradient; /* ids that any row reads; ids whose rows get gradient */
} tti_step;
/* Draws the selections of step `step` (from 1); valid until the next call. With the policy LOSS
 * nothing is selected yet, and tti_steps_choose comes before anything that selection decides:
 * supervised, loss_scale, gradient and tti_steps_batch. */
tt_status tti_steps_begin(tti_steps *s, uint64_t step, tti_step *out);
/* LOSS: micro-batch m with every row in the stream SEL, for a forward pass; then the losses of its
 * supervised rows, in their order, [lab]. */
tt_status tti_steps_scout(tti_steps *s, size_t m, const tti_feed **feed);
void tti_steps_losses(tti_steps *s, size_t m, const float *loss);
/* LOSS: row counts of those batches, at most. */
tti_rows tti_steps_scout_rows(tti_steps *s);
tt_status tti_steps_choose(tti_steps *s, tti_step *out);
/* Lays out micro-batch m of it; the feed is valid until the next call. */
tt_status tti_steps_batch(tti_steps *s, size_t m, const tti_feed **feed);

#endif
