// SPDX-License-Identifier: Apache-2.0
/* trainer_data.c - the data of a run: read, split, drawn, encoded. */
#include <math.h>
#include <string.h>
#include "host/train/trainer_internal.h"

enum { USUAL_CAUSAL = 2048 }; /* tokens of a sample where data.max_len is 0 */

static tti_dataset_opts options(const tti_config *c) {
    static const int formats[] = {[TTI_FORMAT_AUTO] = TTI_DATA_AUTO,
                                  [TTI_FORMAT_JSONL] = TTI_DATA_JSONL,
                                  [TTI_FORMAT_TSV] = TTI_DATA_TSV,
                                  [TTI_FORMAT_CSV] = TTI_DATA_CSV};
    static const int headers[] = {[TTI_HEADER_AUTO] = TTI_DATA_HEADER_AUTO,
                                  [TTI_HEADER_YES] = TTI_DATA_HEADER_YES,
                                  [TTI_HEADER_NO] = TTI_DATA_HEADER_NO};
    return (tti_dataset_opts){.data = {.format = formats[c->data.format],
                                       .header = headers[c->data.header],
                                       .text = c->data.text,
                                       .text2 = c->data.text2,
                                       .label = c->data.label},
                              .regression = c->task == TTI_CONFIG_REGRESS};
}

static tt_status load(tti_dataset **out, const tti_texts *files, const tti_dataset_opts *o) {
    return tti_dataset_load(out, (const char *const *)files->v, files->n, o);
}

/* The labels of a checkpoint that already has a head for them are kept, where the data fits. */
static tt_status load_with_models_labels(tti_job *r, tti_dataset_opts *o, bool *done) {
    const tti_config *c = r->c;
    tti_hf_config *h;
    TT_TRY(tti_hf_config_read(&h, c->model.path));
    bool head = h->has_labels && h->architecture && !c->model.fresh_head &&
                strstr(h->architecture, "ForSequenceClassification") != NULL;
    *done = false;
    if (head && h->num_labels > 1) {
        o->labels = (const char *const *)h->id2label;
        o->nlabels = (size_t)h->num_labels;
        *done = load(&r->train_set, &c->data.train, o) == TT_OK;
        o->labels = NULL;
        o->nlabels = 0;
    }
    tti_hf_config_free(h);
    return TT_OK;
}

static tt_status load_train(tti_job *r, tti_dataset_opts *o) {
    const tti_config *c = r->c;
    bool done = false;
    if (c->data.labels.n > 0) {
        o->labels = (const char *const *)c->data.labels.v;
        o->nlabels = c->data.labels.n;
    } else if (!o->regression) {
        TT_TRY(load_with_models_labels(r, o, &done));
    }
    return done ? TT_OK : load(&r->train_set, &c->data.train, o);
}

size_t tti_job_held(const tti_config *c, size_t n) {
    if (c->data.eval_fraction > 0)
        return (size_t)fmax(1.0, nearbyint(c->data.eval_fraction * (double)n));
    return (size_t)c->data.eval_count;
}

static tt_status hold_back(tti_job *r) {
    const tti_config *c = r->c;
    const size_t count = tti_job_held(c, tti_dataset_count(r->train_set));
    if (count == 0) return TT_OK;
    return tti_dataset_split(r->train_set, &r->eval_set, count, (uint64_t)c->data.seed);
}

tt_status tti_job_data(tti_job *r) {
    const tti_config *c = r->c;
    tti_dataset_opts o = options(c);
    if (c->task == TTI_CONFIG_CAUSAL) { /* read when the model's sizes are known */
        r->about.task = TTI_TASK_CAUSAL;
        return TT_OK;
    }
    TT_TRY(load_train(r, &o));
    r->about.task = o.regression ? TTI_TASK_REGRESS : TTI_TASK_CLASSIFY;
    r->about.num_labels = 1;
    if (!o.regression) {
        r->about.labels = o.labels = tti_dataset_labels(r->train_set);
        o.nlabels = tti_dataset_classes(r->train_set);
        r->about.num_labels = (int)o.nlabels;
    }
    if (c->data.eval.n > 0) TT_TRY(load(&r->eval_set, &c->data.eval, &o));
    if (c->data.test.n > 0) TT_TRY(load(&r->test_set, &c->data.test, &o));
    TT_TRY(hold_back(r));
    if (c->data.shots > 0)
        TT_TRY(tti_dataset_shots(r->train_set, (size_t)c->data.shots, (uint64_t)c->data.seed));
    return TT_OK;
}

tt_status tti_job_encode(tti_job *r) {
    const tti_model_info *info = tti_model_get_info(r->model);
    size_t most = (size_t)info->max_len, asked = (size_t)r->c->data.max_len;
    if (asked > most)
        return tti_fail(TT_E_ARG, "data.max_len: %zu; the model reads at most %zu tokens", asked,
                        most);
    if (r->about.task == TTI_TASK_CAUSAL) most = TT_MIN(most, (size_t)USUAL_CAUSAL);
    r->about.max_len = asked > 0 ? asked : most;
    r->about.pooling = info->pooling;
    if (r->about.task == TTI_TASK_CAUSAL) return tti_job_causal(r);
    const struct {
        tti_samples *to;
        const tti_dataset *from;
    } sets[] = {{&r->train, r->train_set}, {&r->eval, r->eval_set}, {&r->test, r->test_set}};
    for (size_t i = 0; i < TT_COUNT(sets); i++)
        if (sets[i].from)
            TT_TRY(tti_samples_encode(sets[i].to, sets[i].from, r->tokenizer, r->about.max_len,
                                      info->vocab));
    return TT_OK;
}
