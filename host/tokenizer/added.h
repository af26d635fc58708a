// SPDX-License-Identifier: Apache-2.0
/* added.h - added tokens: found in the text before, or after, it is normalized. */
#ifndef TT_HOST_TOKENIZER_ADDED_H
#define TT_HOST_TOKENIZER_ADDED_H

#include "host/tokenizer/model.h"
#include "host/tokenizer/normalize.h"

typedef struct {
    bool special, normalized, single_word, lstrip, rstrip;
} tti_added_flags;

typedef struct {
    tti_trie trie; /* to the number of a token in vocab */
    bool first[256];
} tti_finder;

typedef struct {
    tti_vocab vocab;
    tti_added_flags *flags; /* of each of vocab's entries */
    size_t cap_flags;
    tti_strings shown; /* of each entry: its normalized content where it is matched normalized */
    tti_finder raw, normalized;
} tti_added;

/* Adds a token (content copied). It gets the id that the model or an earlier token of this content
 * has, else the next free one above both. */
tt_status tti_added_add(tti_added *a, const tti_model *m, const char *content, size_t n,
                        tti_added_flags flags);
/* Reads "added_tokens" of tokenizer.json. */
tt_status tti_added_load(tti_added *a, const tti_model *m, const tti_file *f, const cJSON *json);
/* Makes the finders; after the last token was added. w is scratch. */
tt_status tti_added_ready(tti_added *a, const tti_norms *n, tti_work *w);
void tti_added_free(tti_added *a);

/* How an added token's id is shown: its content, normalized where it is matched so; NULL where it
 * is none. */
const char *tti_added_piece(const tti_added *a, int32_t id, size_t *n);
/* Whether this is the content of a special token. */
bool tti_added_is_special(const tti_added *a, const char *content, size_t n);

/* Appends to out the pieces of bytes begin..end of t: added tokens, and what lies between them. */
tt_status tti_added_find(const tti_added *a, const tti_finder *f, const tti_text *t, size_t begin,
                         size_t end, tti_pieces *out);

#endif
