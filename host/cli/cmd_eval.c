// SPDX-License-Identifier: Apache-2.0
/* cmd_eval.c - tokentune eval: how good a trained model is on labelled data. */
#include "host/cli/lm_eval.h"
#include "host/cli/trained_args.h"

int cmd_eval(int argc, char **argv);

static const char summary[] =
    "Computes loss, accuracy, macro-F1 and Matthews correlation (or Pearson and Spearman\n"
    "correlation of a regression) of MODEL, a folder as `tokentune train` or transformers write "
    "it,\n"
    "or an adapter folder, over all samples of the data files (JSONL, TSV, CSV).\n"
    "Models that predict tokens answer questions instead: tokentune eval MODEL --help.\n";

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

typedef struct {
    tti_trained_args a;
    const char *label;
    bool json, regress;
} options;

/* A model without a head is measured with a fresh one: what training will begin with. */
static void take_labels(tti_trained *t, const tti_dataset *data, bool regression) {
    t->about.task = regression ? TTI_TASK_REGRESS : TTI_TASK_CLASSIFY;
    t->about.num_labels = regression ? 1 : (int)tti_dataset_classes(data);
    t->about.labels = regression ? NULL : tti_dataset_labels(data);
}

static tt_status eval(const options *given, const char *model, const char *const *files, size_t n) {
    const tti_trained_args *a = &given->a;
    tti_trained_run r = {0};
    tti_dataset *data = NULL;
    tti_samples samples = {0};
    tti_evaluator *e = NULL;
    tti_scores scores;
    tti_dataset_opts o = {0};
    tt_status s;
    TT_GO(tti_trained_args_data(a, &o.data));
    TT_GO(tti_trained_read(&r.t, model, a->base));
    o.data.label = given->label;
    o.regression = r.t.headless ? given->regress : r.t.about.task == TTI_TASK_REGRESS;
    o.labels = r.t.about.labels;
    o.nlabels = o.labels ? (size_t)r.t.about.num_labels : 0;
    TT_GO(tti_dataset_load(&data, files, n, &o));
    if (r.t.headless) take_labels(&r.t, data, o.regression);
    TT_GO(tti_trained_run_open(&r, a));
    TT_GO(tti_samples_encode(&samples, data, r.t.tokenizer, r.t.about.max_len,
                             tti_model_get_info(r.t.model)->vocab));
    TT_GO(tti_evaluator_new(&e, r.dev, r.gemm, r.t.model, samples.longest, a->batch));
    TT_GO(tti_evaluate(e, &samples, &scores));
    s = print(&scores, given->json);
done:
    tti_evaluator_free(e);
    tti_samples_free(&samples);
    tti_trained_run_close(&r);
    tti_dataset_free(data);
    return s;
}

int cmd_eval(int argc, char **argv) {
    options o = {.a = {.batch = 32}};
    bool causal;
    if (tti_cli_is_causal(argc, argv, &causal) != TT_OK) return tti_cli_failed();
    if (causal) return tti_cli_lm_eval(argc, argv);
    const tti_opt table[] = {
        {"--json", NULL, TTI_OPT_FLAG, &o.json, "one JSON line"},
        {"--label", "COLUMN", TTI_OPT_TEXT, &o.label, "column of the label [label]"},
        {"--regress", NULL, TTI_OPT_FLAG, &o.regress,
         "labels are numbers, for a model without head"},
        TTI_TRAINED_OPTIONS(o.a),
    };
    const tti_command command = {.name = "eval",
                                 .arguments = "MODEL DATA...",
                                 .about = summary,
                                 .options = table,
                                 .noptions = TT_COUNT(table),
                                 .least = 2,
                                 .most = SIZE_MAX};
    const char **args = tti_calloc((size_t)argc, sizeof *args);
    size_t nargs;
    int status;
    if (!args) return tti_cli_failed();
    if (tti_cli_parse(&command, argc, argv, args, &nargs, &status) &&
        eval(&o, args[0], args + 1, nargs - 1) != TT_OK)
        status = tti_cli_failed();
    tti_free(args);
    return status;
}
