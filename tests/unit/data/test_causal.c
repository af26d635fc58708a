// SPDX-License-Identifier: Apache-2.0
/* test_causal.c - tokens and labels are those of transformers, cuts are counted, windows of texts
 * supervise every token once. */
#include "host/data/causal.h"
#include "host/format/json.h"
#include "tests/unit/format/scratch.h"

TestSuite(causal, .init = scratch_begin, .fini = scratch_end);

/* A trained tokenizer of tests/ref with names for its marks, and perhaps a chat template. */
static const char *tokenizer_folder(const char *style, const char *bos, const char *eos,
                                    const char *chat_template) {
    char path[512];
    char *text;
    size_t n;
    snprintf(path, sizeof path, "%s/ref/tokenizer_cases/%s/tokenizer.json", TT_TEST_DATA, style);
    cr_assert_eq(tti_file_read(&text, &n, path, 1 << 24), TT_OK, "%s", tt_error());
    scratch_text("tokenizer.json", text);
    tti_free(text);
    cJSON *config = cJSON_CreateObject();
    if (bos) cr_assert_eq(tti_json_set_str(config, "bos_token", bos), TT_OK);
    if (eos) cr_assert_eq(tti_json_set_str(config, "eos_token", eos), TT_OK);
    if (chat_template)
        cr_assert_eq(tti_json_set_str(config, "chat_template", chat_template), TT_OK);
    cr_assert_eq(tti_json_write(scratch("tokenizer_config.json"), config), TT_OK);
    tti_json_free(config);
    return scratch("");
}

static tti_tokenizer *tokenizer(const char *style, const char *bos, const char *eos) {
    tti_tokenizer *t;
    cr_assert_eq(tti_tokenizer_load(&t, tokenizer_folder(style, bos, eos, NULL)), TT_OK, "%s",
                 tt_error());
    return t;
}

static const char *text_of(const cJSON *object, const char *key) {
    const cJSON *v = tti_json_get(object, key);
    return v ? v->valuestring : NULL;
}

/* One conversation as a JSONL file. */
static const char *conversation_file(const cJSON *conversation) {
    tti_str s = {0};
    cJSON *o = cJSON_CreateObject();
    cJSON_AddItemToObject(o, "messages", cJSON_Duplicate(conversation, true));
    char *line = cJSON_PrintUnformatted(o);
    tti_str_puts(&s, line);
    cJSON_free(line);
    cJSON_Delete(o);
    const char *path = scratch_text("chat.jsonl", s.p);
    tti_str_free(&s);
    return path;
}

static void check_tokens(const cJSON *want, const tti_causal_sample *s, bool all,
                         const char *what) {
    const cJSON *ids = tti_json_get(want, "ids");
    const char *answer = text_of(want, "answer");
    const size_t n = strlen(answer);
    size_t first = 0, learned = 0, wrong = 0;
    cr_expect_eq(s->n, n, "%s: %zu tokens, expected %zu", what, s->n, n);
    if (s->n != n) return;
    while (answer[first] == '0') first++;
    cr_expect_eq(s->prompt, first, "%s: prompt of %zu, expected %zu", what, s->prompt, first);
    const cJSON *v = ids->child;
    for (size_t t = 0; t < n; t++, v = v->next) {
        const bool counts = t + 1 < n && (all || answer[t + 1] == '1');
        wrong += s->ids[t] != v->valueint;
        wrong += s->labels[t] != (counts ? v->next->valueint : TTI_NO_LABEL);
        learned += counts;
    }
    cr_expect_eq(wrong, 0u, "%s: %zu ids or labels differ", what, wrong);
    cr_expect_eq(s->supervised, learned);
}

