// SPDX-License-Identifier: Apache-2.0
/* tokentune/classifier.h - a trained model at work: texts in, probabilities or values out. */
#ifndef TOKENTUNE_CLASSIFIER_H
#define TOKENTUNE_CLASSIFIER_H

#include "tokentune/device.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char
        *base; /* the model folder below an adapter folder; NULL: the one the adapter names */
    const char *gemm; /* "auto", "clblast" or "tile"; NULL: TT_GEMM of the environment, or auto */
    size_t batch;     /* texts computed at once, 1 or more; more needs more device memory */
    size_t max_len;   /* texts are cut to so many tokens; 0: as in training */
} tt_classifier_opts;
TT_API tt_classifier_opts tt_classifier_defaults(void); /* batch 32 */

typedef struct tt_classifier tt_classifier;

/* Opens a model folder as training or transformers write it, or an adapter folder, on a device,
 * which may be closed before the classifier. Options NULL: the defaults. Copies what it needs.
 * Gives *out (tt_classifier_close).
 * TT_E_ARG: a batch of 0, max_len beyond the model, no such gemm, an adapter that names no base.
 * TT_E_IO, TT_E_FORMAT, TT_E_SHAPE: files that are missing, malformed or do not fit together.
 * TT_E_UNSUPPORTED: another architecture or tokenizer, or no classification head.
 * TT_E_MEMORY: more than the device holds. TT_E_DEVICE, TT_E_BUILD: OpenCL fails. */
TT_API tt_status tt_classifier_open(tt_classifier **out, tt_device *d, const char *model_dir,
                                    const tt_classifier_opts *o);
TT_API void tt_classifier_close(tt_classifier *c);

/* Numbers that each text gives: the classes, or the values of a regression. 0 for NULL. */
TT_API size_t tt_classifier_width(const tt_classifier *c);
/* Names of the classes, as many as the width, in the order of their probabilities; they live as
 * long as the classifier. NULL for a regression, whose numbers have no names, and for NULL. */
TT_API const char *const *tt_classifier_labels(const tt_classifier *c);

/* Computes n texts, or pairs where texts2 is not NULL (an entry of texts2 may be NULL: no second
 * text). probabilities [n, width] gets a row for each text that sums to 1, or the values of a
 * regression; after a failure its content is not defined. Borrows all; n may be 0.
 * TT_E_DATA: texts[i] (named) cannot be encoded. TT_E_NUMERIC: a result is no finite number.
 * TT_E_DEVICE, TT_E_BUILD, TT_E_MEMORY: OpenCL fails. The classifier stays usable. */
TT_API tt_status tt_classifier_run(tt_classifier *c, const char *const *texts,
                                   const char *const *texts2, size_t n, float *probabilities);

#ifdef __cplusplus
}
#endif
#endif
