// SPDX-License-Identifier: Apache-2.0
#include "host/tokenizer/normalize.h"

static bool ascii(const tti_text *t) {
    for (size_t i = 0; i < t->n; i++)
        if (t->p[i] >= 0x80) return false;
    return true;
}

/* Runs body for each code point of w->cur (cp, its place at, its length k), which appends to
 * w->next, then makes that the current text. */
#define EACH(w, body)                                         \
    do {                                                      \
        const tti_text *t_ = &(w)->cur;                       \
        tti_text *const to = &(w)->next;                      \
        to->n = 0;                                            \
        for (size_t i_ = 0, k; i_ < t_->n; i_ += k) {         \
            const uint32_t cp = tti_utf8_get(t_->p + i_, &k); \
            const tti_span at = t_->at[i_];                   \
            body;                                             \
        }                                                     \
        TT_TRY(to->status);                                   \
        tti_text_swap(&(w)->cur, &(w)->next);                 \
    } while (0)

static bool chinese(uint32_t cp) {
    return (cp >= 0x4E00 && cp <= 0x9FFF) || (cp >= 0x3400 && cp <= 0x4DBF) ||
           (cp >= 0x20000 && cp <= 0x2A6DF) || (cp >= 0x2A700 && cp <= 0x2B81F) ||
           (cp >= 0x2B920 && cp <= 0x2CEAF) || (cp >= 0xF900 && cp <= 0xFAFF) ||
           (cp >= 0x2F800 && cp <= 0x2FA1F);
}

static void put_lower(tti_text *to, uint32_t cp, tti_span at) {
    if (cp == 0x130)
        tti_text_bytes(to, "i\xCC\x87", 3, at);
    else
        tti_text_put(to, tti_uc_lower(cp), at);
}

/* What BERT's normalizer does to a text of ASCII only, in place: nothing becomes longer. */
static void bert_ascii(const tti_norm *n, tti_text *t) {
    size_t to = 0;
    for (size_t i = 0; i < t->n; i++) {
        uint8_t c = t->p[i];
        if (n->clean) {
            if (c >= '\t' && c <= '\r' && c != '\v' && c != '\f')
                c = ' ';
            else if (c < 0x20 || c == 0x7F)
                continue;
        }
        if (n->lower && (uint8_t)(c - 'A') < 26) c = (uint8_t)(c + 32);
        t->p[to] = c;
        t->at[to++] = t->at[i];
    }
    t->n = to;
}

static tt_status bert(const tti_norm *n, tti_work *w) {
    if (ascii(&w->cur)) {
        bert_ascii(n, &w->cur);
        return TT_OK;
    }
    if (n->clean || n->chinese) {
        tti_span before = w->cur.at[0];
        before.to = before.from;
        EACH(w, {
            bool removed = n->clean && (tti_uc_is(cp, TTI_UC_CONTROL) || !cp) && cp != '\t' &&
                           cp != '\n' && cp != '\r';
            if (removed) continue;
            bool space = n->clean && tti_uc_is(cp, TTI_UC_SPACE);
            bool apart = n->chinese && chinese(cp);
            if (apart) tti_text_put(to, ' ', before);
            tti_text_put(to, space ? ' ' : cp, at);
            if (apart) tti_text_put(to, ' ', at);
            before = at;
        });
    }
    if (n->accents) {
        TT_TRY(tti_normal_form(w, false, false));
        EACH(w, if (!tti_uc_is(cp, TTI_UC_NONSPACING)) tti_text_put(to, cp, at););
    }
    if (n->lower) EACH(w, put_lower(to, cp, at););
    return TT_OK;
}

static tt_status lowercase(tti_work *w) {
    if (ascii(&w->cur)) {
        for (size_t i = 0; i < w->cur.n; i++)
            if ((uint8_t)(w->cur.p[i] - 'A') < 26) w->cur.p[i] = (uint8_t)(w->cur.p[i] + 32);
        return TT_OK;
    }
    EACH(w, put_lower(to, cp, at););
    return TT_OK;
}

