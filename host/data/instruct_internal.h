// SPDX-License-Identifier: Apache-2.0
/* instruct_internal.h - records of a file as parsed JSON, or its whole text. */
#ifndef TT_HOST_DATA_INSTRUCT_INTERNAL_H
#define TT_HOST_DATA_INSTRUCT_INTERNAL_H

#include "host/data/instruct.h"
#include "host/data/reader_internal.h"
#include "host/format/json.h"

typedef struct {
    tti_lines lines;
    bool plain, array; /* neither: an object a line */
    bool begun, done;
    size_t at;       /* array: where to go on in the current line */
    tti_str element; /* array: the text of one; plain: of the file */
    cJSON *json;     /* the current record; NULL in plain text */
    size_t line, record;
    tti_str where; /* "file:line" or "file:line: record n" */
} tti_records;

/* An ending of text, or the first character, decides what the file is; with text_wanted only
 * endings of JSON keep a file from being plain text. */
tt_status tti_records_open(tti_records *r, const char *path, size_t max, bool text_wanted);
/* *more is false at the end. r->json is an object, or NULL where r->element is the text. */
tt_status tti_records_next(tti_records *r, bool *more);
void tti_records_close(tti_records *r);

#endif
