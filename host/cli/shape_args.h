// SPDX-License-Identifier: Apache-2.0
/* shape_args.h - the flags of commands that look at one model, batch and method without data. */
#ifndef TT_HOST_CLI_SHAPE_ARGS_H
#define TT_HOST_CLI_SHAPE_ARGS_H

#include "host/cli/storage_args.h"
#include "host/train/batch.h"
#include "host/train/budget.h"
#include "host/train/session.h"

typedef struct {
    const char *model, *device, *gemm;
    tti_dials d;
    unsigned given;      /* dials that were, as bits */
    tti_model_opts opts; /* those of the dials included */
    const char *targets[64];
    char *targets_text; /* what targets point into */
    bool json, smallest;
    double limit; /* --memory, bytes; 0: none */
    /* plan */
    double device_memory, max_alloc; /* bytes; 0: the device's */
    double gflops;                   /* 0: measured */
    bool no_device, trade;
    /* bench */
    int repeat;
} tti_shape_args;

#define TTI_SHAPE_HELP                                                                           \
    "  --model DIR          folder with config.json (weights, where there are any, do not "      \
    "matter)\n"                                                                                  \
    "  --batch N            sequences a step (8)\n"                                              \
    "  --seq N              tokens a sequence (256)\n"                                           \
    "  --keep K             share (0..1] or number of tokens that carry gradient (1)\n"          \
    "  --method M           full, lora, or qlora: lora over nf4 weights (full)\n"                \
    "  --lora-rank N        rank of the adapters (8)\n"                                          \
    "  --lora-targets A,B   layers that get one, or all-linear (query,value; decoders: MLP)\n"   \
    "  --weights TYPE       of linear layers: f32, bf16, f16; frozen also q8, nf4 (as the\n"     \
    "                       checkpoint is quantised, else f32; qlora: nf4)\n"                    \
    "  --head TYPE          of embedding tables and output layers (as the weights, or 16 bits\n" \
    "                       beside quantised ones)\n" TTI_STORAGE_HELP                           \
    "  --optimizer NAME     adamw, adamw8bit, sgd, adafactor, lion (adamw)\n"                    \
    "  --smallest           those above that are not given, from --weights on, at their\n"       \
    "                       smallest: weights and head bf16 (lora: head q8; qlora: both nf4),\n" \
    "                       kept bf16, keys q8, gradients bf16 (full), recompute block,\n"       \
    "                       adamw8bit\n"                                                         \
    "  --stream             frozen layers stay in host memory, two at a time on the device\n"    \
    "  --device SPEC        see tokentune devices\n"                                             \
    "  --gemm NAME          auto, clblast or tile\n"                                             \
    "  --json               one JSON line on standard output\n"

/* Parses argv and looks whether the model is a decoder, whose task then is causal; prints help or a
 * usage error itself: then *done is true and the return value is the exit status. Free with
 * tti_shape_args_free. */
int tti_shape_args_parse(tti_shape_args *a, int argc, char **argv, const char *usage, bool *done);
void tti_shape_args_free(tti_shape_args *a);

/* Positions of a sequence that carry gradient. */
size_t tti_shape_args_selected(const tti_shape_args *a, const tti_dials *d);
/* Row counts of a batch of d->batch sequences of d->seq tokens. */
tti_rows tti_shape_args_rows(const tti_shape_args *a, const tti_dials *d,
                             const tti_model_info *info, int att_rows);
/* {"weights": .., .., "total": ..} */
void tti_bytes_json(tti_str *s, const tti_bytes *b);

#endif
