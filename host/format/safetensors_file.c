// SPDX-License-Identifier: Apache-2.0
/* safetensors_file.c - one file: its header read and checked. */
#include <stdlib.h>
#include <string.h>
#include "host/format/safetensors_internal.h"

/* The types this program does not compute with, but whose sizes it must know to check a file. */
static const struct {
    const char *name;
    tti_st_dtype dtype;
    unsigned bits;
} dtypes[] = {
#define ROW(name, bits) {#name, TTI_ST_##name, bits},
    TTI_ST_DTYPES(ROW)
#undef ROW
        {"U16", TTI_ST_OTHER, 16},
    {"U32", TTI_ST_OTHER, 32},
    {"U64", TTI_ST_OTHER, 64},
    {"C64", TTI_ST_OTHER, 64},
    {"F8_E5M2", TTI_ST_OTHER, 8},
    {"F8_E4M3", TTI_ST_OTHER, 8},
    {"F8_E8M0", TTI_ST_OTHER, 8},
    {"F8_E4M3FNUZ", TTI_ST_OTHER, 8},
    {"F8_E5M2FNUZ", TTI_ST_OTHER, 8},
    {"F6_E2M3", TTI_ST_OTHER, 6},
    {"F6_E3M2", TTI_ST_OTHER, 6},
    {"F4", TTI_ST_OTHER, 4},
};

static tt_status bad(const tti_st_file *f, const char *tensor, const char *what) {
    return tti_fail(TT_E_FORMAT, "%s: tensor " TTI_ST_NAME ": %s", f->path, tensor, what);
}

/* A number of the header that must be a whole one, not negative, and exact as a double. */
static bool whole(const cJSON *v, size_t *out) {
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble <= 0x1p53)) return false;
    *out = (size_t)v->valuedouble;
    return (double)*out == v->valuedouble;
}

static tt_status read_shape(const tti_st_file *f, tti_st_tensor *t, const cJSON *shape) {
    if (!cJSON_IsArray(shape)) return bad(f, t->name, "shape: expected an array");
    t->count = 1;
    bool fits = true, empty = false;
    for (const cJSON *d = shape->child; d; d = d->next) {
        if (t->rank == TTI_ST_MAX_RANK) return bad(f, t->name, "shape: more than 8 dimensions");
        size_t n;
        if (!whole(d, &n)) {
            char found[64];
            return tti_fail(TT_E_FORMAT,
                            "%s: tensor " TTI_ST_NAME
                            ": shape: expected whole numbers from 0, found %s",
                            f->path, t->name, tti_json_describe(d, found));
        }
        t->dim[t->rank++] = n;
        if (!n)
            empty = true;
        else if (fits)
            fits = tti_mul(t->count, n, &t->count);
    }
    if (!fits) return bad(f, t->name, "shape: too many elements to count");
    if (empty) t->count = 0;
    return TT_OK;
}

static tt_status read_dtype(const tti_st_file *f, tti_st_tensor *t, const cJSON *v,
                            unsigned *bits) {
    if (!cJSON_IsString(v)) return bad(f, t->name, "dtype: expected a string");
    for (size_t i = 0; i < TT_COUNT(dtypes); i++) {
        if (strcmp(dtypes[i].name, v->valuestring)) continue;
        t->dtype = dtypes[i].dtype;
        t->dtype_name = dtypes[i].name;
        *bits = dtypes[i].bits;
        return TT_OK;
    }
    return tti_fail(TT_E_FORMAT, "%s: tensor " TTI_ST_NAME ": dtype \"%.40s\" is not known",
                    f->path, t->name, v->valuestring);
}

static tt_status read_offsets(const tti_st_file *f, tti_st_tensor *t, const cJSON *v,
                              unsigned bits) {
    const uint8_t *data = t->data; /* so far the start of all data */
    const size_t data_size = (size_t)(f->map.data + f->map.size - data);
    size_t begin, end, need;
    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) != 2 || !whole(v->child, &begin) ||
        !whole(v->child->next, &end) || begin > end)
        return bad(f, t->name, "data_offsets: expected [begin, end], two whole numbers in order");
    if (end > data_size)
        return tti_fail(TT_E_FORMAT,
                        "%s: tensor " TTI_ST_NAME ": data_offsets [%zu, %zu] reach beyond the end "
                        "of the data (%zu bytes); the file is cut short or damaged",
                        f->path, t->name, begin, end, data_size);
    char shape[200];
    if (!tti_mul(t->count, bits, &need) || need % 8 || need / 8 != end - begin)
        return tti_fail(TT_E_FORMAT,
                        "%s: tensor " TTI_ST_NAME ": data_offsets [%zu, %zu] hold %zu bytes, which "
                        "does not fit %s of shape %s",
                        f->path, t->name, begin, end, end - begin, t->dtype_name,
                        tti_st_shape_text(t, shape));
    t->bytes = end - begin;
    t->data = data + begin;
    return TT_OK;
}

