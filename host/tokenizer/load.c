// SPDX-License-Identifier: Apache-2.0
#include "host/tokenizer/inside.h"

#include <stdatomic.h>
#include "host/core/file.h"

static uint64_t next_serial(void) {
    static atomic_uint_fast64_t last;
    return atomic_fetch_add(&last, 1) + 1;
}

void tti_tokenizer_free(tti_tokenizer *t) {
    if (!t) return;
    tti_norms_free(&t->norms);
    tti_pres_free(&t->pres);
    tti_subword_free(&t->model);
    tti_post_free(&t->post);
    tti_decs_free(&t->decs);
    tti_added_free(&t->added);
    tti_free(t->dir);
    tti_free(t->file);
    tti_free(t);
}

/* A file of t's folder that may be missing: *out is then empty. */
static tt_status side_file(const tti_tokenizer *t, const char *name, tti_file *out) {
    *out = (tti_file){0};
    char *path = tti_path_join(t->dir, name);
    if (!path) return TT_E_NOMEM;
    tt_status s = tti_file_exists(path) ? tti_parse_file(out, path) : TT_OK;
    tti_free(path);
    return s;
}

static tt_status load_json(tti_tokenizer *t) {
    tti_file f;
    const char *side;
    TT_TRY(tti_parse_file(&f, t->file));
    tt_status s;
    TT_GO(tti_subword_load(&t->model, &f, tti_member(f.json, "model")));
    TT_GO(tti_norms_load(&t->norms, &f, tti_member(f.json, "normalizer")));
    TT_GO(tti_pres_load(&t->pres, &f, tti_member(f.json, "pre_tokenizer")));
    TT_GO(tti_post_load(&t->post, &f, tti_member(f.json, "post_processor")));
    TT_GO(tti_decs_load(&t->decs, &f, tti_member(f.json, "decoder")));
    TT_GO(tti_added_load(&t->added, &t->model, &f, f.json));
    TT_GO(tti_get_string(&f, tti_member(f.json, "truncation"), "truncation", "direction", &side));
    t->cut_left = side && !strcmp(side, "Left");
done:
    tti_file_free(&f);
    return s;
}

/* The token that a configuration names: a string, or an object with its content. */
static const char *named(const tti_file *f, const char *key) {
    const cJSON *v = tti_member(f->json, key);
    if (cJSON_IsObject(v)) v = tti_member(v, "content");
    return cJSON_IsString(v) ? v->valuestring : NULL;
}

static int32_t id_of(const tti_tokenizer *t, const char *name) {
    return name ? tti_tokenizer_id(t, name, strlen(name)) : -1;
}

static int32_t first_of(const tti_tokenizer *t, const char *a, const char *b) {
    int32_t id = id_of(t, a);
    return id >= 0 ? id : id_of(t, b);
}

/* Where no configuration names them: the model's and template's own, and the usual names. */
static void usual_special(tti_tokenizer *t) {
    tti_special_ids *s = &t->special;
    s->unk = t->model.unk;
    s->cls = t->post.cls >= 0 ? t->post.cls : first_of(t, "[CLS]", "<s>");
    s->sep = t->post.sep >= 0 ? t->post.sep : first_of(t, "[SEP]", "</s>");
    s->pad = first_of(t, "[PAD]", "<pad>");
    s->mask = first_of(t, "[MASK]", "<mask>");
    s->bos = first_of(t, "<s>", "<|begin_of_text|>");
    s->eos = first_of(t, "</s>", "<|endoftext|>");
    if (s->bos < 0) s->bos = id_of(t, "<|endoftext|>");
}

static void find_special(tti_tokenizer *t, const tti_file *config, const tti_file *map) {
    bool any = false;
#define FIND(member, key)                                      \
    {                                                          \
        const char *z = named(config, key);                    \
        t->special.member = id_of(t, z ? z : named(map, key)); \
        any |= t->special.member >= 0;                         \
    }
    TTI_SPECIAL_MAP(FIND)
#undef FIND
    if (!any) usual_special(t);
}

