// SPDX-License-Identifier: Apache-2.0
/* instruct.c - what the keys of a record mean. Records themselves come from instruct_records.c. */
#include "host/data/instruct.h"

#include <string.h>
#include "host/data/instruct_internal.h"

static const struct {
    const char *name, *key, *other;
} formats[] = {{"auto", "", ""},
#define ROW(name, key, other) {#name, key, other},
               TTI_INSTRUCT_MAP(ROW)
#undef ROW
};

struct tti_instruct_reader {
    tti_records records;
    tti_instruct_format format;
    bool pass_empty;
    tti_message *message;
    size_t n, cap;
    bool empty;
};

bool tti_instruct_format_named(const char *name, tti_instruct_format *out) {
    for (size_t i = 0; i < TT_COUNT(formats); i++) {
        if (strcmp(formats[i].name, name)) continue;
        *out = (tti_instruct_format)i;
        return true;
    }
    return false;
}

const char *tti_instruct_format_name(tti_instruct_format f) { return formats[f].name; }

const char *tti_role_name(tti_role r) {
    static const char *const names[] = {"system", "user", "assistant"};
    return names[r];
}

tt_status tti_instruct_open(tti_instruct_reader **out, const char *path,
                            const tti_instruct_opts *opts) {
    *out = NULL;
    tti_instruct_reader *r = tti_calloc(1, sizeof *r);
    if (!r) return TT_E_NOMEM;
    r->format = opts->format;
    r->pass_empty = opts->pass_empty;
    tt_status s =
        tti_records_open(&r->records, path, opts->max_row ? opts->max_row : (size_t)4 << 30,
                         opts->format == TTI_INSTRUCT_text);
    if (s == TT_OK && r->records.plain && r->format != TTI_INSTRUCT_auto &&
        r->format != TTI_INSTRUCT_text)
        s = tti_fail(TT_E_FORMAT, "%s: expected JSON records of format %s, found plain text", path,
                     formats[r->format].name);
    if (s == TT_OK)
        *out = r;
    else
        tti_instruct_close(r);
    return s;
}

void tti_instruct_close(tti_instruct_reader *r) {
    if (!r) return;
    tti_records_close(&r->records);
    tti_free(r->message);
    tti_free(r);
}

tti_instruct_format tti_instruct_reader_format(const tti_instruct_reader *r) { return r->format; }

const char *tti_instruct_where(const tti_instruct_reader *r) {
    return r->records.where.p ? r->records.where.p : r->records.lines.name;
}

static bool has(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key) != NULL;
}

static tt_status recognise(tti_instruct_reader *r) {
    const cJSON *o = r->records.json;
    for (size_t i = 1; o && i < TT_COUNT(formats); i++) {
        if (!has(o, formats[i].key) && !has(o, formats[i].other)) continue;
        r->format = (tti_instruct_format)i;
        return TT_OK;
    }
    r->format = TTI_INSTRUCT_text;
    if (!o) return TT_OK;
    tti_str found = {0};
    for (const cJSON *v = o->child; v && found.len < 200; v = v->next)
        tti_str_printf(&found, "%s%.40s", v == o->child ? "" : ", ", v->string);
    tt_status s = tti_fail(TT_E_DATA,
                           "%s: keys {%s} are of no known format; expected instruction and output, "
                           "prompt and completion, messages, or text",
                           r->records.where.p, found.p ? found.p : "");
    if (found.status != TT_OK) s = found.status;
    tti_str_free(&found);
    return s;
}

/* A string that must be there; *out may be blank. */
static tt_status need(const tti_instruct_reader *r, const char *key, const char **out) {
    const tti_json_at at = {r->records.json, r->records.where.p};
    if (!has(at.object, key))
        return tti_fail(TT_E_DATA, "%s: %s: missing (format %s)", at.file, key,
                        formats[r->format].name);
    TT_TRY(tti_json_str(at, key, out, NULL));
    if (*out) return TT_OK;
    return tti_fail(TT_E_FORMAT, "%s: %s: expected a string, found null", at.file, key);
}

