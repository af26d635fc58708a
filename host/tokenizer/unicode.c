// SPDX-License-Identifier: Apache-2.0
#include "host/tokenizer/unicode.h"

#include <pthread.h>

uint8_t tti_uc_table[0x110000];

static void fill(void) {
    for (size_t bit = 0; bit < 8; bit++) {
        const tti_uc_steps s = tti_uc_classes[bit];
        uint32_t cp = 0;
        for (size_t i = 0; i + 1 < s.n; i += 2) {
            cp += s.step[i];
            for (unsigned k = 0; k < s.step[i + 1]; k++) tti_uc_table[cp++] |= (uint8_t)(1u << bit);
        }
    }
}

void tti_uc_init(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill);
}

uint32_t tti_uc_lower(uint32_t cp) {
    if (cp < 0x80) return cp - 'A' < 26u ? cp + 32 : cp;
    size_t lo = 0, hi = tti_uc_n_lower_runs;
    while (lo < hi) { /* the first run that starts beyond cp */
        size_t mid = (lo + hi) / 2;
        if (tti_uc_lower_runs[mid].first <= cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    /* runs with a stride may enclose the next one */
    for (size_t back = 0; back < 2 && lo-- > 0; back++) {
        const tti_uc_lower_run *r = &tti_uc_lower_runs[lo];
        uint32_t off = cp - r->first;
        if (off % r->stride == 0 && off / r->stride < r->count)
            return (uint32_t)((int32_t)cp + r->delta);
    }
    return cp;
}

uint32_t tti_utf8_before(const uint8_t *p, size_t *n) {
    size_t k = 1;
    while ((p[-(ptrdiff_t)k] & 0xC0) == 0x80) k++;
    return tti_utf8_get(p - k, n);
}

size_t tti_utf8_put(uint8_t *p, uint32_t cp) {
    if (cp < 0x80) return p[0] = (uint8_t)cp, 1;
    if (cp < 0x800) {
        p[0] = (uint8_t)(0xC0 | cp >> 6);
        p[1] = (uint8_t)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        p[0] = (uint8_t)(0xE0 | cp >> 12);
        p[1] = (uint8_t)(0x80 | (cp >> 6 & 0x3F));
        p[2] = (uint8_t)(0x80 | (cp & 0x3F));
        return 3;
    }
    p[0] = (uint8_t)(0xF0 | cp >> 18);
    p[1] = (uint8_t)(0x80 | (cp >> 12 & 0x3F));
    p[2] = (uint8_t)(0x80 | (cp >> 6 & 0x3F));
    p[3] = (uint8_t)(0x80 | (cp & 0x3F));
    return 4;
}

size_t tti_utf8_check(const uint8_t *p, size_t n, size_t *bad) {
    uint8_t lead = p[0];
    if (lead < 0x80) return 1;
    *bad = 1;
    if (lead < 0xC2 || lead > 0xF4) return 0;
    size_t len = tti_utf8_len(lead);
    uint8_t least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    uint8_t most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    for (size_t i = 1; i < len; i++, least = 0x80, most = 0xBF) {
        if (i >= n || p[i] < least || p[i] > most) return *bad = i, 0;
    }
    return len;
}

bool tti_utf8_valid(const void *text, size_t n, size_t *where) {
    const uint8_t *p = text;
    for (size_t i = 0, bad; i < n;) {
        size_t k = tti_utf8_check(p + i, n - i, &bad);
        if (!k) return *where = i, false;
        i += k;
    }
    return true;
}

void tti_utf8_repair(tti_str *out, const void *text, size_t n) {
    const uint8_t *p = text;
    size_t i = 0, from = 0, bad;
    while (i < n) {
        size_t k = tti_utf8_check(p + i, n - i, &bad);
        if (!k) {
            tti_str_add(out, p + from, i - from);
            tti_str_puts(out, "\xEF\xBF\xBD");
            from = i + bad;
            k = bad;
        }
        i += k;
    }
    tti_str_add(out, p + from, n - from);
}
