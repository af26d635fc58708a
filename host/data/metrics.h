// SPDX-License-Identifier: Apache-2.0
/* metrics.h - how good predictions are. Sums in double precision, in the order of the samples. */
#ifndef TT_HOST_DATA_METRICS_H
#define TT_HOST_DATA_METRICS_H

#include "host/core/core.h"

typedef struct {
    double accuracy;
    double macro_f1; /* mean F1 of the classes that occur in truth or prediction */
    double mcc;      /* Matthews correlation for any number of classes; 0 where undefined */
} tti_class_metrics;

/* n >= 1 class ids each, in 0 .. classes-1, else TT_E_ARG. */
tt_status tti_metrics_classify(tti_class_metrics *out, const int32_t *truth,
                               const int32_t *predicted, size_t n, size_t classes);

typedef struct {
    double mse;
    double pearson;  /* 0 where undefined: one sample, or no spread */
    double spearman; /* Pearson of the ranks, equal values sharing their average rank */
} tti_regress_metrics;

/* n >= 1 else TT_E_ARG. A number that is not finite makes all three NaN. */
tt_status tti_metrics_regress(tti_regress_metrics *out, const float *truth, const float *predicted,
                              size_t n);

#endif
