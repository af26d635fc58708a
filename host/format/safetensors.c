// SPDX-License-Identifier: Apache-2.0
/* safetensors.c - opening files, shards and folders, and finding tensors in them. */
#include "host/format/safetensors.h"

#include <string.h>
#include "host/format/safetensors_internal.h"

struct tti_st {
    tti_st_file *file; /* the shards */
    size_t n, cap;
    cJSON *index;   /* owns the names when there are shards */
    tti_st_set set; /* all tensors, when there are shards; else empty: file[0].set counts */
};

static uint64_t hash(const char *name) { /* FNV-1a */
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; name++) h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    return h;
}

static size_t *slot_of(const tti_st_set *set, const char *name) {
    size_t i = (size_t)hash(name) & (set->slots - 1);
    while (set->slot[i] && strcmp(set->at[set->slot[i] - 1].name, name))
        i = (i + 1) & (set->slots - 1);
    return &set->slot[i];
}

static tt_status more_slots(tti_st_set *set) {
    size_t old = set->slots, *table = set->slot;
    size_t *fresh = tti_calloc(old ? old * 2 : 64, sizeof *fresh);
    if (!fresh) return TT_E_NOMEM;
    set->slot = fresh;
    set->slots = old ? old * 2 : 64;
    for (size_t i = 0; i < set->n; i++) *slot_of(set, set->at[i].name) = i + 1;
    tti_free(table);
    return TT_OK;
}

tt_status tti_st_set_add(tti_st_set *set, const tti_st_tensor *t) {
    if (set->n * 2 >= set->slots) TT_TRY(more_slots(set));
    size_t *slot = slot_of(set, t->name);
    if (*slot) return TT_E_ARG;
    TT_TRY(TTI_GROW(set->at, set->cap, set->n + 1));
    set->at[set->n++] = *t;
    *slot = set->n;
    return TT_OK;
}

const tti_st_tensor *tti_st_set_find(const tti_st_set *set, const char *name) {
    if (!set->n) return NULL;
    size_t i = *slot_of(set, name);
    return i ? &set->at[i - 1] : NULL;
}

void tti_st_set_free(tti_st_set *set) {
    tti_free(set->at);
    tti_free(set->slot);
    *set = (tti_st_set){0};
}

static tt_status add_file(tti_st *st, const char *path) {
    TT_TRY(TTI_GROW(st->file, st->cap, st->n + 1));
    TT_TRY(tti_st_file_open(&st->file[st->n], path));
    st->n++;
    return TT_OK;
}

/* The index may name files beside it only, so that a model folder cannot reach out of itself. */
static bool plain_name(const char *name) {
    return *name && !strchr(name, '/') && !strchr(name, '\\') && strcmp(name, "..") &&
           strcmp(name, ".");
}

/* Opens a shard, unless it is open already; *which is its place in st->file. */
static tt_status open_shard(tti_st *st, const char *index_path, const char *shard, size_t *which) {
    const char *slash = strrchr(index_path, '/');
    size_t folder = slash ? (size_t)(slash - index_path) + 1 : 0;
    for (size_t i = 0; i < st->n; i++) {
        *which = i;
        if (!strcmp(st->file[i].path + folder, shard)) return TT_OK;
    }
    if (!plain_name(shard))
        return tti_fail(TT_E_FORMAT, "%s: shard \"" TTI_ST_NAME "\": not a plain file name",
                        index_path, shard);
    tti_str path = {0};
    tti_str_add(&path, index_path, folder);
    tti_str_puts(&path, shard);
    tt_status s = path.status;
    if (s == TT_OK && !tti_file_exists(path.p))
        s = tti_fail(TT_E_IO, "%s: shard %s is missing; download it next to the index", index_path,
                     shard);
    if (s == TT_OK) s = add_file(st, path.p);
    tti_str_free(&path);
    *which = st->n - 1;
    return s;
}

