// SPDX-License-Identifier: Apache-2.0
/* metrics.c - counts and sums over predictions. */
#include "host/data/metrics.h"

#include <math.h>
#include <stdlib.h>

/* Of one class. */
typedef struct {
    size_t truth, predicted, both;
} tally;

tt_status tti_metrics_classify(tti_class_metrics *out, const int32_t *truth,
                               const int32_t *predicted, size_t n, size_t classes) {
    if (!n) return tti_fail(TT_E_ARG, "no predictions to judge");
    for (size_t i = 0; i < n; i++)
        if (truth[i] < 0 || predicted[i] < 0 || (size_t)truth[i] >= classes ||
            (size_t)predicted[i] >= classes)
            return tti_fail(TT_E_ARG, "prediction %zu: class %d for %d, of %zu classes", i,
                            (int)predicted[i], (int)truth[i], classes);
    tally *of = tti_calloc(classes, sizeof *of);
    if (!of) return TT_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        of[truth[i]].truth++;
        of[predicted[i]].predicted++;
        if (truth[i] == predicted[i]) of[truth[i]].both++;
    }
    /* Gorodkin's R_K: (c s - sum p t) / sqrt((s^2 - sum p^2)(s^2 - sum t^2)) */
    double f1 = 0, correct = 0, pt = 0, pp = 0, tt = 0;
    size_t present = 0;
    for (size_t c = 0; c < classes; c++) {
        const double t = (double)of[c].truth, p = (double)of[c].predicted, b = (double)of[c].both;
        correct += b;
        pt += p * t;
        pp += p * p;
        tt += t * t;
        if (t + p == 0) continue;
        present++;
        f1 += 2 * b / (t + p);
    }
    tti_free(of);
    const double s = (double)n, spread = (s * s - pp) * (s * s - tt);
    out->accuracy = correct / s;
    out->macro_f1 = f1 / (double)present;
    out->mcc = spread > 0 ? (correct * s - pt) / sqrt(spread) : 0;
    return TT_OK;
}

/* Two passes, so that a large mean does not cost digits. */
static double pearson(const double *x, const double *y, size_t n) {
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (size_t i = 0; i < n; i++) mx += x[i], my += y[i];
    mx /= (double)n;
    my /= (double)n;
    for (size_t i = 0; i < n; i++) {
        const double a = x[i] - mx, b = y[i] - my;
        xx += a * a;
        yy += b * b;
        xy += a * b;
    }
    if (!(xx > 0 && yy > 0)) return 0;
    const double r = xy / (sqrt(xx) * sqrt(yy));
    return r > 1 ? 1 : r < -1 ? -1 : r;
}

static int by_value(const void *a, const void *b, void *values) {
    const double *v = values, x = v[*(const size_t *)a], y = v[*(const size_t *)b];
    return x < y ? -1 : x > y;
}

/* Replaces values by their ranks from 1; equal ones share the average. order is scratch. */
static void rank(double *v, size_t *order, size_t n) {
    for (size_t i = 0; i < n; i++) order[i] = i;
    qsort_r(order, n, sizeof *order, by_value, v);
    for (size_t i = 0; i < n;) {
        size_t j = i + 1;
        while (j < n && v[order[j]] == v[order[i]]) j++;
        const double average = (double)(i + j + 1) / 2;
        for (; i < j; i++) v[order[i]] = average;
    }
}

tt_status tti_metrics_regress(tti_regress_metrics *out, const float *truth, const float *predicted,
                              size_t n) {
    if (!n) return tti_fail(TT_E_ARG, "no predictions to judge");
    tt_status s = TT_E_NOMEM;
    double *x = tti_calloc(n, sizeof *x), *y = tti_calloc(n, sizeof *y), sum = 0;
    size_t *order = tti_calloc(n, sizeof *order);
    bool finite = true;
    if (!x || !y || !order) goto done;
    for (size_t i = 0; i < n; i++) {
        x[i] = (double)truth[i];
        y[i] = (double)predicted[i];
        finite = finite && isfinite(x[i]) && isfinite(y[i]);
        sum += (x[i] - y[i]) * (x[i] - y[i]);
    }
    *out = (tti_regress_metrics){NAN, NAN, NAN};
    if (finite) {
        out->mse = sum / (double)n;
        out->pearson = pearson(x, y, n);
        rank(x, order, n);
        rank(y, order, n);
        out->spearman = pearson(x, y, n);
    }
    s = TT_OK;
done:
    tti_free(x);
    tti_free(y);
    tti_free(order);
    return s;
}
