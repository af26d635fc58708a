// SPDX-License-Identifier: Apache-2.0
/* template_jinja_expr.c - expressions, by Jinja's precedence. */
#include "host/data/template_jinja_internal.h"

enum { DEEPEST = 100, LONGEST_CHAIN = 400 };

static tti_jnode *make(tti_jsource *j, tti_node_kind kind, tti_jnode *a, tti_jnode *b) {
    tti_jnode *n = tti_jinja_node(j, kind);
    if (n) n->a = a, n->b = b;
    return n;
}

tti_jnode *tti_jinja_arguments(tti_jsource *j, const char *close) {
    tti_jnode *first = NULL, **last = &first;
    while (j->status == TT_OK && !tti_jinja_take(j, close)) {
        if (first) tti_jinja_expect(j, ",");
        if (first && tti_jinja_take(j, close)) break;
        tti_jnode *n = make(j, NODE_ARG, tti_jinja_expression(j), NULL);
        if (n && n->a && n->a->kind == NODE_NAME && tti_jinja_take(j, "=")) {
            n->s = n->a->s;
            n->a = tti_jinja_expression(j);
        }
        if (!n) break;
        *last = n;
        last = &n->next;
    }
    return first;
}

static tti_jnode *map(tti_jsource *j) {
    tti_jnode *m = tti_jinja_node(j, NODE_MAP), **last = m ? &m->a : NULL;
    while (j->status == TT_OK && !tti_jinja_take(j, "}")) {
        if (m->a) tti_jinja_expect(j, ",");
        if (m->a && tti_jinja_take(j, "}")) break;
        tti_jnode *key = tti_jinja_expression(j);
        tti_jinja_expect(j, ":");
        tti_jnode *n = make(j, NODE_ARG, tti_jinja_expression(j), key);
        if (!n) break;
        *last = n;
        last = &n->next;
    }
    return m;
}

static tti_jnode *string(tti_jsource *j) {
    tti_jnode *n = tti_jinja_node(j, NODE_STRING);
    if (!n) return NULL;
    n->s = j->token.s;
    n->n = j->token.n;
    tti_jinja_token(j);
    return n;
}

static tti_jnode *name(tti_jsource *j) {
    static const struct {
        const char *name;
        int64_t i;
    } consts[] = {{"true", 1}, {"True", 1}, {"false", 0}, {"False", 0}, {"none", 2}, {"None", 2}};
    tti_jnode *n = tti_jinja_node(j, NODE_NAME);
    if (!n) return NULL;
    n->s = j->token.s;
    for (size_t i = 0; i < TT_COUNT(consts); i++)
        if (!strcmp(n->s, consts[i].name)) n->kind = NODE_CONST, n->i = consts[i].i;
    tti_jinja_token(j);
    return n;
}

static tti_jnode *primary(tti_jsource *j) {
    if (j->status != TT_OK) return NULL;
    tti_jnode *n;
    switch (j->token.kind) {
    case TOKEN_NAME: return name(j);
    case TOKEN_STRING: return string(j);
    case TOKEN_INT:
        n = tti_jinja_node(j, NODE_INT);
        if (n) n->i = j->token.i;
        tti_jinja_token(j);
        return n;
    default: break;
    }
    if (tti_jinja_take(j, "(")) {
        if (tti_jinja_take(j, ")")) return tti_jinja_node(j, NODE_LIST);
        n = tti_jinja_tuple(j);
        tti_jinja_expect(j, ")");
        return n;
    }
    if (tti_jinja_take(j, "[")) return make(j, NODE_LIST, tti_jinja_arguments(j, "]"), NULL);
    if (tti_jinja_take(j, "{")) return map(j);
    return tti_jinja_fail(j, TT_E_FORMAT, "expected an expression");
}

static tti_jnode *subscript(tti_jsource *j, tti_jnode *of) {
    tti_jnode *part[3] = {NULL};
    int colons = 0;
    while (j->status == TT_OK && !tti_jinja_is(j, "]")) {
        if (tti_jinja_take(j, ":")) {
            if (++colons > 2) return tti_jinja_fail(j, TT_E_FORMAT, "expected ]");
        } else {
            if (part[colons]) return tti_jinja_fail(j, TT_E_FORMAT, "expected ]");
            part[colons] = tti_jinja_expression(j);
        }
    }
    tti_jinja_expect(j, "]");
    tti_jnode *n = make(j, colons ? NODE_SLICE : NODE_ITEM, of, part[0]);
    if (n) n->c = part[1], n->d = part[2];
    if (n && !colons && !part[0]) return tti_jinja_fail(j, TT_E_FORMAT, "expected an index");
    return n;
}

static tti_jnode *postfix(tti_jsource *j) {
    tti_jnode *n = primary(j);
    for (int i = 0; j->status == TT_OK; i++) {
        if (i > LONGEST_CHAIN) return tti_jinja_fail(j, TT_E_FORMAT, "too long an expression");
        if (tti_jinja_take(j, ".")) {
            n = make(j, NODE_ATTR, n, NULL);
            const char *s = tti_jinja_word(j);
            if (n) n->s = s;
        } else if (tti_jinja_take(j, "[")) {
            n = subscript(j, n);
        } else if (tti_jinja_take(j, "(")) {
            n = make(j, NODE_CALL, n, tti_jinja_arguments(j, ")"));
        } else {
            break;
        }
    }
    return n;
}

