// SPDX-License-Identifier: Apache-2.0
/* work.h - what one call of encode works with: text with its origin, pieces of it, tokens. */
#ifndef TT_HOST_TOKENIZER_WORK_H
#define TT_HOST_TOKENIZER_WORK_H

#include <string.h>
#include "host/tokenizer/tokenizer.h"
#include "host/tokenizer/unicode.h"

/* Valid UTF-8; each byte knows which bytes of the caller's text it stands for. A failure to grow
 * sticks in status. */
typedef struct {
    uint8_t *p;
    tti_span *at;
    size_t n, cap, cap_at;
    tt_status status;
} tti_text;

tt_status tti_text_grow(tti_text *t, size_t more);
void tti_text_free(tti_text *t);
static inline bool tti_text_room(tti_text *t, size_t more) {
    if (t->n + more <= t->cap && t->status == TT_OK) return true;
    return tti_text_grow(t, more) == TT_OK;
}
static inline void tti_text_put(tti_text *t, uint32_t cp, tti_span at) {
    if (!tti_text_room(t, 4)) return;
    size_t k = tti_utf8_put(t->p + t->n, cp);
    for (size_t i = 0; i < k; i++) t->at[t->n + i] = at;
    t->n += k;
}
/* Appends bytes that all stand for one place. */
void tti_text_bytes(tti_text *t, const void *p, size_t n, tti_span at);
/* Appends bytes from..to of another text. */
void tti_text_copy(tti_text *t, const tti_text *from, size_t begin, size_t end);
static inline void tti_text_swap(tti_text *a, tti_text *b) {
    tti_text c = *a;
    *a = *b;
    *b = c;
}

/* A list of strings: one after the other in text, each up to its end. */
typedef struct {
    tti_str text;
    size_t *end;
    size_t n, cap;
} tti_strings;
tt_status tti_strings_add(tti_strings *l, const void *p, size_t n);
void tti_strings_free(tti_strings *l);

/* A stretch of text; id >= 0 when it is an added token already, else it is still to be split. */
typedef struct {
    uint32_t begin, end;
    int32_t id;
} tti_piece;
typedef struct {
    tti_piece *v;
    size_t n, cap;
} tti_pieces;
tt_status tti_pieces_add(tti_pieces *p, size_t begin, size_t end, int32_t id); /* none if empty */

/* Matches of a pattern, in order, without overlap, and what lies between: all of the text. */
typedef struct {
    uint32_t begin, end;
    bool hit;
} tti_match;
typedef struct {
    tti_match *v;
    size_t n, cap;
} tti_matches;
tt_status tti_matches_add(tti_matches *m, size_t begin, size_t end, bool hit);

typedef struct {
    int32_t id;
    tti_span at;
    bool added;             /* found before the model saw the text */
    uint32_t before, after; /* blanks at its edges; counted where spans are to be trimmed */
} tti_token;

/* One code point on its way through a normal form. */
typedef struct {
    int32_t cp;
    uint8_t order; /* canonical combining class */
    bool first;    /* of those that a character decomposes to */
    tti_span at;
} tti_mark;

/* One symbol of a word in byte pair merging; prev and next are positions, -1 at the ends. */
typedef struct {
    int32_t id;
    int32_t prev, next;
    uint32_t len; /* bytes; 0: merged into the one before */
} tti_symbol;
typedef struct {
    uint32_t rank, pos;
    int32_t id;
} tti_merge;

/* The best path of a Unigram model to the end of a byte. */
typedef struct {
    double score;
    int32_t id;
    int32_t from; /* -1: none yet */
} tti_step;

/* Words seen before and their ids. */
typedef struct {
    uint64_t hash;
    uint32_t at, len;  /* the word, in bytes */
    uint32_t token, n; /* its tokens */
} tti_cache_slot;
typedef struct {
    int32_t id;
    uint32_t begin, end; /* bytes of the word */
} tti_part;
typedef struct {
    tti_cache_slot *slot; /* len 0 is free */
    size_t n_slots, used;
    uint8_t *bytes;
    size_t n_bytes, cap_bytes;
    tti_part *part;
    size_t n_part, cap_part;
} tti_cache;

typedef struct tti_work {
    uint64_t owner; /* serial of the tokenizer that the cache belongs to */
    tti_text input, doc, cur, next;
    tti_pieces pieces, next_pieces;
    tti_matches matches;
    tti_token *token;
    size_t n_token, cap_token;
    tti_mark *mark;
    size_t n_mark, cap_mark;
    uint64_t *key; /* sorting of marks */
    size_t cap_key;
    tti_mark *sorted;
    size_t cap_sorted;
    int32_t *cps;
    size_t cap_cps;
    tti_symbol *symbol;
    size_t n_symbol, cap_symbol;
    tti_merge *heap;
    size_t n_heap, cap_heap;
    tti_step *step;
    size_t cap_step;
    tti_part *part;
    size_t n_part, cap_part;
    uint64_t *hash;
    size_t cap_hash;
    uint8_t *shadow; /* text as regular expressions see it */
    size_t cap_shadow;
    void *match_data; /* of PCRE2 */
    tti_cache cache;
} tti_work;
tt_status tti_work_new(tti_work **out);
void tti_work_free(tti_work *w);

void tti_cache_clear(tti_cache *c); /* forgets all words */
/* Appends a token for bytes begin..end of the document. */
tt_status tti_work_token(tti_work *w, int32_t id, size_t begin, size_t end);

#endif
