// SPDX-License-Identifier: Apache-2.0
/* test_tokenizer_memory.c - every allocation may fail: reported, nothing leaked, usable after. */
#include "host/tokenizer/tokenizer.h"
#include "tests/unit/format/scratch.h"

TestSuite(tokenizer_memory, .init = scratch_begin, .fini = scratch_end, .timeout = 300);

static const char text[] = "Hé\xcc\x81llo\xcc\xa7 wörld①  ab\xff <s> 漢字 cab\xcc\x81";

static tt_status use(tti_tokenizer *t) {
    tt_status s;
    tti_encoding e = {0};
    tti_str out = {0};
    const tti_encode_opts o = {9, true};
    TT_GO(tti_tokenizer_encode(t, text, sizeof text - 1, text, 8, &o, &e));
    TT_GO(tti_tokenizer_decode(t, e.ids, e.n, false, &out));
done:
    tti_encoding_free(&e);
    tti_str_free(&out);
    return s;
}

static tt_status load_and_use(void) {
    tti_tokenizer *t;
    TT_TRY(tti_tokenizer_load(&t, scratch("")));
    tt_status s = use(t);
    tti_tokenizer_free(t);
    return s;
}

#define ADDED                                                                    \
    ", \"added_tokens\": [{\"id\": 9, \"content\": \"<s>\", \"special\": true}," \
    "{\"id\": 10, \"content\": \"AB\", \"normalized\": true}]}"

static const char *const files[] = {
    "{\"model\": {\"type\": \"WordPiece\", \"vocab\": {\"[UNK]\": 0, \"h\": 1, \"##e\": 2}},"
    "\"normalizer\": {\"type\": \"BertNormalizer\"}, \"pre_tokenizer\": {\"type\": "
    "\"BertPreTokenizer\"}, \"decoder\": {\"type\": \"WordPiece\"}, \"post_processor\": {\"type\": "
    "\"BertProcessing\", \"cls\": [\"h\", 1], \"sep\": [\"h\", 1]}" ADDED,
    "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, \"?\": 3, "
    "\"b</w>\": 4},"
    "\"merges\": [\"a b\"], \"unk_token\": \"?\", \"end_of_word_suffix\": \"</w>\", "
    "\"byte_fallback\": true}, \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": "
    "[{\"type\": "
    "\"NFKC\"}, {\"type\": \"Replace\", \"pattern\": {\"Regex\": \"\\\\s+\"}, \"content\": \" "
    "\"}]},"
    "\"pre_tokenizer\": {\"type\": \"ByteLevel\"}, \"post_processor\": {\"type\": \"ByteLevel\"},"
    "\"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", \"pattern\": "
    "{\"Regex\": \"b\"}, \"content\": \"c\"}, {\"type\": \"ByteLevel\"}]}" ADDED,
    "{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"?\", 0], [\"a\", -1], [\"ab\", -1.5]], "
    "\"unk_id\":"
    " 0, \"byte_fallback\": true}, \"normalizer\": {\"type\": \"NFD\"}, \"pre_tokenizer\": "
    "{\"type\": "
    "\"Sequence\", \"pretokenizers\": [{\"type\": \"Metaspace\"}, {\"type\": \"Digits\"}]}, "
    "\"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"ByteFallback\"}, {\"type\": "
    "\"Metaspace\"}]}" ADDED,
};

Test(tokenizer_memory, every_allocation) {
    for (size_t i = 0; i < TT_COUNT(files); i++) {
        scratch_text("tokenizer.json", files[i]);
        scratch_text("tokenizer_config.json", "{\"cls_token\": \"<s>\"}");
        expect_nomem_until_ok(load_and_use);
    }
}

static tti_tokenizer *kept;
static tti_encoding reused;

static tt_status encode_again(void) {
    const tti_encode_opts o = {0, true};
    tti_encoding_free(&reused);
    return tti_tokenizer_encode(kept, text, sizeof text - 1, text, 8, &o, &reused);
}

/* A failed call leaves tokenizer and encoding fit for the next one. */
Test(tokenizer_memory, goes_on_after_failure) {
    static const char *const styles[] = {"roberta", "precompiled", "bert_lower", "clip"};
    for (size_t i = 0; i < TT_COUNT(styles); i++) {
        char path[300];
        snprintf(path, sizeof path, TT_TEST_DATA "/ref/tokenizer_cases/%s", styles[i]);
        cr_assert_eq(tti_tokenizer_load(&kept, path), TT_OK, "%s", tt_error());
        expect_nomem_until_ok(encode_again);
        tti_encoding fresh = {0};
        const tti_encode_opts o = {0, true};
        for (long n = 1; n < 40; n++) {
            tti_alloc_fail_at(n);
            tti_tokenizer_encode(kept, text, sizeof text - 1, text, 8, &o, &fresh);
            tti_alloc_fail_at(0);
        }
        cr_assert_eq(tti_tokenizer_encode(kept, text, sizeof text - 1, text, 8, &o, &fresh), TT_OK);
        cr_expect(fresh.n == reused.n &&
                      !memcmp(fresh.ids, reused.ids, fresh.n * sizeof *fresh.ids),
                  "%s", styles[i]);
        tti_encoding_free(&fresh);
        tti_encoding_free(&reused);
        tti_tokenizer_free(kept);
    }
}
