// SPDX-License-Identifier: Apache-2.0
/* normalize.h - the normalizer part of tokenizer.json: changes to a text before it is split. */
#ifndef TT_HOST_TOKENIZER_NORMALIZE_H
#define TT_HOST_TOKENIZER_NORMALIZE_H

#include "host/tokenizer/parse.h"
#include "host/tokenizer/regex.h"

typedef enum {
    TTI_NORM_BERT,
    TTI_NORM_NFC,
    TTI_NORM_NFD,
    TTI_NORM_NFKC,
    TTI_NORM_NFKD,
    TTI_NORM_NMT,
    TTI_NORM_LOWERCASE,
    TTI_NORM_STRIP,
    TTI_NORM_STRIP_ACCENTS,
    TTI_NORM_REPLACE,
    TTI_NORM_PREPEND,
    TTI_NORM_BYTE_LEVEL,
    TTI_NORM_PRECOMPILED,
} tti_norm_kind;

/* A SentencePiece table of replacements: a double array trie and the texts it points into. */
typedef struct {
    uint32_t *unit;
    size_t n_unit;
    char *text; /* strings that end in NUL */
    size_t n_text;
} tti_charsmap;

typedef struct {
    tti_norm_kind kind;
    bool clean, chinese, accents, lower; /* Bert */
    bool left, right;                    /* Strip */
    tti_regex *pattern;                  /* Replace */
    char *text;                          /* Replace, Prepend */
    size_t n;
    tti_charsmap map; /* Precompiled */
} tti_norm;

typedef struct {
    tti_norm *v;
    size_t n, cap;
} tti_norms;

/* Reads a normalizer (json may be NULL or null: none); sequences are laid flat. */
tt_status tti_norms_load(tti_norms *out, const tti_file *f, const cJSON *json);
/* BERT's, as vocab.txt without tokenizer.json means it. */
tt_status tti_norms_bert(tti_norms *out, bool lower, bool accents, bool chinese);
void tti_norms_free(tti_norms *n);

/* Reads member "pattern" of an object, {"String": ..} or {"Regex": ..}. Gives *out. */
tt_status tti_pattern_load(tti_regex **out, const tti_file *f, const cJSON *object,
                           const char *place);

/* Normalizes w->cur in place; w->next is overwritten. */
tt_status tti_normalize(const tti_norms *n, tti_work *w);

/* One of the four normal forms of w->cur; uses w->next. */
tt_status tti_normal_form(tti_work *w, bool compatible, bool compose);
/* Bytes as the printable characters that byte-level models write for them. */
uint32_t tti_byte_char(uint8_t byte);
/* The byte of such a character, or -1. */
int tti_char_byte(uint32_t cp);
/* Appends bytes begin..end of from, each as its character. */
void tti_byte_level(tti_text *to, const tti_text *from, size_t begin, size_t end);

tt_status tti_charsmap_load(tti_charsmap *out, const tti_file *f, const char *base64);
void tti_charsmap_free(tti_charsmap *m);
tt_status tti_charsmap_apply(const tti_charsmap *m, tti_work *w);

#endif
