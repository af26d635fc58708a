// SPDX-License-Identifier: Apache-2.0
/* verify_judge.h - what a parity case computed against what it expects. */
#ifndef TT_HOST_TRAIN_VERIFY_JUDGE_H
#define TT_HOST_TRAIN_VERIFY_JUDGE_H

#include "host/format/safetensors.h"
#include "host/train/verify.h"
#include "host/train/verify_values.h"

typedef struct {
    tti_st *want;         /* expected.safetensors; borrowed */
    tti_verify_result *r; /* keeps the worst */
    const char *write;    /* NULL: values are not kept */
    tti_verify_values values;
    double wrong, size; /* sums of squares: of errors, of what was expected */
} tti_judge;

/* Largest magnitude; NaN where there is one. */
double tti_largest(const float *v, size_t n);
/* The tensor of that name, count finite numbers. Gives *out (tti_free). TT_E_MISMATCH else. */
tt_status tti_judge_expected(const tti_judge *j, const char *name, size_t count, float **out);
/* Values to be written, where any are. */
tt_status tti_judge_keep(tti_judge *j, const char *name, const float *got, size_t count);
/* Largest error over the largest number expected. slack: an absolute error that is forgiven. */
tt_status tti_judge_compare(tti_judge *j, const char *name, const float *got, size_t count,
                            double tolerance, double slack);
/* Root mean square of the error over that of the movement from `before` to what is expected. AdamW
 * makes about lr of any gradient: one whose sign rounding decides moves its parameter by as much in
 * either direction, so that the largest error says nothing. */
tt_status tti_judge_movement(tti_judge *j, const char *name, const float *before, const float *got,
                             size_t count, double tolerance);
/* One root mean square over several tensors: add each, then sum. */
void tti_judge_add(tti_judge *j, const float *want, const float *got, size_t count);
void tti_judge_sum(tti_judge *j, const char *name, double tolerance);

#endif
