// SPDX-License-Identifier: Apache-2.0
/* export.h - a trained model in a folder: what transformers or PEFT load, the tokenizer's files,
 * and tokentune.json with what those formats have no place for (labels and pooling of an adapter,
 * the length that texts were cut to). */
#ifndef TT_HOST_TRAIN_EXPORT_H
#define TT_HOST_TRAIN_EXPORT_H

#include "host/model/model.h"
#include "host/tokenizer/tokenizer.h"

typedef struct {
    tti_task task;
    tti_pool pooling;
    int num_labels;
    const char *const *labels; /* num_labels names; NULL for regression */
    size_t max_len;            /* tokens of a text at most */
    const char *template;      /* causal: of the prompts, see data/template.h; NULL: not known */
} tti_export;

/* Writes into the existing folder dir. */
tt_status tti_export_write(const char *dir, tti_model *model, const tti_tokenizer *tokenizer,
                           const tti_export *e);

/* A folder made ready for inference: read, then load. */
typedef struct {
    const char *dir, *base; /* borrowed */
    bool adapter;
    bool headless; /* a model without a classification head: read gives no labels; whoever sets
                    * about.task, num_labels and labels before load gets a fresh head */
    tti_export about;
    char **labels;  /* about.labels, owned */
    char *template; /* about.template, owned */
    size_t nlabels;
    int weights, head; /* storage of what load reads, see tti_model_opts; read sets AS_STORED, so
                        * that a quantised base takes what it takes in its file, and F32 */
    bool nested;
    tti_model *model; /* after load, like the tokenizer */
    tti_tokenizer *tokenizer;
} tti_trained;
/* dir: a model folder, or an adapter folder; base: the model folder below the adapter, NULL: the
 * one that adapter_config.json names. Borrows both. Gives *out (tti_trained_free). */
tt_status tti_trained_read(tti_trained *out, const char *dir, const char *base);
/* Borrows d. */
tt_status tti_trained_load(tti_trained *t, tti_device *d);
/* Of a loaded one: texts are cut to max_len tokens instead of about.max_len; 0 changes nothing.
 * More than the model reads: TT_E_ARG. */
tt_status tti_trained_limit(tti_trained *t, size_t max_len);
void tti_trained_free(tti_trained *t);

#endif
