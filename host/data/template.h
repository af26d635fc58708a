// SPDX-License-Identifier: Apache-2.0
/* template.h - conversations as the text that a model reads, and which parts of it are answers.
 *
 * Three kinds: a family by name (alpaca, llama2, llama3, chatml, mistral, gemma, zephyr, none), the
 * model's own chat template out of its folder, and a user's own.
 *
 * A user's own template is a YAML file of texts,
 *
 *   begin: "{bos}"                           # once, at the beginning
 *   system: "System: {system}\n"             # where there is a system message
 *   default_system: "Be brief."              # taken where there is none
 *   user: "User: {user}\nAssistant:"         # each question, up to the answer
 *   user_input: "..{instruction}..{input}.." # in place of user, for Alpaca records with an input
 *   user_system: "..{system}..{user}.."      # in place of system and the first user
 *   prompt: ""                               # between question and answer; what asks for an answer
 *   assistant: " {assistant}{eos}"           # each answer and its end mark
 *   between: "\n"                            # before every question but the first
 *
 * of which only user and assistant must be there; or one string with {assistant} in it, such as
 * "{system}\n\nQ: {user}\nA: {assistant}{eos}\n", in which everything up to {system} and the blanks
 * behind it is `system`, what follows up to {assistant} is `user`, and the rest `assistant`; {bos}
 * in front is `begin`, and \n, \t and \\ are read as in YAML.
 *
 * {bos} and {eos} are the tokenizer's marks. {user} is the question; of an Alpaca record it is the
 * instruction and, after an empty line, the input. {instruction} is the same, or only the
 * instruction where {input} stands in the same text. {user|trim} is {user} without white space
 * around it, {user|rtrim} without that behind it; so for all. {{ and }} stand for single braces.
 * What follows {assistant}, up to white space, is the end mark: it belongs to the answer, so a
 * model learns to end. Where nothing but white space follows, {eos} is put there. */
#ifndef TT_HOST_DATA_TEMPLATE_H
#define TT_HOST_DATA_TEMPLATE_H

#include "host/data/instruct.h"

typedef struct tti_template tti_template;

/* The tokenizer's marks, copied; NULL: it has none. */
typedef struct {
    const char *bos, *eos;
} tti_marks;

/* What there is to choose from, for messages: "alpaca, llama2, ..". */
const char *tti_template_names(void);

/* name: a family, "model" (of model_dir), a YAML file, or a string with {assistant} in it. Gives
 * *out. TT_E_ARG: none of these, with the names; a mark that is needed but missing; TT_E_FORMAT:
 * malformed. */
tt_status tti_template_open(tti_template **out, const char *name, const char *model_dir,
                            tti_marks marks);
/* The chat template in chat_template.jinja, else in tokenizer_config.json (a string, or the one
 * called "default" in a list). TT_E_UNSUPPORTED: there is none, or none that can be used. */
tt_status tti_template_of_model(tti_template **out, const char *model_dir, tti_marks marks);
void tti_template_free(tti_template *t); /* NULL is a no-op */

/* The family; for a model's template the family whose texts are the same, else "the model's own";
 * for a user's "own". */
const char *tti_template_name(const tti_template *t);
/* Whether the tokenizer puts its special tokens around the text, as it does for plain text: chat
 * templates write all of them themselves, as transformers' apply_chat_template has it. */
bool tti_template_adds_special(const tti_template *t);
/* The text that ends an answer, without white space around it; "" where there is none. */
const char *tti_template_end_mark(const tti_template *t);

typedef struct {
    size_t from, to; /* bytes */
} tti_answer_span;

/* Zero-initialise, reuse as often as wanted, tti_rendered_free at the end. */
typedef struct {
    tti_str text;
    tti_answer_span *answer; /* in order; each with its end mark */
    size_t answers, cap;
} tti_rendered;
void tti_rendered_free(tti_rendered *r);

/* n >= 1 messages: perhaps a system message, then user and assistant by turns. With prompt, the
 * text ends with what asks for the next answer. TT_E_DATA: the template refuses the conversation
 * (one that has no place for a system message, say). */
tt_status tti_template_render(const tti_template *t, const tti_message *m, size_t n, bool prompt,
                              tti_rendered *out);

#endif
