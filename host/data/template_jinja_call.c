// SPDX-License-Identifier: Apache-2.0
/* template_jinja_call.c - filters, tests, methods and functions that chat templates use. */
#include <ctype.h>
#include <time.h>
#include "host/data/template_jinja_internal.h"

static const tti_jv undefined = {.kind = V_UNDEFINED};

static tti_jv strip(tti_jv v, const tti_jargs *args, bool left, bool right) {
    const tti_jv set = tti_jinja_argument(args, 0, "chars");
    const char *s = v.s;
    size_t n = v.n;
    if (set.kind != V_STRING) {
        tti_python_strip(&s, &n, left, right);
    } else {
        while (left && n && memchr(set.s, *s, set.n)) s++, n--;
        while (right && n && memchr(set.s, s[n - 1], set.n)) n--;
    }
    return tti_jv_part(v, (size_t)(s - v.s), n);
}

/* Letters of ASCII only: templates change the case of words they know. */
static tti_jv change_case(tti_jrun *r, tti_jv v, char how) {
    tti_jv out = tti_jv_join(r, v, tti_jv_z(""));
    if (r->status != TT_OK) return undefined;
    char *s = (char *)out.s; /* join has just made it */
    bool start = true;
    for (size_t i = 0; i < out.n; i++) {
        const unsigned char c = (unsigned char)s[i];
        if (c >= 0x80)
            return tti_jrun_fail(r, TT_E_UNSUPPORTED, "the case of letters beyond ASCII");
        const bool up = how == 'u' || (start && (how == 't' || how == 'c'));
        s[i] = (char)(up ? toupper(c) : tolower(c));
        start = how == 't' && !isalpha(c);
    }
    return out;
}

static tti_jv replace(tti_jrun *r, tti_jv v, const tti_jargs *args) {
    const tti_jv what = tti_jinja_argument(args, 0, "old"), by = tti_jinja_argument(args, 1, "new");
    if (what.kind != V_STRING || by.kind != V_STRING || !what.n)
        return tti_jrun_fail(r, TT_E_FORMAT, "replace: expected two texts");
    const char *hit = memmem(v.s, v.n, what.s, what.n);
    if (!hit) return v;
    tti_str s = {0};
    size_t at = 0;
    for (; hit; hit = memmem(v.s + at, v.n - at, what.s, what.n)) {
        tti_str_add(&s, v.s + at, (size_t)(hit - v.s) - at);
        tti_str_add(&s, by.s, by.n);
        at = (size_t)(hit - v.s) + what.n;
    }
    tti_str_add(&s, v.s + at, v.n - at);
    if (s.status != TT_OK && r->status == TT_OK) r->status = s.status;
    tti_jv out = undefined;
    if (r->status == TT_OK) out = tti_jv_join(r, tti_jv_string(s.p, s.len), tti_jv_z(""));
    tti_str_free(&s);
    if (v.from < v.to) out.to = out.n; /* all of it: where is no longer known */
    return out;
}

static tti_jv split(tti_jrun *r, tti_jv v, const tti_jargs *args) {
    const tti_jv by = tti_jinja_argument(args, 0, "sep"),
                 most = tti_jinja_argument(args, 1, "maxsplit");
    tti_jv list = tti_jv_list(r);
    if (by.kind != V_STRING || !by.n)
        return tti_jrun_fail(r, TT_E_UNSUPPORTED, "split without a separator");
    size_t at = 0;
    for (int64_t left = most.kind == V_INT ? most.i : -1; left && r->status == TT_OK; left--) {
        const char *hit = memmem(v.s + at, v.n - at, by.s, by.n);
        if (!hit) break;
        tti_jv_push(r, list, tti_jv_part(v, at, (size_t)(hit - v.s) - at));
        at = (size_t)(hit - v.s) + by.n;
    }
    tti_jv_push(r, list, tti_jv_part(v, at, v.n - at));
    return list;
}

