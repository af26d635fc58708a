// SPDX-License-Identifier: Apache-2.0
/* causal.h - samples for decoders: token ids, and which next tokens are learned.
 *
 * The whole text of a conversation is encoded at once, so tokens are those the model will meet, and
 * a token belongs to an answer if any of its bytes does: the rule of transformers'
 * return_assistant_tokens_mask. Of what a template writes behind an answer only its end mark
 * belongs to it. Texts that a template leaves to the tokenizer (alpaca, none, plain text) get the
 * special tokens that the tokenizer puts in front, once; chat templates write their own.
 *
 * Plain text: a document is encoded, ended by the tokenizer's eos, and cut into windows of max_len
 * tokens; a window begins with the last token of the one before it, so every token but the first is
 * learned exactly once.
 *
 * Samples stand alone: nothing is packed, rows of a batch never see another's. */
#ifndef TT_HOST_DATA_CAUSAL_H
#define TT_HOST_DATA_CAUSAL_H

#include "host/data/instruct.h"
#include "host/data/template.h"
#include "host/tokenizer/tokenizer.h"

enum { TTI_NO_LABEL = -100 };

/* Borrowed from the dataset. */
typedef struct {
    const int32_t *ids;    /* [n], n >= 2 */
    const int32_t *labels; /* [n]: ids[t + 1] where that is learned, else TTI_NO_LABEL */
    size_t n;
    size_t prompt;     /* tokens before the first answer; 0 in plain text */
    size_t supervised; /* labels that count, at least 1 */
    size_t cut;        /* tokens that were cut off to fit max_len */
    const char *file;  /* where it comes from */
    size_t line;
} tti_causal_sample;

/* Strings are borrowed for the call. */
typedef struct {
    tti_instruct_format format;
    const char *template_name; /* see tti_template_open; NULL: alpaca for alpaca, none for prompt,
                                * the model's own for chat; has no meaning for plain text */
    const char *model_dir;     /* of the model's own template */
    size_t max_len;            /* tokens of a sample, at least 2; 0: no limit */
    bool loss_all;             /* prompts are learned as well as answers */
    bool skip;   /* samples with an empty answer, or without any of it within max_len, are passed
                  * over and counted, not an error */
    bool no_end; /* plain text: no eos behind a document */
} tti_causal_opts;

typedef struct {
    size_t samples, tokens, supervised, longest;
    size_t cut_samples, cut_tokens;     /* samples cut to fit, and the tokens they lost */
    size_t skipped_empty, skipped_long; /* passed over: no answer; no answer within max_len */
} tti_causal_totals;

typedef struct tti_causal_dataset tti_causal_dataset;

/* Reads n >= 1 files. Errors are one line that names file, line and what is wrong (TT_E_DATA,
 * TT_E_FORMAT, TT_E_ARG for options). Gives *out (tti_causal_free), which keeps nothing of the
 * tokenizer. */
tt_status tti_causal_load(tti_causal_dataset **out, const char *const *paths, size_t n,
                          const tti_tokenizer *tokenizer, const tti_causal_opts *opts);
void tti_causal_free(tti_causal_dataset *ds); /* NULL is a no-op */

size_t tti_causal_count(const tti_causal_dataset *ds);
tti_causal_sample tti_causal_at(const tti_causal_dataset *ds, size_t i);
tti_causal_totals tti_causal_sum(const tti_causal_dataset *ds);
/* Appends the totals in words, one line without its end; names what was cut and passed over. */
void tti_causal_describe(const tti_causal_dataset *ds, tti_str *out);

/* The tokens of a rendered text. Zero-initialise, reuse, tti_causal_tokens_free at the end. */
typedef struct {
    int32_t *ids;
    uint8_t *answer; /* 1 for tokens of answers and their end marks */
    size_t n, cap, cap_answer;
    tti_encoding encoding;
} tti_causal_tokens;
void tti_causal_tokens_free(tti_causal_tokens *t);
/* add_special: tti_template_adds_special of the template. Special tokens that the tokenizer would
 * put behind are left out, since the text ends as its template says. No limit of length. */
tt_status tti_causal_encode(tti_causal_tokens *out, const tti_tokenizer *tokenizer,
                            const tti_rendered *text, bool add_special);
/* The marks that templates need, borrowed from the tokenizer. */
tti_marks tti_causal_marks(const tti_tokenizer *tokenizer);

#endif
