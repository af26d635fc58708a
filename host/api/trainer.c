// SPDX-License-Identifier: Apache-2.0
/* trainer.c - include/tokentune/trainer.h over host/train. */
#include "host/api/internal.h"
#include "host/train/trainer.h"

tt_train_opts tt_train_defaults(void) { return (tt_train_opts){0}; }

static tt_train_event_kind kind_of(tti_event_kind kind) {
    switch (kind) {
    case TTI_EVENT_PLAN: return TT_TRAIN_PLAN;
    case TTI_EVENT_STEP: return TT_TRAIN_STEP;
    case TTI_EVENT_EVAL: return TT_TRAIN_EVAL;
    case TTI_EVENT_SAVED: return TT_TRAIN_SAVED;
    case TTI_EVENT_TEST: return TT_TRAIN_TEST;
    case TTI_EVENT_DONE: return TT_TRAIN_DONE;
    }
    return TT_TRAIN_STEP;
}

static tt_scores scores_of(const tti_scores *s) {
    tt_scores out = {.n = s->n, .regression = s->regression, .loss = s->loss};
    if (s->causal) {
        out.perplexity = s->perplexity;
    } else if (s->regression) {
        out.pearson = s->r.pearson;
        out.spearman = s->r.spearman;
    } else {
        out.accuracy = s->c.accuracy;
        out.macro_f1 = s->c.macro_f1;
        out.mcc = s->c.mcc;
    }
    return out;
}

static tt_bytes bytes_of(const tti_bytes *b, size_t evaluation) {
    return (tt_bytes){.weights = b->weights,
                      .gradients = b->gradients,
                      .optimizer = b->optimizer,
                      .kept = b->kept,
                      .transient = b->transient,
                      .inputs = b->inputs,
                      .workspace = b->workspace,
                      .evaluation = evaluation,
                      .total = b->total + evaluation};
}

static void tell(void *ctx, const tti_event *e) {
    const tt_train_opts *o = ctx;
    tt_scores scores;
    tt_train_event out = {.kind = kind_of(e->kind),
                          .step = e->step,
                          .total = e->total,
                          .per_epoch = e->per_epoch,
                          .epoch = e->epoch,
                          .logged = e->kind == TTI_EVENT_STEP && e->logged,
                          .loss = e->loss,
                          .lr = e->lr,
                          .grad_norm = e->grad_norm,
                          .tokens_per_s = e->tokens_per_s,
                          .eta = e->eta,
                          .samples = e->samples,
                          .eval_samples = e->eval_samples,
                          .cut = e->cut,
                          .trained = e->trained,
                          .device_bytes = e->device_bytes,
                          .bytes = bytes_of(&e->bytes, e->eval_bytes + e->scout_bytes),
                          .best = e->kind == TTI_EVENT_EVAL && e->best,
                          .path = e->path,
                          .device = e->device};
    if (e->scores) {
        scores = scores_of(e->scores);
        out.scores = &scores;
    }
    o->on_event(o->ctx, &out);
}

tt_status tt_train(const tt_train_opts *o) {
    TT_NEED(o);
    if (o->nsettings > 0) TT_NEED(o->settings);
    for (size_t i = 0; i < o->nsettings; i++)
        if (!o->settings[i]) return tti_fail(TT_E_ARG, "settings[%zu] is NULL", i);
    if (o->resume && o->overwrite)
        return tti_fail(TT_E_ARG, "resume and overwrite exclude each other");
    const tti_train_opts inner = {.resume = o->resume,
                                  .overwrite = o->overwrite,
                                  .dry_run = o->dry_run,
                                  .stop = o->stop,
                                  .on = o->on_event ? tell : NULL,
                                  .ctx = (void *)o};
    tti_config c;
    TT_TRY(tti_config_load(&c, o->config, o->settings, o->nsettings));
    tt_status s = tti_train(&c, &inner);
    tti_config_free(&c);
    return s;
}
