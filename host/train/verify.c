// SPDX-License-Identifier: Apache-2.0
#include "host/train/verify.h"

#include "host/core/file.h"
#include "host/train/verify_judge.h"
#include "host/train/verify_storage.h"

#include <math.h>
#include <string.h>

/* A gradient tensor this much smaller than the largest one is zero but for rounding (a key's bias
 * when every token is selected: softmax does not see it). Its relative error means nothing, and
 * AdamW makes steps of up to lr out of it. So it does out of a single element this much smaller
 * than the largest of its own tensor: a sum of floats that happens to cancel. */
static const double noise_ratio = 1e-6, element_ratio = 1e-5;

typedef struct {
    tti_case c;
    tti_tolerances wider; /* what the storage adds */
    tti_dials dials;      /* with the case's method; as given, but for what the model decides */
    float **before;       /* with wider tolerances: each trained parameter as it was */
    tti_model *model;
    tti_session *session;
    tti_batch *batch;
    tti_idset all, slots;
    tti_device *dev;
    double largest_gradient;
    tti_judge judge;
} run;

/* The gradient of p as the reference has it: sparse rows spread over the whole table. */
static tt_status read_gradient(run *r, const tti_param *p, float *dst) {
    const size_t count = p->rows * p->cols, cols = p->cols;
    TT_TRY(tti_model_read_gradient(r->model, p, dst));
    const float scale = tti_optimizer_loss_scale(tti_session_optimizer(r->session));
    for (size_t i = 0; i < (p->sparse ? r->slots.n * cols : count); i++) dst[i] /= scale;
    if (!p->sparse) return TT_OK;
    for (size_t i = r->slots.n, end = p->rows; i-- > 0; end = (size_t)r->slots.id[i]) {
        const size_t row = (size_t)r->slots.id[i]; /* ascending: each moves up or stays */
        memmove(dst + row * cols, dst + i * cols, cols * sizeof *dst);
        memset(dst + (row + 1) * cols, 0, (end - row - 1) * cols * sizeof *dst);
    }
    const size_t first = r->slots.n ? (size_t)r->slots.id[0] : p->rows;
    memset(dst, 0, first * cols * sizeof *dst);
    return TT_OK;
}

static bool is_noise(const run *r, const float *gradient, size_t count) {
    return tti_largest(gradient, count) <= noise_ratio * r->largest_gradient;
}

/* Where the reference's gradient is rounding but not 0, its updates are as good as any within lr a
 * step: those elements of got are taken as right. */
static tt_status settle_noise(run *r, const char *name, const float *gradient, float *got,
                              size_t count) {
    const double most = 2.0 * (double)r->c.steps * r->c.lr;
    const double noise =
        is_noise(r, gradient, count) ? HUGE_VAL : element_ratio * tti_largest(gradient, count);
    float *want = NULL;
    TT_TRY(tti_judge_expected(&r->judge, name, count, &want));
    for (size_t i = 0; i < count; i++) {
        const bool rounding =
            fabs((double)gradient[i]) <= noise && (gradient[i] != 0 || noise == HUGE_VAL);
        if (rounding && fabs((double)got[i] - (double)want[i]) <= most) got[i] = want[i];
    }
    tti_free(want);
    return TT_OK;
}

static bool without_gradient(const run *r, const char *parameter) {
    const cJSON *list = tti_json_get(r->c.json, "parameters_without_gradient"), *e;
    cJSON_ArrayForEach(e, list) if (cJSON_IsString(e) &&
                                    !strcmp(e->valuestring, parameter)) return true;
    return false;
}

static bool has_parameter(const run *r, const char *name) {
    for (size_t i = 0; i < tti_model_nparams(r->model); i++) {
        char own[256];
        tti_model_file_name(r->model, tti_model_param(r->model, i), own);
        if (!strcmp(own, name)) return tti_model_param(r->model, i)->trainable;
    }
    return false;
}

