// SPDX-License-Identifier: Apache-2.0
/* steps.c - samples, selections and batches by step. */
#include <math.h>
#include "host/data/batch_order.h"
#include "host/train/steps.h"

enum { LOOK_AT_MOST = 20000000 }; /* samples, all epochs together, when rows are counted */

struct tti_steps {
    const tti_samples *samples;
    tti_model_info info;
    tti_steps_opts o;
    tti_selector selector;
    int att_rows;
    bool dense_ids;
    tti_batch_order *order;
    uint64_t per_epoch, total;
    uint32_t epoch; /* where order stands */
    tti_batch *batch;
    tti_sequence *seqs; /* of the step in hand: batch * accumulate at most */
    size_t nseqs;
    const uint32_t *of; /* their samples; while order stands there */
    uint64_t step;
    float *loss; /* LOSS: by token of the step in hand */
    size_t loss_cap;
    size_t *lengths, *selected; /* scratch of the counts */
    int32_t *positions;
    size_t positions_cap;
    tti_idset read, gradient;
};

void tti_steps_free(tti_steps *s) {
    if (!s) return;
    tti_batch_order_free(s->order);
    tti_batch_free(s->batch);
    tti_free(s->seqs);
    tti_free(s->lengths);
    tti_free(s->selected);
    tti_free(s->positions);
    tti_free(s->loss);
    tti_idset_free(&s->read);
    tti_idset_free(&s->gradient);
    tti_free(s);
}

static tt_status make_order(tti_steps *s) {
    size_t n = s->samples->n, group = s->o.batch * s->o.accumulate;
    size_t *lengths = tti_calloc(n, sizeof *lengths);
    if (!lengths) return TT_E_NOMEM;
    for (size_t i = 0; i < n; i++) lengths[i] = tti_samples_length(s->samples, i);
    tt_status st = tti_batch_order_new(&s->order, lengths, n, group, TTI_BATCH_GROUP, s->o.seed);
    tti_free(lengths);
    return st;
}

static tt_status start(tti_steps *s) {
    size_t room = TT_MIN(s->o.batch * s->o.accumulate, s->samples->n);
    TT_TRY(make_order(s));
    TT_TRY(tti_batch_new(&s->batch));
    s->seqs = tti_calloc(room, sizeof *s->seqs);
    s->lengths = tti_calloc(room, sizeof *s->lengths);
    s->selected = tti_calloc(room, sizeof *s->selected);
    if (!s->seqs || !s->lengths || !s->selected) return TT_E_NOMEM;
    s->per_epoch = tti_batch_order_count(s->order);
    double by_epochs = ceil(s->o.epochs * (double)s->per_epoch);
    s->total = s->o.steps > 0 ? s->o.steps : (uint64_t)fmax(by_epochs, 1.0);
    if (s->total > INT32_MAX)
        return tti_fail(TT_E_ARG, "train.epochs: %g make %.0f steps, at most %d can be counted",
                        s->o.epochs, (double)s->total, INT32_MAX);
    return TT_OK;
}

tt_status tti_steps_new(tti_steps **out, const tti_samples *samples, const tti_model_info *info,
                        int att_rows, bool dense_ids, const tti_steps_opts *o) {
    tti_steps *s = tti_calloc(1, sizeof *s);
    if (!s) return TT_E_NOMEM;
    s->samples = samples;
    s->info = *info;
    s->att_rows = att_rows;
    s->dense_ids = dense_ids;
    s->o = *o;
    s->selector = (tti_selector){.policy = o->policy,
                                 .decoder = info->decoder,
                                 .keep = o->keep,
                                 .keep_prompt = o->keep_prompt,
                                 .keep_answer = o->keep_answer,
                                 .temperature = o->temperature,
                                 .seed = o->seed};
    tt_status st = start(s);
    if (st == TT_OK)
        *out = s;
    else
        tti_steps_free(s);
    return st;
}

uint64_t tti_steps_total(const tti_steps *s) { return s->total; }
uint64_t tti_steps_per_epoch(const tti_steps *s) { return s->per_epoch; }

/* The samples of a step. */
static const uint32_t *step_samples(tti_steps *s, uint64_t step, size_t *n) {
    uint32_t epoch = (uint32_t)((step - 1) / s->per_epoch);
    if (epoch != s->epoch) tti_batch_order_epoch(s->order, epoch);
    s->epoch = epoch;
    return tti_batch_order_at(s->order, (size_t)((step - 1) % s->per_epoch), n);
}

static tti_choice choice_of(const tti_steps *s, size_t sample) {
    return (tti_choice){.n = tti_samples_length(s->samples, sample),
                        .prompt = s->samples->prompt ? s->samples->prompt[sample] : 0,
                        .next =
                            s->samples->next ? s->samples->next + s->samples->start[sample] : NULL};
}

/* ---- planned rows ---- */

static void raise(tti_steps *s, tti_rows *most, size_t from, size_t n) {
    tti_rows r = tti_batch_rows(&s->info, s->att_rows, s->lengths + from, s->selected + from, n);
    tti_rows_raise(most, &r);
}

