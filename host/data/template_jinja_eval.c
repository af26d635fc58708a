// SPDX-License-Identifier: Apache-2.0
/* template_jinja_eval.c - what expressions are worth. */
#include "host/data/template_jinja_internal.h"

static const tti_jv undefined = {.kind = V_UNDEFINED};

static tti_jv lookup(const tti_jrun *r, const char *name) {
    for (tti_jscope *s = r->scope; s; s = s->outer) {
        const tti_jv *v = tti_jv_find(&s->vars, name, strlen(name));
        if (v) return *v;
    }
    return tti_jinja_has_function(name) ? (tti_jv){.kind = V_FUNCTION, .s = name} : undefined;
}

static tti_jv attribute(tti_jrun *r, tti_jv of, const char *name) {
    if (of.kind == V_MAP) {
        const tti_jv *v = tti_jv_find(of.map, name, strlen(name));
        return v ? *v : undefined;
    }
    if (of.kind == V_UNDEFINED)
        return tti_jrun_fail(r, TT_E_FORMAT, "%s of something undefined", name);
    return undefined;
}

/* The byte where character i of s begins. */
static size_t byte_of(tti_jv s, int64_t i) {
    size_t at = 0;
    for (; at < s.n; at++)
        if (((unsigned char)s.s[at] & 0xC0) != 0x80 && i-- == 0) break;
    return at;
}

static tti_jv item(tti_jrun *r, tti_jv of, tti_jv key) {
    if (of.kind == V_MAP && key.kind == V_STRING) {
        const tti_jv *v = tti_jv_find(of.map, key.s, key.n);
        return v ? *v : undefined;
    }
    if ((of.kind == V_LIST || of.kind == V_STRING) && key.kind == V_INT) {
        const int64_t n = (int64_t)tti_jv_length(r, of), i = key.i < 0 ? key.i + n : key.i;
        if (i < 0 || i >= n) return undefined;
        if (of.kind == V_LIST) return of.list->v[i];
        const size_t from = byte_of(of, i);
        return tti_jv_part(of, from, byte_of(of, i + 1) - from);
    }
    if (of.kind == V_UNDEFINED)
        return tti_jrun_fail(r, TT_E_FORMAT, "an item of something undefined");
    return undefined;
}

static int64_t bound(tti_jrun *r, const tti_jnode *n, int64_t fallback, int64_t length,
                     int64_t least) {
    const tti_jv v = n ? tti_jrun_eval(r, n) : (tti_jv){.kind = V_NONE};
    if (v.kind == V_NONE) return fallback;
    if (v.kind != V_INT) tti_jrun_fail(r, TT_E_FORMAT, "a bound of a slice is no number");
    const int64_t i = v.i < 0 ? v.i + length : v.i;
    return TT_MIN(TT_MAX(i, least), least < 0 ? length - 1 : length);
}

static tti_jv slice(tti_jrun *r, const tti_jnode *n) {
    tti_jv of = tti_jrun_eval(r, n->a);
    const tti_jv stride = n->d ? tti_jrun_eval(r, n->d) : tti_jv_int(1);
    const int64_t step = stride.kind == V_INT ? stride.i : stride.kind == V_NONE ? 1 : 0;
    if (of.kind == V_UNDEFINED) tti_jrun_fail(r, TT_E_FORMAT, "a slice of something undefined");
    if (step == 0 || step > 1 << 30 || step < -(1 << 30))
        tti_jrun_fail(r, TT_E_FORMAT, "the step of a slice is 0 or no number");
    const bool string = of.kind == V_STRING;
    const int64_t length = r->status == TT_OK ? (int64_t)tti_jv_length(r, of) : 0;
    const int64_t from = bound(r, n->b, step > 0 ? 0 : length - 1, length, step > 0 ? 0 : -1);
    const int64_t to = bound(r, n->c, step > 0 ? length : -1, length, step > 0 ? 0 : -1);
    if (r->status != TT_OK) return undefined;
    if (string && step == 1) {
        const size_t at = byte_of(of, from), end = to > from ? byte_of(of, to) : at;
        return tti_jv_part(of, at, end - at);
    }
    if (of.kind != V_LIST) return tti_jrun_fail(r, TT_E_UNSUPPORTED, "such a slice");
    tti_jv list = tti_jv_list(r);
    for (int64_t i = from; step > 0 ? i < to : i > to; i += step)
        tti_jv_push(r, list, of.list->v[i]);
    return list;
}

static void arguments(tti_jrun *r, const tti_jnode *list, tti_jargs *out) {
    out->n = 0;
    for (; list; list = list->next) {
        if (out->n == TTI_JINJA_ARGUMENTS) {
            tti_jrun_fail(r, TT_E_UNSUPPORTED, "more than %d arguments", TTI_JINJA_ARGUMENTS);
            return;
        }
        out->name[out->n] = list->s;
        out->v[out->n++] = tti_jrun_eval(r, list->a);
    }
}

