// SPDX-License-Identifier: Apache-2.0
/* trainer.c - the loop: steps, logging, evaluation, checkpoints, the final model. */
#include <inttypes.h>
#include <math.h>
#include "host/core/file.h"
#include "host/train/trainer_internal.h"

enum { CHECK_AT_LEAST = 64 }; /* steps between two looks at whether all is finite */

void tti_job_event(tti_job *r, tti_event_kind kind) {
    tti_event *e = &r->last;
    e->kind = kind;
    e->step = r->state.step;
    e->epoch = (double)e->step / (double)e->per_epoch;
    e->device_bytes = r->dev ? tti_mem_peak(r->dev) : 0;
    double busy = tti_now() - r->begun - r->idle;
    uint64_t done = e->step - r->timed;
    e->tokens_per_s = busy > 0 ? (double)r->tokens / busy : 0;
    e->eta = done > 0 ? busy / (double)done * (double)(e->total - e->step) : 0;
    if (r->o->on) r->o->on(r->o->ctx, e);
}

static bool due(uint64_t step, int64_t every, const tti_job *r) {
    uint64_t n = every > 0 ? (uint64_t)every : r->last.per_epoch;
    return step % n == 0 || step == r->last.total;
}

static bool stopping(const tti_job *r) { return r->o->stop && *r->o->stop != 0; }

/* ---- one step ---- */

/* The losses that select.policy loss chooses by, from the weights that the step begins with. */
static tt_status scout(tti_job *r, uint64_t step, tti_step *st) {
    const tti_feed *feed;
    for (size_t m = 0; m < st->micros; m++) {
        TT_TRY(tti_steps_scout(r->steps, m, &feed));
        tti_session_exec(r->scout)->step = (uint32_t)step;
        TT_TRY(tti_session_batch(r->scout, feed, (unsigned)m, 1.0f));
        TT_TRY(tti_session_row_losses(r->scout, r->scout_loss, feed->rows.n[TTI_ROWS_LAB]));
        tti_steps_losses(r->steps, m, r->scout_loss);
    }
    TT_TRY(tti_steps_choose(r->steps, st));
    tti_session_slots(r->session, st->gradient->id, st->gradient->n);
    return TT_OK;
}

/* Such a step has no loss and no gradient; momentum and weight decay go on. */
static void tell_unsupervised(tti_job *r, uint64_t step, const tti_step *st) {
    if (r->about.task != TTI_TASK_CAUSAL || st->supervised > 0) return;
    if (r->unsupervised++ == 0)
        tti_warn("step %" PRIu64 ": no selected position has a next token to learn; such steps "
                 "count as loss 0 (a larger select.keep or train.batch, or select.policy "
                 "stratified, avoids them)",
                 step);
}

static tt_status run_step(tti_job *r, uint64_t step) {
    tti_step st;
    const tti_feed *feed;
    TT_TRY(tti_steps_begin(r->steps, step, &st));
    r->last.lr = tti_schedule_lr(&r->schedule, step);
    TT_TRY(tti_session_begin(r->session, (uint32_t)step, (float)r->last.lr, st.read->id, st.read->n,
                             st.gradient->id, st.gradient->n));
    if (r->scout) TT_TRY(scout(r, step, &st));
    tell_unsupervised(r, step, &st);
    for (size_t m = 0; m < st.micros; m++) {
        TT_TRY(tti_steps_batch(r->steps, m, &feed));
        TT_TRY(tti_session_batch(r->session, feed, (unsigned)m, st.loss_scale));
    }
    TT_TRY(tti_session_update(r->session));
    r->state.step = step;
    r->tokens += st.tokens;
    return TT_OK;
}

/* With gradients in f16 a step that overflows is left out and the loss scale halved; only where it
 * cannot be halved again is something wrong. */
static bool overflows_are_usual(const tti_job *r) {
    return r->dials.gradients == TTI_F16 &&
           tti_optimizer_loss_scale(tti_session_optimizer(r->session)) > 1;
}

/* Steps are checked some at a time, so that the device need not wait for the host; an update that
 * is not finite has not been made, and nothing is saved before it was looked for. */