/* all: every row is selected */
static tti_rows count_all(tti_steps *s, bool all) {
    tti_rows most = {{0}};
    size_t vocab = (size_t)s->info.vocab, step_uniq = 0;
    for (uint64_t step = 1; step <= s->total; step++) {
        size_t n, selected = 0;
        const uint32_t *of = step_samples(s, step, &n);
        for (size_t i = 0; i < n; i++) {
            const tti_choice c = choice_of(s, of[i]);
            s->lengths[i] = c.n;
            s->selected[i] = all ? c.n : tti_selected(&s->selector, &c);
            selected += s->selected[i];
        }
        for (size_t i = 0; i < n; i += s->o.batch) raise(s, &most, i, TT_MIN(s->o.batch, n - i));
        step_uniq = TT_MAX(step_uniq, TT_MIN(selected, vocab));
    }
    most.n[TTI_ROWS_STEP_UNIQ] = step_uniq;
    return most;
}

/* A batch of nothing but samples with the most rows of either kind. */
static tti_rows worst_case(const tti_steps *s, bool all) {
    size_t batch = TT_MIN(s->o.batch, s->samples->n), selected = 0, others = 0;
    for (size_t i = 0; i < s->samples->n; i++) {
        const tti_choice c = choice_of(s, i);
        const size_t k = all ? c.n : tti_selected(&s->selector, &c);
        selected = TT_MAX(selected, k);
        others = TT_MAX(others, c.n - k);
    }
    return tti_batch_bounds(&s->info, s->att_rows, batch, batch * (selected + others),
                            batch * selected, s->o.accumulate);
}

static tti_rows most_rows(tti_steps *s, bool all) {
    uint64_t epochs = (s->total + s->per_epoch - 1) / s->per_epoch;
    if (epochs > LOOK_AT_MOST / s->samples->n) return worst_case(s, all);
    return count_all(s, all);
}

tti_rows tti_steps_rows(tti_steps *s) { return most_rows(s, false); }
tti_rows tti_steps_scout_rows(tti_steps *s) { return most_rows(s, true); }

/* ---- steps ---- */

static tt_status draw(tti_steps *s) {
    size_t need = 0;
    for (size_t i = 0; i < s->nseqs; i++) need += s->seqs[i].n;
    TT_TRY(TTI_GROW(s->positions, s->positions_cap, need));
    int32_t *at = s->positions;
    const float *loss = s->loss;
    for (size_t i = 0; i < s->nseqs; i++) {
        tti_sequence *q = &s->seqs[i];
        tti_choice c = choice_of(s, s->of[i]);
        c.step = (uint32_t)s->step;
        c.number = q->number;
        c.loss = loss;
        if (loss) loss += q->n;
        size_t count = tti_selected(&s->selector, &c);
        if (count == q->n) continue;
        TT_TRY(tti_select(at, &s->selector, &c));
        q->selected = at;
        q->nselected = count;
        at += count;
    }
    return TT_OK;
}

tt_status tti_steps_choose(tti_steps *s, tti_step *out) {
    TT_TRY(draw(s));
    s->gradient.n = out->supervised = 0;
    TT_TRY(tti_idset_add(&s->gradient, &s->info, s->seqs, s->nseqs, true));
    for (size_t i = 0; i < s->nseqs; i++) out->supervised += tti_sequence_supervised(&s->seqs[i]);
    const bool causal = s->info.task == TTI_TASK_CAUSAL;
    out->loss_scale = 1.0f / (float)(causal ? TT_MAX(out->supervised, 1) : s->nseqs);
    return TT_OK;
}

tt_status tti_steps_begin(tti_steps *s, uint64_t step, tti_step *out) {
    size_t n;
    s->of = step_samples(s, step, &n);
    s->nseqs = n;
    s->step = step;
    *out = (tti_step){.sequences = n, .read = &s->read, .gradient = &s->gradient};
    for (size_t i = 0; i < n; i++) {
        s->seqs[i] = tti_samples_at(s->samples, s->of[i]);
        s->seqs[i].number = (uint32_t)i;
        out->tokens += s->seqs[i].n;
    }
    s->read.n = 0;
    TT_TRY(tti_idset_add(&s->read, &s->info, s->seqs, n, false));
    out->micros = (n + s->o.batch - 1) / s->o.batch;
    if (s->o.policy != TTI_SELECT_LOSS) return tti_steps_choose(s, out);
    return TTI_GROW(s->loss, s->loss_cap, out->tokens);
}

/* ---- the first pass of the policy LOSS ---- */

static size_t of_micro(const tti_steps *s, size_t m, size_t *from) {
    *from = m * s->o.batch;
    return TT_MIN(s->o.batch, s->nseqs - *from);
}

tt_status tti_steps_scout(tti_steps *s, size_t m, const tti_feed **feed) {
    size_t from, n = of_micro(s, m, &from);
    TT_TRY(tti_batch_fill(s->batch, &s->info, s->att_rows, s->seqs + from, n, NULL, 0, false));
    *feed = tti_batch_feed(s->batch);
    return TT_OK;
}

void tti_steps_losses(tti_steps *s, size_t m, const float *loss) {
    size_t from, n = of_micro(s, m, &from);
    float *at = s->loss;
    for (size_t i = 0; i < from; i++) at += s->seqs[i].n;
    for (size_t i = from; i < from + n; i++)
        for (size_t t = 0; t < s->seqs[i].n; t++) {
            const bool learned = s->seqs[i].next && s->seqs[i].next[t] >= 0;
            *at++ = learned ? *loss++ : 0.0f;
        }
}

tt_status tti_steps_batch(tti_steps *s, size_t m, const tti_feed **feed) {
    size_t from, n = of_micro(s, m, &from);
    TT_TRY(tti_batch_fill(s->batch, &s->info, s->att_rows, s->seqs + from, n, s->gradient.id,
                          s->gradient.n, s->dense_ids));
    *feed = tti_batch_feed(s->batch);
    return TT_OK;
}
