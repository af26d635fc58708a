// SPDX-License-Identifier: Apache-2.0
/* fidelity.c - first the gradients, all choices of a batch behind each other in one session that is
 * planned for the largest; then the times, each choice in a session as training would have it. */
#include <math.h>
#include <string.h>
#include "host/eval/fidelity.h"
#include "host/eval/gradients.h"
#include "host/train/steps.h"

typedef struct {
    tti_device *dev;
    tti_gemm *gemm;
    tti_model *model;
    const tti_samples *samples;
    const tti_fidelity_opts *o;
    tti_fidelity_result *r;
    size_t *group;     /* by parameter */
    tti_steps **steps; /* by row */
    tti_session *session, *scout;
    uint32_t step; /* of the session's optimizer */
    float *losses; /* of the scout */
    size_t tokens, selected;
} job;

/* ---- sessions ---- */

static tt_status make_steps(job *j) {
    bool sparse = false;
    for (size_t i = 0; i < tti_model_nparams(j->model); i++)
        sparse = sparse || tti_model_param(j->model, i)->sparse;
    for (size_t i = 0; i < j->r->rows; i++) {
        const tti_fidelity_choice *c = &j->r->row[i].choice;
        const tti_steps_opts o = {.batch = j->o->batch,
                                  .accumulate = 1,
                                  .keep = c->keep,
                                  .epochs = 1,
                                  .steps = j->o->batches,
                                  .seed = j->o->seed,
                                  .policy = c->policy,
                                  .temperature = j->o->temperature};
        TT_TRY(tti_steps_new(&j->steps[i], j->samples, tti_model_get_info(j->model),
                             tti_device_caps(j->dev)->att_rows, !sparse, &o));
    }
    return TT_OK;
}

/* Opens a training session for rows first .. last of the result, and what the policy LOSS needs
 * before it. */
static tt_status open_sessions(job *j, size_t first, size_t last) {
    tti_session_opts o = tti_session_defaults(), s = o;
    bool scout = false;
    for (size_t i = first; i <= last; i++) {
        const tti_rows rows = tti_steps_rows(j->steps[i]);
        tti_rows_raise(&o.max, &rows);
        if (j->r->row[i].choice.policy != TTI_SELECT_LOSS) continue;
        const tti_rows all = tti_steps_scout_rows(j->steps[i]);
        tti_rows_raise(&s.max, &all);
        scout = true;
    }
    o.training = o.loss = s.loss = true;
    o.weight_decay = o.max_grad_norm = 0;
    /* alone it runs as in training: the second pass takes the keys of the first */
    s.keep_keys = scout && first == last;
    if (s.keep_keys) o.kept_rows = s.max.n[TTI_ROWS_SEL];
    j->step = 0;
    TT_TRY(tti_session_new(&j->session, j->dev, j->gemm, j->model, &o));
    if (!scout) return TT_OK;
    tti_free(j->losses);
    j->losses = tti_calloc(s.max.n[TTI_ROWS_LAB] + 1, sizeof *j->losses);
    if (!j->losses) return TT_E_NOMEM;
    TT_TRY(tti_session_new(&j->scout, j->dev, j->gemm, j->model, &s));
    if (s.keep_keys) tti_session_keys(j->session, j->scout);
    return TT_OK;
}

static void close_sessions(job *j) {
    tti_session_free(j->scout);
    tti_session_free(j->session);
    j->scout = j->session = NULL;
}

/* ---- a step ---- */

static tt_status choose_by_loss(job *j, tti_steps *steps, tti_step *st) {
    const tti_feed *feed;
    TT_TRY(tti_steps_scout(steps, 0, &feed));
    TT_TRY(tti_session_batch(j->scout, feed, 0, 1.0f));
    TT_TRY(tti_session_row_losses(j->scout, j->losses, feed->rows.n[TTI_ROWS_LAB]));
    tti_steps_losses(steps, 0, j->losses);
    TT_TRY(tti_steps_choose(steps, st));
    tti_session_slots(j->session, st->gradient->id, st->gradient->n);
    return TT_OK;
}

/* Forward and backward pass of batch b (from 0) with the choice of a row; the gradients stand. */
static tt_status pass(job *j, size_t row, size_t b, tti_step *st) {
    const tti_feed *feed;
    TT_TRY(tti_steps_begin(j->steps[row], b + 1, st));
    TT_TRY(tti_session_begin(j->session, ++j->step, 0, st->read->id, st->read->n, st->gradient->id,
                             st->gradient->n));
    if (j->r->row[row].choice.policy == TTI_SELECT_LOSS)
        TT_TRY(choose_by_loss(j, j->steps[row], st));
    TT_TRY(tti_steps_batch(j->steps[row], 0, &feed));
    j->tokens = feed->rows.n[TTI_ROWS_SEL] + feed->rows.n[TTI_ROWS_REST];
    j->selected = feed->rows.n[TTI_ROWS_SEL];
    return tti_session_batch(j->session, feed, 0, st->loss_scale);
}

/* Ends the step with a learning rate of nothing. */
static tt_status end(job *j) {
    float loss, norm;
    bool finite;
    TT_TRY(tti_session_update(j->session));
    TT_TRY(tti_session_result(j->session, &loss, &norm, &finite));
    if (finite) return TT_OK;
    return tti_fail(TT_E_NUMERIC, "the loss or its gradient is no finite number");
}

/* ---- the gradients ---- */

