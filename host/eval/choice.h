// SPDX-License-Identifier: Apache-2.0
/* choice.h - multiple-choice questions as the published data sets write them, one JSON object a
 * line, and the prompts that lm-evaluation-harness makes of them.
 *
 *   mmlu        {"question", "choices": [..], "answer": 0 or "A"}
 *   arc         {"question", "choices": {"text": [..], "label": [..]}, "answerKey"}
 *   hellaswag   {"activity_label", "ctx_a", "ctx_b" (or "ctx"), "endings": [..], "label"}
 *   winogrande  {"sentence" with a _, "option1", "option2", "answer": 1 or 2}
 *   truthfulqa  {"question", "mc2_targets" (or "mc1_targets"): {"choices": [..], "labels": [..]}}
 *   choices     {"context", "choices": [..], "gold"} */
#ifndef TT_HOST_EVAL_CHOICE_H
#define TT_HOST_EVAL_CHOICE_H

#include "host/core/core.h"

/* X(name) */
#define TTI_CHOICE_SHAPES(X) X(mmlu) X(arc) X(hellaswag) X(winogrande) X(truthfulqa) X(choices)
typedef enum {
#define TTI_CHOICE_ENUM(name) TTI_CHOICE_##name,
    TTI_CHOICE_SHAPES(TTI_CHOICE_ENUM)
#undef TTI_CHOICE_ENUM
        TTI_CHOICE_NONE
} tti_choice_shape;
const char *tti_choice_shape_name(tti_choice_shape s);
tti_choice_shape tti_choice_shape_named(const char *name); /* NONE: no such name */

/* Everything is owned. */
typedef struct {
    char *query;    /* before the answer; NULL where the choices are what stands before it */
    char **choices; /* answers, or (winogrande) beginnings of the sentence */
    size_t n;
    char *rest; /* winogrande: what follows each beginning; else NULL */
    size_t gold;
    uint8_t *truth; /* mc2: 1 for each true choice; else NULL */
    char *subject;  /* mmlu, where it is given; else NULL */
    size_t line;
} tti_question;

typedef struct {
    tti_choice_shape shape;
    tti_question *at;
    size_t n, cap;
} tti_questions;

/* Reads a JSONL file; shape NONE: known by the keys of its first line. limit 0: all. Errors name
 * file, line and key. Gives *out (tti_questions_free). */
tt_status tti_questions_read(tti_questions *out, const char *path, tti_choice_shape shape,
                             size_t limit);
void tti_questions_free(tti_questions *q);

/* Appends a question with its answer, as examples stand before the one that is asked. */
void tti_question_example(tti_str *out, const tti_question *q);
/* Context and continuation of choice i; before: description and examples. */
void tti_question_ask(tti_str *context, tti_str *continuation, const tti_question *q, size_t i,
                      const char *before);

#endif
