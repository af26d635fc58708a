// SPDX-License-Identifier: Apache-2.0
/* cmd_lm_eval.c - tokentune eval of a model that predicts tokens. */
#include <math.h>
#include <string.h>
#include "host/cli/lm_eval.h"
#include "host/eval/harness.h"
#include "host/train/evaluate.h"
#include "host/train/export.h"

static const char summary[] =
    "Of a model that predicts tokens, or an adapter of one: multiple-choice questions answered by\n"
    "the likelihood of the choices (acc and acc_norm as lm-evaluation-harness has them), or the\n"
    "perplexity of texts, or the loss of answers to instructions (with --task exact: how many are\n"
    "answered word for word). FILE holds a JSON object a "
    "line,\n"
    "in the keys of MMLU, ARC, HellaSwag, WinoGrande, TruthfulQA, {\"context\", \"choices\",\n"
    "\"gold\"}, {\"text\"} or instruction data; or plain text.\n";

typedef struct {
    const char *base, *device, *gemm, *task, *examples, *description, *each, *template_name;
    size_t shots, limit, max_len, rows, max_new;
    bool json;
} options;

/* ---- results ---- */

static void add_number(tti_str *out, bool json, const char *name, double v) {
    tti_str_printf(out, json ? ", \"%s\": %.15g" : "%-16s  %.6g\n", name, v);
}

static void add_count(tti_str *out, bool json, const char *name, size_t v) {
    tti_str_printf(out, json ? ", \"%s\": %zu" : "%-16s  %zu\n", name, v);
}

static tt_status finish(tti_str *out, bool json) {
    if (json) tti_str_puts(out, "}\n");
    if (out->status == TT_OK) fputs(out->p, stdout);
    tt_status s = out->status;
    tti_str_free(out);
    return s;
}

static void begin(tti_str *out, bool json, const char *task, const char *path) {
    if (!json) {
        tti_str_printf(out, "%-16s  %s\n%-16s  %s\n", "file", path, "task", task);
        return;
    }
    tti_str_printf(out, "{\"task\": \"%s\", \"file\": ", task);
    tti_str_json(out, path, strlen(path));
}

static tt_status print_choices(const tti_choice_scores *c, const options *o, const char *path) {
    tti_str s = {0};
    begin(&s, o->json, c->mc2 ? "truthfulqa_mc2" : tti_choice_shape_name(c->shape), path);
    add_count(&s, o->json, "questions", c->n);
    add_count(&s, o->json, "shots", o->shots);
    add_number(&s, o->json, "acc", c->acc);
    add_number(&s, o->json, "acc_stderr", c->acc_stderr);
    if (!c->mc2) {
        add_number(&s, o->json, "acc_norm", c->acc_norm);
        add_number(&s, o->json, "acc_norm_stderr", c->acc_norm_stderr);
        add_number(&s, o->json, "acc_bytes", c->acc_bytes);
    }
    return finish(&s, o->json);
}

static tt_status print_perplexity(const tti_perplexity *p, const options *o, const char *path) {
    tti_str s = {0};
    begin(&s, o->json, "text", path);
    add_count(&s, o->json, "documents", p->documents);
    add_count(&s, o->json, "tokens", p->tokens);
    add_number(&s, o->json, "loss", -p->loglik / (double)p->tokens);
    add_number(&s, o->json, "token_perplexity", p->token_perplexity);
    add_number(&s, o->json, "word_perplexity", p->word_perplexity);
    add_number(&s, o->json, "byte_perplexity", p->byte_perplexity);
    add_number(&s, o->json, "bits_per_byte", p->bits_per_byte);
    return finish(&s, o->json);
}

static tt_status print_answers(const tti_scores *c, const options *o, const char *path) {
    tti_str s = {0};
    begin(&s, o->json, "answers", path);
    add_count(&s, o->json, "samples", c->n);
    add_count(&s, o->json, "tokens", c->tokens);
    add_number(&s, o->json, "loss", c->loss);
    add_number(&s, o->json, "perplexity", c->perplexity);
    return finish(&s, o->json);
}

/* ---- the command ---- */

typedef struct {
    tti_device *dev;
    tti_gemm *gemm;
    tti_trained t;
    tti_scorer *scorer; /* where questions or texts are judged; answers have their own memory */
    size_t computed;    /* tokens, by scorers that are gone */
    tti_pairs pairs;
    FILE *each;
} run;

static tt_status open_run(run *r, const options *o, const char *model) {
    TT_TRY(tti_trained_read(&r->t, model, o->base));
    if (r->t.about.task != TTI_TASK_CAUSAL)
        return tti_fail(TT_E_UNSUPPORTED, "%s: the model does not predict tokens", model);
    TT_TRY(tti_device_open(&r->dev, o->device));
    TT_TRY(tti_gemm_new(&r->gemm, r->dev, o->gemm));
    TT_TRY(tti_trained_load(&r->t, r->dev));
    size_t most = (size_t)tti_model_get_info(r->t.model)->max_len;
    if (o->max_len > most)
        return tti_fail(TT_E_ARG, "--max-len %zu: the model reads at most %zu tokens", o->max_len,
                        most);
    if (o->max_len > 0) most = o->max_len;
    return tti_pairs_open(&r->pairs, r->t.tokenizer, most);
}