tti_jv tti_jinja_argument(const tti_jargs *args, size_t place, const char *name) {
    for (size_t i = 0; i < args->n; i++)
        if (args->name[i] ? name && !strcmp(args->name[i], name) : i == place) return args->v[i];
    return undefined;
}

static tti_jv call(tti_jrun *r, const tti_jnode *n) {
    tti_jargs args;
    if (n->a->kind == NODE_NAME) {
        const tti_jv f = lookup(r, n->a->s);
        arguments(r, n->b, &args);
        if (r->status != TT_OK) return undefined;
        if (f.kind == V_MACRO) return tti_jrun_macro(r, f.macro, &args);
        if (f.kind == V_FUNCTION) return tti_jinja_function(r, f.s, &args);
        return tti_jrun_fail(r, TT_E_UNSUPPORTED, "the function %.40s is not known", n->a->s);
    }
    if (n->a->kind != NODE_ATTR) return tti_jrun_fail(r, TT_E_UNSUPPORTED, "such a call");
    const tti_jv of = tti_jrun_eval(r, n->a->a);
    arguments(r, n->b, &args);
    return r->status == TT_OK ? tti_jinja_method(r, n->a->s, of, &args) : undefined;
}

static tti_jv arithmetic(tti_jrun *r, int op, tti_jv a, tti_jv b) {
    const bool numbers =
        (a.kind == V_INT || a.kind == V_BOOL) && (b.kind == V_INT || b.kind == V_BOOL);
    int64_t v = 0;
    if (op == '+' && a.kind == V_STRING && b.kind == V_STRING) return tti_jv_join(r, a, b);
    if (op == '+' && a.kind == V_LIST && b.kind == V_LIST) {
        tti_jv list = tti_jv_list(r);
        for (size_t i = 0; i < a.list->n; i++) tti_jv_push(r, list, a.list->v[i]);
        for (size_t i = 0; i < b.list->n; i++) tti_jv_push(r, list, b.list->v[i]);
        return list;
    }
    if (!numbers || op == '/')
        return tti_jrun_fail(r, op == '+' ? TT_E_FORMAT : TT_E_UNSUPPORTED,
                             "%s of these two values",
                             op == '+'   ? "the sum"
                             : op == '%' ? "the remainder"
                                         : "this arithmetic");
    bool over = false;
    if (op == '+') over = __builtin_add_overflow(a.i, b.i, &v);
    if (op == '-') over = __builtin_sub_overflow(a.i, b.i, &v);
    if (op == '*') over = __builtin_mul_overflow(a.i, b.i, &v);
    if (op == '%' || op == OP_INT_DIV) {
        if (b.i == 0 || b.i == -1)
            return tti_jrun_fail(r, TT_E_FORMAT, "a division by %d", (int)b.i);
        int64_t q = a.i / b.i, m = a.i % b.i; /* rounds down, as Python does */
        if (m && (m < 0) != (b.i < 0)) q--, m += b.i;
        v = op == '%' ? m : q;
    }
    if (over) return tti_jrun_fail(r, TT_E_FORMAT, "a number is too large");
    return tti_jv_int(v);
}

static int order(tti_jrun *r, tti_jv a, tti_jv b) {
    if (a.kind == V_STRING && b.kind == V_STRING) {
        const int c = memcmp(a.s, b.s, TT_MIN(a.n, b.n));
        return c ? c : (a.n > b.n) - (a.n < b.n);
    }
    const bool numbers =
        (a.kind == V_INT || a.kind == V_BOOL) && (b.kind == V_INT || b.kind == V_BOOL);
    if (!numbers) tti_jrun_fail(r, TT_E_FORMAT, "these two values have no order");
    return (a.i > b.i) - (a.i < b.i);
}

static bool contains(tti_jrun *r, tti_jv a, tti_jv in) {
    switch (in.kind) {
    case V_STRING:
        if (a.kind != V_STRING) break;
        return !a.n || memmem(in.s, in.n, a.s, a.n) != NULL;
    case V_LIST:
        for (size_t i = 0; i < in.list->n; i++)
            if (tti_jv_same(a, in.list->v[i])) return true;
        return false;
    case V_MAP: return a.kind == V_STRING && tti_jv_find(in.map, a.s, a.n);
    case V_UNDEFINED: return false;
    default: break;
    }
    tti_jrun_fail(r, TT_E_FORMAT, "\"in\" something that holds nothing");
    return false;
}

