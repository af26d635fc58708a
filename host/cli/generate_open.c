// SPDX-License-Identifier: Apache-2.0
/* generate_open.c - from options to a model that is ready to write; prompts as tokens. */
#include <math.h>
#include <string.h>
#include "host/cli/generate.h"
#include "host/core/file.h"
#include "host/format/peft.h"

enum { MAX_NEW = 256 };

static volatile sig_atomic_t signalled;

static void on_signal(int number) { signalled = number; }

void tti_writer_signals(bool catch_them) {
    struct sigaction a = {.sa_handler = catch_them ? on_signal : SIG_DFL,
                          .sa_flags = catch_them ? (int)SA_RESETHAND : 0};
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

int tti_writer_signal(void) {
    const int number = signalled;
    signalled = 0;
    return number;
}

/* ---- values ---- */

static tt_status whole(const char *option, double v, double most) {
    if (v >= 0 && v <= most && floor(v) == v) return TT_OK;
    return tti_fail(TT_E_ARG, "%s %g: expected a whole number from 0 to %.0f", option, v, most);
}

/* Filters without a temperature mean to draw. */
static tt_status read_sampling(tti_writer *w) {
    const tti_generate_args *a = w->args;
    const bool filters = a->top_k > 0 || a->top_p < 1 || a->min_p > 0;
    TT_TRY(whole("--top-k", a->top_k, INT32_MAX));
    TT_TRY(whole("--seed", a->seed, UINT32_MAX));
    w->sampling = (tti_sampling){.temperature = (float)(!isnan(a->temperature) ? a->temperature
                                                        : filters              ? 1
                                                                               : 0),
                                 .top_k = (size_t)a->top_k,
                                 .top_p = (float)a->top_p,
                                 .min_p = (float)a->min_p,
                                 .repetition = (float)a->repetition,
                                 .seed = (uint32_t)a->seed};
    return tti_sampling_check(&w->sampling);
}

/* ---- model ---- */

static tt_status has_file(bool *out, const char *dir, const char *name) {
    char *path = tti_path_join(dir, name);
    if (!path) return TT_E_NOMEM;
    *out = tti_file_exists(path);
    tti_free(path);
    return TT_OK;
}

/* The adapter's folder with its base, or the model's. */
static tt_status read_folders(tti_writer *w) {
    const char *model = w->args->model, *adapter = w->args->adapter;
    bool is_adapter = false;
    if (model) TT_TRY(has_file(&is_adapter, model, "adapter_config.json"));
    if (is_adapter) {
        if (adapter)
            return tti_fail(TT_E_ARG, "--model %s: this is an adapter; name its base", model);
        adapter = model;
        model = NULL;
    }
    if (!adapter) return tti_trained_read(&w->t, model, NULL);
    if (!tti_dir_exists(adapter)) return tti_fail(TT_E_IO, "%s: no such folder", adapter);
    if (!model) {
        tti_peft_config *peft;
        TT_TRY(tti_peft_read(&peft, adapter));
        if (peft->base_model) w->base = tti_strdup(peft->base_model);
        const bool named = peft->base_model != NULL;
        tti_peft_free(peft);
        if (!named)
            return tti_fail(TT_E_ARG, "%s: the adapter names no base model; give --model", adapter);
        if (!w->base) return TT_E_NOMEM;
        if (!tti_dir_exists(w->base))
            return tti_fail(TT_E_IO, "%s: its base model %s is no folder here; give --model",
                            adapter, w->base);
        model = w->base;
    }
    return tti_trained_read(&w->t, adapter, model);
}

static tt_status add_end(tti_writer *w, int32_t id) {
    for (size_t i = 0; i < w->nend_ids; i++)
        if (w->end_ids[i] == id) return TT_OK;
    int32_t *more = tti_realloc(w->end_ids, w->nend_ids + 1, sizeof *more);
    if (!more) return TT_E_NOMEM;
    w->end_ids = more;
    w->end_ids[w->nend_ids++] = id;
    return TT_OK;
}

/* What ends an answer in the template's form: a token, or else a stop string. */
static tt_status open_template(tti_writer *w, const char *name) {
    const char *dir = w->t.adapter ? w->t.base : w->t.dir;
    TT_TRY(tti_template_open(&w->template, name, dir, tti_causal_marks(w->t.tokenizer)));
    const char *mark = tti_template_end_mark(w->template);
    if (!*mark) return TT_OK;
    const int32_t id = tti_tokenizer_id(w->t.tokenizer, mark, strlen(mark));
    if (id >= 0) return add_end(w, id);
    w->stops[w->nstops++] = mark;
    return TT_OK;
}

static tt_status read_stops(tti_writer *w) {
    const tti_opt_list *s = &w->args->stops;
    w->stops = tti_calloc(s->n + 1, sizeof *w->stops);
    if (!w->stops) return TT_E_NOMEM;
    for (size_t i = 0; i < s->n; i++) w->stops[w->nstops++] = s->v[i];
    return TT_OK;
}

tt_status tti_writer_open(tti_writer *w, const tti_generate_args *a) {
    *w = (tti_writer){.args = a};
    TT_TRY(read_sampling(w));
    TT_TRY(read_stops(w));
    TT_TRY(read_folders(w));
    if (w->t.about.task != TTI_TASK_CAUSAL)
        return tti_fail(TT_E_ARG, "%s: the model predicts labels, not tokens; see predict --help",
                        w->t.dir);
    TT_TRY(tti_device_open(&w->dev, a->device));
    TT_TRY(tti_gemm_new(&w->gemm, w->dev, a->gemm));
    TT_TRY(tti_trained_load(&w->t, w->dev));
    w->context = (size_t)tti_model_get_info(w->t.model)->max_len;
    TT_TRY(tti_end_ids_read(&w->end_ids, &w->nend_ids, w->t.adapter ? w->t.base : w->t.dir));
    const char *template = a->template;
    if (!template && a->chat) template = w->t.about.template ? w->t.about.template : "model";
    return template ? open_template(w, template) : TT_OK;
}

void tti_writer_close(tti_writer *w) {
    tti_template_free(w->template);
    tti_rendered_free(&w->rendered);
    tti_causal_tokens_free(&w->tokens);
    tti_trained_free(&w->t);
    tti_gemm_free(w->gemm);
    tti_device_close(w->dev);
    tti_free(w->stops);
    tti_free(w->end_ids);
    tti_free(w->base);
}

/* ---- prompts ---- */

static tt_status begin_mark(tti_writer *w) {
    const int32_t bos = tti_tokenizer_special(w->t.tokenizer).bos;
    if (bos < 0)
        return tti_fail(TT_E_DATA, "the prompt is empty, and the tokenizer has no begin mark");
    TT_TRY(TTI_GROW(w->tokens.ids, w->tokens.cap, 1));
    w->tokens.ids[0] = bos;
    w->tokens.n = 1;
    return TT_OK;
}

tt_status tti_writer_encode(tti_writer *w, const tti_message *m, size_t n) {
    const bool special = !w->template || tti_template_adds_special(w->template);
    if (w->template) {
        TT_TRY(tti_template_render(w->template, m, n, true, &w->rendered));
    } else {
        TT_ASSERT(n == 1);
        w->rendered.text.len = 0;
        w->rendered.answers = 0;
        tti_str_add(&w->rendered.text, m->text, m->len);
        TT_TRY(w->rendered.text.status);
    }
    TT_TRY(tti_causal_encode(&w->tokens, w->t.tokenizer, &w->rendered, special));
    return w->tokens.n ? TT_OK : begin_mark(w);
}

tt_status tti_writer_room(const tti_writer *w, const char *name, size_t n, size_t *max_new) {
    if (n >= w->context)
        return tti_fail(TT_E_DATA, "%s: %zu tokens; the model's context is %zu", name, n,
                        w->context);
    const size_t room = w->context - n;
    if (w->args->max_new > room)
        return tti_fail(TT_E_ARG,
                        "--max-new %zu: behind the %zu tokens of %s the model's context of %zu "
                        "has room for %zu",
                        w->args->max_new, n, name, w->context, room);
    *max_new = w->args->max_new ? w->args->max_new : TT_MIN(room, (size_t)MAX_NEW);
    return TT_OK;
}

tti_generate_opts tti_writer_options(const tti_writer *w) {
    return (tti_generate_opts){.sampling = w->sampling,
                               .end_ids = w->end_ids,
                               .nend_ids = w->nend_ids,
                               .stops = w->stops,
                               .nstops = w->nstops,
                               .interrupt = &signalled};
}
