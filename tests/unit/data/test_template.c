// SPDX-License-Identifier: Apache-2.0
/* test_template.c - conversations become the text that transformers makes of them, by the families'
 * texts, by the models' own templates, and by templates of users. */
#include "host/data/template.h"
#include "host/format/json.h"
#include "tests/unit/format/scratch.h"

static cJSON *reference;

static void begin(void) {
    scratch_begin();
    cr_assert_eq(tti_json_file(&reference, TT_TEST_DATA "/ref/chat_templates.json", 1 << 24), TT_OK,
                 "%s", tt_error());
}

static void end(void) {
    tti_json_free(reference);
    scratch_end();
}

TestSuite(template, .init = begin, .fini = end);

static const tti_marks marks = {"<s>", "</s>"};

enum { MOST = 16 };

static size_t messages_of(const cJSON *conversation, tti_message *m) {
    size_t n = 0;
    const cJSON *v;
    cJSON_ArrayForEach(v, conversation) {
        const char *role = tti_json_get(v, "role")->valuestring;
        cr_assert_lt(n, MOST);
        m[n] = (tti_message){.role = !strcmp(role, "system") ? TTI_ROLE_SYSTEM
                                     : !strcmp(role, "user") ? TTI_ROLE_USER
                                                             : TTI_ROLE_ASSISTANT,
                             .text = tti_json_get(v, "content")->valuestring};
        m[n].len = strlen(m[n].text);
        n++;
    }
    return n;
}

/* A model folder with this chat template. */
static const char *model_with(const char *source, bool as_list) {
    cJSON *config = cJSON_CreateObject(), *list = cJSON_CreateArray(), *one = cJSON_CreateObject();
    cr_assert_eq(tti_json_set_str(one, "name", "default"), TT_OK);
    cr_assert_eq(tti_json_set_str(one, "template", source), TT_OK);
    cJSON_AddItemToArray(list, one);
    if (as_list)
        cr_assert_eq(tti_json_set(config, "chat_template", list), TT_OK);
    else
        cr_assert_eq(tti_json_set_str(config, "chat_template", source), TT_OK);
    cr_assert_eq(tti_json_write(scratch("tokenizer_config.json"), config), TT_OK, "%s", tt_error());
    tti_json_free(config);
    if (!as_list) tti_json_free(list);
    return scratch("");
}

static bool is_family(const char *name) {
    const cJSON *v;
    cJSON_ArrayForEach(v, tti_json_get(reference, "families")) {
        if (!strcmp(v->valuestring, name)) return true;
    }
    return false;
}

/* All texts of the reference that are written by the template of this name. */
static size_t check_texts(const char *name, const tti_template *t) {
    const cJSON *conversations = tti_json_get(reference, "conversations"), *v;
    tti_rendered r = {0};
    size_t checked = 0;
    cJSON_ArrayForEach(v, tti_json_get(reference, "texts")) {
        if (strcmp(tti_json_get(v, "template")->valuestring, name)) continue;
        const int c = tti_json_get(v, "conversation")->valueint;
        const bool prompt = cJSON_IsTrue(tti_json_get(v, "prompt"));
        const cJSON *want = tti_json_get(v, "text");
        tti_message m[MOST];
        const size_t n = messages_of(cJSON_GetArrayItem(conversations, c), m);
        const bool family = strcmp(tti_template_name(t), "the model's own") != 0;
        checked++;
        if (family && m[0].role == TTI_ROLE_ASSISTANT) continue; /* readers refuse those */
        const tt_status s = tti_template_render(t, m, n, prompt, &r);
        if (!want) {
            cr_expect_eq(s, TT_E_DATA, "%s, conversation %d: not refused", name, c);
            continue;
        }
        cr_expect_eq(s, TT_OK, "%s, conversation %d: %s", name, c, tt_error());
        if (s != TT_OK) continue;
        cr_expect(!strcmp(r.text.p, want->valuestring), "%s, conversation %d:\n%s\nexpected\n%s",
                  name, c, r.text.p, want->valuestring);
    }
    tti_rendered_free(&r);
    return checked;
}

