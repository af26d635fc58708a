// SPDX-License-Identifier: Apache-2.0
/* evaluate.c - batches of whole sequences through a forward-only session, and scores. */
#include <math.h>
#include <stdlib.h>
#include "host/train/evaluate.h"

enum { USUAL_LENGTH = 128 };

struct tti_evaluator {
    tti_session *session;
    tti_model_info info;
    int att_rows;
    size_t batch, tokens; /* of one run of the graph, at most */
    tti_batch *b;
};

/* A batch holds at most this many tokens, and any single sequence fits. */
static size_t token_limit(size_t longest, size_t batch) {
    return TT_MAX(longest, batch * TT_MIN(longest, (size_t)USUAL_LENGTH));
}

tti_rows tti_evaluator_rows(const tti_model_info *info, int att_rows, size_t longest,
                            size_t batch) {
    size_t tokens = token_limit(longest, batch);
    return tti_batch_bounds(info, att_rows, batch, tokens, tokens, 1);
}

tt_status tti_evaluator_new(tti_evaluator **out, tti_device *d, tti_gemm *gemm, tti_model *model,
                            size_t longest, size_t batch) {
    tti_evaluator *e = tti_calloc(1, sizeof *e);
    if (!e) return TT_E_NOMEM;
    e->info = *tti_model_get_info(model);
    e->att_rows = tti_device_caps(d)->att_rows;
    e->batch = batch;
    e->tokens = token_limit(longest, batch);
    tti_session_opts o = tti_session_defaults();
    o.max = tti_evaluator_rows(&e->info, e->att_rows, longest, batch);
    tt_status s = tti_batch_new(&e->b);
    if (s == TT_OK) s = tti_session_new(&e->session, d, gemm, model, &o);
    if (s == TT_OK)
        *out = e;
    else
        tti_evaluator_free(e);
    return s;
}

void tti_evaluator_free(tti_evaluator *e) {
    if (!e) return;
    tti_session_free(e->session);
    tti_batch_free(e->b);
    tti_free(e);
}

size_t tti_evaluator_bytes(const tti_evaluator *e) {
    tti_bytes b = tti_session_planned(e->session);
    return b.total - b.weights;
}

tt_status tti_evaluator_run(tti_evaluator *e, const tti_sequence *seqs, size_t n, float *logits) {
    for (size_t from = 0, count; from < n; from += count) {
        size_t tokens = 0;
        for (count = 0; from + count < n && count < e->batch; count++) {
            if (count > 0 && tokens + seqs[from + count].n > e->tokens) break;
            tokens += seqs[from + count].n;
        }
        TT_TRY(tti_batch_fill(e->b, &e->info, e->att_rows, seqs + from, count, NULL, 0, false));
        TT_TRY(tti_session_infer(e->session, tti_batch_feed(e->b),
                                 logits + from * (size_t)e->info.num_labels, NULL));
    }
    return TT_OK;
}

void tti_softmax(double *p, const float *logits, size_t n) {
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, (double)logits[i]);
    for (size_t i = 0; i < n; i++) sum += p[i] = exp((double)logits[i] - most);
    for (size_t i = 0; i < n; i++) p[i] /= sum;
}

/* ---- scores ---- */

typedef struct {
    size_t length, sample;
} by_length;

static int compare_length(const void *a, const void *b) {
    const by_length *x = a, *y = b;
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    return x->sample < y->sample ? -1 : x->sample > y->sample;
}

/* Logits in the order of the samples, computed in the order of their lengths. */
static tt_status all_logits(tti_evaluator *e, const tti_samples *samples, float *logits) {
    size_t n = samples->n, labels = (size_t)e->info.num_labels;
    by_length *order = tti_calloc(n, sizeof *order);
    tti_sequence *seqs = tti_calloc(n, sizeof *seqs);
    float *sorted = tti_calloc(n, labels * sizeof *sorted);
    tt_status s = order && seqs && sorted ? TT_OK : TT_E_NOMEM;
    TT_GO(s);
    for (size_t i = 0; i < n; i++) order[i] = (by_length){tti_samples_length(samples, i), i};
    qsort(order, n, sizeof *order, compare_length);
    for (size_t i = 0; i < n; i++) seqs[i] = tti_samples_at(samples, order[i].sample);
    TT_GO(tti_evaluator_run(e, seqs, n, sorted));
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < labels; c++)
            logits[order[i].sample * labels + c] = sorted[i * labels + c];
