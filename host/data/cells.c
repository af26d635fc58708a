// SPDX-License-Identifier: Apache-2.0
/* cells.c - rows of cells: CSV by libcsv, TSV by its tabs. */
#include <string.h>
#include "host/data/reader_internal.h"

static void *cell_realloc(void *p, size_t size) { return tti_realloc(p, size, 1); }

/* RFC 4180: "spaces are considered part of a field"; libcsv strips them by default. */
static int no_space(unsigned char c) {
    (void)c;
    return 0;
}

tt_status tti_cells_init(tti_cells *c, bool csv) {
    *c = (tti_cells){.csv = csv};
    if (!csv) return TT_OK;
    if (csv_init(&c->parser, CSV_STRICT | CSV_STRICT_FINI))
        return tti_fail(TT_E_INTERNAL, "the CSV parser does not start");
    csv_set_realloc_func(&c->parser, cell_realloc);
    csv_set_free_func(&c->parser, tti_free);
    csv_set_space_func(&c->parser, no_space);
    csv_set_blk_size(&c->parser, 1 << 14);
    c->have_parser = true;
    return TT_OK;
}

void tti_cells_free(tti_cells *c) {
    if (c->have_parser) csv_free(&c->parser);
    tti_str_free(&c->bytes);
    tti_free(c->cell);
    tti_free(c->row_end);
    tti_free(c->line_of);
    *c = (tti_cells){0};
}

static void add_cell(void *text, size_t n, void *cells) {
    tti_cells *c = cells;
    if (c->status != TT_OK) return;
    c->status = TTI_GROW(c->cell, c->cell_cap, c->cells + 1);
    if (c->status != TT_OK) return;
    c->cell[c->cells++] = c->bytes.len;
    tti_str_add(&c->bytes, text, n);
    tti_str_putc(&c->bytes, 0);
    c->status = c->bytes.status;
}

static void end_row(int terminator, void *cells) {
    (void)terminator;
    tti_cells *c = cells;
    if (c->status == TT_OK) c->status = TTI_GROW(c->row_end, c->row_cap, c->rows + 1);
    if (c->status == TT_OK) c->status = TTI_GROW(c->line_of, c->line_cap, c->rows + 1);
    if (c->status != TT_OK) return;
    c->row_end[c->rows] = c->cells;
    c->line_of[c->rows++] = c->row_line;
    c->row_bytes = 0;
}

static tt_status csv_failed(tti_cells *c, const tti_lines *l) {
    if (c->status != TT_OK) return c->status;
    if (csv_error(&c->parser) != CSV_EPARSE) return TT_E_NOMEM;
    if (c->finished)
        return tti_fail(TT_E_FORMAT, "%s:%zu: a quote opens in this row and is never closed",
                        l->name, c->row_line);
    return tti_fail(TT_E_FORMAT,
                    "%s:%zu: a quote inside a cell, or text after a closing quote; put the "
                    "whole cell in quotes and double those inside it",
                    l->name, l->number);
}

static tt_status feed_csv(tti_cells *c, const tti_lines *l) {
    enum { ROW_NOT_BEGUN = 0 }; /* of libcsv's states: its private name */
    if (c->parser.pstate == ROW_NOT_BEGUN) c->row_line = l->number, c->row_bytes = 0;
    c->row_bytes += l->text.len;
    if (c->row_bytes > l->max)
        return tti_fail(TT_E_DATA, "%s:%zu: a row of more than %zu bytes; is a quote left open?",
                        l->name, c->row_line, l->max);
    size_t n = csv_parse(&c->parser, l->text.p, l->text.len, add_cell, end_row, c);
    if (n != l->text.len || c->status != TT_OK) return csv_failed(c, l);
    return TT_OK;
}

static tt_status feed_tsv(tti_cells *c, const tti_lines *l) {
    size_t n = l->text.len;
    while (n && (l->text.p[n - 1] == '\n' || l->text.p[n - 1] == '\r')) n--;
    if (!n) return TT_OK;
    c->row_line = l->number;
    char *p = l->text.p, *end = p + n;
    for (;;) {
        char *tab = memchr(p, '\t', (size_t)(end - p));
        add_cell(p, (size_t)((tab ? tab : end) - p), c);
        if (!tab) break;
        p = tab + 1;
    }
    end_row('\n', c);
    return c->status;
}

/* Drops the rows that were given; cells of a row in progress move to the front. */
static void drop_given(tti_cells *c) {
    const size_t used = c->rows ? c->row_end[c->rows - 1] : 0;
    if (used) {
        const size_t from = used < c->cells ? c->cell[used] : c->bytes.len;
        memmove(c->bytes.p, c->bytes.p + from, c->bytes.len - from);
        c->bytes.len -= from;
        for (size_t i = used; i < c->cells; i++) c->cell[i - used] = c->cell[i] - from;
        c->cells -= used;
    }
    c->rows = c->next = 0;
}

tt_status tti_cells_next(tti_cells *c, tti_lines *l, const size_t **first, size_t *n, size_t *line,
                         bool *more) {
    *more = false;
    if (c->next == c->rows) drop_given(c);
    while (c->next == c->rows && !c->finished) {
        bool some;
        TT_TRY(tti_lines_next(l, &some));
        if (some) {
            TT_TRY(c->csv ? feed_csv(c, l) : feed_tsv(c, l));
            continue;
        }
        c->finished = true;
        if (c->csv && (csv_fini(&c->parser, add_cell, end_row, c) || c->status != TT_OK))
            return csv_failed(c, l);
    }
    if (c->next == c->rows) return TT_OK;
    const size_t begin = c->next ? c->row_end[c->next - 1] : 0;
    *first = c->cell + begin;
    *n = c->row_end[c->next] - begin;
    *line = c->line_of[c->next++];
    *more = true;
    return TT_OK;
}
