// SPDX-License-Identifier: Apache-2.0
/* merge.c - the merged folder written aside, checked, and put in its place. */
#include <math.h>
#include <string.h>
#include "host/core/file.h"
#include "host/eval/logits.h"
#include "host/eval/merge.h"
#include "host/eval/model_folder.h"
#include "host/format/peft.h"
#include "host/model/merge.h"
#include "host/train/export.h"

enum { PROMPT_TOKENS = 48 };

static const char *const own_prompts[] = {
    "The lighthouse keeper wrote down the weather every morning: wind, clouds, waves.",
    "Question: How many legs do three spiders have?\nAnswer:",
    "It was, to put it mildly, not the film that we had hoped for.",
    "def area(width, height):\n    return width * height\n",
};

static const char *const base_files[] = {"generation_config.json"};
static const char *const adapter_files[] = {"tokentune.json"};

typedef struct {
    const tti_merge_opts *o;
    tti_st_dtype dtype;
    tti_peft_config *peft;
    const char *base;
    tti_trained about;   /* classifiers: their labels */
    tti_model_opts opts; /* of base and adapter */
    tti_text_ids *texts;
    size_t ntexts;
} merge;

/* ---- what is merged ---- */

static tt_status read_dtype(merge *g) {
    static const struct {
        const char *name;
        tti_st_dtype dtype;
    } known[] = {{"f32", TTI_ST_F32}, {"f16", TTI_ST_F16}, {"bf16", TTI_ST_BF16}};
    g->dtype = TTI_ST_OTHER;
    if (!g->o->dtype) return TT_OK;
    for (size_t i = 0; i < TT_COUNT(known); i++)
        if (!strcmp(known[i].name, g->o->dtype)) g->dtype = known[i].dtype;
    if (g->dtype != TTI_ST_OTHER) return TT_OK;
    return tti_fail(TT_E_ARG, "dtype %s: expected f32, f16 or bf16", g->o->dtype);
}

/* Adapters of PEFT say what they are for; where one does not, its base does. */
static tt_status is_causal(const merge *g, bool *out) {
    if (g->peft->task_type) {
        *out = !strcmp(g->peft->task_type, "CAUSAL_LM");
        return TT_OK;
    }
    tti_hf_config *c;
    TT_TRY(tti_hf_config_read(&c, g->base));
    *out = c->architecture &&
           (strstr(c->architecture, "ForCausalLM") || strstr(c->architecture, "LMHead"));
    tti_hf_config_free(c);
    return TT_OK;
}

static tt_status read_inputs(merge *g) {
    const tti_merge_opts *o = g->o;
    bool causal;
    TT_TRY(read_dtype(g));
    TT_TRY(tti_peft_read(&g->peft, o->adapter));
    g->base = o->base ? o->base : g->peft->base_model;
    if (!g->base)
        return tti_fail(TT_E_ARG, "%s: adapter_config.json names no base model; give --model",
                        o->adapter);
    if (!tti_dir_exists(g->base)) return tti_fail(TT_E_IO, "%s: no such folder", g->base);
    TT_TRY(is_causal(g, &causal));
    g->opts = tti_model_defaults();
    g->opts.frozen = true;
    g->opts.head = TTI_F32; /* beside quantised weights it would be rounded */
    g->opts.method = TTI_METHOD_LORA;
    g->opts.adapter = o->adapter;
    g->opts.task = TTI_TASK_CAUSAL;
    if (causal) return TT_OK;
    TT_TRY(tti_trained_read(&g->about, o->adapter, g->base));
    g->opts.task = g->about.about.task;
    g->opts.num_labels = g->about.about.num_labels;
    g->opts.pooling = (int)g->about.about.pooling;
    return TT_OK;
}

static tt_status write(merge *g, const char *dir) {
    tti_model *m = NULL;
    bool own;
    tti_model_opts o = g->opts;
    TT_TRY(tti_model_load(&m, NULL, g->base, &o));
    tt_status s = tti_model_merge(m, dir, g->dtype, g->about.about.labels,
                                  g->about.about.labels ? g->about.about.num_labels : 0);
    tti_model_free(m);
    TT_TRY(s);
    TT_TRY(tti_folder_has_tokenizer(g->o->adapter, &own));
    TT_TRY(tti_folder_copy_tokenizer(dir, own ? g->o->adapter : g->base));
    TT_TRY(tti_folder_copy(dir, g->base, base_files, TT_COUNT(base_files)));
    return tti_folder_copy(dir, g->o->adapter, adapter_files, TT_COUNT(adapter_files));
}

