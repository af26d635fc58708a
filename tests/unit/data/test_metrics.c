// SPDX-License-Identifier: Apache-2.0
/* test_metrics.c - values worked out by hand or with exact fractions (tests/ref/metrics_values.py
 * prints them), and degenerate input. */
#include <math.h>
#include "host/data/metrics.h"
#include "tests/unit/format/scratch.h"

TestSuite(metrics, .fini = abort_on_leaks);

static void near(double got, double want, const char *what, size_t i) {
    cr_expect(!(fabs(got - want) > 1e-12) && !isnan(got), "%s, case %zu: %.17g, expected %.17g",
              what, i, got, want);
}

Test(metrics, classes) {
    static const struct {
        size_t n, classes;
        int32_t truth[10], predicted[10];
        double accuracy, macro_f1, mcc;
    } cases[] = {
        {1, 2, {0}, {0}, 1, 1, 0},
        {1, 2, {0}, {1}, 0, 0, 0},
        {4, 2, {0, 1, 0, 1}, {0, 1, 0, 1}, 1, 1, 1},
        {4, 2, {0, 1, 0, 1}, {1, 0, 1, 0}, 0, 0, -1},
        {4, 2, {0, 1, 0, 1}, {1, 1, 1, 1}, 0.5, 1.0 / 3, 0},
        {4, 2, {1, 1, 1, 1}, {0, 1, 1, 1}, 0.75, 3.0 / 7, 0},
        {8, 2, {0, 0, 0, 1, 1, 1, 1, 1}, {0, 0, 1, 1, 1, 1, 0, 1}, 0.75, 11.0 / 15, 7.0 / 15},
        /* the fourth class occurs nowhere and does not count, the third only in the truth */
        {6, 4, {0, 0, 1, 1, 2, 2}, {0, 1, 1, 1, 0, 0}, 0.5, 1.2 / 3, 0.28867513459481287},
        {10,
         3,
         {2, 0, 2, 2, 0, 1, 1, 2, 0, 1},
         {0, 0, 2, 2, 0, 2, 1, 2, 1, 1},
         0.7,
         25.0 / 36,
         6.0 / 11},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        tti_class_metrics m;
        cr_assert_eq(tti_metrics_classify(&m, cases[i].truth, cases[i].predicted, cases[i].n,
                                          cases[i].classes),
                     TT_OK);
        near(m.accuracy, cases[i].accuracy, "accuracy", i);
        near(m.macro_f1, cases[i].macro_f1, "macro F1", i);
        near(m.mcc, cases[i].mcc, "MCC", i);
    }
    tti_class_metrics m;
    expect_error(tti_metrics_classify(&m, NULL, NULL, 0, 2), TT_E_ARG, "no predictions");
    expect_error(tti_metrics_classify(&m, (int32_t[]){2}, (int32_t[]){0}, 1, 2), TT_E_ARG,
                 "class 0 for 2, of 2");
    expect_error(tti_metrics_classify(&m, (int32_t[]){0}, (int32_t[]){-1}, 1, 2), TT_E_ARG,
                 "class -1 for 0");
}

Test(metrics, numbers) {
    static const struct {
        size_t n;
        float truth[6], predicted[6];
        double mse, pearson, spearman;
    } cases[] = {
        {1, {3}, {1}, 4, 0, 0},
        {3, {1, 1, 1}, {1, 2, 3}, 5.0 / 3, 0, 0},
        {3, {1, 2, 3}, {2, 2, 2}, 2.0 / 3, 0, 0},
        {3, {1, 2, 3}, {2, 4, 6}, 14.0 / 3, 1, 1},
        {3, {1, 2, 3}, {3, 2, 1}, 8.0 / 3, -1, -1},
        {4, {1, 2, 3, 4}, {1, 8, 27, 64}, 1053, 0.9513698557924044, 1},
        {5, {1, 2, 2, 3, 5}, {2, 1, 4, 4, 3}, 2.2, 0.32871912932571284, 15.0 / 38},
        /* a large mean costs nothing */
        {4,
         {1e6f, 1e6f + 1, 1e6f + 2, 1e6f + 3},
         {1e6f, 1e6f + 2, 1e6f + 1, 1e6f + 3},
         0.5,
         0.8,
         0.8},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        tti_regress_metrics m;
        cr_assert_eq(tti_metrics_regress(&m, cases[i].truth, cases[i].predicted, cases[i].n),
                     TT_OK);
        near(m.mse, cases[i].mse, "MSE", i);
        near(m.pearson, cases[i].pearson, "Pearson", i);
        near(m.spearman, cases[i].spearman, "Spearman", i);
    }
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < TT_COUNT(bad); i++) {
        tti_regress_metrics m;
        const float x[2] = {1, bad[i]}, y[2] = {1, 2};
        cr_assert_eq(tti_metrics_regress(&m, i & 1 ? y : x, i & 1 ? x : y, 2), TT_OK);
        cr_expect(isnan(m.mse) && isnan(m.pearson) && isnan(m.spearman));
    }
    tti_regress_metrics m;
    expect_error(tti_metrics_regress(&m, NULL, NULL, 0), TT_E_ARG, "no predictions");
}
