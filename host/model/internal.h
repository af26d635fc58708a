// SPDX-License-Identifier: Apache-2.0
/* internal.h - a model as its own files see it. */
#ifndef TT_HOST_MODEL_INTERNAL_H
#define TT_HOST_MODEL_INTERNAL_H

#include "host/format/peft.h"
#include "host/model/model.h"

/* ---- families: models as data ---- */

/* One dense layer of a head: modules named from the root of the model. */
typedef struct {
    const char *module;
    bool in_body; /* named below the body's prefix (BERT's pooler) */
    tti_act act;
} tti_head_layer;

/* An encoder whose blocks are: x = norm1(x + o(attention(x))), x = norm2(x + down(act(up(x)))). */
typedef struct {
    const char *model_type, *architecture;
    const char *prefix; /* of the body's names in a classification checkpoint */
    /* keys of config.json */
    const char *hidden, *layers, *heads, *ffn, *act;
    const char *hidden_dropout, *attention_dropout, *classifier_dropout;
    double hidden_dropout_default, attention_dropout_default, classifier_dropout_default;
    const char *word, *position, *type, *embed_norm; /* type NULL: no token types */
    const char *block;                               /* "encoder.layer.%d." */
    const char *q, *k, *v, *o, *norm1, *up, *down, *norm2;
    bool attention_out_dropout; /* hidden dropout behind o as well */
    tti_head_layer dense;       /* before the classifier; act at its output */
    bool head_dropout_first;    /* classifier dropout before the dense layer too */
    const char *classifier;
    const char *modules_to_save[3]; /* trained whole beside LoRA, as PEFT's SEQ_CLS does */
    int pad_default;
    bool pad_shifts_positions; /* RoBERTa: positions count from pad_token_id + 1 */
    double eps_default;        /* of layer norms, where config.json is silent */
    bool eps_in_config;
} tti_family;

/* NULL with the message set (the known ones listed) when there is none. */
const tti_family *tti_family_find(const char *model_type);

/* What config.json says of a model's sizes, checked. */
typedef struct {
    int vocab, max_pos, types, layers, hidden, heads, ffn;
    float eps, init_range;
    float hidden_dropout, attention_dropout, classifier_dropout;
    tti_act act;
    bool sinusoidal; /* position table is computed, not trained (DistilBERT) */
} tti_sizes;

typedef struct {
    int base;    /* parameter index of the module's weight */
    int a, b;    /* of lora_A, lora_B */
    float scale; /* alpha / rank, or alpha / sqrt(rank) */
} tti_lora;

struct tti_model {
    tti_device *dev;
    char *dir;
    tti_model_opts opts;
    tti_hf_config *config;
    const tti_family *family;
    tti_sizes sizes;
    tti_model_info info;
    tti_param *params;
    size_t nparams, params_cap;
    uint8_t *fresh; /* by parameter: drawn here, not read */
    tti_lora *loras;
    size_t nloras, loras_cap;
    tti_peft_config *peft; /* LORA: what the adapter is */
    tti_arena *arenas;     /* trained, dense: first; then the frozen ones */
    size_t narenas, nall, arenas_cap;
    size_t align, max_alloc;
    size_t sparse_rows;
};

/* ---- config.c ---- */
tt_status tti_model_read_config(tti_model *m);

/* ---- params.c ---- */
tt_status tti_model_declare(tti_model *m);                 /* every parameter, in order */
int tti_model_index(const tti_model *m, const char *name); /* -1 when there is none */
tt_status tti_model_add_param(tti_model *m, const char *name, size_t rows, size_t cols, bool vector,
                              bool trainable); /* frozen models train nothing all the same */
/* "prefix" + fmt */
void tti_body_name(const tti_model *m, char out[192], const char *fmt, ...) TT_PRINTF(3, 4);

/* ---- store.c ---- */
tt_status tti_model_layout(tti_model *m);
tt_status tti_model_allocate(tti_model *m);
void tti_model_release(tti_model *m);

/* ---- lora.c ---- */
tt_status tti_lora_declare(tti_model *m);
const tti_lora *tti_lora_of(const tti_model *m, int base);
tt_status tti_lora_load(tti_model *m); /* weights of opts.adapter */
tt_status tti_lora_save(tti_model *m, const char *dir);

/* ---- weights.c ---- */
tt_status tti_model_load_weights(tti_model *m);
tt_status tti_model_fresh(tti_model *m, size_t i); /* draws parameter i */
/* Checks and uploads a tensor as parameter i. */
tt_status tti_model_take(tti_model *m, size_t i, const tti_st_tensor *t);

/* ---- model.c ---- */
/* Writes the parameters whose `stored` is not 0 to dir/file. */
tt_status tti_model_write_file(tti_model *m, const char *dir, const char *file,
                               const uint8_t *stored);

#endif
