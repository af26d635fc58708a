// SPDX-License-Identifier: Apache-2.0
#include "host/tokenizer/post.h"

static const char where[] = "post_processor";

static tt_status item(tti_items *t, int kind, int32_t id, int32_t type_id) {
    TT_TRY(TTI_GROW(t->v, t->cap, t->n + 1));
    t->v[t->n++] = (tti_item){kind, id, type_id};
    return TT_OK;
}

tt_status tti_post_plain(tti_post *p) {
    p->cls = p->sep = -1;
    p->single.n = p->pair.n = 0;
    TT_TRY(item(&p->single, TTI_TEXT_A, 0, 0));
    TT_TRY(item(&p->pair, TTI_TEXT_A, 0, 0));
    return item(&p->pair, TTI_TEXT_B, 0, 1);
}

tt_status tti_post_pair(tti_post *p, int32_t cls, int32_t sep, bool roberta) {
    p->cls = cls;
    p->sep = sep;
    p->single.n = p->pair.n = 0;
    int32_t second = roberta ? 0 : 1;
    for (int pair = 0; pair < 2; pair++) {
        tti_items *t = pair ? &p->pair : &p->single;
        TT_TRY(item(t, TTI_ADDED_ID, cls, 0));
        TT_TRY(item(t, TTI_TEXT_A, 0, 0));
        TT_TRY(item(t, TTI_ADDED_ID, sep, 0));
    }
    if (roberta) TT_TRY(item(&p->pair, TTI_ADDED_ID, sep, 0));
    TT_TRY(item(&p->pair, TTI_TEXT_B, 0, second));
    return item(&p->pair, TTI_ADDED_ID, sep, second);
}

/* ["[SEP]", 102] */
static tt_status load_named_id(const tti_file *f, const cJSON *j, const char *key, int32_t *out) {
    const cJSON *v = tti_member(j, key);
    const cJSON *id = cJSON_IsArray(v) && v->child ? v->child->next : NULL;
    if (!id) return tti_fail(TT_E_FORMAT, "%s: %s: %s: expected [token, id]", f->name, where, key);
    return tti_as_id(f, id, where, out);
}

static tt_status load_bert(tti_post *p, const tti_file *f, const cJSON *j, bool roberta) {
    int32_t cls, sep;
    TT_TRY(load_named_id(f, j, "cls", &cls));
    TT_TRY(load_named_id(f, j, "sep", &sep));
    if (roberta) {
        TT_TRY(tti_get_bool(f, j, where, "trim_offsets", true, &p->trim));
        TT_TRY(tti_get_bool(f, j, where, "add_prefix_space", true, &p->prefix_space));
    }
    return tti_post_pair(p, cls, sep, roberta);
}

/* A special token of a template may stand for several ids. */
static tt_status special_item(tti_items *t, const tti_file *f, const cJSON *specials,
                              const char *name, int32_t type_id) {
    const cJSON *ids = tti_member(tti_member(specials, name), "ids"), *j;
    if (!cJSON_IsArray(ids))
        return tti_fail(TT_E_FORMAT, "%s: %s: special_tokens: no ids for %.80s", f->name, where,
                        name);
    cJSON_ArrayForEach(j, ids) {
        int32_t id;
        TT_TRY(tti_as_id(f, j, where, &id));
        TT_TRY(item(t, TTI_ADDED_ID, id, type_id));
    }
    return TT_OK;
}

static tt_status template_item(tti_items *t, const tti_file *f, const cJSON *j,
                               const cJSON *specials, bool pair) {
    const cJSON *text = tti_member(j, "Sequence"), *special = tti_member(j, "SpecialToken");
    const cJSON *o = text ? text : special;
    const char *id;
    int64_t type_id;
    if (!o) return tti_fail(TT_E_FORMAT, "%s: %s: unknown part of a template", f->name, where);
    TT_TRY(tti_need_string(f, o, where, "id", &id));
    TT_TRY(tti_get_index(f, o, where, "type_id", 0, &type_id));
    if (type_id > INT32_MAX)
        return tti_fail(TT_E_FORMAT, "%s: %s: type_id %lld", f->name, where, (long long)type_id);
    if (special) return special_item(t, f, specials, id, (int32_t)type_id);
    bool a = !strcmp(id, "A"), b = pair && !strcmp(id, "B");
    if (!a && !b)
        return tti_fail(TT_E_FORMAT, "%s: %s: a template names the text %.80s", f->name, where, id);
    return item(t, a ? TTI_TEXT_A : TTI_TEXT_B, 0, (int32_t)type_id);
}

static tt_status load_template(tti_post *p, const tti_file *f, const cJSON *j) {
    p->single.n = p->pair.n = 0;
    for (int pair = 0; pair < 2; pair++) {
        const cJSON *list = tti_member(j, pair ? "pair" : "single"), *part;
        if (!cJSON_IsArray(list))
            return tti_fail(TT_E_FORMAT, "%s: %s: expected lists single and pair", f->name, where);
        cJSON_ArrayForEach(part, list) TT_TRY(template_item(pair ? &p->pair : &p->single, f, part,
                                                            tti_member(j, "special_tokens"), pair));
    }
    const tti_items *t = &p->single;
    if (t->n && t->v[0].kind == TTI_ADDED_ID) p->cls = t->v[0].id;
    if (t->n && t->v[t->n - 1].kind == TTI_ADDED_ID) p->sep = t->v[t->n - 1].id;
    return TT_OK;
}

static tt_status load_byte_level(tti_post *p, const tti_file *f, const cJSON *j) {
    TT_TRY(tti_get_bool(f, j, where, "add_prefix_space", true, &p->prefix_space));
    return tti_get_bool(f, j, where, "trim_offsets", true, &p->trim);
}

static tt_status load_one(tti_post *p, const tti_file *f, const cJSON *j, int *templates,
                          int depth) {
    const char *type;
    const cJSON *each, *list;
    TT_TRY(tti_get_type(f, j, where, &type));
    if (!strcmp(type, "ByteLevel")) return load_byte_level(p, f, j);
    if (!strcmp(type, "Sequence")) {
        list = tti_member(j, "processors");
        if (!cJSON_IsArray(list) || depth > 8)
            return tti_fail(TT_E_FORMAT, "%s: %s: Sequence without a list of processors", f->name,
                            where);
        cJSON_ArrayForEach(each, list) TT_TRY(load_one(p, f, each, templates, depth + 1));
        return TT_OK;
    }
    bool known = !strcmp(type, "TemplateProcessing") || !strcmp(type, "BertProcessing") ||
                 !strcmp(type, "RobertaProcessing");
    if (!known) return tti_unknown_type(f, where, type);
    if ((*templates)++)
        return tti_fail(TT_E_UNSUPPORTED, "%s: %s: more than one processor that adds tokens",
                        f->name, where);
    if (type[0] == 'T') return load_template(p, f, j);
    return load_bert(p, f, j, type[0] == 'R');
}

tt_status tti_post_load(tti_post *p, const tti_file *f, const cJSON *json) {
    int templates = 0;
    TT_TRY(tti_post_plain(p));
    if (!json || cJSON_IsNull(json)) return TT_OK;
    return load_one(p, f, json, &templates, 0);
}

void tti_post_free(tti_post *p) {
    tti_free(p->single.v);
    tti_free(p->pair.v);
}
