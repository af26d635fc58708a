// SPDX-License-Identifier: Apache-2.0
/* safetensors_write.c - the writer: header first, then the data as it comes. */
#include <string.h>
#include "host/format/safetensors_internal.h"

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
#define ROW(name, bits) {#name, (bits) / 8},
    TTI_ST_DTYPES(ROW)
#undef ROW
};

struct tti_st_writer {
    char *path;
    tti_outfile file;
    tti_st_set set; /* owns the names */
    tti_str meta;   /* the inside of __metadata__ */
    cJSON *keys;    /* the keys in meta, to refuse a second one */
    size_t total, written;
    size_t tensor, in_tensor; /* whose turn it is, and how many of its bytes are written */
    bool streaming;
};

tt_status tti_st_writer_begin(tti_st_writer **out, const char *path) {
    *out = NULL;
    tti_st_writer *w = tti_calloc(1, sizeof *w);
    if (!w) return TT_E_NOMEM;
    tt_status s = TT_OK;
    w->path = tti_strdup(path);
    if (!w->path) s = TT_E_NOMEM;
    if (s == TT_OK) s = tti_st_writer_meta(w, "format", "pt");
    if (s == TT_OK) s = tti_outfile_begin(&w->file, path);
    if (s == TT_OK)
        *out = w;
    else
        tti_st_writer_free(w);
    return s;
}

static tt_status too_late(const tti_st_writer *w, const char *name) {
    return tti_fail(TT_E_ARG, "%s: " TTI_ST_NAME ": declared after the first data", w->path, name);
}

tt_status tti_st_writer_declare(tti_st_writer *w, const char *name, tti_st_dtype dtype, int rank,
                                const size_t *dim) {
    if (w->streaming) return too_late(w, name);
    if ((size_t)dtype >= TT_COUNT(dtypes) || rank < 0 || rank > TTI_ST_MAX_RANK ||
        !strcmp(name, TTI_ST_METADATA))
        return tti_fail(TT_E_ARG,
                        "%s: tensor " TTI_ST_NAME ": this name, type or rank (%d) cannot "
                        "be written",
                        w->path, name, rank);
    tti_st_tensor t = {.dtype = dtype, .rank = rank, .count = 1};
    bool fits = true;
    for (int i = 0; i < rank; i++) {
        t.dim[i] = dim[i];
        fits = fits && tti_mul(t.count, dim[i], &t.count);
    }
    fits = fits && tti_mul(t.count, dtypes[dtype].size, &t.bytes) && t.bytes <= SIZE_MAX - w->total;
    if (!fits)
        return tti_fail(TT_E_ARG, "%s: tensor " TTI_ST_NAME ": too many elements", w->path, name);
    char *copy = tti_strdup(name);
    if (!copy) return TT_E_NOMEM;
    t.name = copy;
    tt_status s = tti_st_set_add(&w->set, &t);
    if (s == TT_OK)
        w->total += t.bytes;
    else
        tti_free(copy);
    if (s == TT_E_ARG)
        return tti_fail(s, "%s: tensor " TTI_ST_NAME ": declared twice", w->path, name);
    return s;
}

tt_status tti_st_writer_meta(tti_st_writer *w, const char *key, const char *value) {
    if (w->streaming) return too_late(w, key);
    if (!w->keys) w->keys = cJSON_CreateObject();
    if (w->keys && tti_json_get(w->keys, key))
        return tti_fail(TT_E_ARG, "%s: __metadata__: " TTI_ST_NAME ": twice", w->path, key);
    if (!w->keys) return tti_fail(TT_E_NOMEM, "%s: out of host memory", w->path);
    TT_TRY(tti_json_set_bool(w->keys, key, true));
    if (w->meta.len) tti_str_putc(&w->meta, ',');
    tti_str_json(&w->meta, key, strlen(key));
    tti_str_putc(&w->meta, ':');
    tti_str_json(&w->meta, value, strlen(value));
    return w->meta.status;
}

