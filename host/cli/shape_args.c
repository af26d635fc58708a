// SPDX-License-Identifier: Apache-2.0
#include "host/cli/shape_args.h"

#include <stdlib.h>
#include <string.h>
#include "host/cli/storage_args.h"
#include "host/train/select.h"

enum {
    MODEL = 256,
    BATCH,
    SEQ,
    KEEP,
    METHOD,
    RANK,
    TARGETS,
    OPTIMIZER,
    STREAM,
    SMALLEST,
    DEVICE,
    GEMM,
    JSON,
    REPEAT,
    MEMORY,
    DEVICE_MEMORY,
    MAX_ALLOC,
    GFLOPS,
    TRADE,
    NO_DEVICE,
    HELP
};

/* clang-format off */
static const struct option options[] = {
    {"model", required_argument, NULL, MODEL},
    {"batch", required_argument, NULL, BATCH},
    {"seq", required_argument, NULL, SEQ},
    {"keep", required_argument, NULL, KEEP},
    {"method", required_argument, NULL, METHOD},
    {"lora-rank", required_argument, NULL, RANK},
    {"lora-targets", required_argument, NULL, TARGETS},
    TTI_STORAGE_OPTIONS,
    {"optimizer", required_argument, NULL, OPTIMIZER},
    {"stream", no_argument, NULL, STREAM},
    {"smallest", no_argument, NULL, SMALLEST},
    {"device", required_argument, NULL, DEVICE},
    {"gemm", required_argument, NULL, GEMM},
    {"json", no_argument, NULL, JSON},
    {"repeat", required_argument, NULL, REPEAT},
    {"memory", required_argument, NULL, MEMORY},
    {"device-memory", required_argument, NULL, DEVICE_MEMORY},
    {"max-alloc", required_argument, NULL, MAX_ALLOC},
    {"gflops", required_argument, NULL, GFLOPS},
    {"trade", no_argument, NULL, TRADE},
    {"no-device", no_argument, NULL, NO_DEVICE},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};
/* clang-format on */

static bool whole(const char *text, size_t *out) {
    char *end;
    long v = strtol(text, &end, 10);
    *out = (size_t)v;
    return *text && !*end && v >= 1 && v <= 1000000;
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

static const char *optimizer_name(int i) { return tti_optimizer_name((tti_optimizer_kind)i); }

static bool number(const char *text, double *out) {
    char *end;
    *out = strtod(text, &end);
    return *text && !*end && *out > 0 && *out <= 1e6;
}

/* The settings that trade memory; *bit is that of the one. */
static bool take_dial(tti_dials *d, int option, const char *v, unsigned *bit) {
    int i = 0;
    bool ok;
    switch (option) {
    case BATCH: *bit = TTI_DIAL_BATCH; return whole(v, &d->batch);
    case SEQ: *bit = TTI_DIAL_SEQ; return whole(v, &d->seq);
    case KEEP: *bit = TTI_DIAL_KEEP; return number(v, &d->keep);
    case METHOD: *bit = TTI_DIAL_METHOD; return tti_arg_among(v, tti_method_name, 3, &d->method);
    case OPTIMIZER:
        *bit = TTI_DIAL_OPTIMIZER;
        ok = tti_arg_among(v, optimizer_name, TTI_OPT_KINDS, &i);
        d->optimizer = (tti_optimizer_kind)i;
        return ok;
    case STREAM: *bit = TTI_DIAL_STREAM; return d->stream = true;
    default: return tti_storage_arg(d, option, v, bit);
    }
}

static bool take(tti_shape_args *a, int option, const char *v) {
    size_t n;
    unsigned bit = 0;
    switch (option) {
    case MODEL: a->model = v; return true;
    case DEVICE: a->device = v; return true;
    case GEMM: a->gemm = v; return true;
    case JSON: return a->json = true;
    case SMALLEST: return a->smallest = true;
    case TRADE: return a->trade = true;
    case NO_DEVICE: return a->no_device = true;
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
    case MEMORY: return tti_config_size(v, &a->limit);
    case DEVICE_MEMORY: return tti_config_size(v, &a->device_memory);
    case MAX_ALLOC: return tti_config_size(v, &a->max_alloc);
    case GFLOPS: return number(v, &a->gflops);
    default:
        if (!take_dial(&a->d, option, v, &bit)) return false;
        a->given |= bit;
        return true;
    }
}

static bool settle(tti_shape_args *a, const char *command) {
    if (a->smallest) tti_dials_smallest(&a->d, a->given);
    tti_dials_settle(&a->d, a->smallest ? ~0u : a->given);
    tti_dials_model(&a->d, &a->opts);
    if (tti_dials_check(&a->d) == TT_OK) return true;
    fprintf(stderr, "tokentune: %s: %s\n", command, tt_error());
    return false;
}

int tti_shape_args_parse(tti_shape_args *a, int argc, char **argv, const char *usage, bool *done) {
    *a = (tti_shape_args){.d = tti_dials_defaults(), .repeat = 5};
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
        if (c == '?') return tti_arg_unknown(argv[0], argv[optind - 1]);
        if (!take(a, c, optarg)) return tti_arg_refused(argv[0], options, c, optarg);
    }
    if (!a->model && optind < argc) a->model = argv[optind++];
    if (!a->model || optind < argc) {
        fprintf(stderr, "tokentune: %s: expected one model folder%s%s; see tokentune %s --help\n",
                argv[0], optind < argc ? ", found also " : "", optind < argc ? argv[optind] : "",
                argv[0]);
        return 2;
    }
    if (!settle(a, argv[0])) return 2;
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

size_t tti_shape_args_selected(const tti_shape_args *a, const tti_dials *d) {
    const tti_selector s = {.decoder = a->opts.task == TTI_TASK_CAUSAL, .keep = d->keep};
    return tti_selected(&s, &(tti_choice){.n = d->seq});
}

tti_rows tti_shape_args_rows(const tti_shape_args *a, const tti_dials *d,
                             const tti_model_info *info, int att_rows) {
    return tti_batch_bounds(info, att_rows, d->batch, d->batch * d->seq,
                            d->batch * tti_shape_args_selected(a, d), 1);
}

void tti_bytes_json(tti_str *s, const tti_bytes *b) {
    tti_str_printf(s,
                   "{\"weights\": %zu, \"gradients\": %zu, \"optimizer\": %zu, \"kept\": %zu, "
                   "\"transient\": %zu, \"inputs\": %zu, \"workspace\": %zu, \"total\": %zu}",
                   b->weights, b->gradients, b->optimizer, b->kept, b->transient, b->inputs,
                   b->workspace, b->total);
}
