// SPDX-License-Identifier: Apache-2.0
/* cmd_fidelity.c - tokentune fidelity: what selecting tokens costs and buys, before a run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "host/cli/cli.h"
#include "host/eval/fidelity.h"
#include "host/eval/fidelity_setup.h"

int cmd_fidelity(int argc, char **argv);

static const char summary[] =
    "Compares gradients of selected tokens with the full gradient, on batches of the data as a\n"
    "training run would have them: their cosine over all trained parameters, the bytes that are\n"
    "kept for the backward pass, and the time of a step, for each policy and each share of tokens\n"
    "kept. The weights stay as they are. DATA is what `tokentune train` reads: labelled texts, or\n"
    "instructions and texts for models that predict tokens.\n";

typedef struct {
    tti_fidelity_source from;
    tti_fidelity_opts o;
    const char *keep, *policy, *data, *method, *targets, *device, *gemm, *loss_on;
    size_t seed;
    bool json;
} options;

static const char *const policies[] = {[TTI_SELECT_RANDOM] = "random",
                                       [TTI_SELECT_PREFIX] = "prefix",
                                       [TTI_SELECT_STRATIFIED] = "stratified",
                                       [TTI_SELECT_LOSS] = "loss"};

/* ---- lists ---- */

/* The parts of "a,b,c": gives texts (each tti_free, like the list). */
static tt_status parts(const char *list, char ***out, size_t *n) {
    size_t cap = 0;
    *out = NULL;
    *n = 0;
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        TT_TRY(TTI_GROW(*out, cap, *n + 1));
        if (!((*out)[*n] = tti_strndup(at, strcspn(at, ",")))) return TT_E_NOMEM;
        ++*n;
    }
    return TT_OK;
}

static void free_parts(char **list, size_t n) {
    for (size_t i = 0; i < n; i++) tti_free(list[i]);
    tti_free(list);
}

static tt_status read_keep(const char *text, double *out) {
    char *end;
    *out = strtod(text, &end);
    if (end != text && !*end && *out > 0 && (*out <= 1 || *out == floor(*out)) && *out < 1e9)
        return TT_OK;
    return tti_fail(TT_E_ARG, "--keep %s: expected a share up to 1, or a count", text);
}

static tt_status read_policy(const char *text, tti_select_policy *out) {
    for (size_t i = 0; i < TT_COUNT(policies); i++)
        if (!strcmp(policies[i], text)) {
            *out = (tti_select_policy)i;
            return TT_OK;
        }
    return tti_fail(TT_E_ARG, "--policy %s: expected random, prefix, stratified or loss", text);
}

static tt_status read_choices(const options *a, tti_fidelity_choice **out, size_t *count) {
    char **keep = NULL, **policy = NULL;
    size_t nkeep = 0, npolicy = 0;
    tt_status s;
    TT_GO(parts(a->keep, &keep, &nkeep));
    TT_GO(parts(a->policy, &policy, &npolicy));
    *count = nkeep * npolicy;
    TT_GO((*out = tti_calloc(*count, sizeof **out)) ? TT_OK : TT_E_NOMEM);
    for (size_t p = 0; p < npolicy; p++)
        for (size_t k = 0; k < nkeep; k++) {
            tti_fidelity_choice *c = *out + p * nkeep + k;
            TT_GO(read_policy(policy[p], &c->policy));
            TT_GO(read_keep(keep[k], &c->keep));
        }
done:
    free_parts(keep, nkeep);
    free_parts(policy, npolicy);
    return s;
}

/* ---- results ---- */

static tt_status flush(tti_str *s) {
    if (s->status == TT_OK) fputs(s->p, stdout);
    tt_status status = s->status;
    tti_str_free(s);
    return status;
}

