// SPDX-License-Identifier: Apache-2.0
/* tokenizer.h - text to token ids and back, as the `tokenizers` package does from the same files.
 */
#ifndef TT_HOST_TOKENIZER_TOKENIZER_H
#define TT_HOST_TOKENIZER_TOKENIZER_H

#include "host/core/core.h"

typedef struct tti_tokenizer tti_tokenizer;

/* Reads a tokenizer.json, or a model folder with tokenizer.json, else vocab.json and merges.txt
 * (RoBERTa or GPT-2), else vocab.txt (BERT); tokenizer_config.json and special_tokens_map.json
 * beside it name the special tokens. Gives *out (tti_tokenizer_free).
 * TT_E_IO: no such file. TT_E_FORMAT: malformed. TT_E_UNSUPPORTED: a type or regular expression
 * that is not known, by name. */
tt_status tti_tokenizer_load(tti_tokenizer **out, const char *model_dir_or_file);
void tti_tokenizer_free(tti_tokenizer *t); /* NULL is a no-op */

typedef struct {
    size_t max_len;   /* tokens at most, special ones included; 0: no limit */
    bool add_special; /* add the special tokens of the template ([CLS], </s> and so on) */
} tti_encode_opts;

typedef struct {
    /* Bytes of the text that the token comes from; 0, 0 for those that the template added. Where a
     * normal form reordered or merged characters they may be off by those. */
    uint32_t from, to;
} tti_span;

/* The result of encoding; zero-initialise, reuse as often as wanted, tti_encoding_free at the end.
 * Each array has n elements. */
typedef struct {
    int32_t *ids;
    int32_t *type_ids;
    uint8_t *special; /* 1 for tokens that the template added */
    tti_span *spans;
    size_t n;
    size_t cut; /* how many tokens were cut off to fit max_len */
    size_t cap_[4];
    struct tti_work *work_; /* buffers and caches that live from one call to the next */
} tti_encoding;
void tti_encoding_free(tti_encoding *e);

/* Encodes na bytes of a and, unless b is NULL, nb bytes of b as a pair. Bytes that are not UTF-8
 * are read as U+FFFD, as Python's errors="replace" does. When there are more than max_len tokens
 * the longer of the two is cut first. Any number of threads may encode with one tokenizer, each
 * with an encoding of its own.
 * TT_E_ARG: max_len leaves no room for the special tokens, or a text of 1 GiB or more.
 * TT_E_DATA: something is not in the vocabulary and there is no unknown token. */
tt_status tti_tokenizer_encode(const tti_tokenizer *t, const char *a, size_t na, const char *b,
                               size_t nb, const tti_encode_opts *o, tti_encoding *out);

/* Appends the text of n ids to out; ids that are not in the vocabulary are passed over, and with
 * skip_special also the special tokens. Valid UTF-8 except where a special token is not. */
tt_status tti_tokenizer_decode(const tti_tokenizer *t, const int32_t *ids, size_t n,
                               bool skip_special, tti_str *out);

/* The id of a piece as the vocabulary writes it, or -1. */
int32_t tti_tokenizer_id(const tti_tokenizer *t, const char *piece, size_t n);
/* The piece of an id, of *n bytes with a NUL after them (borrowed; may hold NUL bytes), or NULL. */
const char *tti_tokenizer_piece(const tti_tokenizer *t, int32_t id, size_t *n);
/* One more than the largest id: what an embedding table must have at least. */
size_t tti_tokenizer_vocab_size(const tti_tokenizer *t);

/* X(member, key in tokenizer_config.json) */
#define TTI_SPECIAL_MAP(X) \
    X(pad, "pad_token")    \
    X(unk, "unk_token")    \
    X(cls, "cls_token")    \
    X(sep, "sep_token")    \
    X(mask, "mask_token")  \
    X(bos, "bos_token")    \
    X(eos, "eos_token")
typedef struct {
#define TTI_SPECIAL_MEMBER(name, key) int32_t name;
    TTI_SPECIAL_MAP(TTI_SPECIAL_MEMBER)
#undef TTI_SPECIAL_MEMBER
} tti_special_ids;
/* Ids of the special tokens; -1 where there is none. */
tti_special_ids tti_tokenizer_special(const tti_tokenizer *t);

/* Copies the tokenizer's files (those of tokenizer.json, vocab.txt, vocab.json, merges.txt,
 * tokenizer_config.json, special_tokens_map.json, added_tokens.json that there are) from where it
 * was loaded to an existing folder. */
tt_status tti_tokenizer_save(const tti_tokenizer *t, const char *dir);

#endif
