// SPDX-License-Identifier: Apache-2.0
/* cmd_verify.c - tokentune verify: parity cases on a device. */
#include <math.h>
#include <string.h>
#include "host/cli/cli.h"
#include "host/cli/storage_args.h"
#include "host/train/verify.h"

int cmd_verify(int argc, char **argv);

static const char usage[] =
    "usage: tokentune verify [options] CASE...\n"
    "\n"
    "Runs parity cases on a device: a model, a batch and a selection, with the loss, the logits, "
    "every\n"
    "gradient and the parameters after three AdamW steps that a reference computed. Each must "
    "agree\n"
    "within the case's tolerances (max |got - want| / max |want|, by tensor). One line a case with "
    "the\n"
    "worst tensor; gradients that are zero but for rounding are judged as zero.\n"
    "\n"
    "  --device SPEC        see tokentune devices\n"
    "  --gemm NAME          auto, clblast or tile\n"
    "  --weights TYPE       of linear layers: f32, bf16, f16; frozen also q8, nf4 (as the\n"
    "                       checkpoint is quantised, else f32)\n"
    "  --head TYPE          of embedding tables and output layers (f32; auto: as the weights, or\n"
    "                       16 bits beside quantised ones)\n" TTI_STORAGE_HELP
    "  --write FILE         the values computed, in the form of a case's expected.safetensors; of\n"
    "                       one case, whether it passes or not\n"
    "  --json               a JSON line for each case instead\n"
    "  --help               this text\n"
    "\n"
    "Cases are computed in f32. Storage in another type widens their tolerances by what the type\n"
    "explains. Each type has a unit: f16 0.0005, bf16 0.004, q8 0.008, nf4 0.15. With s the root "
    "of\n"
    "the sum of squares of those of weights, head, kept and keys, and g that of gradients (full\n"
    "training only), these are added: loss 2 s, logits 10 s, gradients 30 s + 2 g, all of them\n"
    "together 8 s + g, losses of the three steps 0.02 + 10 s, parameters after them\n"
    "0.3 + 5 sqrt(s) + g. Parameters and the gradients together are judged by root mean squares,\n"
    "parameters over that of their movement. Nothing is above 0.95; recomputation adds nothing. A\n"
    "case that cannot have the storage, as quantised weights that train, is told as skipped.\n"
    "\n"
    "Exit status: 0 when no case fails, 1 when one fails or cannot be run, 2 on wrong usage.\n";

enum { DEVICE = 'd', GEMM = 'g', JSON = 'j', WRITE = 'w', HELP = 'h' };
static const struct option options[] = {{"device", required_argument, NULL, DEVICE},
                                        {"gemm", required_argument, NULL, GEMM},
                                        TTI_STORAGE_OPTIONS,
                                        {"write", required_argument, NULL, WRITE},
                                        {"json", no_argument, NULL, JSON},
                                        {"help", no_argument, NULL, HELP},
                                        {NULL, 0, NULL, 0}};

/* What is asked for. */
typedef struct {
    const char *device, *gemm, *write;
    bool json, typed; /* typed: some dial is given */
    tti_dials dials;
} args;

typedef struct {
    size_t passed, failed, skipped;
} counts;

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static void print_json(const char *name, tt_status s, const tti_verify_result *r) {
    tti_str t = {0};
    tti_str_puts(&t, "{\"case\": ");
    tti_str_json(&t, name, strlen(name));
    tti_str_printf(&t,
                   ", \"pass\": %s%s, \"tensors\": %zu, \"worst\": ", s == TT_OK ? "true" : "false",
                   r->skipped ? ", \"skipped\": true" : "", r->tensors);
    tti_str_json(&t, r->worst, strlen(r->worst));
    if (isfinite(r->error))
        tti_str_printf(&t, ", \"error\": %.6g", r->error);
    else
        tti_str_puts(&t, ", \"error\": null"); /* JSON has no NaN */
    tti_str_printf(&t, ", \"tolerance\": %.6g", r->tolerance);
    if (s != TT_OK) {
        tti_str_puts(&t, ", \"message\": ");
        tti_str_json(&t, tt_error(), strlen(tt_error()));
    }
    tti_str_puts(&t, "}");
    if (t.status == TT_OK) puts(t.p);
    tti_str_free(&t);
}

static void run_case(const args *a, tti_device *d, tti_gemm *gemm, const char *dir, counts *n) {
    tti_verify_result r;
    tt_status s = tti_verify(&r, d, gemm, dir, a->typed ? &a->dials : NULL, a->write);
    *(s == TT_OK ? &n->passed : r.skipped ? &n->skipped : &n->failed) += 1;
    if (a->json)
        print_json(base_name(dir), s, &r);
    else if (s == TT_OK)
        printf("ok    %-28s %3zu tensors, worst %s: %.2e of %.*e\n", base_name(dir), r.tensors,
               r.worst, r.error, a->typed ? 1 : 0, r.tolerance);
    else
        printf("%s  %-28s %s\n", r.skipped ? "skip" : "FAIL", base_name(dir), tt_error());
    fflush(stdout);
}

/* True to go on; false: *status is the exit status. */
static bool parse(args *a, int argc, char **argv, int *status) {
    unsigned given = 0, bit;
    int c;
    *a = (args){.dials = tti_dials_defaults()};
    a->dials.head = TTI_F32; /* as the cases are computed */
    optind = 1;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (c) {
        case DEVICE: a->device = optarg; break;
        case GEMM: a->gemm = optarg; break;
        case WRITE: a->write = optarg; break;
        case JSON: a->json = true; break;
        case HELP:
            fputs(usage, stdout);
            *status = TTI_EXIT_OK;
            return false;
        case '?': *status = tti_arg_unknown(argv[0], argv[optind - 1]); return false;
        default:
            if (!tti_storage_arg(&a->dials, c, optarg, &bit)) {
                *status = tti_arg_refused(argv[0], options, c, optarg);
                return false;
            }
            given |= bit;
            a->typed = true;
        }
    }
    tti_dials_settle(&a->dials, given);
    *status = TTI_EXIT_USAGE;
    if (optind == argc)
        tti_cli_usage("verify: expected at least one case folder; see tokentune verify --help");
    else if (a->write && argc - optind > 1)
        tti_cli_usage("verify: --write takes the values of one case; %d are given", argc - optind);
    else
        return true;
    return false;
}

int cmd_verify(int argc, char **argv) {
    args a;
    counts n = {0};
    int status;
    if (!parse(&a, argc, argv, &status)) return status;
    tti_device *d = NULL;
    tti_gemm *gemm = NULL;
    tt_status s = tti_device_open(&d, a.device);
    if (s == TT_OK) s = tti_gemm_new(&gemm, d, a.gemm);
    for (int i = optind; s == TT_OK && i < argc; i++) run_case(&a, d, gemm, argv[i], &n);
    if (s != TT_OK)
        tti_cli_failed();
    else if (!a.json) {
        printf("%zu passed, %zu failed", n.passed, n.failed);
        if (n.skipped) printf(", %zu skipped", n.skipped);
        puts("");
    }
    tti_gemm_free(gemm);
    tti_device_close(d);
    return s != TT_OK || n.failed ? TTI_EXIT_FAILED : TTI_EXIT_OK;
}