/* ---- the comparison ---- */

static tt_status encode(merge *g, const tti_tokenizer *t, tti_text_ids *out, const char *text,
                        size_t most) {
    const tti_encode_opts o = {.max_len = most, .add_special = true};
    tti_encoding e = {0};
    tt_status s = tti_tokenizer_encode(t, text, strlen(text), NULL, 0, &o, &e);
    if (s == TT_OK && e.n > 0) {
        out->n = e.n;
        out->ids = tti_malloc(e.n * sizeof *out->ids);
        s = out->ids ? TT_OK : TT_E_NOMEM;
        if (out->ids) memcpy(out->ids, e.ids, e.n * sizeof *out->ids);
        g->ntexts += out->ids != NULL;
    }
    tti_encoding_free(&e);
    return s;
}

/* A folder without a tokenizer is compared on numbers. */
static tt_status draw_ids(merge *g, tti_text_ids *out, size_t n, size_t vocab) {
    if (!(out->ids = tti_malloc(n * sizeof *out->ids))) return TT_E_NOMEM;
    out->n = n;
    for (size_t i = 0; i < n; i++)
        out->ids[i] = (int32_t)((g->ntexts * 104729 + i * 7919 + 13) % vocab);
    g->ntexts++;
    return TT_OK;
}

static tt_status make_texts(merge *g, const char *dir) {
    const size_t n = g->o->nprompts ? g->o->nprompts : TT_COUNT(own_prompts);
    const char *const *texts = g->o->nprompts ? g->o->prompts : own_prompts;
    tti_model *m = NULL;
    tti_tokenizer *t = NULL;
    bool tokenizer;
    tt_status s = TT_OK;
    if (!(g->texts = tti_calloc(n, sizeof *g->texts))) return TT_E_NOMEM;
    tti_model_opts o = g->opts;
    TT_TRY(tti_model_load(&m, NULL, g->base, &o));
    const size_t vocab = (size_t)tti_model_get_info(m)->vocab;
    const size_t most =
        TT_MIN((size_t)PROMPT_TOKENS, (size_t)TT_MAX(tti_model_get_info(m)->max_len, 1));
    TT_GO(tti_folder_has_tokenizer(dir, &tokenizer));
    if (!tokenizer && g->o->nprompts)
        TT_GO(tti_fail(TT_E_ARG, "%s: has no tokenizer for the prompts; give --check alone",
                       g->base));
    if (tokenizer) TT_GO(tti_tokenizer_load(&t, dir));
    for (size_t i = 0; i < n; i++) {
        if (tokenizer)
            TT_GO(encode(g, t, &g->texts[g->ntexts], texts[i], most));
        else
            TT_GO(draw_ids(g, &g->texts[g->ntexts], TT_MIN(most, 5 + 9 * i), vocab));
    }
    if (g->ntexts == 0) s = tti_fail(TT_E_ARG, "the prompts have no tokens");
done:
    tti_tokenizer_free(t);
    tti_model_free(m);
    return s;
}

/* Largest difference over the largest number wanted; infinite where one is no number. */
static double difference(const float *got, const float *want, size_t n, size_t *at) {
    double most = 0, scale = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)got[i] - (double)want[i]);
        if (!isfinite(d)) {
            *at = i;
            return INFINITY;
        }
        scale = fmax(scale, fabs((double)want[i]));
        if (d > most) most = d, *at = i;
    }
    return most == 0 ? 0 : most / scale;
}

static void free_all(float **v, size_t n) {
    for (size_t i = 0; v && i < n; i++) tti_free(v[i]);
    tti_free(v);
}

/* Rounding a weight changes it by one part in 2^11 (f16) or 2^8 (bf16) at most; sums of many such
 * changes stay below these shares of the largest logit. */
static double tolerance(const char *dir) {
    tti_st_dtype least = TTI_ST_F32;
    tti_st *st;
    if (tti_st_open(&st, dir) != TT_OK) return 0;
    for (size_t i = 0; i < tti_st_count(st); i++) {
        const tti_st_dtype t = tti_st_at(st, i)->dtype;
        if (t == TTI_ST_BF16 || (t == TTI_ST_F16 && least == TTI_ST_F32)) least = t;
    }
    tti_st_close(st);
    return least == TTI_ST_BF16 ? 8e-2 : least == TTI_ST_F16 ? 1e-2 : 1e-4;
}

