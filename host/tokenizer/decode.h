// SPDX-License-Identifier: Apache-2.0
/* decode.h - the decoder part of tokenizer.json: from pieces back to text. */
#ifndef TT_HOST_TOKENIZER_DECODE_H
#define TT_HOST_TOKENIZER_DECODE_H

#include "host/tokenizer/normalize.h"

typedef enum {
    TTI_DEC_WORDPIECE,
    TTI_DEC_BYTE_LEVEL,
    TTI_DEC_METASPACE,
    TTI_DEC_BYTE_FALLBACK,
    TTI_DEC_FUSE,
    TTI_DEC_STRIP,
    TTI_DEC_REPLACE,
    TTI_DEC_BPE,
    TTI_DEC_CTC,
} tti_dec_kind;

typedef struct {
    tti_dec_kind kind;
    bool cleanup;       /* WordPiece, CTC */
    bool prepended;     /* Metaspace */
    uint32_t mark;      /* Metaspace, Strip */
    size_t start, stop; /* Strip */
    tti_regex *pattern; /* Replace */
    char *text;         /* Replace: by what; WordPiece: prefix; BPE: suffix; CTC: padding */
    size_t n;
    char *space; /* CTC: what stands between words */
    size_t n_space;
} tti_dec;

typedef struct {
    tti_dec *v;
    size_t n, cap;
} tti_decs;

/* Reads a decoder (json may be NULL or null: none); sequences are laid flat. */
tt_status tti_decs_load(tti_decs *out, const tti_file *f, const cJSON *json);
/* What vocab.txt (WordPiece) and merges.txt (ByteLevel) go with. */
tt_status tti_decs_one(tti_decs *out, tti_dec_kind kind, const char *text);
void tti_decs_free(tti_decs *d);

/* Turns the list of pieces into the list whose strings, put together, are the text. */
tt_status tti_decode_all(const tti_decs *d, tti_strings *list);

#endif
