// SPDX-License-Identifier: Apache-2.0
/* evaluate.h - forward passes over any number of sequences, and how good they are. */
#ifndef TT_HOST_TRAIN_EVALUATE_H
#define TT_HOST_TRAIN_EVALUATE_H

#include "host/data/metrics.h"
#include "host/train/samples.h"
#include "host/train/session.h"

typedef struct tti_evaluator tti_evaluator;
/* Ready for sequences of up to `longest` tokens, in batches of at most `batch` sequences and about
 * `batch` times 128 tokens (one sequence may be longer). Borrows d, gemm, model, which may be
 * training: call tti_session_flush before each run then. Gives *out. */
tt_status tti_evaluator_new(tti_evaluator **out, tti_device *d, tti_gemm *gemm, tti_model *model,
                            size_t longest, size_t batch);
void tti_evaluator_free(tti_evaluator *e); /* NULL is a no-op */
/* Rows that it plans for. */
tti_rows tti_evaluator_rows(const tti_model_info *info, int att_rows, size_t longest, size_t batch);
/* Device bytes it holds besides the model's. */
size_t tti_evaluator_bytes(const tti_evaluator *e);
/* Logits [n, num_labels] of n sequences, in their order. Sequences of like length that follow each
 * other are computed fastest. */
tt_status tti_evaluator_run(tti_evaluator *e, const tti_sequence *seqs, size_t n, float *logits);

/* Causal: the sum of the losses of each sequence's supervised rows (all its rows are computed), in
 * nats. */
tt_status tti_evaluator_losses(tti_evaluator *e, const tti_sequence *seqs, size_t n, double *loss);

/* Probabilities of one row of logits, in double precision; sums to 1. */
void tti_softmax(double *p, const float *logits, size_t n);

/* In the order of the choices of train.best. */
typedef enum {
    TTI_METRIC_AUTO,
    TTI_METRIC_LOSS,
    TTI_METRIC_ACCURACY,
    TTI_METRIC_F1,
    TTI_METRIC_MCC,
    TTI_METRIC_PEARSON,
    TTI_METRIC_SPEARMAN
} tti_metric_kind;

typedef struct {
    size_t n;
    bool regression, causal;
    double loss; /* mean cross-entropy (causal: of the supervised tokens), or mean squared error */
    size_t tokens;     /* causal: supervised ones */
    double perplexity; /* causal: exp(loss) */
    tti_class_metrics c;
    tti_regress_metrics r;
} tti_scores;

/* All samples, against their labels or targets. */
tt_status tti_evaluate(tti_evaluator *e, const tti_samples *samples, tti_scores *out);
/* AUTO for a task: accuracy, pearson or loss. A metric of another task: TT_E_ARG. */
tt_status tti_metric_resolve(int *kind, tti_task task);
const char *tti_metric_name(int kind);
double tti_scores_get(const tti_scores *s, int kind);
bool tti_metric_better(int kind, double a, double b); /* a is better than b; NaN never is */
/* Appends "key": value pairs, each key behind prefix: "eval_loss": 0.1, "eval_accuracy": ... */
void tti_scores_json(tti_str *out, const tti_scores *s, const char *prefix);
/* Appends ", "loss": 0.5" or, where a number is not finite, null. */
void tti_json_number(tti_str *out, const char *prefix, const char *key, double v);

#endif