static tt_status compare(job *j, const tti_gradients *full, const tti_gradients *part,
                         tti_fidelity_row *row) {
    const size_t n = j->r->groups;
    tti_products all = {0}, *by = tti_calloc(n, sizeof *by);
    if (!by) return TT_E_NOMEM;
    tti_gradients_products(by, j->group, full, part, j->model);
    for (size_t g = 0; g < n; g++) {
        all.ab += by[g].ab;
        all.aa += by[g].aa;
        all.bb += by[g].bb;
        row->group[g] += tti_cosine(&by[g]) / (double)j->o->batches;
    }
    const double c = tti_cosine(&all);
    row->cosine += c / (double)j->o->batches;
    row->least = fmin(row->least, c);
    if (all.aa > 0) row->norm += sqrt(all.bb / all.aa) / (double)j->o->batches;
    tti_free(by);
    return TT_OK;
}

static tt_status measure_batch(job *j, size_t b, tti_gradients *full, tti_gradients *part) {
    for (size_t i = 0; i < j->r->rows; i++) {
        tti_gradients *g = i == 0 ? full : part;
        tti_step st;
        TT_TRY(pass(j, i, b, &st));
        TT_TRY(tti_gradients_read(g, j->dev, j->model, st.gradient));
        TT_TRY(end(j));
        TT_TRY(compare(j, full, g, &j->r->row[i]));
        j->r->row[i].tokens += (double)j->selected / (double)j->tokens / (double)j->o->batches;
    }
    return TT_OK;
}

static tt_status measure(job *j) {
    tti_gradients full = {0}, part = {0};
    tt_status s = open_sessions(j, 0, j->r->rows - 1);
    for (size_t b = 0; b < j->o->batches && s == TT_OK; b++) s = measure_batch(j, b, &full, &part);
    tti_gradients_free(&full);
    tti_gradients_free(&part);
    close_sessions(j);
    return s;
}

/* ---- the times ---- */

static tt_status time_row(job *j, size_t i) {
    tti_fidelity_row *row = &j->r->row[i];
    tti_step st;
    double begun = 0;
    TT_TRY(open_sessions(j, i, i));
    tti_bytes b = tti_session_planned(j->session);
    row->kept = b.kept;
    row->total = b.total;
    if (j->scout) {
        b = tti_session_planned(j->scout);
        row->total += b.total - b.weights;
    }
    /* the first one again at the end: what a first run has to do is not a step's */
    for (size_t k = 0; k <= j->o->batches; k++) {
        if (k == 1) begun = tti_now();
        TT_TRY(pass(j, i, k % j->o->batches, &st));
        TT_TRY(end(j));
    }
    row->seconds = (tti_now() - begun) / (double)j->o->batches;
    close_sessions(j);
    return TT_OK;
}

/* ---- all ---- */

static tt_status make_result(job *j) {
    tti_fidelity_result *r = j->r;
    const size_t params = tti_model_nparams(j->model);
    j->group = tti_calloc(params + 1, sizeof *j->group);
    if (!j->group) return TT_E_NOMEM;
    r->groups = tti_gradient_groups(j->group, NULL, j->model);
    r->group = tti_calloc(r->groups, sizeof *r->group);
    r->row = tti_calloc(1 + j->o->nchoices, sizeof *r->row);
    j->steps = tti_calloc(1 + j->o->nchoices, sizeof *j->steps);
    if (!r->group || !r->row || !j->steps) return TT_E_NOMEM;
    tti_gradient_groups(j->group, r->group, j->model);
    r->rows = 1 + j->o->nchoices;
    for (size_t i = 0; i < r->rows; i++) {
        r->row[i].choice =
            i == 0 ? (tti_fidelity_choice){TTI_SELECT_RANDOM, 1} : j->o->choice[i - 1];
        r->row[i].least = 1;
        if (!(r->row[i].group = tti_calloc(r->groups, sizeof(double)))) return TT_E_NOMEM;
    }
    return TT_OK;
}

static tt_status run(job *j) {
    const tti_fidelity_opts *o = j->o;
    if (o->batches < 1 || o->batch < 1 || j->samples->n < 1)
        return tti_fail(TT_E_ARG, "at least one batch of one sample is needed");
    TT_TRY(make_result(j));
    TT_TRY(make_steps(j));
    TT_TRY(measure(j));
    for (size_t i = 0; i < j->r->rows; i++) TT_TRY(time_row(j, i));
    return TT_OK;
}

tt_status tti_fidelity(tti_fidelity_result *out, tti_device *d, tti_gemm *gemm, tti_model *model,
                       const tti_samples *samples, const tti_fidelity_opts *o) {
    *out = (tti_fidelity_result){0};
    job j = {.dev = d, .gemm = gemm, .model = model, .samples = samples, .o = o, .r = out};
    tt_status s = run(&j);
    close_sessions(&j);
    for (size_t i = 0; j.steps && i < out->rows; i++) tti_steps_free(j.steps[i]);
    tti_free(j.steps);
    tti_free(j.group);
    tti_free(j.losses);
    if (s != TT_OK) tti_fidelity_free(out);
    return s;
}

void tti_fidelity_free(tti_fidelity_result *r) {
    for (size_t i = 0; r->row && i < r->rows; i++) tti_free(r->row[i].group);
    tti_free(r->row);
    tti_free(r->group);
    *r = (tti_fidelity_result){0};
}
