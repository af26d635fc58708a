// SPDX-License-Identifier: Apache-2.0
/* dial_support.h - one training step of a parity case under given settings: its loss, its
 * gradients, its bytes. */
#ifndef TT_TESTS_UNIT_TRAIN_DIAL_SUPPORT_H
#define TT_TESTS_UNIT_TRAIN_DIAL_SUPPORT_H

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include "host/core/file.h"
#include "host/train/batch.h"
#include "host/train/session.h"
#include "host/train/verify_case.h"

typedef struct {
    tti_device *d;
    tti_gemm *gemm;
} td_env;

typedef struct {
    const char *name;
    int weights, head; /* tti_dtype or TTI_AS_STORED */
    int through;       /* weights are f32, but with the values that this type would have given */
    tti_dtype kept, keys, gradients;
    tti_recompute recompute;
    bool recompute_keys, stream;
    tti_optimizer_kind optimizer;
    float dropout;
} td_dials;

typedef struct {
    float loss;
    float *gradient; /* of all trained parameters, end to end */
    size_t count;
    tti_bytes planned, allocated;
} td_step;

static inline td_env td_open(void) {
    td_env e = {0};
    if (tti_device_open(&e.d, NULL) != TT_OK) cr_skip_test("no device: %s", tt_error());
    cr_assert_eq(tti_gemm_new(&e.gemm, e.d, "tile"), TT_OK, "%s", tt_error());
    return e;
}

static inline void td_close(td_env *e) {
    tti_gemm_free(e->gemm);
    tti_device_close(e->d);
}

static inline tti_model *td_load(td_env *e, tti_case *c, const char *dir, const td_dials *t) {
    static char path[512], adapter[512]; /* the model borrows them */
    tti_model *m;
    snprintf(path, sizeof path, "%s/model", dir);
    snprintf(adapter, sizeof adapter, "%s/adapter", dir);
    tti_model_opts o = c->opts;
    o.weights = t->weights;
    o.head = t->head;
    o.gradients = t->gradients;
    o.stream = t->stream;
    o.hidden_dropout = o.attention_dropout = o.classifier_dropout = t->dropout;
    if (o.method == TTI_METHOD_LORA) o.adapter = adapter;
    cr_assert_eq(tti_model_load(&m, e->d, path, &o), TT_OK, "%s: %s", t->name, tt_error());
    return m;
}

static inline tti_model *td_model(td_env *e, tti_case *c, const char *dir, const td_dials *t) {
    tti_model *m = td_load(e, c, dir, t);
    if (!t->through) return m;
    td_dials typed = *t;
    typed.weights = typed.head = t->through;
    tti_model *from = td_load(e, c, dir, &typed);
    for (size_t i = 0; i < tti_model_nparams(m); i++) {
        const tti_param *p = tti_model_param(m, i);
        float *values = tti_calloc(p->rows * p->cols, sizeof *values);
        cr_assert_not_null(values);
        cr_assert_eq(tti_model_read(from, tti_model_param(from, i), values), TT_OK);
        cr_assert_eq(tti_model_write(m, p, values), TT_OK);
        tti_free(values);
    }
    tti_model_free(from);
    return m;
}

static inline void td_gradients(tti_model *m, size_t slots, td_step *out) {
    for (size_t i = 0; i < tti_model_nparams(m); i++) {
        const tti_param *p = tti_model_param(m, i);
        if (p->trainable) out->count += (p->sparse ? slots : p->rows) * p->cols;
    }
    float *to = out->gradient = tti_calloc(out->count + 1, sizeof *to);
    cr_assert_not_null(to);
    for (size_t i = 0; i < tti_model_nparams(m); i++) {
        const tti_param *p = tti_model_param(m, i);
        if (!p->trainable) continue;
        cr_assert_eq(tti_model_read_gradient(m, p, to), TT_OK, "%s", tt_error());
        to += (p->sparse ? slots : p->rows) * p->cols;
    }
}

static inline bool td_finite(const td_step *s) {
    for (size_t i = 0; i < s->count; i++)
        if (!isfinite(s->gradient[i])) return false;
    return true;
}

static inline void td_free(td_step *s) {
    tti_free(s->gradient);
    s->gradient = NULL;
    s->count = 0;
}

/* One step (without its update) of the case in dir; gradients are divided by the loss scale. */
static inline td_step td_run(td_env *e, const char *dir, const td_dials *t) {
    td_step out = {0};
    tti_case c;
    tti_batch *b;
    tti_session *s;
    tti_idset all = {0}, slots = {0};
    cr_assert_eq(tti_case_read(&c, dir), TT_OK, "%s", tt_error());
    tti_model *m = td_model(e, &c, dir, t);
    const tti_model_info *info = tti_model_get_info(m);
    cr_assert_eq(tti_idset_add(&all, info, c.seqs, c.nseqs, false), TT_OK);
    cr_assert_eq(tti_idset_add(&slots, info, c.seqs, c.nseqs, true), TT_OK);
    cr_assert_eq(tti_batch_new(&b), TT_OK);
    cr_assert_eq(tti_batch_fill(b, info, tti_device_caps(e->d)->att_rows, c.seqs, c.nseqs, slots.id,
                                slots.n, !tti_model_param(m, 0)->sparse),
                 TT_OK, "%s", tt_error());
    tti_session_opts o = tti_session_defaults();
    o.training = o.loss = true;
    o.dropout = t->dropout > 0;
    o.max = tti_batch_feed(b)->rows;
    o.store = (tti_store_opts){t->kept, t->keys};
    o.recompute = t->recompute;
    o.recompute_keys = t->recompute_keys;
    o.optimizer = t->optimizer;
    cr_assert_eq(tti_session_new(&s, e->d, e->gemm, m, &o), TT_OK, "%s: %s", t->name, tt_error());
    out.planned = tti_session_planned(s);
    out.allocated = tti_session_allocated(s);
    const float share =
        1.0f / (float)(c.opts.task == TTI_TASK_CAUSAL ? TT_MAX(c.supervised, 1) : c.nseqs);
    for (uint32_t step = 1;; step++) { /* until the loss scale suits f16 */
        cr_assert_eq(tti_session_begin(s, step, 1e-3f, all.id, all.n, slots.id, slots.n), TT_OK,
                     "%s", tt_error());
        cr_assert_eq(tti_session_batch(s, tti_batch_feed(b), 0, share), TT_OK, "%s", tt_error());
        cr_assert_eq(tti_session_loss(s, &out.loss), TT_OK, "%s", tt_error());
        td_gradients(m, slots.n, &out);
        if (t->gradients != TTI_F16 || td_finite(&out) || step == 20) break;
        td_free(&out);
        cr_assert_eq(tti_session_update(s), TT_OK, "%s", tt_error());
    }
    const float scale = tti_optimizer_loss_scale(tti_session_optimizer(s));
    for (size_t i = 0; i < out.count; i++) out.gradient[i] /= scale;
    tti_session_free(s);
    tti_batch_free(b);
    tti_idset_free(&all);
    tti_idset_free(&slots);
    tti_model_free(m);
    tti_case_free(&c);
    return out;
}

/* sqrt(sum (a-b)^2 / sum b^2) */
static inline double td_error(const td_step *a, const td_step *b) {
    double diff = 0, size = 0;
    cr_assert_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const double d = (double)a->gradient[i] - (double)b->gradient[i];
        diff += d * d;
        size += (double)b->gradient[i] * (double)b->gradient[i];
    }
    return sqrt(diff / size);
}

#endif