static tt_status read_tensor(tti_st_file *f, const cJSON *v, const uint8_t *data) {
    tti_st_tensor t = {.name = v->string, .file = f->path, .data = data, .map = f->map};
    unsigned bits = 0;
    if (!cJSON_IsObject(v)) return bad(f, t.name, "expected an object with dtype and shape");
    TT_TRY(read_dtype(f, &t, cJSON_GetObjectItemCaseSensitive(v, "dtype"), &bits));
    TT_TRY(read_shape(f, &t, cJSON_GetObjectItemCaseSensitive(v, "shape")));
    TT_TRY(read_offsets(f, &t, cJSON_GetObjectItemCaseSensitive(v, "data_offsets"), bits));
    tt_status s = tti_st_set_add(&f->set, &t);
    return s == TT_E_ARG ? bad(f, t.name, "twice in the header") : s;
}

static tt_status check_metadata(const tti_st_file *f, const cJSON *meta) {
    if (!cJSON_IsObject(meta))
        return tti_fail(TT_E_FORMAT, "%s: __metadata__: expected an object", f->path);
    for (const cJSON *v = meta->child; v; v = v->next)
        if (!cJSON_IsString(v))
            return tti_fail(TT_E_FORMAT, "%s: __metadata__: " TTI_ST_NAME ": expected a string",
                            f->path, v->string);
    return TT_OK;
}

static int by_place(const void *a, const void *b) {
    const tti_st_tensor *x = *(tti_st_tensor *const *)a, *y = *(tti_st_tensor *const *)b;
    const uint8_t *p = x->data, *q = y->data;
    if (p != q) return p < q ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* The tensors must cover the data without holes or overlaps. */
static tt_status check_cover(const tti_st_file *f, const uint8_t *data) {
    const tti_st_tensor **order = tti_calloc(f->set.n, sizeof *order);
    if (!order) return TT_E_NOMEM;
    for (size_t i = 0; i < f->set.n; i++) order[i] = &f->set.at[i];
    qsort(order, f->set.n, sizeof *order, by_place);
    const uint8_t *covered = data, *end = f->map.data + f->map.size;
    tt_status s = TT_OK;
    for (size_t i = 0; i < f->set.n && s == TT_OK; i++) {
        const uint8_t *at = order[i]->data;
        if (at != covered)
            s = tti_fail(TT_E_FORMAT, "%s: tensor " TTI_ST_NAME ": begins at byte %zu, %s (%zu)",
                         f->path, order[i]->name, (size_t)(at - data),
                         at < covered ? "inside the tensor before it"
                                      : "leaving a hole after the tensor before it",
                         (size_t)(covered - data));
        covered = at + order[i]->bytes;
    }
    tti_free(order);
    if (s == TT_OK && covered != end)
        s = tti_fail(TT_E_FORMAT, "%s: %zu bytes after the last tensor belong to none", f->path,
                     (size_t)(end - covered));
    return s;
}

static tt_status read_header(tti_st_file *f) {
    static const char lfs[] = "version https://git-lfs";
    if (f->map.size >= sizeof lfs - 1 && !memcmp(f->map.data, lfs, sizeof lfs - 1))
        return tti_fail(TT_E_FORMAT, "%s: is a git-lfs pointer, not the weights; run git lfs pull",
                        f->path);
    if (f->map.size < 8)
        return tti_fail(TT_E_FORMAT, "%s: %zu bytes, too short to be a safetensors file", f->path,
                        f->map.size);
    uint64_t length = 0;
    for (int i = 0; i < 8; i++) length |= (uint64_t)f->map.data[i] << (8 * i);
    if (length > f->map.size - 8)
        return tti_fail(TT_E_FORMAT,
                        "%s: the header is to be %llu bytes long, but the file has %zu; it is cut "
                        "short or not a safetensors file",
                        f->path, (unsigned long long)length, f->map.size);
    if (length > TTI_ST_HEADER_MAX)
        return tti_fail(TT_E_FORMAT, "%s: a header of %llu bytes, more than the format's %zu",
                        f->path, (unsigned long long)length, TTI_ST_HEADER_MAX);
    tt_status s = tti_json_parse(&f->header, (const char *)f->map.data + 8, length, f->path);
    if (s == TT_E_FORMAT) return tti_fail(s, "header of %s", tt_error());
    TT_TRY(s);
    if (!cJSON_IsObject(f->header))
        return tti_fail(TT_E_FORMAT, "%s: header: expected a JSON object", f->path);
    const uint8_t *data = f->map.data + 8 + length;
    bool meta = false;
    for (const cJSON *v = f->header->child; v; v = v->next) {
        if (strcmp(v->string, TTI_ST_METADATA)) {
            TT_TRY(read_tensor(f, v, data));
            continue;
        }
        if (meta) return tti_fail(TT_E_FORMAT, "%s: __metadata__: twice in the header", f->path);
        meta = true;
        TT_TRY(check_metadata(f, v));
    }
    TT_TRY(check_cover(f, data));
    for (size_t i = 0; i < f->set.n; i++)
        if (!f->set.at[i].bytes) f->set.at[i].data = NULL;
    return TT_OK;
}

tt_status tti_st_file_open(tti_st_file *f, const char *path) {
    *f = (tti_st_file){.path = tti_strdup(path)};
    if (!f->path) return TT_E_NOMEM;
    tt_status s = tti_map_open(&f->map, path);
    if (s == TT_OK) s = read_header(f);
    if (s != TT_OK) tti_st_file_close(f);
    return s;
}

void tti_st_file_close(tti_st_file *f) {
    tti_st_set_free(&f->set);
    tti_json_free(f->header);
    tti_map_close(&f->map);
    tti_free(f->path);
    *f = (tti_st_file){0};
}
