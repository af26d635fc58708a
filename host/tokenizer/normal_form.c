// SPDX-License-Identifier: Apache-2.0
/* normal_form.c - NFC, NFD, NFKC and NFKD.
 * utf8proc knows the decompositions; characters that are younger than the `tokenizers` package's
 * tables (TTI_UC_INERT) are left alone, as it does. */
#include "host/tokenizer/normalize.h"

#include <stdlib.h>
#include <utf8proc.h>

enum { DECOMPOSED_MAX = 32 };

static bool all_below(const tti_text *t, uint8_t lead) {
    for (size_t i = 0; i < t->n; i++)
        if (t->p[i] >= lead) return false;
    return true;
}

static tt_status decompose(tti_work *w, bool compatible) {
    const tti_text *t = &w->cur;
    utf8proc_option_t how = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
    if (compatible) how |= UTF8PROC_COMPAT;
    w->n_mark = 0;
    for (size_t i = 0, k; i < t->n; i += k) {
        utf8proc_int32_t part[DECOMPOSED_MAX];
        uint32_t cp = tti_utf8_get(t->p + i, &k);
        utf8proc_ssize_t n = 1;
        part[0] = (utf8proc_int32_t)cp;
        bool inert = cp < 0x80 || tti_uc_is(cp, TTI_UC_INERT);
        if (!inert)
            n = utf8proc_decompose_char((utf8proc_int32_t)cp, part, DECOMPOSED_MAX, how, NULL);
        if (n < 0 || n > DECOMPOSED_MAX)
            return tti_fail(TT_E_INTERNAL, "utf8proc: U+%04X: %s", cp, utf8proc_errmsg(n));
        TT_TRY(TTI_GROW(w->mark, w->cap_mark, w->n_mark + (size_t)n));
        for (utf8proc_ssize_t j = 0; j < n; j++) {
            uint8_t order = 0;
            if (!inert) order = (uint8_t)utf8proc_get_property(part[j])->combining_class;
            w->mark[w->n_mark++] = (tti_mark){part[j], order, j == 0, {0, 0}};
        }
    }
    return TT_OK;
}

static int by_key(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Sorts marks begin..end by combining class, equal ones staying in order. */
static tt_status sort_run(tti_work *w, size_t begin, size_t end) {
    size_t n = end - begin;
    tti_mark *m = w->mark + begin;
    if (n <= 16) {
        for (size_t i = 1; i < n; i++) {
            tti_mark x = m[i];
            size_t j = i;
            for (; j > 0 && m[j - 1].order > x.order; j--) m[j] = m[j - 1];
            m[j] = x;
        }
        return TT_OK;
    }
    TT_TRY(TTI_GROW(w->key, w->cap_key, n));
    TT_TRY(TTI_GROW(w->sorted, w->cap_sorted, n));
    for (size_t i = 0; i < n; i++) w->key[i] = (uint64_t)m[i].order << 32 | i;
    qsort(w->key, n, sizeof *w->key, by_key);
    for (size_t i = 0; i < n; i++) w->sorted[i] = m[w->key[i] & UINT32_MAX];
    memcpy(m, w->sorted, n * sizeof *m);
    return TT_OK;
}

static tt_status reorder(tti_work *w) {
    for (size_t i = 0; i < w->n_mark;) {
        size_t j = i;
        while (j < w->n_mark && w->mark[j].order) j++;
        if (j - i > 1) TT_TRY(sort_run(w, i, j));
        i = j + 1;
    }
    return TT_OK;
}

/* Places are given in the order of the text, whatever was reordered, as the package does. */
static void place(tti_work *w) {
    const tti_text *t = &w->cur;
    tti_span at = {t->at[0].from, t->at[0].from};
    for (size_t i = 0, from = 0; i < w->n_mark; i++) {
        if (w->mark[i].first) {
            at = t->at[from];
            from += tti_utf8_len(t->p[from]);
        }
        w->mark[i].at = at;
    }
}

/* Composes marks begin..end and appends them to w->next. */
static tt_status compose_run(tti_work *w, size_t begin, size_t end) {
    size_t n = end - begin;
    TT_TRY(TTI_GROW(w->cps, w->cap_cps, n));
    for (size_t i = 0; i < n; i++) w->cps[i] = w->mark[begin + i].cp;
    utf8proc_ssize_t left =
        utf8proc_normalize_utf32(w->cps, (utf8proc_ssize_t)n, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (left < 0) return tti_fail(TT_E_INTERNAL, "utf8proc: %s", utf8proc_errmsg(left));
    size_t at = begin;
    for (utf8proc_ssize_t i = 0; i < left; i++) {
        utf8proc_int32_t part[DECOMPOSED_MAX];
        tti_text_put(&w->next, (uint32_t)w->cps[i], w->mark[TT_MIN(at, end - 1)].at);
        utf8proc_ssize_t k = 1;
        if (w->cps[i] >= 0x80)
            k = utf8proc_decompose_char(w->cps[i], part, DECOMPOSED_MAX,
                                        UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, NULL);
        at += k > 0 ? (size_t)k : 1;
    }
    return w->next.status;
}

static tt_status compose(tti_work *w) {
    for (size_t i = 0; i < w->n_mark;) {
        size_t j = i;
        while (j < w->n_mark && !tti_uc_is((uint32_t)w->mark[j].cp, TTI_UC_INERT)) j++;
        if (j > i) TT_TRY(compose_run(w, i, j));
        if (j < w->n_mark) tti_text_put(&w->next, (uint32_t)w->mark[j].cp, w->mark[j].at);
        i = j + 1;
    }
    return w->next.status;
}

tt_status tti_normal_form(tti_work *w, bool compatible, bool composed) {
    /* below U+0080 nothing changes; below U+0300 no canonical composition is left to do */
    if (all_below(&w->cur, composed && !compatible ? 0xCC : 0x80)) return TT_OK;
    TT_TRY(decompose(w, compatible));
    TT_TRY(reorder(w));
    place(w);
    w->next.n = 0;
    if (composed) {
        TT_TRY(compose(w));
    } else {
        for (size_t i = 0; i < w->n_mark; i++)
            tti_text_put(&w->next, (uint32_t)w->mark[i].cp, w->mark[i].at);
        TT_TRY(w->next.status);
    }
    tti_text_swap(&w->cur, &w->next);
    return TT_OK;
}
