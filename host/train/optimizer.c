// SPDX-License-Identifier: Apache-2.0
/* optimizer.c - AdamW's buffers and launches; kernels cl/optimizer.cl. */
#include "host/train/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    STEPS = 4096, /* steps whose coefficients are at hand for rows that lag behind */
    CHUNK = 16384,
    STATE = 8, /* floats: clip, norm, finite, -, then the constants */
};

/* Moments and, for a sparse parameter, where each row stands. */
typedef struct {
    cl_mem m, v, last;
    size_t count;      /* floats of m and of v */
    size_t first_part; /* of its gradient's sums of squares */
} part;

struct tti_optimizer {
    tti_device *d;
    tti_optimizer_opts o;
    tti_optimizer_arena *arenas;
    tti_optimizer_sparse *sparse;
    size_t narenas, nsparse, parts; /* parts: sums of squares */
    part *part;                     /* arenas, then sparse */
    cl_mem state, ring, sums, ids, slot_ids;
    uint32_t begun, updated, flushed;
    double beta1, beta2, weight_decay;
};

tti_optimizer_opts tti_optimizer_defaults(void) {
    return (tti_optimizer_opts){
        .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f, .weight_decay = 0.01f, .max_grad_norm = 1.0f};
}

static size_t chunks(size_t count) { return (count + CHUNK - 1) / CHUNK; }

/* Most slots of any sparse parameter: what one step's list of them may hold. */
static size_t most_slots(const tti_optimizer_sparse *sparse, size_t n) {
    size_t most = 1;
    for (size_t i = 0; i < n; i++) most = TT_MAX(most, sparse[i].slots);
    return most;
}

static size_t sums_of(const tti_optimizer_arena *arenas, size_t narenas,
                      const tti_optimizer_sparse *sparse, size_t nsparse) {
    size_t n = 0;
    for (size_t i = 0; i < narenas; i++) n += chunks(arenas[i].count);
    for (size_t i = 0; i < nsparse; i++) n += chunks(sparse[i].slots * sparse[i].cols);
    return TT_MAX(n, 1);
}

size_t tti_optimizer_bytes(const tti_optimizer_opts *o, const tti_optimizer_arena *arenas,
                           size_t narenas, const tti_optimizer_sparse *sparse, size_t nsparse) {
    size_t words = STATE + 4 * STEPS + sums_of(arenas, narenas, sparse, nsparse);
    for (size_t i = 0; i < narenas; i++) words += 2 * arenas[i].count;
    for (size_t i = 0; i < nsparse; i++)
        words += 2 * sparse[i].rows * sparse[i].cols + sparse[i].rows;
    if (nsparse) words += TT_MAX(o->max_ids, 1) + most_slots(sparse, nsparse);
    return words * 4;
}

static tt_status check_opts(const tti_optimizer_opts *o) {
    if (!(o->beta1 >= 0 && o->beta1 < 1))
        return tti_fail(TT_E_ARG, "beta1: %g, must be in [0,1)", (double)o->beta1);
    if (!(o->beta2 >= 0 && o->beta2 < 1))
        return tti_fail(TT_E_ARG, "beta2: %g, must be in [0,1)", (double)o->beta2);
    if (!(o->eps > 0 && isfinite(o->eps)))
        return tti_fail(TT_E_ARG, "eps: %g, must be above 0", (double)o->eps);
    if (!(o->weight_decay >= 0 && isfinite(o->weight_decay)))
        return tti_fail(TT_E_ARG, "weight_decay: %g, must be 0 or more", (double)o->weight_decay);
    if (!(o->max_grad_norm >= 0))
        return tti_fail(TT_E_ARG, "max_grad_norm: %g, must be 0 or more", (double)o->max_grad_norm);
    return TT_OK;
}

static tt_status new_words(tti_optimizer *o, cl_mem *out, size_t words) {
    return tti_mem_new(out, o->d, words * 4, TTI_MEM_OPTIMIZER, true);
}

static tt_status make_parts(tti_optimizer *o) {
    size_t first = 0;
    for (size_t i = 0; i < o->narenas + o->nsparse; i++) {
        part *p = &o->part[i];
        p->first_part = first;
        if (i < o->narenas) {
            const tti_optimizer_arena *a = &o->arenas[i];
            if (a->count > UINT32_MAX || (a->decay_count % 16 && a->decay_count != a->count))
                return tti_fail(TT_E_ARG, "optimizer: an arena of %zu floats, %zu with decay",
                                a->count, a->decay_count);
            p->count = a->count;
            first += chunks(a->count);
        } else {
            const tti_optimizer_sparse *s = &o->sparse[i - o->narenas];
            if (s->slots * s->cols > UINT32_MAX || s->rows > INT32_MAX)
                return tti_fail(TT_E_ARG, "optimizer: a table of %zu x %zu, %zu slots", s->rows,
                                s->cols, s->slots);
            p->count = s->rows * s->cols;
            first += chunks(s->slots * s->cols);
            TT_TRY(new_words(o, &p->last, s->rows));
        }
        if (p->count == 0) return tti_fail(TT_E_ARG, "optimizer: part %zu is empty", i);
        TT_TRY(new_words(o, &p->m, p->count));
        TT_TRY(new_words(o, &p->v, p->count));
    }
    o->parts = first;
    return TT_OK;
}

