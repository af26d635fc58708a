// SPDX-License-Identifier: Apache-2.0
/* template.c - choosing a template, and rendering by texts. */
#include "host/data/template.h"

#include <string.h>
#include "host/core/file.h"
#include "host/data/template_internal.h"
#include "host/data/template_jinja.h"

static const char *const text_key[] = {
#define KEY(name) #name,
    TTI_TEMPLATE_MAP(KEY)
#undef KEY
};

const char *tti_template_names(void) {
    return "alpaca, llama2, llama3, chatml, mistral, gemma, zephyr, none, model";
}

void tti_template_free(tti_template *t) {
    if (!t) return;
    for (int i = 0; i < TTI_TEXTS; i++) tti_free(t->text[i]);
    tti_jinja_free(t->jinja);
    tti_free(t->bos);
    tti_free(t->eos);
    tti_free(t->source);
    tti_str_free(&t->end_mark);
    tti_free(t);
}

tt_status tti_template_new(tti_template **out, const char *source, tti_marks marks) {
    *out = NULL;
    tti_template *t = tti_calloc(1, sizeof *t);
    if (!t) return TT_E_NOMEM;
    t->name = "own";
    t->source = tti_strdup(source);
    if (marks.bos) t->bos = tti_strdup(marks.bos);
    if (marks.eos) t->eos = tti_strdup(marks.eos);
    if (!t->source || (marks.bos && !t->bos) || (marks.eos && !t->eos)) {
        tti_template_free(t);
        return TT_E_NOMEM;
    }
    *out = t;
    return TT_OK;
}

tt_status tti_template_find_end(tti_template *t) {
    static const char answer[] = "y";
    const tti_message m[] = {{.role = TTI_ROLE_USER, .text = "x", .len = 1},
                             {.role = TTI_ROLE_ASSISTANT, .text = answer, .len = 1}};
    tti_rendered r = {0};
    tt_status s = tti_template_render(t, m, 2, false, &r);
    t->end_mark.len = 0;
    if (s == TT_OK && r.answers) {
        const tti_answer_span a = r.answer[0];
        const char *p = r.text.p + a.from + 1;
        size_t n = a.to - a.from - 1;
        tti_python_strip(&p, &n, true, true);
        tti_str_add(&t->end_mark, p, n);
        s = t->end_mark.status;
    }
    tti_rendered_free(&r);
    return s;
}

static bool uses(const tti_template *t, const char *place) {
    for (int i = 0; i < TTI_TEXTS; i++)
        if (i != TTI_TEXT_default_system && i != TTI_TEXT_default_system_input &&
            tti_template_holds(t->text[i], place))
            return true;
    return false;
}

/* {eos} directly behind {assistant} where only white space follows it. */
static tt_status add_end(tti_template *t) {
    char *text = t->text[TTI_TEXT_assistant];
    char *behind = strchr(strstr(text, "{assistant"), '}') + 1;
    if (behind[strspn(behind, " \t\r\n")]) return TT_OK;
    tti_str s = {0};
    tti_str_add(&s, text, (size_t)(behind - text));
    tti_str_puts(&s, "{eos}");
    tti_str_puts(&s, behind);
    if (s.status != TT_OK) {
        tti_str_free(&s);
        return s.status;
    }
    tti_free(text);
    t->text[TTI_TEXT_assistant] = s.p;
    return TT_OK;
}

tt_status tti_template_finish(tti_template *t) {
    char *const *text = t->text;
    for (int i = 0; i < TTI_TEXTS; i++)
        if (text[i] && i != TTI_TEXT_default_system && i != TTI_TEXT_default_system_input)
            TT_TRY(tti_template_check(text[i], t->source, text_key[i]));
    if (!tti_template_holds(text[TTI_TEXT_assistant], "assistant"))
        return tti_fail(TT_E_FORMAT, "%s: assistant: {assistant} is missing", t->source);
    for (int i = TTI_TEXT_user; i <= TTI_TEXT_user_system; i++)
        if ((text[i] || i == TTI_TEXT_user) && !tti_template_holds(text[i], "user") &&
            !tti_template_holds(text[i], "instruction"))
            return tti_fail(TT_E_FORMAT, "%s: %s: neither {user} nor {instruction} is in it",
                            t->source, text_key[i]);
    TT_TRY(add_end(t));
    if (!t->eos && uses(t, "eos"))
        return tti_fail(TT_E_ARG,
                        "template %s: ends answers with {eos}, but the tokenizer names no "
                        "eos_token; name one in its tokenizer_config.json",
                        t->source);
    return tti_template_find_end(t);
}

static tt_status of_family(tti_template **out, const tti_family *f, tti_marks marks) {
    tti_template *t;
    tt_status s;
    TT_TRY(tti_template_new(&t, f->name, marks));
    t->name = f->name;
    t->chat = f->chat;
    for (int i = 0; i < TTI_TEXTS; i++) {
        if (!f->text[i]) continue;
        t->text[i] = tti_strdup(f->text[i]);
        if (!t->text[i]) {
            tti_template_free(t);
            return TT_E_NOMEM;
        }
    }
    s = tti_template_finish(t);
    if (s == TT_OK)
        *out = t;
    else
        tti_template_free(t);
    return s;
}

