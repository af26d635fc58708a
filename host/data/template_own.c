// SPDX-License-Identifier: Apache-2.0
/* template_own.c - a user's own template, from a YAML file or a string. */
#include <string.h>
#include <yaml.h>
#include "host/core/file.h"
#include "host/data/template_internal.h"

enum { MAX_FILE = 1 << 20 };

static const char *const text_key[] = {
#define KEY(name) #name,
    TTI_TEMPLATE_MAP(KEY)
#undef KEY
};

static tt_status set_text(tti_template *t, int i, const char *s, size_t n) {
    tti_free(t->text[i]);
    t->text[i] = tti_strndup(s, n);
    return t->text[i] ? TT_OK : TT_E_NOMEM;
}

static tt_status take_pair(tti_template *t, const yaml_node_t *key, const yaml_node_t *value) {
    const size_t line = key->start_mark.line + 1;
    if (key->type != YAML_SCALAR_NODE || value->type != YAML_SCALAR_NODE)
        return tti_fail(TT_E_FORMAT, "%s:%zu: expected \"key: text\"", t->source, line);
    const char *k = (const char *)key->data.scalar.value;
    const char *v = (const char *)value->data.scalar.value;
    if (strlen(v) != value->data.scalar.length)
        return tti_fail(TT_E_FORMAT, "%s:%zu: %.40s: a NUL character", t->source, line, k);
    for (int i = 0; i < TTI_TEXTS; i++) {
        if (strcmp(k, text_key[i])) continue;
        if (t->text[i])
            return tti_fail(TT_E_FORMAT, "%s:%zu: %s: is there twice", t->source, line, k);
        return set_text(t, i, v, strlen(v));
    }
    return tti_fail(TT_E_FORMAT,
                    "%s:%zu: %.40s: no such key; expected begin, system, default_system, user, "
                    "user_input, user_system, prompt, assistant or between",
                    t->source, line, k);
}

static tt_status take_document(tti_template *t, yaml_document_t *d) {
    const yaml_node_t *root = yaml_document_get_root_node(d);
    if (!root || root->type != YAML_MAPPING_NODE)
        return tti_fail(TT_E_FORMAT, "%s: expected a mapping of texts, such as \"user: ..\"",
                        t->source);
    const yaml_node_pair_t *p = root->data.mapping.pairs.start;
    for (; p < root->data.mapping.pairs.top; p++)
        TT_TRY(
            take_pair(t, yaml_document_get_node(d, p->key), yaml_document_get_node(d, p->value)));
    return TT_OK;
}

tt_status tti_template_read_yaml(tti_template *t, const char *path) {
    char *text;
    size_t size;
    yaml_parser_t parser;
    yaml_document_t d;
    TT_TRY(tti_file_read(&text, &size, path, MAX_FILE));
    if (!yaml_parser_initialize(&parser)) {
        tti_free(text);
        return tti_fail(TT_E_NOMEM, "%s: out of memory", path);
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    tt_status s;
    if (yaml_parser_load(&parser, &d)) {
        s = take_document(t, &d);
        yaml_document_delete(&d);
    } else {
        s = tti_fail(TT_E_FORMAT, "%s:%zu: not valid YAML: %s", path, parser.problem_mark.line + 1,
                     parser.problem ? parser.problem : "cannot be read");
    }
    yaml_parser_delete(&parser);
    tti_free(text);
    return s;
}

/* Reads \n, \t and \\ as in YAML. */
static char *unescape(const char *s) {
    char *out = tti_strdup(s), *to = out;
    for (; out && *s; s++) {
        static const char names[] = "nt\\", meant[] = "\n\t\\";
        const char *k = *s == '\\' && s[1] ? strchr(names, s[1]) : NULL;
        *to++ = k ? meant[k - names] : *s;
        s += k != NULL;
    }
    if (out) *to = 0;
    return out;
}

static tt_status split(tti_template *t, const char *s) {
    if (!strncmp(s, "{bos}", 5)) {
        TT_TRY(set_text(t, TTI_TEXT_begin, s, 5));
        s += 5;
    }
    const char *answer = strstr(s, "{assistant"), *system = strstr(s, "{system");
    if (system && system > answer)
        return tti_fail(TT_E_FORMAT, "template: {system} stands behind {assistant}");
    if (system) {
        const size_t open = strcspn(system, "}");
        const char *behind = system + open + (system[open] != 0);
        behind += strspn(behind, " \t\r\n");
        if (behind > answer || tti_template_holds(behind, "system"))
            return tti_fail(TT_E_FORMAT, "template: {system} is there twice");
        TT_TRY(set_text(t, TTI_TEXT_system, s, (size_t)(behind - s)));
        if (tti_template_holds(t->text[TTI_TEXT_system], "user") ||
            tti_template_holds(t->text[TTI_TEXT_system], "instruction"))
            return tti_fail(TT_E_FORMAT, "template: {system} stands behind {user}; a template "
                                         "file can say so with user_system");
        s = behind;
    }
    TT_TRY(set_text(t, TTI_TEXT_user, s, (size_t)(answer - s)));
    return set_text(t, TTI_TEXT_assistant, answer, strlen(answer));
}

tt_status tti_template_read_string(tti_template *t, const char *s) {
    char *text = unescape(s);
    if (!text) return TT_E_NOMEM;
    tt_status status = split(t, text);
    tti_free(text);
    return status;
}