static tt_status write_header(tti_st_writer *w) {
    tti_str h = {0};
    tti_str_puts(&h, "{\"" TTI_ST_METADATA "\":{");
    tti_str_add(&h, w->meta.p, w->meta.len);
    tti_str_putc(&h, '}');
    size_t offset = 0;
    for (size_t i = 0; i < w->set.n; i++) {
        const tti_st_tensor *t = &w->set.at[i];
        tti_str_putc(&h, ',');
        tti_str_json(&h, t->name, strlen(t->name));
        tti_str_printf(&h, ":{\"dtype\":\"%s\",\"shape\":[", dtypes[t->dtype].name);
        for (int d = 0; d < t->rank; d++) tti_str_printf(&h, "%s%zu", d ? "," : "", t->dim[d]);
        tti_str_printf(&h, "],\"data_offsets\":[%zu,%zu]}", offset, offset + t->bytes);
        offset += t->bytes;
    }
    tti_str_putc(&h, '}');
    while (h.status == TT_OK && h.len % 8) tti_str_putc(&h, ' ');
    tt_status s = h.status;
    if (s == TT_OK && h.len > TTI_ST_HEADER_MAX)
        s = tti_fail(TT_E_ARG, "%s: a header of %zu bytes, more than the format's %zu", w->path,
                     h.len, TTI_ST_HEADER_MAX);
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)h.len >> (8 * i));
    if (s == TT_OK) s = tti_outfile_write(&w->file, length, 8);
    if (s == TT_OK) s = tti_outfile_write(&w->file, h.p, h.len);
    tti_str_free(&h);
    w->streaming = true;
    return s;
}

/* Steps over tensors that are complete, the empty ones too. */
static void next_tensor(tti_st_writer *w) {
    while (w->tensor < w->set.n && w->in_tensor >= w->set.at[w->tensor].bytes)
        w->in_tensor -= w->set.at[w->tensor++].bytes;
}

tt_status tti_st_writer_write(tti_st_writer *w, const void *data, size_t bytes) {
    if (!w->streaming) TT_TRY(write_header(w));
    if (bytes > w->total - w->written)
        return tti_fail(TT_E_ARG, "%s: more data than the %zu bytes declared", w->path, w->total);
    TT_TRY(tti_outfile_write(&w->file, data, bytes));
    w->written += bytes;
    w->in_tensor += bytes;
    next_tensor(w);
    return TT_OK;
}

tt_status tti_st_writer_write_f32(tti_st_writer *w, const float *src, size_t count) {
    union {
        uint16_t h[1024];
        double d[1024];
    } buf;
    next_tensor(w);
    const tti_st_tensor *t = w->tensor < w->set.n ? &w->set.at[w->tensor] : NULL;
    if (count && (!t || count > (t->bytes - w->in_tensor) / dtypes[t->dtype].size))
        return tti_fail(TT_E_ARG, "%s: tensor " TTI_ST_NAME ": more data than declared", w->path,
                        t ? t->name : "past the last");
    if (!count || t->dtype == TTI_ST_F32) return tti_st_writer_write(w, src, count * 4);
    if (t->dtype != TTI_ST_F16 && t->dtype != TTI_ST_BF16 && t->dtype != TTI_ST_F64)
        return tti_fail(TT_E_ARG, "%s: tensor " TTI_ST_NAME ": is %s, not floating point", w->path,
                        t->name, dtypes[t->dtype].name);
    const tti_st_dtype dtype = t->dtype;
    for (size_t i = 0; i < count;) {
        size_t n = TT_MIN(count - i, TT_COUNT(buf.h));
        for (size_t j = 0; j < n; j++) {
            if (dtype == TTI_ST_F64)
                buf.d[j] = (double)src[i + j];
            else if (dtype == TTI_ST_F16)
                buf.h[j] = tti_f32_to_f16(src[i + j]);
            else
                buf.h[j] = tti_f32_to_bf16(src[i + j]);
        }
        TT_TRY(tti_st_writer_write(w, &buf, n * dtypes[dtype].size));
        i += n;
    }
    return TT_OK;
}

tt_status tti_st_writer_commit(tti_st_writer *w) {
    if (!w->streaming) TT_TRY(write_header(w));
    if (w->written != w->total)
        return tti_fail(TT_E_ARG, "%s: %zu of %zu declared bytes were written", w->path, w->written,
                        w->total);
    return tti_outfile_commit(&w->file);
}

void tti_st_writer_free(tti_st_writer *w) {
    if (!w) return;
    tti_outfile_abort(&w->file);
    for (size_t i = 0; i < w->set.n; i++) tti_free((void *)(uintptr_t)w->set.at[i].name);
    tti_st_set_free(&w->set);
    tti_str_free(&w->meta);
    tti_json_free(w->keys);
    tti_free(w->path);
    tti_free(w);
}