static tt_status need_scorer(run *r, const options *o) {
    if (r->scorer) return TT_OK;
    return tti_scorer_new(&r->scorer, r->dev, r->gemm, r->t.model, r->pairs.max_len, o->rows);
}

static void drop_scorer(run *r) {
    if (r->scorer) r->computed += tti_scorer_computed(r->scorer);
    tti_scorer_free(r->scorer);
    r->scorer = NULL;
}

static void close_run(run *r) {
    if (r->each) fclose(r->each);
    drop_scorer(r);
    tti_pairs_close(&r->pairs);
    tti_trained_free(&r->t);
    tti_gemm_free(r->gemm);
    tti_device_close(r->dev);
}

/* Loss of the answers in instruction data, as training has it. */
static tt_status evaluate_answers(run *r, const options *o, const char *path) {
    const tti_causal_opts c = {.template_name =
                                   o->template_name ? o->template_name : r->t.about.template,
                               .model_dir = r->t.adapter && r->t.base ? r->t.base : r->t.dir,
                               .max_len = r->pairs.max_len,
                               .skip = true};
    tti_causal_dataset *ds = NULL;
    tti_samples samples = {0};
    tti_evaluator *e = NULL;
    tti_scores scores = {0};
    tt_status s;
    drop_scorer(r);
    TT_GO(tti_causal_load(&ds, &path, 1, r->t.tokenizer, &c));
    TT_GO(tti_samples_causal(&samples, ds, tti_model_get_info(r->t.model)->vocab));
    TT_GO(tti_evaluator_new(&e, r->dev, r->gemm, r->t.model, samples.longest, 8));
    TT_GO(tti_evaluate(e, &samples, &scores));
    s = print_answers(&scores, o, path);
done:
    tti_evaluator_free(e);
    tti_samples_free(&samples);
    tti_causal_free(ds);
    return s;
}

/* How many instructions of the files are answered as they should be. A run of its own: what writes
 * keeps other state than what scores. */
static tt_status match_answers(const options *o, const char *model, const char *const *files,
                               size_t n) {
    tti_trained about = {0};
    TT_TRY(tti_trained_read(&about, model, o->base));
    const char *trained = about.about.template ? about.about.template : "model";
    const tti_generate_args a = {.model = o->base ? o->base : model,
                                 .adapter = o->base ? model : NULL,
                                 .template = o->template_name ? o->template_name : trained,
                                 .device = o->device,
                                 .gemm = o->gemm,
                                 .max_new = o->max_new,
                                 .batch = 8,
                                 .temperature = NAN,
                                 .top_p = 1,
                                 .repetition = 1};
    tt_status s = TT_OK;
    for (size_t i = 0; i < n && s == TT_OK; i++) {
        tti_exact_match m;
        tti_str out = {0};
        s = tti_cli_exact_match(&m, &a, files[i], o->limit);
        if (s != TT_OK) break;
        begin(&out, o->json, "exact", files[i]);
        add_count(&out, o->json, "samples", m.n);
        add_count(&out, o->json, "equal", m.equal);
        add_number(&out, o->json, "exact_match", (double)m.equal / (double)m.n);
        s = finish(&out, o->json);
    }
    tti_trained_free(&about);
    return s;
}

/* What a file holds, by its first record, where --task does not say. */
static tt_status find_kind(const options *o, const char *path, bool *text, bool *answers) {
    const bool found = !o->task || !strcmp(o->task, "auto");
    tti_instruct_reader *reader;
    tti_instruct_row row;
    bool end;
    *text = !found && !strcmp(o->task, "text");
    *answers = !found && !strcmp(o->task, "answers");
    if (!found) return TT_OK;
    TT_TRY(tti_perplexity_fits(text, path));
    if (*text) return TT_OK;
    const tti_instruct_opts first = {.pass_empty = true};
    TT_TRY(tti_instruct_open(&reader, path, &first));
    if (tti_instruct_next(reader, &row, &end) == TT_OK && !end)
        *answers = tti_instruct_reader_format(reader) != TTI_INSTRUCT_text;
    tti_instruct_close(reader);
    return TT_OK;
}

static tt_status one_file(run *r, const options *o, tti_choice_shape shape, const char *path) {
    bool text, answers;
    TT_TRY(find_kind(o, path, &text, &answers));
    if (answers) return evaluate_answers(r, o, path);
    TT_TRY(need_scorer(r, o));
    if (text) {
        tti_perplexity p;
        TT_TRY(tti_perplexity_evaluate(&p, r->scorer, &r->pairs, path, o->limit));
        return print_perplexity(&p, o, path);
    }
    const tti_choice_opts c = {.shape = shape,
                               .shots = o->shots,
                               .examples = o->examples,
                               .description = o->description,
                               .limit = o->limit,
                               .each = r->each};
    tti_choice_scores scores;
    TT_TRY(tti_choice_evaluate(&scores, r->scorer, &r->pairs, path, &c));
    return print_choices(&scores, o, path);
}

