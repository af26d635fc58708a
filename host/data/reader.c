// SPDX-License-Identifier: Apache-2.0
/* reader.c - rows of text and label, whatever the format. */
#include "host/data/reader.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "host/data/reader_internal.h"
#include "host/format/json.h"

enum { TEXT, TEXT2, LABEL, COLUMNS };
static const char *const option[COLUMNS] = {"text", "text2", "label"};

struct tti_data_reader {
    tti_lines lines;
    tti_cells cells;
    int format;
    bool with_score;
    char *column[COLUMNS]; /* as asked for; NULL: not wanted */
    bool header, started;
    size_t at[COLUMNS]; /* TSV and CSV: the cell of each */
    size_t width;       /* and how many cells a row has */
    cJSON *json;        /* the current row of JSONL */
    char number[32];    /* a label that JSONL has as a number */
};

bool tti_data_number(const char *s, double *out) {
    if (!*s || s[strspn(s, "+-.0123456789eE")]) return false;
    char *end;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* a constant: no allocation */
    *out = c ? strtod_l(s, &end, c) : strtod(s, &end);
    if (c) freelocale(c);
    return !*end && end != s && isfinite(*out);
}

static int format_of(const char *path) {
    static const struct {
        const char *ending;
        int format;
    } known[] = {{".jsonl", TTI_DATA_JSONL},
                 {".ndjson", TTI_DATA_JSONL},
                 {".tsv", TTI_DATA_TSV},
                 {".csv", TTI_DATA_CSV},
                 {".txt", TTI_DATA_TEXT}};
    const size_t n = strlen(path);
    for (size_t i = 0; i < TT_COUNT(known); i++) {
        const size_t m = strlen(known[i].ending);
        if (n > m && !strcasecmp(path + n - m, known[i].ending)) return known[i].format;
    }
    return TTI_DATA_AUTO;
}

static tt_status find_format(tti_data_reader *r, const char *path, const tti_data_opts *o) {
    r->format = o->format ? o->format : format_of(path);
    char first = 0;
    if (!r->format && !strcmp(path, "-")) {
        TT_TRY(tti_lines_peek(&r->lines, &first));
        if (first == '{')
            r->format = TTI_DATA_JSONL;
        else if (o->unlabelled)
            r->format = TTI_DATA_TEXT;
    }
    if (r->format < TTI_DATA_JSONL || r->format > TTI_DATA_TEXT)
        return tti_fail(TT_E_ARG,
                        "%s: cannot tell its format from its name; say which: jsonl, tsv or csv",
                        r->lines.name);
    if (r->format == TTI_DATA_TEXT && !o->unlabelled)
        return tti_fail(TT_E_ARG, "%s: plain text has no labels; use jsonl, tsv or csv",
                        r->lines.name);
    if (r->format == TTI_DATA_TEXT && o->text2)
        return tti_fail(TT_E_ARG, "%s: plain text has one text a line, no second; use jsonl or tsv",
                        r->lines.name);
    return TT_OK;
}

/* A column number, from 1; 0: s is a name. */
static size_t column_number(const char *s) {
    if (!*s || strlen(s) > 6 || s[strspn(s, "0123456789")]) return 0;
    return (size_t)strtoul(s, NULL, 10);
}

static tt_status take_options(tti_data_reader *r, const tti_data_opts *o) {
    const char *want[COLUMNS] = {o->text ? o->text : "text", o->text2,
                                 o->unlabelled ? NULL
                                 : o->label    ? o->label
                                               : "label"};
    bool all_numbers = true;
    for (int i = 0; i < COLUMNS; i++) {
        if (!want[i]) continue;
        r->column[i] = tti_strdup(want[i]);
        if (!r->column[i]) return TT_E_NOMEM;
        all_numbers = all_numbers && column_number(want[i]);
    }
    r->with_score = o->with_score && !o->unlabelled;
    r->header = o->header ? o->header == TTI_DATA_HEADER_YES : !all_numbers;
    return TT_OK;
}

