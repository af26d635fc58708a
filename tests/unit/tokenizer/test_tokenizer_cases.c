// SPDX-License-Identifier: Apache-2.0
/* test_tokenizer_cases.c - ids, types, masks and decoded texts as the `tokenizers` package has them
 * (tests/ref/tokenizer_cases.py), for tokenizers of every style. */
#include <dirent.h>
#include "host/format/json.h"
#include "host/tokenizer/tokenizer.h"
#include "tests/unit/format/scratch.h"

TestSuite(tokenizer_cases, .init = scratch_begin, .fini = scratch_end, .timeout = 120);

typedef struct {
    char *p;
    size_t n;
} bytes;

static bytes from_hex(const cJSON *object, const char *key) {
    const cJSON *v = tti_json_get(object, key);
    if (!v) return (bytes){0};
    bytes out = {tti_malloc(strlen(v->valuestring) / 2 + 1), strlen(v->valuestring) / 2};
    for (size_t i = 0; i < out.n; i++) {
        unsigned x = 0;
        cr_assert_eq(sscanf(v->valuestring + 2 * i, "%2x", &x), 1);
        out.p[i] = (char)x;
    }
    return out;
}

static bool same_list(const cJSON *list, const int32_t *v, const uint8_t *v8, size_t n) {
    size_t i = 0;
    const cJSON *j;
    cJSON_ArrayForEach(j, list) {
        if (i >= n || j->valueint != (v ? v[i] : v8[i])) return false;
        i++;
    }
    return i == n;
}

static void check_decoded(const tti_tokenizer *t, const cJSON *c, const tti_encoding *e, bool skip,
                          const char *name, int number) {
    tti_str text = {0};
    bytes want = from_hex(c, skip ? "skip" : "all");
    cr_assert_eq(tti_tokenizer_decode(t, e->ids, e->n, skip, &text), TT_OK, "%s", tt_error());
    cr_expect(text.len == want.n && (!want.n || !memcmp(text.p, want.p, want.n)),
              "%s case %d: decoded (skip %d): %s", name, number, skip, text.p);
    tti_str_free(&text);
    tti_free(want.p);
}

static void check_case(const tti_tokenizer *t, const cJSON *c, tti_encoding *e, const char *name,
                       int number) {
    bytes a = from_hex(c, "a"), b = from_hex(c, "b");
    tti_encode_opts o = {(size_t)tti_json_get(c, "max")->valueint,
                         cJSON_IsTrue(tti_json_get(c, "special"))};
    cr_assert_eq(tti_tokenizer_encode(t, a.p, a.n, b.p, b.n, &o, e), TT_OK, "%s case %d: %s", name,
                 number, tt_error());
    cr_expect(same_list(tti_json_get(c, "ids"), e->ids, NULL, e->n), "%s case %d: ids", name,
              number);
    cr_expect(same_list(tti_json_get(c, "types"), e->type_ids, NULL, e->n), "%s case %d: types",
              name, number);
    cr_expect(same_list(tti_json_get(c, "mask"), NULL, e->special, e->n), "%s case %d: mask", name,
              number);
    for (size_t i = 0; i < e->n; i++)
        cr_expect(e->spans[i].from <= e->spans[i].to && e->spans[i].to <= TT_MAX(a.n, b.n),
                  "%s case %d: span %zu", name, number, i);
    check_decoded(t, c, e, true, name, number);
    check_decoded(t, c, e, false, name, number);
    tti_free(a.p);
    tti_free(b.p);
}

