// SPDX-License-Identifier: Apache-2.0
/* template_internal.h - templates as texts with places, and as programs of the model's own. */
#ifndef TT_HOST_DATA_TEMPLATE_INTERNAL_H
#define TT_HOST_DATA_TEMPLATE_INTERNAL_H

#include "host/data/template.h"

/* X(text): the texts of a family, as template.h describes them; all may be missing. */
#define TTI_TEMPLATE_MAP(X) \
    X(begin)                \
    X(system)               \
    X(default_system)       \
    X(default_system_input) \
    X(user)                 \
    X(user_input)           \
    X(user_system)          \
    X(prompt)               \
    X(assistant)            \
    X(between)
typedef enum {
#define TTI_TEMPLATE_ENUM(name) TTI_TEXT_##name,
    TTI_TEMPLATE_MAP(TTI_TEMPLATE_ENUM)
#undef TTI_TEMPLATE_ENUM
        TTI_TEXTS
} tti_template_text;

typedef struct {
    const char *name;
    bool chat; /* writes all special tokens itself */
    const char *text[TTI_TEXTS];
} tti_family;
extern const tti_family tti_families[];
extern const size_t tti_family_count;

struct tti_jinja;

struct tti_template {
    const char *name;
    bool chat;
    char *text[TTI_TEXTS];   /* owned; all NULL where jinja is set */
    struct tti_jinja *jinja; /* the model's own; owned */
    char *bos, *eos;         /* NULL: none */
    char *source;            /* where it comes from, for messages */
    tti_str end_mark;
};

/* A template without texts; gives *out. */
tt_status tti_template_new(tti_template **out, const char *source, tti_marks marks);
/* Checks the texts, adds {eos} where an end mark is missing, finds the end mark. */
tt_status tti_template_finish(tti_template *t);
tt_status tti_template_find_end(tti_template *t);

/* Reads the texts of a user's own. */
tt_status tti_template_read_yaml(tti_template *t, const char *path);
tt_status tti_template_read_string(tti_template *t, const char *s);

/* What the places of a text stand for; NULL: has no place here. */
typedef struct {
    const char *bos, *eos, *system, *assistant, *instruction;
    const char *input; /* NULL: none */
} tti_places;
/* Appends a text with its places filled. *answer, unless NULL, is where {assistant} and the end
 * mark behind it came to stand. */
tt_status tti_template_fill(tti_str *out, const char *text, const tti_places *p,
                            tti_answer_span *answer);
/* Whether {name} or {name|trim} stands in text. */
bool tti_template_holds(const char *text, const char *name);
/* TT_E_FORMAT names a place that is not known: source: key: .. */
tt_status tti_template_check(const char *text, const char *source, const char *key);

/* White space as Python's str.strip has it: the part of s[0 .. n) between. */
void tti_python_strip(const char **s, size_t *n, bool left, bool right);

tt_status tti_rendered_add(tti_rendered *r, size_t from, size_t to);

/* Renders by the model's own program. */
tt_status tti_template_run(const tti_template *t, const tti_message *m, size_t n, bool prompt,
                           tti_rendered *out);

#endif