static tt_status evaluate(const options *o, const char *model, const char *const *files, size_t n) {
    run r = {0};
    tti_choice_shape shape = TTI_CHOICE_NONE;
    tt_status s = TT_OK;
    if (o->task && !strcmp(o->task, "exact")) return match_answers(o, model, files, n);
    if (o->task && strcmp(o->task, "text") && strcmp(o->task, "answers") &&
        strcmp(o->task, "auto")) {
        shape = tti_choice_shape_named(o->task);
        if (shape == TTI_CHOICE_NONE)
            TT_GO(tti_fail(TT_E_ARG,
                           "--task %s: expected auto, mmlu, arc, hellaswag, winogrande, "
                           "truthfulqa, choices, answers, exact or text",
                           o->task));
    }
    TT_GO(open_run(&r, o, model));
    if (o->each && !(r.each = fopen(o->each, "w")))
        TT_GO(tti_fail(TT_E_IO, "%s: cannot be written", o->each));
    for (size_t i = 0; i < n; i++) TT_GO(one_file(&r, o, shape, files[i]));
    drop_scorer(&r);
    tti_debug("%zu tokens computed", r.computed);
    if (r.each && (fflush(r.each) != 0 || ferror(r.each)))
        s = tti_fail(TT_E_IO, "%s: cannot be written", o->each);
done:
    close_run(&r);
    return s;
}

int tti_cli_lm_eval(int argc, char **argv) {
    options o = {0};
    const tti_opt table[] = {
        {"--task", "NAME", TTI_OPT_TEXT, &o.task,
         "mmlu, arc, ..., answers, exact or text [by the keys]"},
        {"--shots", "N", TTI_OPT_COUNT, &o.shots, "examples before each question [none]"},
        {"--train", "FILE", TTI_OPT_TEXT, &o.examples, "where they are: its first N"},
        {"--description", "TEXT", TTI_OPT_TEXT, &o.description,
         "stands first; {subject} is the question's"},
        {"--template", "NAME", TTI_OPT_TEXT, &o.template_name, "of instructions [as in training]"},
        {"--limit", "N", TTI_OPT_COUNT, &o.limit, "only the first N questions or documents"},
        {"--samples", "FILE", TTI_OPT_TEXT, &o.each, "write each question's likelihoods there"},
        {"--base", "DIR", TTI_OPT_TEXT, &o.base, "the model below an adapter folder"},
        {"--max-len", "N", TTI_OPT_COUNT, &o.max_len, "tokens read at most [the model's]"},
        {"--max-new", "N", TTI_OPT_COUNT, &o.max_new,
         "exact: tokens of an answer [256 or what fits]"},
        {"--rows", "N", TTI_OPT_COUNT, &o.rows, "tokens computed at once [512]"},
        {"--json", NULL, TTI_OPT_FLAG, &o.json, "print a JSON line for each file"},
        {"--device", "SPEC", TTI_OPT_TEXT, &o.device, "see tokentune devices --help"},
        {"--gemm", "NAME", TTI_OPT_TEXT, &o.gemm, "auto, clblast or tile"},
    };
    const tti_command command = {.name = "eval",
                                 .arguments = "MODEL FILE...",
                                 .about = summary,
                                 .options = table,
                                 .noptions = TT_COUNT(table),
                                 .least = 2,
                                 .most = SIZE_MAX};
    const char **args = tti_calloc((size_t)argc, sizeof *args);
    size_t nargs;
    int status;
    if (!args) return tti_cli_failed();
    if (tti_cli_parse(&command, argc, argv, args, &nargs, &status)) {
        if (o.shots > 0 && !o.examples)
            status = tti_cli_usage("eval: --shots needs --train FILE");
        else if (evaluate(&o, args[0], args + 1, nargs - 1) != TT_OK)
            status = tti_cli_failed();
    }
    tti_free(args);
    return status;
}

/* Whether an argument is a folder of a model that predicts tokens, or of an adapter of one. */
tt_status tti_cli_is_causal(int argc, char **argv, bool *causal) {
    *causal = false;
    for (int i = 1; i < argc; i++) {
        tti_trained t = {0};
        if (argv[i][0] == '-' || !strcmp(argv[i - 1], "--base")) continue;
        const char *base = NULL;
        for (int k = 1; k < argc; k++) {
            if (!strcmp(argv[k], "--base") && k + 1 < argc) base = argv[k + 1];
            if (!strncmp(argv[k], "--base=", 7)) base = argv[k] + 7;
        }
        const tt_status s = tti_trained_read(&t, argv[i], base);
        if (s == TT_E_NOMEM) return s;
        if (s != TT_OK) continue;
        *causal = t.about.task == TTI_TASK_CAUSAL;
        tti_trained_free(&t);
        break;
    }
    return TT_OK;
}
