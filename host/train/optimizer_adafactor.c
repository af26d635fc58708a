// SPDX-License-Identifier: Apache-2.0
/* optimizer_adafactor.c - Adafactor, matrix by matrix; kernels cl/optimizer_adafactor.cl. */
#include "host/train/optimizer_internal.h"

#include <math.h>

/* A matrix with one row or one column has as many second moments as elements: a vector. */
static bool is_vector(tti_matrix m) { return m.rows == 1 || m.cols == 1; }

static size_t floats_of(tti_matrix m) { return is_vector(m) ? m.rows * m.cols : m.rows + m.cols; }

static size_t arena_tensors(const tti_optimizer_opts *o, const tti_optimizer_arena *a,
                            tti_opt_tensor t[TTI_OPT_TENSORS]) {
    (void)o;
    t[0] = (tti_opt_tensor){'f', sizeof(float), 0};
    for (size_t i = 0; i < tti_opt_nmatrices(a); i++) t[0].count += floats_of(tti_opt_matrix(a, i));
    return 1;
}

static size_t sparse_tensors(const tti_optimizer_opts *o, const tti_optimizer_sparse *s,
                             tti_opt_tensor t[TTI_OPT_TENSORS]) {
    (void)o;
    t[0] = (tti_opt_tensor){'f', sizeof(float), s->rows + s->cols};
    return 1;
}

static size_t scratch(const tti_optimizer_arena *arenas, size_t narenas,
                      const tti_optimizer_sparse *sparse, size_t nsparse) {
    size_t rows = 0;
    for (size_t i = 0; i < narenas; i++)
        for (size_t j = 0; j < tti_opt_nmatrices(&arenas[i]); j++) {
            const tti_matrix m = tti_opt_matrix(&arenas[i], j);
            if (!is_vector(m)) rows = TT_MAX(rows, m.rows);
        }
    for (size_t i = 0; i < nsparse; i++) rows = TT_MAX(rows, sparse[i].slots);
    return 2 + rows;
}

static tt_status prepare(tti_optimizer *o) {
    for (size_t i = 0; i < o->narenas; i++)
        if (o->part[i].npieces[0] != 1)
            return tti_fail(TT_E_MEMORY,
                            "adafactor: rows and columns of an arena of %zu elements "
                            "are over the device's largest buffer",
                            o->arenas[i].count);
    return TT_OK;
}

static void constants(const tti_optimizer *o, float h[4]) {
    (void)o;
    (void)h;
}

static void coefficients(const tti_optimizer *o, uint32_t step, double lr, float s[3]) {
    (void)o;
    s[1] = (float)lr;
    s[2] = (float)pow(step, -0.8);
}

/* ---- a matrix, or the rows of a table that have gradients ---- */

typedef struct {
    tti_optimizer *o;
    cl_mem p, g, f;
    tti_dtype type, gtype;
    size_t first, at;         /* in p and g; in f */
    size_t rows, cols, given; /* given: rows with gradient */
    size_t arena;
    cl_mem last; /* of a table, else NULL */
    bool vector, decay;
} job;

static size_t colv(const tti_caps *c) { return (size_t)TT_MIN(c->wg, 16); }

static tti_launch kernel(const job *j, const char *name) {
    char more[96];
    snprintf(more, sizeof more, "-DCOLV=%zu -DIDS=%d", colv(tti_device_caps(j->o->d)),
             j->last != NULL);
    return tti_opt_kernel(j->o, "optimizer_adafactor", name, j->type, j->gtype, more);
}

static cl_mem ids_of(const job *j) { return j->last ? j->o->slot_ids : j->o->state; }

static tt_status average_rows(const job *j) {
    if (j->last) {
        tti_launch k = kernel(j, "adafactor_fade");
        tti_arg_mem(&k, j->f);
        tti_arg_mem(&k, j->o->state);
        tti_arg_u32(&k, (uint32_t)j->at);
        tti_arg_u32(&k, (uint32_t)j->rows);
        TT_TRY(tti_run_groups(&k, tti_opt_chunks(j->rows)));
    }
    tti_launch k = kernel(j, "adafactor_rows");
    tti_arg_mem(&k, j->f);
    tti_arg_mem(&k, j->g);
    tti_arg_mem(&k, ids_of(j));
    tti_arg_mem(&k, j->o->state);
    tti_arg_u32(&k, (uint32_t)j->at);
    tti_arg_i32(&k, (int)j->cols);
    tti_arg_u32(&k, (uint32_t)j->first);
    TT_TRY(tti_run_groups(&k, j->given));
    k = kernel(j, "adafactor_mean");
    tti_arg_mem(&k, j->o->scratch);
    tti_arg_mem(&k, j->f);
    tti_arg_u32(&k, (uint32_t)j->at);
    tti_arg_i32(&k, (int)j->rows);
    return tti_run_groups(&k, 1);
}

static tt_status average_columns(const job *j) {
    const tti_caps *c = tti_device_caps(j->o->d);
    const size_t wide = colv(c) * (size_t)c->vw;
    tti_launch k = kernel(j, "adafactor_columns");
    tti_arg_mem(&k, j->f);
    tti_arg_mem(&k, j->g);
    tti_arg_mem(&k, j->o->state);
    tti_arg_u32(&k, (uint32_t)j->at);
    tti_arg_i32(&k, (int)j->rows);
    tti_arg_i32(&k, (int)j->cols);
    tti_arg_u32(&k, (uint32_t)j->first);
    tti_arg_i32(&k, (int)j->given);
    return tti_run_groups(&k, (j->cols + wide - 1) / wide);
}

