// SPDX-License-Identifier: Apache-2.0
/* cmd_verify.c - tokentune verify: parity cases on a device. */
#include <getopt.h>
#include <math.h>
#include <string.h>
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
    "  --device SPEC   see tokentune devices\n"
    "  --gemm NAME     auto, clblast or tile\n"
    "  --json          a JSON line for each case instead\n"
    "  --help          this text\n"
    "\n"
    "Exit status: 0 when every case passes, 1 when one fails or cannot be run, 2 on wrong usage.\n";

static const struct option options[] = {{"device", required_argument, NULL, 'd'},
                                        {"gemm", required_argument, NULL, 'g'},
                                        {"json", no_argument, NULL, 'j'},
                                        {"help", no_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static void print_json(const char *name, tt_status s, const tti_verify_result *r) {
    tti_str t = {0};
    tti_str_puts(&t, "{\"case\": ");
    tti_str_json(&t, name, strlen(name));
    tti_str_printf(&t,
                   ", \"pass\": %s, \"tensors\": %zu, \"worst\": ", s == TT_OK ? "true" : "false",
                   r->tensors);
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

static bool run_case(tti_device *d, tti_gemm *gemm, const char *dir, bool json) {
    tti_verify_result r;
    tt_status s = tti_verify(&r, d, gemm, dir);
    if (json)
        print_json(base_name(dir), s, &r);
    else if (s == TT_OK)
        printf("ok    %-28s %3zu tensors, worst %s: %.2e of %.0e\n", base_name(dir), r.tensors,
               r.worst, r.error, r.tolerance);
    else
        printf("FAIL  %-28s %s\n", base_name(dir), tt_error());
    fflush(stdout);
    return s == TT_OK;
}

int cmd_verify(int argc, char **argv) {
    const char *spec = NULL, *force = NULL;
    bool json = false;
    int c;
    optind = 1;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == 'd')
            spec = optarg;
        else if (c == 'g')
            force = optarg;
        else if (c == 'j')
            json = true;
        else if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        } else {
            fprintf(stderr,
                    "tokentune: verify: %s is not an option, or lacks its value; see "
                    "tokentune verify --help\n",
                    argv[optind - 1]);
            return 2;
        }
    }
    if (optind == argc) {
        fprintf(stderr,
                "tokentune: verify: expected at least one case folder; see tokentune verify "
                "--help\n");
        return 2;
    }
    tti_device *d = NULL;
    tti_gemm *gemm = NULL;
    size_t failed = 0, n = (size_t)(argc - optind);
    tt_status s = tti_device_open(&d, spec);
    if (s == TT_OK) s = tti_gemm_new(&gemm, d, force);
    for (int i = optind; s == TT_OK && i < argc; i++) failed += !run_case(d, gemm, argv[i], json);
    if (s != TT_OK)
        fprintf(stderr, "tokentune: %s\n", tt_error());
    else if (!json)
        printf("%zu passed, %zu failed\n", n - failed, failed);
    tti_gemm_free(gemm);
    tti_device_close(d);
    return s != TT_OK || failed ? 1 : 0;
}
