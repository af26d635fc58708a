// SPDX-License-Identifier: Apache-2.0
/* test_quantised_config.c - quantization_config as transformers writes it. */
#include <criterion/criterion.h>
#include "host/format/hf_config.h"
#include "host/format/quantised.h"
#include "tests/unit/format/scratch.h"

#define FIXTURES TT_TEST_DATA "/unit/format/fixtures/"

TestSuite(quantised_config, .init = scratch_begin, .fini = scratch_end);

/* What is written for NF4 is what transformers wrote, key by key in the same order. */
Test(quantised_config, written_as_transformers_writes_it) {
    tti_hf_config *c;
    tti_quant_config q;
    cr_assert_eq(tti_hf_config_read(&c, FIXTURES "nested"), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_quantised_config(c->json, c->path, &q), TT_OK, "%s", tt_error());
    cr_expect(q.type == TTI_NF4 && q.nested);
    cr_expect_str_eq(q.dtype, "float32");
    cJSON *ours = cJSON_CreateObject();
    tti_str got = {0}, want = {0};
    cr_assert_eq(tti_quantised_set_config(ours, &q), TT_OK, "%s", tt_error());
    tti_json_print(&got, tti_json_get(ours, "quantization_config"));
    tti_json_print(&want, tti_json_get(c->json, "quantization_config"));
    cr_expect_str_eq(got.p, want.p);
    static const char *const names[] = {"lm_head", "score"};
    q.skipped = names;
    q.nskipped = 2;
    cr_assert_eq(tti_quantised_set_config(ours, &q), TT_OK, "%s", tt_error());
    tti_str_free(&got);
    tti_json_print(&got, ours);
    cr_expect(strstr(got.p, "\"llm_int8_skip_modules\": ["), "%s", got.p);
    cr_expect(strstr(got.p, "\"score\""), "%s", got.p);
    cr_expect_eq(tti_quantised_config(ours, "ours", &q), TT_OK, "%s", tt_error());
    cr_expect(q.type == TTI_NF4 && q.nested);
    q = (tti_quant_config){.type = TTI_Q8};
    cr_expect_eq(tti_quantised_set_config(ours, &q), TT_OK, "%s", tt_error());
    cr_expect_eq(tti_quantised_config(ours, "ours", &q), TT_OK, "%s", tt_error());
    cr_expect(q.type == TTI_Q8 && !q.nested);
    q = (tti_quant_config){.type = TTI_F32};
    cr_expect_eq(tti_quantised_set_config(ours, &q), TT_OK, "%s", tt_error());
    cr_expect(!tti_json_get(ours, "quantization_config"));
    cr_expect_eq(tti_quantised_config(ours, "ours", &q), TT_OK, "%s", tt_error());
    cr_expect_eq(q.type, TTI_F32);
    q = (tti_quant_config){.type = TTI_F16};
    expect_error(tti_quantised_set_config(ours, &q), TT_E_ARG, "f16 is not");
    tti_str_free(&got);
    tti_str_free(&want);
    tti_json_free(ours);
    tti_hf_config_free(c);
}

Test(quantised_config, what_is_not_read_is_named) {
    static const struct {
        const char *text, *says;
        tt_status status;
    } cases[] = {
        {"{\"quant_method\": \"gptq\", \"bits\": 4}", "quant_method \"gptq\" is not read",
         TT_E_UNSUPPORTED},
        {"{\"quant_method\": \"awq\"}", "\"awq\"", TT_E_UNSUPPORTED},
        {"{\"quant_method\": \"bitsandbytes\", \"load_in_8bit\": true}", "LLM.int8",
         TT_E_UNSUPPORTED},
        {"{\"load_in_4bit\": true, \"bnb_4bit_quant_type\": \"af4\"}", "\"af4\"; expected nf4",
         TT_E_UNSUPPORTED},
        {"{\"quant_method\": \"bitsandbytes\"}", "neither load_in_4bit", TT_E_FORMAT},
        {"{\"quant_method\": 3}", "quant_method", TT_E_FORMAT},
        {"{\"load_in_4bit\": 1}", "load_in_4bit", TT_E_FORMAT},
        {"[]", "quantization_config: expected an object", TT_E_FORMAT},
        {"{\"quant_method\": \"tokentune\", \"quant_type\": \"q3\"}", "\"q3\" is not known",
         TT_E_UNSUPPORTED},
        {"{\"load_in_4bit\": true}", "", TT_OK},
        {"null", "", TT_OK},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        char text[300];
        cJSON *json;
        tti_quant_config q;
        const int n = snprintf(text, sizeof text, "{\"quantization_config\": %s}", cases[i].text);
        cr_assert_eq(tti_json_parse(&json, text, (size_t)n, "config.json"), TT_OK, "%s",
                     tt_error());
        expect_error(tti_quantised_config(json, "config.json", &q), cases[i].status, cases[i].says);
        tti_json_free(json);
    }
}

static tt_status set_all(void) {
    static const char *const names[] = {"lm_head"};
    const tti_quant_config q = {.type = TTI_NF4, .skipped = names, .nskipped = 1};
    cJSON *json;
    TT_TRY(tti_json_parse(&json, "{}", 2, "text"));
    const tt_status s = tti_quantised_set_config(json, &q);
    tti_json_free(json);
    return s;
}

Test(quantised_config, lack_of_memory_is_reported) { expect_nomem_until_ok(set_all); }
