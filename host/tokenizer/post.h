// SPDX-License-Identifier: Apache-2.0
/* post.h - the post_processor part of tokenizer.json: which special tokens go where. */
#ifndef TT_HOST_TOKENIZER_POST_H
#define TT_HOST_TOKENIZER_POST_H

#include "host/tokenizer/model.h"

typedef struct {
    enum { TTI_TEXT_A, TTI_TEXT_B, TTI_ADDED_ID } kind;
    int32_t id; /* TTI_ADDED_ID */
    int32_t type_id;
} tti_item;
typedef struct {
    tti_item *v;
    size_t n, cap;
} tti_items;
typedef struct {
    tti_items single, pair;
    bool trim;         /* leave spaces at the edges of tokens out of their spans */
    bool prefix_space; /* but for one that the pre-tokenizer added */
    int32_t cls, sep;  /* as far as known, else -1 */
} tti_post;

/* Reads a post-processor (json may be NULL or null: the texts alone). */
tt_status tti_post_load(tti_post *out, const tti_file *f, const cJSON *json);
/* cls A sep, then B sep with type 1 (BERT), or sep B sep with type 0 (RoBERTa). */
tt_status tti_post_pair(tti_post *out, int32_t cls, int32_t sep, bool roberta);
tt_status tti_post_plain(tti_post *out);
void tti_post_free(tti_post *p);

/* Makes the encoding of the tokens in w, the first na of which are of the first text, cut to
 * o->max_len; left: at their beginnings. Type ids, spans and all. */
tt_status tti_post_apply(const tti_post *p, const tti_work *w, size_t na, bool pair,
                         const tti_encode_opts *o, bool left, tti_encoding *out);

/* Where spans are to be trimmed: counts the blanks at the edges of an added token that stands for
 * bytes begin..end of t; and takes blanks at the edges of the tokens from number first on, all of
 * the given text, out of their spans. */
void tti_post_blanks(const tti_post *p, const tti_text *t, size_t begin, size_t end, tti_token *to);
void tti_post_trim(const tti_post *p, const tti_model *m, tti_work *w, size_t first,
                   const char *text);

#endif
