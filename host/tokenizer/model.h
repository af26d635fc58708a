// SPDX-License-Identifier: Apache-2.0
/* model.h - the model part of tokenizer.json: from a word to pieces of the vocabulary. */
#ifndef TT_HOST_TOKENIZER_MODEL_H
#define TT_HOST_TOKENIZER_MODEL_H

#include "host/tokenizer/parse.h"
#include "host/tokenizer/vocab.h"
#include "host/tokenizer/work.h"

typedef enum { TTI_WORDPIECE, TTI_WORDLEVEL, TTI_BPE, TTI_UNIGRAM } tti_model_kind;

typedef struct {
    tti_model_kind kind;
    tti_vocab vocab;
    int32_t unk;    /* -1: none, or not in the vocabulary */
    char *unk_name; /* NULL: none */
    char *prefix;   /* WordPiece, BPE: before a piece inside a word; may be NULL */
    size_t n_prefix;
    char *suffix; /* BPE: after the last piece of a word; may be NULL */
    size_t n_suffix;
    size_t max_chars; /* WordPiece: longer words are unknown */
    tti_pairs merges; /* BPE: (left id, right id) to (rank, id) */
    bool fuse_unk, byte_fallback, ignore_merges;
    int32_t byte_id[256]; /* of <0x00>.. or -1 */
    double *score;        /* Unigram: of each id */
    size_t cap_score;
    double unk_score;
    tti_trie trie; /* Unigram: pieces */
} tti_model;

/* Reads the model of tokenizer.json. */
tt_status tti_subword_load(tti_model *out, const tti_file *f, const cJSON *json);
/* BERT's model from the lines of vocab.txt. */
tt_status tti_model_vocab_txt(tti_model *out, const char *name, const char *text, size_t n,
                              const char *unk);
/* RoBERTa's from vocab.json and the lines of merges.txt. */
tt_status tti_model_merges_txt(tti_model *out, const tti_file *vocab, const char *name,
                               const char *text, size_t n);
void tti_subword_free(tti_model *m);

/* Appends the tokens of bytes begin..end of w->doc. */
tt_status tti_model_word(const tti_model *m, tti_work *w, size_t begin, size_t end);

/* The models' own; each puts parts (ids and their lengths) into w->part. */
tt_status tti_wordpiece(const tti_model *m, tti_work *w, const uint8_t *p, size_t n);
tt_status tti_bpe(const tti_model *m, tti_work *w, const uint8_t *p, size_t n);
tt_status tti_unigram(const tti_model *m, tti_work *w, const uint8_t *p, size_t n);
tt_status tti_part_add(tti_work *w, int32_t id, size_t begin, size_t end);
/* TT_E_DATA: there is no unknown token for these bytes. */
tt_status tti_no_unk(const tti_model *m, const uint8_t *p, size_t n);

/* Parts of their loading. */
tt_status tti_merges_load(tti_model *m, const tti_file *f, const cJSON *list);
tt_status tti_merge_add(tti_model *m, const char *file, const char *a, size_t na, const char *b,
                        size_t nb, size_t rank);
tt_status tti_unigram_load(tti_model *m, const tti_file *f, const cJSON *json);
tt_status tti_vocab_load(tti_model *m, const tti_file *f, const cJSON *vocab);

#endif
