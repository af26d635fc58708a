// SPDX-License-Identifier: Apache-2.0
/* merge.h - an adapter merged into its base model: a whole model folder, which is compared with
 * base and adapter before it is called done. */
#ifndef TT_HOST_EVAL_MERGE_H
#define TT_HOST_EVAL_MERGE_H

#include "host/device/device.h"
#include "host/gemm/gemm.h"

/* Everything is borrowed. */
typedef struct {
    const char *base; /* model folder; NULL: the one that adapter_config.json names */
    const char *adapter, *out;
    const char *dtype;          /* f32, f16, bf16; NULL: every tensor as the base has it */
    bool check;                 /* compare; needs device and gemm */
    const char *const *prompts; /* what to compare on; none: texts of our own */
    size_t nprompts;
    tti_device *device;
    tti_gemm *gemm;
} tti_merge_opts;

/* What the comparison found: largest differences of logits over the largest logit of the prompt. */
typedef struct {
    size_t prompts, tokens;
    double error, tolerance; /* merged against base + adapter */
    double effect;           /* base + adapter against base: what the adapter does; -1: the base has
                              * no head of its own */
} tti_merge_check;

/* Writes o->out, complete or not at all. A folder of that name is replaced where it is empty or a
 * model's; anything else, the base and the adapter are refused (TT_E_ARG). TT_E_MISMATCH: the
 * merged model's logits are off; the message names the worst, and nothing is left. check: filled in
 * where o->check. */
tt_status tti_merge(const tti_merge_opts *o, tti_merge_check *check);

#endif