static bool nmt_removes(uint32_t c) {
    return (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F ||
           c == 0x9F;
}

static bool nmt_space(uint32_t c) {
    return c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
           (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
           c == 0xFEFF || c == 0xFFFD;
}

static tt_status nmt(tti_work *w) {
    EACH(w, if (!nmt_removes(cp)) tti_text_put(to, nmt_space(cp) ? ' ' : cp, at););
    return TT_OK;
}

static tt_status strip(const tti_norm *n, tti_work *w) {
    const tti_text *t = &w->cur;
    size_t begin = 0, end = t->n, k;
    if (n->left)
        while (begin < end && tti_uc_is(tti_utf8_get(t->p + begin, &k), TTI_UC_SPACE)) begin += k;
    if (n->right)
        while (end > begin && tti_uc_is(tti_utf8_before(t->p + end, &k), TTI_UC_SPACE)) end -= k;
    if (begin == 0 && end == t->n) return TT_OK;
    w->next.n = 0;
    tti_text_copy(&w->next, t, begin, end);
    TT_TRY(w->next.status);
    tti_text_swap(&w->cur, &w->next);
    return TT_OK;
}

static tt_status replace(const tti_norm *n, tti_work *w) {
    TT_TRY(tti_regex_all(n->pattern, w, w->cur.p, w->cur.n, 0));
    if (w->matches.n == 1 && !w->matches.v[0].hit) return TT_OK;
    w->next.n = 0;
    for (size_t i = 0; i < w->matches.n; i++) {
        const tti_match m = w->matches.v[i];
        if (m.hit) {
            /* the new text stands for the last character that it replaces */
            tti_span at = m.end ? w->cur.at[m.end - 1] : (tti_span){0, 0};
            tti_text_bytes(&w->next, n->text, n->n, at);
        } else {
            tti_text_copy(&w->next, &w->cur, m.begin, m.end);
        }
    }
    TT_TRY(w->next.status);
    tti_text_swap(&w->cur, &w->next);
    return TT_OK;
}

static tt_status prepend(const tti_norm *n, tti_work *w) {
    if (!w->cur.n) return TT_OK;
    w->next.n = 0;
    tti_text_bytes(&w->next, n->text, n->n, w->cur.at[0]);
    tti_text_copy(&w->next, &w->cur, 0, w->cur.n);
    TT_TRY(w->next.status);
    tti_text_swap(&w->cur, &w->next);
    return TT_OK;
}

static tt_status byte_level(tti_work *w) {
    w->next.n = 0;
    tti_byte_level(&w->next, &w->cur, 0, w->cur.n);
    TT_TRY(w->next.status);
    tti_text_swap(&w->cur, &w->next);
    return TT_OK;
}

static tt_status apply(const tti_norm *n, tti_work *w) {
    switch (n->kind) {
    case TTI_NORM_BERT: return bert(n, w);
    case TTI_NORM_NFC: return tti_normal_form(w, false, true);
    case TTI_NORM_NFD: return tti_normal_form(w, false, false);
    case TTI_NORM_NFKC: return tti_normal_form(w, true, true);
    case TTI_NORM_NFKD: return tti_normal_form(w, true, false);
    case TTI_NORM_NMT: return nmt(w);
    case TTI_NORM_LOWERCASE: return lowercase(w);
    case TTI_NORM_STRIP: return strip(n, w);
    case TTI_NORM_STRIP_ACCENTS:
        EACH(w, if (!tti_uc_is(cp, TTI_UC_MARK)) tti_text_put(to, cp, at););
        return TT_OK;
    case TTI_NORM_REPLACE: return replace(n, w);
    case TTI_NORM_PREPEND: return prepend(n, w);
    case TTI_NORM_BYTE_LEVEL: return byte_level(w);
    case TTI_NORM_PRECOMPILED: return tti_charsmap_apply(&n->map, w);
    }
    return tti_fail(TT_E_INTERNAL, "normalizer %d", (int)n->kind);
}

tt_status tti_normalize(const tti_norms *n, tti_work *w) {
    for (size_t i = 0; i < n->n && w->cur.n; i++) TT_TRY(apply(&n->v[i], w));
    return TT_OK;
}
