// SPDX-License-Identifier: Apache-2.0
/* scorer.c - one sequence is kept: the first rows of the cache. What several texts have in common
 * is read once into it; what they do not, each computes beside the others behind the same kept
 * rows, and its own keys go to rows at the end of the cache that nobody reads. */
#include <math.h>
#include <string.h>
#include "host/eval/scorer.h"

enum { ROWS = 512 };

struct tti_scorer {
    tti_device *dev;
    tti_model *model;
    int att_rows;
    size_t longest, rows; /* tokens kept at most; rows of a run */
    tti_graph *graph;
    tti_forward_out out;
    tti_plan *plan;
    tti_exec *exec;
    cl_mem *cache, loss;
    size_t ncaches;
    int32_t *ids, *pos, *posid, *type, *seq, *row, *lab_row, *lab_id, *blk, *off,
        *range;     /* inputs */
    int32_t *words; /* their memory */
    tti_feed feed;
    int32_t *kept; /* tokens whose keys are in the cache */
    size_t nkept;
    float *losses; /* [rows] of a run */
    size_t *owner; /* [rows]: the text of a judged row */
    size_t computed;
};

/* ---- set-up ---- */

static tt_status build(tti_scorer *s, tti_gemm *gemm) {
    const tti_caps *caps = tti_device_caps(s->dev);
    const tti_forward_opts f = {.loss = true, .cache_rows = s->longest + s->rows};
    tti_rows max = {{0}};
    max.n[TTI_ROWS_SEL] = max.n[TTI_ROWS_LAB] = s->rows;
    max.n[TTI_ROWS_BLK_SEL] = s->rows;
    max.n[TTI_ROWS_SEQ] = s->rows - 1; /* as many as rows would choose attention for single rows */
    max.n[TTI_ROWS_SEQ1] = s->rows;
    if (!(s->graph = tti_graph_new())) return TT_E_NOMEM;
    TT_TRY(tti_model_forward(s->model, s->graph, &f, &s->out));
    TT_TRY(tti_graph_finish(s->graph));
    TT_TRY(tti_plan_new(&s->plan, s->graph, &max, caps->align, caps->max_alloc));
    return tti_exec_new(&s->exec, s->dev, gemm, s->graph, s->plan);
}

static tt_status bind(tti_scorer *s) {
    const tti_rows none = {{0}};
    const size_t bytes = tti_shape_bytes(tti_val_shape(s->graph, s->out.cache), &none);
    s->ncaches = 2 * (size_t)tti_model_get_info(s->model)->layers;
    if (!(s->cache = tti_calloc(s->ncaches, sizeof *s->cache))) return TT_E_NOMEM;
    for (size_t i = 0; i < s->ncaches; i++) {
        TT_TRY(tti_mem_new(&s->cache[i], s->dev, bytes, TTI_MEM_ACTIVATIONS, false));
        tti_exec_bind(s->exec, s->out.cache + (tti_val)i, s->cache[i]);
    }
    TT_TRY(
        tti_mem_new(&s->loss, s->dev, tti_device_caps(s->dev)->align, TTI_MEM_ACTIVATIONS, true));
    tti_exec_bind(s->exec, s->out.loss, s->loss);
    return tti_model_bind(s->model, s->graph, s->exec);
}

static tt_status lay_inputs(tti_scorer *s) {
    const struct {
        tti_input in;
        int32_t **at;
        size_t of; /* words a row */
    } list[] = {{TTI_IN_IDS_SEL, &s->ids, 1},     {TTI_IN_POS_SEL, &s->pos, 1},
                {TTI_IN_POSID_SEL, &s->posid, 1}, {TTI_IN_TYPE_SEL, &s->type, 1},
                {TTI_IN_SEQ_SEL, &s->seq, 1},     {TTI_IN_CACHE_ROW, &s->row, 1},
                {TTI_IN_LAB_ROW, &s->lab_row, 1}, {TTI_IN_LAB_ID, &s->lab_id, 1},
                {TTI_IN_OFF_SEL, &s->off, 2},     {TTI_IN_CACHE, &s->range, 2},
                {TTI_IN_BLK_SEL, &s->blk, 4}};
    size_t words = 0;
    for (size_t i = 0; i < TT_COUNT(list); i++) words += list[i].of * s->rows;
    s->words = tti_calloc(words, sizeof *s->words);
    s->kept = tti_calloc(s->longest, sizeof *s->kept);
    s->losses = tti_calloc(s->rows, sizeof *s->losses);
    s->owner = tti_calloc(s->rows, sizeof *s->owner);
    if (!s->words || !s->kept || !s->losses || !s->owner) return TT_E_NOMEM;
    int32_t *at = s->words;
    for (size_t i = 0; i < TT_COUNT(list); i++) {
        s->feed.data[list[i].in] = *list[i].at = at;
        at += list[i].of * s->rows;
    }
    return TT_OK;
}

