// SPDX-License-Identifier: Apache-2.0
/* harness.c - multiple choice by likelihood. */
#include <math.h>
#include <string.h>
#include "host/eval/harness.h"
#include "host/eval/pytext.h"

typedef struct {
    tti_scorer *scorer;
    tti_pairs *pairs;
    const tti_choice_opts *o;
    tti_str shots;  /* the examples, written once */
    tti_str before; /* description and examples of the question in hand */
    tti_str context, continuation;
} job;

/* {subject} as MMLU's names are read: without underlines. */
static void add_description(tti_str *out, const char *text, const char *subject) {
    static const char mark[] = "{subject}";
    for (const char *at; subject && (at = strstr(text, mark)); text = at + strlen(mark)) {
        tti_str_add(out, text, (size_t)(at - text));
        tti_py_replace(out, subject, "_", " ");
    }
    tti_str_puts(out, text);
}

static tt_status write_shots(job *j, const tti_choice_opts *o, tti_choice_shape shape) {
    tti_questions q = {0};
    if (o->shots == 0) return TT_OK;
    if (!o->examples)
        return tti_fail(TT_E_ARG, "%zu examples are asked for; name the file they are in",
                        o->shots);
    TT_TRY(tti_questions_read(&q, o->examples, shape, o->shots));
    tt_status s = TT_OK;
    if (q.n < o->shots)
        s = tti_fail(TT_E_DATA, "%s: %zu examples, %zu are asked for", o->examples, q.n, o->shots);
    for (size_t i = 0; i < q.n; i++) tti_question_example(&j->shots, &q.at[i]);
    tti_questions_free(&q);
    return s == TT_OK ? j->shots.status : s;
}

/* ---- one question ---- */

static tt_status encode(job *j, const tti_question *q, tti_scored *texts) {
    j->before.len = 0;
    tti_str_puts(&j->before, "");
    if (j->o->description) add_description(&j->before, j->o->description, q->subject);
    if (j->shots.len > 0) tti_str_add(&j->before, j->shots.p, j->shots.len);
    TT_TRY(j->before.status);
    for (size_t i = 0; i < q->n; i++) {
        j->context.len = j->continuation.len = 0;
        tti_question_ask(&j->context, &j->continuation, q, i, j->before.len ? j->before.p : "");
        TT_TRY(j->context.status);
        TT_TRY(j->continuation.status);
        TT_TRY(tti_pairs_encode(j->pairs, j->context.p, j->context.len, j->continuation.p,
                                j->continuation.len, &texts[i]));
    }
    return TT_OK;
}

static tt_status score(job *j, const tti_question *q, double *loglik) {
    tti_scored *texts = tti_calloc(q->n, sizeof *texts);
    if (!texts) return TT_E_NOMEM;
    tt_status s = encode(j, q, texts);
    if (s == TT_OK) s = tti_scorer_run(j->scorer, texts, q->n, loglik);
    for (size_t i = 0; i < q->n; i++) tti_free((int32_t *)(uintptr_t)texts[i].ids);
    tti_free(texts);
    return s;
}

typedef enum { PLAIN, BY_CHARACTERS, BY_BYTES } norm;

/* The first of the largest, as numpy's argmax. */
static size_t best(const tti_question *q, const double *loglik, norm how) {
    size_t at = 0;
    double most = 0;
    for (size_t i = 0; i < q->n; i++) {
        const char *c = q->choices[i];
        const double by = how == PLAIN      ? 1.0
                          : how == BY_BYTES ? (double)strlen(c)
                                            : (double)tti_py_len(c, strlen(c));
        const double v = loglik[i] / by;
        if (i == 0 || v > most) most = v, at = i;
    }
    return at;
}

static double true_share(const tti_question *q, const double *loglik) {
    double most = -INFINITY, all = 0, right = 0;
    for (size_t i = 0; i < q->n; i++) most = fmax(most, loglik[i]);
    for (size_t i = 0; i < q->n; i++) {
        const double p = exp(loglik[i] - most);
        all += p;
        right += q->truth[i] ? p : 0;
    }
    return right / all;
}