/* The number that was written in decimal: 0.999f as 0.999, of which 1 - beta2 keeps its digits. */
static double decimal(float x) {
    char text[32];
    snprintf(text, sizeof text, "%.7g", (double)x);
    return strtod(text, NULL);
}

static tt_status fill(tti_optimizer *o) {
    TT_TRY(make_parts(o));
    TT_TRY(new_words(o, &o->state, STATE));
    TT_TRY(new_words(o, &o->ring, 4 * STEPS));
    TT_TRY(new_words(o, &o->sums, TT_MAX(o->parts, 1)));
    if (o->nsparse) {
        TT_TRY(new_words(o, &o->ids, TT_MAX(o->o.max_ids, 1)));
        TT_TRY(new_words(o, &o->slot_ids, most_slots(o->sparse, o->nsparse)));
    }
    const float state[STATE] = {[0] = 1.0f,
                                [2] = 1.0f,
                                [4] = (float)(1.0 - o->beta1),
                                (float)o->beta2,
                                (float)(1.0 - o->beta2),
                                o->o.eps};
    return tti_mem_write(o->d, o->state, 0, state, sizeof state);
}

tt_status tti_optimizer_new(tti_optimizer **out, tti_device *d, const tti_optimizer_opts *opts,
                            const tti_optimizer_arena *arenas, size_t narenas,
                            const tti_optimizer_sparse *sparse, size_t nsparse) {
    TT_TRY(check_opts(opts));
    tti_optimizer *o = tti_calloc(1, sizeof *o);
    if (!o) return TT_E_NOMEM;
    tt_status s = TT_E_NOMEM;
    *o = (tti_optimizer){.d = d, .o = *opts, .narenas = narenas, .nsparse = nsparse};
    o->beta1 = decimal(opts->beta1);
    o->beta2 = decimal(opts->beta2);
    o->weight_decay = decimal(opts->weight_decay);
    o->arenas = tti_calloc(narenas + 1, sizeof *o->arenas);
    o->sparse = tti_calloc(nsparse + 1, sizeof *o->sparse);
    o->part = tti_calloc(narenas + nsparse + 1, sizeof *o->part);
    if (!o->arenas || !o->sparse || !o->part) goto done;
    if (narenas) memcpy(o->arenas, arenas, narenas * sizeof *arenas);
    if (nsparse) memcpy(o->sparse, sparse, nsparse * sizeof *sparse);
    TT_GO(fill(o));
    *out = o;
    return TT_OK;
done:
    tti_optimizer_free(o);
    return s;
}

void tti_optimizer_free(tti_optimizer *o) {
    if (!o) return;
    for (size_t i = 0; o->part && i < o->narenas + o->nsparse; i++) {
        tti_mem_free(o->d, o->part[i].m);
        tti_mem_free(o->d, o->part[i].v);
        tti_mem_free(o->d, o->part[i].last);
    }
    tti_mem_free(o->d, o->state);
    tti_mem_free(o->d, o->ring);
    tti_mem_free(o->d, o->sums);
    tti_mem_free(o->d, o->ids);
    tti_mem_free(o->d, o->slot_ids);
    tti_free(o->arenas);
    tti_free(o->sparse);
    tti_free(o->part);
    tti_free(o);
}

/* every, decay: the defines of the kernels on tables; the others take what tables mostly do. */
static tti_launch kernel(const tti_optimizer *o, const char *name, bool every, bool decay) {
    const tti_caps *c = tti_device_caps(o->d);
    char defines[128];
    snprintf(defines, sizeof defines, "-DWG=%d -DVW=%d -DCHUNK=%d -DSTEPS=%d -DEVERY=%d -DDECAY=%d",
             c->wg, c->vw, CHUNK, STEPS, every, decay);
    return tti_kernel(o->d, "optimizer", name, defines);
}