static tti_jv join(tti_jrun *r, tti_jv list, tti_jv by) {
    tti_jv out = tti_jv_z("");
    by = tti_jv_text(r, by);
    list = tti_jv_items(r, list);
    for (size_t i = 0; r->status == TT_OK && i < list.list->n; i++) {
        if (i) out = tti_jv_join(r, out, by);
        const tti_jv v = tti_jv_text(r, list.list->v[i]);
        if (r->status == TT_OK) out = tti_jv_join(r, out, v);
    }
    return out;
}

static tti_jv pairs(tti_jrun *r, tti_jv map, bool keys, bool values) {
    tti_jv list = tti_jv_list(r);
    for (tti_jpair *p = map.map->first; p && r->status == TT_OK; p = p->next) {
        tti_jv key = tti_jv_z(p->key), pair = tti_jv_list(r);
        if (keys && values) tti_jv_push(r, pair, key), tti_jv_push(r, pair, p->value);
        tti_jv_push(r, list, keys && values ? pair : keys ? key : p->value);
    }
    return list;
}

static bool ends(tti_jv v, const tti_jargs *args, bool start) {
    const tti_jv part = tti_jinja_argument(args, 0, NULL);
    return part.kind == V_STRING && part.n <= v.n &&
           !memcmp(start ? v.s : v.s + v.n - part.n, part.s, part.n);
}

tti_jv tti_jinja_method(tti_jrun *r, const char *name, tti_jv v, const tti_jargs *args) {
    if (v.kind == V_STRING) {
        if (!strcmp(name, "strip")) return strip(v, args, true, true);
        if (!strcmp(name, "lstrip")) return strip(v, args, true, false);
        if (!strcmp(name, "rstrip")) return strip(v, args, false, true);
        if (!strcmp(name, "startswith")) return tti_jv_bool(ends(v, args, true));
        if (!strcmp(name, "endswith")) return tti_jv_bool(ends(v, args, false));
        if (!strcmp(name, "split")) return split(r, v, args);
        if (!strcmp(name, "replace")) return replace(r, v, args);
        if (!strcmp(name, "upper")) return change_case(r, v, 'u');
        if (!strcmp(name, "lower")) return change_case(r, v, 'l');
        if (!strcmp(name, "title")) return change_case(r, v, 't');
        if (!strcmp(name, "capitalize")) return change_case(r, v, 'c');
        if (!strcmp(name, "join")) return join(r, tti_jinja_argument(args, 0, NULL), v);
    } else if (v.kind == V_MAP) {
        const tti_jv *own = tti_jv_find(v.map, name, strlen(name));
        if (own && own->kind == V_MACRO) return tti_jrun_macro(r, own->macro, args);
        if (!strcmp(name, "items")) return pairs(r, v, true, true);
        if (!strcmp(name, "keys")) return pairs(r, v, true, false);
        if (!strcmp(name, "values")) return pairs(r, v, false, true);
        if (!strcmp(name, "get")) {
            const tti_jv key = tti_jinja_argument(args, 0, NULL);
            own = key.kind == V_STRING ? tti_jv_find(v.map, key.s, key.n) : NULL;
            const tti_jv other = tti_jinja_argument(args, 1, "default");
            return own ? *own : other.kind == V_UNDEFINED ? (tti_jv){.kind = V_NONE} : other;
        }
    }
    return tti_jrun_fail(r, TT_E_UNSUPPORTED, "the method %.40s is not known", name);
}

static tti_jv select_by(tti_jrun *r, tti_jv v, const tti_jargs *args, bool keep) {
    const tti_jv key = tti_jinja_argument(args, 0, NULL), test = tti_jinja_argument(args, 1, NULL);
    tti_jargs rest = {.n = 0};
    if (args->n > 2) rest.v[0] = args->v[2], rest.name[0] = NULL, rest.n = 1;
    tti_jv list = tti_jv_list(r);
    v = tti_jv_items(r, v);
    if (key.kind != V_STRING) return tti_jrun_fail(r, TT_E_FORMAT, "selectattr: expected a name");
    for (size_t i = 0; r->status == TT_OK && i < v.list->n; i++) {
        const tti_jv of = v.list->v[i];
        const tti_jv *x = of.kind == V_MAP ? tti_jv_find(of.map, key.s, key.n) : NULL;
        tti_jv ok = x ? *x : undefined;
        if (test.kind == V_STRING) {
            char word[41] = {0};
            memcpy(word, test.s, TT_MIN(test.n, sizeof word - 1));
            ok = tti_jinja_test(r, word, ok, &rest);
        }
        if (tti_jv_true(ok) == keep) tti_jv_push(r, list, of);
    }
    return list;
}

