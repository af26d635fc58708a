// SPDX-License-Identifier: Apache-2.0
#include "host/generate/text.h"

#include <string.h>

enum {
    CONTEXT = 8,
    LONG = 48
}; /* tokens whose text is kept at hand; when older ones are dropped */
static const char unknown[] = "\xEF\xBF\xBD"; /* U+FFFD: what bytes that are no character become */

void tti_text_stream_free(tti_text_stream *s) {
    tti_free(s->ids);
    tti_str_free(&s->given);
    tti_str_free(&s->now);
    *s = (tti_text_stream){0};
}

/* One byte of a character, as SentencePiece writes those that its vocabulary lacks. */
static bool is_byte(const tti_text_stream *s, int32_t id) {
    size_t n;
    const char *piece = tti_tokenizer_piece(s->t, id, &n);
    return piece && n == 6 && memcmp(piece, "<0x", 3) == 0 && piece[5] == '>';
}

/* Special tokens, and numbers that the vocabulary lacks, are passed over in decoding. */
static tt_status is_silent(tti_text_stream *s, int32_t id, bool *out) {
    s->now.len = 0;
    TT_TRY(tti_tokenizer_decode(s->t, &id, 1, true, &s->now));
    *out = s->now.len == 0;
    return s->now.status;
}

static tt_status decode(tti_text_stream *s, size_t from, size_t n) {
    s->now.len = 0;
    TT_TRY(tti_tokenizer_decode(s->t, s->ids + from, n, true, &s->now));
    return s->now.status;
}

/* The text of all tokens into s->now; how many bytes of it no further token can change. Bytes
 * behind each other are decoded together, so they wait for the last; and a character that is not
 * whole shows as U+FFFD at the end. */
static tt_status settled(tti_text_stream *s, size_t *bytes) {
    size_t whole = s->n;
    for (bool silent = false; whole > 0; whole--) {
        if (is_byte(s, s->ids[whole - 1])) continue;
        TT_TRY(is_silent(s, s->ids[whole - 1], &silent));
        if (!silent) break;
    }
    TT_TRY(decode(s, 0, whole));
    *bytes = s->now.len;
    const size_t u = sizeof unknown - 1;
    if (whole == s->n && *bytes >= u && memcmp(s->now.p + *bytes - u, unknown, u) == 0) *bytes -= u;
    return whole == s->n ? TT_OK : decode(s, 0, s->n);
}

/* What s->now has behind what was given, up to `bytes`. */
static void give(tti_text_stream *s, size_t bytes, tti_str *out) {
    const size_t had = s->given.len;
    if (bytes <= had || (had && memcmp(s->now.p, s->given.p, had) != 0)) return;
    tti_str_add(out, s->now.p + had, bytes - had);
    tti_str_add(&s->given, s->now.p + had, bytes - had);
}

/* Drops old tokens where the text of the last few is the end of the text of all. */
static tt_status shorten(tti_text_stream *s) {
    if (s->n < LONG) return TT_OK;
    TT_TRY(decode(s, s->n - CONTEXT, CONTEXT));
    const size_t n = s->now.len;
    if (n == 0 || n > s->given.len || memcmp(s->given.p + s->given.len - n, s->now.p, n) != 0)
        return TT_OK;
    memmove(s->ids, s->ids + s->n - CONTEXT, CONTEXT * sizeof *s->ids);
    s->n = CONTEXT;
    s->given.len = 0;
    tti_str_add(&s->given, s->now.p, n);
    return s->given.status;
}

tt_status tti_text_stream_start(tti_text_stream *s, const int32_t *ids, size_t n) {
    const size_t few = TT_MIN(n, (size_t)CONTEXT);
    size_t bytes;
    TT_TRY(TTI_GROW(s->ids, s->cap, few + 1));
    if (few) memcpy(s->ids, ids + n - few, few * sizeof *ids);
    s->n = few;
    s->given.len = 0;
    TT_TRY(settled(s, &bytes));
    if (bytes) tti_str_add(&s->given, s->now.p, bytes);
    return s->given.status;
}

tt_status tti_text_stream_push(tti_text_stream *s, int32_t id, tti_str *out) {
    size_t bytes;
    TT_TRY(TTI_GROW(s->ids, s->cap, s->n + 1));
    s->ids[s->n++] = id;
    TT_TRY(settled(s, &bytes));
    give(s, bytes, out);
    TT_TRY(out->status);
    TT_TRY(s->given.status);
    return bytes == s->now.len && bytes == s->given.len ? shorten(s) : TT_OK;
}

tt_status tti_text_stream_finish(tti_text_stream *s, tti_str *out) {
    TT_TRY(decode(s, 0, s->n));
    give(s, s->now.len, out);
    return out->status;
}

/* The length of the longest beginning of a stop string, not the whole of it, that text ends with.
 */
static size_t beginning(const char *stop, const char *text, size_t n) {
    const size_t whole = strlen(stop);
    for (size_t k = TT_MIN(n, whole - 1); k > 0; k--)
        if (memcmp(text + n - k, stop, k) == 0) return k;
    return 0;
}

int tti_stop_push(const char *const *stops, size_t nstops, tti_str *held, const char *text,
                  size_t n, tti_str *out) {
    int found = -1;
    size_t at = 0, hold = 0;
    tti_str_add(held, text, n);
    if (held->status != TT_OK || held->len == 0) return -1;
    for (size_t i = 0; i < nstops; i++) {
        const size_t len = strlen(stops[i]);
        const char *p = len ? memmem(held->p, held->len, stops[i], len) : NULL;
        const size_t here = p ? (size_t)(p - held->p) : 0;
        if (p && (found < 0 || here < at || (here == at && len > strlen(stops[found])))) {
            found = (int)i;
            at = here;
        }
        if (len) hold = TT_MAX(hold, beginning(stops[i], held->p, held->len));
    }
    const size_t free_bytes = found < 0 ? held->len - hold : at;
    tti_str_add(out, held->p, free_bytes);
    if (found < 0) memmove(held->p, held->p + free_bytes, hold);
    held->len = found < 0 ? hold : 0;
    return found;
}