/* n rows of sparse parameter i, those of o->ids; or, with ids false, all rows. */
static tt_status catch_up(tti_optimizer *o, size_t i, bool ids, size_t n, uint32_t to) {
    const tti_optimizer_sparse *s = &o->sparse[i];
    const part *p = &o->part[o->narenas + i];
    tti_launch k = kernel(o, "catch_up", !ids, s->decay);
    tti_arg_mem(&k, s->p);
    tti_arg_mem(&k, p->m);
    tti_arg_mem(&k, p->v);
    tti_arg_mem(&k, p->last);
    tti_arg_mem(&k, o->ids);
    tti_arg_mem(&k, o->state);
    tti_arg_mem(&k, o->ring);
    tti_arg_i32(&k, (int)s->cols);
    tti_arg_i32(&k, (int)to);
    return tti_run_groups(&k, n);
}

tt_status tti_optimizer_flush(tti_optimizer *o) {
    if (o->flushed == o->updated) return TT_OK;
    for (size_t i = 0; i < o->nsparse; i++)
        TT_TRY(catch_up(o, i, false, o->sparse[i].rows, o->updated));
    o->flushed = o->updated;
    return TT_OK;
}

tt_status tti_optimizer_begin(tti_optimizer *o, uint32_t step, float lr, const int32_t *ids,
                              size_t n) {
    if (step != o->updated + 1 || step > INT32_MAX)
        return tti_fail(TT_E_INTERNAL, "optimizer: step %u begun after step %u", step, o->updated);
    if (!isfinite(lr) || lr < 0)
        return tti_fail(TT_E_NUMERIC, "learning rate: %g at step %u", (double)lr, step);
    if (o->nsparse && n > TT_MAX(o->o.max_ids, 1))
        return tti_fail(TT_E_SHAPE, "optimizer: %zu rows in a step, planned for %zu", n,
                        o->o.max_ids);
    /* The oldest step that a row may still need must not be overwritten. */
    if (step - o->flushed >= STEPS) TT_TRY(tti_optimizer_flush(o));
    const double rate = lr / (1.0 - pow(o->beta1, step));
    const float s[4] = {(float)(1.0 - (double)lr * o->weight_decay), (float)rate,
                        (float)(1.0 / sqrt(1.0 - pow(o->beta2, step))), 1.0f};
    TT_TRY(tti_mem_write(o->d, o->ring, step % STEPS * sizeof s, s, sizeof s));
    o->begun = step;
    if (!o->nsparse || !n) return TT_OK;
    TT_TRY(tti_mem_write(o->d, o->ids, 0, ids, n * sizeof *ids));
    for (size_t i = 0; i < o->nsparse; i++) TT_TRY(catch_up(o, i, true, n, step - 1));
    return TT_OK;
}

static tt_status sum_of_squares(tti_optimizer *o, cl_mem g, size_t count, size_t first_part) {
    tti_launch k = kernel(o, "sumsq", false, true);
    tti_arg_mem(&k, o->sums);
    tti_arg_mem(&k, g);
    tti_arg_u32(&k, (uint32_t)count);
    tti_arg_u32(&k, (uint32_t)first_part);
    return tti_run_groups(&k, chunks(count));
}

static tt_status find_norm(tti_optimizer *o, size_t slots, cl_mem loss) {
    size_t parts = 0;
    for (size_t i = 0; i < o->narenas; i++) {
        TT_TRY(sum_of_squares(o, o->arenas[i].g, o->arenas[i].count, parts));
        parts += chunks(o->arenas[i].count);
    }
    for (size_t i = 0; i < o->nsparse; i++) {
        const size_t count = TT_MIN(slots, o->sparse[i].slots) * o->sparse[i].cols;
        TT_TRY(sum_of_squares(o, o->sparse[i].g, count, parts));
        parts += chunks(count);
    }
    tti_launch k = kernel(o, "norm", false, true);
    tti_arg_mem(&k, o->state);
    tti_arg_mem(&k, o->ring);
    tti_arg_mem(&k, o->sums);
    tti_arg_i32(&k, (int)parts);
    tti_arg_i32(&k, (int)(o->begun % STEPS));
    tti_arg_f32(&k, o->o.max_grad_norm);
    tti_arg_mem(&k, loss ? loss : o->state);
    tti_arg_i32(&k, loss != NULL);
    return tti_run_groups(&k, 1);
}

static tt_status update_arena(tti_optimizer *o, size_t i) {
    const tti_optimizer_arena *a = &o->arenas[i];
    tti_launch k = kernel(o, "adamw", false, true);
    tti_arg_mem(&k, a->p);
    tti_arg_mem(&k, a->g);
    tti_arg_mem(&k, o->part[i].m);
    tti_arg_mem(&k, o->part[i].v);
    tti_arg_mem(&k, o->state);
    tti_arg_mem(&k, o->ring);
    tti_arg_i32(&k, (int)(o->begun % STEPS));
    tti_arg_u32(&k, (uint32_t)a->count);
    tti_arg_u32(&k, (uint32_t)a->decay_count);
    return tti_run_groups(&k, chunks(a->count));
}

