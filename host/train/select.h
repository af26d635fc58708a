// SPDX-License-Identifier: Apache-2.0
/* select.h - which positions of a sequence carry gradient.
 *
 * Encoders: position 0 always, since the head reads it. Decoders: the first and the last position
 * always. The others by a policy:
 *   random      uniformly without replacement
 *   prefix      the first ones
 *   stratified  prompt and answer rows each have a share of their own, drawn uniformly; the rows
 *               that predict the end of an answer always
 *   loss        with probability rising with the loss of the next token, as a forward pass has it:
 *               the rows of the largest loss / temperature + Gumbel noise (rows that are not
 *               supervised have loss 0)
 * A row is that of token t, and predicts token t + 1. Draws are counter-based: (seed, step,
 * sequence) decide alone, and the losses where they are asked for. */
#ifndef TT_HOST_TRAIN_SELECT_H
#define TT_HOST_TRAIN_SELECT_H

#include "host/core/core.h"

typedef enum {
    TTI_SELECT_RANDOM,
    TTI_SELECT_PREFIX,
    TTI_SELECT_STRATIFIED,
    TTI_SELECT_LOSS
} tti_select_policy;

typedef struct {
    tti_select_policy policy;
    bool decoder;
    double keep;                     /* up to 1 a share of the rows, above a count */
    double keep_prompt, keep_answer; /* STRATIFIED, of prompt and answer rows; 0: as keep */
    double temperature;              /* LOSS; above 0 */
    uint32_t seed;
} tti_selector;

/* What is chosen from; borrowed for the call. */
typedef struct {
    size_t n;              /* tokens */
    size_t prompt;         /* STRATIFIED: tokens before the first answer */
    const int32_t *next;   /* STRATIFIED: [n] negative where nothing is supervised; NULL: nowhere */
    const float *loss;     /* LOSS: [n] */
    uint32_t step, number; /* number: of the sequence within the step */
} tti_choice;

/* How many positions are selected: 1 (decoders: 2) to n. Of step, number and loss it does not
 * depend. */
size_t tti_selected(const tti_selector *s, const tti_choice *q);
/* The positions, ascending, in out[tti_selected]. */
tt_status tti_select(int32_t *out, const tti_selector *s, const tti_choice *q);

/* How many of n positions an encoder selects: keep in (0,1] is a ratio (round half to even as
 * Python's round, at least 1), above 1 a count; at most n. */
size_t tti_select_count(double keep, size_t n);
/* Draws `count` of n positions: 0 always (first), the others uniformly without replacement,
 * ascending in out[count]. */
void tti_select_draw(int32_t *out, size_t count, size_t n, uint32_t seed, uint32_t step,
                     uint32_t sequence);

#endif
