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
    int att_rows;
    bool dense_ids;
    tti_batch_order *order;
    uint64_t per_epoch, total;
    uint32_t epoch; /* where order stands */
    tti_batch *batch;
    tti_sequence *seqs; /* of the step in hand: batch * accumulate at most */
    size_t nseqs;
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

/* ---- planned rows ---- */

static void raise(tti_steps *s, tti_rows *most, size_t from, size_t n) {
    tti_rows r = tti_batch_rows(&s->info, s->att_rows, s->lengths + from, s->selected + from, n);
    tti_rows_raise(most, &r);
}

static tti_rows count_all(tti_steps *s) {
    tti_rows most = {{0}};
    size_t vocab = (size_t)s->info.vocab, step_uniq = 0;
    for (uint64_t step = 1; step <= s->total; step++) {
        size_t n, selected = 0;
        const uint32_t *of = step_samples(s, step, &n);
        for (size_t i = 0; i < n; i++) {
            s->lengths[i] = tti_samples_length(s->samples, of[i]);
            s->selected[i] = tti_select_count(s->o.keep, s->lengths[i]);
            selected += s->selected[i];
        }
        for (size_t i = 0; i < n; i += s->o.batch) raise(s, &most, i, TT_MIN(s->o.batch, n - i));
        step_uniq = TT_MAX(step_uniq, TT_MIN(selected, vocab));
    }
    most.n[TTI_ROWS_STEP_UNIQ] = step_uniq;
    return most;
}

/* A batch of nothing but longest samples. */
static tti_rows worst_case(const tti_steps *s) {
    size_t longest = s->samples->longest, batch = TT_MIN(s->o.batch, s->samples->n);
    size_t selected = tti_select_count(s->o.keep, longest);
    return tti_batch_bounds(&s->info, s->att_rows, batch, batch * longest, batch * selected,
                            s->o.accumulate);
}

tti_rows tti_steps_rows(tti_steps *s) {
    uint64_t epochs = (s->total + s->per_epoch - 1) / s->per_epoch;
    if (epochs > LOOK_AT_MOST / s->samples->n) return worst_case(s);
    return count_all(s);
}

/* ---- steps ---- */

static tt_status draw(tti_steps *s, uint64_t step) {
    size_t need = 0;
    for (size_t i = 0; i < s->nseqs; i++) need += s->seqs[i].n;
    TT_TRY(TTI_GROW(s->positions, s->positions_cap, need));
    int32_t *at = s->positions;
    for (size_t i = 0; i < s->nseqs; i++) {
        tti_sequence *q = &s->seqs[i];
        size_t count = tti_select_count(s->o.keep, q->n);
        if (count == q->n) continue;
        tti_select_draw(at, count, q->n, s->o.seed, (uint32_t)step, q->number);
        q->selected = at;
        q->nselected = count;
        at += count;
    }
    return TT_OK;
}

tt_status tti_steps_begin(tti_steps *s, uint64_t step, tti_step *out) {
    size_t n;
    const uint32_t *of = step_samples(s, step, &n);
    s->nseqs = n;
    *out = (tti_step){.sequences = n, .read = &s->read, .gradient = &s->gradient};
    for (size_t i = 0; i < n; i++) {
        s->seqs[i] = tti_samples_at(s->samples, of[i]);
        s->seqs[i].number = (uint32_t)i;
        out->tokens += s->seqs[i].n;
    }
    TT_TRY(draw(s, step));
    s->read.n = s->gradient.n = 0;
    TT_TRY(tti_idset_add(&s->read, &s->info, s->seqs, n, false));
    TT_TRY(tti_idset_add(&s->gradient, &s->info, s->seqs, n, true));
    out->micros = (n + s->o.batch - 1) / s->o.batch;
    return TT_OK;
}

tt_status tti_steps_batch(tti_steps *s, size_t m, const tti_feed **feed) {
    size_t from = m * s->o.batch;
    TT_TRY(tti_batch_fill(s->batch, &s->info, s->att_rows, s->seqs + from,
                          TT_MIN(s->o.batch, s->nseqs - from), s->gradient.id, s->gradient.n,
                          s->dense_ids));
    *feed = tti_batch_feed(s->batch);
    return TT_OK;
}