Test(template, families) {
    const cJSON *v;
    size_t families = 0;
    cJSON_ArrayForEach(v, tti_json_get(reference, "families")) {
        tti_template *t;
        cr_assert_eq(tti_template_open(&t, v->valuestring, NULL, marks), TT_OK, "%s", tt_error());
        cr_expect_str_eq(tti_template_name(t), v->valuestring);
        cr_expect(!tti_template_adds_special(t));
        cr_expect_geq(check_texts(v->valuestring, t), 14u);
        tti_template_free(t);
        families++;
    }
    cr_expect_eq(families, 6);
}

Test(template, of_models) {
    const cJSON *v;
    cJSON_ArrayForEach(v, tti_json_get(reference, "templates")) {
        for (int as_list = 0; as_list < 2; as_list++) {
            tti_template *t;
            cr_assert_eq(tti_template_open(&t, "model", model_with(v->valuestring, as_list), marks),
                         TT_OK, "%s: %s", v->string, tt_error());
            const char *want = is_family(v->string)              ? v->string
                               : !strcmp(v->string, "no-system") ? "gemma"
                                                                 : "the model's own";
            cr_expect_str_eq(tti_template_name(t), want, "%s: taken for %s", v->string,
                             tti_template_name(t));
            cr_expect_geq(check_texts(v->string, t), 14u);
            tti_template_free(t);
        }
    }
}

Test(template, file_comes_before_config) {
    tti_template *t;
    model_with("{{ nothing", false);
    scratch_text("chat_template.jinja", "{% for m in messages %}<{{ m.role }}>{{ m.content }}"
                                        "<|end|>\n{% endfor %}\n");
    cr_assert_eq(tti_template_open(&t, "model", scratch(""), marks), TT_OK, "%s", tt_error());
    cr_expect_str_eq(tti_template_end_mark(t), "<|end|>");
    tti_template_free(t);
}

/* The answers that a template marks, each in brackets, of a conversation with input, two answers
 * and a system message. */
static void bracket(const tti_template *t, bool system, const char *input, tti_str *out) {
    tti_message m[] = {{.role = TTI_ROLE_SYSTEM, .text = "S", .len = 1},
                       {.role = TTI_ROLE_USER, .text = " q1", .len = 3, .input = input},
                       {.role = TTI_ROLE_ASSISTANT, .text = "a1 ", .len = 3},
                       {.role = TTI_ROLE_USER, .text = "q2", .len = 2},
                       {.role = TTI_ROLE_ASSISTANT, .text = "a2", .len = 2}};
    tti_rendered r = {0};
    m[1].input_len = input ? strlen(input) : 0;
    cr_assert_eq(tti_template_render(t, system ? m : m + 1, system ? 5 : 4, false, &r), TT_OK, "%s",
                 tt_error());
    size_t at = 0;
    out->len = 0;
    for (size_t i = 0; i < r.answers; i++) {
        tti_str_add(out, r.text.p + at, r.answer[i].from - at);
        tti_str_putc(out, '[');
        at = r.answer[i].to;
        tti_str_add(out, r.text.p + r.answer[i].from, at - r.answer[i].from);
        tti_str_putc(out, ']');
    }
    tti_str_add(out, r.text.p + at, r.text.len - at);
    tti_rendered_free(&r);
}

#define REQUEST " Write a response that appropriately completes the request.\n\n"
#define ALONE "Below is an instruction that describes a task." REQUEST
#define WITH                                                                                     \
    "Below is an instruction that describes a task, paired with an input that provides further " \
    "context." REQUEST

