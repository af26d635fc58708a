// SPDX-License-Identifier: Apache-2.0
/* config.h - the description of a training run: a YAML file and key=value overrides, in a struct.
 *
 *   model:                      data:                      train:
 *     path: models/minilm         train: train.jsonl         epochs: 3
 *   method:                       eval: dev.jsonl            batch: 16
 *     name: lora                select:                      lr: 3e-5
 *     targets: [query, value]     keep: 0.3                output:
 *   task: classify                                           dir: out/first
 *
 * config_fields.c holds the one table of all keys with type, range, default and meaning; the
 * reader, the overrides, the text in checkpoints and `tokentune train --help` all follow it. Paths
 * are relative to the working folder. */
#ifndef TT_HOST_TRAIN_CONFIG_H
#define TT_HOST_TRAIN_CONFIG_H

#include "host/core/core.h"

typedef struct {
    char **v;
    size_t n;
} tti_texts;

enum { TTI_POOLING_CLS, TTI_POOLING_MEAN };
enum { TTI_CONFIG_CLASSIFY, TTI_CONFIG_REGRESS, TTI_CONFIG_CAUSAL };
enum { TTI_CONFIG_FULL, TTI_CONFIG_LORA, TTI_CONFIG_QLORA };
/* Types of storage, in the order of the choices; storage.gradients has no auto and counts from F32,
 * storage.keys has RECOMPUTE in the place of NF4. */
enum {
    TTI_STORE_AUTO,
    TTI_STORE_F32,
    TTI_STORE_BF16,
    TTI_STORE_F16,
    TTI_STORE_Q8,
    TTI_STORE_NF4,
    TTI_STORE_RECOMPUTE = TTI_STORE_NF4
};
enum {
    TTI_FORMAT_AUTO,
    TTI_FORMAT_JSONL,
    TTI_FORMAT_TSV,
    TTI_FORMAT_CSV,
    TTI_FORMAT_ALPACA, /* this one and those below: causal */
    TTI_FORMAT_PROMPT,
    TTI_FORMAT_MESSAGES,
    TTI_FORMAT_TEXT
};
enum { TTI_LOSS_ANSWERS, TTI_LOSS_ALL };
enum { TTI_HEADER_AUTO, TTI_HEADER_YES, TTI_HEADER_NO };

/* Numbers that were not given and have no default are -1, choices -1, texts NULL. */
typedef struct {
    struct {
        char *path;
        int pooling; /* TTI_POOLING_* or -1: as config.json says */
        bool fresh_head, random_weights;
        double hidden_dropout, attention_dropout, classifier_dropout;
    } model;
    struct {
        tti_texts train, eval, test;
        int format, header; /* TTI_FORMAT_*, TTI_HEADER_* */
        char *text, *text2, *label;
        tti_texts labels;
        char *template; /* causal, like the two below */
        int loss_on;    /* TTI_LOSS_* */
        bool skip;
        int64_t shots, eval_count, max_len, seed;
        double eval_fraction;
    } data;
    int task; /* TTI_CONFIG_CLASSIFY and so on */
    struct {
        int name; /* TTI_CONFIG_FULL and so on */
        int64_t rank;
        double alpha, dropout;
        bool rslora;
        tti_texts targets;
        char *adapter;
    } method;
    struct {
        double keep, keep_prompt, keep_answer, temperature;
        int policy; /* tti_select_policy, see select.h */
    } select;
    struct {
        int64_t steps, batch, accumulate, seed, log_every, eval_every, save_every, keep_last;
        double epochs, lr, warmup, weight_decay, beta1, beta2, eps, max_grad_norm;
        int schedule;  /* tti_schedule_kind */
        int best;      /* tti_metric_kind, see evaluate.h */
        int optimizer; /* tti_optimizer_kind, see optimizer.h */
        bool no_decay_norms;
    } train;
    struct {
        int weights, head, kept, keys, gradients; /* TTI_STORE_* */
        bool double_quant;
    } storage;
    struct {
        int64_t limit; /* bytes; 0: none */
        int recompute; /* 0: auto, else tti_recompute + 1 */
        bool stream;
    } memory;
    struct {
        char *dir;
    } output;
    char *device, *gemm;
} tti_config;

/* Defaults, then the file (path NULL: none), then the overrides "key=value" in order (lists: comma
 * separated, or [a, b] as in YAML); then the required keys and those that depend on each other are
 * checked. Errors are one line: "file:line: key: expected X, found Y" (TT_E_FORMAT) or, for an
 * override, "key=value: expected X" (TT_E_ARG). Gives the strings in *out (tti_config_free). */
tt_status tti_config_load(tti_config *out, const char *path, const char *const *overrides,
                          size_t n);
void tti_config_free(tti_config *c);

/* "24G", "512M", "1000000": bytes, with K, M, G or T (an i and a B may follow) of 1024; false for
 * what is none, or not above 0. */
bool tti_config_size(const char *text, double *bytes);

/* Appends every key with its type, default and meaning, by section. */
void tti_config_help(tti_str *out);

/* Appends the description, one "key=value" line for each key (or only for those that change the
 * result of a run); the same text for the same description. */
void tti_config_text(tti_str *out, const tti_config *c, bool only_result);
/* Whether a run described by `text` (of tti_config_text) may go on as c: TT_E_ARG names the first
 * key that differs and changes the result. */
tt_status tti_config_same_run(const tti_config *c, const char *text);

#endif
