// SPDX-License-Identifier: Apache-2.0
#include "host/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct tti_regex {
    pcre2_code *code; /* NULL for a literal */
    bool jit;
    uint8_t *literal;
    size_t n;
    char *name; /* the pattern, for messages */
};

static void *pcre_malloc(size_t n, void *ctx) {
    (void)ctx;
    return tti_malloc(n);
}
static void pcre_free(void *p, void *ctx) {
    (void)ctx;
    tti_free(p);
}

static tt_status compile(tti_regex *r, const tti_str *translated) {
    int code;
    size_t where;
    char why[120];
    tt_status s = TT_OK;
    pcre2_general_context *general = pcre2_general_context_create(pcre_malloc, pcre_free, NULL);
    pcre2_compile_context *ctx = general ? pcre2_compile_context_create(general) : NULL;
    if (!ctx) {
        s = TT_E_NOMEM;
        goto done;
    }
    pcre2_set_newline(ctx, PCRE2_NEWLINE_LF);
    r->code = pcre2_compile((PCRE2_SPTR)translated->p, translated->len,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NO_UTF_CHECK, &code,
                            &where, ctx);
    if (!r->code) {
        if (code == PCRE2_ERROR_NOMEMORY || code == PCRE2_ERROR_HEAP_FAILED) {
            s = TT_E_NOMEM;
            goto done;
        }
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        s = tti_fail(TT_E_UNSUPPORTED, "regular expression %.200s: %s", r->name, why);
        goto done;
    }
    r->jit = pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE) == 0;
done:
    pcre2_compile_context_free(ctx);
    pcre2_general_context_free(general);
    return s;
}

tt_status tti_regex_new(tti_regex **out, const char *pattern, size_t n) {
    tti_str translated = {0};
    tt_status s = TT_OK;
    tti_regex *r = tti_calloc(1, sizeof *r);
    if (!r) return TT_E_NOMEM;
    r->name = tti_strndup(pattern, n);
    if (!r->name) {
        s = TT_E_NOMEM;
        goto done;
    }
    TT_GO(tti_regex_translate(&translated, pattern, n));
    tti_str_putc(&translated, 0); /* an empty pattern needs a pointer too */
    TT_GO(translated.status);
    translated.len--;
    TT_GO(compile(r, &translated));
done:
    tti_str_free(&translated);
    if (s == TT_OK)
        *out = r;
    else
        tti_regex_free(r);
    return s;
}

tt_status tti_regex_literal(tti_regex **out, const char *text, size_t n) {
    tti_regex *r = tti_calloc(1, sizeof *r);
    if (!r) return TT_E_NOMEM;
    r->literal = (uint8_t *)tti_strndup(text, n);
    r->n = n;
    if (!r->literal) {
        tti_regex_free(r);
        return TT_E_NOMEM;
    }
    *out = r;
    return TT_OK;
}

void tti_regex_free(tti_regex *r) {
    if (!r) return;
    pcre2_code_free(r->code);
    tti_free(r->literal);
    tti_free(r->name);
    tti_free(r);
}

void tti_regex_match_data_free(void *match_data) { pcre2_match_data_free(match_data); }

static uint32_t stand_in(uint32_t cp) {
    size_t lo = 0, hi = tti_uc_n_stand_ins;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (tti_uc_stand_ins[mid].last < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    bool in = lo < tti_uc_n_stand_ins && tti_uc_stand_ins[lo].first <= cp;
    return in ? tti_uc_stand_ins[lo].as : cp;
}

/* The text with characters that PCRE2 may classify otherwise replaced by ones of the right
 * category and the same length; the text itself where there are none. */
static tt_status shadow(tti_work *w, const uint8_t **text, size_t n) {
    const uint8_t *p = *text;
    bool copied = false;
    for (size_t i = 0, k; i < n; i += k) {
        if (p[i] < 0xC2) {
            k = 1;
            continue;
        }
        uint32_t cp = tti_utf8_get(p + i, &k), as = stand_in(cp);
        if (as == cp) continue;
        if (!copied) {
            TT_TRY(TTI_GROW(w->shadow, w->cap_shadow, n));
            memcpy(w->shadow, p, n);
            copied = true;
        }
        tti_utf8_put(w->shadow + i, as);
    }
    if (copied) *text = w->shadow;
    return TT_OK;
}

/* Finds the next match from byte at on. */
static tt_status next(const tti_regex *r, tti_work *w, const uint8_t *p, size_t n, size_t at,
                      size_t *begin, size_t *end) {
    pcre2_match_data *md = w->match_data;
    int rc = pcre2_match(r->code, p, n, at, PCRE2_NO_UTF_CHECK, md, NULL);
    if (rc < PCRE2_ERROR_PARTIAL && r->jit) /* the small stack of compiled matching */
        rc = pcre2_match(r->code, p, n, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, md, NULL);
    if (rc == PCRE2_ERROR_NOMATCH) return *begin = *end = SIZE_MAX, TT_OK;
    if (rc == PCRE2_ERROR_NOMEMORY) return TT_E_NOMEM;
    if (rc < 0) {
        char why[120];
        pcre2_get_error_message(rc, (PCRE2_UCHAR *)why, sizeof why);
        return tti_fail(TT_E_DATA,
                        "regular expression %.200s: text cannot be matched: %s; "
                        "shorten the text",
                        r->name, why);
    }
    size_t *v = pcre2_get_ovector_pointer(md);
    *begin = TT_MIN(v[0], v[1]);
    *end = v[1];
    return TT_OK;
}

static tt_status find_literal(const tti_regex *r, tti_work *w, const uint8_t *p, size_t n,
                              size_t base) {
    size_t from = 0, at = 0;
    while (r->n && at < n) {
        const uint8_t *hit = memmem(p + at, n - at, r->literal, r->n);
        if (!hit) break;
        at = (size_t)(hit - p);
        if (from != at) TT_TRY(tti_matches_add(&w->matches, base + from, base + at, false));
        TT_TRY(tti_matches_add(&w->matches, base + at, base + at + r->n, true));
        from = at += r->n;
    }
    if (from != n) TT_TRY(tti_matches_add(&w->matches, base + from, base + n, false));
    return TT_OK;
}

tt_status tti_regex_all(const tti_regex *r, tti_work *w, const uint8_t *p, size_t n, size_t base) {
    w->matches.n = 0;
    if (!n) return tti_matches_add(&w->matches, base, base, false);
    if (!r->code) return find_literal(r, w, p, n, base);
    if (!w->match_data) {
        pcre2_general_context *g = pcre2_general_context_create(pcre_malloc, pcre_free, NULL);
        if (g) w->match_data = pcre2_match_data_create(1, g);
        pcre2_general_context_free(g);
        if (!w->match_data) return TT_E_NOMEM;
    }
    TT_TRY(shadow(w, &p, n));
    size_t from = 0, at = 0, last = SIZE_MAX, begin = 0, end = 0;
    while (at <= n) {
        TT_TRY(next(r, w, p, n, at, &begin, &end));
        if (begin == SIZE_MAX) break;
        if (begin == end && last == end) { /* an empty match beside the last one does not count */
            at = end < n ? end + tti_utf8_len(p[end]) : n + 1;
            continue;
        }
        if (from != begin) TT_TRY(tti_matches_add(&w->matches, base + from, base + begin, false));
        TT_TRY(tti_matches_add(&w->matches, base + begin, base + end, true));
        from = at = last = end;
    }
    if (from != n) TT_TRY(tti_matches_add(&w->matches, base + from, base + n, false));
    return TT_OK;
}
