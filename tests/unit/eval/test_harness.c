// SPDX-License-Identifier: Apache-2.0
/* Questions answered as lm-evaluation-harness answers them: tests/eval/expected.json holds its
 * likelihoods and scores (tests/ref/eval_cases.py). */
#include <math.h>
#include "host/eval/harness.h"
#include "host/format/json.h"
#include "host/train/export.h"
#include "tests/unit/eval/support.h"

typedef struct {
    tti_trained t;
    tti_pairs pairs;
    tti_scorer *scorer;
} judge;

static judge open_judge(te_env *e, const char *model, size_t rows) {
    judge j = {0};
    cr_assert_eq(tti_trained_read(&j.t, te_data(model), NULL), TT_OK, "%s", tt_error());
    cr_assert_eq(j.t.about.task, TTI_TASK_CAUSAL);
    cr_assert_eq(tti_trained_load(&j.t, e->dev), TT_OK, "%s", tt_error());
    const size_t most = (size_t)tti_model_get_info(j.t.model)->max_len;
    cr_assert_eq(tti_pairs_open(&j.pairs, j.t.tokenizer, most), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_scorer_new(&j.scorer, e->dev, e->gemm, j.t.model, most, rows), TT_OK, "%s",
                 tt_error());
    return j;
}

static void close_judge(judge *j) {
    tti_scorer_free(j->scorer);
    tti_pairs_close(&j->pairs);
    tti_trained_free(&j->t);
}

static double field(const cJSON *o, const char *key) {
    const cJSON *v = tti_json_get(o, key);
    cr_assert(cJSON_IsNumber(v), "%s", key);
    return v->valuedouble;
}

/* Line by line; the files have the same number of them. */
static void compare_each(const char *got, const cJSON *want, const char *what) {
    const cJSON *w = tti_json_get(want, "each")->child;
    for (size_t i = 1; *got; i++, w = w->next) {
        const char *end = strchr(got, '\n');
        cJSON *g = NULL;
        cr_assert(w, "%s: more questions than expected", what);
        cr_assert_eq(tti_json_parse(&g, got, (size_t)(end - got), what), TT_OK);
        const cJSON *a = tti_json_get(g, "loglik")->child, *b = tti_json_get(w, "loglik")->child;
        for (; a && b; a = a->next, b = b->next)
            cr_expect(fabs(a->valuedouble - b->valuedouble) <= 2e-4 + 2e-6 * fabs(b->valuedouble),
                      "%s: question %zu: %.7f, not %.7f", what, i, a->valuedouble, b->valuedouble);
        cr_expect(!a && !b, "%s: question %zu: choices", what, i);
        cr_expect(fabs(field(g, "acc") - field(w, "acc")) < 1e-5, "%s: question %zu: acc", what, i);
        if (tti_json_get(w, "acc_norm"))
            cr_expect_eq(field(g, "acc_norm"), field(w, "acc_norm"), "%s: question %zu", what, i);
        cJSON_Delete(g);
        got = end + 1;
    }
    cr_expect(!w, "%s: fewer questions than expected", what);
}

static void run(te_env *e, judge *j, const cJSON *want, const char *model) {
    char name[32], file[64], examples[64], what[64], *each = NULL;
    size_t shots, size;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(want->string, "/"), want->string);
    shots = strtoul(strchr(want->string, '/') + 1, NULL, 10);
    snprintf(file, sizeof file, "eval/%s.jsonl", name);
    snprintf(examples, sizeof examples, "eval/%s.train.jsonl", name);
    snprintf(what, sizeof what, "%s %s", model, want->string);
    tti_choice_opts o = {.shape = TTI_CHOICE_NONE, .shots = shots, .examples = te_data(examples)};
    if (!strcmp(name, "mmlu"))
        o.description = "The following are multiple choice questions (with answers) about "
                        "{subject}.\n\n";
    o.each = fopen(te_temp(e, "each"), "w");
    tti_choice_scores s;
    cr_assert_eq(tti_choice_evaluate(&s, j->scorer, &j->pairs, te_data(file), &o), TT_OK, "%s",
                 tt_error());
    fclose(o.each);
    cr_expect_str_eq(tti_choice_shape_name(s.shape), name, "%s", what);
    cr_expect_eq(s.mc2, !strcmp(name, "truthfulqa"));
    cr_expect(fabs(s.acc - field(want, "acc")) < 1e-6, "%s: acc %.6f", what, s.acc);
    if (!s.mc2)
        cr_expect(fabs(s.acc_norm - field(want, "acc_norm")) < 1e-12, "%s: acc_norm %.6f", what,
                  s.acc_norm);
    cr_assert_eq(tti_file_read(&each, &size, te_temp(e, "each"), 1 << 24), TT_OK);
    compare_each(each, want, what);
    tti_free(each);
}

