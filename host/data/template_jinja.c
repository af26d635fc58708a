// SPDX-License-Identifier: Apache-2.0
/* template_jinja.c - statements, and the run of a template over a conversation. */
#include "host/data/template_jinja.h"

#include <stdarg.h>
#include "host/data/template_jinja_internal.h"

enum { MAX_SOURCE = 1 << 20 };

tti_jv tti_jrun_fail(tti_jrun *r, tt_status code, const char *fmt, ...) {
    if (r->status != TT_OK) return (tti_jv){0};
    char what[320];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    for (char *p = what; *p; p++)
        if (*p == '\n') *p = ' ';
    r->status = tti_fail(code, "%s:%zu: %s", r->jinja->name, r->line, what);
    return (tti_jv){0};
}

void tti_jrun_write(tti_jrun *r, tti_jv v) {
    v = tti_jv_text(r, v);
    if (r->status != TT_OK || !v.n) return;
    const size_t at = r->out->len;
    tti_str_add(r->out, v.s, v.n);
    r->status = r->out->status;
    if (v.from >= v.to || r->status != TT_OK) return;
    if (r->all.from == r->all.to) r->all.from = at + v.from;
    r->all.to = at + v.to;
    if (r->spans) r->status = tti_rendered_add(r->spans, at + v.from, at + v.to);
}

/* What a body writes, as a value. */
static tti_jv capture(tti_jrun *r, const tti_jnode *body) {
    tti_str text = {0}, *out = r->out;
    const tti_answer_span all = r->all;
    tti_rendered *spans = r->spans;
    r->out = &text;
    r->spans = NULL;
    r->all = (tti_answer_span){0};
    tti_jrun_body(r, body);
    tti_jv v = {0};
    if (r->status == TT_OK)
        v = tti_jv_join(r, tti_jv_string(text.len ? text.p : "", text.len), tti_jv_z(""));
    v.from = r->all.from;
    v.to = r->all.to;
    r->out = out;
    r->spans = spans;
    r->all = all;
    tti_str_free(&text);
    return v;
}

tti_jv tti_jrun_macro(tti_jrun *r, const tti_jnode *macro, const tti_jargs *args) {
    tti_jscope *caller = r->scope, inner = {.outer = r->global};
    size_t place = 0;
    for (const tti_jnode *p = macro->a; p && r->status == TT_OK; p = p->next) {
        tti_jv v = tti_jinja_argument(args, place++, p->s);
        if (v.kind == V_UNDEFINED && p->a) v = tti_jrun_eval(r, p->a);
        tti_jv_set(r, &inner.vars, p->s, v);
    }
    r->scope = &inner;
    const tti_jv v = capture(r, macro->c);
    r->scope = caller;
    r->flow = FLOW_ON;
    return v;
}

static void assign(tti_jrun *r, const tti_jnode *targets, tti_jv v) {
    if (r->status != TT_OK) return;
    if (!targets->next) {
        tti_jv_set(r, &r->scope->vars, targets->s, v);
        return;
    }
    size_t i = 0;
    v = tti_jv_items(r, v);
    for (; targets && r->status == TT_OK; targets = targets->next, i++) {
        if (i >= v.list->n) {
            tti_jrun_fail(r, TT_E_FORMAT, "too few values to unpack");
            return;
        }
        tti_jv_set(r, &r->scope->vars, targets->s, v.list->v[i]);
    }
}

static void set(tti_jrun *r, const tti_jnode *n) {
    const tti_jv v = n->b ? tti_jrun_eval(r, n->b) : capture(r, n->c);
    if (!n->s) {
        assign(r, n->a, v);
        return;
    }
    for (tti_jscope *s = r->scope; s; s = s->outer) {
        tti_jv *space = tti_jv_find(&s->vars, n->a->s, strlen(n->a->s));
        if (!space) continue;
        if (space->kind != V_MAP || !space->map->space) break;
        tti_jv_set(r, space->map, n->s, v);
        return;
    }
    tti_jrun_fail(r, TT_E_FORMAT, "%.40s is no namespace", n->a->s);
}

static tti_jv loop_state(tti_jrun *r, tti_jv items, size_t i) {
    tti_jv loop = tti_jv_map(r);
    const int64_t n = (int64_t)items.list->n, at = (int64_t)i;
    if (r->status != TT_OK) return loop;
    tti_jv_set(r, loop.map, "index0", tti_jv_int(at));
    tti_jv_set(r, loop.map, "index", tti_jv_int(at + 1));
    tti_jv_set(r, loop.map, "revindex0", tti_jv_int(n - at - 1));
    tti_jv_set(r, loop.map, "revindex", tti_jv_int(n - at));
    tti_jv_set(r, loop.map, "first", tti_jv_bool(at == 0));
    tti_jv_set(r, loop.map, "last", tti_jv_bool(at == n - 1));
    tti_jv_set(r, loop.map, "length", tti_jv_int(n));
    if (i) tti_jv_set(r, loop.map, "previtem", items.list->v[i - 1]);
    if (at < n - 1) tti_jv_set(r, loop.map, "nextitem", items.list->v[i + 1]);
    return loop;
}

static void for_each(tti_jrun *r, const tti_jnode *n) {
    tti_jv items = tti_jrun_eval(r, n->b), kept = tti_jv_list(r);
    tti_jscope *outer = r->scope;
    if (r->status == TT_OK) items = tti_jv_items(r, items);
    for (size_t i = 0; n->e && r->status == TT_OK && i < items.list->n; i++) {
        tti_jscope inner = {.outer = outer};
        r->scope = &inner;
        assign(r, n->a, items.list->v[i]);
        if (tti_jv_true(tti_jrun_eval(r, n->e))) tti_jv_push(r, kept, items.list->v[i]);
        r->scope = outer;
    }
    if (n->e) items = kept;
    for (size_t i = 0; r->status == TT_OK && i < items.list->n && r->flow != FLOW_BREAK; i++) {
        tti_jscope inner = {.outer = outer};
        r->scope = &inner;
        r->flow = FLOW_ON;
        assign(r, n->a, items.list->v[i]);
        tti_jv_set(r, &inner.vars, "loop", loop_state(r, items, i));
        tti_jrun_body(r, n->c);
        r->scope = outer;
    }
    r->flow = FLOW_ON;
    if (n->d && r->status == TT_OK && !items.list->n) tti_jrun_body(r, n->d);
}