Test(template, answers_and_own) {
    static const struct {
        const char *template, *input;
        bool system;
        const char *want, *end;
    } cases[] = {
        {"alpaca", NULL, false,
         ALONE "### Instruction:\n q1\n\n### Response:\n[a1 </s>]\n\n"
               "### Instruction:\nq2\n\n### Response:\n[a2</s>]",
         "</s>"},
        {"alpaca", "in", false,
         WITH "### Instruction:\n q1\n\n### Input:\nin\n\n### Response:\n[a1 </s>]\n\n"
              "### Instruction:\nq2\n\n### Response:\n[a2</s>]",
         "</s>"},
        {"alpaca", NULL, true,
         "S\n\n### Instruction:\n q1\n\n### Response:\n[a1 </s>]\n\n"
         "### Instruction:\nq2\n\n### Response:\n[a2</s>]",
         "</s>"},
        {"none", "in", true, "S q1\n\nin[a1 </s>]q2[a2</s>]", "</s>"},
        {"chatml", NULL, false,
         "<|im_start|>user\n q1<|im_end|>\n<|im_start|>assistant\n[a1 <|im_end|>]\n"
         "<|im_start|>user\nq2<|im_end|>\n<|im_start|>assistant\n[a2<|im_end|>]\n",
         "<|im_end|>"},
        {"llama2", NULL, false, "<s>[INST] q1 [/INST] [a1 </s>]<s>[INST] q2 [/INST] [a2 </s>]",
         "</s>"},
        {"gemma", "in ", true,
         "<s><start_of_turn>user\nS\n\nq1\n\nin<end_of_turn>\n<start_of_turn>model\n"
         "[a1<end_of_turn>]\n<start_of_turn>user\nq2<end_of_turn>\n<start_of_turn>model\n"
         "[a2<end_of_turn>]\n",
         "<end_of_turn>"},
        {"Q: {user}\\nA: {assistant}\n", NULL, false, "Q:  q1\nA: [a1 </s>]\nQ: q2\nA: [a2</s>]\n",
         "</s>"},
        {"{bos}# {system|trim}\n\nQ: {user|trim}\nA: {assistant|trim} END\n", NULL, true,
         "<s># S\n\nQ: q1\nA: [a1 END]\nQ: q2\nA: [a2 END]\n", "END"},
        {"{bos}# {system}\n\nQ: {user}\nA: {assistant} END\n", NULL, false,
         "<s>Q:  q1\nA: [a1  END]\nQ: q2\nA: [a2 END]\n", "END"},
        {"{{x}}{instruction}/{input}/{assistant}", "in", false,
         "{x} q1/in/[a1 </s>]{x}q2//[a2</s>]", "</s>"},
        {"{instruction}/{assistant}", "in", false, " q1\n\nin/[a1 </s>]q2/[a2</s>]", "</s>"},
    };
    tti_str got = {0};
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        tti_template *t;
        cr_assert_eq(tti_template_open(&t, cases[i].template, NULL, marks), TT_OK, "%s",
                     tt_error());
        bracket(t, cases[i].system, cases[i].input, &got);
        cr_expect_str_eq(got.p, cases[i].want, "case %zu:\n%s\nexpected\n%s", i, got.p,
                         cases[i].want);
        cr_expect_str_eq(tti_template_end_mark(t), cases[i].end);
        tti_template_free(t);
    }
    tti_str_free(&got);
}

/* The answers found in what a model's own template writes are those of the family. */
Test(template, answers_of_models) {
    const cJSON *v;
    tti_str got = {0}, want = {0};
    cJSON_ArrayForEach(v, tti_json_get(reference, "templates")) {
        if (!is_family(v->string)) continue;
        tti_template *own, *family;
        cr_assert_eq(tti_template_of_model(&own, model_with(v->valuestring, false), marks), TT_OK);
        cr_assert_eq(tti_template_open(&family, v->string, NULL, marks), TT_OK);
        bracket(own, false, NULL, &got);
        bracket(family, false, NULL, &want);
        cr_expect_str_eq(got.p, want.p, "%s", v->string);
        cr_expect_str_eq(tti_template_end_mark(own), tti_template_end_mark(family));
        tti_template_free(own);
        tti_template_free(family);
    }
    tti_str_free(&got);
    tti_str_free(&want);
}

