// SPDX-License-Identifier: Apache-2.0
/* harness.h - decoders judged as lm-evaluation-harness does: answers by their likelihood, and the
 * perplexity of texts.
 *   acc       the answer of the largest ln p is the right one
 *   acc_norm  the same of ln p over the answer's length in characters; acc_bytes: in bytes
 *   mc2       the share of the true answers in the probability of all (TruthfulQA) */
#ifndef TT_HOST_EVAL_HARNESS_H
#define TT_HOST_EVAL_HARNESS_H

#include "host/eval/choice.h"
#include "host/eval/pairs.h"
#include "host/eval/scorer.h"

typedef struct {
    tti_choice_shape shape;  /* NONE: by the file's keys */
    size_t shots;            /* examples before each question, the first ones of `examples` */
    const char *examples;    /* file of the same shape; NULL with shots 0 */
    const char *description; /* stands before all; {subject} is a question's; NULL: nothing */
    size_t limit;            /* questions at most; 0: all */
    FILE *each;              /* a JSON line for each question; NULL: none */
} tti_choice_opts;

typedef struct {
    tti_choice_shape shape;
    bool mc2; /* acc is that share; no others */
    size_t n;
    double acc, acc_norm, acc_bytes;
    double acc_stderr, acc_norm_stderr; /* of the means */
} tti_choice_scores;

/* All questions of a file. Errors name file and line. */
tt_status tti_choice_evaluate(tti_choice_scores *out, tti_scorer *scorer, tti_pairs *pairs,
                              const char *path, const tti_choice_opts *o);

typedef struct {
    size_t documents, tokens, words, bytes;
    double loglik; /* sum of ln p */
    double token_perplexity, word_perplexity, byte_perplexity, bits_per_byte;
} tti_perplexity;

/* Documents of a file: objects with "text", one a line, or all of a file that is no JSON as one.
 * Longer ones than the model reads are cut into windows in which every token is judged once. */
tt_status tti_perplexity_evaluate(tti_perplexity *out, tti_scorer *scorer, tti_pairs *pairs,
                                  const char *path, size_t limit);
/* Whether a file holds texts, not questions: by its first line. */
tt_status tti_perplexity_fits(bool *out, const char *path);

#endif
