// SPDX-License-Identifier: Apache-2.0
/* load_old.c - tokenizers of before tokenizer.json: BERT's vocab.txt, GPT-2's and RoBERTa's
 * vocab.json and merges.txt. */
#include "host/core/file.h"
#include "host/tokenizer/inside.h"

/* The content of a special token in tokenizer_config.json, or the usual one. */
static const char *name_of(const tti_file *config, const char *key, const char *usual) {
    const cJSON *v = tti_member(config->json, key);
    if (cJSON_IsObject(v)) v = tti_member(v, "content");
    return cJSON_IsString(v) ? v->valuestring : usual;
}

static tt_status add_special(tti_tokenizer *t, const char *name, bool lstrip, int32_t *id) {
    if (!*name)
        return tti_fail(TT_E_FORMAT, "%s/tokenizer_config.json: an empty special token", t->dir);
    tti_added_flags flags = {.special = true, .lstrip = lstrip};
    TT_TRY(tti_added_add(&t->added, &t->model, name, strlen(name), flags));
    if (id) *id = tti_vocab_find(&t->added.vocab, name, strlen(name));
    return TT_OK;
}

static tt_status bert(tti_tokenizer *t, const tti_file *config) {
    static const char where[] = "tokenizer_config.json";
    bool lower, accents, chinese;
    int32_t cls, sep;
    TT_TRY(tti_get_bool(config, config->json, where, "do_lower_case", true, &lower));
    TT_TRY(tti_get_bool(config, config->json, where, "strip_accents", lower, &accents));
    TT_TRY(tti_get_bool(config, config->json, where, "tokenize_chinese_chars", true, &chinese));
    TT_TRY(tti_norms_bert(&t->norms, lower, accents, chinese));
    TT_TRY(tti_pres_bert(&t->pres));
    TT_TRY(tti_decs_one(&t->decs, TTI_DEC_WORDPIECE, "##"));
    TT_TRY(add_special(t, name_of(config, "unk_token", "[UNK]"), false, NULL));
    TT_TRY(add_special(t, name_of(config, "sep_token", "[SEP]"), false, &sep));
    TT_TRY(add_special(t, name_of(config, "pad_token", "[PAD]"), false, NULL));
    TT_TRY(add_special(t, name_of(config, "cls_token", "[CLS]"), false, &cls));
    TT_TRY(add_special(t, name_of(config, "mask_token", "[MASK]"), false, NULL));
    return tti_post_pair(&t->post, cls, sep, false);
}

tt_status tti_load_vocab_txt(tti_tokenizer *t, const char *path, const tti_file *config) {
    char *text;
    size_t n;
    TT_TRY(tti_file_read(&text, &n, path, TTI_TOKENIZER_MAX_BYTES));
    tt_status s =
        tti_model_vocab_txt(&t->model, path, text, n, name_of(config, "unk_token", "[UNK]"));
    tti_free(text);
    return s == TT_OK ? bert(t, config) : s;
}

static tt_status byte_level(tti_tokenizer *t, const tti_file *config) {
    bool prefix_space;
    int32_t cls, sep;
    TT_TRY(tti_get_bool(config, config->json, "tokenizer_config.json", "add_prefix_space", false,
                        &prefix_space));
    TT_TRY(tti_pres_byte_level(&t->pres, prefix_space, true));
    TT_TRY(tti_decs_one(&t->decs, TTI_DEC_BYTE_LEVEL, NULL));
    if (tti_vocab_find(&t->model.vocab, "<s>", 3) < 0) { /* GPT-2 */
        TT_TRY(tti_post_plain(&t->post));
        t->post.prefix_space = prefix_space;
        return add_special(t, name_of(config, "eos_token", "<|endoftext|>"), false, NULL);
    }
    TT_TRY(add_special(t, name_of(config, "cls_token", "<s>"), false, &cls));
    TT_TRY(add_special(t, name_of(config, "pad_token", "<pad>"), false, NULL));
    TT_TRY(add_special(t, name_of(config, "sep_token", "</s>"), false, &sep));
    TT_TRY(add_special(t, name_of(config, "unk_token", "<unk>"), false, NULL));
    TT_TRY(add_special(t, name_of(config, "mask_token", "<mask>"), true, NULL));
    TT_TRY(tti_post_pair(&t->post, cls, sep, true));
    t->post.trim = true;
    t->post.prefix_space = prefix_space;
    return TT_OK;
}

tt_status tti_load_merges_txt(tti_tokenizer *t, const char *vocab, const char *merges,
                              const tti_file *config) {
    tti_file v;
    char *text = NULL;
    size_t n;
    TT_TRY(tti_parse_file(&v, vocab));
    tt_status s = tti_file_read(&text, &n, merges, TTI_TOKENIZER_MAX_BYTES);
    if (s == TT_OK) s = tti_model_merges_txt(&t->model, &v, merges, text, n);
    tti_free(text);
    tti_file_free(&v);
    return s == TT_OK ? byte_level(t, config) : s;
}
