// SPDX-License-Identifier: Apache-2.0
/* optimizer_state.c - optimizers' tensors in files. */
#include "host/train/optimizer_state.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 1 << 20 }; /* bytes copied at a time */
static const char kind_key[] = "optimizer", scale_key[] = "loss_scale";

/* ---- saving ---- */

static tt_status declare(tti_st_writer *w, tti_optimizer *o) {
    tti_optimizer_scaling s;
    TT_TRY(tti_st_writer_meta(w, kind_key, tti_optimizer_name(tti_optimizer_kind_of(o))));
    TT_TRY(tti_optimizer_get_scaling(o, &s));
    if (s.scale > 1 || s.good || s.overflows) {
        char text[64];
        snprintf(text, sizeof text, "%d %u %u", ilogbf(s.scale), s.good, s.overflows);
        TT_TRY(tti_st_writer_meta(w, scale_key, text));
    }
    for (size_t i = 0; i < tti_optimizer_tensors(o); i++) {
        const tti_optimizer_tensor t = tti_optimizer_tensor_at(o, i);
        TT_TRY(tti_st_writer_declare(w, t.name, t.elem == 1 ? TTI_ST_U8 : TTI_ST_F32, 1, &t.count));
    }
    return TT_OK;
}

static tt_status write_all(tti_st_writer *w, tti_optimizer *o, void *buffer) {
    TT_TRY(declare(w, o));
    for (size_t i = 0; i < tti_optimizer_tensors(o); i++) {
        const tti_optimizer_tensor t = tti_optimizer_tensor_at(o, i);
        for (size_t at = 0, n; at < t.count; at += n) {
            n = TT_MIN(CHUNK / t.elem, t.count - at);
            TT_TRY(tti_optimizer_read(o, i, at, buffer, n));
            TT_TRY(tti_st_writer_write(w, buffer, n * t.elem));
        }
    }
    return tti_st_writer_commit(w);
}

tt_status tti_optimizer_save(tti_optimizer *o, const char *path) {
    void *buffer = tti_malloc(CHUNK);
    if (!buffer) return TT_E_NOMEM;
    tti_st_writer *w = NULL;
    tt_status st = tti_st_writer_begin(&w, path);
    if (st == TT_OK) st = write_all(w, o, buffer);
    tti_st_writer_free(w);
    tti_free(buffer);
    return st;
}

/* ---- loading ---- */

static tt_status check_kind(const tti_st *f, const char *path, const tti_optimizer *o) {
    const char *there = tti_st_metadata(f, kind_key);
    const char *here = tti_optimizer_name(tti_optimizer_kind_of(o));
    if (!there) there = tti_optimizer_name(TTI_OPT_ADAMW);
    if (strcmp(there, here) == 0) return TT_OK;
    return tti_fail(TT_E_FORMAT,
                    "%s: the state of optimizer %s, this run has %s; set optimizer: %s or begin "
                    "anew",
                    path, there, here, there);
}

static tt_status read_scaling(const tti_st *f, const char *path, tti_optimizer *o) {
    const char *text = tti_st_metadata(f, scale_key);
    tti_optimizer_scaling s = {.scale = 1};
    int exponent;
    char rest;
    if (!text) return TT_OK;
    if (sscanf(text, "%d %u %u%c", &exponent, &s.good, &s.overflows, &rest) != 3 || exponent < 0 ||
        exponent > 24)
        return tti_fail(TT_E_FORMAT, "%s: %s: \"%s\" is no loss scale", path, scale_key, text);
    s.scale = ldexpf(1, exponent);
    tt_status st = tti_optimizer_set_scaling(o, &s);
    return st == TT_OK ? st : tti_fail_in(st, "%s", path);
}

static tt_status read_tensor(const tti_st *f, const char *path, tti_optimizer *o, size_t i,
                             void *buffer) {
    const tti_optimizer_tensor t = tti_optimizer_tensor_at(o, i);
    const tti_st_tensor *from = tti_st_find(f, t.name);
    if (!from || from->count != t.count || from->bytes != t.count * t.elem ||
        from->dtype != (t.elem == 1 ? TTI_ST_U8 : TTI_ST_F32))
        return tti_fail(TT_E_FORMAT,
                        "%s: %s: expected %zu %s, found %zu; it belongs to another model or "
                        "other settings",
                        path, t.name, t.count, t.elem == 1 ? "bytes" : "floats",
                        from ? from->count : 0);
    for (size_t at = 0, n; at < t.count; at += n) {
        n = TT_MIN(CHUNK / t.elem, t.count - at);
        memcpy(buffer, (const char *)from->data + at * t.elem, n * t.elem);
        tti_st_drop(from);
        TT_TRY(tti_optimizer_write(o, i, at, buffer, n));
    }
    return TT_OK;
}

static tt_status read_all(const tti_st *f, const char *path, tti_optimizer *o, void *buffer) {
    TT_TRY(check_kind(f, path, o));
    if (tti_st_count(f) != tti_optimizer_tensors(o))
        return tti_fail(TT_E_FORMAT,
                        "%s: %zu tensors, expected %zu; it belongs to another model or other "
                        "settings",
                        path, tti_st_count(f), tti_optimizer_tensors(o));
    for (size_t i = 0; i < tti_optimizer_tensors(o); i++)
        TT_TRY(read_tensor(f, path, o, i, buffer));
    return read_scaling(f, path, o);
}

tt_status tti_optimizer_load(tti_optimizer *o, const char *path, uint32_t step) {
    void *buffer = tti_malloc(CHUNK);
    if (!buffer) return TT_E_NOMEM;
    tti_st *f = NULL;
    tt_status st = tti_st_open(&f, path);
    if (st == TT_OK) st = read_all(f, path, o, buffer);
    if (st == TT_OK) st = tti_optimizer_resume(o, step);
    tti_st_close(f);
    tti_free(buffer);
    return st;
}

/* ---- of a session ---- */

tt_status tti_optimizer_state_write(const char *path, tti_session *s, const tti_model *m) {
    (void)m;
    return tti_optimizer_save(tti_session_optimizer(s), path);
}

tt_status tti_optimizer_state_read(const char *path, tti_session *s, const tti_model *m,
                                   uint32_t step) {
    (void)m;
    return tti_optimizer_load(tti_session_optimizer(s), path, step);
}