static tt_status check_steps(tti_job *r) {
    float loss, norm;
    bool finite;
    uint32_t bad;
    uint64_t step = r->state.step;
    TT_TRY(tti_session_result(r->session, &loss, &norm, &finite));
    TT_TRY(tti_optimizer_skipped(tti_session_optimizer(r->session), (uint32_t)r->checked + 1,
                                 (uint32_t)step, &bad));
    if (bad == 0 && !finite) bad = (uint32_t)step;
    r->last.loss = (double)loss;
    r->last.grad_norm = (double)norm;
    if (bad == 0 || (isfinite(loss) && overflows_are_usual(r))) {
        r->checked = step;
        return TT_OK;
    }
    char saved[64] = "no checkpoint yet";
    if (r->saved > 0) snprintf(saved, sizeof saved, "checkpoint-%" PRIu64 " is kept", r->saved);
    return tti_fail(TT_E_NUMERIC,
                    "step %u: loss or gradient is no finite number, at learning rate %g; %s; lower "
                    "train.lr, lengthen train.warmup, or set train.max_grad_norm",
                    bad, tti_schedule_lr(&r->schedule, bad), saved);
}

/* ---- metrics.jsonl ---- */

static void line_begin(tti_job *r, tti_str *line) {
    tti_str_printf(line, "{\"step\": %" PRIu64, r->state.step);
    tti_json_number(line, "", "epoch", (double)r->state.step / (double)r->last.per_epoch);
}

static tt_status line_end(tti_job *r, tti_str *line) {
    tti_str_putc(line, '}');
    tt_status s = tti_metrics_log_line(&r->log, line);
    tti_str_free(line);
    return s;
}

static tt_status log_step(tti_job *r) {
    tti_str line = {0};
    line_begin(r, &line);
    tti_json_number(&line, "", "loss", r->last.loss);
    tti_json_number(&line, "", "lr", r->last.lr);
    tti_json_number(&line, "", "grad_norm", r->last.grad_norm);
    if (r->dials.gradients == TTI_F16) {
        const tti_optimizer *o = tti_session_optimizer(r->session);
        tti_json_number(&line, "", "loss_scale", (double)tti_optimizer_loss_scale(o));
        tti_str_printf(&line, ", \"overflows\": %u", tti_optimizer_overflows(o));
    }
    return line_end(r, &line);
}

static tt_status tell_scores(tti_job *r, const tti_scores *scores, tti_event_kind kind) {
    tti_str line = {0};
    line_begin(r, &line);
    tti_str_puts(&line, ", ");
    tti_scores_json(&line, scores, kind == TTI_EVENT_TEST ? "test_" : "eval_");
    TT_TRY(line_end(r, &line));
    r->last.scores = scores;
    tti_job_event(r, kind);
    r->last.scores = NULL;
    return TT_OK;
}

/* ---- evaluation and checkpoints ---- */

static tt_status evaluate(tti_job *r) {
    tti_scores scores;
    double begun = tti_now();
    TT_TRY(tti_session_flush(r->session));
    tt_status s = tti_evaluate(r->evaluator, &r->eval, &scores);
    if (s != TT_OK) return tti_fail_in(s, "step %" PRIu64, r->state.step);
    double value = tti_scores_get(&scores, r->metric);
    r->last.best = !r->state.has_best || tti_metric_better(r->metric, value, r->state.best_value);
    if (r->last.best) {
        r->state.has_best = true;
        r->state.best_step = r->state.step;
        r->state.best_value = value;
    }
    r->idle += tti_now() - begun;
    return tell_scores(r, &scores, TTI_EVENT_EVAL);
}

/* What the model is before training; it has no checkpoint, so it is never the best. */
static tt_status evaluate_before(tti_job *r) {
    tti_scores scores;
    r->last.best = false;
    if (r->eval.n > 0) {
        TT_TRY(tti_evaluate(r->evaluator, &r->eval, &scores));
        TT_TRY(tell_scores(r, &scores, TTI_EVENT_EVAL));
    }
    if (r->test.n == 0) return TT_OK;
    TT_TRY(tti_evaluate(r->evaluator, &r->test, &scores));
    return tell_scores(r, &scores, TTI_EVENT_TEST);
}

