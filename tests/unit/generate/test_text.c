// SPDX-License-Identifier: Apache-2.0
/* Text as it comes: characters whole, the same as decoding at once; stop strings held back. */
#include <criterion/criterion.h>
#include <string.h>
#include "host/core/philox.h"
#include "host/generate/text.h"

/* ---- stop strings ---- */

/* Pushes the text in pieces of `by` bytes; what came out, and the stop that was found. */
static int push_all(const char *const *stops, size_t n, const char *text, size_t by, tti_str *out,
                    tti_str *held) {
    const size_t len = strlen(text);
    for (size_t at = 0; at < len; at += by) {
        const int found = tti_stop_push(stops, n, held, text + at, TT_MIN(by, len - at), out);
        if (found >= 0) return found;
    }
    return -1;
}

Test(text, stop_strings) {
    static const char *const some[] = {"\n\n", "END", "ENDING", "aab", ""};
    static const struct {
        const char *text, *out, *held;
        int found;
    } cases[] = {
        {"plain", "plain", "", -1},       {"one\ntwo", "one\ntwo", "", -1},
        {"one\n\ntwo", "one", "", 0},     {"to the EN", "to the ", "EN", -1},
        {"to the END", "to the ", "", 1}, {"aaaab", "aa", "", 3},
        {"aaa", "a", "aa", -1},           {"E E EN x", "E E EN x", "", -1},
        {"x\n", "x", "\n", -1},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++)
        for (size_t by = 1; by < 12; by++) {
            tti_str out = {0}, held = {0};
            const int found = push_all(some, TT_COUNT(some), cases[i].text, by, &out, &held);
            cr_expect_eq(found, cases[i].found, "%s by %zu: %d", cases[i].text, by, found);
            cr_expect(out.len == strlen(cases[i].out) &&
                          !memcmp(out.p ? out.p : "", cases[i].out, out.len),
                      "%s by %zu: \"%.*s\"", cases[i].text, by, (int)out.len, out.p);
            cr_expect_eq(held.len, strlen(cases[i].held), "%s by %zu: held", cases[i].text, by);
            tti_str_free(&out);
            tti_str_free(&held);
        }
    tti_str out = {0}, held = {0};
    cr_expect_eq(tti_stop_push(some, 4, &held, "the ENDING", 10, &out), 2, "the longest");
    cr_expect_eq(tti_stop_push(NULL, 0, &held, "free", 4, &out), -1);
    cr_expect(out.len == 8 && !memcmp(out.p, "the free", 8), "%.*s", (int)out.len, out.p);
    tti_str_free(&out);
    tti_str_free(&held);
}

/* ---- characters ---- */

static tti_tokenizer *load(void) {
    char path[512];
    tti_tokenizer *t;
    snprintf(path, sizeof path, "%s/generate/text", TT_TEST_DATA);
    cr_assert_eq(tti_tokenizer_load(&t, path), TT_OK, "%s", tt_error());
    return t;
}

/* Number of bytes at the end of s that are the beginning of a character, or that make none. */
static bool whole(const char *p, size_t n) {
    for (size_t i = 0; i < n;) {
        const unsigned char c = (unsigned char)p[i];
        const size_t len = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
        if (i + len > n || (c & 0xC0) == 0x80) return false;
        i += len;
    }
    return true;
}

/* Streams ids behind the first `front` of them; the pieces together are the text of all. */
static void check_stream(const tti_tokenizer *t, const int32_t *ids, size_t n, size_t front,
                         const char *why) {
    tti_text_stream s = {.t = t};
    tti_str out = {0}, all = {0};
    cr_assert_eq(tti_tokenizer_decode(t, ids, front, true, &out), TT_OK);
    cr_assert_eq(tti_text_stream_start(&s, ids, front), TT_OK);
    for (size_t i = front; i < n; i++) {
        const size_t before = out.len;
        cr_assert_eq(tti_text_stream_push(&s, ids[i], &out), TT_OK);
        cr_expect(out.len == before || whole(out.p + before, out.len - before),
                  "%s: half a character at %zu", why, i);
    }
    cr_assert_eq(tti_text_stream_finish(&s, &out), TT_OK);
    cr_assert_eq(tti_tokenizer_decode(t, ids, n, true, &all), TT_OK);
    cr_expect(out.len == all.len && !memcmp(out.p ? out.p : "", all.p ? all.p : "", all.len),
              "%s: \"%.*s\", not \"%.*s\"", why, (int)out.len, out.p, (int)all.len, all.p);
    tti_text_stream_free(&s);
    tti_str_free(&out);
    tti_str_free(&all);
}

Test(text, stream_is_the_text_of_all_tokens) {
    static const char many[] = "日日日日日日日日日日日日日日日日日日日日日日日日日日日日日日日日日"
                               "日日日日日日日日日日日日日日日日"
                               " and so on and so on and so on";
    static const char *const texts[] = {
        "the cat sat on the mat", "Grüße, 日本語 and 🙂🙂🙂 and é̀x",
        " leading  and trailing ", "<s>the cat</s> <|im_start|>user says", many};
    tti_tokenizer *t = load();
    tti_encoding e = {0};
    const tti_encode_opts o = {.add_special = true};
    for (size_t i = 0; i < TT_COUNT(texts); i++) {
        cr_assert_eq(tti_tokenizer_encode(t, texts[i], strlen(texts[i]), NULL, 0, &o, &e), TT_OK);
        check_stream(t, e.ids, e.n, 0, texts[i]);
        check_stream(t, e.ids, e.n, 1, texts[i]);
    }
    tti_encoding_free(&e);
    tti_tokenizer_free(t);
}

/* Any tokens at all, bytes that make no characters, numbers without a piece: as a random model
 * writes. */
Test(text, stream_of_anything) {
    tti_tokenizer *t = load();
    int32_t ids[200];
    for (uint32_t k = 0; k < 200; k++) {
        const uint32_t range = k % 3 == 0 ? 380 : k % 3 == 1 ? 300 : 130;
        char why[32];
        for (uint32_t i = 0; i < TT_COUNT(ids); i++)
            ids[i] = (int32_t)((k % 3 == 2 ? 250 : 0) +
                               tti_below(tti_philox(i, k, 0, 0, 1, 2).v[0], range));
        snprintf(why, sizeof why, "random %u", k);
        ids[2] = tti_tokenizer_id(t, "cat", 3); /* no byte: what is shown before stays as it is */
        check_stream(t, ids, TT_COUNT(ids), k % 5 == 4 ? 3 : 0, why);
    }
    tti_tokenizer_free(t);
}