static tt_status print_table(const tti_fidelity_result *r) {
    tti_str s = {0};
    tti_str_printf(&s, "%-10s  %6s  %6s  %7s  %7s  %6s  %9s  %9s  %8s\n", "policy", "keep",
                   "tokens", "cosine", "least", "length", "kept", "in all", "s/step");
    for (size_t i = 0; i < r->rows; i++) {
        const tti_fidelity_row *w = &r->row[i];
        tti_str kept = {0}, total = {0};
        tti_cli_bytes(&kept, w->kept);
        tti_cli_bytes(&total, w->total);
        if (kept.status == TT_OK && total.status == TT_OK)
            tti_str_printf(&s, "%-10s  %6g  %6.3f  %7.4f  %7.4f  %6.3f  %9s  %9s  %8.4f\n",
                           i == 0 ? "(all)" : policies[w->choice.policy], w->choice.keep, w->tokens,
                           w->cosine, w->least, w->norm, kept.p, total.p, w->seconds);
        tti_str_free(&kept);
        tti_str_free(&total);
    }
    return flush(&s);
}

static tt_status print_json(const tti_fidelity_result *r, const options *a) {
    tti_str s = {0};
    tti_str_puts(&s, "{\"model\": ");
    tti_str_json(&s, a->from.model, strlen(a->from.model));
    tti_str_printf(&s, ", \"batches\": %zu, \"batch\": %zu, \"rows\": [", a->o.batches, a->o.batch);
    for (size_t i = 0; i < r->rows; i++) {
        const tti_fidelity_row *w = &r->row[i];
        tti_str_printf(&s, "%s{\"policy\": \"%s\", \"keep\": %.9g, \"tokens\": %.6g",
                       i > 0 ? ", " : "", i == 0 ? "all" : policies[w->choice.policy],
                       w->choice.keep, w->tokens);
        tti_str_printf(&s, ", \"cosine\": %.9g, \"cosine_least\": %.9g, \"length\": %.9g",
                       w->cosine, w->least, w->norm);
        tti_str_printf(&s, ", \"kept_bytes\": %zu, \"total_bytes\": %zu, \"seconds\": %.6g",
                       w->kept, w->total, w->seconds);
        tti_str_puts(&s, ", \"groups\": {");
        for (size_t g = 0; g < r->groups; g++)
            tti_str_printf(&s, "%s\"%s\": %.9g", g > 0 ? ", " : "", r->group[g], w->group[g]);
        tti_str_puts(&s, "}}");
    }
    tti_str_puts(&s, "]}\n");
    return flush(&s);
}

/* ---- the command ---- */

static tt_status measure(options *a) {
    tti_device *dev = NULL;
    tti_gemm *gemm = NULL;
    tti_fidelity_setup setup = {0};
    tti_fidelity_result r = {0};
    tti_fidelity_choice *choice = NULL;
    char **targets = NULL;
    tt_status s;
    TT_GO(read_choices(a, &choice, &a->o.nchoices));
    a->o.choice = choice;
    if (a->targets) TT_GO(parts(a->targets, &targets, &a->from.ntargets));
    a->from.targets = (const char *const *)targets;
    TT_GO(tti_device_open(&dev, a->device));
    TT_GO(tti_gemm_new(&gemm, dev, a->gemm));
    TT_GO(tti_fidelity_setup_open(&setup, dev, &a->from));
    TT_GO(tti_fidelity(&r, dev, gemm, setup.model, &setup.samples, &a->o));
    s = a->json ? print_json(&r, a) : print_table(&r);
done:
    tti_fidelity_free(&r);
    tti_fidelity_setup_free(&setup);
    tti_gemm_free(gemm);
    tti_device_close(dev);
    tti_free(choice);
    free_parts(targets, targets ? a->from.ntargets : 0);
    return s;
}

/* What the table of options cannot say. */
static int check(options *a, const char **args, size_t nargs) {
    if (!a->from.model)
        return tti_cli_usage("fidelity: expected --model DIR; see tokentune fidelity --help");
    if (a->data) args[nargs++] = a->data;
    a->from.data = args;
    a->from.ndata = nargs;
    if (nargs == 0)
        return tti_cli_usage("fidelity: expected DATA...; see tokentune fidelity --help");
    if (strcmp(a->method, "full") && strcmp(a->method, "lora"))
        return tti_cli_usage("fidelity: --method %s: expected full or lora", a->method);
    if (strcmp(a->loss_on, "answers") && strcmp(a->loss_on, "all"))
        return tti_cli_usage("fidelity: --loss-on %s: expected answers or all", a->loss_on);
    a->from.lora = !strcmp(a->method, "lora");
    a->from.loss_all = !strcmp(a->loss_on, "all");
    a->from.seed = a->o.seed = (uint32_t)a->seed;
    return TTI_EXIT_OK;
}