done:
    tti_free(order);
    tti_free(seqs);
    tti_free(sorted);
    return s;
}

static tt_status classify(const tti_samples *samples, const float *logits, size_t labels,
                          tti_scores *out) {
    int32_t *guess = tti_calloc(samples->n, sizeof *guess);
    if (!guess) return TT_E_NOMEM;
    for (size_t i = 0; i < samples->n; i++) {
        const float *row = logits + i * labels;
        for (size_t c = 1; c < labels; c++)
            if (row[c] > row[guess[i]]) guess[i] = (int32_t)c;
        double most = -INFINITY, sum = 0; /* log of the softmax, without underflow */
        for (size_t c = 0; c < labels; c++) most = fmax(most, (double)row[c]);
        for (size_t c = 0; c < labels; c++) sum += exp((double)row[c] - most);
        out->loss += log(sum) + most - (double)row[samples->label[i]];
    }
    out->loss /= (double)samples->n;
    tt_status s = tti_metrics_classify(&out->c, samples->label, guess, samples->n, labels);
    tti_free(guess);
    return s;
}

tt_status tti_evaluate(tti_evaluator *e, const tti_samples *samples, tti_scores *out) {
    size_t labels = (size_t)e->info.num_labels;
    *out = (tti_scores){.n = samples->n, .regression = e->info.task == TTI_TASK_REGRESS};
    float *logits = tti_calloc(samples->n, labels * sizeof *logits);
    if (!logits) return TT_E_NOMEM;
    tt_status s = all_logits(e, samples, logits);
    for (size_t i = 0; s == TT_OK && i < samples->n * labels; i++)
        if (!isfinite(logits[i]))
            s = tti_fail(TT_E_NUMERIC,
                         "evaluation: sample %zu has a logit that is no finite "
                         "number; the weights are unusable",
                         i / labels + 1);
    if (s == TT_OK && out->regression) {
        s = tti_metrics_regress(&out->r, samples->target, logits, samples->n);
        out->loss = out->r.mse;
    } else if (s == TT_OK) {
        s = classify(samples, logits, labels, out);
    }
    tti_free(logits);
    return s;
}

/* ---- metrics by name ---- */

static const char *const names[] = {"auto", "loss", "accuracy", "f1", "mcc", "pearson", "spearman"};

const char *tti_metric_name(int kind) { return names[kind]; }

tt_status tti_metric_resolve(int *kind, bool regression) {
    if (*kind == TTI_METRIC_AUTO) *kind = regression ? TTI_METRIC_PEARSON : TTI_METRIC_ACCURACY;
    if (*kind == TTI_METRIC_LOSS || (*kind >= TTI_METRIC_PEARSON) == regression) return TT_OK;
    return tti_fail(TT_E_ARG, "train.best: %s is no metric of this task; expected one of %s",
                    names[*kind],
                    regression ? "loss, pearson, spearman" : "loss, accuracy, f1, mcc");
}

double tti_scores_get(const tti_scores *s, int kind) {
    switch (kind) {
    case TTI_METRIC_ACCURACY: return s->c.accuracy;
    case TTI_METRIC_F1: return s->c.macro_f1;
    case TTI_METRIC_MCC: return s->c.mcc;
    case TTI_METRIC_PEARSON: return s->r.pearson;
    case TTI_METRIC_SPEARMAN: return s->r.spearman;
    default: return s->loss;
    }
}

bool tti_metric_better(int kind, double a, double b) {
    return kind == TTI_METRIC_LOSS ? a < b : a > b;
}

void tti_json_number(tti_str *out, const char *prefix, const char *key, double v) {
    tti_str_printf(out, ", \"%s%s\": ", prefix, key);
    if (isfinite(v))
        tti_str_printf(out, "%.9g", v);
    else
        tti_str_puts(out, "null");
}

void tti_scores_json(tti_str *out, const tti_scores *s, const char *prefix) {
    tti_str_printf(out, "\"%ssamples\": %zu", prefix, s->n);
    tti_json_number(out, prefix, "loss", s->loss);
    if (s->regression) {
        tti_json_number(out, prefix, "pearson", s->r.pearson);
        tti_json_number(out, prefix, "spearman", s->r.spearman);
    } else {
        tti_json_number(out, prefix, "accuracy", s->c.accuracy);
        tti_json_number(out, prefix, "macro_f1", s->c.macro_f1);
        tti_json_number(out, prefix, "mcc", s->c.mcc);
    }
}
