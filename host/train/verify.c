// SPDX-License-Identifier: Apache-2.0
#include "host/train/verify.h"

#include "host/core/file.h"
#include "host/train/verify_case.h"

#include <math.h>
#include <string.h>

/* A gradient tensor this much smaller than the largest one is zero but for rounding (a key's bias
 * when every token is selected: softmax does not see it). Its relative error means nothing, and
 * AdamW makes steps of up to lr out of it. So it does out of a single element this much smaller
 * than the largest of its own tensor: a sum of floats that happens to cancel. */
static const double noise_ratio = 1e-6, element_ratio = 1e-5;

typedef struct {
    tti_case c;
    tti_model *model;
    tti_session *session;
    tti_batch *batch;
    tti_idset all, slots;
    tti_device *dev;
    tti_st *want;
    double largest_gradient;
    tti_verify_result *r;
} run;

static double largest(const float *v, size_t n) {
    double m = 0;
    for (size_t i = 0; i < n; i++) {
        double a = fabs((double)v[i]);
        if (isnan(a)) return a;
        m = fmax(m, a);
    }
    return m;
}

static tt_status expected(run *r, const char *name, size_t count, float **out) {
    const tti_st_tensor *t = tti_st_find(r->want, name);
    if (!t) return tti_fail(TT_E_MISMATCH, "expected.safetensors has no %s", name);
    if (t->count != count)
        return tti_fail(TT_E_MISMATCH, "%s: expected.safetensors has %zu elements, the model %zu",
                        name, t->count, count);
    float *v = tti_malloc((count + 1) * sizeof *v);
    if (!v) return TT_E_NOMEM;
    tt_status s = tti_st_read_f32(t, v, 0, count);
    if (s == TT_OK && !isfinite(largest(v, count)))
        s = tti_fail(TT_E_MISMATCH, "%s: expected.safetensors has a number that is not finite",
                     name);
    if (s != TT_OK)
        tti_free(v);
    else
        *out = v;
    return s;
}

/* slack: an absolute error that is forgiven */
static tt_status compare(run *r, const char *name, const float *got, size_t count, double tolerance,
                         double slack) {
    float *want = NULL;
    TT_TRY(expected(r, name, count, &want));
    const double scale = largest(want, count);
    for (size_t i = 0; i < count; i++) want[i] = got[i] - want[i];
    double worst = largest(want, count);
    tti_free(want);
    worst = worst <= slack ? 0 : worst;
    const double error = worst == 0 ? 0 : worst / scale;
    tti_verify_result *out = r->r;
    tti_debug("%s: error %.3g of %.3g, largest %.3g", name, error, tolerance, scale);
    out->tensors++;
    const bool worse = !(error / tolerance <= out->error / out->tolerance);
    if (out->tensors == 1 || (worse && !isnan(out->error))) { /* no number is the worst of all */
        snprintf(out->worst, sizeof out->worst, "%s", name);
        out->error = error;
        out->tolerance = tolerance;
    }
    return TT_OK;
}

/* The gradient of p as the reference has it: sparse rows spread over the whole table. */
static tt_status read_gradient(run *r, const tti_param *p, float *dst) {
    const size_t count = p->rows * p->cols;
    if (!p->sparse) return tti_mem_read(r->dev, p->g, 0, dst, count * sizeof *dst);
    memset(dst, 0, count * sizeof *dst);
    for (size_t i = 0; i < r->slots.n; i++)
        TT_TRY(tti_mem_read(r->dev, p->g, i * p->cols * sizeof *dst,
                            dst + (size_t)r->slots.id[i] * p->cols, p->cols * sizeof *dst));
    return TT_OK;
}

static bool is_noise(const run *r, const float *gradient, size_t count) {
    return largest(gradient, count) <= noise_ratio * r->largest_gradient;
}

/* Where the reference's gradient is rounding but not 0, its updates are as good as any within lr a
 * step: those elements of got are taken as right. */
static tt_status settle_noise(run *r, const char *name, const float *gradient, float *got,
                              size_t count) {
    const double most = 2.0 * (double)r->c.steps * r->c.lr;
    const double noise =
        is_noise(r, gradient, count) ? HUGE_VAL : element_ratio * largest(gradient, count);
    float *want = NULL;
    TT_TRY(expected(r, name, count, &want));
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
    for (size_t i = 0; i < tti_st_count(r->want); i++) {
        const tti_st_tensor *t = tti_st_at(r->want, i);
        const bool gradient = !strncmp(t->name, "grad.", 5),
                   after = !strncmp(t->name, "after3.", 7);
        if (!gradient && !after) continue;
        const char *parameter = t->name + (gradient ? 5 : 7);
        if (!has_parameter(r, parameter))
            return tti_fail(TT_E_MISMATCH, "the model trains no parameter %s", parameter);
        if (!gradient) continue;
        float *v = NULL;
        TT_TRY(expected(r, t->name, t->count, &v));
        r->largest_gradient = fmax(r->largest_gradient, largest(v, t->count));
        tti_free(v);
    }
    return TT_OK;
}

