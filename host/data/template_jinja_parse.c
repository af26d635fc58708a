// SPDX-License-Identifier: Apache-2.0
/* template_jinja_parse.c - statements. */
#include "host/data/template_jinja_internal.h"

enum { DEEPEST = 100 };

typedef struct {
    tti_jnode *first, **last;
} sequence;

static void append(sequence *s, tti_jnode *n) {
    for (*s->last = n; n; n = n->next) s->last = &n->next;
}

static tti_jnode *statement(tti_jsource *j);

/* Statements up to a tag that begins with one of the words, which is then next. The closing of the
 * tag before is still to be stepped over. */
static tti_jnode *body_until(tti_jsource *j, const char *const *words) {
    sequence s = {NULL, &s.first};
    tti_jinja_close(j, '%');
    if (++j->depth > DEEPEST) return tti_jinja_fail(j, TT_E_FORMAT, "nested too deeply");
    for (;;) {
        char tag;
        append(&s, tti_jinja_text(j, &tag));
        if (j->status != TT_OK) return NULL;
        if (!tag) {
            if (!words) break;
            return tti_jinja_fail(j, TT_E_FORMAT, "%s is missing at the end", words[0]);
        }
        if (tag == '{') {
            tti_jnode *n = tti_jinja_node(j, NODE_OUT);
            if (n) n->a = tti_jinja_tuple(j);
            tti_jinja_close(j, '}');
            append(&s, n);
            continue;
        }
        for (const char *const *w = words; w && *w; w++)
            if (tti_jinja_is(j, *w)) {
                j->depth--;
                return s.first;
            }
        append(&s, statement(j));
    }
    j->depth--;
    return s.first;
}

/* Steps over the word that ended a body and to the end of its tag. */
static tti_jnode *end_tag(tti_jsource *j, tti_jnode *n) {
    tti_jinja_token(j);
    if (j->status == TT_OK && j->token.kind == TOKEN_NAME) tti_jinja_token(j); /* endmacro name */
    tti_jinja_close(j, '%');
    return n;
}

static tti_jnode *if_statement(tti_jsource *j) {
    static const char *const ends[] = {"endif", "elif", "else", NULL};
    tti_jnode *first = NULL, **at = &first;
    for (;;) {
        tti_jnode *n = tti_jinja_node(j, NODE_IF);
        if (!n) return NULL;
        *at = n;
        n->a = tti_jinja_expression(j);
        n->b = body_until(j, ends);
        at = &n->c;
        if (!tti_jinja_take(j, "elif")) break;
    }
    if (tti_jinja_take(j, "else")) *at = body_until(j, ends);
    if (j->status == TT_OK && !tti_jinja_is(j, "endif"))
        return tti_jinja_fail(j, TT_E_FORMAT, "expected endif");
    return end_tag(j, first);
}

static tti_jnode *targets(tti_jsource *j) {
    tti_jnode *first = NULL, **last = &first;
    do {
        *last = tti_jinja_node(j, NODE_ARG);
        const char *s = tti_jinja_word(j);
        if (!*last || !s) return NULL;
        (*last)->s = s;
        last = &(*last)->next;
    } while (tti_jinja_take(j, ","));
    return first;
}

static tti_jnode *for_statement(tti_jsource *j) {
    static const char *const ends[] = {"endfor", "else", NULL};
    tti_jnode *n = tti_jinja_node(j, NODE_FOR);
    if (!n) return NULL;
    n->a = targets(j);
    tti_jinja_expect(j, "in");
    n->b = tti_jinja_expression(j);
    /* "x in y if z" is read as a choice without else */
    if (n->b && n->b->kind == NODE_COND && !n->b->c) {
        n->e = n->b->a;
        n->b = n->b->b;
    }
    n->c = body_until(j, ends);
    if (tti_jinja_take(j, "else")) n->d = body_until(j, ends);
    return end_tag(j, n);
}

static tti_jnode *set_statement(tti_jsource *j) {
    static const char *const ends[] = {"endset", NULL};
    tti_jnode *n = tti_jinja_node(j, NODE_SET);
    if (!n) return NULL;
    n->a = targets(j);
    if (tti_jinja_take(j, ".")) n->s = tti_jinja_word(j);
    if (tti_jinja_take(j, "=")) {
        n->b = tti_jinja_tuple(j);
        tti_jinja_close(j, '%');
        return n;
    }
    n->c = body_until(j, ends);
    return end_tag(j, n);
}

static tti_jnode *macro_statement(tti_jsource *j) {
    static const char *const ends[] = {"endmacro", NULL};
    tti_jnode *n = tti_jinja_node(j, NODE_MACRO);
    if (!n) return NULL;
    n->s = tti_jinja_word(j);
    tti_jinja_expect(j, "(");
    n->a = tti_jinja_arguments(j, ")");
    for (tti_jnode *p = n->a; p && j->status == TT_OK; p = p->next) {
        if (p->s) continue;
        if (!p->a || p->a->kind != NODE_NAME)
            return tti_jinja_fail(j, TT_E_FORMAT, "expected the name of a parameter");
        p->s = p->a->s;
        p->a = NULL;
    }
    n->c = body_until(j, ends);
    return end_tag(j, n);
}

static tti_jnode *statement(tti_jsource *j) {
    static const char *const ends[] = {"endgeneration", NULL};
    if (tti_jinja_take(j, "if")) return if_statement(j);
    if (tti_jinja_take(j, "for")) return for_statement(j);
    if (tti_jinja_take(j, "set")) return set_statement(j);
    if (tti_jinja_take(j, "macro")) return macro_statement(j);
    const bool jump = tti_jinja_is(j, "break");
    if (jump || tti_jinja_is(j, "continue")) {
        tti_jnode *n = tti_jinja_node(j, jump ? NODE_BREAK : NODE_CONTINUE);
        return end_tag(j, n);
    }
    if (tti_jinja_take(j, "generation")) { /* marks what is generated; contents tell us that */
        tti_jnode *n = tti_jinja_node(j, NODE_BLOCK);
        if (n) n->c = body_until(j, ends);
        return end_tag(j, n);
    }
    return tti_jinja_fail(j, TT_E_UNSUPPORTED, "the statement \"%.40s\" is not known",
                          j->token.kind == TOKEN_NAME && j->token.s ? j->token.s : "");
}

tti_jnode *tti_jinja_body(tti_jsource *j) {
    j->token.kind = TOKEN_CLOSE; /* as if a tag had just ended, without trimming what follows */
    j->token.op = '%';
    j->token.sign = '+';
    return body_until(j, NULL);
}