static tti_jv reverse(tti_jrun *r, tti_jv v) {
    tti_jv list = tti_jv_list(r);
    v = tti_jv_items(r, v);
    for (size_t i = r->status == TT_OK ? v.list->n : 0; i-- > 0;)
        tti_jv_push(r, list, v.list->v[i]);
    return list;
}

static tti_jv list_filter(tti_jrun *r, const char *name, tti_jv v, const tti_jargs *args) {
    if (!strcmp(name, "list")) return tti_jv_items(r, v);
    if (!strcmp(name, "first") || !strcmp(name, "last")) {
        v = tti_jv_items(r, v);
        if (r->status != TT_OK || !v.list->n) return undefined;
        return v.list->v[*name == 'f' ? 0 : v.list->n - 1];
    }
    if (!strcmp(name, "reverse")) return reverse(r, v);
    if (!strcmp(name, "selectattr")) return select_by(r, v, args, true);
    if (!strcmp(name, "rejectattr")) return select_by(r, v, args, false);
    if (!strcmp(name, "join")) {
        const tti_jv by = tti_jinja_argument(args, 0, "d");
        return join(r, v, by);
    }
    if (!strcmp(name, "items") && v.kind == V_MAP) return pairs(r, v, true, true);
    return tti_jrun_fail(r, TT_E_UNSUPPORTED, "the filter %.40s is not known", name);
}

tti_jv tti_jinja_filter(tti_jrun *r, const char *name, tti_jv v, const tti_jargs *args) {
    static const char *const texts[] = {"trim", "upper", "lower", "title", "capitalize", "replace"};
    if (!strcmp(name, "length") || !strcmp(name, "count"))
        return tti_jv_int((int64_t)tti_jv_length(r, v));
    if (!strcmp(name, "default") || !strcmp(name, "d")) {
        const tti_jv other = tti_jinja_argument(args, 0, "default_value");
        const bool falsy = tti_jv_true(tti_jinja_argument(args, 1, "boolean"));
        if (v.kind != V_UNDEFINED && (!falsy || tti_jv_true(v))) return v;
        return other.kind == V_UNDEFINED ? tti_jv_z("") : other;
    }
    if (!strcmp(name, "string")) return tti_jv_text(r, v);
    if (!strcmp(name, "safe")) return v;
    if (!strcmp(name, "tojson")) {
        if (args->n) return tti_jrun_fail(r, TT_E_UNSUPPORTED, "options of tojson");
        return tti_jv_json(r, v);
    }
    for (size_t i = 0; i < TT_COUNT(texts); i++) {
        if (strcmp(name, texts[i])) continue;
        v = tti_jv_text(r, v);
        if (r->status != TT_OK) return undefined;
        return tti_jinja_method(r, i ? name : "strip", v, args);
    }
    return list_filter(r, name, v, args);
}