tt_status tti_scorer_new(tti_scorer **out, tti_device *d, tti_gemm *gemm, tti_model *model,
                         size_t longest, size_t rows) {
    const tti_model_info *info = tti_model_get_info(model);
    if (info->task != TTI_TASK_CAUSAL)
        return tti_fail(TT_E_ARG, "%s: predicts no tokens", info->architecture);
    tti_scorer *s = tti_calloc(1, sizeof *s);
    if (!s) return TT_E_NOMEM;
    s->dev = d;
    s->model = model;
    s->att_rows = tti_device_caps(d)->att_rows;
    s->longest = TT_MAX(longest, (size_t)2);
    s->rows = rows ? TT_MAX(rows, (size_t)2) : ROWS;
    tt_status st = build(s, gemm);
    if (st == TT_OK) st = bind(s);
    if (st == TT_OK) st = lay_inputs(s);
    if (st == TT_OK)
        *out = s;
    else
        tti_scorer_free(s);
    return st;
}

void tti_scorer_free(tti_scorer *s) {
    if (!s) return;
    tti_device_finish(s->dev);
    tti_exec_free(s->exec);
    tti_plan_free(s->plan);
    tti_graph_free(s->graph);
    for (size_t i = 0; s->cache && i < s->ncaches; i++) tti_mem_free(s->dev, s->cache[i]);
    tti_mem_free(s->dev, s->loss);
    tti_free(s->cache);
    tti_free(s->words);
    tti_free(s->kept);
    tti_free(s->losses);
    tti_free(s->owner);
    tti_free(s);
}

size_t tti_scorer_computed(const tti_scorer *s) { return s->computed; }

/* ---- runs ---- */

static void clear(tti_scorer *s) {
    memset(&s->feed.rows, 0, sizeof s->feed.rows);
    s->off[0] = 0;
}

static size_t filled(const tti_scorer *s) { return s->feed.rows.n[TTI_ROWS_SEL]; }

/* Tokens first .. first+count-1 of a text as a sequence of the run, behind the kept ones. keep:
 * their keys stay. `who` is the text in the caller's terms. */
static void put(tti_scorer *s, const tti_scored *t, size_t first, size_t count, bool keep,
                size_t who) {
    size_t *n = s->feed.rows.n;
    const size_t b = n[TTI_ROWS_SEQ]++, a = (size_t)s->att_rows;
    s->range[2 * b] = 0;
    s->range[2 * b + 1] = (int32_t)s->nkept;
    for (size_t i = 0; i < count; i++) {
        const size_t r = n[TTI_ROWS_SEL]++, at = first + i;
        s->ids[r] = t->ids[at];
        s->pos[r] = (int32_t)at;
        s->posid[r] = tti_model_get_info(s->model)->posid_offset + s->pos[r];
        s->seq[r] = (int32_t)b;
        s->row[r] = (int32_t)(keep ? at : s->longest + r);
        if (at + 1 >= t->from && at + 1 < t->n) {
            const size_t l = n[TTI_ROWS_LAB]++;
            s->lab_row[l] = (int32_t)r;
            s->lab_id[l] = t->ids[at + 1];
            s->owner[l] = who;
        }
        if (i % a) continue;
        int32_t *k = s->blk + 4 * n[TTI_ROWS_BLK_SEL]++;
        k[0] = (int32_t)r;
        k[1] = (int32_t)TT_MIN(a, count - i);
        k[2] = (int32_t)b;
    }
    s->off[b + 1] = (int32_t)n[TTI_ROWS_SEL];
    n[TTI_ROWS_SEQ1] = b + 2;
}

