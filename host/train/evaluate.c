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
    float *row;           /* causal: [tokens] */
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
    o.loss = e->info.task == TTI_TASK_CAUSAL;
    tt_status s = tti_batch_new(&e->b);
    if (s == TT_OK && o.loss && !(e->row = tti_calloc(e->tokens, sizeof *e->row))) s = TT_E_NOMEM;
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
    tti_free(e->row);
    tti_free(e);
}

size_t tti_evaluator_bytes(const tti_evaluator *e) {
    tti_bytes b = tti_session_planned(e->session);
    return b.total - b.weights;
}

/* Lays out the sequences from `from` on that one run of the graph takes. */
static tt_status fill(tti_evaluator *e, const tti_sequence *seqs, size_t n, size_t from,
                      size_t *count) {
    size_t tokens = 0, k = 0;
    for (; from + k < n && k < e->batch; k++) {
        if (k > 0 && tokens + seqs[from + k].n > e->tokens) break;
        tokens += seqs[from + k].n;
    }
    *count = k;
    return tti_batch_fill(e->b, &e->info, e->att_rows, seqs + from, k, NULL, 0, false);
}

tt_status tti_evaluator_run(tti_evaluator *e, const tti_sequence *seqs, size_t n, float *logits) {
    for (size_t from = 0, count; from < n; from += count) {
        TT_TRY(fill(e, seqs, n, from, &count));
        TT_TRY(tti_session_infer(e->session, tti_batch_feed(e->b),
                                 logits + from * (size_t)e->info.num_labels, NULL));
    }
    return TT_OK;
}

tt_status tti_evaluator_losses(tti_evaluator *e, const tti_sequence *seqs, size_t n, double *loss) {
    for (size_t from = 0, count; from < n; from += count) {
        TT_TRY(fill(e, seqs, n, from, &count));
        const tti_feed *feed = tti_batch_feed(e->b);
        TT_TRY(tti_session_batch(e->session, feed, 0, 1.0f));
        TT_TRY(tti_session_row_losses(e->session, e->row, feed->rows.n[TTI_ROWS_LAB]));
        const float *row = e->row;
        for (size_t i = from; i < from + count; i++) {
            loss[i] = 0;
            for (size_t k = tti_sequence_supervised(&seqs[i]); k > 0; k--)
                loss[i] += (double)*row++;
        }
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

/* The samples in the order of their lengths, as what is computed together. Gives both. */
static tt_status sort_samples(const tti_samples *samples, by_length **order, tti_sequence **seqs) {
    const size_t n = samples->n;
    *order = tti_calloc(n, sizeof **order);
    *seqs = tti_calloc(n, sizeof **seqs);
    if (!*order || !*seqs) return TT_E_NOMEM;
    for (size_t i = 0; i < n; i++) (*order)[i] = (by_length){tti_samples_length(samples, i), i};
    qsort(*order, n, sizeof **order, compare_length);
    for (size_t i = 0; i < n; i++) (*seqs)[i] = tti_samples_at(samples, (*order)[i].sample);
    return TT_OK;
}

/* Logits in the order of the samples. */
static tt_status all_logits(tti_evaluator *e, const tti_samples *samples, float *logits) {
    size_t n = samples->n, labels = (size_t)e->info.num_labels;
    by_length *order = NULL;
    tti_sequence *seqs = NULL;
    float *sorted = tti_calloc(n, labels * sizeof *sorted);
    tt_status s = sorted ? TT_OK : TT_E_NOMEM;
    TT_GO(s);
    TT_GO(sort_samples(samples, &order, &seqs));
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

static tt_status causal(tti_evaluator *e, const tti_samples *samples, tti_scores *out) {
    by_length *order = NULL;
    tti_sequence *seqs = NULL;
    double *loss = tti_calloc(samples->n, sizeof *loss), sum = 0;
    tt_status s = loss ? TT_OK : TT_E_NOMEM;
    TT_GO(s);
    TT_GO(sort_samples(samples, &order, &seqs));
    TT_GO(tti_evaluator_losses(e, seqs, samples->n, loss));
    for (size_t i = 0; i < samples->n; i++) {
        out->tokens += tti_sequence_supervised(&seqs[i]);
        sum += loss[i];
        if (!isfinite(loss[i]))
            TT_GO(tti_fail(TT_E_NUMERIC,
                           "evaluation: sample %zu has a loss that is no finite number; the "
                           "weights are unusable",
                           order[i].sample + 1));
    }
    out->loss = out->tokens > 0 ? sum / (double)out->tokens : 0;
    out->perplexity = exp(out->loss);
done:
    tti_free(order);
    tti_free(seqs);
    tti_free(loss);
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
    *out = (tti_scores){.n = samples->n,
                        .regression = e->info.task == TTI_TASK_REGRESS,
                        .causal = e->info.task == TTI_TASK_CAUSAL};
    if (out->causal) return causal(e, samples, out);
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

tt_status tti_metric_resolve(int *kind, tti_task task) {
    static const struct {
        tti_metric_kind usual, first, last;
        const char *all;
    } of[] = {[TTI_TASK_CLASSIFY] = {TTI_METRIC_ACCURACY, TTI_METRIC_ACCURACY, TTI_METRIC_MCC,
                                     "loss, accuracy, f1, mcc"},
              [TTI_TASK_REGRESS] = {TTI_METRIC_PEARSON, TTI_METRIC_PEARSON, TTI_METRIC_SPEARMAN,
                                    "loss, pearson, spearman"},
              [TTI_TASK_CAUSAL] = {TTI_METRIC_LOSS, TTI_METRIC_LOSS, TTI_METRIC_LOSS, "loss"}};
    if (*kind == TTI_METRIC_AUTO) *kind = (int)of[task].usual;
    if (*kind == TTI_METRIC_LOSS || (*kind >= (int)of[task].first && *kind <= (int)of[task].last))
        return TT_OK;
    return tti_fail(TT_E_ARG, "train.best: %s is no metric of this task; expected one of %s",
                    names[*kind], of[task].all);
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
    if (s->causal) {
        tti_str_printf(out, ", \"%stokens\": %zu", prefix, s->tokens);
        tti_json_number(out, prefix, "perplexity", s->perplexity);
    } else if (s->regression) {
        tti_json_number(out, prefix, "pearson", s->r.pearson);
        tti_json_number(out, prefix, "spearman", s->r.spearman);
    } else {
        tti_json_number(out, prefix, "accuracy", s->c.accuracy);
        tti_json_number(out, prefix, "macro_f1", s->c.macro_f1);
        tti_json_number(out, prefix, "mcc", s->c.mcc);
    }
}