tti_jv tti_jinja_test(tti_jrun *r, const char *name, tti_jv v, const tti_jargs *args) {
    static const struct {
        const char *name;
        unsigned kinds;
    } of_kind[] = {{"undefined", 1u << V_UNDEFINED},
                   {"defined", ~(1u << V_UNDEFINED)},
                   {"none", 1u << V_NONE},
                   {"string", 1u << V_STRING},
                   {"mapping", 1u << V_MAP},
                   {"sequence", 1u << V_STRING | 1u << V_LIST | 1u << V_MAP},
                   {"iterable", 1u << V_STRING | 1u << V_LIST | 1u << V_MAP | 1u << V_UNDEFINED},
                   {"number", 1u << V_INT | 1u << V_BOOL},
                   {"integer", 1u << V_INT},
                   {"float", 0},
                   {"boolean", 1u << V_BOOL},
                   {"callable", 1u << V_MACRO | 1u << V_FUNCTION}};
    for (size_t i = 0; i < TT_COUNT(of_kind); i++)
        if (!strcmp(name, of_kind[i].name)) return tti_jv_bool(of_kind[i].kinds >> v.kind & 1);
    const tti_jv other = tti_jinja_argument(args, 0, NULL);
    if (!strcmp(name, "true")) return tti_jv_bool(v.kind == V_BOOL && v.i);
    if (!strcmp(name, "false")) return tti_jv_bool(v.kind == V_BOOL && !v.i);
    if (!strcmp(name, "even")) return tti_jv_bool(v.kind == V_INT && v.i % 2 == 0);
    if (!strcmp(name, "odd")) return tti_jv_bool(v.kind == V_INT && v.i % 2 != 0);
    if (!strcmp(name, "eq") || !strcmp(name, "equalto")) return tti_jv_bool(tti_jv_same(v, other));
    if (!strcmp(name, "ne")) return tti_jv_bool(!tti_jv_same(v, other));
    if (!strcmp(name, "in") && other.kind == V_LIST) {
        for (size_t i = 0; i < other.list->n; i++)
            if (tti_jv_same(v, other.list->v[i])) return tti_jv_bool(true);
        return tti_jv_bool(false);
    }
    return tti_jrun_fail(r, TT_E_UNSUPPORTED, "the test %.40s is not known", name);
}

static tti_jv today(tti_jrun *r, const tti_jargs *args) {
    const tti_jv f = tti_jinja_argument(args, 0, "format");
    char format[64] = {0}, out[128];
    if (f.kind != V_STRING || f.n >= sizeof format)
        return tti_jrun_fail(r, TT_E_FORMAT, "strftime_now: expected a short format");
    memcpy(format, f.s, f.n);
    const time_t now = time(NULL);
    struct tm parts;
    if (!localtime_r(&now, &parts)) return tti_jrun_fail(r, TT_E_IO, "the date is not known");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    const size_t n = strftime(out, sizeof out, format, &parts);
#pragma GCC diagnostic pop
    return tti_jv_join(r, tti_jv_string(out, n), tti_jv_z(""));
}

static tti_jv range(tti_jrun *r, const tti_jargs *args) {
    const tti_jv a = tti_jinja_argument(args, 0, NULL), b = tti_jinja_argument(args, 1, NULL),
                 by = tti_jinja_argument(args, 2, NULL);
    const int64_t from = b.kind == V_INT ? a.i : 0, to = b.kind == V_INT ? b.i : a.i;
    const int64_t step = by.kind == V_INT ? by.i : 1;
    tti_jv list = tti_jv_list(r);
    if (a.kind != V_INT || !step || to > 1 << 20 || from > 1 << 20 || to < -(1 << 20) ||
        from < -(1 << 20))
        return tti_jrun_fail(r, TT_E_FORMAT, "range: expected whole numbers, not too large");
    for (int64_t i = from; step > 0 ? i < to : i > to;) {
        tti_jv_push(r, list, tti_jv_int(i));
        if (__builtin_add_overflow(i, step, &i)) break;
    }
    return list;
}

bool tti_jinja_has_function(const char *name) {
    static const char *const known[] = {"raise_exception", "namespace", "dict", "range",
                                        "strftime_now"};
    for (size_t i = 0; i < TT_COUNT(known); i++)
        if (!strcmp(name, known[i])) return true;
    return false;
}

tti_jv tti_jinja_function(tti_jrun *r, const char *name, const tti_jargs *args) {
    if (!strcmp(name, "range")) return range(r, args);
    if (!strcmp(name, "strftime_now")) return today(r, args);
    if (!strcmp(name, "raise_exception")) {
        const tti_jv what = tti_jv_text(r, tti_jinja_argument(args, 0, "message"));
        if (r->status != TT_OK) return undefined;
        return tti_jrun_fail(r, TT_E_DATA, "the chat template refuses: %.*s",
                             (int)TT_MIN(what.n, (size_t)200), what.s);
    }
    tti_jv m = tti_jv_map(r);
    for (size_t i = 0; r->status == TT_OK && i < args->n; i++)
        if (args->name[i]) tti_jv_set(r, m.map, args->name[i], args->v[i]);
    if (r->status == TT_OK) m.map->space = *name == 'n';
    return m;
}
