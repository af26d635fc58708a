// SPDX-License-Identifier: Apache-2.0
/* fidelity_setup.c - data and model for measuring gradients. */
#include <string.h>
#include "host/eval/fidelity_setup.h"

enum { USUAL_CAUSAL = 2048 }; /* tokens of a sample at most where no length is given */

/* Labels of a model that has a head are kept; without one they are the data's. */
static tt_status load_labelled(tti_fidelity_setup *s, const tti_fidelity_source *from,
                               const tti_trained *t, tti_model_opts *o) {
    tti_dataset_opts d = {.data = {.text = from->text, .text2 = from->text2, .label = from->label}};
    d.regression = t->headless ? from->regress : t->about.task == TTI_TASK_REGRESS;
    if (!t->headless && t->about.labels) {
        d.labels = t->about.labels;
        d.nlabels = (size_t)t->about.num_labels;
    }
    TT_TRY(tti_dataset_load(&s->set, from->data, from->ndata, &d));
    o->task = d.regression ? TTI_TASK_REGRESS : TTI_TASK_CLASSIFY;
    o->num_labels = d.regression ? 1 : (int)tti_dataset_classes(s->set);
    return TT_OK;
}

static tt_status load_causal(tti_fidelity_setup *s, const tti_fidelity_source *from,
                             size_t max_len) {
    const tti_causal_opts o = {.template_name = from->template_name,
                               .model_dir = from->model,
                               .max_len = max_len,
                               .loss_all = from->loss_all,
                               .skip = true};
    tti_causal_dataset *ds;
    TT_TRY(tti_causal_load(&ds, from->data, from->ndata, s->tokenizer, &o));
    tt_status st = tti_samples_causal(&s->samples, ds, tti_model_get_info(s->model)->vocab);
    tti_causal_free(ds);
    return st;
}

static tt_status load_model(tti_fidelity_setup *s, tti_device *d, const tti_fidelity_source *from,
                            tti_model_opts *o) {
    o->seed = from->seed;
    if (from->lora || from->adapter) {
        o->method = TTI_METHOD_LORA;
        o->adapter = from->adapter;
        if (from->rank > 0) o->lora_rank = (int)from->rank;
        o->lora_targets = from->targets;
        o->lora_ntargets = (int)from->ntargets;
    }
    return tti_model_load(&s->model, d, from->model, o);
}

static tt_status open_all(tti_fidelity_setup *s, tti_device *d, const tti_fidelity_source *from) {
    tti_trained t;
    tti_model_opts o = tti_model_defaults();
    TT_TRY(tti_trained_read(&t, from->model, NULL));
    tt_status st = TT_OK;
    if (t.adapter)
        st = tti_fail(TT_E_ARG, "%s: is an adapter; name its base, and it with --adapter",
                      from->model);
    const bool causal = t.about.task == TTI_TASK_CAUSAL && !from->classify;
    if (st == TT_OK && causal) o.task = TTI_TASK_CAUSAL;
    if (st == TT_OK && !causal) st = load_labelled(s, from, &t, &o);
    tti_trained_free(&t);
    if (st == TT_OK) st = load_model(s, d, from, &o);
    if (st == TT_OK) st = tti_tokenizer_load(&s->tokenizer, from->model);
    TT_TRY(st);
    const tti_model_info *info = tti_model_get_info(s->model);
    size_t most = (size_t)info->max_len;
    if (from->max_len > most)
        return tti_fail(TT_E_ARG, "max-len %zu: the model reads at most %zu tokens", from->max_len,
                        most);
    if (causal) most = TT_MIN(most, (size_t)USUAL_CAUSAL);
    if (from->max_len > 0) most = from->max_len;
    if (causal) return load_causal(s, from, most);
    return tti_samples_encode(&s->samples, s->set, s->tokenizer, most, info->vocab);
}

tt_status tti_fidelity_setup_open(tti_fidelity_setup *out, tti_device *d,
                                  const tti_fidelity_source *from) {
    *out = (tti_fidelity_setup){0};
    tt_status s = open_all(out, d, from);
    if (s != TT_OK) tti_fidelity_setup_free(out);
    return s;
}

void tti_fidelity_setup_free(tti_fidelity_setup *s) {
    tti_samples_free(&s->samples);
    tti_dataset_free(s->set);
    tti_tokenizer_free(s->tokenizer);
    tti_model_free(s->model);
    *s = (tti_fidelity_setup){0};
}
