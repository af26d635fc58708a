// SPDX-License-Identifier: Apache-2.0
/* template_model.c - the chat template that comes with a model: found, tried out, and recognised
 * where it writes what a known family writes. */
#include <string.h>
#include "host/core/file.h"
#include "host/data/template_internal.h"
#include "host/data/template_jinja.h"
#include "host/format/json.h"

static tt_status choose(const char *where, const char *why) {
    return tti_fail(TT_E_UNSUPPORTED, "%s: %s; choose a template by name: %s", where, why,
                    tti_template_names());
}

/* The message of a failure in the template, with the way out. */
static tt_status unusable(tt_status s) {
    tti_str why = {0};
    if (s == TT_E_NOMEM) return s;
    tti_str_puts(&why, tt_error());
    if (why.status != TT_OK) return why.status;
    s = tti_fail(TT_E_UNSUPPORTED, "%s; this chat template is not known, choose one by name: %s",
                 why.p, tti_template_names());
    tti_str_free(&why);
    return s;
}

static tt_status read_source(tti_template *t, const char *text, size_t n, const char *path,
                             const char *key) {
    tti_str name = {0};
    tti_str_printf(&name, "%s%s", path, key);
    tt_status s = name.status;
    if (s == TT_OK) s = tti_jinja_parse(&t->jinja, text, n, name.p);
    tti_str_free(&name);
    return s == TT_OK ? s : unusable(s);
}

/* A string, or in a list of {name, template} the one called default. */
static tt_status template_text(const cJSON *config, const char *path, const char **out) {
    const cJSON *v = tti_json_get(config, "chat_template"), *one;
    char found[64];
    *out = NULL;
    if (cJSON_IsString(v)) *out = v->valuestring;
    if (!v || *out) return TT_OK;
    if (!cJSON_IsArray(v))
        return tti_fail(TT_E_FORMAT, "%s: chat_template: expected a string, found %s", path,
                        tti_json_describe(v, found));
    cJSON_ArrayForEach(one, v) {
        const tti_json_at at = {one, path};
        const char *name, *text;
        if (!cJSON_IsObject(one))
            return tti_fail(TT_E_FORMAT, "%s: chat_template: expected objects, found %s", path,
                            tti_json_describe(one, found));
        TT_TRY(tti_json_str(at, "name", &name, ""));
        TT_TRY(tti_json_str(at, "template", &text, NULL));
        if (text && !strcmp(name, "default")) *out = text;
    }
    return *out ? TT_OK : choose(path, "chat_template: none of the list is called default");
}

static tt_status from_config(tti_template *t, const char *path) {
    cJSON *config;
    const char *text;
    TT_TRY(tti_json_file(&config, path, TTI_JSON_MAX));
    tt_status s = template_text(config, path, &text);
    if (s == TT_OK && !text) s = choose(path, "has no chat_template");
    if (s == TT_OK) s = read_source(t, text, strlen(text), path, ": chat_template");
    tti_json_free(config);
    return s;
}

static tt_status from_file(tti_template *t, const char *path) {
    char *text;
    size_t n;
    TT_TRY(tti_file_read(&text, &n, path, TTI_JSON_MAX));
    tt_status s = strlen(text) == n ? read_source(t, text, n, path, "")
                                    : tti_fail(TT_E_FORMAT, "%s: holds NUL characters", path);
    tti_free(text);
    return s;
}

/* Where the mark that ends an answer at `at` ends: <..> without blanks, or eos, perhaps behind
 * spaces. */
static size_t mark_end(const tti_template *t, const tti_str *text, size_t at) {
    size_t p = at;
    while (p < text->len && strchr(" \n", text->p[p])) p++;
    if (p == text->len) return at;
    const size_t eos = t->eos ? strlen(t->eos) : 0;
    if (eos && text->len - p >= eos && !memcmp(text->p + p, t->eos, eos)) return p + eos;
    if (text->p[p] != '<') return at;
    const size_t n = strcspn(text->p + p, "> \t\n");
    return n > 1 && n < 64 && text->p[p + n] == '>' ? p + n + 1 : at;
}

tt_status tti_template_run(const tti_template *t, const tti_message *m, size_t n, bool prompt,
                           tti_rendered *out) {
    TT_TRY(tti_jinja_render(t->jinja, m, n, prompt, t->bos, t->eos, out));
    for (size_t i = 0; i < out->answers; i++)
        out->answer[i].to = mark_end(t, &out->text, out->answer[i].to);
    return TT_OK;
}

