// SPDX-License-Identifier: Apache-2.0
/* template_jinja_value.c - values, and strings that know which of their bytes are an answer's. */
#include "host/data/template_jinja_internal.h"

struct tti_arena_chunk {
    struct tti_arena_chunk *next;
    size_t used, size;
    _Alignas(16) char bytes[];
};

void *tti_arena_new(tti_arena *a, size_t size) {
    enum { CHUNK = 1 << 14 };
    const size_t need = (size + 15) & ~(size_t)15;
    if (need < size || (a->most && (need > a->most || a->total > a->most - need))) {
        a->full = true;
        return NULL;
    }
    if (!a->chunk || a->chunk->size - a->chunk->used < need) {
        const size_t n = TT_MAX(need, (size_t)CHUNK);
        struct tti_arena_chunk *c = tti_malloc(sizeof *c + n);
        if (!c) return NULL;
        c->next = a->chunk;
        c->used = 0;
        c->size = n;
        a->chunk = c;
    }
    void *p = a->chunk->bytes + a->chunk->used;
    a->chunk->used += need;
    a->total += need;
    return memset(p, 0, need);
}

void tti_arena_free(tti_arena *a) {
    while (a->chunk) {
        struct tti_arena_chunk *next = a->chunk->next;
        tti_free(a->chunk);
        a->chunk = next;
    }
    a->total = 0;
}

static void *get(tti_jrun *r, size_t size) {
    void *p = r->status == TT_OK ? tti_arena_new(&r->arena, size) : NULL;
    if (!p && r->arena.full) tti_jrun_fail(r, TT_E_FORMAT, "grows beyond all bounds");
    if (!p && r->status == TT_OK) r->status = TT_E_NOMEM;
    return p;
}

tti_jv tti_jv_string(const char *s, size_t n) { return (tti_jv){.kind = V_STRING, .s = s, .n = n}; }
tti_jv tti_jv_z(const char *s) { return tti_jv_string(s, strlen(s)); }
tti_jv tti_jv_int(int64_t i) { return (tti_jv){.kind = V_INT, .i = i}; }
tti_jv tti_jv_bool(bool b) { return (tti_jv){.kind = V_BOOL, .i = b}; }

tti_jv tti_jv_list(tti_jrun *r) {
    tti_jlist *l = get(r, sizeof *l);
    return l ? (tti_jv){.kind = V_LIST, .list = l} : (tti_jv){0};
}

tti_jv tti_jv_map(tti_jrun *r) {
    tti_jmap *m = get(r, sizeof *m);
    return m ? (tti_jv){.kind = V_MAP, .map = m} : (tti_jv){0};
}

void tti_jv_push(tti_jrun *r, tti_jv list, tti_jv v) {
    if (r->status != TT_OK) return;
    tti_jlist *l = list.list;
    if (l->n == l->cap) {
        const size_t cap = l->cap ? 2 * l->cap : 8;
        tti_jv *grown = get(r, cap * sizeof *grown);
        if (!grown) return;
        if (l->n) memcpy(grown, l->v, l->n * sizeof *grown);
        l->v = grown;
        l->cap = cap;
    }
    l->v[l->n++] = v;
}

tti_jv *tti_jv_find(const tti_jmap *m, const char *key, size_t n) {
    for (tti_jpair *p = m->first; p; p = p->next)
        if (!strncmp(p->key, key, n) && !p->key[n]) return &p->value;
    return NULL;
}

void tti_jv_set(tti_jrun *r, tti_jmap *m, const char *key, tti_jv v) {
    if (r->status != TT_OK) return;
    tti_jv *there = tti_jv_find(m, key, strlen(key));
    if (there) {
        *there = v;
        return;
    }
    tti_jpair *p = get(r, sizeof *p), **last = &m->first;
    if (!p) return;
    p->key = key;
    p->value = v;
    while (*last) last = &(*last)->next;
    *last = p;
}

bool tti_jv_true(tti_jv v) {
    switch (v.kind) {
    case V_BOOL:
    case V_INT: return v.i != 0;
    case V_STRING: return v.n > 0;
    case V_LIST: return v.list->n > 0;
    case V_MAP: return v.map->space || v.map->first != NULL;
    case V_MACRO:
    case V_FUNCTION: return true;
    default: return false;
    }
}

bool tti_jv_same(tti_jv a, tti_jv b) {
    const bool an = a.kind == V_INT || a.kind == V_BOOL, bn = b.kind == V_INT || b.kind == V_BOOL;
    if (an && bn) return a.i == b.i;
    if (a.kind != b.kind) return false;
    if (a.kind == V_STRING) return a.n == b.n && !memcmp(a.s, b.s, a.n);
    if (a.kind == V_LIST) {
        bool same = a.list->n == b.list->n;
        for (size_t i = 0; same && a.list != b.list && i < a.list->n; i++) {
            const tti_jv x = a.list->v[i], y = b.list->v[i]; /* lists in them only as themselves: */
            same = x.kind == V_LIST ? x.list == y.list : tti_jv_same(x, y); /* bounded work */
        }
        return same;
    }
    return a.kind == V_MAP ? a.map == b.map : a.macro == b.macro;
}

