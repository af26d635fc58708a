// SPDX-License-Identifier: Apache-2.0
/* trained_args.c - opens a trained model for eval and predict. */
#include <string.h>
#include "host/cli/trained_args.h"

static tt_status choose(int *out, const char *option, const char *given, const char *const *names) {
    *out = 0;
    if (!given) return TT_OK;
    for (int i = 0; names[i]; i++, ++*out)
        if (strcmp(names[i], given) == 0) return TT_OK;
    tti_str all = {0};
    for (int i = 0; names[i]; i++) tti_str_printf(&all, "%s%s", i > 0 ? ", " : "", names[i]);
    tt_status s = all.status == TT_OK
                      ? tti_fail(TT_E_ARG, "%s %s: expected one of %s", option, given, all.p)
                      : all.status;
    tti_str_free(&all);
    return s;
}

tt_status tti_trained_args_data(const tti_trained_args *a, tti_data_opts *out) {
    static const char *const formats[] = {"auto", "jsonl", "tsv", "csv", "text", NULL};
    static const char *const headers[] = {"auto", "yes", "no", NULL};
    TT_TRY(choose(&out->format, "--format", a->format, formats));
    TT_TRY(choose(&out->header, "--header", a->header, headers));
    out->text = a->text;
    out->text2 = a->text2;
    return TT_OK;
}

tt_status tti_trained_run_open(tti_trained_run *r, const tti_trained_args *a) {
    TT_TRY(tti_device_open(&r->dev, a->device));
    TT_TRY(tti_gemm_new(&r->gemm, r->dev, a->gemm));
    TT_TRY(tti_trained_load(&r->t, r->dev));
    return tti_trained_limit(&r->t, a->max_len);
}

void tti_trained_run_close(tti_trained_run *r) {
    tti_trained_free(&r->t);
    tti_gemm_free(r->gemm);
    tti_device_close(r->dev);
}