static void run_text(judge *j, const cJSON *want, const char *model) {
    tti_perplexity p;
    bool fits = false;
    cr_assert_eq(tti_perplexity_fits(&fits, te_data("eval/text.jsonl")), TT_OK);
    cr_expect(fits);
    cr_assert_eq(tti_perplexity_evaluate(&p, j->scorer, &j->pairs, te_data("eval/text.jsonl"), 0),
                 TT_OK, "%s", tt_error());
    const double got[] = {p.word_perplexity, p.byte_perplexity, p.bits_per_byte};
    static const char *const key[] = {"word_perplexity", "byte_perplexity", "bits_per_byte"};
    for (size_t i = 0; i < TT_COUNT(got); i++)
        cr_expect(fabs(got[i] / field(want, key[i]) - 1) < 2e-5, "%s: %s %g, not %g", model, key[i],
                  got[i], field(want, key[i]));
}

Test(harness, scores_are_those_of_lm_eval) {
    te_env e = te_open();
    cJSON *expected = NULL;
    cr_assert_eq(tti_json_file(&expected, te_data("eval/expected.json"), TTI_JSON_MAX), TT_OK, "%s",
                 tt_error());
    /* many rows at once, and so few that all but the shortest texts are read in pieces */
    static const struct {
        const char *model, *folder;
        size_t rows;
    } cases[] = {{"llama", "eval/llama", 0}, {"gpt2", "eval/gpt2", 0}, {"llama", "eval/llama", 7}};
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        judge j = open_judge(&e, cases[i].folder, cases[i].rows);
        const cJSON *runs = tti_json_get(expected, cases[i].model);
        for (const cJSON *w = runs->child; w; w = w->next) {
            if (cases[i].rows && strcmp(w->string, "arc/5") && strcmp(w->string, "text")) continue;
            if (!strcmp(w->string, "text"))
                run_text(&j, w, cases[i].model);
            else
                run(&e, &j, w, cases[i].model);
        }
        close_judge(&j);
    }
    tti_json_free(expected);
    te_close(&e);
}

Test(harness, what_questions_share_is_computed_once) {
    te_env e = te_open();
    judge j = open_judge(&e, "eval/llama", 0);
    const int32_t a[] = {1, 9, 8, 7, 6, 5, 4}, b[] = {1, 9, 8, 7, 6, 20, 21, 22};
    const tti_scored texts[] = {{a, 7, 5}, {b, 8, 5}, {a, 7, 5}};
    double loglik[3];
    cr_assert_eq(tti_scorer_run(j.scorer, texts, 3, loglik), TT_OK, "%s", tt_error());
    cr_expect_eq(tti_scorer_computed(j.scorer), 4 + 2 + 3); /* in common, a's, b's; a again: none */
    cr_expect_eq(loglik[0], loglik[2]);
    cr_assert_eq(tti_scorer_run(j.scorer, texts, 2, loglik), TT_OK, "%s", tt_error());
    cr_expect_eq(tti_scorer_computed(j.scorer), 9 + 2 + 3);
    const tti_scored bad[] = {{a, 7, 0}, {a, 7, 7}};
    for (size_t i = 0; i < 2; i++)
        cr_expect_eq(tti_scorer_run(j.scorer, &bad[i], 1, loglik), TT_E_ARG);
    const int32_t beyond[] = {1, 1 << 20};
    cr_expect_eq(tti_scorer_run(j.scorer, &(tti_scored){beyond, 2, 1}, 1, loglik), TT_E_DATA);
    close_judge(&j);
    te_close(&e);
}

Test(harness, refuses_broken_questions) {
    te_env e = te_open();
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "no questions"},
        {"{\"question\": 1}\n", "fit no known questions"},
        {"{\"context\": \"a\", \"choices\": [\"b\"], \"gold\": 1}", "choice 1 of 1"},
        {"{\"context\": \"a\", \"choices\": [], \"gold\": 0}", "no choices"},
        {"{\"context\": \"a\", \"choices\": [3], \"gold\": 0}", "expected texts"},
        {"{\"context\": \"a\", \"choices\": [\"b\"]}", "gold"},
        {"{\"question\": \"a\", \"choices\": [\"b\"], \"answer\": \"C\"}", "choice 2 of 1"},
        {"{\"question\": \"a\", \"choices\": {\"text\": [\"b\"], \"label\": [\"A\"]}, "
         "\"answerKey\": \"B\"}",
         "none of the labels"},
        {"{\"sentence\": \"a b\", \"option1\": \"c\", \"option2\": \"d\", \"answer\": \"1\"}",
         "has no _"},
        {"{\"endings\": [\"b\"], \"label\": \"\", \"ctx\": \"a\"}", "expected a number"},
        {"{\"question\": \"a\", \"mc2_targets\": {\"choices\": [\"b\"], \"labels\": [0]}}",
         "none is 1"},
        {"\n{\"context\": \n", ":2"},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        tti_questions q;
        te_write(&e, "bad.jsonl", cases[i].text);
        cr_expect_neq(tti_questions_read(&q, te_temp(&e, "bad.jsonl"), TTI_CHOICE_NONE, 0), TT_OK,
                      "%s", cases[i].text);
        cr_expect(strstr(tt_error(), cases[i].says), "%s: %s", cases[i].text, tt_error());
    }
    te_close(&e);
}
