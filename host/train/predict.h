// SPDX-License-Identifier: Apache-2.0
/* predict.h - a trained folder at work: texts in, probabilities or values out, a batch at a time.
 * One thread at a time per predictor. */
#ifndef TT_HOST_TRAIN_PREDICT_H
#define TT_HOST_TRAIN_PREDICT_H

#include "host/train/evaluate.h"
#include "host/train/export.h"

typedef struct {
    const char *base; /* see tti_trained_read */
    const char *gemm; /* see tti_gemm_new */
    size_t batch;     /* texts computed at once, 1 or more */
    size_t max_len;   /* see tti_trained_limit */
} tti_predictor_opts;

typedef struct tti_predictor tti_predictor;
/* Borrows d; copies the rest. A model without a classification head: TT_E_UNSUPPORTED.
 * Gives *out. */
tt_status tti_predictor_new(tti_predictor **out, tti_device *d, const char *dir,
                            const tti_predictor_opts *o);
void tti_predictor_free(tti_predictor *p); /* NULL is a no-op */
/* What the model says of itself; every class has a name, LABEL_<i> where the folder has none. */
const tti_export *tti_predictor_about(const tti_predictor *p);

/* Adds a text of na bytes, or with b not NULL a pair, to the batch, which must not be full. A text
 * that cannot be encoded fails and is not in the batch. */
tt_status tti_predictor_add(tti_predictor *p, const char *a, size_t na, const char *b, size_t nb);
size_t tti_predictor_count(const tti_predictor *p); /* texts in the batch */
bool tti_predictor_full(const tti_predictor *p);
/* Computes the batch and empties it: *scores [count, num_labels] are probabilities, of which each
 * row sums to 1, or the values of a regression; borrowed until the next call. A result that is no
 * finite number: TT_E_NUMERIC. */
tt_status tti_predictor_run(tti_predictor *p, const double **scores);
void tti_predictor_clear(tti_predictor *p); /* empties the batch */

#endif