Test(template, yaml) {
    const char *path = scratch_text(
        "own.yaml", "# a comment\nbegin: '{bos}'\nsystem: \"[{system}]\\n\"\ndefault_system: D\n"
                    "user: \"U:{user}\\n\"\nuser_input: \"U:{instruction} I:{input}\\n\"\n"
                    "prompt: 'A:'\nassistant: |\n  {assistant}<end>\nbetween: \"--\\n\"\n");
    tti_template *t;
    tti_str got = {0};
    tti_rendered r = {0};
    const tti_message m = {.role = TTI_ROLE_USER, .text = "q", .len = 1};
    cr_assert_eq(tti_template_open(&t, path, NULL, (tti_marks){"<s>", NULL}), TT_OK, "%s",
                 tt_error());
    bracket(t, true, "in", &got);
    cr_expect_str_eq(got.p, "<s>[S]\nU: q1 I:in\nA:[a1 <end>]\n--\nU:q2\nA:[a2<end>]\n");
    bracket(t, false, NULL, &got);
    cr_expect_str_eq(got.p, "<s>[D]\nU: q1\nA:[a1 <end>]\n--\nU:q2\nA:[a2<end>]\n");
    cr_assert_eq(tti_template_render(t, &m, 1, true, &r), TT_OK);
    cr_expect_str_eq(r.text.p, "<s>[D]\nU:q\nA:");
    cr_expect_str_eq(tti_template_name(t), "own");
    cr_expect(!tti_template_adds_special(t), "{bos} is in it");
    tti_str_free(&got);
    tti_rendered_free(&r);
    tti_template_free(t);
}

Test(template, refused_names_and_texts) {
    static const struct {
        const char *template;
        tt_status status;
        const char *says;
    } cases[] = {
        {"llama4", TT_E_ARG, "template \"llama4\" is not known; expected one of alpaca, llama2"},
        {"", TT_E_ARG, "is not known"},
        {"{asistant} {user}", TT_E_ARG, "is not known"},
        {"{usr} {assistant}", TT_E_FORMAT, "template: user: {usr} is no place; known are {bos}"},
        {"Q: {assistant}", TT_E_FORMAT, "user: neither {user} nor {instruction}"},
        {"{user} {assistant} {system}", TT_E_FORMAT, "{system} stands behind {assistant}"},
        {"{user} {system} {assistant}", TT_E_FORMAT, "{system} stands behind {user}"},
        {"{system} {system} {user} {assistant}", TT_E_FORMAT, "{system} is there twice"},
        {"{{assistant}} {user}", TT_E_FORMAT, "user: neither {user}"},
        {"model", TT_E_UNSUPPORTED, "there is no model folder"},
    };
    static const struct {
        const char *yaml, *says;
    } files[] = {
        {"", "expected a mapping of texts"},
        {"- a\n", "expected a mapping of texts"},
        {"user: '{user}'\nassistent: x\n", "own.yaml:2: assistent: no such key; expected begin"},
        {"user: '{user}'\nassistant: [a]\n", "own.yaml:2: expected \"key: text\""},
        {"user: '{user}'\nuser: '{user}'\n", "own.yaml:2: user: is there twice"},
        {"user: '{user}'\n", "assistant: {assistant} is missing"},
        {"assistant: '{assistant}'\n", "user: neither"},
        {"user: '{user}'\nassistant: '{assistant} {who}'\n", "assistant: {who} is no place"},
        {"user: 'x\n", "own.yaml:2: not valid YAML"},
        {"user: \"\\0{user}\"\nassistant: '{assistant}'\n", "user: a NUL character"},
    };
    tti_template *t;
    for (size_t i = 0; i < TT_COUNT(cases); i++)
        expect_error(tti_template_open(&t, cases[i].template, NULL, marks), cases[i].status,
                     cases[i].says);
    for (size_t i = 0; i < TT_COUNT(files); i++)
        expect_error(tti_template_open(&t, scratch_text("own.yaml", files[i].yaml), NULL, marks),
                     TT_E_FORMAT, files[i].says);
    expect_error(tti_template_open(&t, "alpaca", NULL, (tti_marks){NULL, NULL}), TT_E_ARG,
                 "the tokenizer names no eos_token");
    const tti_message m[] = {{.role = TTI_ROLE_SYSTEM, .text = "S", .len = 1},
                             {.role = TTI_ROLE_USER, .text = "q", .len = 1}};
    tti_rendered r = {0};
    cr_assert_eq(tti_template_open(&t, "Q:{user} A:{assistant}", NULL, marks), TT_OK);
    expect_error(tti_template_render(t, m, 2, true, &r), TT_E_DATA,
                 "has no place for a system message");
    tti_template_free(t);
    tti_rendered_free(&r);
}

