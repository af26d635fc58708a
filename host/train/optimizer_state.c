// SPDX-License-Identifier: Apache-2.0
/* optimizer_state.c - tensors "m.<part>" and "v.<part>"; parts as optimizer.h numbers them. */
#include "host/train/optimizer_state.h"

enum { CHUNK = 1 << 20 }; /* floats copied at a time */

static size_t parts_of(const tti_model *m) {
    size_t n = tti_model_narenas(m);
    for (size_t i = 0; i < tti_model_nparams(m); i++)
        n += tti_model_param((tti_model *)m, i)->sparse;
    return n;
}

static size_t floats_of(const tti_model *m, size_t part) {
    size_t n = tti_model_narenas(m);
    if (part < n) return tti_model_arena(m, part)->count;
    for (size_t i = 0; i < tti_model_nparams(m); i++) {
        const tti_param *p = tti_model_param((tti_model *)m, i);
        if (p->sparse && n++ == part) return p->rows * p->cols;
    }
    return 0;
}

static void name_of(char name[32], int which, size_t part) {
    snprintf(name, 32, "%c.%zu", "mv"[which], part);
}

static tt_status write_all(tti_st_writer *w, tti_session *s, const tti_model *m, float *buffer) {
    tti_optimizer *o = tti_session_optimizer(s);
    char name[32];
    for (int which = 0; which < 2; which++)
        for (size_t i = 0; i < parts_of(m); i++) {
            size_t count = floats_of(m, i);
            name_of(name, which, i);
            TT_TRY(tti_st_writer_declare(w, name, TTI_ST_F32, 1, &count));
        }
    for (int which = 0; which < 2; which++)
        for (size_t i = 0; i < parts_of(m); i++)
            for (size_t at = 0, n, count = floats_of(m, i); at < count; at += n) {
                n = TT_MIN((size_t)CHUNK, count - at);
                TT_TRY(tti_optimizer_read(o, (tti_moment)which, i, at, buffer, n));
                TT_TRY(tti_st_writer_write(w, buffer, n * sizeof *buffer));
            }
    return tti_st_writer_commit(w);
}

tt_status tti_optimizer_state_write(const char *path, tti_session *s, const tti_model *m) {
    float *buffer = tti_calloc(CHUNK, sizeof *buffer);
    if (!buffer) return TT_E_NOMEM;
    tti_st_writer *w = NULL;
    tt_status st = tti_st_writer_begin(&w, path);
    if (st == TT_OK) st = write_all(w, s, m, buffer);
    tti_st_writer_free(w);
    tti_free(buffer);
    return st;
}

static tt_status read_all(const tti_st *f, const char *path, tti_session *s, const tti_model *m,
                          float *buffer) {
    tti_optimizer *o = tti_session_optimizer(s);
    for (int which = 0; which < 2; which++)
        for (size_t i = 0; i < parts_of(m); i++) {
            char name[32];
            size_t count = floats_of(m, i);
            name_of(name, which, i);
            const tti_st_tensor *t = tti_st_find(f, name);
            if (!t || t->count != count || t->dtype != TTI_ST_F32)
                return tti_fail(TT_E_FORMAT,
                                "%s: %s: expected %zu floats, found %zu; it belongs to "
                                "another model",
                                path, name, count, t ? t->count : 0);
            for (size_t at = 0, n; at < count; at += n) {
                n = TT_MIN((size_t)CHUNK, count - at);
                TT_TRY(tti_st_read_f32(t, buffer, at, n));
                TT_TRY(tti_optimizer_write(o, (tti_moment)which, i, at, buffer, n));
            }
        }
    return TT_OK;
}

tt_status tti_optimizer_state_read(const char *path, tti_session *s, const tti_model *m,
                                   uint32_t step) {
    float *buffer = tti_calloc(CHUNK, sizeof *buffer);
    if (!buffer) return TT_E_NOMEM;
    tti_st *f = NULL;
    tt_status st = tti_st_open(&f, path);
    if (st == TT_OK) st = read_all(f, path, s, m, buffer);
    if (st == TT_OK) st = tti_optimizer_resume(tti_session_optimizer(s), step);
    tti_st_close(f);
    tti_free(buffer);
    return st;
}
