// SPDX-License-Identifier: Apache-2.0
/* lm_eval.h - eval for models that predict tokens, which takes other options. */
#ifndef TT_HOST_CLI_LM_EVAL_H
#define TT_HOST_CLI_LM_EVAL_H

#include "host/cli/generate.h"

/* The command; argv as in main. */
int tti_cli_lm_eval(int argc, char **argv);
/* Whether the arguments name a model that predicts tokens. TT_E_NOMEM alone is a failure: what else
 * is wrong with a folder is found again when the model is read. */
tt_status tti_cli_is_causal(int argc, char **argv, bool *causal);

typedef struct {
    size_t n, equal;
} tti_exact_match;
/* Answers the instructions in a file greedily with the model, template, batch and length of args;
 * limit 0: all of them. */
tt_status tti_cli_exact_match(tti_exact_match *out, const tti_generate_args *args, const char *path,
                              size_t limit);

#endif
