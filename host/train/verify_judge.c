// SPDX-License-Identifier: Apache-2.0
#include "host/train/verify_judge.h"

#include <math.h>
#include <string.h>

double tti_largest(const float *v, size_t n) {
    double m = 0;
    for (size_t i = 0; i < n; i++) {
        double a = fabs((double)v[i]);
        if (isnan(a)) return a;
        m = fmax(m, a);
    }
    return m;
}

tt_status tti_judge_expected(const tti_judge *j, const char *name, size_t count, float **out) {
    const tti_st_tensor *t = tti_st_find(j->want, name);
    if (!t) return tti_fail(TT_E_MISMATCH, "expected.safetensors has no %s", name);
    if (t->count != count)
        return tti_fail(TT_E_MISMATCH, "%s: expected.safetensors has %zu elements, the model %zu",
                        name, t->count, count);
    float *v = tti_malloc((count + 1) * sizeof *v);
    if (!v) return TT_E_NOMEM;
    tt_status s = tti_st_read_f32(t, v, 0, count);
    if (s == TT_OK && !isfinite(tti_largest(v, count)))
        s = tti_fail(TT_E_MISMATCH, "%s: expected.safetensors has a number that is not finite",
                     name);
    if (s != TT_OK)
        tti_free(v);
    else
        *out = v;
    return s;
}

tt_status tti_judge_keep(tti_judge *j, const char *name, const float *got, size_t count) {
    return j->write ? tti_verify_values_add(&j->values, name, got, count) : TT_OK;
}

static void judge(tti_judge *j, const char *name, double error, double tolerance) {
    tti_verify_result *out = j->r;
    out->tensors++;
    const bool worse = !(error / tolerance <= out->error / out->tolerance);
    if (out->tensors == 1 || (worse && !isnan(out->error))) { /* no number is the worst of all */
        snprintf(out->worst, sizeof out->worst, "%s", name);
        out->error = error;
        out->tolerance = tolerance;
    }
}

tt_status tti_judge_compare(tti_judge *j, const char *name, const float *got, size_t count,
                            double tolerance, double slack) {
    float *want = NULL;
    TT_TRY(tti_judge_expected(j, name, count, &want));
    const double scale = tti_largest(want, count);
    for (size_t i = 0; i < count; i++) want[i] = got[i] - want[i];
    double worst = tti_largest(want, count);
    tti_free(want);
    worst = worst <= slack ? 0 : worst;
    const double error = worst == 0 ? 0 : worst / scale;
    tti_debug("%s: error %.3g of %.3g, largest %.3g", name, error, tolerance, scale);
    judge(j, name, error, tolerance);
    return TT_OK;
}

tt_status tti_judge_movement(tti_judge *j, const char *name, const float *before, const float *got,
                             size_t count, double tolerance) {
    float *want = NULL;
    TT_TRY(tti_judge_expected(j, name, count, &want));
    double wrong = 0, moved = 0;
    for (size_t i = 0; i < count; i++) {
        const double e = (double)got[i] - (double)want[i], m = (double)want[i] - (double)before[i];
        wrong += e * e;
        moved += m * m;
    }
    tti_free(want);
    const double error = wrong == 0 ? 0 : sqrt(wrong / moved);
    tti_debug("%s: error %.3g of %.3g, largest %.3g", name, error, tolerance,
              sqrt(moved / (double)count));
    judge(j, name, error, tolerance);
    return TT_OK;
}

void tti_judge_add(tti_judge *j, const float *want, const float *got, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const double e = (double)got[i] - (double)want[i];
        j->wrong += e * e;
        j->size += (double)want[i] * (double)want[i];
    }
}

void tti_judge_sum(tti_judge *j, const char *name, double tolerance) {
    const double error = j->wrong == 0 ? 0 : sqrt(j->wrong / j->size);
    tti_debug("%s: error %.3g of %.3g", name, error, tolerance);
    judge(j, name, error, tolerance);
}