typedef struct {
    double acc, acc_norm, acc_bytes;
} verdict;

static verdict judge(const tti_question *q, const double *loglik) {
    if (q->truth) return (verdict){.acc = true_share(q, loglik)};
    return (verdict){best(q, loglik, PLAIN) == q->gold, best(q, loglik, BY_CHARACTERS) == q->gold,
                     best(q, loglik, BY_BYTES) == q->gold};
}

static tt_status tell(const job *j, const tti_question *q, const double *loglik, const verdict *v) {
    tti_str s = {0};
    if (!j->o->each) return TT_OK;
    tti_str_printf(&s, "{\"line\": %zu, \"gold\": %zu, \"loglik\": [", q->line, q->gold);
    for (size_t i = 0; i < q->n; i++) tti_str_printf(&s, "%s%.9g", i > 0 ? ", " : "", loglik[i]);
    tti_str_printf(&s, "], \"acc\": %.15g", v->acc);
    if (!q->truth)
        tti_str_printf(&s, ", \"acc_norm\": %g, \"acc_bytes\": %g", v->acc_norm, v->acc_bytes);
    tti_str_puts(&s, "}\n");
    tt_status st = s.status;
    if (st == TT_OK && fwrite(s.p, 1, s.len, j->o->each) != s.len)
        st = tti_fail(TT_E_IO, "the file of answers cannot be written");
    tti_str_free(&s);
    return st;
}

/* Standard error of a mean, by the sample's deviation. */
static double standard_error(double sum, double squares, size_t n) {
    if (n < 2) return 0;
    const double mean = sum / (double)n;
    return sqrt(fmax(squares - (double)n * mean * mean, 0) / (double)(n - 1) / (double)n);
}

static tt_status all(job *j, const tti_questions *q, const char *path, tti_choice_scores *out) {
    double squares[2] = {0, 0};
    for (size_t i = 0; i < q->n; i++) {
        double *loglik = tti_calloc(q->at[i].n, sizeof *loglik);
        if (!loglik) return TT_E_NOMEM;
        tt_status s = score(j, &q->at[i], loglik);
        if (s != TT_OK) s = tti_fail_in(s, "%s:%zu", path, q->at[i].line);
        if (s == TT_OK) {
            const verdict v = judge(&q->at[i], loglik);
            out->acc += v.acc;
            out->acc_norm += v.acc_norm;
            out->acc_bytes += v.acc_bytes;
            squares[0] += v.acc * v.acc;
            squares[1] += v.acc_norm * v.acc_norm;
            out->mc2 = q->at[i].truth != NULL;
            s = tell(j, &q->at[i], loglik, &v);
        }
        tti_free(loglik);
        TT_TRY(s);
    }
    out->n = q->n;
    out->acc_stderr = standard_error(out->acc, squares[0], q->n);
    out->acc_norm_stderr = standard_error(out->acc_norm, squares[1], q->n);
    out->acc /= (double)q->n;
    out->acc_norm /= (double)q->n;
    out->acc_bytes /= (double)q->n;
    return TT_OK;
}

tt_status tti_choice_evaluate(tti_choice_scores *out, tti_scorer *scorer, tti_pairs *pairs,
                              const char *path, const tti_choice_opts *o) {
    job j = {.scorer = scorer, .pairs = pairs, .o = o};
    tti_questions q = {0};
    tt_status s;
    *out = (tti_choice_scores){0};
    TT_GO(tti_questions_read(&q, path, o->shape, o->limit));
    out->shape = q.shape;
    TT_GO(write_shots(&j, o, q.shape));
    s = all(&j, &q, path, out);
done:
    tti_questions_free(&q);
    tti_str_free(&j.shots);
    tti_str_free(&j.before);
    tti_str_free(&j.context);
    tti_str_free(&j.continuation);
    return s;
}
