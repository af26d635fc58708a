// SPDX-License-Identifier: Apache-2.0
/* test_tokenizer_files.c - malformed and unknown tokenizer files end in one clear message. */
#include <pthread.h>
#include "host/tokenizer/tokenizer.h"
#include "tests/unit/format/scratch.h"

TestSuite(tokenizer_files, .init = scratch_begin, .fini = scratch_end, .timeout = 120);

#define WP "{\"type\": \"WordPiece\", \"vocab\": {\"[UNK]\": 0, \"a\": 1, \"##b\": 2}}"
#define WITH(key, value) "{\"model\": " WP ", \"" key "\": " value "}"
#define MODEL(fields) "{\"model\": {" fields "}}"
#define BPE(fields) MODEL("\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, " fields)

static const struct {
    const char *text;
    tt_status status;
    const char *says;
} bad[] = {
    {"", TT_E_FORMAT, "empty"},
    {"{", TT_E_FORMAT, "not valid JSON"},
    {"[]", TT_E_FORMAT, "expected a JSON object"},
    {"\xff", TT_E_FORMAT, "not UTF-8 at byte 0"},
    {"{}", TT_E_FORMAT, "model: missing"},
    {"{\"model\": 3}", TT_E_FORMAT, "model: missing"},
    {"{\"model\": " WP, TT_E_FORMAT, "not valid JSON"},
    {MODEL("\"type\": \"Magic\""), TT_E_UNSUPPORTED, "model: the type Magic is not supported"},
    {MODEL("\"type\": 1"), TT_E_FORMAT, "type: expected a string, found 1"},
    {MODEL("\"type\": \"WordPiece\""), TT_E_FORMAT, "vocab: expected an object"},
    {MODEL("\"type\": \"WordPiece\", \"vocab\": []"), TT_E_FORMAT, "vocab: expected an object"},
    {MODEL("\"type\": \"WordPiece\", \"vocab\": {\"a\": \"0\"}"), TT_E_FORMAT, "expected an id"},
    {MODEL("\"type\": \"WordPiece\", \"vocab\": {\"a\": -1}"), TT_E_FORMAT, "expected an id"},
    {MODEL("\"type\": \"WordPiece\", \"vocab\": {\"a\": 0.5}"), TT_E_FORMAT, "expected an id"},
    {MODEL("\"type\": \"WordPiece\", \"vocab\": {\"a\": 1e300}"), TT_E_FORMAT, "expected an id"},
    {MODEL("\"type\": \"WordPiece\", \"vocab\": {\"a\": 4294967296}"), TT_E_FORMAT,
     "expected an id"},
    {MODEL("\"type\": \"WordPiece\", \"vocab\": {\"a\": 0, \"a\": 1}"), TT_E_FORMAT,
     "a is there twice"},
    {MODEL("\"type\": \"WordPiece\", \"vocab\": {\"a\": 0, \"b\": 0}"), TT_E_FORMAT,
     "the id 0 is there twice"},
    {MODEL("\"type\": \"WordPiece\", \"vocab\": {}, \"max_input_chars_per_word\": -3"), TT_E_FORMAT,
     "max_input_chars_per_word: expected a whole number"},
    {MODEL("\"type\": \"WordPiece\", \"vocab\": {}, \"unk_token\": []"), TT_E_FORMAT, "unk_token"},
    {BPE("\"merges\": 1"), TT_E_FORMAT, "merges: expected a list"},
    {BPE("\"merges\": [\"a c\"]"), TT_E_FORMAT, "merge 0: c is not in the vocabulary"},
    {BPE("\"merges\": [\"b a\"]"), TT_E_FORMAT, "merge 0: ba is not in the vocabulary"},
    {BPE("\"merges\": [\"ab\"]"), TT_E_FORMAT, "is not two pieces"},
    {BPE("\"merges\": [\"a b c\"]"), TT_E_FORMAT, "is not two pieces"},
    {BPE("\"merges\": [[\"a\"]]"), TT_E_FORMAT, "is not two pieces"},
    {BPE("\"merges\": [[\"a\", 1]]"), TT_E_FORMAT, "is not two pieces"},
    {BPE("\"merges\": [], \"byte_fallback\": 1"), TT_E_FORMAT, "byte_fallback: expected true"},
    {BPE("\"merges\": [\"a b\"], \"continuing_subword_prefix\": \"####\""), TT_E_FORMAT, "merge 0"},
    {MODEL("\"type\": \"Unigram\", \"vocab\": {}"), TT_E_FORMAT, "expected a list of [piece"},
    {MODEL("\"type\": \"Unigram\", \"vocab\": [[\"a\"]]"), TT_E_FORMAT, "is not [piece, score]"},
    {MODEL("\"type\": \"Unigram\", \"vocab\": [[\"a\", 1e999]]"), TT_E_FORMAT, "is not [piece"},
    {MODEL("\"type\": \"Unigram\", \"vocab\": [[\"a\", 0]], \"unk_id\": 1"), TT_E_FORMAT,
     "unk_id: 1"},
    {WITH("normalizer", "[]"), TT_E_FORMAT, "normalizer: expected an object"},
    {WITH("normalizer", "{}"), TT_E_FORMAT, "type: expected a string"},
    {WITH("normalizer", "{\"type\": \"Rot13\"}"), TT_E_UNSUPPORTED, "the type Rot13"},
    {WITH("normalizer", "{\"type\": \"Sequence\"}"), TT_E_FORMAT, "Sequence without"},
    {WITH("normalizer", "{\"type\": \"Replace\", \"content\": \"x\"}"), TT_E_FORMAT, "pattern:"},
    {WITH("normalizer",
          "{\"type\": \"Replace\", \"pattern\": {\"String\": 1}, \"content\": \"x\"}"),
     TT_E_FORMAT, "String: expected a string"},
    {WITH("normalizer", "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"!\"}"),
     TT_E_FORMAT, "precompiled_charsmap is damaged"},
    {WITH("normalizer", "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"/////w==\"}"),
     TT_E_FORMAT, "precompiled_charsmap is damaged"},
    {WITH("pre_tokenizer", "{\"type\": \"Whatever\"}"), TT_E_UNSUPPORTED, "the type Whatever"},
    {WITH("pre_tokenizer", "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"(\"}}"),
     TT_E_UNSUPPORTED, "regular expression (:"},
    {WITH("pre_tokenizer", "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"[a&&b]\"}}"),
     TT_E_UNSUPPORTED, "&&"},
    {WITH("pre_tokenizer", "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"a{2}+\"}}"),
     TT_E_UNSUPPORTED, "a + after {}"},
    {WITH("pre_tokenizer", "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\p{Nonsense}\"}}"),
     TT_E_UNSUPPORTED, "Nonsense"},
    {WITH("pre_tokenizer", "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\\"}}"),
     TT_E_UNSUPPORTED, "a backslash at the end"},
    {WITH("pre_tokenizer", "{\"type\": \"Punctuation\", \"behavior\": \"Odd\"}"), TT_E_FORMAT,
     "behavior: unknown value Odd"},
    {WITH("pre_tokenizer", "{\"type\": \"Metaspace\", \"replacement\": \"xy\"}"), TT_E_FORMAT,
     "replacement: expected one character"},
    {WITH("pre_tokenizer", "{\"type\": \"CharDelimiterSplit\"}"), TT_E_FORMAT, "delimiter"},
    {WITH("post_processor", "{\"type\": \"Sequential\"}"), TT_E_UNSUPPORTED, "the type Sequential"},
    {WITH("post_processor", "{\"type\": \"BertProcessing\"}"), TT_E_FORMAT, "cls: expected [token"},
    {WITH("post_processor", "{\"type\": \"BertProcessing\", \"cls\": [\"a\", -1]}"), TT_E_FORMAT,
     "expected an id"},
    {WITH("post_processor", "{\"type\": \"TemplateProcessing\"}"), TT_E_FORMAT, "single and pair"},
    {WITH("post_processor", "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": "
                            "{\"id\": \"x\", \"type_id\": 0}}], \"pair\": []}"),
     TT_E_FORMAT, "no ids for x"},
    {WITH("post_processor", "{\"type\": \"TemplateProcessing\", \"single\": [{\"Sequence\": "
                            "{\"id\": \"B\", \"type_id\": 0}}], \"pair\": []}"),
     TT_E_FORMAT, "names the text B"},
    {WITH("decoder", "{\"type\": \"Reverse\"}"), TT_E_UNSUPPORTED, "the type Reverse"},
    {WITH("decoder", "{\"type\": \"Strip\", \"start\": -1}"), TT_E_FORMAT,
     "start: expected a whole"},
    {WITH("added_tokens", "{}"), TT_E_FORMAT, "added_tokens: expected a list"},
    {WITH("added_tokens", "[1]"), TT_E_FORMAT, "content: expected a string"},
    {WITH("added_tokens", "[{\"content\": \"x\"}]"), TT_E_FORMAT, "expected an id"},
    {WITH("added_tokens", "[{\"content\": \"x\", \"id\": 3, \"special\": 1}]"), TT_E_FORMAT,
     "special: expected true or false"},
};

Test(tokenizer_files, malformed) {
    tti_tokenizer *t = NULL;
    for (size_t i = 0; i < TT_COUNT(bad); i++) {
        scratch_text("tokenizer.json", bad[i].text);
        expect_error(tti_tokenizer_load(&t, scratch("")), bad[i].status, bad[i].says);
        cr_expect_null(t, "%s", bad[i].text);
        cr_expect_null(strchr(tt_error(), '\n'), "one line: %s", tt_error());
    }
}

Test(tokenizer_files, missing) {
    tti_tokenizer *t;
    expect_error(tti_tokenizer_load(&t, scratch("")), TT_E_IO, "no tokenizer.json, vocab.txt");
    expect_error(tti_tokenizer_load(&t, scratch("x.json")), TT_E_IO, "x.json");
    scratch_text("vocab.txt", "");
    expect_error(tti_tokenizer_load(&t, scratch("")), TT_E_FORMAT, "vocab.txt: empty");
    scratch_text("vocab.txt", "a\n\xff\n");
    expect_error(tti_tokenizer_load(&t, scratch("")), TT_E_FORMAT, "not UTF-8 at byte 2");
    scratch_text("vocab.json", "{\"a\": 0}");
    scratch_text("merges.txt", "#version\na\n");
    expect_error(tti_tokenizer_load(&t, scratch("")), TT_E_FORMAT, "merge 0 is not two pieces: a");
    scratch_text("merges.txt", "a b\n");
    expect_error(tti_tokenizer_load(&t, scratch("")), TT_E_FORMAT, "merge 0");
    scratch_text("tokenizer.json", "{\"model\": " WP "}");
    scratch_text("tokenizer_config.json", "{");
    expect_error(tti_tokenizer_load(&t, scratch("")), TT_E_FORMAT, "tokenizer_config.json:1:");
}

/* Every beginning of a good file. */
Test(tokenizer_files, truncated) {
    static const char whole[] = WITH("added_tokens", "[{\"content\": \"\\u0000\", \"id\": 3}]");
    tti_tokenizer *t;
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        cr_assert_eq(tti_file_write(scratch("tokenizer.json"), whole, n), TT_OK);
        cr_expect_eq(tti_tokenizer_load(&t, scratch("")), TT_E_FORMAT, "%zu bytes", n);
    }
    scratch_text("tokenizer.json", whole);
    cr_assert_eq(tti_tokenizer_load(&t, scratch("")), TT_OK, "%s", tt_error());
    cr_expect_eq(tti_tokenizer_id(t, "", 1), 3, "a piece that is one NUL byte");
    tti_encoding e = {0};
    const tti_encode_opts o = {0};
    cr_assert_eq(tti_tokenizer_encode(t, "a\0ab", 4, NULL, 0, &o, &e), TT_OK);
    cr_expect(e.n == 4 && e.ids[0] == 1 && e.ids[1] == 3 && e.ids[2] == 1 && e.ids[3] == 2);
    tti_encoding_free(&e);
    tti_tokenizer_free(t);
}