Test(causal, tokens_and_labels_of_transformers) {
    cJSON *reference;
    const cJSON *v;
    size_t cases = 0;
    cr_assert_eq(tti_json_file(&reference, TT_TEST_DATA "/ref/chat_templates.json", 1 << 24), TT_OK,
                 "%s", tt_error());
    cJSON_ArrayForEach(v, tti_json_get(reference, "tokens")) {
        const char *name = text_of(v, "template");
        const cJSON *source = tti_json_get(tti_json_get(reference, "templates"), name);
        const char *dir = tokenizer_folder(text_of(v, "style"), text_of(v, "bos"),
                                           text_of(v, "eos"), source->valuestring);
        tti_tokenizer *tok;
        cr_assert_eq(tti_tokenizer_load(&tok, dir), TT_OK, "%s", tt_error());
        const int c = tti_json_get(v, "conversation")->valueint;
        const char *path =
            conversation_file(cJSON_GetArrayItem(tti_json_get(reference, "conversations"), c));
        for (int k = 0; k < 3; k++) { /* by name, as the model's, all tokens */
            const tti_causal_opts o = {.template_name = k == 1 ? NULL : name,
                                       .model_dir = scratch_folder,
                                       .loss_all = k == 2};
            tti_causal_dataset *ds;
            char what[160];
            snprintf(what, sizeof what, "%s, %s, conversation %d, way %d", text_of(v, "style"),
                     name, c, k);
            cr_assert_eq(tti_causal_load(&ds, &path, 1, tok, &o), TT_OK, "%s: %s", what,
                         tt_error());
            cr_assert_eq(tti_causal_count(ds), 1u);
            const tti_causal_sample s = tti_causal_at(ds, 0);
            check_tokens(v, &s, k == 2, what);
            tti_causal_free(ds);
        }
        tti_tokenizer_free(tok);
        cases++;
    }
    cr_expect_eq(cases, 120u, "%zu", cases);
    tti_json_free(reference);
}

/* What a sample learns, as text. */
static void learned_text(const tti_tokenizer *t, const tti_causal_sample *s, tti_str *out) {
    out->len = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->labels[i] != TTI_NO_LABEL) {
            size_t n;
            tti_str_puts(out, tti_tokenizer_piece(t, s->labels[i], &n));
        }
}

/* Boundaries where words meet: the first word of an answer is learned whole, the end mark too. */
Test(causal, boundaries) {
    static const struct {
        const char *style, *bos, *eos, *template, *row, *want;
        bool begins_with_bos;
    } cases[] = {
        {"llama2", "<s>", "</s>", "none", "{\"prompt\": \"The river\", \"completion\": \" runs\"}",
         "\u2581runs</s>", true},
        {"llama2", "<s>", "</s>", "none", "{\"prompt\": \"The river \", \"completion\": \"runs\"}",
         "\u2581runs</s>", true},
        {"llama2", "<s>", "</s>", "alpaca",
         "{\"instruction\": \"Name\", \"output\": \"the river\"}", "the\u2581river</s>", true},
        {"metaspace", "<s>", "</s>", "none",
         "{\"prompt\": \"The river \", \"completion\": \"runs\"}", "\u2581runs</s>", true},
        {"llama3", "<s>", "<|endoftext|>", "none",
         "{\"prompt\": \"The river \", \"completion\": \"runs\"}", "\u0120runs<|endoftext|>", true},
        {"gpt2", NULL, "<|endoftext|>", "none",
         "{\"prompt\": \"The river\", \"completion\": \" runs\"}", "\u0120runs<|endoftext|>",
         false},
        {"gpt2", NULL, "<|endoftext|>", "alpaca",
         "{\"instruction\": \"Name\", \"output\": \"the river\"}", "the\u0120river<|endoftext|>",
         false},
        {"unigram", NULL, "</s>", "none", "{\"prompt\": \"The river\", \"completion\": \" runs\"}",
         "\u2581runs</s>", false}, /* its own </s> behind is not doubled */
    };
    tti_str got = {0};
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        tti_tokenizer *t = tokenizer(cases[i].style, cases[i].bos, cases[i].eos);
        const char *path = scratch_text("a.jsonl", cases[i].row);
        const tti_causal_opts o = {.template_name = cases[i].template};
        tti_causal_dataset *ds;
        cr_assert_eq(tti_causal_load(&ds, &path, 1, t, &o), TT_OK, "%s", tt_error());
        const tti_causal_sample s = tti_causal_at(ds, 0);
        learned_text(t, &s, &got);
        cr_expect_str_eq(got.p, cases[i].want, "case %zu: %s", i, got.p);
        const int32_t bos = tti_tokenizer_special(t).bos;
        size_t count = 0;
        for (size_t k = 0; k < s.n; k++) count += bos >= 0 && s.ids[k] == bos;
        cr_expect_eq(count, (size_t)cases[i].begins_with_bos, "case %zu: %zu times bos", i, count);
        if (count) cr_expect_eq(s.ids[0], bos);
        cr_expect_eq(s.ids[s.n - 1], tti_tokenizer_special(t).eos);
        tti_causal_free(ds);
        tti_tokenizer_free(t);
    }
    tti_str_free(&got);
}

#define ROW(p, c) "{\"prompt\": \"" p "\", \"completion\": \"" c "\"}\n"

