// SPDX-License-Identifier: Apache-2.0
/* cmd_eval.c - tokentune eval: how good a trained model is on labelled data. */
#include "host/cli/trained_args.h"

int cmd_eval(int argc, char **argv);

static const char summary[] =
    "Computes loss, accuracy, macro-F1 and Matthews correlation (or Pearson and Spearman\n"
    "correlation of a regression) of MODEL, a folder as `tokentune train` or transformers write "
    "it,\n"
    "or an adapter folder, over all samples of the data files (JSONL, TSV, CSV).\n";

static tt_status print(const tti_scores *s, bool json) {
    tti_str out = {0};
    if (json) {
        tti_str_putc(&out, '{');
        tti_scores_json(&out, s, "");
        tti_str_putc(&out, '}');
    } else if (s->regression) {
        tti_str_printf(&out, "samples   %zu\nloss      %.6f\npearson   %.4f\nspearman  %.4f", s->n,
                       s->loss, s->r.pearson, s->r.spearman);
    } else {
        tti_str_printf(&out,
                       "samples   %zu\nloss      %.6f\naccuracy  %.4f\nmacro-F1  %.4f\n"
                       "MCC       %.4f",
                       s->n, s->loss, s->c.accuracy, s->c.macro_f1, s->c.mcc);
    }
    if (out.status == TT_OK) puts(out.p);
    tt_status status = out.status;
    tti_str_free(&out);
    return status;
}

static tt_status eval(const tti_trained_args *a, const char *label, const char *const *args,
                      size_t nargs, bool json) {
    tti_trained_run r = {0};
    tti_dataset *data = NULL;
    tti_samples samples = {0};
    tti_evaluator *e = NULL;
    tti_scores scores;
    tti_dataset_opts o = {0};
    tt_status s;
    TT_GO(tti_trained_args_data(a, &o.data));
    TT_GO(tti_trained_run_open(&r, a, args[0]));
    o.data.label = label;
    o.regression = r.t.about.task == TTI_TASK_REGRESS;
    o.labels = r.t.about.labels;
    o.nlabels = o.labels ? (size_t)r.t.about.num_labels : 0;
    TT_GO(tti_dataset_load(&data, args + 1, nargs - 1, &o));
    TT_GO(tti_samples_encode(&samples, data, r.t.tokenizer, r.max_len,
                             tti_model_get_info(r.t.model)->vocab));
    TT_GO(tti_evaluator_new(&e, r.dev, r.gemm, r.t.model, samples.longest, a->batch));
    TT_GO(tti_evaluate(e, &samples, &scores));
    s = print(&scores, json);
done:
    tti_evaluator_free(e);
    tti_samples_free(&samples);
    tti_dataset_free(data);
    tti_trained_run_close(&r);
    return s;
}

int cmd_eval(int argc, char **argv) {
    tti_trained_args a = {.batch = 32};
    const char *label = NULL;
    bool json = false;
    const tti_opt options[] = {
        {"--json", NULL, TTI_OPT_FLAG, &json, "one JSON line"},
        {"--label", "COLUMN", TTI_OPT_TEXT, &label, "column of the label [label]"},
        TTI_TRAINED_OPTIONS(a),
    };
    const tti_command command = {.name = "eval",
                                 .arguments = "MODEL DATA...",
                                 .about = summary,
                                 .options = options,
                                 .noptions = TT_COUNT(options),
                                 .least = 2,
                                 .most = SIZE_MAX};
    const char **args = tti_calloc((size_t)argc, sizeof *args);
    size_t nargs;
    int status;
    if (!args) return tti_cli_failed();
    if (tti_cli_parse(&command, argc, argv, args, &nargs, &status) &&
        eval(&a, label, args, nargs, json) != TT_OK)
        status = tti_cli_failed();
    tti_free(args);
    return status;
}
