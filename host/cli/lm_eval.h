// SPDX-License-Identifier: Apache-2.0
/* lm_eval.h - eval for models that predict tokens, which takes other options. */
#ifndef TT_HOST_CLI_LM_EVAL_H
#define TT_HOST_CLI_LM_EVAL_H

#include "host/cli/cli.h"

/* The command; argv as in main. */
int tti_cli_lm_eval(int argc, char **argv);
/* Whether the arguments name a model that predicts tokens. */
bool tti_cli_is_causal(int argc, char **argv);

#endif
