// SPDX-License-Identifier: Apache-2.0
/* template_jinja_lex.c - text, tags and the tokens in them. */
#include <ctype.h>
#include <stdarg.h>
#include "host/data/template_jinja_internal.h"

void *tti_jinja_fail(tti_jsource *j, tt_status code, const char *fmt, ...) {
    if (j->status != TT_OK) return NULL;
    char what[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    j->status = tti_fail(code, "%s:%zu: %s", j->name, j->line, what);
    return NULL;
}

tti_jnode *tti_jinja_node(tti_jsource *j, tti_node_kind kind) {
    if (j->status != TT_OK) return NULL;
    tti_jnode *n = tti_arena_new(j->arena, sizeof *n);
    if (!n) {
        j->status = TT_E_NOMEM;
        return NULL;
    }
    n->kind = kind;
    n->line = j->line;
    return n;
}

static char *copy(tti_jsource *j, const char *s, size_t n) {
    char *c = tti_arena_new(j->arena, n + 1);
    if (!c) {
        j->status = j->status == TT_OK ? TT_E_NOMEM : j->status;
        return NULL;
    }
    return memcpy(c, s, n);
}

static bool space(char c) { return c && strchr(" \t\r\n\f\v", c); }

static void skip_space(tti_jsource *j) {
    for (; j->p < j->end && space(*j->p); j->p++) j->line += *j->p == '\n';
}

static void string_token(tti_jsource *j) {
    const char quote = *j->p++;
    const char *from = j->p;
    while (j->p < j->end && *j->p != quote) {
        j->line += *j->p == '\n';
        j->p += *j->p == '\\' && j->p + 1 < j->end ? 2 : 1;
    }
    if (j->p >= j->end) {
        tti_jinja_fail(j, TT_E_FORMAT, "a string is never closed");
        return;
    }
    char *to = copy(j, from, (size_t)(j->p - from));
    j->token.kind = TOKEN_STRING;
    j->token.s = to;
    for (const char *p = from; to && p < j->p; p++) {
        static const char names[] = "nrtbfv\\'\"", meant[] = "\n\r\t\b\f\v\\'\"";
        const char *k = *p == '\\' && p[1] ? strchr(names, p[1]) : NULL;
        if (*p == '\\' && p[1] && strchr("uxUN0", p[1]))
            tti_jinja_fail(j, TT_E_UNSUPPORTED, "the escape \\%c is not supported", p[1]);
        const bool joined = *p == '\\' && p[1] == '\n'; /* a line that goes on */
        if (!joined) *to++ = k ? meant[k - names] : *p;
        p += k != NULL || joined;
    }
    if (to) *to = 0;
    j->token.n = to ? (size_t)(to - j->token.s) : 0;
    j->p++;
}

static bool close_token(tti_jsource *j) {
    const char *p = j->p;
    const bool sign = *p == '-' || *p == '+';
    if (sign) p++;
    if (j->end - p < 2 || p[1] != '}' || (p[0] != '%' && p[0] != '}')) return false;
    j->token.kind = TOKEN_CLOSE;
    j->token.op = p[0];
    j->token.sign = sign ? *j->p : 0;
    j->p = p + 2;
    return true;
}

static void op_token(tti_jsource *j) {
    static const struct {
        char text[3];
        int op;
    } twos[] = {{"==", OP_EQ}, {"!=", OP_NE}, {"<=", OP_LE}, {">=", OP_GE}, {"//", OP_INT_DIV}};
    j->token.kind = TOKEN_OP;
    for (size_t i = 0; i < TT_COUNT(twos); i++) {
        if (j->end - j->p < 2 || memcmp(j->p, twos[i].text, 2)) continue;
        j->token.op = twos[i].op;
        j->p += 2;
        return;
    }
    if (!strchr("+-*/%~<>=.,:|()[]{}", *j->p))
        tti_jinja_fail(j, TT_E_FORMAT, "unexpected character '%c'", *j->p);
    j->token.op = *j->p++;
}

void tti_jinja_token(tti_jsource *j) {
    if (j->status != TT_OK) return;
    skip_space(j);
    if (j->p >= j->end) {
        tti_jinja_fail(j, TT_E_FORMAT, "a tag is never closed");
        return;
    }
    const char *p = j->p;
    const unsigned char c = (unsigned char)*p;
    if (isalpha(c) || c == '_') {
        while (p < j->end && (isalnum((unsigned char)*p) || *p == '_')) p++;
        j->token.kind = TOKEN_NAME;
        j->token.n = (size_t)(p - j->p);
        j->token.s = copy(j, j->p, j->token.n);
        j->p = p;
    } else if (isdigit(c)) {
        j->token.kind = TOKEN_INT;
        for (j->token.i = 0; p < j->end && isdigit((unsigned char)*p); p++) {
            if (p - j->p > 15) tti_jinja_fail(j, TT_E_FORMAT, "a number is too long");
            if (p - j->p <= 15) j->token.i = j->token.i * 10 + (*p - '0');
        }
        if (p + 1 < j->end && *p == '.' && isdigit((unsigned char)p[1]))
            tti_jinja_fail(j, TT_E_UNSUPPORTED, "numbers with a fraction are not supported");
        j->p = p;
    } else if (c == '\'' || c == '"') {
        string_token(j);
    } else if (!close_token(j)) {
        op_token(j);
    }
}

/* A brace of a map just before the end of a tag, "{{ {}}}", is the lexer's only doubt; templates
 * write a space there. */
bool tti_jinja_is(const tti_jsource *j, const char *s) {
    if (j->status != TT_OK) return false;
    if (j->token.kind == TOKEN_NAME) return !strcmp(j->token.s, s);
    return j->token.kind == TOKEN_OP && j->token.op == *s && !s[1];
}

bool tti_jinja_take(tti_jsource *j, const char *s) {
    if (!tti_jinja_is(j, s)) return false;
    tti_jinja_token(j);
    return true;
}

void tti_jinja_expect(tti_jsource *j, const char *s) {
    if (!tti_jinja_take(j, s)) tti_jinja_fail(j, TT_E_FORMAT, "expected %s", s);
}

const char *tti_jinja_word(tti_jsource *j) {
    if (j->status != TT_OK) return NULL;
    if (j->token.kind != TOKEN_NAME) return tti_jinja_fail(j, TT_E_FORMAT, "expected a name");
    const char *s = j->token.s;
    tti_jinja_token(j);
    return s;
}

/* Behind a tag: `-` takes all white space, a block or comment one newline. */
static void after_tag(tti_jsource *j, char sign, bool block) {
    if (sign == '-') {
        skip_space(j);
    } else if (block && sign != '+' && j->p < j->end && *j->p == '\n') {
        j->p++;
        j->line++;
    }
}

void tti_jinja_close(tti_jsource *j, char tag) {
    if (j->status != TT_OK) return;
    if (j->token.kind != TOKEN_CLOSE || j->token.op != tag) {
        tti_jinja_fail(j, TT_E_FORMAT, "expected the end of the tag");
        return;
    }
    after_tag(j, j->token.sign, tag == '%');
}

/* The text before a tag: without white space for `-`, without indentation before blocks. */
static size_t trimmed(const tti_jsource *j, const char *from, size_t n, char tag, char sign) {
    if (sign == '-') {
        while (n && space(from[n - 1])) n--;
    } else if (tag != '{' && sign != '+') {
        size_t m = n;
        while (m && (from[m - 1] == ' ' || from[m - 1] == '\t')) m--;
        if (m ? from[m - 1] == '\n' : from == j->begin || from[-1] == '\n') n = m;
    }
    return n;
}

static bool skip_comment(tti_jsource *j) {
    for (; j->end - j->p >= 2; j->p++) {
        if (j->p[0] == '#' && j->p[1] == '}') {
            const char sign = j->p[-1];
            j->p += 2;
            after_tag(j, sign, true);
            return true;
        }
        j->line += *j->p == '\n';
    }
    tti_jinja_fail(j, TT_E_FORMAT, "a comment is never closed");
    return false;
}

tti_jnode *tti_jinja_text(tti_jsource *j, char *tag) {
    tti_jnode *first = NULL, **last = &first;
    for (;;) {
        const char *from = j->p;
        while (j->p < j->end &&
               !(j->p[0] == '{' && j->end - j->p > 1 && strchr("{%#", j->p[1]) && j->p[1])) {
            j->line += *j->p == '\n';
            j->p++;
        }
        const bool found = j->p < j->end;
        const char kind = found ? j->p[1] : 0;
        const char sign = found && j->end - j->p > 2 ? j->p[2] : 0;
        size_t n = (size_t)(j->p - from);
        if (found) n = trimmed(j, from, n, kind, sign);
        if (n && (*last = tti_jinja_node(j, NODE_TEXT))) {
            (*last)->s = from;
            (*last)->n = n;
            last = &(*last)->next;
        }
        *tag = j->status == TT_OK ? kind : 0;
        if (!*tag) return first;
        j->p += 2 + (sign == '-' || sign == '+');
        if (kind == '#' && !skip_comment(j)) *tag = 0;
        if (kind == '#' && *tag) continue;
        if (*tag) tti_jinja_token(j);
        return first;
    }
}