static tt_status run(tti_scorer *s, double *loglik) {
    const size_t judged = s->feed.rows.n[TTI_ROWS_LAB];
    if (filled(s) == 0) return TT_OK;
    s->exec->loss_scale = 1;
    TT_TRY(tti_exec_run(s->exec, &s->feed));
    s->computed += filled(s);
    if (judged > 0) TT_TRY(tti_exec_read(s->exec, s->out.row_loss, s->losses, judged));
    for (size_t l = 0; l < judged; l++) {
        if (!isfinite(s->losses[l]))
            return tti_fail(TT_E_NUMERIC,
                            "the loss of token %d is no finite number; the weights "
                            "are unusable",
                            (int)s->lab_id[l]);
        loglik[s->owner[l]] -= (double)s->losses[l];
    }
    clear(s);
    return TT_OK;
}

/* Reads tokens nkept .. end-1 of a text into the cache, judging those that are to be. */
static tt_status extend(tti_scorer *s, const tti_scored *t, size_t end, size_t who,
                        double *loglik) {
    while (s->nkept < end) {
        const size_t count = TT_MIN(end - s->nkept, s->rows);
        put(s, t, s->nkept, count, true, who);
        TT_TRY(run(s, loglik));
        memcpy(s->kept + s->nkept, t->ids + s->nkept, count * sizeof *s->kept);
        s->nkept += count;
    }
    return TT_OK;
}

static size_t common(const int32_t *a, const int32_t *b, size_t n) {
    size_t i = 0;
    while (i < n && a[i] == b[i]) i++;
    return i;
}

static tt_status check(const tti_scorer *s, const tti_scored *texts, size_t n) {
    const int vocab = tti_model_get_info(s->model)->vocab;
    for (size_t i = 0; i < n; i++) {
        if (texts[i].from < 1 || texts[i].from >= texts[i].n || texts[i].n > s->longest + 1)
            return tti_fail(TT_E_ARG, "a text of %zu tokens judged from %zu on; at most %zu",
                            texts[i].n, texts[i].from, s->longest + 1);
        for (size_t k = 0; k < texts[i].n; k++)
            if (texts[i].ids[k] < 0 || texts[i].ids[k] >= vocab)
                return tti_fail(TT_E_DATA,
                                "token id %d: the model has %d; the tokenizer belongs to another "
                                "model",
                                (int)texts[i].ids[k], vocab);
    }
    return TT_OK;
}

/* A text equal to an earlier one, or i: so that equal texts have equal results. */
static size_t same_as(const tti_scored *texts, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (texts[k].n == texts[i].n && texts[k].from == texts[i].from &&
            common(texts[k].ids, texts[i].ids, texts[i].n) == texts[i].n)
            return k;
    return i;
}

tt_status tti_scorer_run(tti_scorer *s, const tti_scored *texts, size_t n, double *loglik) {
    TT_TRY(check(s, texts, n));
    if (n == 0) return TT_OK;
    size_t shared = texts[0].from - 1;
    for (size_t i = 0; i < n; i++) {
        shared = TT_MIN(shared, texts[i].from - 1);
        shared = common(texts[0].ids, texts[i].ids, shared);
        loglik[i] = 0;
    }
    clear(s);
    s->nkept = common(s->kept, texts[0].ids, TT_MIN(s->nkept, shared));
    TT_TRY(extend(s, &texts[0], shared, 0, loglik));
    for (size_t i = 0; i < n; i++) {
        const size_t count = texts[i].n - 1 - shared;
        if (same_as(texts, i) != i) continue;
        if (count > s->rows) { /* in pieces, alone; what it keeps is forgotten again */
            TT_TRY(run(s, loglik));
            TT_TRY(extend(s, &texts[i], texts[i].n - 1, i, loglik));
            s->nkept = shared;
            continue;
        }
        if (filled(s) + count > s->rows || s->feed.rows.n[TTI_ROWS_SEQ] == s->rows - 1)
            TT_TRY(run(s, loglik));
        put(s, &texts[i], shared, count, false, i);
    }
    TT_TRY(run(s, loglik));
    for (size_t i = 0; i < n; i++) loglik[i] = loglik[same_as(texts, i)];
    return TT_OK;
}