/* The scale of the gradients; no tensor of the case may go without its comparison. */
static tt_status find_largest(run *r) {
    for (size_t i = 0; i < tti_st_count(r->judge.want); i++) {
        const tti_st_tensor *t = tti_st_at(r->judge.want, i);
        const bool gradient = !strncmp(t->name, "grad.", 5),
                   after = !strncmp(t->name, "after3.", 7);
        if (!gradient && !after) continue;
        const char *parameter = t->name + (gradient ? 5 : 7);
        if (!has_parameter(r, parameter))
            return tti_fail(TT_E_MISMATCH, "the model trains no parameter %s", parameter);
        if (!gradient) continue;
        float *v = NULL;
        TT_TRY(tti_judge_expected(&r->judge, t->name, t->count, &v));
        r->largest_gradient = fmax(r->largest_gradient, tti_largest(v, t->count));
        tti_free(v);
    }
    return TT_OK;
}

static tt_status compare_one(run *r, const tti_param *p, const char *own, const float *before,
                             bool gradients) {
    const size_t count = p->rows * p->cols;
    char name[272], of[272];
    snprintf(of, sizeof of, "grad.%s", own);
    snprintf(name, sizeof name, "%s.%s", gradients ? "grad" : "after3", own);
    float *got = tti_malloc(count * sizeof *got), *gradient = NULL;
    tt_status s = got ? TT_OK : TT_E_NOMEM;
    if (s == TT_OK) s = gradients ? read_gradient(r, p, got) : tti_model_read(r->model, p, got);
    if (s == TT_OK) s = tti_judge_keep(&r->judge, name, got, count);
    if (s == TT_OK && !without_gradient(r, own))
        s = tti_judge_expected(&r->judge, of, count, &gradient);
    if (s == TT_OK && gradients) {
        tti_judge_add(&r->judge, gradient, got, count);
        const bool noise = is_noise(r, gradient, count);
        r->judge.r->noise += noise;
        s = tti_judge_compare(&r->judge, name, got, count, r->c.tol_grad + r->wider.grad,
                              noise ? (2 * noise_ratio + r->wider.zero) * r->largest_gradient : 0);
    } else if (s == TT_OK) {
        if (gradient) s = settle_noise(r, name, gradient, got, count);
        if (s == TT_OK && before)
            s = tti_judge_movement(&r->judge, name, before, got, count,
                                   r->c.tol_after + r->wider.moved);
        else if (s == TT_OK)
            s = tti_judge_compare(&r->judge, name, got, count, r->c.tol_after, 0);
    }
    tti_free(gradient);
    tti_free(got);
    return s;
}

static tt_status compare_parameters(run *r, bool gradients) {
    for (size_t i = 0; i < tti_model_nparams(r->model); i++) {
        const tti_param *p = tti_model_param(r->model, i);
        char own[256];
        tti_model_file_name(r->model, p, own);
        if (!p->trainable || (gradients && without_gradient(r, own))) continue;
        TT_TRY(compare_one(r, p, own, r->before ? r->before[i] : NULL, gradients));
    }
    return TT_OK;
}

/* The parameters as they are before the first step. */
static tt_status remember(run *r) {
    const size_t n = tti_model_nparams(r->model);
    if (!(r->before = tti_calloc(n + 1, sizeof *r->before))) return TT_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        const tti_param *p = tti_model_param(r->model, i);
        if (!p->trainable) continue;
        if (!(r->before[i] = tti_malloc(p->rows * p->cols * sizeof **r->before))) return TT_E_NOMEM;
        TT_TRY(tti_model_read(r->model, p, r->before[i]));
    }
    return TT_OK;
}

static void forget(run *r) {
    for (size_t i = 0; r->before && i < tti_model_nparams(r->model); i++) tti_free(r->before[i]);
    tti_free(r->before);
}

/* The coarsest type outside the blocks: tables of which a step trains a few rows are f32. */
static int head_type(const run *r) {
    int t = TTI_F32;
    for (size_t i = 0; i < tti_model_nparams(r->model); i++) {
        const tti_param *p = tti_model_param(r->model, i);
        if (p->layer < 0) t = TT_MAX(t, (int)p->layout.type); /* types ascend so, from f16 on */
    }
    return t;
}