static size_t characters(const char *s, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += ((unsigned char)s[i] & 0xC0) != 0x80;
    return count;
}

size_t tti_jv_length(tti_jrun *r, tti_jv v) {
    size_t n = 0;
    switch (v.kind) {
    case V_STRING: return characters(v.s, v.n);
    case V_LIST: return v.list->n;
    case V_MAP:
        for (tti_jpair *p = v.map->first; p; p = p->next) n++;
        return n;
    case V_UNDEFINED: return 0;
    default: tti_jrun_fail(r, TT_E_FORMAT, "this has no length"); return 0;
    }
}

tti_jv tti_jv_text(tti_jrun *r, tti_jv v) {
    switch (v.kind) {
    case V_STRING: return v;
    case V_UNDEFINED: return tti_jv_z("");
    case V_NONE: return tti_jv_z("None");
    case V_BOOL: return tti_jv_z(v.i ? "True" : "False");
    case V_INT: {
        char *s = get(r, 24);
        if (s) snprintf(s, 24, "%lld", (long long)v.i);
        return s ? tti_jv_z(s) : (tti_jv){0};
    }
    default: return tti_jrun_fail(r, TT_E_UNSUPPORTED, "a list or mapping written as text");
    }
}

tti_jv tti_jv_part(tti_jv s, size_t at, size_t n) {
    tti_jv v = s;
    v.s += at;
    v.n = n;
    v.from = s.from > at ? TT_MIN(s.from - at, n) : 0;
    v.to = s.to > at ? TT_MIN(s.to - at, n) : 0;
    return v;
}

tti_jv tti_jv_join(tti_jrun *r, tti_jv a, tti_jv b) {
    char *s = get(r, a.n + b.n + 1);
    if (!s) return (tti_jv){0};
    memcpy(s, a.s, a.n);
    memcpy(s + a.n, b.s, b.n);
    tti_jv v = tti_jv_string(s, a.n + b.n);
    const bool in_a = a.from < a.to, in_b = b.from < b.to;
    if (in_a || in_b) {
        v.from = in_a ? a.from : a.n + b.from;
        v.to = in_b ? a.n + b.to : a.to;
    }
    return v;
}

tti_jv tti_jv_items(tti_jrun *r, tti_jv v) {
    if (v.kind == V_LIST) return v;
    tti_jv list = tti_jv_list(r);
    if (v.kind == V_MAP)
        for (tti_jpair *p = v.map->first; p; p = p->next) tti_jv_push(r, list, tti_jv_z(p->key));
    else if (v.kind == V_STRING)
        for (size_t i = 0, n; i < v.n; i += n) {
            for (n = 1; i + n < v.n && ((unsigned char)v.s[i + n] & 0xC0) == 0x80;) n++;
            tti_jv_push(r, list, tti_jv_part(v, i, n));
        }
    else if (v.kind != V_UNDEFINED)
        return tti_jrun_fail(r, TT_E_FORMAT, "this cannot be walked over");
    return list;
}

static void json(tti_jrun *r, tti_str *out, tti_jv v, int depth) {
    if (depth > 50 || ++r->steps > TTI_JINJA_STEPS)
        tti_jrun_fail(r, TT_E_FORMAT, "tojson: nested too deeply");
    if (r->status != TT_OK) return;
    if (v.kind == V_STRING) {
        tti_str_json(out, v.s, v.n);
    } else if (v.kind == V_LIST) {
        tti_str_putc(out, '[');
        for (size_t i = 0; i < v.list->n; i++) {
            tti_str_puts(out, i ? ", " : "");
            json(r, out, v.list->v[i], depth + 1);
        }
        tti_str_putc(out, ']');
    } else if (v.kind == V_MAP) {
        tti_str_putc(out, '{');
        for (tti_jpair *p = v.map->first; p; p = p->next) {
            tti_str_puts(out, p == v.map->first ? "" : ", ");
            tti_str_json(out, p->key, strlen(p->key));
            tti_str_puts(out, ": ");
            json(r, out, p->value, depth + 1);
        }
        tti_str_putc(out, '}');
    } else if (v.kind == V_BOOL || v.kind == V_NONE) {
        tti_str_puts(out, v.kind == V_NONE ? "null" : v.i ? "true" : "false");
    } else if (v.kind == V_INT) {
        tti_str_printf(out, "%lld", (long long)v.i);
    } else {
        tti_jrun_fail(r, TT_E_FORMAT, "tojson: this has no JSON");
    }
}

tti_jv tti_jv_json(tti_jrun *r, tti_jv v) {
    tti_str s = {0};
    json(r, &s, v, 0);
    if (s.status != TT_OK && r->status == TT_OK) r->status = s.status;
    char *copy = get(r, s.len + 1);
    if (copy && s.len) memcpy(copy, s.p, s.len);
    tti_jv out = copy ? tti_jv_string(copy, s.len) : (tti_jv){0};
    if (v.kind == V_STRING && v.from < v.to) out.to = out.n;
    tti_str_free(&s);
    return out;
}
