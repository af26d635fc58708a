// SPDX-License-Identifier: Apache-2.0
/* test_hf_config.c - config.json read, refused where it contradicts itself, and written changed. */
#include "host/format/hf_config.h"
#include "tests/unit/format/scratch.h"

TestSuite(hf_config, .init = scratch_begin, .fini = scratch_end);

Test(hf_config, read) {
    tti_hf_config *c;
    scratch_text("config.json",
                 "{\"architectures\": [\"BertModel\"], \"model_type\": \"bert\","
                 "\"hidden_size\": 32, \"id2label\": {\"1\": \"yes\", \"0\": \"no\", \"2\": 7},"
                 "\"label2id\": {\"no\": 0, \"yes\": 1, \"7\": 2}, \"problem_type\": null}");
    for (int folder = 0; folder < 2; folder++) {
        cr_assert_eq(tti_hf_config_read(&c, folder ? scratch("") : scratch("config.json")), TT_OK,
                     "%s", tt_error());
        cr_expect_str_eq(c->model_type, "bert");
        cr_expect_str_eq(c->architecture, "BertModel");
        cr_expect_null(c->problem_type);
        cr_assert(c->num_labels == 3 && c->has_labels);
        cr_expect_str_eq(c->id2label[0], "no");
        cr_expect_str_eq(c->id2label[1], "yes");
        cr_expect_str_eq(c->id2label[2], "7");
        cr_expect(tti_json_get(c->json, "hidden_size")->valueint == 32);
        tti_hf_config_free(c);
    }
    scratch_text("config.json", "{\"model_type\": \"bert\", \"num_labels\": 3}");
    cr_assert_eq(tti_hf_config_read(&c, scratch("")), TT_OK);
    cr_expect(c->num_labels == 3 && !c->has_labels && !strcmp(c->id2label[2], "LABEL_2"));
    tti_hf_config_free(c);
    scratch_text("config.json", "{\"model_type\": \"bert\"}");
    cr_assert_eq(tti_hf_config_read(&c, scratch("")), TT_OK);
    cr_expect(c->num_labels == 2 && !c->has_labels && !c->architecture);
    tti_hf_config_free(c);
}

Test(hf_config, refused) {
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{}", "config.json: model_type: missing"},
        {"{\"model_type\": 1}", "model_type: expected a string, found 1"},
        {"{\"model_type\": \"b\", \"architectures\": \"x\"}", "architectures: expected an array"},
        {"{\"model_type\": \"b\", \"architectures\": [1]}", "architectures: expected strings"},
        {"{\"model_type\": \"b\", \"problem_type\": []}", "problem_type: expected a string"},
        {"{\"model_type\": \"b\", \"num_labels\": 0}",
         "num_labels: expected a whole number from 1"},
        {"{\"model_type\": \"b\", \"id2label\": {}}", "id2label: 0 labels"},
        {"{\"model_type\": \"b\", \"id2label\": {\"1\": \"x\"}}", "id2label: \"1\": ids must be 0"},
        {"{\"model_type\": \"b\", \"id2label\": {\"00\": \"x\"}}", "\"00\": ids must be 0"},
        {"{\"model_type\": \"b\", \"id2label\": {\"0\": \"x\", \"0\": \"y\"}}", "\"0\": twice"},
        {"{\"model_type\": \"b\", \"id2label\": {\"0\": []}}", "\"0\": expected a string"},
        {"{\"model_type\": \"b\", \"id2label\": {\"0\": \"x\"}, \"num_labels\": 2}",
         "num_labels is 2, but id2label has 1"},
        {"{\"model_type\"", "config.json:1:"},
    };
    tti_hf_config *c;
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        scratch_text("config.json", cases[i].text);
        expect_error(tti_hf_config_read(&c, scratch("")), TT_E_FORMAT, cases[i].says);
        cr_expect_null(c);
    }
    expect_error(tti_hf_config_read(&c, scratch("nowhere")), TT_E_IO, "nowhere: cannot open");
}

static const char original[] = "{\"architectures\": [\"BertModel\"], \"model_type\": \"bert\", "
                               "\"num_labels\": 2, \"layer_norm_eps\": 1e-12, "
                               "\"torch_dtype\": \"float16\", \"gone\": 1}";

static tt_status rewrite(void) {
    static const char *const labels[] = {"bad", "good \"x\"", "\xC3\xA4"};
    cJSON *json = NULL, *extra = NULL;
    tt_status s;
    tti_hf_config_edit edit = {.architecture = "BertForSequenceClassification",
                               .problem_type = "single_label_classification",
                               .dtype = "float32",
                               .num_labels = 3,
                               .labels = labels};
    TT_GO(tti_json_file(&json, scratch("old.json"), TTI_JSON_MAX));
    TT_GO(tti_json_parse(&extra, "{\"gone\":null,\"pool\":\"mean\"}", 27, "extra"));
    edit.extra = extra;
    TT_GO(tti_hf_config_write(json, &edit, scratch("new.json")));
done:
    tti_json_free(json);
    tti_json_free(extra);
    return s;
}

Test(hf_config, written) {
    static const char want[] =
        "{\n  \"architectures\": [\n    \"BertForSequenceClassification\"\n  ],\n"
        "  \"model_type\": \"bert\",\n  \"layer_norm_eps\": 1e-12,\n"
        "  \"torch_dtype\": \"float32\",\n"
        "  \"id2label\": {\n    \"0\": \"bad\",\n    \"1\": \"good \\\"x\\\"\",\n"
        "    \"2\": \"\xC3\xA4\"\n  },\n"
        "  \"label2id\": {\n    \"bad\": 0,\n    \"good \\\"x\\\"\": 1,\n    \"\xC3\xA4\": 2\n"
        "  },\n  \"problem_type\": \"single_label_classification\",\n  \"pool\": \"mean\"\n}\n";
    scratch_text("old.json", original);
    for (int i = 0; i < 2; i++) {
        char *got;
        cr_assert_eq(rewrite(), TT_OK, "%s", tt_error());
        cr_assert_eq(tti_file_read(&got, NULL, scratch("new.json"), 1 << 20), TT_OK);
        cr_expect_str_eq(got, want);
        tti_free(got);
    }
    tti_hf_config *c;
    cr_assert_eq(tti_hf_config_read(&c, scratch("new.json")), TT_OK);
    cr_expect(c->num_labels == 3 && !strcmp(c->id2label[1], "good \"x\""));
    const char *twice[] = {"a", "a"};
    tti_hf_config_edit edit = {.num_labels = 2, .labels = twice};
    expect_error(tti_hf_config_write(c->json, &edit, scratch("x.json")), TT_E_ARG, "\"a\": twice");
    cr_expect(!tti_file_exists(scratch("x.json")));
    tti_hf_config_free(c);
}

static tt_status read_again(void) {
    tti_hf_config *c;
    TT_TRY(rewrite());
    TT_TRY(tti_hf_config_read(&c, scratch("new.json")));
    tti_hf_config_free(c);
    return TT_OK;
}

Test(hf_config, allocation_failure) {
    scratch_text("old.json", original);
    expect_nomem_until_ok(read_again);
}
