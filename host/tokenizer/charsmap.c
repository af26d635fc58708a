// SPDX-License-Identifier: Apache-2.0
/* charsmap.c - SentencePiece's precompiled table of replacements, as the `tokenizers` package reads
 * it: a cluster of up to five bytes is looked up whole, else each of its characters, and the
 * shortest entry that begins it replaces all of it. */
#include "host/tokenizer/normalize.h"

#include <utf8proc.h>

static int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes in place of a copy; gives the bytes and their number, or false for bad text. */
static bool base64(char *p, size_t *n) {
    uint32_t bits = 0;
    size_t to = 0, count = 0, len = strlen(p);
    while (len && p[len - 1] == '=') len--;
    for (size_t i = 0; i < len; i++) {
        int v = base64_value(p[i]);
        if (v < 0) return false;
        bits = bits << 6 | (uint32_t)v;
        if (++count % 4 == 0) {
            p[to++] = (char)(bits >> 16);
            p[to++] = (char)(bits >> 8);
            p[to++] = (char)bits;
        }
    }
    if (count % 4 == 1) return false;
    if (count % 4 == 2) p[to++] = (char)(bits >> 4);
    if (count % 4 == 3) {
        p[to++] = (char)(bits >> 10);
        p[to++] = (char)(bits >> 2);
    }
    *n = to;
    return true;
}

static uint32_t little32(const char *p) {
    const uint8_t *b = (const uint8_t *)p;
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

tt_status tti_charsmap_load(tti_charsmap *out, const tti_file *f, const char *text) {
    size_t n = 0, where;
    tt_status s = TT_OK;
    char *raw = tti_strdup(text);
    if (!raw) return TT_E_NOMEM;
    if (!*raw) goto done; /* an empty table changes nothing */
    uint32_t size = 0;
    bool ok = base64(raw, &n) && n >= 4;
    if (ok) size = little32(raw);
    if (!ok || size % 4 || size > n - 4 || !tti_utf8_valid(raw + 4 + size, n - 4 - size, &where)) {
        s = tti_fail(TT_E_FORMAT, "%s: normalizer: precompiled_charsmap is damaged", f->name);
        goto done;
    }
    out->n_unit = size / 4;
    out->n_text = n - 4 - size;
    out->unit = tti_calloc(out->n_unit, sizeof *out->unit);
    out->text = tti_strndup(raw + 4 + size, out->n_text);
    if (!out->unit || !out->text) {
        s = TT_E_NOMEM;
        goto done;
    }
    for (size_t i = 0; i < out->n_unit; i++) out->unit[i] = little32(raw + 4 + 4 * i);
done:
    tti_free(raw);
    return s;
}

void tti_charsmap_free(tti_charsmap *m) {
    tti_free(m->unit);
    tti_free(m->text);
}

static uint32_t offset_of(uint32_t unit) { return unit >> 10 << ((unit & 1u << 9) >> 6); }

/* What replaces n bytes at p (of *len bytes), or NULL: the shortest entry that begins them. */
static const char *find(const tti_charsmap *m, const uint8_t *p, size_t n, size_t *len) {
    if (!m->n_unit) return NULL;
    size_t pos = offset_of(m->unit[0]);
    for (size_t i = 0; i < n && p[i]; i++) {
        pos ^= p[i];
        if (pos >= m->n_unit) return NULL;
        uint32_t unit = m->unit[pos];
        if ((unit & (1u << 31 | 0xFF)) != p[i]) return NULL;
        pos ^= offset_of(unit);
        if (pos >= m->n_unit) return NULL;
        if (!(unit >> 8 & 1)) continue;
        size_t at = m->unit[pos] & 0x7FFFFFFF;
        if (at > m->n_text || (at < m->n_text && ((uint8_t)m->text[at] & 0xC0) == 0x80))
            return NULL;
        *len = strlen(m->text + at);
        return m->text + at;
    }
    return NULL;
}

/* What utf8proc, which may be older, is to see of a character. */
static utf8proc_int32_t for_cluster(uint32_t cp) {
    size_t lo = 0, hi = tti_uc_n_young_marks;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (tti_uc_young_marks[mid][1] < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    bool mark = lo < tti_uc_n_young_marks && tti_uc_young_marks[lo][0] <= cp;
    return mark ? 0x300 : (utf8proc_int32_t)cp;
}

/* The end of the grapheme cluster that begins at byte i. */
static size_t cluster_end(const tti_text *t, size_t i) {
    size_t k, end = i;
    utf8proc_int32_t state = 0;
    utf8proc_int32_t before = for_cluster(tti_utf8_get(t->p + end, &k));
    for (end += k; end < t->n; end += k) {
        utf8proc_int32_t cp = for_cluster(tti_utf8_get(t->p + end, &k));
        if (utf8proc_grapheme_break_stateful(before, cp, &state)) break;
        before = cp;
    }
    return end;
}

tt_status tti_charsmap_apply(const tti_charsmap *m, tti_work *w) {
    const tti_text *t = &w->cur;
    size_t len, k;
    w->next.n = 0;
    for (size_t i = 0; i < t->n;) {
        size_t end = cluster_end(t, i);
        const char *by = end - i < 6 ? find(m, t->p + i, end - i, &len) : NULL;
        if (by) {
            tti_text_bytes(&w->next, by, len, (tti_span){t->at[i].from, t->at[end - 1].to});
            i = end;
        }
        for (; i < end; i += k) {
            k = tti_utf8_len(t->p[i]);
            by = find(m, t->p + i, k, &len);
            if (by)
                tti_text_bytes(&w->next, by, len, t->at[i]);
            else
                tti_text_copy(&w->next, t, i, i + k);
        }
    }
    TT_TRY(w->next.status);
    tti_text_swap(&w->cur, &w->next);
    return TT_OK;
}
