// SPDX-License-Identifier: Apache-2.0
#include "host/tokenizer/pretok.h"

static const char where[] = "pre_tokenizer";

/* GPT-2's, which ByteLevel splits by. */
static const char gpt2[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static tt_status choose(const tti_file *f, const cJSON *j, const char *key, int *out, size_t n,
                        const char *const names[]) {
    const char *z;
    TT_TRY(tti_get_string(f, j, where, key, &z));
    if (!z) return TT_OK;
    for (size_t i = 0; i < n; i++)
        if (!strcmp(z, names[i])) return *out = (int)i, TT_OK;
    return tti_fail(TT_E_FORMAT, "%s: %s: %s: unknown value %.80s", f->name, where, key, z);
}

static tt_status load_behavior(tti_pre *p, const tti_file *f, const cJSON *j) {
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    int to = TTI_ISOLATED;
    TT_TRY(choose(f, j, "behavior", &to, TT_COUNT(names), names));
    p->behavior = (tti_behavior)to;
    return TT_OK;
}

static tt_status load_split(tti_pre *p, const tti_file *f, const cJSON *j) {
    TT_TRY(load_behavior(p, f, j));
    TT_TRY(tti_get_bool(f, j, where, "invert", false, &p->invert));
    return tti_pattern_load(&p->pattern, f, j, where);
}

static tt_status set_byte_level(tti_pre *p, bool prefix_space, bool use_regex) {
    p->prefix_space = prefix_space;
    p->behavior = TTI_ISOLATED;
    return use_regex ? tti_regex_new(&p->pattern, gpt2, sizeof gpt2 - 1) : TT_OK;
}

static tt_status load_byte_level(tti_pre *p, const tti_file *f, const cJSON *j) {
    bool prefix_space, use_regex;
    TT_TRY(tti_get_bool(f, j, where, "add_prefix_space", true, &prefix_space));
    TT_TRY(tti_get_bool(f, j, where, "use_regex", true, &use_regex));
    return set_byte_level(p, prefix_space, use_regex);
}

static tt_status load_char(tti_pre *p, const tti_file *f, const cJSON *j) {
    const char *z;
    TT_TRY(tti_need_string(f, j, where, "delimiter", &z));
    return tti_get_char(f, j, where, "delimiter", ' ', &p->mark);
}

static tt_status load_metaspace(tti_pre *p, const tti_file *f, const cJSON *j) {
    static const char *const names[] = {"never", "first", "always"};
    bool old_style;
    TT_TRY(tti_get_char(f, j, where, "replacement", 0x2581, &p->mark));
    TT_TRY(tti_get_bool(f, j, where, "add_prefix_space", true, &old_style));
    int to = old_style ? TTI_PREPEND_ALWAYS : TTI_PREPEND_NEVER;
    TT_TRY(choose(f, j, "prepend_scheme", &to, TT_COUNT(names), names));
    p->prepend = (tti_prepend)to;
    return tti_get_bool(f, j, where, "split", true, &p->split);
}

static tt_status load_digits(tti_pre *p, const tti_file *f, const cJSON *j) {
    return tti_get_bool(f, j, where, "individual_digits", false, &p->individual);
}

static tt_status load_length(tti_pre *p, const tti_file *f, const cJSON *j) {
    int64_t n;
    TT_TRY(tti_get_index(f, j, where, "length", 5, &n));
    if (n < 1) return tti_fail(TT_E_FORMAT, "%s: %s: length: 0; must be 1 or more", f->name, where);
    p->length = (size_t)n;
    return TT_OK;
}

static const struct {
    const char *type;
    tti_pre_kind kind;
    tt_status (*load)(tti_pre *p, const tti_file *f, const cJSON *j);
} types[] = {
    {"BertPreTokenizer", TTI_PRE_BERT, NULL},
    {"ByteLevel", TTI_PRE_BYTE_LEVEL, load_byte_level},
    {"CharDelimiterSplit", TTI_PRE_CHAR, load_char},
    {"Metaspace", TTI_PRE_METASPACE, load_metaspace},
    {"Whitespace", TTI_PRE_WHITESPACE, NULL},
    {"WhitespaceSplit", TTI_PRE_WHITESPACE_SPLIT, NULL},
    {"Split", TTI_PRE_SPLIT, load_split},
    {"Punctuation", TTI_PRE_PUNCTUATION, load_behavior},
    {"Digits", TTI_PRE_DIGITS, load_digits},
    {"FixedLength", TTI_PRE_FIXED_LENGTH, load_length},
};

static tt_status load_list(tti_pres *out, const tti_file *f, const cJSON *list, int depth);

static tt_status append(tti_pres *out, tti_pre_kind kind, tti_pre **p) {
    TT_TRY(TTI_GROW(out->v, out->cap, out->n + 1));
    *p = &out->v[out->n++];
    **p = (tti_pre){.kind = kind};
    return TT_OK;
}

static tt_status load_one(tti_pres *out, const tti_file *f, const cJSON *j, int depth) {
    const char *type;
    tti_pre *p;
    TT_TRY(tti_get_type(f, j, where, &type));
    if (!strcmp(type, "Sequence")) return load_list(out, f, tti_member(j, "pretokenizers"), depth);
    for (size_t i = 0; i < TT_COUNT(types); i++) {
        if (strcmp(type, types[i].type)) continue;
        TT_TRY(append(out, types[i].kind, &p));
        return types[i].load ? types[i].load(p, f, j) : TT_OK;
    }
    return tti_unknown_type(f, where, type);
}

static tt_status load_list(tti_pres *out, const tti_file *f, const cJSON *list, int depth) {
    if (!cJSON_IsArray(list) || depth > 8)
        return tti_fail(TT_E_FORMAT, "%s: %s: Sequence without a list of pretokenizers", f->name,
                        where);
    const cJSON *j;
    cJSON_ArrayForEach(j, list) TT_TRY(load_one(out, f, j, depth + 1));
    return TT_OK;
}

tt_status tti_pres_load(tti_pres *out, const tti_file *f, const cJSON *json) {
    if (!json || cJSON_IsNull(json)) return TT_OK;
    return load_one(out, f, json, 0);
}

tt_status tti_pres_bert(tti_pres *out) {
    tti_pre *p;
    return append(out, TTI_PRE_BERT, &p);
}

tt_status tti_pres_byte_level(tti_pres *out, bool prefix_space, bool use_regex) {
    tti_pre *p;
    TT_TRY(append(out, TTI_PRE_BYTE_LEVEL, &p));
    return set_byte_level(p, prefix_space, use_regex);
}

void tti_pres_free(tti_pres *p) {
    for (size_t i = 0; i < p->n; i++) tti_regex_free(p->v[i].pattern);
    tti_free(p->v);
    *p = (tti_pres){0};
}
