// SPDX-License-Identifier: Apache-2.0
/* optimizer_moments.c - AdamW, SGD and Lion, whose state is none, one or two floats for each
 * element; kernels cl/optimizer_moments.clh with the formula of cl/optimizer{,_sgd,_lion}.cl. */
#include "host/train/optimizer_internal.h"

#include <math.h>

static size_t floats(tti_opt_tensor *t, size_t n, size_t count) {
    for (size_t k = 0; k < n; k++) t[k] = (tti_opt_tensor){"mv"[k], sizeof(float), count};
    return n;
}

/* ---- launches ---- */

/* What stands in for a moment that is not kept: never touched. */
static cl_mem tensor(const tti_optimizer *o, const tti_opt_part *p, size_t k, size_t piece) {
    return p->ntensors > k ? p->piece[k][piece] : o->state;
}

static const char *moments(const tti_optimizer *o) {
    return o->o.kind == TTI_OPT_SGD && o->o.beta1 == 0 ? "-DMOMENTS=0" : "";
}

static tt_status update_piece(tti_optimizer *o, size_t i, size_t piece, size_t first,
                              size_t count) {
    const tti_optimizer_arena *a = &o->arenas[i];
    const tti_opt_part *p = &o->part[i];
    tti_launch k = tti_opt_kernel(o, o->kind->file, "opt_update", a->type, a->gtype, moments(o));
    tti_arg_mem(&k, a->p);
    tti_arg_mem(&k, a->g);
    tti_arg_mem(&k, tensor(o, p, 0, piece));
    tti_arg_mem(&k, tensor(o, p, 1, piece));
    tti_arg_mem(&k, o->state);
    tti_arg_u32(&k, (uint32_t)first);
    tti_arg_u32(&k, (uint32_t)count);
    tti_arg_u32(&k, (uint32_t)a->decay_count);
    tti_arg_u32(&k, (uint32_t)i);
    return tti_run_groups(&k, tti_opt_chunks(count));
}

static tt_status update_arena(tti_optimizer *o, size_t i) {
    const size_t count = o->arenas[i].count, per = o->part[i].ntensors ? o->part[i].per[0] : count;
    for (size_t first = 0; first < count; first += per)
        TT_TRY(update_piece(o, i, first / per, first, TT_MIN(per, count - first)));
    return TT_OK;
}

/* every, decay: as cl/optimizer_moments.clh says. */
static tti_launch over_table(const tti_optimizer *o, const char *name, bool every, bool decay) {
    char more[64];
    snprintf(more, sizeof more, "-DEVERY=%d -DDECAY=%d %s", every, decay, moments(o));
    return tti_opt_kernel(o, o->kind->file, name, TTI_F32, TTI_F32, more);
}

tt_status tti_opt_update_rows(tti_optimizer *o, size_t i, size_t slots) {
    const tti_optimizer_sparse *s = &o->sparse[i];
    const tti_opt_part *p = &o->part[o->narenas + i];
    tti_launch k = over_table(o, "opt_update_rows", false, s->decay);
    tti_arg_mem(&k, s->p);
    tti_arg_mem(&k, s->g);
    tti_arg_mem(&k, tensor(o, p, 0, 0));
    tti_arg_mem(&k, tensor(o, p, 1, 0));
    tti_arg_mem(&k, o->state);
    tti_arg_mem(&k, o->slot_ids);
    tti_arg_mem(&k, p->last);
    tti_arg_i32(&k, (int)s->cols);
    return tti_run_groups(&k, slots);
}

tt_status tti_opt_catch_up(tti_optimizer *o, size_t i, bool ids, size_t n, uint32_t to) {
    const tti_optimizer_sparse *s = &o->sparse[i];
    const tti_opt_part *p = &o->part[o->narenas + i];
    tti_launch k = over_table(o, "opt_catch_up", !ids, s->decay);
    tti_arg_mem(&k, s->p);
    tti_arg_mem(&k, tensor(o, p, 0, 0));
    tti_arg_mem(&k, tensor(o, p, 1, 0));
    tti_arg_mem(&k, p->last);
    tti_arg_mem(&k, o->ids);
    tti_arg_mem(&k, o->state);
    tti_arg_mem(&k, o->ring);
    tti_arg_i32(&k, (int)s->cols);
    tti_arg_i32(&k, (int)to);
    return tti_run_groups(&k, n);
}