Test(tokenizer_files, no_unknown_token) {
    tti_tokenizer *t;
    tti_encoding e = {0};
    const tti_encode_opts o = {0};
    static const char *const files[] = {
        MODEL("\"type\": \"WordPiece\", \"vocab\": {\"a\": 0}"),
        MODEL("\"type\": \"WordLevel\", \"vocab\": {\"a\": 0}, \"unk_token\": \"?\""),
        MODEL("\"type\": \"Unigram\", \"vocab\": [[\"a\", 0]]"),
        BPE("\"merges\": [], \"unk_token\": \"?\""),
    };
    for (size_t i = 0; i < TT_COUNT(files); i++) {
        scratch_text("tokenizer.json", files[i]);
        cr_assert_eq(tti_tokenizer_load(&t, scratch("")), TT_OK, "%s", tt_error());
        expect_error(tti_tokenizer_encode(t, "z", 1, NULL, 0, &o, &e), TT_E_DATA,
                     "z is not in the vocabulary");
        cr_expect_eq(tti_tokenizer_encode(t, "a", 1, NULL, 0, &o, &e), TT_OK, "%s", tt_error());
        cr_expect_eq(e.n, 1);
        tti_tokenizer_free(t);
    }
    tti_encoding_free(&e);
}

static tti_tokenizer *shared;

static void *encode_often(void *ok) {
    static const char text[] = "Threads share a tokenizer, naïve 漢字 and all; isn't it good?";
    tti_encoding e = {0}, first = {0};
    const tti_encode_opts o = {0, true};
    *(bool *)ok = tti_tokenizer_encode(shared, text, sizeof text, text, 20, &o, &first) == TT_OK;
    for (int i = 0; i < 200 && *(bool *)ok; i++) {
        *(bool *)ok = tti_tokenizer_encode(shared, text, sizeof text, text, 20, &o, &e) == TT_OK &&
                      e.n == first.n && !memcmp(e.ids, first.ids, e.n * sizeof *e.ids);
    }
    tti_encoding_free(&e);
    tti_encoding_free(&first);
    return NULL;
}

Test(tokenizer_files, threads) {
    pthread_t thread[4];
    bool ok[4];
    cr_assert_eq(tti_tokenizer_load(&shared, TT_TEST_DATA "/ref/tokenizer_cases/llama3"), TT_OK);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, encode_often, &ok[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        cr_expect(ok[i]);
    }
    tti_tokenizer_free(shared);
}
