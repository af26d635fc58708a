// SPDX-License-Identifier: Apache-2.0
/* peft.h - adapter_config.json of a LoRA adapter as the PEFT library has it, and which modules it
 * adapts. */
#ifndef TT_HOST_FORMAT_PEFT_H
#define TT_HOST_FORMAT_PEFT_H

#include "host/format/json.h"

typedef struct {
    char **v;
    size_t n;
} tti_peft_names;

/* Everything is owned. NULL or empty: not given. */
typedef struct {
    char *path; /* for messages: the file, or "adapter" for one that was made here */
    int r;
    double alpha, dropout;
    bool use_rslora;     /* scale alpha/sqrt(r), not alpha/r */
    bool fan_in_fan_out; /* the adapted weights are stored [in, out] */
    bool inference_mode;
    char *task_type, *base_model; /* base_model_name_or_path */
    bool all_linear;              /* target_modules is "all-linear" */
    tti_peft_names targets;       /* or names: a module's name, or the end of it after a '.' */
    char *target_regex;           /* or a regular expression that must match the whole name */
    tti_peft_names exclude;       /* the same for modules left out */
    char *exclude_regex;
    tti_peft_names modules_to_save; /* trained and stored whole, e.g. classifier */
    int *layers;                    /* layers_to_transform */
    size_t nlayers;
    tti_peft_names layers_pattern;
    cJSON *rank_pattern, *alpha_pattern; /* objects of pattern: number, or NULL */
} tti_peft_config;

/* The defaults of PEFT (r 8, alpha 8, no dropout, nothing adapted). Gives *out. */
tt_status tti_peft_new(tti_peft_config **out);
/* path is an adapter_config.json or the folder that holds it. Features that change results and that
 * are not supported (DoRA, layer_replication, trained biases, ...) are TT_E_UNSUPPORTED by name.
 * Gives *out. */
tt_status tti_peft_read(tti_peft_config **out, const char *path);
void tti_peft_free(tti_peft_config *c); /* NULL is a no-op */
/* Sets target_modules as a user writes them: "all-linear" alone, else names. Copies. */
tt_status tti_peft_set_targets(tti_peft_config *c, const char *const *names, size_t n);
/* Adds a module to modules_to_save. Copies. */
tt_status tti_peft_add_saved(tti_peft_config *c, const char *name);
/* Writes what PEFT loads, atomically; the same bytes for the same config. */
tt_status tti_peft_write(const tti_peft_config *c, const char *path);

/* Whether the linear layer `module` (its name in the base model, as bert.encoder.layer.0.
 * attention.self.query) is adapted. output_head: it is the classifier or language-model head that
 * "all-linear" leaves out. Regular expressions are PCRE2; an ill-formed one is TT_E_FORMAT. */
tt_status tti_peft_matches(const tti_peft_config *c, const char *module, bool output_head,
                           bool *out);
/* Rank and scale (alpha/r or alpha/sqrt(r)) of an adapted module, by the patterns. */
tt_status tti_peft_rank(const tti_peft_config *c, const char *module, int *r, double *scale);
/* Whether a module, or one that contains it, is trained and stored whole: its name ends in one of
 * modules_to_save. */
tt_status tti_peft_saves(const tti_peft_config *c, const char *module, bool *out);

#endif