static const tti_message probe[] = {{.role = TTI_ROLE_SYSTEM, .text = "sigma", .len = 5},
                                    {.role = TTI_ROLE_USER, .text = "alpha", .len = 5},
                                    {.role = TTI_ROLE_ASSISTANT, .text = " beta", .len = 5},
                                    {.role = TTI_ROLE_USER, .text = "gamma ", .len = 6},
                                    {.role = TTI_ROLE_ASSISTANT, .text = "delta", .len = 5},
                                    {.role = TTI_ROLE_USER, .text = "omega", .len = 5}};

/* Every message must come out, in its order, and every answer must be found. */
static tt_status try_out(const tti_template *t) {
    tti_rendered r = {0};
    tt_status s = tti_template_run(t, probe + 1, 4, false, &r);
    if (s == TT_OK) {
        const char *at = r.text.p;
        static const char *const words[] = {"alpha", "beta", "gamma", "delta"};
        for (size_t i = 0; at && i < TT_COUNT(words); i++) at = strstr(at, words[i]);
        const bool found = at && r.answers == 2 && !memcmp(r.text.p + r.answer[1].from, "delta", 5);
        if (!found)
            s = choose(t->source, "its chat template does not write every message as it is");
    } else {
        s = unusable(s);
    }
    tti_rendered_free(&r);
    return s;
}

/* Whether both write the same for the probe from message `from`, n of them. */
static tt_status same_text(const tti_template *a, const tti_template *b, size_t from, size_t n,
                           bool *same) {
    tti_rendered ra = {0}, rb = {0};
    const bool prompt = probe[from + n - 1].role == TTI_ROLE_USER;
    const tt_status sa = tti_template_render(a, probe + from, n, prompt, &ra);
    const tt_status sb = tti_template_render(b, probe + from, n, prompt, &rb);
    /* A family that has a place for the system message is no other for it. */
    if (sa == TT_OK && sb == TT_OK) *same = *same && !strcmp(ra.text.p, rb.text.p);
    if (sa != TT_OK || sb != TT_OK) *same = *same && sa == TT_E_DATA && !from;
    tti_rendered_free(&ra);
    tti_rendered_free(&rb);
    return sa == TT_E_NOMEM || sb == TT_E_NOMEM ? TT_E_NOMEM : TT_OK;
}

static tt_status recognise(tti_template *t) {
    const tti_marks marks = {t->bos, t->eos ? t->eos : ""};
    t->name = "the model's own";
    for (size_t i = 0; i < tti_family_count; i++) {
        tti_template *family;
        bool same = tti_families[i].chat;
        if (!same) continue;
        TT_TRY(tti_template_open(&family, tti_families[i].name, NULL, marks));
        tt_status s = TT_OK;
        for (size_t n = 1; s == TT_OK && same && n <= 5; n++) s = same_text(t, family, 1, n, &same);
        for (size_t n = 2; s == TT_OK && same && n <= 6; n++) s = same_text(t, family, 0, n, &same);
        if (s == TT_OK && same) t->name = tti_template_name(family);
        tti_template_free(family);
        TT_TRY(s);
        if (same) break;
    }
    return TT_OK;
}

tt_status tti_template_of_model(tti_template **out, const char *model_dir, tti_marks marks) {
    *out = NULL;
    if (!model_dir) return choose("template model", "there is no model folder to take it from");
    tti_template *t = NULL;
    char *file = tti_path_join(model_dir, "chat_template.jinja");
    char *config = tti_path_join(model_dir, "tokenizer_config.json");
    tt_status s = file && config ? TT_OK : TT_E_NOMEM;
    const bool has_file = s == TT_OK && tti_file_exists(file);
    const bool has_config = s == TT_OK && tti_file_exists(config);
    if (s == TT_OK && !has_file && !has_config)
        s = choose(model_dir, "has neither chat_template.jinja nor tokenizer_config.json");
    if (s == TT_OK) s = tti_template_new(&t, has_file ? file : config, marks);
    if (s == TT_OK) t->chat = true;
    if (s == TT_OK) s = has_file ? from_file(t, file) : from_config(t, config);
    if (s == TT_OK) s = try_out(t);
    if (s == TT_OK) s = recognise(t);
    if (s == TT_OK) s = tti_template_find_end(t);
    tti_free(file);
    tti_free(config);
    if (s == TT_OK)
        *out = t;
    else
        tti_template_free(t);
    return s;
}