static const struct {
    const char *source, *says;
} bad_templates[] = {
    {"{{ 'fixed' }}", "does not write every message"},
    {"{% for m in messages|reverse %}{{ m.content }}{% endfor %}", "does not write every"},
    {"{% for m in messages %}{{ m.content|upper }}{% endfor %}", "does not write every"},
    {"", "does not write every"},
    {"{% for m in messages %}{{ m.content }}", "endfor is missing at the end"},
    {"a\n{% include 'x' %}", "chat_template:2: the statement \"include\" is not known"},
    {"a\n\n{{ messages|frobnicate }}", "chat_template:3: the filter frobnicate is not known"},
    {"{{ frobnicate(1) }}", "the function frobnicate is not known"},
    {"{{ messages.frobnicate() }}", "the method frobnicate is not known"},
    {"{{ messages is frobnicated }}", "the test frobnicated is not known"},
    {"{{ raise_exception('no\nway') }}", "the chat template refuses: no way; this chat"},
    {"{{ 1 + 'a' }}", "the sum of these two values"},
    {"{{ x.y }}", "y of something undefined"},
    {"{{ 'abc }}", "a string is never closed"},
    {"{{ a", "a tag is never closed"},
    {"{# a", "a comment is never closed"},
    {"{{ a ; }}", "unexpected character ';'"},
    {"{{ a b }}", "expected the end of the tag"},
    {"{% if %}{% endif %}", "expected an expression"},
    {"{% set x.y = 1 %}", "x is no namespace"},
    {"{{ 1 // 0 }}", "a division by 0"},
    {"{{ range(9999999999) }}", "range: expected whole numbers"},
    {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "never comes to an end"},
    {"{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}"
     "{% endfor %}",
     "choose one by name"},
    {"{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
     "choose one by name"},
};

Test(template, refused_of_models) {
    tti_template *t;
    for (size_t i = 0; i < TT_COUNT(bad_templates); i++) {
        expect_error(tti_template_of_model(&t, model_with(bad_templates[i].source, false), marks),
                     TT_E_UNSUPPORTED, bad_templates[i].says);
        cr_expect(strstr(tt_error(), "by name: alpaca, llama2"), "%s", tt_error());
        cr_expect(!strchr(tt_error(), '\n'), "%s", tt_error());
    }
    tti_str deep = {0};
    for (const char *open = "([{-"; *open; open++) {
        deep.len = 0;
        tti_str_puts(&deep, "{{ ");
        for (int i = 0; i < 100000; i++) tti_str_putc(&deep, *open);
        expect_error(tti_template_of_model(&t, model_with(deep.p, false), marks), TT_E_UNSUPPORTED,
                     "choose one by name");
    }
    tti_str_free(&deep);
    scratch_text("tokenizer_config.json", "{\"bos_token\": \"<s>\"}");
    expect_error(tti_template_of_model(&t, scratch(""), marks), TT_E_UNSUPPORTED,
                 "has no chat_template; choose a template by name: alpaca");
    scratch_text("tokenizer_config.json", "{\"chat_template\": 3}");
    expect_error(tti_template_of_model(&t, scratch(""), marks), TT_E_FORMAT,
                 "chat_template: expected a string, found 3");
    scratch_text("tokenizer_config.json",
                 "{\"chat_template\": [{\"name\": \"rag\", \"template\": \"x\"}]}");
    expect_error(tti_template_of_model(&t, scratch(""), marks), TT_E_UNSUPPORTED,
                 "none of the list is called default");
    expect_error(tti_template_of_model(&t, scratch("nowhere"), marks), TT_E_UNSUPPORTED,
                 "neither chat_template.jinja nor tokenizer_config.json");
}

static tt_status run_own(void) {
    tti_template *t;
    TT_TRY(tti_template_open(&t, "{bos}{system} {user} {assistant}", NULL, marks));
    tti_template_free(t);
    return TT_OK;
}

static tt_status run_model(void) {
    tti_template *t;
    TT_TRY(tti_template_of_model(&t, scratch_folder, marks));
    tti_template_free(t);
    return TT_OK;
}

Test(template, allocation_failure) {
    expect_nomem_until_ok(run_own);
    model_with(tti_json_get(tti_json_get(reference, "templates"), "mistral")->valuestring, false);
    expect_nomem_until_ok(run_model);
}
