// SPDX-License-Identifier: Apache-2.0
/* Cosines of gradients: the arithmetic, and measurements whose results are known. */
#include <math.h>
#include "host/eval/fidelity.h"
#include "host/eval/fidelity_setup.h"
#include "host/eval/gradients.h"
#include "tests/unit/eval/support.h"

Test(fidelity, cosine) {
    const tti_products p[] = {{12, 9, 16}, {0, 0, 5}, {-2, 4, 1}};
    cr_expect_float_eq(tti_cosine(&p[0]), 1.0, 1e-15);
    cr_expect_eq(tti_cosine(&p[1]), 0.0);
    cr_expect_float_eq(tti_cosine(&p[2]), -1.0, 1e-15);
}

static const char labelled[] = "text\tlabel\n"
                               "the river is quick and green\tgood\n"
                               "a lamp\tbad\n"
                               "stones under the old house walk slowly to the sea\tgood\n"
                               "nobody liked the film at all , it was far too long\tbad\n";
static const char instructions[] =
    "{\"instruction\": \"Say it twice: river\", \"output\": \"river river\"}\n"
    "{\"instruction\": \"Which is green?\", \"input\": \"lamp, grass\", \"output\": \"grass\"}\n"
    "{\"instruction\": \"Count to four\", \"output\": \"one two three four\"}\n";

typedef struct {
    const char *model, *file;
    bool lora;
    tti_select_policy policy;
} a_case;

static void measure(te_env *e, const a_case *c) {
    const char *data = te_temp(e, c->file);
    char model[256];
    snprintf(model, sizeof model, "%s/%s", TT_TEST_DATA, c->model);
    const tti_fidelity_source from = {
        .model = model, .data = &data, .ndata = 1, .lora = c->lora, .seed = 3};
    const tti_fidelity_choice choice[] = {{c->policy, 0.2}, {c->policy, 1}, {c->policy, 0.7}};
    const tti_fidelity_opts o = {2, 2, 5, 1.0, choice, 3};
    tti_fidelity_setup s;
    tti_fidelity_result r;
    cr_assert_eq(tti_fidelity_setup_open(&s, e->dev, &from), TT_OK, "%s: %s", model, tt_error());
    const tti_param *p = tti_model_param(s.model, 0);
    float before[8], after[8];
    cr_assert_eq(tti_mem_read(e->dev, p->p, 0, before, sizeof before), TT_OK);
    cr_assert_eq(tti_fidelity(&r, e->dev, e->gemm, s.model, &s.samples, &o), TT_OK, "%s: %s", model,
                 tt_error());
    cr_assert_eq(tti_mem_read(e->dev, p->p, 0, after, sizeof after), TT_OK);
    cr_expect_arr_eq(before, after, sizeof before, "%s: the weights moved", model);
    cr_assert_eq(r.rows, 4);
    cr_expect_float_eq(r.row[0].cosine, 1, 1e-12);
    cr_expect_float_eq(r.row[2].cosine, 1, 1e-5, "%s: all tokens: %.9f", model, r.row[2].cosine);
    cr_expect_float_eq(r.row[2].norm, 1, 1e-5);
    cr_expect_eq(r.row[2].tokens, 1);
    cr_expect(r.row[1].cosine < 0.9999 && r.row[1].cosine >= r.row[1].least, "%s: %.6f", model,
              r.row[1].cosine);
    cr_expect(r.row[1].tokens < r.row[3].tokens && r.row[3].tokens < 1);
    cr_expect(r.row[1].kept < r.row[3].kept && r.row[3].kept < r.row[0].kept);
    for (size_t i = 0; i < r.rows; i++) cr_expect(r.row[i].seconds > 0);
    cr_expect_str_eq(r.group[0], "embeddings");
    cr_expect_str_eq(r.group[r.groups - 1], "head");
    tti_fidelity_free(&r);
    tti_fidelity_setup_free(&s);
}

Test(fidelity, all_tokens_give_the_full_gradient) {
    te_env e = te_open();
    static const a_case cases[] = {
        {"../samples/encoder", "labelled.tsv", false, TTI_SELECT_RANDOM},
        {"eval/llama", "instructions.jsonl", false, TTI_SELECT_LOSS},
        {"eval/gpt2", "instructions.jsonl", false, TTI_SELECT_STRATIFIED},
    };
    te_write(&e, "labelled.tsv", labelled);
    te_write(&e, "instructions.jsonl", instructions);
    for (size_t i = 0; i < TT_COUNT(cases); i++) measure(&e, &cases[i]);
    te_close(&e);
}