static tti_jv binary(tti_jrun *r, const tti_jnode *n) {
    tti_jv a = tti_jrun_eval(r, n->a);
    if (n->op == OP_AND || n->op == OP_OR)
        return tti_jv_true(a) == (n->op == OP_OR) ? a : tti_jrun_eval(r, n->b);
    tti_jv b = tti_jrun_eval(r, n->b);
    if (r->status != TT_OK) return undefined;
    switch (n->op) {
    case OP_EQ: return tti_jv_bool(tti_jv_same(a, b));
    case OP_NE: return tti_jv_bool(!tti_jv_same(a, b));
    case '<': return tti_jv_bool(order(r, a, b) < 0);
    case '>': return tti_jv_bool(order(r, a, b) > 0);
    case OP_LE: return tti_jv_bool(order(r, a, b) <= 0);
    case OP_GE: return tti_jv_bool(order(r, a, b) >= 0);
    case OP_IN: return tti_jv_bool(contains(r, a, b));
    case OP_NOT_IN: return tti_jv_bool(!contains(r, a, b));
    case '~':
        a = tti_jv_text(r, a);
        b = tti_jv_text(r, b);
        return r->status == TT_OK ? tti_jv_join(r, a, b) : undefined;
    default: return arithmetic(r, n->op, a, b);
    }
}

static tti_jv container(tti_jrun *r, const tti_jnode *n) {
    tti_jv v = n->kind == NODE_LIST ? tti_jv_list(r) : tti_jv_map(r);
    for (const tti_jnode *p = n->a; p && r->status == TT_OK; p = p->next) {
        const tti_jv x = tti_jrun_eval(r, p->a);
        if (n->kind == NODE_LIST) {
            tti_jv_push(r, v, x);
            continue;
        }
        const tti_jv key = tti_jrun_eval(r, p->b);
        if (key.kind != V_STRING || p->b->kind != NODE_STRING)
            return tti_jrun_fail(r, TT_E_UNSUPPORTED, "a key that is not written as a string");
        tti_jv_set(r, v.map, key.s, x); /* ends in NUL, being a node's */
    }
    return v;
}

static tti_jv filter_or_test(tti_jrun *r, const tti_jnode *n) {
    tti_jargs args;
    const tti_jv v = tti_jrun_eval(r, n->a);
    arguments(r, n->b, &args);
    if (r->status != TT_OK) return undefined;
    if (n->kind == NODE_FILTER) return tti_jinja_filter(r, n->s, v, &args);
    return tti_jv_bool(tti_jv_true(tti_jinja_test(r, n->s, v, &args)) != (bool)n->i);
}

static tti_jv eval(tti_jrun *r, const tti_jnode *n) {
    tti_jv v;
    switch (n->kind) {
    case NODE_STRING: return tti_jv_string(n->s, n->n);
    case NODE_INT: return tti_jv_int(n->i);
    case NODE_CONST: return n->i == 2 ? (tti_jv){.kind = V_NONE} : tti_jv_bool(n->i != 0);
    case NODE_NAME: return lookup(r, n->s);
    case NODE_ATTR:
        v = tti_jrun_eval(r, n->a);
        return r->status == TT_OK ? attribute(r, v, n->s) : undefined;
    case NODE_ITEM: {
        v = tti_jrun_eval(r, n->a);
        const tti_jv key = tti_jrun_eval(r, n->b);
        return r->status == TT_OK ? item(r, v, key) : undefined;
    }
    case NODE_SLICE: return slice(r, n);
    case NODE_CALL: return call(r, n);
    case NODE_FILTER:
    case NODE_TEST: return filter_or_test(r, n);
    case NODE_NOT: return tti_jv_bool(!tti_jv_true(tti_jrun_eval(r, n->a)));
    case NODE_NEGATIVE: return arithmetic(r, '-', tti_jv_int(0), tti_jrun_eval(r, n->a));
    case NODE_BINARY: return binary(r, n);
    case NODE_COND:
        if (tti_jv_true(tti_jrun_eval(r, n->a))) return tti_jrun_eval(r, n->b);
        return n->c ? tti_jrun_eval(r, n->c) : undefined;
    case NODE_LIST:
    case NODE_MAP: return container(r, n);
    default: return tti_jrun_fail(r, TT_E_INTERNAL, "no expression");
    }
}

tti_jv tti_jrun_eval(tti_jrun *r, const tti_jnode *n) {
    enum { DEEPEST = 1500 };
    if (r->status != TT_OK) return undefined;
    r->line = n->line;
    if (++r->depth > DEEPEST || ++r->steps > TTI_JINJA_STEPS)
        return tti_jrun_fail(r, TT_E_FORMAT, "never comes to an end");
    const tti_jv v = eval(r, n);
    r->depth--;
    return r->status == TT_OK ? v : undefined;
}