static tt_status find_clip(const job *j) {
    tti_launch k = kernel(j, "adafactor_squares");
    tti_arg_mem(&k, j->o->scratch);
    tti_arg_mem(&k, j->f);
    tti_arg_mem(&k, j->g);
    tti_arg_mem(&k, ids_of(j));
    tti_arg_mem(&k, j->o->state);
    tti_arg_u32(&k, (uint32_t)j->at);
    tti_arg_i32(&k, (int)j->rows);
    tti_arg_i32(&k, (int)j->cols);
    tti_arg_u32(&k, (uint32_t)j->first);
    TT_TRY(tti_run_groups(&k, j->given));
    k = kernel(j, "adafactor_clip");
    tti_arg_mem(&k, j->o->scratch);
    tti_arg_i32(&k, (int)j->given);
    tti_arg_f32(&k, (float)j->rows * (float)j->cols);
    return tti_run_groups(&k, 1);
}

static tt_status average_vector(const job *j) {
    tti_launch k = kernel(j, "adafactor_vector");
    tti_arg_mem(&k, j->o->scratch);
    tti_arg_mem(&k, j->f);
    tti_arg_mem(&k, j->g);
    tti_arg_mem(&k, j->o->state);
    tti_arg_u32(&k, (uint32_t)j->at);
    tti_arg_i32(&k, (int)j->cols);
    tti_arg_u32(&k, (uint32_t)j->first);
    return tti_run_groups(&k, 1);
}

static tt_status update(const job *j) {
    if (j->vector) {
        TT_TRY(average_vector(j));
    } else {
        TT_TRY(average_rows(j));
        TT_TRY(average_columns(j));
        TT_TRY(find_clip(j));
    }
    tti_launch k = kernel(j, "adafactor_apply");
    tti_arg_mem(&k, j->p);
    tti_arg_mem(&k, j->g);
    tti_arg_mem(&k, j->f);
    tti_arg_mem(&k, j->o->scratch);
    tti_arg_mem(&k, ids_of(j));
    tti_arg_mem(&k, j->last ? j->last : j->o->state);
    tti_arg_mem(&k, j->o->state);
    tti_arg_u32(&k, (uint32_t)j->at);
    tti_arg_i32(&k, j->vector ? 0 : (int)j->rows);
    tti_arg_i32(&k, (int)j->cols);
    tti_arg_u32(&k, (uint32_t)j->first);
    tti_arg_u32(&k, (uint32_t)j->arena);
    tti_arg_i32(&k, j->decay);
    return tti_run_groups(&k, j->given);
}

static tt_status update_arena(tti_optimizer *o, size_t i) {
    const tti_optimizer_arena *a = &o->arenas[i];
    job j = {.o = o,
             .p = a->p,
             .g = a->g,
             .f = o->part[i].piece[0][0],
             .type = a->type,
             .gtype = a->gtype,
             .arena = i};
    for (size_t n = 0; n < tti_opt_nmatrices(a); n++) {
        const tti_matrix m = tti_opt_matrix(a, n);
        j.first = m.first;
        j.vector = is_vector(m);
        j.rows = j.vector ? 1 : m.rows;
        j.cols = j.vector ? m.rows * m.cols : m.cols;
        j.given = j.rows;
        j.decay = m.first < a->decay_count;
        TT_TRY(update(&j));
        j.at += floats_of(m);
    }
    return TT_OK;
}

static tt_status update_rows(tti_optimizer *o, size_t i, size_t slots) {
    const tti_optimizer_sparse *s = &o->sparse[i];
    const tti_opt_part *p = &o->part[o->narenas + i];
    const job j = {.o = o,
                   .p = s->p,
                   .g = s->g,
                   .f = p->piece[0][0],
                   .rows = s->rows,
                   .cols = s->cols,
                   .given = slots,
                   .last = p->last,
                   .decay = s->decay};
    return update(&j);
}

/* Between its gradients a row only decays: as with SGD without momentum. */
static tt_status catch_up(tti_optimizer *o, size_t i, bool ids, size_t n, uint32_t to) {
    const tti_optimizer_sparse *s = &o->sparse[i];
    char more[64];
    snprintf(more, sizeof more, "-DEVERY=%d -DDECAY=%d -DMOMENTS=0", !ids, s->decay);
    tti_launch k = tti_opt_kernel(o, "optimizer_sgd", "opt_catch_up", TTI_F32, TTI_F32, more);
    tti_arg_mem(&k, s->p);
    tti_arg_mem(&k, o->state);
    tti_arg_mem(&k, o->state);
    tti_arg_mem(&k, o->part[o->narenas + i].last);
    tti_arg_mem(&k, o->ids);
    tti_arg_mem(&k, o->state);
    tti_arg_mem(&k, o->ring);
    tti_arg_i32(&k, (int)s->cols);
    tti_arg_i32(&k, (int)to);
    return tti_run_groups(&k, n);
}

const tti_opt_kind tti_opt_adafactor = {
    .name = "adafactor",
    .matrices = true,
    .arena_tensors = arena_tensors,
    .sparse_tensors = sparse_tensors,
    .scratch = scratch,
    .prepare = prepare,
    .constants = constants,
    .coefficients = coefficients,
    .update_arena = update_arena,
    .update_rows = update_rows,
    .catch_up = catch_up,
};