static int check_folder(const char *name, tti_encoding *e) {
    char path[500];
    tti_tokenizer *t;
    cJSON *json;
    int number = 0;
    snprintf(path, sizeof path, TT_TEST_DATA "/ref/tokenizer_cases/%s", name);
    cr_assert_eq(tti_tokenizer_load(&t, path), TT_OK, "%s", tt_error());
    snprintf(path, sizeof path, TT_TEST_DATA "/ref/tokenizer_cases/%s/cases.json", name);
    cr_assert_eq(tti_json_file(&json, path, TTI_JSON_MAX), TT_OK, "%s", tt_error());
    const cJSON *c;
    cJSON_ArrayForEach(c, tti_json_get(json, "cases")) check_case(t, c, e, name, number++);
    tti_json_free(json);
    tti_tokenizer_free(t);
    return number;
}

Test(tokenizer_cases, every_style) {
    tti_encoding e = {0}; /* one for all: buffers and caches must not carry anything over */
    DIR *d = opendir(TT_TEST_DATA "/ref/tokenizer_cases");
    cr_assert(d);
    int styles = 0, cases = 0;
    for (struct dirent *f; (f = readdir(d));) {
        if (f->d_name[0] == '.') continue;
        cases += check_folder(f->d_name, &e);
        styles++;
    }
    closedir(d);
    tti_encoding_free(&e);
    cr_expect(styles >= 13 && cases >= 500, "%d styles, %d cases", styles, cases);
}

/* BERT's vocab.txt and GPT-2's files give what the tokenizer.json made of them gives. */
static void write_vocab(const char *style, bool lines) {
    char path[500];
    cJSON *json;
    snprintf(path, sizeof path, TT_TEST_DATA "/ref/tokenizer_cases/%s/tokenizer.json", style);
    cr_assert_eq(tti_json_file(&json, path, TTI_JSON_MAX), TT_OK, "%s", tt_error());
    const cJSON *model = tti_json_get(json, "model"), *vocab = tti_json_get(model, "vocab"), *j;
    tti_str text = {0};
    size_t n = (size_t)cJSON_GetArraySize(vocab);
    const char **piece = tti_calloc(n, sizeof *piece);
    cJSON_ArrayForEach(j, vocab) piece[j->valueint] = j->string;
    for (size_t i = 0; i < n && lines; i++) tti_str_printf(&text, "%s\r\n", piece[i]);
    if (lines) scratch_text("vocab.txt", text.p);
    text.len = 0;
    tti_str_puts(&text, "#version: 0.2\n");
    cJSON_ArrayForEach(j, tti_json_get(model, "merges"))
        tti_str_printf(&text, "%s %s\n", j->child->valuestring, j->child->next->valuestring);
    if (!lines) {
        scratch_text("merges.txt", text.p);
        cr_assert_eq(tti_json_write(scratch("vocab.json"), vocab), TT_OK);
    }
    tti_str_free(&text);
    tti_free(piece);
    tti_json_free(json);
}

static void compare(const char *style) {
    static const char *const texts[] = {"", "Hello, World! naïve Straße 漢字 x\ty",
                                        "<s> a <mask> b", "[CLS] don't [MASK]",
                                        "  12 345\n\n  The end. "};
    char path[500];
    tti_tokenizer *t[2];
    tti_encoding e[2] = {0};
    const tti_encode_opts o = {0, true};
    snprintf(path, sizeof path, TT_TEST_DATA "/ref/tokenizer_cases/%s", style);
    cr_assert_eq(tti_tokenizer_load(&t[0], path), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_tokenizer_load(&t[1], scratch("")), TT_OK, "%s", tt_error());
    cr_expect_eq(tti_tokenizer_vocab_size(t[0]), tti_tokenizer_vocab_size(t[1]));
    for (size_t i = 0; i < TT_COUNT(texts); i++) {
        const char *b = i % 2 ? NULL : "and B";
        for (int k = 0; k < 2; k++)
            cr_assert_eq(
                tti_tokenizer_encode(t[k], texts[i], strlen(texts[i]), b, b ? 5 : 0, &o, &e[k]),
                TT_OK, "%s", tt_error());
        cr_expect(e[0].n == e[1].n && !memcmp(e[0].ids, e[1].ids, e[0].n * sizeof(int32_t)) &&
                      !memcmp(e[0].type_ids, e[1].type_ids, e[0].n * sizeof(int32_t)),
                  "%s: %s", style, texts[i]);
    }
    for (int k = 0; k < 2; k++) {
        tti_encoding_free(&e[k]);
        tti_tokenizer_free(t[k]);
    }
}

