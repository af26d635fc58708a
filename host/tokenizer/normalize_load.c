// SPDX-License-Identifier: Apache-2.0
#include "host/tokenizer/normalize.h"

static const char where[] = "normalizer";

/* {"String": ..} or {"Regex": ..} */
tt_status tti_pattern_load(tti_regex **out, const tti_file *f, const cJSON *object,
                           const char *place) {
    const cJSON *pattern = tti_member(object, "pattern");
    const char *z;
    char *text;
    size_t n;
    bool literal = tti_member(pattern, "String") != NULL;
    if (!cJSON_IsObject(pattern) || (!literal && !tti_member(pattern, "Regex")))
        return tti_fail(TT_E_FORMAT,
                        "%s: %s: pattern: expected {\"String\": ...} or "
                        "{\"Regex\": ...}",
                        f->name, place);
    TT_TRY(tti_need_string(f, pattern, place, literal ? "String" : "Regex", &z));
    TT_TRY(tti_string(z, &text, &n));
    tt_status s = literal ? tti_regex_literal(out, text, n) : tti_regex_new(out, text, n);
    tti_free(text);
    return s == TT_OK ? s : tti_fail_in(s, "%s: %s", f->name, place);
}

static tt_status load_text(tti_norm *n, const tti_file *f, const cJSON *j, const char *key) {
    const char *z;
    TT_TRY(tti_need_string(f, j, where, key, &z));
    return tti_string(z, &n->text, &n->n);
}

static tt_status load_bert(tti_norm *n, const tti_file *f, const cJSON *j) {
    TT_TRY(tti_get_bool(f, j, where, "clean_text", true, &n->clean));
    TT_TRY(tti_get_bool(f, j, where, "handle_chinese_chars", true, &n->chinese));
    TT_TRY(tti_get_bool(f, j, where, "lowercase", true, &n->lower));
    return tti_get_bool(f, j, where, "strip_accents", n->lower, &n->accents);
}

static tt_status load_charsmap(tti_norm *n, const tti_file *f, const cJSON *j) {
    const char *z;
    TT_TRY(tti_get_string(f, j, where, "precompiled_charsmap", &z));
    return tti_charsmap_load(&n->map, f, z ? z : "");
}

static tt_status load_strip(tti_norm *n, const tti_file *f, const cJSON *j) {
    TT_TRY(tti_get_bool(f, j, where, "strip_left", true, &n->left));
    return tti_get_bool(f, j, where, "strip_right", true, &n->right);
}

static tt_status load_replace(tti_norm *n, const tti_file *f, const cJSON *j) {
    TT_TRY(tti_pattern_load(&n->pattern, f, j, where));
    return load_text(n, f, j, "content");
}

static tt_status load_prepend(tti_norm *n, const tti_file *f, const cJSON *j) {
    return load_text(n, f, j, "prepend");
}

static const struct {
    const char *type;
    tti_norm_kind kind;
    tt_status (*load)(tti_norm *n, const tti_file *f, const cJSON *j);
} types[] = {
    {"BertNormalizer", TTI_NORM_BERT, load_bert},
    {"NFC", TTI_NORM_NFC, NULL},
    {"NFD", TTI_NORM_NFD, NULL},
    {"NFKC", TTI_NORM_NFKC, NULL},
    {"NFKD", TTI_NORM_NFKD, NULL},
    {"Nmt", TTI_NORM_NMT, NULL},
    {"Lowercase", TTI_NORM_LOWERCASE, NULL},
    {"Strip", TTI_NORM_STRIP, load_strip},
    {"StripAccents", TTI_NORM_STRIP_ACCENTS, NULL},
    {"Replace", TTI_NORM_REPLACE, load_replace},
    {"Prepend", TTI_NORM_PREPEND, load_prepend},
    {"ByteLevel", TTI_NORM_BYTE_LEVEL, NULL},
    {"Precompiled", TTI_NORM_PRECOMPILED, load_charsmap},
};

static tt_status load_list(tti_norms *out, const tti_file *f, const cJSON *list, int depth);

static tt_status load_one(tti_norms *out, const tti_file *f, const cJSON *j, int depth) {
    const char *type;
    TT_TRY(tti_get_type(f, j, where, &type));
    if (!strcmp(type, "Sequence")) return load_list(out, f, tti_member(j, "normalizers"), depth);
    for (size_t i = 0; i < TT_COUNT(types); i++) {
        if (strcmp(type, types[i].type)) continue;
        TT_TRY(TTI_GROW(out->v, out->cap, out->n + 1));
        tti_norm *n = &out->v[out->n++];
        *n = (tti_norm){.kind = types[i].kind};
        return types[i].load ? types[i].load(n, f, j) : TT_OK;
    }
    return tti_unknown_type(f, where, type);
}

static tt_status load_list(tti_norms *out, const tti_file *f, const cJSON *list, int depth) {
    if (!cJSON_IsArray(list) || depth > 8)
        return tti_fail(TT_E_FORMAT, "%s: %s: Sequence without a list of normalizers", f->name,
                        where);
    const cJSON *j;
    cJSON_ArrayForEach(j, list) TT_TRY(load_one(out, f, j, depth + 1));
    return TT_OK;
}

tt_status tti_norms_load(tti_norms *out, const tti_file *f, const cJSON *json) {
    if (!json || cJSON_IsNull(json)) return TT_OK;
    return load_one(out, f, json, 0);
}

tt_status tti_norms_bert(tti_norms *out, bool lower, bool accents, bool chinese) {
    TT_TRY(TTI_GROW(out->v, out->cap, out->n + 1));
    out->v[out->n++] = (tti_norm){.kind = TTI_NORM_BERT,
                                  .clean = true,
                                  .chinese = chinese,
                                  .accents = accents,
                                  .lower = lower};
    return TT_OK;
}

void tti_norms_free(tti_norms *n) {
    for (size_t i = 0; i < n->n; i++) {
        tti_regex_free(n->v[i].pattern);
        tti_free(n->v[i].text);
        tti_charsmap_free(&n->v[i].map);
    }
    tti_free(n->v);
    *n = (tti_norms){0};
}