Test(causal, cut_and_skipped) {
    tti_tokenizer *t = tokenizer("llama3", "<s>", "<|endoftext|>");
    const char *path = scratch_text("a.jsonl", ROW("ab", "cd ef gh ij kl mn op qr st uv")
                                                   ROW("a b c d e f g h i j k l m n", "x")
                                                       ROW("a", " ") ROW("a", "b"));
    tti_causal_dataset *ds, *whole;
    tti_causal_opts o = {.max_len = 10};
    expect_error(tti_causal_load(&ds, &path, 1, t, &o), TT_E_DATA,
                 "a.jsonl:2: the prompt has 19 tokens, which leaves no room for the answer within "
                 "10; raise the limit or skip such samples");
    o.max_len = 100;
    expect_error(tti_causal_load(&ds, &path, 1, t, &o), TT_E_DATA, "a.jsonl:3: completion: empty");
    o.skip = true;
    cr_assert_eq(tti_causal_load(&whole, &path, 1, t, &o), TT_OK, "%s", tt_error());
    o.max_len = 10;
    cr_assert_eq(tti_causal_load(&ds, &path, 1, t, &o), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_causal_count(ds), 2u);
    const tti_causal_sample a = tti_causal_at(ds, 0), b = tti_causal_at(ds, 1),
                            full = tti_causal_at(whole, 0);
    cr_expect(a.n == 10 && a.n + a.cut == full.n && !memcmp(a.ids, full.ids, 10 * sizeof *a.ids));
    cr_expect(!memcmp(a.labels, full.labels, 9 * sizeof *a.labels));
    cr_expect_eq(a.labels[9], TTI_NO_LABEL);
    cr_expect(b.cut == 0 && b.line == 4 && strstr(b.file, "a.jsonl"));
    const tti_causal_totals sum = tti_causal_sum(ds);
    cr_expect(sum.samples == 2 && sum.cut_samples == 1 && sum.cut_tokens == a.cut);
    cr_expect(sum.skipped_long == 1 && sum.skipped_empty == 1);
    cr_expect(sum.tokens == a.n + b.n && sum.supervised == a.supervised + b.supervised);
    cr_expect_eq(sum.longest, 10u);
    tti_str said = {0}, want = {0};
    tti_causal_describe(ds, &said);
    tti_str_printf(
        &want,
        "2 samples, %zu tokens, %zu of them learned; 1 cut to 10 tokens, which lost %zu; "
        "1 skipped: no answer; 1 skipped: no answer within 10 tokens",
        sum.tokens, sum.supervised, a.cut);
    cr_expect_str_eq(said.p, want.p);
    tti_causal_free(ds);
    tti_causal_free(whole);
    o = (tti_causal_opts){.max_len = 10, .loss_all = true, .skip = true};
    cr_assert_eq(tti_causal_load(&ds, &path, 1, t, &o), TT_OK);
    cr_expect_eq(tti_causal_count(ds), 3u, "prompts are learned too");
    cr_expect_eq(tti_causal_at(ds, 1).supervised, 9u);
    tti_causal_free(ds);
    tti_str_free(&said);
    tti_str_free(&want);
    tti_tokenizer_free(t);
}