static tt_status compare_one(run *r, const tti_param *p, const char *own, bool gradients) {
    const size_t count = p->rows * p->cols;
    char name[272], of[272];
    snprintf(of, sizeof of, "grad.%s", own);
    snprintf(name, sizeof name, "%s.%s", gradients ? "grad" : "after3", own);
    float *got = tti_malloc(count * sizeof *got), *gradient = NULL;
    tt_status s = got ? TT_OK : TT_E_NOMEM;
    if (s == TT_OK) s = gradients ? read_gradient(r, p, got) : tti_model_read(r->model, p, got);
    if (s == TT_OK && !without_gradient(r, own)) s = expected(r, of, count, &gradient);
    if (s == TT_OK && gradients) {
        const bool noise = is_noise(r, gradient, count);
        r->r->noise += noise;
        s = compare(r, name, got, count, r->c.tol_grad,
                    noise ? 2 * noise_ratio * r->largest_gradient : 0);
    } else if (s == TT_OK) {
        if (gradient) s = settle_noise(r, name, gradient, got, count);
        if (s == TT_OK) s = compare(r, name, got, count, r->c.tol_after, 0);
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
        TT_TRY(compare_one(r, p, own, gradients));
    }
    return TT_OK;
}

static tt_status setup(run *r, tti_device *d, tti_gemm *gemm, const char *dir) {
    TT_TRY(tti_case_read(&r->c, dir));
    char *model = tti_path_join(dir, "model"), *adapter = tti_path_join(dir, "adapter");
    char *want = tti_path_join(dir, "expected.safetensors");
    tt_status s = model && adapter && want ? TT_OK : TT_E_NOMEM;
    if (r->c.opts.method == TTI_METHOD_LORA) r->c.opts.adapter = adapter;
    if (s == TT_OK) s = tti_st_open(&r->want, want);
    if (s == TT_OK) s = tti_model_load(&r->model, d, model, &r->c.opts);
    tti_free(model);
    tti_free(adapter);
    tti_free(want);
    TT_TRY(s);
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
    if (s == TT_OK) s = compare(r, "loss", &loss, 1, r->c.tol_loss, 0);
    if (s == TT_OK) s = compare(r, "logits", logits, count, r->c.tol_logits, 0);
    tti_free(logits);
    TT_TRY(s);
    return compare_parameters(r, true);
}

/* What the loss is a mean over. */
static size_t losses_of(const run *r) {
    if (r->c.opts.task != TTI_TASK_CAUSAL) return r->c.nseqs;
    return TT_MAX(r->c.supervised, 1);
}

static tt_status steps(run *r) {
    float *losses = tti_calloc((size_t)r->c.steps, sizeof *losses);
    if (!losses) return TT_E_NOMEM;
    tt_status s = TT_OK;
    for (int64_t i = 0; i < r->c.steps; i++) {
        float norm;
        bool finite;
        TT_GO(tti_session_begin(r->session, (uint32_t)i + 1, (float)r->c.lr, r->all.id, r->all.n,
                                r->slots.id, r->slots.n));
        TT_GO(
            tti_session_batch(r->session, tti_batch_feed(r->batch), 0, 1.0f / (float)losses_of(r)));
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
    s = compare(r, "losses3", losses, (size_t)r->c.steps, r->c.tol_after, 0);
done:
    tti_free(losses);
    return s;
}

tt_status tti_verify(tti_verify_result *out, tti_device *d, tti_gemm *gemm, const char *dir) {
    *out = (tti_verify_result){.tolerance = 1};
    run r = {.r = out, .dev = d};
    tt_status s = setup(&r, d, gemm, dir);
    if (s == TT_OK) s = find_largest(&r);
    if (s == TT_OK) s = steps(&r);
    if (s == TT_OK && !(out->error <= out->tolerance))
        s = tti_fail(TT_E_MISMATCH, "%s: error %.3g, tolerance %.3g", out->worst, out->error,
                     out->tolerance);
    tti_session_free(r.session);
    tti_batch_free(r.batch);
    tti_idset_free(&r.all);
    tti_idset_free(&r.slots);
    tti_model_free(r.model);
    tti_st_close(r.want);
    tti_case_free(&r.c);
    return s;
}
