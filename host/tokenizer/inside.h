// SPDX-License-Identifier: Apache-2.0
/* inside.h - what a tokenizer is made of. */
#ifndef TT_HOST_TOKENIZER_INSIDE_H
#define TT_HOST_TOKENIZER_INSIDE_H

#include "host/tokenizer/added.h"
#include "host/tokenizer/decode.h"
#include "host/tokenizer/post.h"
#include "host/tokenizer/pretok.h"

struct tti_tokenizer {
    uint64_t serial; /* tells caches of words apart */
    char *dir;       /* where its files lie */
    char *file;      /* the tokenizer.json, whatever its name; NULL: none */
    tti_norms norms;
    tti_pres pres;
    tti_model model;
    tti_post post;
    tti_decs decs;
    tti_added added;
    tti_special_ids special;
    bool cut_left; /* truncation_side is left */
};

/* Fills t from a folder without tokenizer.json. */
tt_status tti_load_vocab_txt(tti_tokenizer *t, const char *path, const tti_file *config);
tt_status tti_load_merges_txt(tti_tokenizer *t, const char *vocab, const char *merges,
                              const tti_file *config);

#endif
