// SPDX-License-Identifier: Apache-2.0
/* test_peft.c - adapter_config.json, and the modules it means. The expected matches and ranks were
 * taken from peft 0.21.2 (check_target_module_exists, get_pattern_key). */
#include <math.h>
#include "host/format/peft.h"
#include "tests/unit/format/scratch.h"

TestSuite(peft, .init = scratch_begin, .fini = scratch_end);

static const char *const modules[] = {
    "bert.encoder.layer.0.attention.self.query",
    "bert.encoder.layer.1.attention.self.query",
    "bert.encoder.layer.10.attention.self.query",
    "bert.encoder.layer.1.attention.self.value",
    "bert.encoder.layer.1.attention.output.dense",
    "bert.encoder.layer.1.output.dense",
    "bert.pooler.dense",
    "classifier",
};

Test(peft, matches) {
    static const struct {
        const char *config; /* besides peft_type */
        const char *want;   /* 1 for each of modules that is adapted */
    } cases[] = {
        {"\"target_modules\": [\"query\", \"value\"]", "11110000"},
        {"\"target_modules\": [\"dense\"]", "00001110"},
        {"\"target_modules\": [\"output.dense\"]", "00001100"},
        {"\"target_modules\": [\"ense\"]", "00000000"},
        {"\"target_modules\": [\"classifier\"]", "00000001"},
        {"\"target_modules\": [\"classifier\"], \"modules_to_save\": [\"classifier\"]", "00000000"},
        {"\"target_modules\": [\"dense\"], \"modules_to_save\": [\"pooler\"]", "00001100"},
        {"\"target_modules\": \".*layer\\\\.1\\\\..*(query|value)\"", "01010000"},
        {"\"target_modules\": \"query\"", "00000000"},
        {"\"target_modules\": \"all-linear\"", "11111110"},
        {"\"target_modules\": \"All-Linear\", \"exclude_modules\": [\"dense\"]", "11110000"},
        {"\"target_modules\": [\"query\"], \"exclude_modules\": \".*layer\\\\.1.*\"", "10000000"},
        {"\"target_modules\": [\"query\"], \"layers_to_transform\": 1", "01000000"},
        {"\"target_modules\": [\"query\", \"dense\"], \"layers_to_transform\": [0, 10]",
         "10100000"},
        {"\"target_modules\": [\"query\"], \"layers_to_transform\": [1], "
         "\"layers_pattern\": \"layer\"",
         "01000000"},
        {"\"target_modules\": [\"query\"], \"layers_to_transform\": [1], "
         "\"layers_pattern\": [\"h\", \"blocks\"]",
         "00000000"},
        {"\"target_modules\": [\"query\"], \"layers_to_transform\": []", "11100000"},
        {"\"target_modules\": []", "00000000"},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        char text[300];
        tti_peft_config *c;
        snprintf(text, sizeof text, "{\"peft_type\": \"LORA\", %s}", cases[i].config);
        cr_assert_eq(tti_peft_read(&c, scratch_text("adapter_config.json", text)), TT_OK, "%s",
                     tt_error());
        for (size_t m = 0; m < TT_COUNT(modules); m++) {
            bool hit;
            const bool head = !strcmp(modules[m], "classifier");
            cr_assert_eq(tti_peft_matches(c, modules[m], head, &hit), TT_OK, "%s", tt_error());
            cr_expect_eq(hit, cases[i].want[m] == '1', "%s: %s", cases[i].config, modules[m]);
        }
        tti_peft_free(c);
    }
}

Test(peft, saved_whole) {
    static const struct {
        const char *module;
        bool want;
    } cases[] = {
        {"classifier", true},         {"model.classifier.dense", true},
        {"pre_classifier", true},     {"classifier2", false},
        {"classifiers.dense", false}, {"bert.pooler.dense", true},
        {"bert.pool.dense", false},   {"bert", false},
    };
    tti_peft_config *c;
    cr_assert_eq(tti_peft_new(&c), TT_OK);
    cr_assert_eq(tti_peft_add_saved(c, "classifier"), TT_OK);
    cr_assert_eq(tti_peft_add_saved(c, "bert.pooler"), TT_OK);
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        bool saved;
        cr_assert_eq(tti_peft_saves(c, cases[i].module, &saved), TT_OK);
        cr_expect_eq(saved, cases[i].want, "%s", cases[i].module);
    }
    tti_peft_free(c);
}

