// SPDX-License-Identifier: Apache-2.0
/* tokentune/tokenizer.h - text to token ids and back, as the `tokenizers` package does from the
 * same files. Any number of threads may use one tokenizer. */
#ifndef TOKENTUNE_TOKENIZER_H
#define TOKENTUNE_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "tokentune/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tt_tokenizer tt_tokenizer;

/* Opens a tokenizer.json, or a model folder with tokenizer.json, vocab.json and merges.txt, or
 * vocab.txt. Gives *out (tt_tokenizer_close).
 * TT_E_IO: no such file. TT_E_FORMAT: malformed. TT_E_UNSUPPORTED: of a kind that is not known. */
TT_API tt_status tt_tokenizer_open(tt_tokenizer **out, const char *path);
TT_API void tt_tokenizer_close(tt_tokenizer *t);

/* One more than the largest id. 0 for NULL. */
TT_API size_t tt_tokenizer_vocab_size(const tt_tokenizer *t);

typedef struct {
    size_t max_len;   /* tokens at most, special ones included; 0: no limit */
    bool add_special; /* add those of the model, such as [CLS] */
} tt_encode_opts;
TT_API tt_encode_opts tt_encode_defaults(void); /* no limit, special tokens added */

typedef struct {
    int32_t *ids, *type_ids; /* n each; type 1 is the second text's */
    size_t n;
    size_t cut; /* tokens that were cut off to fit max_len, of the longer text first */
} tt_tokens;

/* Encodes text, or with text2 not NULL a pair. Options NULL: the defaults. Bytes that are not UTF-8
 * are read as U+FFFD. Gives what is in *out (tt_tokens_free), whose former content is not freed.
 * TT_E_ARG: max_len leaves no room for the special tokens, or a text of 1 GiB or more.
 * TT_E_DATA: something is not in the vocabulary and there is no unknown token. */
TT_API tt_status tt_tokenizer_encode(const tt_tokenizer *t, const char *text, const char *text2,
                                     const tt_encode_opts *o, tt_tokens *out);
TT_API void tt_tokens_free(tt_tokens *tokens); /* zeroes it; twice is harmless */

/* The text of n ids; those that are not in the vocabulary are passed over, and with skip_special
 * also the special tokens. ids may be NULL when n is 0. Gives *text (tt_text_free). */
TT_API tt_status tt_tokenizer_decode(const tt_tokenizer *t, const int32_t *ids, size_t n,
                                     bool skip_special, char **text);
TT_API void tt_text_free(char *text);

#ifdef __cplusplus
}
#endif
#endif
