// SPDX-License-Identifier: Apache-2.0
/* trainer_causal.c - the data of a run that trains a decoder to predict tokens. */
#include "host/train/trainer_internal.h"

static tti_causal_opts options(const tti_job *r) {
    static const tti_instruct_format formats[] = {
        [TTI_FORMAT_AUTO] = TTI_INSTRUCT_auto,     [TTI_FORMAT_JSONL] = TTI_INSTRUCT_auto,
        [TTI_FORMAT_TSV] = TTI_INSTRUCT_auto,      [TTI_FORMAT_CSV] = TTI_INSTRUCT_auto,
        [TTI_FORMAT_ALPACA] = TTI_INSTRUCT_alpaca, [TTI_FORMAT_PROMPT] = TTI_INSTRUCT_prompt,
        [TTI_FORMAT_MESSAGES] = TTI_INSTRUCT_chat, [TTI_FORMAT_TEXT] = TTI_INSTRUCT_text};
    const tti_config *c = r->c;
    return (tti_causal_opts){.format = formats[c->data.format],
                             .template_name = c->data.template,
                             .model_dir = c->model.path,
                             .max_len = r->about.max_len,
                             .loss_all = c->data.loss_on == TTI_LOSS_ALL,
                             .skip = c->data.skip};
}

/* The template that the training data is read with, for whoever asks the model later. */
static tt_status find_template(tti_job *r, const tti_causal_opts *o) {
    const tti_instruct_opts first = {.format = o->format, .pass_empty = true};
    tti_instruct_reader *reader;
    tti_instruct_row row;
    bool end;
    TT_TRY(tti_instruct_open(&reader, r->c->data.train.v[0], &first));
    tt_status s = tti_instruct_next(reader, &row, &end);
    const char *name = o->template_name;
    if (s == TT_OK && !end) {
        switch (tti_instruct_reader_format(reader)) {
        case TTI_INSTRUCT_alpaca: name = name ? name : "alpaca"; break;
        case TTI_INSTRUCT_chat: name = name ? name : "model"; break;
        case TTI_INSTRUCT_prompt: name = name ? name : "none"; break;
        default: name = NULL; break;
        }
        if (name && !(r->template = tti_strdup(name))) s = TT_E_NOMEM;
    }
    tti_instruct_close(reader);
    r->about.template = r->template;
    return s;
}

static tt_status load(tti_job *r, const char *key, const tti_texts *files, tti_samples *to) {
    const tti_causal_opts o = options(r);
    tti_causal_dataset *ds;
    if (files->n == 0) return TT_OK;
    tt_status s = tti_causal_load(&ds, (const char *const *)files->v, files->n, r->tokenizer, &o);
    if (s != TT_OK) return tti_fail_in(s, "%s", key);
    s = tti_samples_causal(to, ds, tti_model_get_info(r->model)->vocab);
    tti_str_printf(&r->data, "%s%s: ", r->data.len > 0 ? "\n" : "", key);
    tti_causal_describe(ds, &r->data);
    tti_causal_free(ds);
    return s == TT_OK ? r->data.status : s;
}

tt_status tti_job_causal(tti_job *r) {
    const tti_config *c = r->c;
    const tti_causal_opts o = options(r);
    TT_TRY(load(r, "data.train", &c->data.train, &r->train));
    TT_TRY(load(r, "data.eval", &c->data.eval, &r->eval));
    TT_TRY(load(r, "data.test", &c->data.test, &r->test));
    TT_TRY(find_template(r, &o));
    const size_t count = tti_job_held(c, r->train.n);
    if (count == 0) return TT_OK;
    return tti_samples_hold_back(&r->train, &r->eval, count, (uint32_t)c->data.seed);
}
