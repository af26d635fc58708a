// SPDX-License-Identifier: Apache-2.0
/* scorer.h - how probable a decoder finds tokens behind others. Keys and values of what texts have
 * in common, one behind the other or side by side, are computed once. */
#ifndef TT_HOST_EVAL_SCORER_H
#define TT_HOST_EVAL_SCORER_H

#include "host/model/model.h"

/* A text of n tokens of which those from `from` (1 .. n - 1) on are judged. Borrowed. */
typedef struct {
    const int32_t *ids;
    size_t n, from;
} tti_scored;

typedef struct tti_scorer tti_scorer;
/* For texts of at most `longest` tokens (the last is only predicted, so one more than the model
 * reads will do), `rows` computed at once (0: 512). Borrows d, gemm and model, which must be a
 * frozen causal one. Gives *out. */
tt_status tti_scorer_new(tti_scorer **out, tti_device *d, tti_gemm *gemm, tti_model *model,
                         size_t longest, size_t rows);
void tti_scorer_free(tti_scorer *s); /* NULL is a no-op */
/* loglik[i] becomes the sum of ln p of the judged tokens of texts[i]. Texts that begin alike belong
 * into one call, or into calls behind one another. Waits. TT_E_NUMERIC: a loss that is no number.
 */
tt_status tti_scorer_run(tti_scorer *s, const tti_scored *texts, size_t n, double *loglik);
/* Tokens that went through the model so far. */
size_t tti_scorer_computed(const tti_scorer *s);

#endif