/* A test's argument may stand without brackets. */
static tti_jnode *test_argument(tti_jsource *j) {
    if (tti_jinja_take(j, "(")) return tti_jinja_arguments(j, ")");
    static const char *const no[] = {"else", "or", "and", "is", "if", "not", "in"};
    for (size_t i = 0; i < TT_COUNT(no); i++)
        if (tti_jinja_is(j, no[i])) return NULL;
    if (j->token.kind == TOKEN_CLOSE ||
        (j->token.kind == TOKEN_OP && j->token.op != '[' && j->token.op != '{'))
        return NULL;
    return make(j, NODE_ARG, postfix(j), NULL);
}

static tti_jnode *filtered(tti_jsource *j, tti_jnode *n) {
    for (int i = 0; j->status == TT_OK; i++) {
        if (i > LONGEST_CHAIN) return tti_jinja_fail(j, TT_E_FORMAT, "too long an expression");
        const bool filter = tti_jinja_take(j, "|");
        if (!filter && !tti_jinja_take(j, "is")) break;
        n = make(j, filter ? NODE_FILTER : NODE_TEST, n, NULL);
        if (!n) return NULL;
        if (!filter) n->i = tti_jinja_take(j, "not");
        n->s = tti_jinja_word(j);
        if (!filter)
            n->b = test_argument(j);
        else if (tti_jinja_take(j, "("))
            n->b = tti_jinja_arguments(j, ")");
    }
    return n;
}

static tti_jnode *unary(tti_jsource *j) {
    if (tti_jinja_take(j, "-")) {
        tti_jnode *n = tti_jinja_node(j, NODE_NEGATIVE);
        if (++j->depth > DEEPEST) return tti_jinja_fail(j, TT_E_FORMAT, "nested too deeply");
        if (n) n->a = unary(j);
        j->depth--;
        return n;
    }
    return filtered(j, postfix(j));
}

static int operator_at(tti_jsource *j, int level) {
    static const int of[][8] = {
        {OP_OR},    {OP_AND}, {OP_EQ, OP_NE, OP_LE, OP_GE, '<', '>', OP_IN, OP_NOT_IN},
        {'+', '-'}, {'~'},    {'*', '/', '%', OP_INT_DIV}};
    if (j->status != TT_OK) return 0;
    int op = j->token.kind == TOKEN_OP ? j->token.op : 0;
    const char *before = j->p;
    if (j->token.kind == TOKEN_NAME) {
        if (tti_jinja_is(j, "or")) op = OP_OR;
        if (tti_jinja_is(j, "and")) op = OP_AND;
        if (tti_jinja_is(j, "in")) op = OP_IN;
        while (before < j->end && strchr(" \t\r\n", *before)) before++;
        if (tti_jinja_is(j, "not") && j->end - before > 2 && !memcmp(before, "in", 2))
            op = OP_NOT_IN;
    }
    for (int i = 0; op && i < 8; i++)
        if (of[level][i] == op) return op;
    return 0;
}

static tti_jnode *binary(tti_jsource *j, int level) {
    enum { AND = 1, MOST = 6 };
    if (level == MOST) return unary(j);
    if (level == AND + 1 && tti_jinja_take(j, "not")) {
        if (++j->depth > DEEPEST) return tti_jinja_fail(j, TT_E_FORMAT, "nested too deeply");
        tti_jnode *n = make(j, NODE_NOT, binary(j, level), NULL);
        j->depth--;
        return n;
    }
    tti_jnode *n = binary(j, level + 1);
    for (int i = 0, op; (op = operator_at(j, level)) != 0; i++) {
        if (i > LONGEST_CHAIN) return tti_jinja_fail(j, TT_E_FORMAT, "too long an expression");
        tti_jinja_token(j);
        if (op == OP_NOT_IN) tti_jinja_token(j);
        n = make(j, NODE_BINARY, n, binary(j, level + 1));
        if (n) n->op = op;
    }
    return n;
}

tti_jnode *tti_jinja_expression(tti_jsource *j) {
    if (++j->depth > DEEPEST) return tti_jinja_fail(j, TT_E_FORMAT, "nested too deeply");
    tti_jnode *n = binary(j, 0);
    if (tti_jinja_take(j, "if")) {
        tti_jnode *c = make(j, NODE_COND, binary(j, 0), n);
        if (c && tti_jinja_take(j, "else")) c->c = tti_jinja_expression(j);
        n = c;
    }
    j->depth--;
    return j->status == TT_OK ? n : NULL;
}

tti_jnode *tti_jinja_tuple(tti_jsource *j) {
    tti_jnode *n = tti_jinja_expression(j);
    if (!tti_jinja_is(j, ",")) return n;
    tti_jnode *list = make(j, NODE_LIST, make(j, NODE_ARG, n, NULL), NULL);
    tti_jnode *last = list ? list->a : NULL;
    while (last && tti_jinja_take(j, ",")) {
        if (tti_jinja_is(j, ")") || j->token.kind == TOKEN_CLOSE) break;
        last->next = make(j, NODE_ARG, tti_jinja_expression(j), NULL);
        last = last->next;
    }
    return list;
}
