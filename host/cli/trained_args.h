// SPDX-License-Identifier: Apache-2.0
/* trained_args.h - what eval and predict share: the options that name a trained model, where it
 * runs, and the columns of the data. */
#ifndef TT_HOST_CLI_TRAINED_ARGS_H
#define TT_HOST_CLI_TRAINED_ARGS_H

#include "host/cli/cli.h"
#include "host/train/evaluate.h"
#include "host/train/export.h"

typedef struct {
    const char *base, *device, *gemm, *format, *header, *text, *text2;
    size_t batch, max_len;
} tti_trained_args;

/* Options of these fields, for a tti_command's table. */
#define TTI_TRAINED_OPTIONS(a)                                                                   \
    {"--base", "DIR", TTI_OPT_TEXT, &(a).base, "the model below an adapter folder"},             \
        {"--text", "COLUMN", TTI_OPT_TEXT, &(a).text, "column by name or number from 1 [text]"}, \
        {"--text2", "COLUMN", TTI_OPT_TEXT, &(a).text2, "column of the second text of pairs"},   \
        {"--format", "NAME", TTI_OPT_TEXT, &(a).format, "auto, jsonl, tsv, csv or text [auto]"}, \
        {"--header", "WHEN", TTI_OPT_TEXT, &(a).header,                                          \
         "yes, no or auto: TSV and CSV name columns"},                                           \
        {"--max-len", "N", TTI_OPT_COUNT, &(a).max_len, "cut to N tokens [as in training]"},     \
        {"--batch", "N", TTI_OPT_COUNT, &(a).batch, "texts computed at once [32]"},              \
        {"--device", "SPEC", TTI_OPT_TEXT, &(a).device, "see tokentune devices --help"}, {       \
        "--gemm", "NAME", TTI_OPT_TEXT, &(a).gemm, "auto, clblast or tile"                       \
    }

/* Format, header and columns; TT_E_ARG for an unknown name. */
tt_status tti_trained_args_data(const tti_trained_args *a, tti_data_opts *out);

typedef struct {
    tti_device *dev;
    tti_gemm *gemm;
    tti_trained t;
} tti_trained_run;
/* r->t has been read. */
tt_status tti_trained_run_open(tti_trained_run *r, const tti_trained_args *a);
void tti_trained_run_close(tti_trained_run *r);

#endif