Test(causal, windows_of_text) {
    tti_tokenizer *t = tokenizer("llama3", "<s>", "<|endoftext|>");
    const char *paths[] = {
        scratch_text("a.txt", "The river runs north past the old mill.\nAnd on."),
        scratch_text("b.jsonl", "{\"text\": \"x\"}\n{\"text\": \"y z\"}\n")};
    tti_causal_opts o = {.max_len = 0};
    tti_causal_dataset *whole, *ds;
    cr_assert_eq(tti_causal_load(&whole, paths, 2, t, &o), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_causal_count(whole), 3u);
    const tti_causal_sample doc = tti_causal_at(whole, 0);
    cr_expect_eq(doc.ids[0], tti_tokenizer_special(t).bos);
    cr_expect_eq(doc.ids[doc.n - 1], tti_tokenizer_special(t).eos);
    for (o.max_len = 2; o.max_len < doc.n + 3; o.max_len++) {
        cr_assert_eq(tti_causal_load(&ds, paths, 1, t, &o), TT_OK, "%s", tt_error());
        size_t at = 1; /* the next token to be learned */
        for (size_t i = 0; i < tti_causal_count(ds); i++) {
            const tti_causal_sample s = tti_causal_at(ds, i);
            cr_expect(s.n >= 2 && s.n <= o.max_len && s.prompt == 0 && s.cut == 0);
            cr_expect_eq(s.supervised, s.n - 1);
            cr_expect_eq(s.ids[0], doc.ids[at - 1]);
            for (size_t k = 0; k + 1 < s.n; k++, at++)
                cr_expect(at < doc.n && s.labels[k] == doc.ids[at], "limit %zu", o.max_len);
            cr_expect_eq(s.labels[s.n - 1], TTI_NO_LABEL);
        }
        cr_expect_eq(at, doc.n, "limit %zu: %zu of %zu", o.max_len, at, doc.n);
        tti_causal_free(ds);
    }
    o = (tti_causal_opts){.no_end = true};
    cr_assert_eq(tti_causal_load(&ds, paths, 1, t, &o), TT_OK);
    cr_expect_eq(tti_causal_at(ds, 0).n, doc.n - 1);
    tti_causal_free(ds);
    tti_causal_free(whole);
    tti_tokenizer_free(t);
    t = tokenizer("gpt2", NULL, NULL); /* neither bos nor eos: a token alone teaches nothing */
    paths[0] = scratch_text("c.jsonl", "{\"text\": \"a b c\"}\n{\"text\": \"a\"}\n");
    expect_error(tti_causal_load(&ds, paths, 1, t, &o), TT_E_DATA, "c.jsonl:2: too short");
    o.skip = true;
    cr_assert_eq(tti_causal_load(&ds, paths, 1, t, &o), TT_OK, "%s", tt_error());
    cr_expect_eq(tti_causal_sum(ds).skipped_empty, 1u);
    tti_causal_free(ds);
    tti_tokenizer_free(t);
}

Test(causal, refused) {
    tti_tokenizer *t = tokenizer("gpt2", NULL, "<|endoftext|>"), *bare;
    tti_causal_dataset *ds;
    const char *path = scratch_text("a.jsonl", ROW("a", "b"));
    expect_error(tti_causal_load(&ds, &path, 0, t, &(tti_causal_opts){0}), TT_E_ARG,
                 "no data file");
    expect_error(tti_causal_load(&ds, &path, 1, t, &(tti_causal_opts){.max_len = 1}), TT_E_ARG,
                 "a limit of 1 token");
    expect_error(tti_causal_load(&ds, &path, 1, t, &(tti_causal_opts){.template_name = "x"}),
                 TT_E_ARG, "template \"x\" is not known");
    expect_error(
        tti_causal_load(&ds, &path, 1, t,
                        &(tti_causal_opts){.max_len = 2, .skip = true, .template_name = "chatml"}),
        TT_E_DATA, "no usable sample: 0 have no answer, 1 none within 2 tokens");
    path = scratch_text("a.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"u\"}, "
                                   "{\"role\": \"assistant\", \"content\": \"a\"}]}");
    expect_error(tti_causal_load(&ds, &path, 1, t, &(tti_causal_opts){.model_dir = scratch_folder}),
                 TT_E_UNSUPPORTED,
                 "tokenizer_config.json: has no chat_template; choose a template by name");
    path = scratch_text("a.jsonl", "{\"messages\": [{\"role\": \"system\", \"content\": \"s\"}, "
                                   "{\"role\": \"user\", \"content\": \"u\"}, "
                                   "{\"role\": \"assistant\", \"content\": \"a\"}]}");
    expect_error(
        tti_causal_load(&ds, &path, 1, t, &(tti_causal_opts){.template_name = "{user}{assistant}"}),
        TT_E_DATA, "a.jsonl:1: template template: has no place for a system message");
    bare = tokenizer("bert_lower", NULL, NULL);
    expect_error(tti_causal_load(&ds, &path, 1, bare, &(tti_causal_opts){.template_name = "none"}),
                 TT_E_ARG, "the tokenizer names no eos_token");
    tti_tokenizer_free(t);
    tti_tokenizer_free(bare);
}

static tti_tokenizer *shared;

static tt_status load_both(void) {
    const char *paths[] = {scratch("a.jsonl"), scratch("b.txt")};
    tti_causal_dataset *ds;
    TT_TRY(tti_causal_load(&ds, paths, 2, shared, &(tti_causal_opts){.max_len = 4}));
    tti_causal_free(ds);
    return TT_OK;
}

Test(causal, allocation_failure) {
    shared = tokenizer("llama2", "<s>", "</s>");
    scratch_text("a.jsonl", ROW("a", "b c d e"));
    scratch_text("b.txt", "Some text in a file.");
    expect_nomem_until_ok(load_both);
    tti_tokenizer_free(shared);
}
