// SPDX-License-Identifier: Apache-2.0
/* pairs.h - a context and what follows it as tokens, as lm-evaluation-harness splits them: white
 * space at the context's end goes to the continuation; the continuation's tokens are those of both
 * together behind as many as the context alone has. */
#ifndef TT_HOST_EVAL_PAIRS_H
#define TT_HOST_EVAL_PAIRS_H

#include "host/eval/scorer.h"
#include "host/tokenizer/tokenizer.h"

typedef struct {
    const tti_tokenizer *tokenizer; /* borrowed */
    size_t max_len;                 /* of the model: tokens that it reads */
    int32_t prefix;                 /* beginning-of-text token, else end of text, or -1 */
    tti_str prefix_text;
    tti_encoding whole, part;
    tti_str joined;
} tti_pairs;

tt_status tti_pairs_open(tti_pairs *p, const tti_tokenizer *tokenizer, size_t max_len);
void tti_pairs_close(tti_pairs *p);
/* The tokens of a text as it stands alone, with the special tokens that the tokenizer adds unless
 * it begins with one. Valid in p->whole until the next call. */
tt_status tti_pairs_text(tti_pairs *p, const char *text, size_t n);
/* Gives ids (tti_free with out->ids) and split; what is too long loses tokens at its beginning.
 * TT_E_DATA: a continuation without tokens, or longer than the model reads. */
tt_status tti_pairs_encode(tti_pairs *p, const char *context, size_t nc, const char *continuation,
                           size_t nt, tti_scored *out);

#endif