Test(tokenizer_cases, vocab_txt) {
    write_vocab("bert_lower", true);
    compare("bert_lower");
    scratch_text("tokenizer_config.json", "{\"do_lower_case\": false}");
    write_vocab("bert_cased", true);
    compare("bert_cased");
}

Test(tokenizer_cases, merges_txt) {
    write_vocab("roberta", false);
    compare("roberta");
}

Test(tokenizer_cases, special_ids_and_save) {
    tti_tokenizer *t;
    char path[] = TT_TEST_DATA "/ref/tokenizer_cases/bert_lower";
    cr_assert_eq(tti_tokenizer_load(&t, path), TT_OK, "%s", tt_error());
    tti_special_ids s = tti_tokenizer_special(t);
    cr_expect(s.pad == 0 && s.unk == 1 && s.cls == 2 && s.sep == 3 && s.mask == 4);
    size_t n;
    cr_expect_str_eq(tti_tokenizer_piece(t, 2, &n), "[CLS]");
    cr_expect(n == 5 && tti_tokenizer_id(t, "[SEP]", 5) == 3);
    cr_expect(tti_tokenizer_id(t, "no such piece", 13) == -1);
    cr_expect_null(tti_tokenizer_piece(t, -1, &n));
    cr_expect_null(tti_tokenizer_piece(t, 1 << 30, &n));
    cr_assert_eq(tti_tokenizer_save(t, scratch("")), TT_OK, "%s", tt_error());
    tti_tokenizer_free(t);
    scratch_text("tokenizer_config.json",
                 "{\"pad_token\": {\"content\": \"[MASK]\"}, \"cls_token\": \"[SEP]\"}");
    scratch_text("special_tokens_map.json", "{\"unk_token\": \"[UNK]\", \"cls_token\": \"[PAD]\"}");
    cr_assert_eq(tti_tokenizer_load(&t, scratch("")), TT_OK, "%s", tt_error());
    s = tti_tokenizer_special(t);
    cr_expect(s.pad == 4 && s.cls == 3 && s.unk == 1 && s.sep == -1 && s.eos == -1);
    tti_tokenizer_free(t);
}

Test(tokenizer_cases, truncation) {
    tti_tokenizer *t;
    tti_encoding e = {0};
    cr_assert_eq(tti_tokenizer_load(&t, TT_TEST_DATA "/ref/tokenizer_cases/bert_lower"), TT_OK);
    tti_encode_opts o = {5, true};
    cr_assert_eq(tti_tokenizer_encode(t, "a b c d e f", 11, NULL, 0, &o, &e), TT_OK);
    cr_expect(e.n == 5 && e.cut == 3 && e.ids[4] == 3 && e.special[4] == 1 && e.special[1] == 0);
    cr_expect(e.spans[3].from == 4 && e.spans[3].to == 5);
    o.max_len = 2;
    cr_assert_eq(tti_tokenizer_encode(t, "a b", 3, NULL, 0, &o, &e), TT_OK);
    cr_expect(e.n == 2 && e.cut == 2);
    o.max_len = 1;
    expect_error(tti_tokenizer_encode(t, "a b", 3, NULL, 0, &o, &e), TT_E_ARG, "max_len: 1");
    o.max_len = 7;
    cr_assert_eq(tti_tokenizer_encode(t, "a b c d e f", 11, "g", 1, &o, &e), TT_OK);
    cr_expect(e.n == 7 && e.cut == 3, "the longer text is cut first");
    tti_encoding_free(&e);
    tti_tokenizer_free(t);
}