static tt_status finish(tti_tokenizer *t, const tti_file *config) {
    tti_file map;
    tti_work *w = NULL;
    const char *side;
    TT_TRY(side_file(t, "special_tokens_map.json", &map));
    tt_status s;
    TT_GO(tti_work_new(&w));
    TT_GO(tti_added_ready(&t->added, &t->norms, w));
    TT_GO(tti_get_string(config, config->json, "truncation_side", "truncation_side", &side));
    if (side) t->cut_left = !strcmp(side, "left");
    find_special(t, config, &map);
done:
    tti_work_free(w);
    tti_file_free(&map);
    return s;
}

static tt_status split_path(tti_tokenizer *t, const char *path) {
    if (tti_dir_exists(path)) {
        t->dir = tti_strdup(path);
        char *file = t->dir ? tti_path_join(path, "tokenizer.json") : NULL;
        if (!file) return TT_E_NOMEM;
        if (tti_file_exists(file))
            t->file = file;
        else
            tti_free(file);
        return TT_OK;
    }
    const char *slash = strrchr(path, '/');
    t->file = tti_strdup(path);
    t->dir = !slash ? tti_strdup(".") : tti_strndup(path, (size_t)(slash - path) + (slash == path));
    return t->file && t->dir ? TT_OK : TT_E_NOMEM;
}

static tt_status load_vocab_files(tti_tokenizer *t, const tti_file *config) {
    char *vocab = tti_path_join(t->dir, "vocab.json"),
         *merges = tti_path_join(t->dir, "merges.txt");
    char *lines = tti_path_join(t->dir, "vocab.txt");
    tt_status s = TT_E_NOMEM;
    if (vocab && merges && lines) {
        if (tti_file_exists(vocab) && tti_file_exists(merges))
            s = tti_load_merges_txt(t, vocab, merges, config);
        else if (tti_file_exists(lines))
            s = tti_load_vocab_txt(t, lines, config);
        else
            s = tti_fail(TT_E_IO,
                         "%s: no tokenizer.json, vocab.txt, or vocab.json with merges.txt; "
                         "put the model's tokenizer files there",
                         t->dir);
    }
    tti_free(vocab);
    tti_free(merges);
    tti_free(lines);
    return s;
}

tt_status tti_tokenizer_load(tti_tokenizer **out, const char *path) {
    tt_status s = TT_OK;
    tti_file config = {0};
    *out = NULL;
    tti_uc_init();
    tti_tokenizer *t = tti_calloc(1, sizeof *t);
    if (!t) return TT_E_NOMEM;
    t->serial = next_serial();
    TT_GO(split_path(t, path));
    TT_GO(side_file(t, "tokenizer_config.json", &config));
    if (t->file)
        TT_GO(load_json(t));
    else
        TT_GO(load_vocab_files(t, &config));
    TT_GO(finish(t, &config));
    *out = t;
    t = NULL;
done:
    tti_file_free(&config);
    tti_tokenizer_free(t);
    return s;
}

static tt_status copy(const char *from, const char *dir, const char *name) {
    char *data = NULL, *to = tti_path_join(dir, name);
    size_t n;
    if (!to) return TT_E_NOMEM;
    tt_status s = tti_file_read(&data, &n, from, TTI_TOKENIZER_MAX_BYTES);
    if (s == TT_OK) s = tti_file_write(to, data, n);
    tti_free(data);
    tti_free(to);
    return s;
}

tt_status tti_tokenizer_save(const tti_tokenizer *t, const char *dir) {
    static const char *const names[] = {"vocab.txt",
                                        "vocab.json",
                                        "merges.txt",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "chat_template.jinja"};
    if (t->file) TT_TRY(copy(t->file, dir, "tokenizer.json"));
    for (size_t i = 0; i < TT_COUNT(names); i++) {
        char *from = tti_path_join(t->dir, names[i]);
        if (!from) return TT_E_NOMEM;
        tt_status s = tti_file_exists(from) ? copy(from, dir, names[i]) : TT_OK;
        tti_free(from);
        TT_TRY(s);
    }
    return TT_OK;
}
