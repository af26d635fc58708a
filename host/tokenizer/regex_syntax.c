// SPDX-License-Identifier: Apache-2.0
/* regex_syntax.c - from Oniguruma's Ruby syntax to PCRE2's.
 * Most is the same. Different are: \w (PCRE2 takes numbers and no marks), \h, the letters of option
 * groups, ^ and $ (always at lines: an option when compiling), {,n}, scripts in \p{}, and what a
 * quantifier after {n} means. What has no counterpart is refused. */
#include "host/tokenizer/regex.h"

#define WORD                                                                                   \
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}\\x{24b6}-\\x{24e9}" \
    "\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"
#define EDGE "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))"

typedef struct {
    const char *p, *end;
    const char *all; /* for messages */
    size_t n;
    tti_str *out;
} reader;

static tt_status refuse(const reader *r, const char *what) {
    return tti_fail(TT_E_UNSUPPORTED, "regular expression %.*s: %s is not supported",
                    (int)TT_MIN(r->n, (size_t)200), r->all, what);
}

static bool next_is(const reader *r, const char *z) {
    size_t n = strlen(z);
    return (size_t)(r->end - r->p) >= n && !memcmp(r->p, z, n);
}

/* \p{..} or \P{..}; r->p is past the p. Names of more than two letters are scripts, as far as they
 * are not names of categories; other properties change too much from one Unicode to the next. */
static tt_status property(reader *r, char letter) {
    static const char *const names[][2] = {
        {"letter", "L"},      {"number", "N"},    {"mark", "M"},  {"symbol", "S"},
        {"punctuation", "P"}, {"separator", "Z"}, {"any", "Any"}, {"punct", "P"},
    };
    if (r->p >= r->end || *r->p != '{') return refuse(r, "\\p without braces");
    const char *close = memchr(r->p, '}', (size_t)(r->end - r->p));
    if (!close) return refuse(r, "\\p{ without its brace");
    const char *name = r->p + 1, *as = NULL;
    size_t n = (size_t)(close - name);
    r->p = close + 1;
    tti_str_printf(r->out, "\\%c{", letter);
    if (n && *name == '^') tti_str_putc(r->out, '^'), name++, n--;
    for (size_t i = 0; i < TT_COUNT(names); i++)
        if (n == strlen(names[i][0]) && !strncasecmp(name, names[i][0], n)) as = names[i][1];
    if (as) {
        tti_str_puts(r->out, as);
    } else {
        if (n > 2) tti_str_puts(r->out, "sc:");
        tti_str_add(r->out, name, n);
    }
    tti_str_putc(r->out, '}');
    return TT_OK;
}

/* After a backslash. */
static tt_status escape(reader *r, bool in_class) {
    if (r->p >= r->end) return refuse(r, "a backslash at the end");
    char c = *r->p++;
    switch (c) {
    case 'p':
    case 'P': return property(r, c);
    case 'w': tti_str_puts(r->out, in_class ? WORD : "[" WORD "]"); return TT_OK;
    case 'h': tti_str_puts(r->out, in_class ? "0-9a-fA-F" : "[0-9a-fA-F]"); return TT_OK;
    case 'W':
        if (in_class) return refuse(r, "\\W in a character class");
        tti_str_puts(r->out, "[^" WORD "]");
        return TT_OK;
    case 'H':
        if (in_class) return refuse(r, "\\H in a character class");
        tti_str_puts(r->out, "[^0-9a-fA-F]");
        return TT_OK;
    case 'v': tti_str_puts(r->out, "\\x0b"); return TT_OK; /* a class to PCRE2 */
    case 'b': tti_str_puts(r->out, in_class ? "\\x08" : EDGE); return TT_OK;
    case 'B':
        if (in_class) return refuse(r, "\\B in a character class");
        tti_str_puts(r->out, "(?!" EDGE ")");
        return TT_OK;
    case 'u': { /* \uHHHH */
        if (r->end - r->p < 4) return refuse(r, "\\u without four digits");
        tti_str_printf(r->out, "\\x{%.4s}", r->p);
        r->p += 4;
        return TT_OK;
    }
    case 'C':
    case 'M':
    case 'Q':
    case 'E':
    case 'K':
    case 'O':
    case 'N':
    case 'X':
    case 'y':
    case 'Y':
    case 'g':
    case 'k':
    case 'c':
    case 'R':
    case 'G': {
        char what[] = {'\\', c, 0};
        return refuse(r, what);
    }
    default: break;
    }
    tti_str_putc(r->out, '\\');
    tti_str_putc(r->out, c);
    return TT_OK;
}

