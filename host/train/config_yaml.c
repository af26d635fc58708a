// SPDX-License-Identifier: Apache-2.0
/* config_yaml.c - where the keys of a YAML text stand, by libyaml: lines and kinds of nodes. What
 * is left for libcyaml (config_values.c) are the words of scalars. */
#include <string.h>
#include <yaml.h>
#include "host/train/config_internal.h"

enum { LONGEST_PATH = 128 };

typedef struct {
    yaml_document_t doc;
    const char *name;
    tti_key_places *out;
} walk;

static size_t line_of(const yaml_node_t *n) { return n->start_mark.line + 1; }

/* What a node is, for messages. */
static const char *describe(const yaml_node_t *n, char buf[64]) {
    if (n->type == YAML_MAPPING_NODE) return "a section";
    if (n->type == YAML_SEQUENCE_NODE) return "a list";
    if (n->type != YAML_SCALAR_NODE || n->data.scalar.length == 0) return "nothing";
    snprintf(buf, 64, "\"%.40s\"", (const char *)n->data.scalar.value);
    return buf;
}

static tt_status fail_expected(const char *name, size_t line, const tti_key *k, const char *found) {
    tti_str e = {0};
    tti_key_expected(&e, k);
    tt_status s = e.status;
    if (s == TT_OK)
        s = tti_fail(TT_E_FORMAT, "%s:%zu: %s: expected %s, found %s", name, line, k->key, e.p,
                     found);
    tti_str_free(&e);
    return s;
}

static tt_status fail_unknown(const char *name, size_t line, const char *path) {
    tti_str e = {0};
    tti_key_suggest(&e, path);
    tt_status s = e.status;
    if (s == TT_OK) s = tti_fail(TT_E_FORMAT, "%s:%zu: %s: unknown key%s", name, line, path, e.p);
    tti_str_free(&e);
    return s;
}

static tt_status add_place(walk *w, const tti_key *k, const yaml_node_t *at,
                           const yaml_node_t *value) {
    char buf[64];
    size_t line = line_of(at);
    for (size_t i = 0; i < w->out->n; i++)
        if (w->out->at[i].key == k)
            return tti_fail(TT_E_FORMAT, "%s:%zu: %s: given twice, first in line %zu", w->name,
                            line, k->key, w->out->at[i].line);
    bool scalar = value->type == YAML_SCALAR_NODE && value->data.scalar.length > 0;
    bool list = value->type == YAML_SEQUENCE_NODE && k->type == TTI_KEY_LIST;
    if (list) {
        const yaml_node_item_t *i = value->data.sequence.items.start;
        for (; i < value->data.sequence.items.top; i++) {
            const yaml_node_t *item = yaml_document_get_node(&w->doc, *i);
            if (item->type != YAML_SCALAR_NODE || item->data.scalar.length == 0)
                return fail_expected(w->name, line_of(item), k, describe(item, buf));
        }
    }
    if (!scalar && !list) return fail_expected(w->name, line, k, describe(value, buf));
    if (scalar && memchr(value->data.scalar.value, 0, value->data.scalar.length))
        return fail_expected(w->name, line, k, "a NUL character");
    TT_TRY(TTI_GROW(w->out->at, w->out->cap, w->out->n + 1));
    w->out->at[w->out->n++] = (tti_key_place){k, line, scalar};
    return TT_OK;
}

static bool is_section(const char *name) {
    for (int i = 0; tti_sections[i]; i++)
        if (strcmp(tti_sections[i], name) == 0) return true;
    return false;
}

static tt_status walk_mapping(walk *w, const yaml_node_t *map, const char *section) {
    unsigned long seen = 0; /* sections, as bits */
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
         p++) {
        const yaml_node_t *key = yaml_document_get_node(&w->doc, p->key);
        const yaml_node_t *value = yaml_document_get_node(&w->doc, p->value);
        if (key->type != YAML_SCALAR_NODE)
            return tti_fail(TT_E_FORMAT, "%s:%zu: expected the name of a key", w->name,
                            line_of(key));
        char path[LONGEST_PATH];
        snprintf(path, sizeof path, "%s%s%.60s", section ? section : "", section ? "." : "",
                 (const char *)key->data.scalar.value);
        if (!section && is_section(path)) {
            int bit = 0;
            while (strcmp(tti_sections[bit], path) != 0) bit++;
            if (seen & 1ul << bit)
                return tti_fail(TT_E_FORMAT, "%s:%zu: %s: section given twice", w->name,
                                line_of(key), path);
            seen |= 1ul << bit;
            char buf[64];
            if (value->type != YAML_MAPPING_NODE)
                return tti_fail(TT_E_FORMAT,
                                "%s:%zu: %s: expected a section of indented keys, found %s",
                                w->name, line_of(key), path, describe(value, buf));
            TT_TRY(walk_mapping(w, value, path));
            continue;
        }
        const tti_key *k = tti_key_find(path, strlen(path));
        if (!k) return fail_unknown(w->name, line_of(key), path);
        TT_TRY(add_place(w, k, key, value));
    }
    return TT_OK;
}

tt_status tti_config_places(tti_key_places *out, const char *text, size_t size, const char *name) {
    yaml_parser_t parser;
    *out = (tti_key_places){0};
    if (!yaml_parser_initialize(&parser)) return tti_fail(TT_E_NOMEM, "%s: out of memory", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    walk w = {.name = name, .out = out};
    tt_status s;
    if (!yaml_parser_load(&parser, &w.doc)) {
        size_t line = TT_MAX(parser.problem_mark.line, parser.context_mark.line) + 1;
        s = tti_fail(TT_E_FORMAT, "%s:%zu: expected YAML: %s", name, line,
                     parser.problem ? parser.problem : "it does not parse");
    } else {
        const yaml_node_t *root = yaml_document_get_root_node(&w.doc);
        if (!root || root->type != YAML_MAPPING_NODE)
            s = tti_fail(TT_E_FORMAT, "%s:1: expected keys and values, as in \"train:\"", name);
        else
            s = walk_mapping(&w, root, NULL);
        yaml_document_delete(&w.doc);
    }
    yaml_parser_delete(&parser);
    return s;
}