tt_status tti_data_open(tti_data_reader **out, const char *path, const tti_data_opts *opts) {
    *out = NULL;
    tti_data_reader *r = tti_calloc(1, sizeof *r);
    if (!r) return TT_E_NOMEM;
    tt_status s;
    r->lines.fd = -1;
    TT_GO(take_options(r, opts));
    TT_GO(tti_lines_open(&r->lines, path, opts->max_row ? opts->max_row : (size_t)64 << 20));
    TT_GO(find_format(r, path, opts));
    TT_GO(tti_cells_init(&r->cells, r->format == TTI_DATA_CSV));
done:
    if (s == TT_OK)
        *out = r;
    else
        tti_data_close(r);
    return s;
}

void tti_data_close(tti_data_reader *r) {
    if (!r) return;
    for (int i = 0; i < COLUMNS; i++) tti_free(r->column[i]);
    tti_lines_close(&r->lines);
    tti_cells_free(&r->cells);
    tti_json_free(r->json);
    tti_free(r);
}

const char *tti_data_name(const tti_data_reader *r) { return r->lines.name; }

/* One column of a row: the place that each field of tti_data_row is filled through. */
static void put(tti_data_row *row, int column, const char *s) {
    const size_t n = strlen(s);
    if (column == TEXT)
        row->text = s, row->text_len = n;
    else if (column == TEXT2)
        row->text2 = s, row->text2_len = n;
    else
        row->label = s, row->label_len = n;
}

static tt_status put_score(const tti_data_reader *r, tti_data_row *row, const char *s) {
    row->label = NULL;
    row->label_len = 0;
    if (tti_data_number(s, &row->score)) return TT_OK;
    return tti_fail(TT_E_DATA, "%s:%zu: %s: expected a finite number, found \"%.60s\"",
                    r->lines.name, row->line, r->column[LABEL], s);
}

static tt_status no_label(const tti_data_reader *r, const tti_data_row *row) {
    return tti_fail(TT_E_DATA, "%s:%zu: %s: no label", r->lines.name, row->line, r->column[LABEL]);
}

static tt_status find_column(tti_data_reader *r, int column, const size_t *first, size_t n,
                             size_t line) {
    const char *name = r->column[column];
    size_t number = column_number(name), hits = 0;
    for (size_t i = 0; r->header && i < n; i++) {
        if (strcmp(r->cells.bytes.p + first[i], name)) continue;
        r->at[column] = i;
        hits++;
    }
    if (hits == 1) return TT_OK;
    if (hits > 1)
        return tti_fail(TT_E_DATA, "%s:%zu: column \"%s\" is there %zu times", r->lines.name, line,
                        name, hits);
    if (number && number <= n) {
        r->at[column] = number - 1;
        return TT_OK;
    }
    if (number || !r->header)
        return tti_fail(TT_E_DATA, "%s:%zu: %s is column \"%s\", but a row has %zu columns%s",
                        r->lines.name, line, option[column], name, n,
                        number ? "" : " without names; give the number of the column");
    tti_str names = {0};
    for (size_t i = 0; i < n && names.len < 200; i++)
        tti_str_printf(&names, "%s\"%.40s\"", i ? ", " : "", r->cells.bytes.p + first[i]);
    tt_status s = tti_fail(TT_E_DATA,
                           "%s:%zu: no column \"%s\" for %s; the first line has %s; name the "
                           "column, or give its number if that line is no header",
                           r->lines.name, line, name, option[column],
                           names.status == TT_OK ? names.p : "others");
    tti_str_free(&names);
    return s;
}

static tt_status next_cells(tti_data_reader *r, tti_data_row *row, bool *more) {
    const size_t *first;
    size_t n;
    TT_TRY(tti_cells_next(&r->cells, &r->lines, &first, &n, &row->line, more));
    if (*more && !r->started) {
        r->started = true;
        r->width = n;
        for (int i = 0; i < COLUMNS; i++)
            if (r->column[i]) TT_TRY(find_column(r, i, first, n, row->line));
        if (r->header) TT_TRY(tti_cells_next(&r->cells, &r->lines, &first, &n, &row->line, more));
    }
    if (!*more) return TT_OK;
    if (n != r->width)
        return tti_fail(TT_E_DATA, "%s:%zu: %zu columns, but the first row has %zu", r->lines.name,
                        row->line, n, r->width);
    for (int i = 0; i < COLUMNS; i++) {
        if (!r->column[i]) continue;
        const char *cell = r->cells.bytes.p + first[r->at[i]];
        if (i == LABEL && !*cell) return no_label(r, row);
        if (i == LABEL && r->with_score)
            TT_TRY(put_score(r, row, cell));
        else
            put(row, i, cell);
    }
    return TT_OK;
}