static tt_status save(tti_job *r) {
    double begun = tti_now();
    TT_TRY(tti_metrics_log_sync(&r->log));
    r->state.metrics_bytes = r->log.size;
    tti_free(r->state.gemm);
    r->state.gemm = NULL;
    TT_TRY(tti_gemm_choices_save(r->gemm, &r->state.gemm));
    TT_TRY(tti_checkpoint_write(r->c->output.dir, &r->state, r->session, r->model, r->tokenizer,
                                &r->about));
    TT_TRY(tti_checkpoint_prune(r->c->output.dir, (size_t)r->c->train.keep_last, &r->state));
    r->saved = r->state.step;
    r->idle += tti_now() - begun;
    char *path = tti_checkpoint_path(r->c->output.dir, r->saved);
    if (!path) return TT_E_NOMEM;
    r->last.path = path;
    tti_job_event(r, TTI_EVENT_SAVED);
    r->last.path = NULL;
    tti_free(path);
    return TT_OK;
}

static tt_status interrupted(tti_job *r) {
    if (r->state.step > r->saved) {
        TT_TRY(check_steps(r));
        TT_TRY(save(r));
    }
    return tti_fail(TT_E_INTERRUPTED,
                    "stopped after step %" PRIu64 " of %" PRIu64 "; --resume goes on from there",
                    r->state.step, r->last.total);
}

/* The first step also builds programs and measures matrix products: no measure of the others. */
static void restart_clock(tti_job *r) {
    r->begun = tti_now();
    r->idle = 0;
    r->tokens = 0;
    r->timed = r->state.step;
}

static tt_status after_step(tti_job *r) {
    const tti_config *c = r->c;
    uint64_t step = r->state.step;
    bool log = step % (uint64_t)c->train.log_every == 0 || step == r->last.total;
    bool eval = r->eval.n > 0 && due(step, c->train.eval_every, r);
    bool keep = due(step, c->train.save_every, r);
    bool first = step == r->first_step + 1;
    if (log || eval || keep || first || step - r->checked >= CHECK_AT_LEAST) TT_TRY(check_steps(r));
    if (first) restart_clock(r);
    if (log) TT_TRY(log_step(r));
    r->last.logged = log;
    tti_job_event(r, TTI_EVENT_STEP);
    if (eval) TT_TRY(evaluate(r));
    if (keep || (eval && r->state.best_step == step)) TT_TRY(save(r));
    return TT_OK;
}

/* What tests hold against the plan: nothing may be allocated after the first step. */
static void tell_memory(const tti_job *r, size_t loaded, size_t made) {
    size_t now, peak;
    tti_process_bytes(&now, &peak);
    tti_debug("memory: %zu bytes planned; the process had %zu at most when all was loaded, %zu in "
              "the end, %zu at most; %zu device allocations after the first step",
              r->last.bytes.total + r->last.eval_bytes + r->last.scout_bytes, loaded, now, peak,
              tti_mem_made(r->dev) - made);
}

static tt_status run_steps(tti_job *r) {
    size_t now, loaded, made = 0;
    tti_process_bytes(&now, &loaded);
    r->first_step = r->timed = r->checked = r->saved = r->state.step;
    if (r->state.step == 0) TT_TRY(evaluate_before(r));
    r->begun = tti_now();
    while (r->state.step < r->last.total) {
        if (stopping(r)) return interrupted(r);
        TT_TRY(run_step(r, r->state.step + 1));
        if (r->state.step == r->first_step + 1) {
            made = tti_mem_made(r->dev);
            tti_process_trim(); /* it compiled what the device had not seen yet */
        }
        TT_TRY(after_step(r));
    }
    tell_memory(r, loaded, made);
    return TT_OK;
}

/* ---- the end ---- */