/* Tolerances of what the dials are; where storage is in fewer bits, parameters are judged by how
 * they move. */
static tt_status widen(run *r) {
    tti_dials d = r->dials;
    if (d.head == TTI_AS_STORED) d.head = head_type(r);
    r->wider = tti_dials_tolerances(&d);
    return r->wider.moved > 0 ? remember(r) : TT_OK;
}

static tt_status setup(run *r, tti_device *d, tti_gemm *gemm, const char *dir,
                       const tti_dials *dials) {
    TT_TRY(tti_case_read(&r->c, dir));
    if (dials) r->dials = *dials;
    char *model = tti_path_join(dir, "model"), *adapter = tti_path_join(dir, "adapter");
    char *want = tti_path_join(dir, "expected.safetensors");
    tt_status s = model && adapter && want ? TT_OK : TT_E_NOMEM;
    if (s == TT_OK && dials) s = tti_case_take_dials(&r->c, &r->dials, model, &r->judge.r->skipped);
    if (r->c.opts.method == TTI_METHOD_LORA) r->c.opts.adapter = adapter;
    if (s == TT_OK) s = tti_st_open(&r->judge.want, want);
    if (s == TT_OK) s = tti_model_load(&r->model, d, model, &r->c.opts);
    tti_free(model);
    tti_free(adapter);
    tti_free(want);
    TT_TRY(s);
    if (dials) TT_TRY(widen(r));
    const tti_model_info *info = tti_model_get_info(r->model);
    TT_TRY(tti_idset_add(&r->all, info, r->c.seqs, r->c.nseqs, false));
    TT_TRY(tti_idset_add(&r->slots, info, r->c.seqs, r->c.nseqs, true));
    TT_TRY(tti_batch_new(&r->batch));
    const tti_param *word = tti_model_param(r->model, 0);
    TT_TRY(tti_batch_fill(r->batch, info, tti_device_caps(d)->att_rows, r->c.seqs, r->c.nseqs,
                          r->slots.id, r->slots.n, !word->sparse));
    tti_session_opts o = tti_session_defaults();
    o.training = o.loss = true;
    o.logits = TTI_LOGITS_ALL;
    o.max = tti_batch_feed(r->batch)->rows;
    o.beta1 = (float)r->c.beta1, o.beta2 = (float)r->c.beta2, o.eps = (float)r->c.eps;
    o.weight_decay = (float)r->c.weight_decay;
    o.max_grad_norm = (float)r->c.max_grad_norm;
    if (dials) tti_dials_session(&r->dials, &o);
    o.optimizer = TTI_OPT_ADAMW;
    return tti_session_new(&r->session, d, gemm, r->model, &o);
}

static tt_status first_step(run *r, float loss) {
    const tti_model_info *info = tti_model_get_info(r->model);
    const bool causal = info->task == TTI_TASK_CAUSAL;
    const size_t count =
        causal ? r->c.selected * (size_t)info->vocab : r->c.nseqs * (size_t)info->num_labels;
    float *logits = tti_malloc(count * sizeof *logits);
    if (!logits) return TT_E_NOMEM;
    tt_status s = tti_session_logits(r->session, logits, count);
    if (s == TT_OK) s = tti_judge_keep(&r->judge, "loss", &loss, 1);
    if (s == TT_OK) s = tti_judge_keep(&r->judge, "logits", logits, count);
    if (s == TT_OK)
        s = tti_judge_compare(&r->judge, "loss", &loss, 1, r->c.tol_loss + r->wider.loss, 0);
    if (s == TT_OK)
        s = tti_judge_compare(&r->judge, "logits", logits, count, r->c.tol_logits + r->wider.logits,
                              0);
    tti_free(logits);
    TT_TRY(s);
    TT_TRY(compare_parameters(r, true));
    if (r->wider.grad > 0)
        tti_judge_sum(&r->judge, "all gradients", r->c.tol_grad + r->wider.whole);
    return TT_OK;
}