static tt_status wrong_type(const tti_data_reader *r, const tti_data_row *row, int column,
                            const char *expected, const cJSON *v) {
    char found[64];
    return tti_fail(TT_E_DATA, "%s:%zu: %s: expected %s, found %s", r->lines.name, row->line,
                    r->column[column], expected, tti_json_describe(v, found));
}

static tt_status put_json(tti_data_reader *r, tti_data_row *row, int column) {
    const cJSON *v = tti_json_get(r->json, r->column[column]);
    if (!v && column == LABEL) return no_label(r, row);
    if (!v) {
        const cJSON *first = r->json->child;
        return tti_fail(TT_E_DATA, "%s:%zu: %s: missing%s%.60s%s", r->lines.name, row->line,
                        r->column[column], first ? "; the first key is \"" : "",
                        first ? first->string : "", first ? "\"" : "");
    }
    if (column != LABEL) {
        if (!cJSON_IsString(v)) return wrong_type(r, row, column, "a string", v);
        put(row, column, v->valuestring);
        return TT_OK;
    }
    const double x = v->valuedouble;
    if (r->with_score && cJSON_IsNumber(v) && isfinite(x)) {
        row->score = x;
        return TT_OK;
    }
    if (r->with_score && cJSON_IsString(v)) return put_score(r, row, v->valuestring);
    if (r->with_score) return wrong_type(r, row, column, "a finite number", v);
    if (cJSON_IsString(v)) {
        if (!*v->valuestring) return no_label(r, row);
        put(row, column, v->valuestring);
        return TT_OK;
    }
    if (!cJSON_IsNumber(v) || !(fabs(x) <= 0x1p53) || x != nearbyint(x))
        return wrong_type(r, row, column, "a string or a whole number", v);
    snprintf(r->number, sizeof r->number, "%lld", (long long)x);
    put(row, column, r->number);
    return TT_OK;
}

static tt_status next_json(tti_data_reader *r, tti_data_row *row, bool *more) {
    size_t blank;
    do {
        TT_TRY(tti_lines_next(&r->lines, more));
        if (!*more) return TT_OK;
        blank = strspn(r->lines.text.p, " \t\r\n");
    } while (blank == r->lines.text.len);
    tti_json_free(r->json);
    r->json = NULL;
    row->line = r->lines.number;
    TT_TRY(tti_json_parse_line(&r->json, r->lines.text.p, r->lines.text.len, r->lines.name,
                               row->line));
    if (!cJSON_IsObject(r->json)) {
        char found[64];
        return tti_fail(TT_E_DATA, "%s:%zu: expected a JSON object, found %s", r->lines.name,
                        row->line, tti_json_describe(r->json, found));
    }
    for (int i = 0; i < COLUMNS; i++)
        if (r->column[i]) TT_TRY(put_json(r, row, i));
    return TT_OK;
}

static tt_status next_text(tti_data_reader *r, tti_data_row *row, bool *more) {
    TT_TRY(tti_lines_next(&r->lines, more));
    if (!*more) return TT_OK;
    tti_str *t = &r->lines.text;
    if (t->len && t->p[t->len - 1] == '\n') t->p[--t->len] = 0;
    if (t->len && t->p[t->len - 1] == '\r') t->p[--t->len] = 0;
    row->line = r->lines.number;
    put(row, TEXT, t->p);
    return TT_OK;
}

tt_status tti_data_next(tti_data_reader *r, tti_data_row *row, bool *end) {
    bool more = false;
    *row = (tti_data_row){0};
    tt_status s = r->format == TTI_DATA_JSONL  ? next_json(r, row, &more)
                  : r->format == TTI_DATA_TEXT ? next_text(r, row, &more)
                                               : next_cells(r, row, &more);
    *end = !more;
    return s;
}
