// SPDX-License-Identifier: Apache-2.0
#include "host/tokenizer/model.h"

#include "host/tokenizer/unicode.h"

static const char where[] = "model";

/* An object of pieces and ids. */
tt_status tti_vocab_load(tti_model *m, const tti_file *f, const cJSON *vocab) {
    cJSON *j;
    if (!cJSON_IsObject(vocab))
        return tti_fail(TT_E_FORMAT, "%s: %s: vocab: expected an object of pieces and ids", f->name,
                        where);
    cJSON_ArrayForEach(j, vocab) {
        int32_t id, old;
        size_t n;
        TT_TRY(tti_as_id(f, j, j->string, &id));
        n = tti_string_in_place(j->string);
        if (tti_vocab_piece(&m->vocab, id, &(size_t){0}))
            return tti_fail(TT_E_FORMAT, "%s: %s: vocab: the id %d is there twice, also for %.80s",
                            f->name, where, (int)id, j->string);
        TT_TRY(tti_vocab_add(&m->vocab, j->string, n, id, &old));
        if (old >= 0)
            return tti_fail(TT_E_FORMAT, "%s: %s: vocab: the piece %.80s is there twice", f->name,
                            where, j->string);
    }
    return TT_OK;
}

static tt_status optional(const tti_file *f, const cJSON *json, const char *key, char **out,
                          size_t *n) {
    const char *z;
    TT_TRY(tti_get_string(f, json, where, key, &z));
    return z ? tti_string(z, out, n) : TT_OK;
}

static tt_status load_unk(tti_model *m, const tti_file *f, const cJSON *json, const char *usual) {
    size_t n;
    TT_TRY(optional(f, json, "unk_token", &m->unk_name, &n));
    if (!m->unk_name && usual) TT_TRY(tti_string(usual, &m->unk_name, &n));
    if (m->unk_name) m->unk = tti_vocab_find(&m->vocab, m->unk_name, n);
    return TT_OK;
}

static tt_status load_wordpiece(tti_model *m, const tti_file *f, const cJSON *json) {
    int64_t most;
    TT_TRY(tti_vocab_load(m, f, tti_member(json, "vocab")));
    TT_TRY(load_unk(m, f, json, "[UNK]"));
    TT_TRY(optional(f, json, "continuing_subword_prefix", &m->prefix, &m->n_prefix));
    if (!m->prefix) TT_TRY(tti_string("##", &m->prefix, &m->n_prefix));
    TT_TRY(tti_get_index(f, json, where, "max_input_chars_per_word", 100, &most));
    m->max_chars = (size_t)most;
    return TT_OK;
}

static tt_status load_wordlevel(tti_model *m, const tti_file *f, const cJSON *json) {
    TT_TRY(tti_vocab_load(m, f, tti_member(json, "vocab")));
    return load_unk(m, f, json, "<unk>");
}

static tt_status load_bpe(tti_model *m, const tti_file *f, const cJSON *json) {
    TT_TRY(tti_vocab_load(m, f, tti_member(json, "vocab")));
    TT_TRY(load_unk(m, f, json, NULL));
    TT_TRY(optional(f, json, "continuing_subword_prefix", &m->prefix, &m->n_prefix));
    TT_TRY(optional(f, json, "end_of_word_suffix", &m->suffix, &m->n_suffix));
    TT_TRY(tti_get_bool(f, json, where, "fuse_unk", false, &m->fuse_unk));
    TT_TRY(tti_get_bool(f, json, where, "byte_fallback", false, &m->byte_fallback));
    TT_TRY(tti_get_bool(f, json, where, "ignore_merges", false, &m->ignore_merges));
    return tti_merges_load(m, f, tti_member(json, "merges"));
}

static const struct {
    const char *type;
    tti_model_kind kind;
    tt_status (*load)(tti_model *m, const tti_file *f, const cJSON *json);
} types[] = {
    {"WordPiece", TTI_WORDPIECE, load_wordpiece},
    {"WordLevel", TTI_WORDLEVEL, load_wordlevel},
    {"BPE", TTI_BPE, load_bpe},
    {"Unigram", TTI_UNIGRAM, tti_unigram_load},
};