static void statement(tti_jrun *r, const tti_jnode *n) {
    switch (n->kind) {
    case NODE_TEXT: tti_jrun_write(r, tti_jv_string(n->s, n->n)); break;
    case NODE_OUT: tti_jrun_write(r, tti_jrun_eval(r, n->a)); break;
    case NODE_IF: tti_jrun_body(r, tti_jv_true(tti_jrun_eval(r, n->a)) ? n->b : n->c); break;
    case NODE_FOR: for_each(r, n); break;
    case NODE_SET: set(r, n); break;
    case NODE_MACRO:
        tti_jv_set(r, &r->scope->vars, n->s, (tti_jv){.kind = V_MACRO, .macro = n});
        break;
    case NODE_BLOCK: tti_jrun_body(r, n->c); break;
    case NODE_BREAK: r->flow = FLOW_BREAK; break;
    case NODE_CONTINUE: r->flow = FLOW_CONTINUE; break;
    default: tti_jrun_fail(r, TT_E_INTERNAL, "no statement"); break;
    }
}

void tti_jrun_body(tti_jrun *r, const tti_jnode *n) {
    enum { DEEPEST = 1500 };
    if (++r->depth > DEEPEST) tti_jrun_fail(r, TT_E_FORMAT, "never comes to an end");
    for (; n && r->status == TT_OK && r->flow == FLOW_ON; n = n->next) {
        r->line = n->line;
        if (++r->steps > TTI_JINJA_STEPS) tti_jrun_fail(r, TT_E_FORMAT, "never comes to an end");
        statement(r, n);
    }
    r->depth--;
}

tt_status tti_jinja_parse(tti_jinja **out, const char *source, size_t n, const char *name) {
    *out = NULL;
    if (n > MAX_SOURCE) return tti_fail(TT_E_FORMAT, "%s: longer than 1 MiB", name);
    tti_jinja *j = tti_calloc(1, sizeof *j);
    if (!j) return TT_E_NOMEM;
    tt_status s = TT_E_NOMEM;
    j->name = tti_strdup(name);
    char *text = tti_arena_new(&j->arena, n + 1), *to = text;
    if (j->name && text) {
        for (size_t i = 0; i < n; i++) { /* line ends become \n, the last one goes */
            if (source[i] == '\r' && i + 1 < n && source[i + 1] == '\n') continue;
            *to++ = source[i] == '\r' ? '\n' : source[i];
        }
        if (to > text && to[-1] == '\n') *--to = 0;
        tti_jsource src = {
            .arena = &j->arena, .name = j->name, .begin = text, .p = text, .end = to, .line = 1};
        j->body = tti_jinja_body(&src);
        s = src.status;
    }
    if (s == TT_OK)
        *out = j;
    else
        tti_jinja_free(j);
    return s;
}

void tti_jinja_free(tti_jinja *j) {
    if (!j) return;
    tti_arena_free(&j->arena);
    tti_free(j->name);
    tti_free(j);
}

static tti_jv conversation(tti_jrun *r, const tti_message *m, size_t n) {
    tti_jv list = tti_jv_list(r);
    for (size_t i = 0; i < n && r->status == TT_OK; i++) {
        tti_jv one = tti_jv_map(r), text = tti_jv_string(m[i].text, m[i].len);
        if (r->status == TT_OK && m[i].input) {
            text = tti_jv_join(r, text, tti_jv_z("\n\n"));
            if (r->status == TT_OK)
                text = tti_jv_join(r, text, tti_jv_string(m[i].input, m[i].input_len));
        }
        if (r->status != TT_OK) break;
        if (m[i].role == TTI_ROLE_ASSISTANT) text.to = text.n;
        tti_jv_set(r, one.map, "role", tti_jv_z(tti_role_name(m[i].role)));
        tti_jv_set(r, one.map, "content", text);
        tti_jv_push(r, list, one);
    }
    return list;
}

tt_status tti_jinja_render(const tti_jinja *j, const tti_message *m, size_t n, bool prompt,
                           const char *bos, const char *eos, tti_rendered *out) {
    size_t length = 0;
    for (size_t i = 0; i < n; i++) length += m[i].len + m[i].input_len;
    tti_jscope global = {.outer = NULL};
    tti_jrun r = {.jinja = j,
                  .arena.most = ((size_t)64 << 20) + 64 * length,
                  .scope = &global,
                  .global = &global,
                  .out = &out->text,
                  .spans = out,
                  .line = 1};
    tti_jv_set(&r, &global.vars, "messages", conversation(&r, m, n));
    tti_jv_set(&r, &global.vars, "add_generation_prompt", tti_jv_bool(prompt));
    tti_jv_set(&r, &global.vars, "tools", (tti_jv){.kind = V_NONE});
    tti_jv_set(&r, &global.vars, "documents", (tti_jv){.kind = V_NONE});
    if (bos) tti_jv_set(&r, &global.vars, "bos_token", tti_jv_z(bos));
    if (eos) tti_jv_set(&r, &global.vars, "eos_token", tti_jv_z(eos));
    tti_jrun_body(&r, j->body);
    tti_arena_free(&r.arena);
    return r.status;
}