static tt_status update_rows(tti_optimizer *o, size_t i, size_t slots) {
    const tti_optimizer_sparse *s = &o->sparse[i];
    const part *p = &o->part[o->narenas + i];
    tti_launch k = kernel(o, "adamw_rows", false, s->decay);
    tti_arg_mem(&k, s->p);
    tti_arg_mem(&k, s->g);
    tti_arg_mem(&k, p->m);
    tti_arg_mem(&k, p->v);
    tti_arg_mem(&k, o->state);
    tti_arg_mem(&k, o->ring);
    tti_arg_mem(&k, o->slot_ids);
    tti_arg_mem(&k, p->last);
    tti_arg_i32(&k, (int)s->cols);
    tti_arg_i32(&k, (int)o->begun);
    return tti_run_groups(&k, slots);
}

tt_status tti_optimizer_update(tti_optimizer *o, const int32_t *slot_ids, size_t slots,
                               cl_mem loss) {
    if (o->begun != o->updated + 1)
        return tti_fail(TT_E_INTERNAL, "optimizer: an update without a begin after step %u",
                        o->updated);
    for (size_t i = 0; i < o->nsparse; i++)
        if (slots > o->sparse[i].slots)
            return tti_fail(TT_E_SHAPE, "optimizer: %zu rows with gradient, planned for %zu", slots,
                            o->sparse[i].slots);
    if (o->nsparse && slots)
        TT_TRY(tti_mem_write(o->d, o->slot_ids, 0, slot_ids, slots * sizeof *slot_ids));
    TT_TRY(find_norm(o, slots, loss));
    for (size_t i = 0; i < o->narenas; i++) TT_TRY(update_arena(o, i));
    for (size_t i = 0; i < o->nsparse; i++) TT_TRY(update_rows(o, i, slots));
    o->updated = o->begun;
    return TT_OK;
}

tt_status tti_optimizer_stats(tti_optimizer *o, float *norm, bool *finite) {
    float state[STATE];
    TT_TRY(tti_mem_read(o->d, o->state, 0, state, sizeof state));
    *norm = state[1];
    *finite = state[2] != 0.0f;
    return TT_OK;
}

tt_status tti_optimizer_skipped(tti_optimizer *o, uint32_t from, uint32_t to, uint32_t *step) {
    float(*ring)[4] = tti_malloc(STEPS * sizeof *ring);
    if (!ring) return TT_E_NOMEM;
    tt_status s = tti_mem_read(o->d, o->ring, 0, ring, STEPS * sizeof *ring);
    if (to - from >= STEPS) from = to - STEPS + 1;
    *step = 0;
    for (uint32_t i = from; i <= to && *step == 0; i++)
        if (ring[i % STEPS][3] == 0.0f) *step = i;
    tti_free(ring);
    return s;
}

static tt_status moment(cl_mem *out, const tti_optimizer *o, tti_moment which, size_t i,
                        size_t offset, size_t count) {
    if (i >= o->narenas + o->nsparse || offset > o->part[i].count ||
        count > o->part[i].count - offset)
        return tti_fail(TT_E_INTERNAL, "optimizer: no %zu floats at %zu of part %zu", count, offset,
                        i);
    *out = which == TTI_MOMENT_1 ? o->part[i].m : o->part[i].v;
    return TT_OK;
}

tt_status tti_optimizer_read(tti_optimizer *o, tti_moment which, size_t i, size_t offset,
                             float *dst, size_t count) {
    cl_mem m = NULL;
    TT_TRY(moment(&m, o, which, i, offset, count));
    return tti_mem_read(o->d, m, offset * sizeof *dst, dst, count * sizeof *dst);
}

tt_status tti_optimizer_write(tti_optimizer *o, tti_moment which, size_t i, size_t offset,
                              const float *src, size_t count) {
    cl_mem m = NULL;
    TT_TRY(moment(&m, o, which, i, offset, count));
    return tti_mem_write(o->d, m, offset * sizeof *src, src, count * sizeof *src);
}

tt_status tti_optimizer_resume(tti_optimizer *o, uint32_t step) {
    if (step > INT32_MAX) return tti_fail(TT_E_ARG, "optimizer: resumed at step %u", step);
    for (size_t i = 0; i < o->nsparse; i++) {
        const size_t rows = o->sparse[i].rows;
        int32_t *last = tti_malloc(rows * sizeof *last);
        if (!last) return TT_E_NOMEM;
        for (size_t r = 0; r < rows; r++) last[r] = (int32_t)step;
        tt_status s =
            tti_mem_write(o->d, o->part[o->narenas + i].last, 0, last, rows * sizeof *last);
        tti_free(last);
        TT_TRY(s);
    }
    o->begun = o->updated = o->flushed = step;
    return TT_OK;
}