Test(peft, ranks) {
    static const char text[] =
        "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 6, \"target_modules\": [\"query\"], "
        "\"rank_pattern\": {\"layer.1.attention.self.query\": 16, \"query\": 2, \"dense\": 1}, "
        "\"alpha_pattern\": {\".*10.*query\": 32}%s}";
    static const struct {
        const char *module;
        int r;
        double alpha;
    } cases[] = {
        {"bert.encoder.layer.1.attention.self.query", 16, 6},
        {"bert.encoder.layer.11.attention.self.query", 2, 6},
        {"bert.encoder.layer.10.attention.self.query", 2, 32},
        {"bert.encoder.layer.1.attention.self.value", 4, 6},
        {"notdense", 4, 6},
    };
    for (int rs = 0; rs < 2; rs++) {
        char all[500];
        tti_peft_config *c;
        snprintf(all, sizeof all, text, rs ? ", \"use_rslora\": true" : "");
        cr_assert_eq(tti_peft_read(&c, scratch_text("a.json", all)), TT_OK, "%s", tt_error());
        for (size_t i = 0; i < TT_COUNT(cases); i++) {
            int r;
            double scale, want = cases[i].alpha / (rs ? sqrt(cases[i].r) : cases[i].r);
            cr_assert_eq(tti_peft_rank(c, cases[i].module, &r, &scale), TT_OK);
            cr_expect(r == cases[i].r && fabs(scale - want) < 1e-15, "%s: r %d scale %g",
                      cases[i].module, r, scale);
        }
        tti_peft_free(c);
    }
}

Test(peft, refused) {
#define OK "\"peft_type\": \"LORA\", \"target_modules\": [\"q\"]"
    static const struct {
        const char *text;
        tt_status status;
        const char *says;
    } cases[] = {
        {"{}", TT_E_FORMAT, "adapter_config.json: peft_type: missing"},
        {"{\"peft_type\": \"IA3\"}", TT_E_UNSUPPORTED, "peft_type is \"IA3\""},
        {"{\"peft_type\": \"LORA\"}", TT_E_FORMAT, "target_modules: missing"},
        {"{\"peft_type\": \"LORA\", \"target_modules\": 3}", TT_E_FORMAT,
         "target_modules: expected"},
        {"{\"peft_type\": \"LORA\", \"target_modules\": [3]}", TT_E_FORMAT, "found 3"},
        {"{" OK ", \"use_dora\": true}", TT_E_UNSUPPORTED, "use_dora is set"},
        {"{" OK ", \"layer_replication\": [[0, 4], [2, 5]]}", TT_E_UNSUPPORTED,
         "layer_replication"},
        {"{" OK ", \"bias\": \"all\"}", TT_E_UNSUPPORTED, "bias is \"all\""},
        {"{" OK ", \"lora_bias\": true}", TT_E_UNSUPPORTED, "lora_bias is set"},
        {"{" OK ", \"target_parameters\": [\"x\"]}", TT_E_UNSUPPORTED, "target_parameters is set"},
        {"{" OK ", \"trainable_token_indices\": [1]}", TT_E_UNSUPPORTED, "trainable_token_indices"},
        {"{" OK ", \"of_the_future\": 3}", TT_E_UNSUPPORTED, "of_the_future is set"},
        {"{" OK ", \"init_lora_weights\": \"pissa\"}", TT_E_UNSUPPORTED, "is \"pissa\", which"},
        {"{" OK ", \"r\": 0}", TT_E_FORMAT, "r: expected a whole number from 1"},
        {"{" OK ", \"r\": 1.5}", TT_E_FORMAT, "r: expected a whole number, found 1.5"},
        {"{" OK ", \"lora_alpha\": \"8\"}", TT_E_FORMAT, "lora_alpha: expected a finite number"},
        {"{" OK ", \"lora_dropout\": 1}", TT_E_FORMAT, "lora_dropout: expected a number from 0"},
        {"{" OK ", \"layers_to_transform\": [-1]}", TT_E_FORMAT,
         "expected layer numbers, found -1"},
        {"{" OK ", \"rank_pattern\": {\"q\": 0.5}}", TT_E_FORMAT, "q: expected a rank, found 0.5"},
        {"{" OK ", \"alpha_pattern\": {\"q\": \"1\"}}", TT_E_FORMAT, "q: expected a number, found"},
        {"{" OK ", \"modules_to_save\": {}}", TT_E_FORMAT, "modules_to_save: expected a list"},
    };
    tti_peft_config *c;
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        scratch_text("adapter_config.json", cases[i].text);
        expect_error(tti_peft_read(&c, scratch("")), cases[i].status, cases[i].says);
        cr_expect_null(c);
    }
    bool hit;
    scratch_text("adapter_config.json", "{\"peft_type\": \"LORA\", \"target_modules\": \"(x\"}");
    cr_assert_eq(tti_peft_read(&c, scratch("")), TT_OK);
    expect_error(tti_peft_matches(c, "x", false, &hit), TT_E_FORMAT, "the expression \"(x\"");
    tti_peft_free(c);
    scratch_text("adapter_config.json",
                 "{\"peft_type\": \"LORA\", \"target_modules\": \"(x+x+)+[yz]\"}");
    cr_assert_eq(tti_peft_read(&c, scratch("")), TT_OK);
    expect_error(
        tti_peft_matches(c, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", false, &hit),
        TT_E_FORMAT, "cannot be matched");
    tti_peft_free(c);
}

