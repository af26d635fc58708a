// SPDX-License-Identifier: Apache-2.0
/* json.h - reading JSON with cJSON, with messages that name file, line, column and key. */
#ifndef TT_HOST_FORMAT_JSON_H
#define TT_HOST_FORMAT_JSON_H

#include <cjson/cJSON.h>
#include "host/core/core.h"

/* The most that is read of a configuration file; weights' indexes are the largest, far below it. */
#define TTI_JSON_MAX ((size_t)64 << 20)

/* Set in cJSON.type of numbers that were written with a point or exponent, by tti_json_file and
 * tti_json_set_float, so that 1.0 is written back as 1.0: some readers of configurations insist. */
#define TTI_JSON_FLOAT 1024

/* Parses size bytes of text (NUL bytes and the escape of NUL are refused: C strings could not hold
 * them). name stands for the text in messages: "name:line:column: ...". Gives *out
 * (tti_json_free). */
tt_status tti_json_parse(cJSON **out, const char *text, size_t size, const char *name);
/* The same for one line of a file; messages say "name:line: ...". */
tt_status tti_json_parse_line(cJSON **out, const char *text, size_t size, const char *name,
                              size_t line);
/* Reads and parses a file of at most max bytes. The outermost value must be an object. */
tt_status tti_json_file(cJSON **out, const char *path, size_t max);
void tti_json_free(cJSON *json);

/* An object and the name of where it stands, for messages: "file: key: expected X, found Y". */
typedef struct {
    const cJSON *object; /* borrowed */
    const char *file;    /* borrowed */
} tti_json_at;

/* Each gives the fallback where the key is missing or null, and TT_E_FORMAT for another type.
 * A string is borrowed from the object. Integers must be whole and exact (at most 2^53). */
tt_status tti_json_str(tti_json_at at, const char *key, const char **out, const char *fallback);
tt_status tti_json_int(tti_json_at at, const char *key, int64_t *out, int64_t fallback);
tt_status tti_json_int_in(tti_json_at at, const char *key, int64_t *out, int64_t fallback,
                          int64_t least, int64_t most); /* the fallback is not held to the range */
tt_status tti_json_float(tti_json_at at, const char *key, double *out, double fallback);
tt_status tti_json_bool(tti_json_at at, const char *key, bool *out, bool fallback);
/* *out is NULL when missing or null. */
tt_status tti_json_array(tti_json_at at, const char *key, const cJSON **out);
tt_status tti_json_object(tti_json_at at, const char *key, const cJSON **out);
/* Fails with "file: key: missing" where the key is missing or null. */
tt_status tti_json_need(tti_json_at at, const char *key);
/* The value of a key that is there and is not null, else NULL. Borrowed. */
const cJSON *tti_json_get(const cJSON *object, const char *key);
/* What a value is, for messages: `the string "abc"`, `12`, `an array`. Uses and returns buf. */
const char *tti_json_describe(const cJSON *value, char buf[64]);

/* Replace or add a key, keeping the place of a key that is there. They copy key and value, except
 * tti_json_set, which takes value, also on failure (value NULL: TT_E_NOMEM). */
tt_status tti_json_set(cJSON *object, const char *key, cJSON *value);
tt_status tti_json_set_str(cJSON *object, const char *key, const char *value);
tt_status tti_json_set_int(cJSON *object, const char *key, int64_t value);
tt_status tti_json_set_float(cJSON *object, const char *key, double value);
tt_status tti_json_set_bool(cJSON *object, const char *key, bool value);

/* Appends the value, indented by two spaces a level as Python's json.dumps(indent=2) does; numbers
 * have the fewest digits that read back to the same double. The same bytes for the same value. */
void tti_json_print(tti_str *out, const cJSON *value);
/* Writes tti_json_print's text and a final newline, atomically. */
tt_status tti_json_write(const char *path, const cJSON *value);

#endif
