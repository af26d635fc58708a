// SPDX-License-Identifier: Apache-2.0
/* pretok.h - the pre_tokenizer part of tokenizer.json: how a text is split into words. */
#ifndef TT_HOST_TOKENIZER_PRETOK_H
#define TT_HOST_TOKENIZER_PRETOK_H

#include "host/tokenizer/normalize.h"

typedef enum {
    TTI_PRE_BERT,
    TTI_PRE_BYTE_LEVEL,
    TTI_PRE_CHAR,
    TTI_PRE_METASPACE,
    TTI_PRE_WHITESPACE,
    TTI_PRE_WHITESPACE_SPLIT,
    TTI_PRE_SPLIT,
    TTI_PRE_PUNCTUATION,
    TTI_PRE_DIGITS,
    TTI_PRE_FIXED_LENGTH,
} tti_pre_kind;

typedef enum {
    TTI_REMOVED,
    TTI_ISOLATED,
    TTI_MERGED_WITH_PREVIOUS,
    TTI_MERGED_WITH_NEXT,
    TTI_CONTIGUOUS,
} tti_behavior;

typedef enum { TTI_PREPEND_NEVER, TTI_PREPEND_FIRST, TTI_PREPEND_ALWAYS } tti_prepend;

typedef struct {
    tti_pre_kind kind;
    tti_behavior behavior; /* Split, Punctuation */
    bool invert;           /* Split */
    bool individual;       /* Digits */
    bool prefix_space;     /* ByteLevel */
    bool split;            /* Metaspace */
    tti_prepend prepend;   /* Metaspace */
    uint32_t mark;         /* Metaspace: what stands for a space; CharDelimiterSplit */
    size_t length;         /* FixedLength */
    tti_regex *pattern;    /* Split; ByteLevel: NULL without use_regex */
} tti_pre;

typedef struct {
    tti_pre *v;
    size_t n, cap;
} tti_pres;

/* Reads a pre-tokenizer (json may be NULL or null: none); sequences are laid flat. */
tt_status tti_pres_load(tti_pres *out, const tti_file *f, const cJSON *json);
tt_status tti_pres_bert(tti_pres *out);
tt_status tti_pres_byte_level(tti_pres *out, bool prefix_space, bool use_regex);
void tti_pres_free(tti_pres *p);

/* Splits the pieces of w->doc that are not added tokens; may rewrite w->doc. */
tt_status tti_pretokenize(const tti_pres *p, tti_work *w);

#endif
