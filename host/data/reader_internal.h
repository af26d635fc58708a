// SPDX-License-Identifier: Apache-2.0
/* reader_internal.h - lines of a file, and rows of cells made of them. */
#ifndef TT_HOST_DATA_READER_INTERNAL_H
#define TT_HOST_DATA_READER_INTERNAL_H

#include <csv.h>
#include "host/data/reader.h"

/* Physical lines, checked to be UTF-8 without NUL. */
typedef struct {
    char *name; /* of the file, for messages; owned */
    int fd;
    bool owns_fd, started, at_end;
    char *buf; /* what was read ahead: buf[at .. end) */
    size_t at, end;
    size_t max;
    tti_str text;  /* the current line with its '\n', if it has one */
    size_t number; /* of the current line, from 1; 0 before the first */
} tti_lines;

/* The first character that is no blank, or 0 at the end; does not consume. */
tt_status tti_lines_peek(tti_lines *l, char *out);
tt_status tti_lines_open(tti_lines *l, const char *path, size_t max);
/* *more is false at the end of the file. */
tt_status tti_lines_next(tti_lines *l, bool *more);
void tti_lines_close(tti_lines *l);

/* Rows of cells: what CSV rows the last line completed, or the one row of a TSV line. */
typedef struct {
    bool csv, have_parser, finished;
    struct csv_parser parser;
    tti_str bytes; /* the cells, each with a NUL after it */
    size_t *cell;  /* where each begins in bytes; cells+1 of them are set */
    size_t cells, cell_cap;
    size_t *row_end; /* cells up to the end of each complete row */
    size_t rows, row_cap;
    size_t next;      /* row to give next */
    size_t row_line;  /* line where the row in progress began */
    size_t row_bytes; /* of the row in progress */
    size_t *line_of;  /* line where each complete row began */
    size_t line_cap;
    tt_status status; /* of the callbacks */
} tti_cells;

tt_status tti_cells_init(tti_cells *c, bool csv);
void tti_cells_free(tti_cells *c);
/* The next row that is not blank: n cells, c->bytes.p + first[i]. *more is false at the end. */
tt_status tti_cells_next(tti_cells *c, tti_lines *l, const size_t **first, size_t *n, size_t *line,
                         bool *more);

#endif