/* ---- AdamW ---- */

static size_t arena_two(const tti_optimizer_opts *o, const tti_optimizer_arena *a,
                        tti_opt_tensor t[TTI_OPT_TENSORS]) {
    (void)o;
    return floats(t, 2, a->count);
}

size_t tti_opt_sparse_two(const tti_optimizer_opts *o, const tti_optimizer_sparse *s,
                          tti_opt_tensor t[TTI_OPT_TENSORS]) {
    (void)o;
    return floats(t, 2, s->rows * s->cols);
}

void tti_opt_adamw_constants(const tti_optimizer *o, float h[4]) {
    h[0] = (float)(1.0 - o->beta1);
    h[1] = (float)o->beta2;
    h[2] = (float)(1.0 - o->beta2);
    h[3] = o->o.eps;
}

void tti_opt_adamw_coefficients(const tti_optimizer *o, uint32_t step, double lr, float s[3]) {
    s[1] = (float)(lr / (1.0 - pow(o->beta1, step)));
    s[2] = (float)(1.0 / sqrt(1.0 - pow(o->beta2, step)));
}

const tti_opt_kind tti_opt_adamw = {
    .name = "adamw",
    .file = "optimizer",
    .beta1 = true,
    .beta2 = true,
    .eps = true,
    .arena_tensors = arena_two,
    .sparse_tensors = tti_opt_sparse_two,
    .constants = tti_opt_adamw_constants,
    .coefficients = tti_opt_adamw_coefficients,
    .update_arena = update_arena,
    .update_rows = tti_opt_update_rows,
    .catch_up = tti_opt_catch_up,
};

/* ---- SGD and Lion ---- */

static size_t arena_sgd(const tti_optimizer_opts *o, const tti_optimizer_arena *a,
                        tti_opt_tensor t[TTI_OPT_TENSORS]) {
    return floats(t, o->beta1 != 0, a->count);
}

static size_t sparse_sgd(const tti_optimizer_opts *o, const tti_optimizer_sparse *s,
                         tti_opt_tensor t[TTI_OPT_TENSORS]) {
    return floats(t, o->beta1 != 0, s->rows * s->cols);
}

static size_t arena_one(const tti_optimizer_opts *o, const tti_optimizer_arena *a,
                        tti_opt_tensor t[TTI_OPT_TENSORS]) {
    (void)o;
    return floats(t, 1, a->count);
}

static size_t sparse_one(const tti_optimizer_opts *o, const tti_optimizer_sparse *s,
                         tti_opt_tensor t[TTI_OPT_TENSORS]) {
    (void)o;
    return floats(t, 1, s->rows * s->cols);
}

static void sgd_constants(const tti_optimizer *o, float h[4]) { h[0] = (float)o->beta1; }

static void lion_constants(const tti_optimizer *o, float h[4]) {
    h[0] = (float)o->beta1;
    h[1] = (float)(1.0 - o->beta1);
    h[2] = (float)o->beta2;
    h[3] = (float)(1.0 - o->beta2);
}

static void rate_alone(const tti_optimizer *o, uint32_t step, double lr, float s[3]) {
    (void)o;
    (void)step;
    s[1] = (float)lr;
}

const tti_opt_kind tti_opt_sgd = {
    .name = "sgd",
    .file = "optimizer_sgd",
    .beta1 = true,
    .arena_tensors = arena_sgd,
    .sparse_tensors = sparse_sgd,
    .constants = sgd_constants,
    .coefficients = rate_alone,
    .update_arena = update_arena,
    .update_rows = tti_opt_update_rows,
    .catch_up = tti_opt_catch_up,
};

const tti_opt_kind tti_opt_lion = {
    .name = "lion",
    .file = "optimizer_lion",
    .beta1 = true,
    .beta2 = true,
    .arena_tensors = arena_one,
    .sparse_tensors = sparse_one,
    .constants = lion_constants,
    .coefficients = rate_alone,
    .update_arena = update_arena,
    .update_rows = tti_opt_update_rows,
    .catch_up = tti_opt_catch_up,
};