static tt_status write_and_read(void) {
    static const char *const names[] = {"query", "value"};
    tti_peft_config *c = NULL, *d = NULL;
    tt_status s;
    TT_GO(tti_peft_new(&c));
    c->r = 4;
    c->alpha = 8;
    c->dropout = 0.1;
    TT_GO(tti_peft_set_targets(c, names, 2));
    TT_GO(tti_peft_add_saved(c, "classifier"));
    TT_GO(tti_peft_write(c, scratch("adapter_config.json")));
    TT_GO(tti_peft_read(&d, scratch("")));
    cr_expect(d->r == 4 && d->alpha == 8 && d->dropout == 0.1 && d->targets.n == 2);
    cr_expect(d->modules_to_save.n == 1 && !strcmp(d->modules_to_save.v[0], "classifier"));
    cr_expect(!d->all_linear && !d->target_regex && !d->rank_pattern && !d->nlayers);
    TT_GO(tti_peft_set_targets(c, (const char *[]){"all-linear"}, 1));
    TT_GO(tti_peft_write(c, scratch("adapter_config.json")));
    tti_peft_free(d);
    TT_GO(tti_peft_read(&d, scratch("")));
    cr_expect(d->all_linear && !d->targets.n);
done:
    tti_peft_free(c);
    tti_peft_free(d);
    return s;
}

Test(peft, written) {
    static const char want[] = "{\n  \"alpha_pattern\": {},\n  \"auto_mapping\": null,\n"
                               "  \"base_model_name_or_path\": null,\n  \"bias\": \"none\",\n";
    char *got;
    cr_assert_eq(write_and_read(), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_file_read(&got, NULL, scratch("adapter_config.json"), 1 << 20), TT_OK);
    cr_expect(!strncmp(got, want, sizeof want - 1), "%s", got);
    cr_expect(strstr(got, "\"lora_alpha\": 8,\n  \"lora_dropout\": 0.1,"), "%s", got);
    tti_free(got);
}

Test(peft, allocation_failure) { expect_nomem_until_ok(write_and_read); }
