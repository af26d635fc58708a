// SPDX-License-Identifier: Apache-2.0
/* template_fill.c - texts with places in braces. */
#include <string.h>
#include <utf8proc.h>
#include "host/data/template_internal.h"

enum { NO_PLACE = -1, BOS, EOS, SYSTEM, USER, INSTRUCTION, INPUT, ASSISTANT, PLACES };
static const char *const place_name[PLACES] = {"bos",         "eos",   "system",   "user",
                                               "instruction", "input", "assistant"};

static bool is_space(utf8proc_int32_t c) {
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

void tti_python_strip(const char **s, size_t *n, bool left, bool right) {
    utf8proc_int32_t c;
    while (left && *n) {
        const utf8proc_ssize_t m =
            utf8proc_iterate((const utf8proc_uint8_t *)*s, (utf8proc_ssize_t)*n, &c);
        if (m < 1 || !is_space(c)) break;
        *s += m;
        *n -= (size_t)m;
    }
    while (right && *n) {
        size_t at = *n - 1;
        while (at && ((unsigned char)(*s)[at] & 0xC0) == 0x80) at--;
        if (utf8proc_iterate((const utf8proc_uint8_t *)*s + at, (utf8proc_ssize_t)(*n - at), &c) <
                1 ||
            !is_space(c))
            break;
        *n = at;
    }
}

/* One step through a text: a literal stretch, or a place. */
typedef struct {
    const char *literal;
    size_t n; /* of the literal */
    int place;
    bool left, right; /* which sides are stripped */
    const char *next;
    bool wrong; /* a word in braces that is no place: literal is the word */
} step;

static step at_brace(const char *p) {
    if (p[1] == '{' || *p == '}')
        return (step){p, 1, NO_PLACE, false, false, p + 1 + (p[1] == *p), false};
    const size_t word = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz_");
    size_t n = word;
    const bool trim = !strncmp(p + 1 + n, "|trim", 5), rtrim = !strncmp(p + 1 + n, "|rtrim", 6);
    if (trim || rtrim) n += trim ? 5 : 6;
    if (!word || p[1 + n] != '}') return (step){p, 1, NO_PLACE, false, false, p + 1, false};
    for (int i = 0; i < PLACES; i++)
        if (strlen(place_name[i]) == word && !memcmp(place_name[i], p + 1, word))
            return (step){p, 0, i, trim, trim || rtrim, p + n + 2, false};
    return (step){p + 1, word, NO_PLACE, false, false, p + n + 2, true};
}

static step next_step(const char *p) {
    if (*p == '{' || *p == '}') return at_brace(p);
    const size_t n = strcspn(p, "{}");
    return (step){p, n, NO_PLACE, false, false, p + n, false};
}

tt_status tti_template_check(const char *text, const char *source, const char *key) {
    for (const char *p = text; *p;) {
        const step s = next_step(p);
        if (s.wrong)
            return tti_fail(TT_E_FORMAT,
                            "%s: %s: {%.*s} is no place; known are {bos}, {eos}, {system}, {user}, "
                            "{instruction}, {input} and {assistant}; {{ stands for a brace",
                            source, key, (int)s.n, s.literal);
        p = s.next;
    }
    return TT_OK;
}

bool tti_template_holds(const char *text, const char *name) {
    for (const char *p = text; p && *p;) {
        const step s = next_step(p);
        if (s.place != NO_PLACE && !strcmp(place_name[s.place], name)) return true;
        p = s.next;
    }
    return false;
}

static void add(tti_str *out, const char *s, bool left, bool right) {
    size_t n = s ? strlen(s) : 0;
    tti_python_strip(&s, &n, left, right);
    if (n) tti_str_add(out, s, n);
}

/* The end of an answer is where the last character behind {assistant} that is no blank stands. */
static void end_answer(const tti_str *out, tti_answer_span *answer, size_t from) {
    const char *s = out->p + from;
    size_t n = out->len - from;
    tti_python_strip(&s, &n, false, true);
    answer->to = from + n;
}

tt_status tti_template_fill(tti_str *out, const char *text, const tti_places *p,
                            tti_answer_span *answer) {
    const bool split = tti_template_holds(text, "input");
    size_t behind = 0;
    bool answered = false;
    for (const char *at = text; at && *at;) {
        const step s = next_step(at);
        at = s.next;
        switch (s.place) {
        case BOS: add(out, p->bos, false, false); break;
        case EOS: add(out, p->eos, false, false); break;
        case SYSTEM: add(out, p->system, s.left, s.right); break;
        case INPUT: add(out, p->input, s.left, s.right); break;
        case ASSISTANT:
            if (answer) answer->from = out->len;
            add(out, p->assistant, s.left, s.right);
            behind = out->len;
            answered = true;
            break;
        case USER:
        case INSTRUCTION:
            if (p->input && !split) {
                add(out, p->instruction, s.left, false);
                tti_str_puts(out, "\n\n");
                add(out, p->input, false, s.right);
            } else {
                add(out, p->instruction, s.left, s.right);
            }
            break;
        default: tti_str_add(out, s.literal, s.n); break;
        }
    }
    TT_TRY(out->status);
    if (answer && answered) end_answer(out, answer, behind);
    return TT_OK;
}