/* What the loss is a mean over. */
static size_t losses_of(const run *r) {
    if (r->c.opts.task != TTI_TASK_CAUSAL) return r->c.nseqs;
    return TT_MAX(r->c.supervised, 1);
}

static tt_status run_batch(run *r, uint32_t step) {
    TT_TRY(tti_session_begin(r->session, step, (float)r->c.lr, r->all.id, r->all.n, r->slots.id,
                             r->slots.n));
    return tti_session_batch(r->session, tti_batch_feed(r->batch), 0, 1.0f / (float)losses_of(r));
}

static tt_status overflows(run *r, bool *out) {
    *out = false;
    for (size_t i = 0; i < tti_model_nparams(r->model) && !*out; i++) {
        const tti_param *p = tti_model_param(r->model, i);
        if (!p->trainable) continue;
        float *v = tti_malloc(p->rows * p->cols * sizeof *v);
        if (!v) return TT_E_NOMEM;
        const tt_status s = read_gradient(r, p, v);
        *out = s == TT_OK && !isfinite(tti_largest(v, p->rows * p->cols));
        tti_free(v);
        TT_TRY(s);
    }
    return TT_OK;
}

/* Gradients in f16: the first steps, left out, find the loss scale; those of the case count from
 * one again. */
static tt_status find_scale(run *r) {
    enum { MOST = 24 };
    if (tti_model_get_opts(r->model)->gradients != TTI_F16) return TT_OK;
    bool over = true;
    for (uint32_t step = 1; over && step <= MOST; step++) {
        TT_TRY(run_batch(r, step));
        TT_TRY(overflows(r, &over));
        if (over) TT_TRY(tti_session_update(r->session));
    }
    return tti_optimizer_resume(tti_session_optimizer(r->session), 0);
}

static tt_status steps(run *r) {
    float *losses = tti_calloc((size_t)r->c.steps, sizeof *losses);
    if (!losses) return TT_E_NOMEM;
    tt_status s = TT_OK;
    for (int64_t i = 0; i < r->c.steps; i++) {
        float norm;
        bool finite;
        TT_GO(run_batch(r, (uint32_t)i + 1));
        TT_GO(tti_session_loss(r->session, &losses[i]));
        if (i == 0) TT_GO(first_step(r, losses[0]));
        TT_GO(tti_session_update(r->session));
        TT_GO(tti_session_result(r->session, &losses[i], &norm, &finite));
        if (!finite) {
            s = tti_fail(TT_E_NUMERIC, "step %d: loss or gradient is not finite", (int)i + 1);
            goto done;
        }
    }
    TT_GO(tti_session_flush(r->session));
    TT_GO(compare_parameters(r, false));
    TT_GO(tti_judge_keep(&r->judge, "losses3", losses, (size_t)r->c.steps));
    s = tti_judge_compare(&r->judge, "losses3", losses, (size_t)r->c.steps,
                          r->c.tol_after + r->wider.losses, 0);
done:
    tti_free(losses);
    return s;
}

tt_status tti_verify(tti_verify_result *out, tti_device *d, tti_gemm *gemm, const char *dir,
                     const tti_dials *dials, const char *write) {
    *out = (tti_verify_result){.tolerance = 1};
    run r = {.dev = d, .judge = {.r = out, .write = write}};
    tt_status s = setup(&r, d, gemm, dir, dials);
    if (s == TT_OK) s = find_largest(&r);
    if (s == TT_OK) s = find_scale(&r);
    if (s == TT_OK) s = steps(&r);
    if (s == TT_OK && write) s = tti_verify_values_write(&r.judge.values, write);
    if (s == TT_OK && !(out->error <= out->tolerance))
        s = tti_fail(TT_E_MISMATCH, "%s: error %.3g, tolerance %.3g", out->worst, out->error,
                     out->tolerance);
    tti_verify_values_free(&r.judge.values);
    tti_session_free(r.session);
    tti_batch_free(r.batch);
    tti_idset_free(&r.all);
    tti_idset_free(&r.slots);
    forget(&r);
    tti_model_free(r.model);
    tti_st_close(r.judge.want);
    tti_case_free(&r.c);
    return s;
}
