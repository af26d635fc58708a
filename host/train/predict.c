// SPDX-License-Identifier: Apache-2.0
/* predict.c - texts encoded end to end, and the scores of a batch of them. */
#include <math.h>
#include <string.h>
#include "host/train/predict.h"

struct tti_predictor {
    tti_trained t;
    tti_gemm *gemm;
    tti_evaluator *evaluator;
    tti_encoding encoding;
    size_t batch, n; /* texts at most, texts now */
    int32_t *ids, *types;
    size_t ids_cap, types_cap;
    size_t *start; /* n + 1: first token of each text */
    tti_sequence *seqs;
    float *logits;
    double *scores;
};

static tt_status name_labels(tti_trained *t) {
    if (t->about.labels || t->about.task == TTI_TASK_REGRESS) return TT_OK;
    size_t n = (size_t)t->about.num_labels;
    t->labels = tti_calloc(n, sizeof *t->labels);
    if (!t->labels) return TT_E_NOMEM;
    for (t->nlabels = 0; t->nlabels < n; t->nlabels++) {
        char name[32];
        snprintf(name, sizeof name, "LABEL_%zu", t->nlabels);
        t->labels[t->nlabels] = tti_strdup(name);
        if (!t->labels[t->nlabels]) return TT_E_NOMEM;
    }
    t->about.labels = (const char *const *)t->labels;
    return TT_OK;
}

static tt_status make_room(tti_predictor *p) {
    size_t labels = (size_t)p->t.about.num_labels;
    p->start = tti_calloc(p->batch + 1, sizeof *p->start);
    p->seqs = tti_calloc(p->batch, sizeof *p->seqs);
    p->logits = tti_calloc(p->batch, labels * sizeof *p->logits);
    p->scores = tti_calloc(p->batch, labels * sizeof *p->scores);
    return p->start && p->seqs && p->logits && p->scores ? TT_OK : TT_E_NOMEM;
}

tt_status tti_predictor_new(tti_predictor **out, tti_device *d, const char *dir,
                            const tti_predictor_opts *o) {
    tti_predictor *p = tti_calloc(1, sizeof *p);
    if (!p) return TT_E_NOMEM;
    tt_status s;
    p->batch = o->batch;
    TT_GO(tti_trained_read(&p->t, dir, o->base));
    if (p->t.headless)
        TT_GO(tti_fail(TT_E_UNSUPPORTED, "%s: the model has no classification head; train it first",
                       dir));
    TT_GO(tti_gemm_new(&p->gemm, d, o->gemm));
    TT_GO(tti_trained_load(&p->t, d));
    p->t.dir = p->t.base = NULL; /* no longer needed, and not ours */
    TT_GO(tti_trained_limit(&p->t, o->max_len));
    TT_GO(name_labels(&p->t));
    TT_GO(tti_evaluator_new(&p->evaluator, d, p->gemm, p->t.model, p->t.about.max_len, p->batch));
    TT_GO(make_room(p));
done:
    if (s == TT_OK)
        *out = p;
    else
        tti_predictor_free(p);
    return s;
}

void tti_predictor_free(tti_predictor *p) {
    if (!p) return;
    tti_evaluator_free(p->evaluator);
    tti_trained_free(&p->t);
    tti_gemm_free(p->gemm);
    tti_encoding_free(&p->encoding);
    tti_free(p->ids);
    tti_free(p->types);
    tti_free(p->start);
    tti_free(p->seqs);
    tti_free(p->logits);
    tti_free(p->scores);
    tti_free(p);
}

const tti_export *tti_predictor_about(const tti_predictor *p) { return &p->t.about; }

size_t tti_predictor_count(const tti_predictor *p) { return p->n; }

bool tti_predictor_full(const tti_predictor *p) { return p->n == p->batch; }

void tti_predictor_clear(tti_predictor *p) { p->n = 0; }

tt_status tti_predictor_add(tti_predictor *p, const char *a, size_t na, const char *b, size_t nb) {
    const tti_encode_opts o = {.max_len = p->t.about.max_len, .add_special = true};
    tti_encoding *e = &p->encoding;
    size_t at = p->start[p->n];
    TT_ASSERT(p->n < p->batch);
    TT_TRY(tti_tokenizer_encode(p->t.tokenizer, a, na, b, nb, &o, e));
    if (e->n == 0) return tti_fail(TT_E_DATA, "the text gives no token");
    TT_TRY(TTI_GROW(p->ids, p->ids_cap, at + e->n));
    TT_TRY(TTI_GROW(p->types, p->types_cap, at + e->n));
    memcpy(p->ids + at, e->ids, e->n * sizeof *e->ids);
    memcpy(p->types + at, e->type_ids, e->n * sizeof *e->type_ids);
    p->start[++p->n] = at + e->n;
    return TT_OK;
}

tt_status tti_predictor_run(tti_predictor *p, const double **scores) {
    size_t n = p->n, labels = (size_t)p->t.about.num_labels;
    p->n = 0;
    for (size_t i = 0; i < n; i++)
        p->seqs[i] = (tti_sequence){.ids = p->ids + p->start[i],
                                    .types = p->types + p->start[i],
                                    .n = p->start[i + 1] - p->start[i]};
    TT_TRY(tti_evaluator_run(p->evaluator, p->seqs, n, p->logits));
    for (size_t i = 0; i < n * labels; i++) {
        if (!isfinite(p->logits[i]))
            return tti_fail(TT_E_NUMERIC, "a result is no finite number; the weights are unusable");
        p->scores[i] = (double)p->logits[i];
    }
    if (p->t.about.task == TTI_TASK_CLASSIFY)
        for (size_t i = 0; i < n; i++)
            tti_softmax(p->scores + i * labels, p->logits + i * labels, labels);
    *scores = p->scores;
    return TT_OK;
}