/* [:name:] inside a class; false where it is none of these. r->p is at the bracket. */
static bool posix_class(reader *r) {
    static const char *const map[][2] = {{"[:digit:]", "\\p{Nd}"},
                                         {"[:space:]", "\\s"},
                                         {"[:xdigit:]", "0-9a-fA-F"},
                                         {"[:ascii:]", "\\x00-\\x7f"},
                                         {"[:punct:]", "\\p{P}\\p{S}"}};
    for (size_t i = 0; i < TT_COUNT(map); i++) {
        if (!next_is(r, map[i][0])) continue;
        tti_str_puts(r->out, map[i][1]);
        r->p += strlen(map[i][0]);
        return true;
    }
    return false;
}

/* A character class; r->p is past its opening bracket. A class inside it only adds its members. */
static tt_status class_body(reader *r) {
    size_t depth = 1;
    tti_str_putc(r->out, '[');
    if (next_is(r, "^")) tti_str_putc(r->out, '^'), r->p++;
    if (next_is(r, "]")) tti_str_puts(r->out, "\\]"), r->p++;
    while (r->p < r->end) {
        if (next_is(r, "&&")) return refuse(r, "an intersection of character classes (&&)");
        if (*r->p == ']') {
            r->p++;
            if (--depth == 0) return tti_str_putc(r->out, ']'), TT_OK;
        } else if (*r->p == '[') {
            if (posix_class(r)) continue;
            if (next_is(r, "[^") || next_is(r, "[:") || next_is(r, "[]"))
                return refuse(r, "such a character class inside another");
            depth++;
            r->p++;
        } else if (*r->p == '\\') {
            r->p++;
            TT_TRY(escape(r, true));
        } else {
            tti_str_putc(r->out, *r->p++);
        }
    }
    return refuse(r, "a character class without its end");
}

/* After "(?": option letters differ, m is what PCRE2 calls s. */
static tt_status group(reader *r) {
    tti_str_puts(r->out, "(?");
    if (r->p >= r->end) return refuse(r, "an open group");
    if (strchr(":=!>#|", *r->p)) return TT_OK;
    if (*r->p == '<') {
        if (next_is(r, "<=") || next_is(r, "<!")) return TT_OK;
        return refuse(r, "a named group");
    }
    while (r->p < r->end && strchr("imx-", *r->p)) {
        tti_str_putc(r->out, *r->p == 'm' ? 's' : *r->p);
        r->p++;
    }
    if (r->p < r->end && (*r->p == ':' || *r->p == ')')) return TT_OK;
    return refuse(r, "an option or kind of group");
}

/* At "{": a quantifier, or a brace that stands for itself. */
static tt_status braces(reader *r) {
    const char *q = r->p + 1;
    bool from = false, comma = false, to = false;
    while (q < r->end && *q >= '0' && *q <= '9') from = true, q++;
    if (q < r->end && *q == ',') comma = true, q++;
    while (q < r->end && *q >= '0' && *q <= '9') to = true, q++;
    if (q >= r->end || *q != '}' || (!from && !to)) {
        tti_str_puts(r->out, "\\{");
        r->p++;
        return TT_OK;
    }
    q++;
    if (q < r->end && *q == '+') return refuse(r, "a + after {}");
    if (q < r->end && *q == '?' && !comma) return refuse(r, "a ? after {n}");
    tti_str_puts(r->out, from ? "{" : "{0");
    tti_str_add(r->out, r->p + 1, (size_t)(q - r->p - 1));
    r->p = q;
    return TT_OK;
}

tt_status tti_regex_translate(tti_str *out, const char *pattern, size_t n) {
    reader r = {pattern, pattern + n, pattern, n, out};
    while (r.p < r.end) {
        char c = *r.p;
        if (c == '\\') {
            r.p++;
            TT_TRY(escape(&r, false));
        } else if (c == '[') {
            r.p++;
            TT_TRY(class_body(&r));
        } else if (c == '{') {
            TT_TRY(braces(&r));
        } else if (next_is(&r, "(?")) {
            r.p += 2;
            TT_TRY(group(&r));
        } else if (next_is(&r, "(*")) {
            return refuse(&r, "(*");
        } else {
            tti_str_putc(out, c);
            r.p++;
        }
    }
    return out->status;
}