int cmd_fidelity(int argc, char **argv) {
    options a = {.o = {.batches = 4, .batch = 8, .temperature = 1},
                 .keep = "0.1,0.3,0.5",
                 .policy = "random",
                 .method = "full",
                 .loss_on = "answers",
                 .seed = 1};
    const tti_opt table[] = {
        {"--model", "DIR", TTI_OPT_TEXT, &a.from.model, "the model folder"},
        {"--data", "FILE", TTI_OPT_TEXT, &a.data, "data; more files may stand as arguments"},
        {"--keep", "LIST", TTI_OPT_TEXT, &a.keep, "shares or counts of tokens [0.1,0.3,0.5]"},
        {"--policy", "LIST", TTI_OPT_TEXT, &a.policy, "random, prefix, stratified, loss [random]"},
        {"--batches", "N", TTI_OPT_COUNT, &a.o.batches, "batches measured [4]"},
        {"--batch", "N", TTI_OPT_COUNT, &a.o.batch, "samples of a batch [8]"},
        {"--method", "NAME", TTI_OPT_TEXT, &a.method, "full or lora [full]"},
        {"--rank", "N", TTI_OPT_COUNT, &a.from.rank, "of lora [8]"},
        {"--targets", "LIST", TTI_OPT_TEXT, &a.targets, "layers with adapters [as in training]"},
        {"--adapter", "DIR", TTI_OPT_TEXT, &a.from.adapter, "an adapter that trains on"},
        {"--max-len", "N", TTI_OPT_COUNT, &a.from.max_len, "tokens of a sample at most"},
        {"--text", "COLUMN", TTI_OPT_TEXT, &a.from.text, "column of the text [text]"},
        {"--text2", "COLUMN", TTI_OPT_TEXT, &a.from.text2, "column of the second text of pairs"},
        {"--label", "COLUMN", TTI_OPT_TEXT, &a.from.label, "column of the label [label]"},
        {"--regress", NULL, TTI_OPT_FLAG, &a.from.regress, "labels are numbers"},
        {"--classify", NULL, TTI_OPT_FLAG, &a.from.classify, "a decoder learns to classify"},
        {"--template", "NAME", TTI_OPT_TEXT, &a.from.template_name, "of prompts, as data.template"},
        {"--loss-on", "WHAT", TTI_OPT_TEXT, &a.loss_on, "answers or all [answers]"},
        {"--seed", "N", TTI_OPT_COUNT, &a.seed, "of batches and draws [1]"},
        {"--json", NULL, TTI_OPT_FLAG, &a.json, "one JSON line, with cosines by block"},
        {"--device", "SPEC", TTI_OPT_TEXT, &a.device, "see tokentune devices --help"},
        {"--gemm", "NAME", TTI_OPT_TEXT, &a.gemm, "auto, clblast or tile"},
    };
    const tti_command command = {.name = "fidelity",
                                 .arguments = "[DATA ...]",
                                 .about = summary,
                                 .options = table,
                                 .noptions = TT_COUNT(table),
                                 .least = 0,
                                 .most = SIZE_MAX};
    const char **args = tti_calloc((size_t)argc + 1, sizeof *args);
    size_t nargs;
    int status;
    if (!args) return tti_cli_failed();
    if (tti_cli_parse(&command, argc, argv, args, &nargs, &status)) {
        status = check(&a, args, nargs);
        if (status == TTI_EXIT_OK && measure(&a) != TT_OK) status = tti_cli_failed();
    }
    tti_free(args);
    return status;
}
