// SPDX-License-Identifier: Apache-2.0
#include "host/cli/shape_args.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include "host/train/select.h"

enum {
    MODEL = 256,
    BATCH,
    SEQ,
    KEEP,
    METHOD,
    RANK,
    TARGETS,
    DEVICE,
    GEMM,
    JSON,
    REPEAT,
    MEMORY,
    MAX_ALLOC,
    NO_DEVICE,
    HELP
};

static const struct option options[] = {{"model", required_argument, NULL, MODEL},
                                        {"batch", required_argument, NULL, BATCH},
                                        {"seq", required_argument, NULL, SEQ},
                                        {"keep", required_argument, NULL, KEEP},
                                        {"method", required_argument, NULL, METHOD},
                                        {"lora-rank", required_argument, NULL, RANK},
                                        {"lora-targets", required_argument, NULL, TARGETS},
                                        {"device", required_argument, NULL, DEVICE},
                                        {"gemm", required_argument, NULL, GEMM},
                                        {"json", no_argument, NULL, JSON},
                                        {"repeat", required_argument, NULL, REPEAT},
                                        {"device-memory", required_argument, NULL, MEMORY},
                                        {"max-alloc", required_argument, NULL, MAX_ALLOC},
                                        {"no-device", no_argument, NULL, NO_DEVICE},
                                        {"help", no_argument, NULL, HELP},
                                        {NULL, 0, NULL, 0}};

static bool whole(const char *text, size_t *out) {
    char *end;
    long v = strtol(text, &end, 10);
    *out = (size_t)v;
    return *text && !*end && v >= 1 && v <= 1000000;
}

/* 24G, 256M, 1000000 */
static bool bytes(const char *text, double *out) {
    char *end;
    *out = strtod(text, &end);
    static const char unit[] = "KMGT";
    const char *u = *end ? strchr(unit, *end & ~0x20) : NULL;
    for (const char *p = unit; u && p <= u; p++) *out *= 1024;
    if (u) end++;
    if (u && *end == 'i') end++;
    if (*end == 'B') end++;
    return *text && !*end && *out > 0 && *out < 1e18;
}

static bool split(tti_shape_args *a, const char *text) {
    tti_free(a->targets_text);
    a->opts.lora_ntargets = 0;
    if (!(a->targets_text = tti_strdup(text))) return false;
    char *rest = a->targets_text;
    for (char *p; (p = strsep(&rest, ","));) {
        if (!*p) continue;
        if (a->opts.lora_ntargets == (int)TT_COUNT(a->targets)) return false;
        a->targets[a->opts.lora_ntargets++] = p;
    }
    a->opts.lora_targets = a->targets;
    return a->opts.lora_ntargets > 0;
}

static bool take(tti_shape_args *a, int option, const char *v) {
    size_t n;
    char *end;
    switch (option) {
    case MODEL: a->model = v; return true;
    case DEVICE: a->device = v; return true;
    case GEMM: a->gemm = v; return true;
    case JSON: return a->json = true;
    case NO_DEVICE: return a->no_device = true;
    case BATCH: return whole(v, &a->batch);
    case SEQ: return whole(v, &a->seq);
    case KEEP: a->keep = strtod(v, &end); return *v && !*end && a->keep > 0 && a->keep <= 1e6;
    case METHOD:
        a->opts.method = strcmp(v, "lora") ? TTI_METHOD_FULL : TTI_METHOD_LORA;
        return !strcmp(v, "lora") || !strcmp(v, "full");
    case RANK:
        if (!whole(v, &n)) return false;
        a->opts.lora_rank = (int)n;
        a->opts.lora_alpha = 2.0f * (float)n;
        return true;
    case TARGETS: return split(a, v);
    case REPEAT:
        if (!whole(v, &n)) return false;
        a->repeat = (int)n;
        return true;
    case MEMORY: return bytes(v, &a->device_memory);
    case MAX_ALLOC: return bytes(v, &a->max_alloc);
    default: return false;
    }
}

int tti_shape_args_parse(tti_shape_args *a, int argc, char **argv, const char *usage, bool *done) {
    *a = (tti_shape_args){.batch = 8, .seq = 256, .keep = 1, .repeat = 5};
    a->opts = tti_model_defaults();
    *done = true;
    optind = 1;
    opterr = 0;
    int c;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == HELP || c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        const char *name = c == '?' ? argv[optind - 1] : NULL;
        if (name) {
            fprintf(stderr,
                    "tokentune: %s: %s is not an option, or lacks its value; see tokentune "
                    "%s --help\n",
                    argv[0], name, argv[0]);
            return 2;
        }
        if (!take(a, c, optarg)) {
            const char *what = "?";
            for (const struct option *o = options; o->name; o++)
                if (o->val == c) what = o->name;
            fprintf(stderr,
                    "tokentune: %s: --%s %s is not a usable value; see tokentune %s --help\n",
                    argv[0], what, optarg, argv[0]);
            return 2;
        }
    }
    if (!a->model && optind < argc) a->model = argv[optind++];
    if (!a->model || optind < argc) {
        fprintf(stderr, "tokentune: %s: expected one model folder%s%s; see tokentune %s --help\n",
                argv[0], optind < argc ? ", found also " : "", optind < argc ? argv[optind] : "",
                argv[0]);
        return 2;
    }
    bool decoder;
    if (tti_model_is_decoder(&decoder, a->model) != TT_OK) {
        fprintf(stderr, "tokentune: %s\n", tt_error());
        return 1;
    }
    if (decoder) a->opts.task = TTI_TASK_CAUSAL;
    *done = false;
    return 0;
}

void tti_shape_args_free(tti_shape_args *a) { tti_free(a->targets_text); }

size_t tti_shape_args_selected(const tti_shape_args *a) {
    const tti_selector s = {.decoder = a->opts.task == TTI_TASK_CAUSAL, .keep = a->keep};
    return tti_selected(&s, &(tti_choice){.n = a->seq});
}

tti_rows tti_shape_args_rows(const tti_shape_args *a, const tti_model_info *info, int att_rows) {
    return tti_batch_bounds(info, att_rows, a->batch, a->batch * a->seq,
                            a->batch * tti_shape_args_selected(a), 1);
}

void tti_bytes_json(tti_str *s, const tti_bytes *b) {
    tti_str_printf(s,
                   "{\"weights\": %zu, \"gradients\": %zu, \"optimizer\": %zu, \"kept\": %zu, "
                   "\"transient\": %zu, \"inputs\": %zu, \"workspace\": %zu, \"total\": %zu}",
                   b->weights, b->gradients, b->optimizer, b->kept, b->transient, b->inputs,
                   b->workspace, b->total);
}
