// SPDX-License-Identifier: Apache-2.0
/* shape_args.h - the flags of commands that look at one model, batch and method without data. */
#ifndef TT_HOST_CLI_SHAPE_ARGS_H
#define TT_HOST_CLI_SHAPE_ARGS_H

#include "host/train/batch.h"
#include "host/train/session.h"

typedef struct {
    const char *model, *device, *gemm;
    size_t batch, seq;
    double keep;
    tti_model_opts opts;
    const char *targets[64];
    char *targets_text; /* what targets point into */
    bool json, lora_flag;
    /* plan */
    double device_memory, max_alloc; /* bytes; 0: the device's */
    bool no_device;
    /* bench */
    int repeat;
} tti_shape_args;

#define TTI_SHAPE_HELP                                                                         \
    "  --model DIR          folder with config.json (weights, where there are any, do not "    \
    "matter)\n"                                                                                \
    "  --batch N            sequences a step (8)\n"                                            \
    "  --seq N              tokens a sequence (256)\n"                                         \
    "  --keep K             share (0..1] or number of tokens that carry gradient (1)\n"        \
    "  --method full|lora   what is trained (full)\n"                                          \
    "  --lora-rank N        rank of the adapters (8)\n"                                        \
    "  --lora-targets A,B   layers that get one, or all-linear (query,value; decoders: MLP)\n" \
    "  --device SPEC        see tokentune devices\n"                                           \
    "  --gemm NAME          auto, clblast or tile\n"                                           \
    "  --json               one JSON line on standard output\n"

/* Parses argv and looks whether the model is a decoder, whose task then is causal; prints help or a
 * usage error itself: then *done is true and the return value is the exit status. Free with
 * tti_shape_args_free. */
int tti_shape_args_parse(tti_shape_args *a, int argc, char **argv, const char *usage, bool *done);
void tti_shape_args_free(tti_shape_args *a);

/* Positions of a sequence that carry gradient. */
size_t tti_shape_args_selected(const tti_shape_args *a);
/* Row counts of a batch of a->batch sequences of a->seq tokens. */
tti_rows tti_shape_args_rows(const tti_shape_args *a, const tti_model_info *info, int att_rows);
/* {"weights": .., .., "total": ..} */
void tti_bytes_json(tti_str *s, const tti_bytes *b);

#endif
