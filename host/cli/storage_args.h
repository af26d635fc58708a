// SPDX-License-Identifier: Apache-2.0
/* storage_args.h - the flags of storage and recomputation, which several commands have. */
#ifndef TT_HOST_CLI_STORAGE_ARGS_H
#define TT_HOST_CLI_STORAGE_ARGS_H

#include <getopt.h>
#include "host/train/budget.h"

/* What getopt_long gives for them. */
enum {
    TTI_ARG_WEIGHTS = 512,
    TTI_ARG_HEAD,
    TTI_ARG_NESTED,
    TTI_ARG_KEPT,
    TTI_ARG_KEYS,
    TTI_ARG_GRADIENTS,
    TTI_ARG_RECOMPUTE
};

/* clang-format off */
#define TTI_STORAGE_OPTIONS                                     \
    {"weights", required_argument, NULL, TTI_ARG_WEIGHTS},      \
    {"head", required_argument, NULL, TTI_ARG_HEAD},            \
    {"double-quant", required_argument, NULL, TTI_ARG_NESTED},  \
    {"kept", required_argument, NULL, TTI_ARG_KEPT},            \
    {"keys", required_argument, NULL, TTI_ARG_KEYS},            \
    {"gradients", required_argument, NULL, TTI_ARG_GRADIENTS},  \
    {"recompute", required_argument, NULL, TTI_ARG_RECOMPUTE}
/* clang-format on */

/* Of those whose default is everywhere the same. */
#define TTI_STORAGE_HELP                                                                      \
    "  --double-quant BOOL  the scales of nf4 are 8-bit numbers (true)\n"                     \
    "  --kept TYPE          of values held for the backward pass: f32, bf16, f16 (f32)\n"     \
    "  --keys TYPE          of keys and values held for it: also q8 or recompute (as kept)\n" \
    "  --gradients TYPE     of trained linear layers: f32, bf16, f16 (f32)\n"                 \
    "  --recompute WHAT     computed again in the backward pass: none, mlp, block (none)\n"

/* Sets the dial that `option` stands for; *bit is its own, or 0 where "auto" leaves it open. False
 * for an option that is none of these, or a value that cannot be used. */
bool tti_storage_arg(tti_dials *d, int option, const char *value, unsigned *bit);

/* The number of text among n names. */
bool tti_arg_among(const char *text, const char *(*name)(int), int n, int *out);

/* One line on standard error: what getopt_long did not understand; an option (c) with a value that
 * cannot be used. Both return the exit status of wrong usage. */
int tti_arg_unknown(const char *command, const char *what);
int tti_arg_refused(const char *command, const struct option *options, int c, const char *value);

#endif
