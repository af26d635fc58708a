// SPDX-License-Identifier: Apache-2.0
/* hf_config.h - config.json of a Hugging Face model folder, read and written. */
#ifndef TT_HOST_FORMAT_HF_CONFIG_H
#define TT_HOST_FORMAT_HF_CONFIG_H

#include "host/format/json.h"

/* Strings are borrowed from json unless said otherwise; whoever changes json loses them. */
typedef struct {
    char *path;               /* of config.json itself; owned */
    cJSON *json;              /* everything, for keys not listed here; owned */
    const char *model_type;   /* never NULL */
    const char *architecture; /* the first of architectures, or NULL */
    const char *problem_type; /* one of transformers' three, or NULL */
    int num_labels;           /* id2label's, else the key's, else 2 as transformers assumes */
    bool has_labels;          /* id2label names them */
    char **id2label;          /* num_labels names in the order of their ids; owned */
} tti_hf_config;

/* path is a config.json or the folder that holds it. Checks types, that ids are 0 .. n-1 without
 * gaps and that label2id, where there is one, says the same. Gives *out (tti_hf_config_free). */
tt_status tti_hf_config_read(tti_hf_config **out, const char *path);
void tti_hf_config_free(tti_hf_config *c); /* NULL is a no-op */

/* What to change when writing; zero-initialised it changes nothing. All borrowed. */
typedef struct {
    const char *architecture; /* becomes the only one of architectures */
    const char *problem_type;
    const char *dtype; /* "float32", "float16", "bfloat16"; the key that is there, torch_dtype
                        * or dtype, is set, else torch_dtype */
    int num_labels;    /* > 0: id2label and label2id are written anew */
    const char *const *labels; /* num_labels of them; NULL: LABEL_0 .. */
    const cJSON *extra;        /* an object: its keys are set last (copied), null removes a key */
} tti_hf_config_edit;

/* Writes json with the changes to path, atomically; keys keep their order, new ones come last. The
 * same input gives the same bytes. json itself stays as it is. */
tt_status tti_hf_config_write(const cJSON *json, const tti_hf_config_edit *edit, const char *path);

#endif