/* Files of before 2021 do not say what the model is. */
static const char *guess(const cJSON *json) {
    if (cJSON_IsArray(tti_member(json, "vocab"))) return "Unigram";
    if (tti_member(json, "merges")) return "BPE";
    return tti_member(json, "max_input_chars_per_word") ? "WordPiece" : "WordLevel";
}

static void find_bytes(tti_model *m) {
    for (int b = 0; b < 256; b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)b);
        m->byte_id[b] = tti_vocab_find(&m->vocab, name, 6);
    }
}

tt_status tti_subword_load(tti_model *m, const tti_file *f, const cJSON *json) {
    const char *type;
    if (!cJSON_IsObject(json))
        return tti_fail(TT_E_FORMAT, "%s: model: missing; is this a tokenizer.json?", f->name);
    TT_TRY(tti_get_string(f, json, where, "type", &type));
    if (!type) type = guess(json);
    m->unk = -1;
    for (size_t i = 0; i < TT_COUNT(types); i++) {
        if (strcmp(type, types[i].type)) continue;
        m->kind = types[i].kind;
        TT_TRY(types[i].load(m, f, json));
        find_bytes(m);
        return TT_OK;
    }
    return tti_unknown_type(f, where, type);
}

static const char *line_end(const char *p, const char *end) {
    while (p < end && *p != '\n' && *p != '\r') p++;
    return p;
}

/* Past a line's end, be it \n, \r\n or \r. */
static const char *next_line(const char *p, const char *end) {
    if (p < end && *p == '\r')
        p++, p += p < end && *p == '\n';
    else
        p += p < end;
    return p;
}

static tt_status check_text(const char *name, const char *text, size_t n) {
    size_t at;
    if (tti_utf8_valid(text, n, &at)) return TT_OK;
    return tti_fail(TT_E_FORMAT, "%s: not UTF-8 at byte %zu; is this the right file?", name, at);
}

tt_status tti_model_vocab_txt(tti_model *m, const char *name, const char *text, size_t n,
                              const char *unk) {
    const char *p = text, *end = text + n;
    TT_TRY(check_text(name, text, n));
    m->kind = TTI_WORDPIECE;
    m->max_chars = 100;
    TT_TRY(tti_string("##", &m->prefix, &m->n_prefix));
    for (int32_t id = 0; p < end; id++) {
        const char *stop = line_end(p, end);
        if (id >= TTI_ID_LIMIT)
            return tti_fail(TT_E_FORMAT, "%s: more than %d lines", name, TTI_ID_LIMIT);
        TT_TRY(tti_vocab_add(&m->vocab, p, (size_t)(stop - p), id, NULL));
        p = next_line(stop, end);
    }
    if (!m->vocab.n) return tti_fail(TT_E_FORMAT, "%s: empty, expected a piece a line", name);
    TT_TRY(tti_string(unk, &m->unk_name, &(size_t){0}));
    m->unk = tti_vocab_find(&m->vocab, unk, strlen(unk));
    return TT_OK;
}

tt_status tti_model_merges_txt(tti_model *m, const tti_file *vocab, const char *name,
                               const char *text, size_t n) {
    const char *p = text, *end = text + n;
    size_t rank = 0;
    TT_TRY(check_text(name, text, n));
    m->kind = TTI_BPE;
    m->unk = -1;
    TT_TRY(tti_vocab_load(m, vocab, vocab->json));
    for (; p < end; p = next_line(line_end(p, end), end)) {
        size_t len = (size_t)(line_end(p, end) - p);
        const char *gap = memchr(p, ' ', len);
        if (!len || (len >= 8 && !memcmp(p, "#version", 8))) continue;
        if (!gap || memchr(gap + 1, ' ', len - (size_t)(gap + 1 - p)))
            return tti_fail(TT_E_FORMAT, "%s: merge %zu is not two pieces: %.*s", name, rank,
                            (int)TT_MIN(len, (size_t)80), p);
        size_t left = (size_t)(gap - p);
        TT_TRY(tti_merge_add(m, name, p, left, gap + 1, len - left - 1, rank++));
    }
    find_bytes(m);
    return TT_OK;
}

void tti_subword_free(tti_model *m) {
    tti_vocab_free(&m->vocab);
    tti_free(m->unk_name);
    tti_free(m->prefix);
    tti_free(m->suffix);
    tti_pairs_free(&m->merges);
    tti_free(m->score);
    tti_trie_free(&m->trie);
}
