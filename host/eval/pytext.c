// SPDX-License-Identifier: Apache-2.0
/* pytext.c - Python's str methods over UTF-8. */
#include <string.h>
#include <utf8proc.h>
#include "host/eval/pytext.h"

/* One character; bytes that are no UTF-8 count one each. Gives its length. */
static size_t next(const char *s, size_t n, utf8proc_int32_t *c) {
    const utf8proc_ssize_t k =
        utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, c);
    return k > 0 ? (size_t)k : 1;
}

/* str.isspace(), which is also \s of a pattern. */
static bool is_space(utf8proc_int32_t c) {
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

size_t tti_py_len(const char *s, size_t n) {
    size_t count = 0;
    utf8proc_int32_t c;
    for (size_t i = 0; i < n; count++) i += next(s + i, n - i, &c);
    return count;
}

size_t tti_py_rstrip(const char *s, size_t n) {
    size_t end = 0;
    utf8proc_int32_t c;
    for (size_t i = 0; i < n;) {
        i += next(s + i, n - i, &c);
        if (!is_space(c)) end = i;
    }
    return end;
}

size_t tti_py_lstrip(const char *s, size_t n) {
    utf8proc_int32_t c;
    for (size_t i = 0, k; i < n; i += k) {
        k = next(s + i, n - i, &c);
        if (!is_space(c)) return i;
    }
    return n;
}

size_t tti_py_words(const char *s, size_t n) {
    size_t parts = 1;
    bool inside = false;
    utf8proc_int32_t c;
    for (size_t i = 0; i < n;) {
        i += next(s + i, n - i, &c);
        parts += is_space(c) && !inside;
        inside = is_space(c);
    }
    return parts;
}

void tti_py_strip(tti_str *out, const char *s) {
    const size_t n = tti_py_rstrip(s, strlen(s)), from = tti_py_lstrip(s, n);
    tti_str_add(out, s + from, n - from);
}

void tti_py_capitalize(tti_str *out, const char *s) {
    const size_t n = strlen(s);
    utf8proc_int32_t c;
    for (size_t i = 0, k; i < n; i += k) {
        utf8proc_uint8_t buf[4];
        k = next(s + i, n - i, &c);
        if (c < 0) {
            tti_str_add(out, s + i, k);
            continue;
        }
        c = i == 0 ? utf8proc_totitle(c) : utf8proc_tolower(c);
        tti_str_add(out, buf, (size_t)utf8proc_encode_char(c, buf));
    }
}

void tti_py_replace(tti_str *out, const char *s, const char *from, const char *to) {
    for (const char *at; (at = strstr(s, from)); s = at + strlen(from)) {
        tti_str_add(out, s, (size_t)(at - s));
        tti_str_puts(out, to);
    }
    tti_str_puts(out, s);
}

void tti_py_without_brackets(tti_str *out, const char *s) {
    while (*s) {
        const size_t plain = strcspn(s, "[");
        tti_str_add(out, s, plain);
        s += plain;
        if (!*s) break;
        const size_t inside = strcspn(s, "]\n");
        if (s[inside] == ']') {
            s += inside + 1;
        } else { /* the pattern's dot takes no newline: the bracket stays */
            tti_str_putc(out, *s++);
        }
    }
}
