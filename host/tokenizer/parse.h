// SPDX-License-Identifier: Apache-2.0
/* parse.h - reading tokenizer.json: values of the expected type, or one clear message.
 * cJSON holds strings that end in NUL; \u0000 in the file is therefore kept as the two bytes C0 80,
 * which valid UTF-8 never has, and tti_string turns it back. */
#ifndef TT_HOST_TOKENIZER_PARSE_H
#define TT_HOST_TOKENIZER_PARSE_H

#include "host/core/core.h"
#include "host/format/json.h"

enum { TTI_TOKENIZER_MAX_BYTES = 1 << 30 };

/* A parsed file. */
typedef struct {
    char *name; /* for messages */
    cJSON *json;
} tti_file;
tt_status tti_parse_file(tti_file *out, const char *path);
tt_status tti_parse_text(tti_file *out, const char *name, const char *text, size_t n);
void tti_file_free(tti_file *f);

/* Members of an object. A missing or null one gives the fallback; a wrong type is TT_E_FORMAT.
 * `where` names the object in messages. */
const cJSON *tti_member(const cJSON *object, const char *key); /* NULL: missing or null */
tt_status tti_get_bool(const tti_file *f, const cJSON *object, const char *where, const char *key,
                       bool fallback, bool *out);
tt_status tti_get_index(const tti_file *f, const cJSON *object, const char *where, const char *key,
                        int64_t fallback, int64_t *out); /* whole, 0 to 2^53 */
/* Borrowed, still with C0 80 for NUL; *out is NULL where there is none. */
tt_status tti_get_string(const tti_file *f, const cJSON *object, const char *where, const char *key,
                         const char **out);
/* The same, and a missing one is an error. */
tt_status tti_need_string(const tti_file *f, const cJSON *object, const char *where,
                          const char *key, const char **out);
/* "type" of an object: borrowed. */
tt_status tti_get_type(const tti_file *f, const cJSON *object, const char *where, const char **out);
/* A string of one code point. */
tt_status tti_get_char(const tti_file *f, const cJSON *object, const char *where, const char *key,
                       uint32_t fallback, uint32_t *out);
/* A whole number from 0 to below TTI_ID_LIMIT. */
tt_status tti_as_id(const tti_file *f, const cJSON *value, const char *where, int32_t *out);

/* Copies a string with its NUL bytes back in place. Gives *out (tti_free), NUL-terminated. */
tt_status tti_string(const char *from, char **out, size_t *n);
/* Turns it back in place and returns the new length. */
size_t tti_string_in_place(char *z);

/* TT_E_UNSUPPORTED: "file: where: the type X is not supported". */
tt_status tti_unknown_type(const tti_file *f, const char *where, const char *type);

#endif
