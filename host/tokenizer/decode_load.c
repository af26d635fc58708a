// SPDX-License-Identifier: Apache-2.0
#include "host/tokenizer/decode.h"

static const char where[] = "decoder";

static tt_status load_text(tti_dec *d, const tti_file *f, const cJSON *j, const char *key,
                           const char *usual) {
    const char *z;
    TT_TRY(tti_get_string(f, j, where, key, &z));
    if (!z && !usual) return tti_need_string(f, j, where, key, &z);
    return tti_string(z ? z : usual, &d->text, &d->n);
}

static tt_status load_wordpiece(tti_dec *d, const tti_file *f, const cJSON *j) {
    TT_TRY(tti_get_bool(f, j, where, "cleanup", true, &d->cleanup));
    return load_text(d, f, j, "prefix", "##");
}

static tt_status load_metaspace(tti_dec *d, const tti_file *f, const cJSON *j) {
    const char *scheme;
    TT_TRY(tti_get_char(f, j, where, "replacement", 0x2581, &d->mark));
    TT_TRY(tti_get_bool(f, j, where, "add_prefix_space", true, &d->prepended));
    TT_TRY(tti_get_string(f, j, where, "prepend_scheme", &scheme));
    if (scheme) d->prepended = strcmp(scheme, "never") != 0;
    return TT_OK;
}

static tt_status load_strip(tti_dec *d, const tti_file *f, const cJSON *j) {
    int64_t start, stop;
    TT_TRY(tti_get_char(f, j, where, "content", ' ', &d->mark));
    TT_TRY(tti_get_index(f, j, where, "start", 0, &start));
    TT_TRY(tti_get_index(f, j, where, "stop", 0, &stop));
    d->start = (size_t)start;
    d->stop = (size_t)stop;
    return TT_OK;
}

static tt_status load_replace(tti_dec *d, const tti_file *f, const cJSON *j) {
    TT_TRY(tti_pattern_load(&d->pattern, f, j, where));
    return load_text(d, f, j, "content", NULL);
}

static tt_status load_bpe(tti_dec *d, const tti_file *f, const cJSON *j) {
    return load_text(d, f, j, "suffix", "</w>");
}

static tt_status load_ctc(tti_dec *d, const tti_file *f, const cJSON *j) {
    const char *z;
    TT_TRY(load_text(d, f, j, "pad_token", "<pad>"));
    TT_TRY(tti_get_string(f, j, where, "word_delimiter_token", &z));
    TT_TRY(tti_string(z ? z : "|", &d->space, &d->n_space));
    return tti_get_bool(f, j, where, "cleanup", true, &d->cleanup);
}

static const struct {
    const char *type;
    tti_dec_kind kind;
    tt_status (*load)(tti_dec *d, const tti_file *f, const cJSON *j);
} types[] = {
    {"WordPiece", TTI_DEC_WORDPIECE, load_wordpiece},
    {"ByteLevel", TTI_DEC_BYTE_LEVEL, NULL},
    {"Metaspace", TTI_DEC_METASPACE, load_metaspace},
    {"ByteFallback", TTI_DEC_BYTE_FALLBACK, NULL},
    {"Fuse", TTI_DEC_FUSE, NULL},
    {"Strip", TTI_DEC_STRIP, load_strip},
    {"Replace", TTI_DEC_REPLACE, load_replace},
    {"BPEDecoder", TTI_DEC_BPE, load_bpe},
    {"CTC", TTI_DEC_CTC, load_ctc},
};

static tt_status append(tti_decs *out, tti_dec_kind kind, tti_dec **d) {
    TT_TRY(TTI_GROW(out->v, out->cap, out->n + 1));
    *d = &out->v[out->n++];
    **d = (tti_dec){.kind = kind};
    return TT_OK;
}

static tt_status load_one(tti_decs *out, const tti_file *f, const cJSON *j, int depth) {
    const char *type;
    const cJSON *list, *each;
    tti_dec *d;
    TT_TRY(tti_get_type(f, j, where, &type));
    if (!strcmp(type, "Sequence")) {
        list = tti_member(j, "decoders");
        if (!cJSON_IsArray(list) || depth > 8)
            return tti_fail(TT_E_FORMAT, "%s: %s: Sequence without a list of decoders", f->name,
                            where);
        cJSON_ArrayForEach(each, list) TT_TRY(load_one(out, f, each, depth + 1));
        return TT_OK;
    }
    for (size_t i = 0; i < TT_COUNT(types); i++) {
        if (strcmp(type, types[i].type)) continue;
        TT_TRY(append(out, types[i].kind, &d));
        return types[i].load ? types[i].load(d, f, j) : TT_OK;
    }
    return tti_unknown_type(f, where, type);
}

tt_status tti_decs_load(tti_decs *out, const tti_file *f, const cJSON *json) {
    if (!json || cJSON_IsNull(json)) return TT_OK;
    return load_one(out, f, json, 0);
}

tt_status tti_decs_one(tti_decs *out, tti_dec_kind kind, const char *text) {
    tti_dec *d;
    TT_TRY(append(out, kind, &d));
    d->cleanup = true;
    return text ? tti_string(text, &d->text, &d->n) : TT_OK;
}

void tti_decs_free(tti_decs *d) {
    for (size_t i = 0; i < d->n; i++) {
        tti_regex_free(d->v[i].pattern);
        tti_free(d->v[i].text);
        tti_free(d->v[i].space);
    }
    tti_free(d->v);
    *d = (tti_decs){0};
}
