// SPDX-License-Identifier: Apache-2.0
/* trainer_setup.c - everything that a run needs before its first step. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "host/core/file.h"
#include "host/train/checkpoint_internal.h"
#include "host/train/optimizer_state.h"
#include "host/train/trainer_internal.h"

void tti_job_free(tti_job *r) {
    tti_evaluator_free(r->evaluator);
    tti_session_free(r->scout);
    tti_free(r->scout_loss);
    tti_session_free(r->session);
    tti_steps_free(r->steps);
    tti_model_free(r->model);
    tti_gemm_free(r->gemm);
    tti_device_close(r->dev);
    tti_samples_free(&r->train);
    tti_samples_free(&r->eval);
    tti_samples_free(&r->test);
    tti_dataset_free(r->train_set);
    tti_dataset_free(r->eval_set);
    tti_dataset_free(r->test_set);
    tti_tokenizer_free(r->tokenizer);
    tti_run_state_free(&r->state);
    tti_metrics_log_close(&r->log);
    tti_free(r->checkpoint);
    tti_free(r->template);
    tti_str_free(&r->data);
    if (r->folder >= 0) close(r->folder);
}

/* ---- the output folder ---- */

/* Locks the folder itself, so that no second run writes into it; the lock ends with the process. */
static tt_status lock_folder(tti_job *r) {
    const char *dir = r->c->output.dir;
    TT_TRY(tti_mkdirs(dir));
    r->folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->folder < 0) return tti_fail(TT_E_IO, "%s: cannot be opened: %s", dir, strerror(errno));
    if (flock(r->folder, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return tti_fail(TT_E_ARG,
                        "output.dir: %s is in use by another run; wait for it or name "
                        "another folder",
                        dir);
    return TT_OK; /* file systems without locks do without */
}

static tt_status remove_in(const char *dir, const char *name, bool folder) {
    char *path = tti_path_join(dir, name);
    tt_status s = path ? TT_OK : TT_E_NOMEM;
    if (s == TT_OK && folder) s = tti_dir_remove(path);
    if (s == TT_OK && !folder && unlink(path) != 0 && errno != ENOENT)
        s = tti_fail(TT_E_IO, "%s: cannot be removed: %s", path, strerror(errno));
    tti_free(path);
    return s;
}

/* Only what runs write is removed: a mistyped folder loses nothing of its own. */
static tt_status clear_folder(const char *dir) {
    TT_TRY(tti_checkpoint_drop_after(dir, 0));
    TT_TRY(remove_in(dir, "checkpoint-0", true));
    TT_TRY(remove_in(dir, "final", true));
    return remove_in(dir, "metrics.jsonl", false);
}

static tt_status refuse_used(const char *dir) {
    char **names;
    size_t n;
    TT_TRY(tti_file_names(&names, &n, dir));
    tti_file_names_free(names, n);
    if (n == 0) return TT_OK;
    return tti_fail(TT_E_ARG,
                    "output.dir: %s is not empty; --resume goes on with the run in it, --overwrite "
                    "begins anew",
                    dir);
}

static tt_status find_checkpoint(tti_job *r) {
    const char *dir = r->c->output.dir;
    uint64_t step;
    bool found;
    TT_TRY(tti_checkpoint_latest(&step, &found, dir));
    if (!found) {
        tti_info("%s holds no checkpoint; the run begins at the first step", dir);
        return clear_folder(dir);
    }
    r->checkpoint = tti_checkpoint_path(dir, step);
    if (!r->checkpoint) return TT_E_NOMEM;
    TT_TRY(tti_checkpoint_read(&r->state, r->checkpoint));
    r->resumed = true;
    return tti_config_same_run(r->c, r->state.config);
}

tt_status tti_job_folder(tti_job *r) {
    const char *dir = r->c->output.dir;
    if (r->o->dry_run) return TT_OK;
    TT_TRY(lock_folder(r));
    if (r->o->overwrite || r->o->resume) TT_TRY(tti_checkpoint_recover(dir));
    if (r->o->resume) return find_checkpoint(r);
    return r->o->overwrite ? clear_folder(dir) : refuse_used(dir);
}

/* The best checkpoint must still be there when the run ends. */
static tt_status check_best(tti_job *r) {
    if (!r->state.has_best || r->state.best_step == r->state.step) return TT_OK;
    char *path = tti_checkpoint_path(r->c->output.dir, r->state.best_step);
    if (!path) return TT_E_NOMEM;
    if (tti_checkpoint_check(path) != TT_OK) {
        tti_warn("the best checkpoint is damaged (%s); the best is sought anew", tt_error());
        r->state.has_best = false;
    }
    tti_free(path);
    return TT_OK;
}

/* Data that was exchanged between the runs would change the result. */
static tt_status check_data(const tti_job *r) {
    if (tti_samples_digest(&r->train) != r->state.train_sum)
        return tti_fail(TT_E_ARG,
                        "data.train: the samples are not those of the run to resume; give "
                        "the former data, or --overwrite to begin again");
    if ((r->eval.n > 0 ? tti_samples_digest(&r->eval) : 0) != r->state.eval_sum)
        return tti_fail(TT_E_ARG, "data.eval: the samples are not those of the run to resume; give "
                                  "the former data, or --overwrite to begin again");
    return TT_OK;
}

/* ---- device and model ---- */

static tti_model_opts model_options(const tti_job *r) {
    const tti_config *c = r->c;
    tti_model_opts o = tti_model_defaults();
    o.task = r->about.task;
    o.num_labels = r->about.num_labels;
    if (c->model.pooling >= 0)
        o.pooling = c->model.pooling == TTI_POOLING_MEAN ? TTI_POOL_MEAN : TTI_POOL_FIRST;
    o.seed = (uint32_t)c->train.seed;
    tti_dials_model(&r->dials, &o);
    o.lora_rank = (int)c->method.rank;
    o.lora_alpha = (float)c->method.alpha;
    o.lora_dropout = (float)c->method.dropout;
    o.lora_targets = (const char *const *)c->method.targets.v;
    o.lora_ntargets = (int)c->method.targets.n;
    o.lora_rslora = c->method.rslora;
    if (o.method == TTI_METHOD_LORA) o.adapter = r->checkpoint ? r->checkpoint : c->method.adapter;
    o.hidden_dropout = (float)c->model.hidden_dropout;
    o.attention_dropout = (float)c->model.attention_dropout;
    o.classifier_dropout = (float)c->model.classifier_dropout;
    o.no_decay_1d = c->train.no_decay_norms;
    o.fresh_head = c->model.fresh_head && !r->checkpoint;
    o.random_weights = c->model.random_weights && !r->checkpoint;
    o.check_weights = true;
    const tti_caps *caps = tti_device_caps(r->dev);
    o.align = caps->align;
    o.max_alloc = caps->max_alloc;
    return o;
}

tt_status tti_job_model(tti_job *r, tti_device *d) {
    const tti_model_opts o = model_options(r);
    const char *dir = r->c->model.path;
    if (r->c->model.random_weights && o.method == TTI_METHOD_LORA)
        return tti_fail(TT_E_ARG, "model.random_weights: adapters need trained weights below them; "
                                  "use method.name=full");
    if (r->checkpoint && o.method == TTI_METHOD_FULL) dir = r->checkpoint;
    tti_model_free(r->model);
    r->model = NULL;
    return tti_model_load(&r->model, d, dir, &o);
}

/* The second pass of select.policy loss takes the keys and values of the first where each step is
 * one batch; else those of all batches of a step would have to be kept. */
static bool reuses_keys(const tti_job *r) {
    return r->c->select.policy == TTI_SELECT_LOSS && r->c->train.accumulate == 1;
}

static tti_session_opts session_options(tti_job *r) {
    const tti_config *c = r->c;
    tti_session_opts o = tti_session_defaults();
    o.training = o.dropout = o.loss = true;
    o.max = tti_steps_rows(r->steps);
    if (reuses_keys(r)) o.kept_rows = tti_steps_scout_rows(r->steps).n[TTI_ROWS_SEL];
    o.seed = (uint32_t)c->train.seed;
    o.beta1 = (float)c->train.beta1;
    o.beta2 = (float)c->train.beta2;
    o.eps = (float)c->train.eps;
    o.weight_decay = (float)c->train.weight_decay;
    o.max_grad_norm = (float)c->train.max_grad_norm;
    tti_dials_session(&r->dials, &o);
    return o;
}

tt_status tti_job_steps(tti_job *r) {
    const tti_config *c = r->c;
    bool sparse = false;
    for (size_t i = 0; i < tti_model_nparams(r->model); i++)
        sparse = sparse || tti_model_param(r->model, i)->sparse;
    tti_steps_free(r->steps);
    r->steps = NULL;
    const tti_steps_opts o = {.batch = r->dials.batch,
                              .accumulate = (size_t)c->train.accumulate,
                              .keep = r->dials.keep,
                              .epochs = c->train.epochs,
                              .steps = (uint64_t)c->train.steps,
                              .seed = (uint32_t)c->train.seed,
                              .policy = (tti_select_policy)c->select.policy,
                              .keep_prompt = c->select.keep_prompt,
                              .keep_answer = c->select.keep_answer,
                              .temperature = c->select.temperature};
    TT_TRY(tti_steps_new(&r->steps, &r->train, tti_model_get_info(r->model),
                         tti_device_caps(r->dev)->att_rows, !sparse, &o));
    r->schedule.kind = (tti_schedule_kind)c->train.schedule;
    r->schedule.lr = c->train.lr;
    r->schedule.total = tti_steps_total(r->steps);
    r->schedule.warmup = tti_schedule_warmup(c->train.warmup, r->schedule.total);
    return TT_OK;
}

static size_t eval_longest(const tti_job *r) { return TT_MAX(r->eval.longest, r->test.longest); }

/* The forward pass over all rows that select.policy loss begins with: the same dropout, so that
 * both passes see one model. */
static tti_session_opts scout_options(tti_job *r) {
    tti_session_opts o = tti_session_defaults();
    o.dropout = o.loss = true;
    o.max = tti_steps_scout_rows(r->steps);
    o.keep_keys = reuses_keys(r);
    o.seed = (uint32_t)r->c->train.seed;
    return o;
}

static tt_status make_scout(tti_job *r) {
    if (r->c->select.policy != TTI_SELECT_LOSS) return TT_OK;
    const tti_session_opts o = scout_options(r);
    r->scout_loss = tti_calloc(o.max.n[TTI_ROWS_LAB] + 1, sizeof *r->scout_loss);
    if (!r->scout_loss) return TT_E_NOMEM;
    TT_TRY(tti_session_new(&r->scout, r->dev, r->gemm, r->model, &o));
    tti_session_keys(r->session, r->scout);
    const tti_bytes b = tti_session_planned(r->scout);
    r->last.scout_bytes = b.total - b.weights;
    return TT_OK;
}

tt_status tti_job_plan(tti_job *r, tti_gemm *gemm, double *flops) {
    const tti_session_opts o = session_options(r);
    const tti_caps *caps = tti_device_caps(r->dev);
    TT_TRY(tti_session_plan_work(&r->last.bytes, flops, caps, gemm, r->model, &o));
    if (r->c->select.policy == TTI_SELECT_LOSS) {
        const tti_session_opts first = scout_options(r);
        tti_bytes b;
        TT_TRY(tti_session_plan(&b, caps, gemm, r->model, &first));
        r->last.scout_bytes = b.total - b.weights;
    }
    if (eval_longest(r) == 0) return TT_OK;
    tti_session_opts e = tti_session_defaults();
    tti_bytes bytes;
    e.loss = r->about.task == TTI_TASK_CAUSAL;
    e.max = tti_evaluator_rows(tti_model_get_info(r->model), caps->att_rows, eval_longest(r),
                               r->dials.batch);
    TT_TRY(tti_session_plan(&bytes, caps, gemm, r->model, &e));
    r->last.eval_bytes = bytes.total - bytes.weights;
    return TT_OK;
}

static tt_status make_sessions(tti_job *r) {
    const tti_session_opts o = session_options(r);
    TT_TRY(tti_session_new(&r->session, r->dev, r->gemm, r->model, &o));
    r->last.bytes = tti_session_planned(r->session);
    TT_TRY(make_scout(r));
    if (eval_longest(r) > 0) {
        TT_TRY(tti_evaluator_new(&r->evaluator, r->dev, r->gemm, r->model, eval_longest(r),
                                 (size_t)r->c->train.batch));
        r->last.eval_bytes = tti_evaluator_bytes(r->evaluator);
    }
    if (!r->checkpoint) return TT_OK;
    char *path = tti_path_join(r->checkpoint, "optimizer.safetensors");
    tt_status s =
        path ? tti_optimizer_state_read(path, r->session, r->model, (uint32_t)r->state.step)
             : TT_E_NOMEM;
    tti_free(path);
    return s;
}

/* What a new run remembers from its beginning. */
static tt_status begin_state(tti_job *r) {
    tti_str text = {0};
    tti_config_text(&text, r->c, true);
    tti_job_found(&text, r);
    r->state.train_sum = tti_samples_digest(&r->train);
    r->state.eval_sum = r->eval.n > 0 ? tti_samples_digest(&r->eval) : 0;
    r->state.config = text.status == TT_OK ? tti_strdup(text.p) : NULL;
    tti_str_free(&text);
    return r->state.config ? TT_OK : TT_E_NOMEM;
}

static void fill_figures(tti_job *r) {
    r->last.total = tti_steps_total(r->steps);
    r->last.per_epoch = tti_steps_per_epoch(r->steps);
    r->last.samples = r->train.n;
    r->last.eval_samples = r->eval.n;
    r->last.cut = r->train.cut;
    r->last.data = r->data.len > 0 ? r->data.p : NULL;
    r->last.device = tti_device_get_info(r->dev)->name;
    for (size_t i = 0; i < tti_model_nparams(r->model); i++) {
        const tti_param *p = tti_model_param(r->model, i);
        if (p->trainable) r->last.trained += p->rows * p->cols;
    }
}

tt_status tti_job_setup(tti_job *r) {
    TT_TRY(tti_tokenizer_load(&r->tokenizer, r->c->model.path));
    TT_TRY(tti_job_data(r));
    TT_TRY(tti_device_open(&r->dev, r->c->device));
    if (r->c->memory.limit > 0) tti_device_limit(r->dev, (size_t)r->c->memory.limit);
    TT_TRY(tti_gemm_new(&r->gemm, r->dev, r->c->gemm));
    if (r->resumed) TT_TRY(tti_gemm_choices_load(r->gemm, r->state.gemm));
    TT_TRY(tti_job_dials(r));
    TT_TRY(tti_job_model(r, NULL));
    TT_TRY(tti_job_encode(r));
    if (r->resumed) TT_TRY(check_data(r));
    if (r->resumed) TT_TRY(check_best(r));
    TT_TRY(tti_job_steps(r));
    TT_TRY(tti_job_budget(r));
    if (!r->resumed) TT_TRY(begin_state(r));
    fill_figures(r);
    if (r->o->dry_run) return TT_OK;
    TT_TRY(tti_job_fits(r));
    tti_process_trim();
    tt_status s = tti_job_model(r, r->dev);
    if (s == TT_OK) s = make_sessions(r);
    return s == TT_E_MEMORY ? tti_job_refused(r) : s;
}
