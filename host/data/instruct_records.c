// SPDX-License-Identifier: Apache-2.0
/* instruct_records.c - JSON objects, a line each or elements of an array, and plain text. An array
 * is cut into its elements by counting brackets, so only one of them is ever parsed at a time. */
#include <string.h>
#include <strings.h>
#include "host/data/instruct_internal.h"

static bool ends_in(const char *path, const char *const *endings) {
    const size_t n = strlen(path);
    for (; *endings; endings++) {
        const size_t m = strlen(*endings);
        if (n > m && !strcasecmp(path + n - m, *endings)) return true;
    }
    return false;
}

tt_status tti_records_open(tti_records *r, const char *path, size_t max, bool text_wanted) {
    static const char *const of_text[] = {".txt", ".md", NULL};
    static const char *const of_json[] = {".json", ".jsonl", ".ndjson", NULL};
    char first;
    *r = (tti_records){.lines.fd = -1};
    TT_TRY(tti_lines_open(&r->lines, path, max));
    TT_TRY(tti_lines_peek(&r->lines, &first));
    if (!first) return tti_fail(TT_E_DATA, "%s: empty, holds no records", r->lines.name);
    const bool json = ends_in(path, of_json), looks_json = first == '[' || first == '{';
    r->plain = ends_in(path, of_text) || (!json && (text_wanted || !looks_json));
    r->array = !r->plain && first == '[';
    return TT_OK;
}

void tti_records_close(tti_records *r) {
    tti_lines_close(&r->lines);
    tti_str_free(&r->element);
    tti_str_free(&r->where);
    tti_json_free(r->json);
    *r = (tti_records){.lines.fd = -1};
}

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

static tt_status set_where(tti_records *r) {
    r->record++;
    r->where.len = 0;
    tti_str_printf(&r->where, "%s:%zu", r->lines.name, r->line);
    if (r->array) tti_str_printf(&r->where, ": record %zu", r->record);
    return r->where.status;
}

static tt_status whole_text(tti_records *r, bool *more) {
    bool some = !r->done;
    r->element.len = 0;
    while (some) {
        TT_TRY(tti_lines_next(&r->lines, &some));
        if (some) tti_str_add(&r->element, r->lines.text.p, r->lines.text.len);
        TT_TRY(r->element.status);
    }
    *more = !r->done;
    r->done = true;
    r->line = 1;
    return TT_OK;
}

/* The next character of an array that is no blank; 0 at the end of the file. */
static tt_status next_char(tti_records *r, char *out) {
    *out = 0;
    for (;;) {
        for (; r->at < r->lines.text.len; r->at++) {
            if (blank(r->lines.text.p[r->at])) continue;
            *out = r->lines.text.p[r->at];
            return TT_OK;
        }
        bool some;
        r->at = 0;
        TT_TRY(tti_lines_next(&r->lines, &some));
        if (!some) return TT_OK;
    }
}

typedef struct {
    size_t depth;
    bool string, escape;
} brackets;

/* Steps through text[at .. n) to the comma or bracket that ends the element; n where it goes on. */
static size_t element_end(brackets *b, const char *text, size_t at, size_t n) {
    for (; at < n; at++) {
        const char c = text[at];
        if (b->escape) {
            b->escape = false;
        } else if (b->string) {
            b->escape = c == '\\';
            b->string = c != '"';
        } else if (c == '"') {
            b->string = true;
        } else if (c == '[' || c == '{') {
            b->depth++;
        } else if (b->depth && (c == ']' || c == '}')) {
            b->depth--;
        } else if (!b->depth && (c == ',' || c == ']')) {
            break;
        }
    }
    return at;
}

static tt_status end_of_array(tti_records *r) {
    char c;
    r->at++;
    TT_TRY(next_char(r, &c));
    r->done = true;
    if (c)
        return tti_fail(TT_E_FORMAT, "%s:%zu: text after the end of the array", r->lines.name,
                        r->lines.number);
    return TT_OK;
}

static tt_status next_element(tti_records *r, bool *more) {
    char c;
    *more = false;
    TT_TRY(next_char(r, &c)); /* stands on [ first, then on the , or ] behind an element */
    if (c == ']' && r->begun) return end_of_array(r);
    r->at++;
    TT_TRY(next_char(r, &c));
    if (c == ']' && !r->begun) return end_of_array(r);
    r->begun = true;
    r->line = r->lines.number;
    r->element.len = 0;
    brackets b = {0};
    for (bool some = c != 0; some;) {
        const tti_str *t = &r->lines.text;
        const size_t to = element_end(&b, t->p, r->at, t->len);
        tti_str_add(&r->element, t->p + r->at, to - r->at);
        TT_TRY(r->element.status);
        r->at = to;
        *more = to < t->len;
        if (*more) return TT_OK;
        r->at = 0;
        TT_TRY(tti_lines_next(&r->lines, &some));
    }
    return tti_fail(TT_E_FORMAT, "%s:%zu: the record that begins here is never closed",
                    r->lines.name, r->line);
}

static tt_status next_line(tti_records *r, bool *more) {
    do {
        TT_TRY(tti_lines_next(&r->lines, more));
        if (!*more) return TT_OK;
        r->at = strspn(r->lines.text.p, " \t\r\n");
    } while (r->at == r->lines.text.len);
    r->line = r->lines.number;
    return TT_OK;
}

tt_status tti_records_next(tti_records *r, bool *more) {
    tti_json_free(r->json);
    r->json = NULL;
    *more = false;
    if (r->done) return TT_OK;
    TT_TRY(r->plain ? whole_text(r, more) : r->array ? next_element(r, more) : next_line(r, more));
    if (!*more) return TT_OK;
    TT_TRY(set_where(r));
    if (r->plain) return TT_OK;
    const tti_str *t = r->array ? &r->element : &r->lines.text;
    TT_TRY(tti_json_parse_line(&r->json, t->p, t->len, r->lines.name, r->line));
    if (cJSON_IsObject(r->json)) return TT_OK;
    char found[64];
    return tti_fail(TT_E_FORMAT, "%s: expected a JSON object, found %s", r->where.p,
                    tti_json_describe(r->json, found));
}
