// SPDX-License-Identifier: Apache-2.0
/* instruct.h - conversations and texts for decoders, one record at a time.
 *
 *   alpaca  {"instruction": .., "input": .. (optional), "output": .., "system": .. (optional)}
 *   prompt  {"prompt": .., "completion": ..}
 *   chat    {"messages": [{"role": "system" | "user" | "assistant", "content": ..}, ..]} or
 *           {"conversations": [{"from": "system" | "human" | "gpt", "value": ..}, ..]}
 *   text    {"text": ..}, or a file that is no JSON: one document
 *
 * Records are objects, one a line (JSONL) or the elements of one array (JSON, read element by
 * element). Other keys are passed over. All is UTF-8, with or without byte order mark. */
#ifndef TT_HOST_DATA_INSTRUCT_H
#define TT_HOST_DATA_INSTRUCT_H

#include "host/core/core.h"

/* X(name, keys by which the first record is known); the first that fits is taken. */
#define TTI_INSTRUCT_MAP(X)                 \
    X(chat, "messages", "conversations")    \
    X(alpaca, "instruction", "instruction") \
    X(prompt, "prompt", "prompt")           \
    X(text, "text", "text")
typedef enum {
    TTI_INSTRUCT_auto, /* from the first record of each file */
#define TTI_INSTRUCT_ENUM(name, key, other) TTI_INSTRUCT_##name,
    TTI_INSTRUCT_MAP(TTI_INSTRUCT_ENUM)
#undef TTI_INSTRUCT_ENUM
} tti_instruct_format;
/* false: no such name ("auto" is one). */
bool tti_instruct_format_named(const char *name, tti_instruct_format *out);
const char *tti_instruct_format_name(tti_instruct_format f);

typedef enum { TTI_ROLE_SYSTEM, TTI_ROLE_USER, TTI_ROLE_ASSISTANT } tti_role;
const char *tti_role_name(tti_role r);

typedef struct {
    tti_role role;
    const char *text;
    size_t len;
    const char *input; /* what an Alpaca instruction is about; NULL: none */
    size_t input_len;
} tti_message;

/* Borrowed until the next call. Strings are NUL-terminated, hold no NUL and are valid UTF-8. */
typedef struct {
    const tti_message *message; /* perhaps a system message, then user and assistant by turns, */
    size_t n;                   /* ending with assistant; 0: a text */
    const char *text;
    size_t text_len;
    bool empty;          /* an answer or text is empty or blank; only where that is passed on */
    size_t line, record; /* where it begins; both from 1 */
} tti_instruct_row;

typedef struct {
    tti_instruct_format format;
    bool pass_empty; /* an empty answer or text is no error here: row.empty is set */
    size_t max_row;  /* bytes of a line (of a JSON file without lines: of the file); 0: 4 GiB */
} tti_instruct_opts;

typedef struct tti_instruct_reader tti_instruct_reader;

/* path "-" is standard input. Files that end in .txt or .md, and those that begin neither with [
 * nor {, are plain text. Gives *out. TT_E_DATA: an empty file. */
tt_status tti_instruct_open(tti_instruct_reader **out, const char *path,
                            const tti_instruct_opts *opts);
/* *end: there was no further record. Errors name file, line (in an array also the record) and key:
 * TT_E_FORMAT for broken JSON and values of another type, TT_E_DATA for missing keys, empty answers
 * and wrong roles. The reader cannot go on after one. */
tt_status tti_instruct_next(tti_instruct_reader *r, tti_instruct_row *row, bool *end);
/* Known after the first record. */
tti_instruct_format tti_instruct_reader_format(const tti_instruct_reader *r);
/* Where the last record stands, for messages: "file:12" or "file:1: record 7". */
const char *tti_instruct_where(const tti_instruct_reader *r);
void tti_instruct_close(tti_instruct_reader *r); /* NULL is a no-op */

#endif