/* The final model as a user would load it, on data that took no part. */
static tt_status test_final(tti_job *r, const char *final) {
    if (r->test.n == 0) return TT_OK;
    tti_evaluator_free(r->evaluator);
    tti_session_free(r->scout);
    tti_session_free(r->session);
    tti_model_free(r->model);
    r->evaluator = NULL, r->scout = r->session = NULL, r->model = NULL;
    tti_trained t;
    tti_evaluator *e = NULL;
    tti_scores scores;
    TT_TRY(tti_trained_read(&t, final, r->c->model.path));
    t.weights = r->dials.weights;
    t.head = r->dials.head;
    t.nested = r->dials.nested;
    tt_status s = tti_trained_load(&t, r->dev);
    if (s == TT_OK)
        s = tti_evaluator_new(&e, r->dev, r->gemm, t.model, r->test.longest,
                              (size_t)r->c->train.batch);
    if (s == TT_OK) s = tti_evaluate(e, &r->test, &scores);
    if (s == TT_OK) s = tell_scores(r, &scores, TTI_EVENT_TEST);
    tti_evaluator_free(e);
    tti_trained_free(&t);
    return s;
}

/* Gradients in f16: a run all of whose steps were left out has trained nothing. */
static tt_status tell_overflows(const tti_job *r) {
    if (r->dials.gradients != TTI_F16) return TT_OK;
    const uint32_t n = tti_optimizer_overflows(tti_session_optimizer(r->session));
    if (n == 0) return TT_OK;
    if (n < r->last.total) {
        tti_info("%u of %" PRIu64 " steps were left out: gradients overflowed f16", n,
                 r->last.total);
        return TT_OK;
    }
    return tti_fail(TT_E_NUMERIC,
                    "gradients overflowed f16 in all %u steps, nothing was trained; use more "
                    "steps, or storage.gradients=bf16",
                    n);
}

static tt_status finish(tti_job *r) {
    const char *output = r->c->output.dir;
    uint64_t step = r->state.has_best ? r->state.best_step : r->state.step;
    char *from = tti_checkpoint_path(output, step), *final = tti_path_join(output, "final");
    tt_status s = from && final ? tti_checkpoint_export(from, final) : TT_E_NOMEM;
    if (s == TT_OK && (s = test_final(r, final)) == TT_E_MEMORY) {
        tti_str why = {0};
        tti_str_puts(&why, tt_error());
        s = why.status == TT_OK
                ? tti_fail(TT_E_MEMORY, "%s; %s is written, only its test is missing", why.p, final)
                : why.status;
        tti_str_free(&why);
    }
    if (s == TT_OK) {
        r->last.path = final;
        tti_job_event(r, TTI_EVENT_DONE);
    }
    tti_free(from);
    tti_free(final);
    return s;
}

static tt_status run_all(tti_job *r) {
    TT_TRY(tti_job_folder(r));
    TT_TRY(tti_job_setup(r));
    r->begun = tti_now();
    r->timed = r->state.step;
    tti_job_event(r, TTI_EVENT_PLAN);
    if (r->o->dry_run) return tti_job_fits(r);
    if (r->resumed) TT_TRY(tti_checkpoint_drop_after(r->c->output.dir, r->state.step));
    char *path = tti_path_join(r->c->output.dir, "metrics.jsonl");
    if (!path) return TT_E_NOMEM;
    tt_status s = tti_metrics_log_open(&r->log, path, r->state.metrics_bytes);
    tti_free(path);
    TT_TRY(s);
    TT_TRY(run_steps(r));
    TT_TRY(tell_overflows(r));
    return finish(r);
}

tt_status tti_train(const tti_config *c, const tti_train_opts *o) {
    tti_job r = {.c = c, .o = o, .folder = -1, .metric = c->train.best};
    static const tti_task tasks[] = {[TTI_CONFIG_CLASSIFY] = TTI_TASK_CLASSIFY,
                                     [TTI_CONFIG_REGRESS] = TTI_TASK_REGRESS,
                                     [TTI_CONFIG_CAUSAL] = TTI_TASK_CAUSAL};
    TT_TRY(tti_metric_resolve(&r.metric, tasks[c->task]));
    tt_status s = run_all(&r);
    tti_job_free(&r);
    return s;
}