static tt_status judge(const merge *g, float **want, float **got, const size_t *count,
                       tti_merge_check *c) {
    size_t worst = 0, where = 0;
    for (size_t i = 0; i < g->ntexts; i++) {
        size_t at = 0;
        const double d = difference(got[i], want[i], count[i], &at);
        if (d > c->error) c->error = d, worst = i, where = at;
        c->tokens += g->texts[i].n;
    }
    c->prompts = g->ntexts;
    if (c->error <= c->tolerance) return TT_OK;
    const size_t width = count[worst] / (g->opts.task == TTI_TASK_CAUSAL ? g->texts[worst].n : 1);
    return tti_fail(TT_E_MISMATCH,
                    "%s: the merged model differs from base and adapter by %.3g of the largest "
                    "logit, %.3g is allowed; worst is prompt %zu, token %zu, logit %zu: %.7g, not "
                    "%.7g; nothing was written",
                    g->o->out, c->error, c->tolerance, worst + 1, where / width + 1, where % width,
                    (double)got[worst][where], (double)want[worst][where]);
}

/* What the adapter does to the logits, where the base alone has them. */
static tt_status measure_effect(const merge *g, float **want, const size_t *count,
                                tti_merge_check *c) {
    c->effect = -1;
    if (g->opts.task != TTI_TASK_CAUSAL) return TT_OK;
    float **plain = tti_calloc(g->ntexts, sizeof *plain);
    size_t *n = tti_calloc(g->ntexts, sizeof *n), at;
    tti_model_opts o = tti_model_defaults();
    o.frozen = true;
    o.head = TTI_F32;
    o.task = TTI_TASK_CAUSAL;
    tt_status s = plain && n ? TT_OK : TT_E_NOMEM;
    if (s == TT_OK)
        s = tti_logits_of(plain, n, g->texts, g->ntexts, g->o->device, g->o->gemm, g->base, &o);
    for (size_t i = 0; i < g->ntexts && s == TT_OK; i++)
        c->effect = fmax(c->effect, difference(plain[i], want[i], count[i], &at));
    free_all(plain, g->ntexts);
    tti_free(n);
    if (s == TT_OK && c->error > 0.5 * c->effect && c->effect > c->tolerance / 100)
        tti_warn("rounding the weights changes the logits by %.2g, the adapter by %.2g; "
                 "a wider dtype keeps more of it",
                 c->error, c->effect);
    return s;
}

static tt_status compare(merge *g, const char *dir, tti_merge_check *c) {
    TT_TRY(make_texts(g, dir));
    const size_t n = g->ntexts;
    float **want = tti_calloc(n, sizeof *want), **got = tti_calloc(n, sizeof *got);
    size_t *count = tti_calloc(n, sizeof *count);
    tti_model_opts merged = tti_model_defaults();
    merged.frozen = true;
    merged.task = g->opts.task;
    merged.num_labels = g->opts.num_labels;
    tt_status s = want && got && count ? TT_OK : TT_E_NOMEM;
    TT_GO(s);
    c->tolerance = tolerance(dir);
    TT_GO(tti_logits_of(want, count, g->texts, n, g->o->device, g->o->gemm, g->base, &g->opts));
    TT_GO(tti_logits_of(got, count, g->texts, n, g->o->device, g->o->gemm, dir, &merged));
    TT_GO(judge(g, want, got, count, c));
    s = measure_effect(g, want, count, c);
done:
    free_all(want, n);
    free_all(got, n);
    tti_free(count);
    return s;
}

tt_status tti_merge(const tti_merge_opts *o, tti_merge_check *check) {
    merge g = {.o = o};
    char *aside = NULL;
    *check = (tti_merge_check){.effect = -1};
    tt_status s = read_inputs(&g);
    if (s == TT_OK) s = tti_folder_check_place(o->out, (const char *[]){g.base, o->adapter}, 2);
    if (s == TT_OK) s = tti_dir_begin(&aside, o->out);
    if (s == TT_OK) s = write(&g, aside);
    if (s == TT_OK && o->check) s = compare(&g, aside, check);
    if (s == TT_OK) s = tti_dir_commit(aside, o->out);
    if (s != TT_OK && aside) tti_dir_abort(aside);
    for (size_t i = 0; i < g.ntexts; i++) tti_free(g.texts[i].ids);
    tti_free(g.texts);
    tti_free(aside);
    tti_trained_free(&g.about);
    tti_peft_free(g.peft);
    return s;
}
