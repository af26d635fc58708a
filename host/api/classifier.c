// SPDX-License-Identifier: Apache-2.0
/* classifier.c - include/tokentune/classifier.h over host/train/predict.h. */
#include <string.h>
#include "host/api/internal.h"
#include "host/train/predict.h"

struct tt_classifier {
    tt_device *device; /* held */
    tti_predictor *p;
    size_t width;
};

tt_classifier_opts tt_classifier_defaults(void) { return (tt_classifier_opts){.batch = 32}; }

tt_status tt_classifier_open(tt_classifier **out, tt_device *d, const char *model_dir,
                             const tt_classifier_opts *o) {
    const tt_classifier_opts defaults = tt_classifier_defaults();
    TT_NEED(out);
    TT_NEED(d);
    TT_NEED(model_dir);
    if (!o) o = &defaults;
    if (o->batch == 0) return tti_fail(TT_E_ARG, "batch: 0; at least one text is computed at once");
    const tti_predictor_opts inner = {
        .base = o->base, .gemm = o->gemm, .batch = o->batch, .max_len = o->max_len};
    tt_classifier *c = tti_calloc(1, sizeof *c);
    if (!c) return TT_E_NOMEM;
    tt_status s = tti_predictor_new(&c->p, d->d, model_dir, &inner);
    if (s != TT_OK) {
        tti_free(c);
        return s;
    }
    c->width = (size_t)tti_predictor_about(c->p)->num_labels;
    c->device = d;
    tti_api_device_hold(d);
    *out = c;
    return TT_OK;
}

void tt_classifier_close(tt_classifier *c) {
    if (!c) return;
    tti_predictor_free(c->p);
    tti_api_device_release(c->device);
    tti_free(c);
}

size_t tt_classifier_width(const tt_classifier *c) { return c ? c->width : 0; }

const char *const *tt_classifier_labels(const tt_classifier *c) {
    return c ? tti_predictor_about(c->p)->labels : NULL;
}

static tt_status add(tti_predictor *p, const char *const *texts, const char *const *texts2,
                     size_t i) {
    const char *a = texts[i], *b = texts2 ? texts2[i] : NULL;
    if (!a) return tti_fail(TT_E_ARG, "texts[%zu] is NULL", i);
    tt_status s = tti_predictor_add(p, a, strlen(a), b, b ? strlen(b) : 0);
    return s == TT_OK ? TT_OK : tti_fail_in(s, "texts[%zu]", i);
}

tt_status tt_classifier_run(tt_classifier *c, const char *const *texts, const char *const *texts2,
                            size_t n, float *probabilities) {
    TT_NEED(c);
    if (n == 0) return TT_OK;
    TT_NEED(texts);
    TT_NEED(probabilities);
    const double *scores;
    tti_predictor_clear(c->p); /* of what a failed call left */
    for (size_t i = 0; i < n; i++) {
        TT_TRY(add(c->p, texts, texts2, i));
        if (i + 1 < n && !tti_predictor_full(c->p)) continue;
        size_t count = tti_predictor_count(c->p) * c->width;
        TT_TRY(tti_predictor_run(c->p, &scores));
        for (size_t k = 0; k < count; k++) *probabilities++ = (float)scores[k];
    }
    return TT_OK;
}