static tt_status of_user(tti_template **out, const char *name, bool file, tti_marks marks) {
    tti_template *t;
    TT_TRY(tti_template_new(&t, file ? name : "template", marks));
    tt_status s = file ? tti_template_read_yaml(t, name) : tti_template_read_string(t, name);
    if (s == TT_OK) s = tti_template_finish(t);
    t->chat = s == TT_OK && uses(t, "bos");
    if (s == TT_OK)
        *out = t;
    else
        tti_template_free(t);
    return s;
}

tt_status tti_template_open(tti_template **out, const char *name, const char *model_dir,
                            tti_marks marks) {
    *out = NULL;
    for (size_t i = 0; i < tti_family_count; i++)
        if (!strcmp(name, tti_families[i].name)) return of_family(out, &tti_families[i], marks);
    if (!strcmp(name, "model")) return tti_template_of_model(out, model_dir, marks);
    if (strstr(name, "{assistant")) return of_user(out, name, false, marks);
    if (tti_file_exists(name)) return of_user(out, name, true, marks);
    return tti_fail(TT_E_ARG,
                    "template \"%.80s\" is not known; expected one of %s, a template file, or a "
                    "text with {assistant} in it",
                    name, tti_template_names());
}

const char *tti_template_name(const tti_template *t) { return t->name; }
bool tti_template_adds_special(const tti_template *t) { return !t->chat; }

const char *tti_template_end_mark(const tti_template *t) {
    return t->end_mark.p ? t->end_mark.p : "";
}

void tti_rendered_free(tti_rendered *r) {
    tti_str_free(&r->text);
    tti_free(r->answer);
    *r = (tti_rendered){0};
}

tt_status tti_rendered_add(tti_rendered *r, size_t from, size_t to) {
    TT_TRY(TTI_GROW(r->answer, r->cap, r->answers + 1));
    r->answer[r->answers++] = (tti_answer_span){from, to};
    return TT_OK;
}

/* A question, with the system message where that stands in the same text. */
static tt_status add_user(const tti_template *t, tti_places *p, const tti_message *m, bool first,
                          tti_str *out) {
    char *const *text = t->text;
    const char *use = text[TTI_TEXT_user];
    p->instruction = m->text;
    p->input = m->input;
    if (!p->system && first)
        p->system = m->input && text[TTI_TEXT_default_system_input]
                        ? text[TTI_TEXT_default_system_input]
                        : text[TTI_TEXT_default_system];
    if (m->input && text[TTI_TEXT_user_input]) use = text[TTI_TEXT_user_input];
    if (!first) {
        TT_TRY(tti_template_fill(out, text[TTI_TEXT_between], p, NULL));
    } else if (p->system && text[TTI_TEXT_user_system]) {
        use = text[TTI_TEXT_user_system];
    } else if (p->system) {
        if (!text[TTI_TEXT_system] && !tti_template_holds(use, "system"))
            return tti_fail(TT_E_DATA, "template %s: has no place for a system message", t->source);
        TT_TRY(tti_template_fill(out, text[TTI_TEXT_system], p, NULL));
    }
    return tti_template_fill(out, use, p, NULL);
}

static tt_status render_texts(const tti_template *t, const tti_message *m, size_t n, bool prompt,
                              tti_rendered *out) {
    tti_places p = {.bos = t->bos, .eos = t->eos};
    bool first = true;
    TT_TRY(tti_template_fill(&out->text, t->text[TTI_TEXT_begin], &p, NULL));
    for (size_t i = 0; i < n; i++) {
        if (m[i].role == TTI_ROLE_SYSTEM) {
            p.system = m[i].text;
        } else if (m[i].role == TTI_ROLE_USER) {
            TT_TRY(add_user(t, &p, &m[i], first, &out->text));
            first = false;
        } else {
            tti_answer_span a = {0};
            p.assistant = m[i].text;
            TT_TRY(tti_template_fill(&out->text, t->text[TTI_TEXT_prompt], &p, NULL));
            TT_TRY(tti_template_fill(&out->text, t->text[TTI_TEXT_assistant], &p, &a));
            TT_TRY(tti_rendered_add(out, a.from, a.to));
        }
    }
    return prompt ? tti_template_fill(&out->text, t->text[TTI_TEXT_prompt], &p, NULL) : TT_OK;
}

tt_status tti_template_render(const tti_template *t, const tti_message *m, size_t n, bool prompt,
                              tti_rendered *out) {
    out->text.len = 0;
    out->answers = 0;
    tti_str_add(&out->text, "", 0);
    TT_TRY(out->text.status);
    return t->jinja ? tti_template_run(t, m, n, prompt, out) : render_texts(t, m, n, prompt, out);
}
