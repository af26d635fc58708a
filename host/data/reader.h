// SPDX-License-Identifier: Apache-2.0
/* reader.h - texts and labels out of JSONL, TSV, CSV and plain text, one row at a time, in memory
 * bounded by the longest row.
 *
 * JSONL: an object a line. TSV: cells between tabs, nothing is quoted. CSV: RFC 4180, so a quoted
 * cell may hold commas, line ends and doubled quotes. TEXT: every line is a text. All are UTF-8,
 * with or without byte order mark, lines end in LF or CRLF; blank lines of all but TEXT are
 * skipped. */
#ifndef TT_HOST_DATA_READER_H
#define TT_HOST_DATA_READER_H

#include "host/core/core.h"

enum { TTI_DATA_AUTO, TTI_DATA_JSONL, TTI_DATA_TSV, TTI_DATA_CSV, TTI_DATA_TEXT };
enum { TTI_DATA_HEADER_AUTO, TTI_DATA_HEADER_YES, TTI_DATA_HEADER_NO };

/* All borrowed, for the life of the reader. */
typedef struct {
    int format; /* AUTO: by the ending .jsonl .ndjson .tsv .csv .txt; of standard input by its
                 * first character */
    int header; /* of TSV and CSV; AUTO: yes, unless every column is given by number */
    /* Columns: a name (a key in JSONL), or a number from 1. NULL: "text", none, "label". */
    const char *text, *text2, *label;
    bool unlabelled; /* no label is looked for */
    bool with_score; /* the label is a number, see tti_data_row */
    size_t max_row;  /* bytes; 0: 64 MiB */
} tti_data_opts;

/* Borrowed until the next call. Strings are NUL-terminated and hold no NUL, and are valid UTF-8. */
typedef struct {
    const char *text, *text2, *label; /* text2 NULL: none; label NULL: unlabelled or with_score */
    size_t text_len, text2_len, label_len;
    double score; /* with_score: finite */
    size_t line;  /* where the row begins, from 1 */
} tti_data_row;

typedef struct tti_data_reader tti_data_reader;

/* path "-" is standard input. Gives *out. */
tt_status tti_data_open(tti_data_reader **out, const char *path, const tti_data_opts *opts);
/* *end: there was no further row. Errors name file, line and column (TT_E_DATA, TT_E_FORMAT for
 * broken syntax), and the reader cannot go on after one. */
tt_status tti_data_next(tti_data_reader *r, tti_data_row *row, bool *end);
const char *tti_data_name(const tti_data_reader *r); /* the path, or "standard input" */
void tti_data_close(tti_data_reader *r);             /* NULL is a no-op */

/* Reads a decimal number that fills the string, whatever the locale; false for anything else (also
 * for inf and nan, and beyond the range of double). */
bool tti_data_number(const char *s, double *out);

#endif