static bool is_blank(const char *s) { return !s[strspn(s, " \t\r\n\f\v")]; }

/* what: the path of the value in its record, for messages. */
static tt_status check_blank(tti_instruct_reader *r, const char *what, const char *s, bool answer) {
    if (!is_blank(s)) return TT_OK;
    if (answer && r->pass_empty) {
        r->empty = true;
        return TT_OK;
    }
    return tti_fail(TT_E_DATA, "%s: %s: empty", r->records.where.p, what);
}

static tt_status add(tti_instruct_reader *r, tti_role role, const char *text) {
    TT_TRY(TTI_GROW(r->message, r->cap, r->n + 1));
    r->message[r->n++] = (tti_message){.role = role, .text = text, .len = strlen(text)};
    return TT_OK;
}

static tt_status add_pair(tti_instruct_reader *r, const char *ask, const char *answer) {
    const char *q, *a;
    TT_TRY(need(r, ask, &q));
    TT_TRY(check_blank(r, ask, q, false));
    TT_TRY(need(r, answer, &a));
    TT_TRY(check_blank(r, answer, a, true));
    TT_TRY(add(r, TTI_ROLE_USER, q));
    return add(r, TTI_ROLE_ASSISTANT, a);
}

static tt_status read_alpaca(tti_instruct_reader *r) {
    const tti_json_at at = {r->records.json, r->records.where.p};
    const char *input, *system;
    TT_TRY(tti_json_str(at, "system", &system, NULL));
    if (system && !is_blank(system)) TT_TRY(add(r, TTI_ROLE_SYSTEM, system));
    TT_TRY(add_pair(r, "instruction", "output"));
    TT_TRY(tti_json_str(at, "input", &input, NULL));
    if (input && !is_blank(input)) {
        tti_message *user = &r->message[r->n - 2];
        user->input = input;
        user->input_len = strlen(input);
    }
    return TT_OK;
}

static bool role_of(const char *name, tti_role *out) {
    static const struct {
        const char *name;
        tti_role role;
    } known[] = {{"system", TTI_ROLE_SYSTEM},  {"user", TTI_ROLE_USER},
                 {"human", TTI_ROLE_USER},     {"assistant", TTI_ROLE_ASSISTANT},
                 {"gpt", TTI_ROLE_ASSISTANT},  {"chatgpt", TTI_ROLE_ASSISTANT},
                 {"bing", TTI_ROLE_ASSISTANT}, {"bard", TTI_ROLE_ASSISTANT},
                 {"model", TTI_ROLE_ASSISTANT}};
    for (size_t i = 0; i < TT_COUNT(known); i++) {
        if (strcmp(known[i].name, name)) continue;
        *out = known[i].role;
        return true;
    }
    return false;
}

static tt_status check_order(const tti_instruct_reader *r, const char *place, tti_role role) {
    const bool last = r->n > 0;
    const tti_role before = last ? r->message[r->n - 1].role : TTI_ROLE_SYSTEM;
    if (role == TTI_ROLE_SYSTEM ? !last : (role == TTI_ROLE_ASSISTANT) == (before == TTI_ROLE_USER))
        return TT_OK;
    return tti_fail(TT_E_DATA,
                    "%s: %s: %s cannot %s%s; expected an optional system message, then user and "
                    "assistant by turns",
                    r->records.where.p, place, tti_role_name(role), last ? "follow " : "be first",
                    last ? tti_role_name(before) : "");
}