static tt_status open_index(tti_st *st, const char *path) {
    TT_TRY(tti_json_file(&st->index, path, TTI_ST_HEADER_MAX));
    const cJSON *map;
    tti_json_at at = {st->index, path};
    TT_TRY(tti_json_need(at, "weight_map"));
    TT_TRY(tti_json_object(at, "weight_map", &map));
    if (!map->child)
        return tti_fail(TT_E_FORMAT, "%s: weight_map: empty, expected tensors and files", path);
    size_t which = 0;
    for (const cJSON *e = map->child; e; e = e->next) {
        if (!cJSON_IsString(e))
            return tti_fail(TT_E_FORMAT, "%s: weight_map: " TTI_ST_NAME ": expected a file name",
                            path, e->string);
        TT_TRY(open_shard(st, path, e->valuestring, &which));
        const tti_st_tensor *t = tti_st_set_find(&st->file[which].set, e->string);
        if (!t)
            return tti_fail(TT_E_FORMAT, "%s: tensor " TTI_ST_NAME " is not in its shard %s", path,
                            e->string, e->valuestring);
        tt_status s = tti_st_set_add(&st->set, t);
        if (s == TT_E_ARG)
            return tti_fail(TT_E_FORMAT, "%s: weight_map: " TTI_ST_NAME ": twice", path, e->string);
        TT_TRY(s);
    }
    return TT_OK;
}

static tt_status has_file(bool *out, const char *folder, const char *name) {
    char *p = tti_path_join(folder, name);
    if (!p) return TT_E_NOMEM;
    *out = tti_file_exists(p);
    tti_free(p);
    return TT_OK;
}

static tt_status open_folder(tti_st *st, const char *folder) {
    static const char single[] = "model.safetensors", index[] = "model.safetensors.index.json";
    bool is_single, has_index, bin, bin_index;
    TT_TRY(has_file(&is_single, folder, single));
    TT_TRY(has_file(&has_index, folder, index));
    TT_TRY(has_file(&bin, folder, "pytorch_model.bin"));
    TT_TRY(has_file(&bin_index, folder, "pytorch_model.bin.index.json"));
    if (!is_single && !has_index) {
        if (bin || bin_index)
            return tti_fail(TT_E_UNSUPPORTED,
                            "%s: has its weights in pytorch_model.bin only; save the model "
                            "as safetensors (save_pretrained does)",
                            folder);
        return tti_fail(TT_E_IO, "%s: holds neither %s nor %s", folder, single, index);
    }
    char *path = tti_path_join(folder, is_single ? single : index);
    if (!path) return TT_E_NOMEM;
    tt_status s = is_single ? add_file(st, path) : open_index(st, path);
    tti_free(path);
    return s;
}

tt_status tti_st_open(tti_st **out, const char *path) {
    *out = NULL;
    tti_st *st = tti_calloc(1, sizeof *st);
    if (!st) return TT_E_NOMEM;
    size_t n = strlen(path);
    tt_status s;
    if (tti_dir_exists(path))
        s = open_folder(st, path);
    else if (n > 5 && !strcmp(path + n - 5, ".json"))
        s = open_index(st, path);
    else
        s = add_file(st, path);
    if (s == TT_OK)
        *out = st;
    else
        tti_st_close(st);
    return s;
}

void tti_st_close(tti_st *st) {
    if (!st) return;
    for (size_t i = 0; i < st->n; i++) tti_st_file_close(&st->file[i]);
    tti_free(st->file);
    tti_st_set_free(&st->set);
    tti_json_free(st->index);
    tti_free(st);
}

static const tti_st_set *tensors(const tti_st *st) { return st->index ? &st->set : &st->file->set; }

size_t tti_st_count(const tti_st *st) { return tensors(st)->n; }

const tti_st_tensor *tti_st_at(const tti_st *st, size_t i) {
    TT_ASSERT(i < tensors(st)->n);
    return &tensors(st)->at[i];
}

const tti_st_tensor *tti_st_find(const tti_st *st, const char *name) {
    return tti_st_set_find(tensors(st), name);
}

const char *tti_st_metadata(const tti_st *st, const char *key) {
    const cJSON *meta = tti_json_get(st->file->header, TTI_ST_METADATA);
    const cJSON *v = meta ? tti_json_get(meta, key) : NULL;
    return v ? v->valuestring : NULL;
}
