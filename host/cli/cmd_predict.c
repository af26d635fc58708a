// SPDX-License-Identifier: Apache-2.0
/* cmd_predict.c - tokentune predict: a JSON line for each text, in the order of the texts. */
#include <string.h>
#include "host/cli/trained_args.h"
#include "host/train/predict.h"

int cmd_predict(int argc, char **argv);

static const char summary[] =
    "Writes a JSON line for each text of FILE (JSONL, TSV, CSV or plain lines; - or nothing is\n"
    "standard input), in their order, as batches come in:\n"
    "  {\"label\": \"good\", \"probability\": 0.91, \"probabilities\": {\"bad\": 0.09, \"good\": "
    "0.91}}\n"
    "or {\"value\": 3.2} where the model is a regression. MODEL is a folder as `tokentune train` "
    "or\n"
    "transformers write it, or an adapter folder.\n";

static void name(tti_str *out, const tti_export *about, size_t i) {
    tti_str_json(out, about->labels[i], strlen(about->labels[i]));
}

static void print_classes(tti_str *out, const tti_export *about, const double *p) {
    size_t n = (size_t)about->num_labels, best = 0;
    for (size_t i = 1; i < n; i++)
        if (p[i] > p[best]) best = i;
    tti_str_puts(out, "{\"label\": ");
    name(out, about, best);
    tti_str_printf(out, ", \"probability\": %.6f, \"probabilities\": {", p[best]);
    for (size_t i = 0; i < n; i++) {
        if (i > 0) tti_str_puts(out, ", ");
        name(out, about, i);
        tti_str_printf(out, ": %.6f", p[i]);
    }
    tti_str_puts(out, "}}\n");
}

/* Computes the batch and prints its lines. */
static tt_status run_batch(tti_predictor *p) {
    const tti_export *about = tti_predictor_about(p);
    tti_str out = {0};
    const double *scores;
    size_t labels = (size_t)about->num_labels, n = tti_predictor_count(p);
    TT_TRY(tti_predictor_run(p, &scores));
    for (size_t i = 0; i < n; i++) {
        if (about->task == TTI_TASK_REGRESS)
            tti_str_printf(&out, "{\"value\": %.6g}\n", scores[i * labels]);
        else
            print_classes(&out, about, scores + i * labels);
    }
    tt_status s = out.status;
    if (s == TT_OK && (fwrite(out.p, 1, out.len, stdout) != out.len || fflush(stdout) != 0))
        s = tti_fail(TT_E_IO, "standard output: cannot be written");
    tti_str_free(&out);
    return s;
}

static tt_status stream(tti_data_reader *in, tti_predictor *p) {
    tti_data_row row;
    for (bool end = false; !end;) {
        TT_TRY(tti_data_next(in, &row, &end));
        if (!end) {
            tt_status s = tti_predictor_add(p, row.text, row.text_len, row.text2, row.text2_len);
            if (s != TT_OK) return tti_fail_in(s, "%s:%zu", tti_data_name(in), row.line);
        }
        if (tti_predictor_full(p) || (end && tti_predictor_count(p) > 0)) TT_TRY(run_batch(p));
    }
    return TT_OK;
}

static tt_status predict(const tti_trained_args *a, const char *dir, const char *file) {
    const tti_predictor_opts o = {
        .base = a->base, .gemm = a->gemm, .batch = a->batch, .max_len = a->max_len};
    tti_data_opts data = {.unlabelled = true};
    tti_device *dev = NULL;
    tti_predictor *p = NULL;
    tti_data_reader *in = NULL;
    tt_status s;
    TT_GO(tti_trained_args_data(a, &data));
    TT_GO(tti_device_open(&dev, a->device));
    TT_GO(tti_predictor_new(&p, dev, dir, &o));
    TT_GO(tti_data_open(&in, file, &data));
    s = stream(in, p);
done:
    tti_data_close(in);
    tti_predictor_free(p);
    tti_device_close(dev);
    return s;
}

int cmd_predict(int argc, char **argv) {
    tti_trained_args a = {.batch = 32};
    const tti_opt options[] = {TTI_TRAINED_OPTIONS(a)};
    const tti_command command = {.name = "predict",
                                 .arguments = "MODEL [FILE]",
                                 .about = summary,
                                 .options = options,
                                 .noptions = TT_COUNT(options),
                                 .least = 1,
                                 .most = 2};
    const char **args = tti_calloc((size_t)argc, sizeof *args);
    size_t nargs;
    int status;
    if (!args) return tti_cli_failed();
    if (tti_cli_parse(&command, argc, argv, args, &nargs, &status) &&
        predict(&a, args[0], nargs > 1 ? args[1] : "-") != TT_OK)
        status = tti_cli_failed();
    tti_free(args);
    return status;
}