static tt_status read_message(tti_instruct_reader *r, const cJSON *m, const char *list, size_t i) {
    const bool share_gpt = !strcmp(list, "conversations") && has(m, "from");
    const char *role_key = share_gpt ? "from" : "role", *text_key = share_gpt ? "value" : "content";
    char place[64], found[64];
    snprintf(place, sizeof place, "%s[%zu]", list, i);
    if (!cJSON_IsObject(m))
        return tti_fail(TT_E_FORMAT, "%s: %s: expected an object, found %s", r->records.where.p,
                        place, tti_json_describe(m, found));
    const char *key[2] = {role_key, text_key}, *value[2];
    for (int k = 0; k < 2; k++) {
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(m, key[k]);
        if (!v) return tti_fail(TT_E_DATA, "%s: %s.%s: missing", r->records.where.p, place, key[k]);
        if (!cJSON_IsString(v))
            return tti_fail(TT_E_FORMAT, "%s: %s.%s: expected a string, found %s",
                            r->records.where.p, place, key[k], tti_json_describe(v, found));
        value[k] = v->valuestring;
    }
    tti_role role;
    snprintf(place, sizeof place, "%s[%zu].%s", list, i, role_key);
    if (!role_of(value[0], &role))
        return tti_fail(TT_E_DATA, "%s: %s: expected system, user or assistant, found \"%.40s\"",
                        r->records.where.p, place, value[0]);
    TT_TRY(check_order(r, place, role));
    snprintf(place, sizeof place, "%s[%zu].%s", list, i, text_key);
    if (role == TTI_ROLE_SYSTEM && is_blank(value[1])) return TT_OK; /* as if it were not there */
    TT_TRY(check_blank(r, place, value[1], role == TTI_ROLE_ASSISTANT));
    return add(r, role, value[1]);
}

static tt_status read_chat(tti_instruct_reader *r) {
    const tti_json_at at = {r->records.json, r->records.where.p};
    const char *list = has(at.object, "messages") ? "messages" : "conversations";
    const cJSON *messages;
    if (!has(at.object, list))
        return tti_fail(TT_E_DATA, "%s: messages: missing (format chat)", at.file);
    TT_TRY(tti_json_array(at, list, &messages));
    size_t i = 0;
    for (const cJSON *m = messages ? messages->child : NULL; m; m = m->next)
        TT_TRY(read_message(r, m, list, i++));
    if (r->n && r->message[r->n - 1].role == TTI_ROLE_ASSISTANT) return TT_OK;
    if (!r->n) return tti_fail(TT_E_DATA, "%s: %s: no messages", at.file, list);
    return tti_fail(TT_E_DATA, "%s: %s: ends with a %s message; expected an assistant's answer",
                    at.file, list, tti_role_name(r->message[r->n - 1].role));
}

static tt_status read_text(tti_instruct_reader *r, tti_instruct_row *row) {
    row->text = r->records.element.p;
    if (r->records.json) TT_TRY(need(r, "text", &row->text));
    row->text_len = strlen(row->text);
    return check_blank(r, "text", row->text, true);
}

tt_status tti_instruct_next(tti_instruct_reader *r, tti_instruct_row *row, bool *end) {
    bool more;
    *row = (tti_instruct_row){0};
    TT_TRY(tti_records_next(&r->records, &more));
    *end = !more;
    if (!more && !r->records.record)
        return tti_fail(TT_E_DATA, "%s: holds no records", r->records.lines.name);
    if (!more) return TT_OK;
    if (r->format == TTI_INSTRUCT_auto) TT_TRY(recognise(r));
    r->n = 0;
    r->empty = false;
    switch (r->format) {
    case TTI_INSTRUCT_alpaca: TT_TRY(read_alpaca(r)); break;
    case TTI_INSTRUCT_prompt: TT_TRY(add_pair(r, "prompt", "completion")); break;
    case TTI_INSTRUCT_chat: TT_TRY(read_chat(r)); break;
    default: TT_TRY(read_text(r, row)); break;
    }
    row->message = r->message;
    row->n = r->n;
    row->empty = r->empty;
    row->line = r->records.line;
    row->record = r->records.record;
    return TT_OK;
}
