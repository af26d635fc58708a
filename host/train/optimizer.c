// SPDX-License-Identifier: Apache-2.0
/* optimizer.c - what the kinds of optimizers share: options, sizes, buffers. */
#include "host/train/optimizer_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float first_scale = 0x1p16f; /* of the loss */

static const tti_opt_kind *const kinds[TTI_OPT_KINDS] = {
    [TTI_OPT_ADAMW] = &tti_opt_adamw, [TTI_OPT_ADAMW8] = &tti_opt_adamw8,
    [TTI_OPT_SGD] = &tti_opt_sgd,     [TTI_OPT_ADAFACTOR] = &tti_opt_adafactor,
    [TTI_OPT_LION] = &tti_opt_lion,
};

const tti_opt_kind *tti_opt_kind_at(tti_optimizer_kind k) { return kinds[k]; }

const char *tti_optimizer_name(tti_optimizer_kind k) {
    return k < TTI_OPT_KINDS ? kinds[k]->name : "unknown";
}

bool tti_optimizer_parse(const char *name, tti_optimizer_kind *out) {
    for (int k = 0; k < TTI_OPT_KINDS; k++)
        if (!strcmp(name, kinds[k]->name)) {
            *out = (tti_optimizer_kind)k;
            return true;
        }
    return false;
}

tti_optimizer_opts tti_optimizer_defaults(void) {
    return (tti_optimizer_opts){
        .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f, .weight_decay = 0.01f, .max_grad_norm = 1.0f};
}

/* ---- sizes ---- */

size_t tti_opt_nmatrices(const tti_optimizer_arena *a) { return TT_MAX(a->nmatrices, 1); }

tti_matrix tti_opt_matrix(const tti_optimizer_arena *a, size_t i) {
    return a->nmatrices ? a->matrices[i] : (tti_matrix){0, 1, a->count};
}

/* Most slots of any sparse parameter: what one step's list of them may hold. */
static size_t most_slots(const tti_optimizer_sparse *sparse, size_t n) {
    size_t most = 1;
    for (size_t i = 0; i < n; i++) most = TT_MAX(most, sparse[i].slots);
    return most;
}

static size_t sums_of(const tti_optimizer_arena *arenas, size_t narenas,
                      const tti_optimizer_sparse *sparse, size_t nsparse) {
    size_t n = 0;
    for (size_t i = 0; i < narenas; i++) n += tti_opt_chunks(arenas[i].count);
    for (size_t i = 0; i < nsparse; i++) n += tti_opt_chunks(sparse[i].slots * sparse[i].cols);
    return TT_MAX(n, 1);
}

static size_t tensor_bytes(const tti_opt_tensor *t, size_t n) {
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) bytes += t[i].count * t[i].elem;
    return bytes;
}

size_t tti_optimizer_bytes(const tti_optimizer_opts *o, const tti_optimizer_arena *arenas,
                           size_t narenas, const tti_optimizer_sparse *sparse, size_t nsparse) {
    const tti_opt_kind *k = kinds[o->kind];
    tti_opt_tensor t[TTI_OPT_TENSORS];
    size_t words = TTI_OPT_STATE + 4 * TTI_OPT_STEPS + sums_of(arenas, narenas, sparse, nsparse);
    size_t bytes = 0;
    if (k->scratch) words += k->scratch(arenas, narenas, sparse, nsparse);
    for (size_t i = 0; i < narenas; i++)
        bytes += tensor_bytes(t, k->arena_tensors(o, &arenas[i], t));
    for (size_t i = 0; i < nsparse; i++) {
        bytes += tensor_bytes(t, k->sparse_tensors(o, &sparse[i], t));
        words += sparse[i].rows;
    }
    if (nsparse) words += TT_MAX(o->max_ids, 1) + most_slots(sparse, nsparse);
    return bytes + words * 4;
}

/* ---- making ---- */

static tt_status check_opts(const tti_optimizer_opts *o) {
    if (o->kind >= TTI_OPT_KINDS)
        return tti_fail(TT_E_ARG, "optimizer: there is no kind %d", (int)o->kind);
    const tti_opt_kind *k = kinds[o->kind];
    if (k->beta1 && !(o->beta1 >= 0 && o->beta1 < 1))
        return tti_fail(TT_E_ARG, "%s: beta1: %g, must be in [0,1)", k->name, (double)o->beta1);
    if (k->beta2 && !(o->beta2 >= 0 && o->beta2 < 1))
        return tti_fail(TT_E_ARG, "%s: beta2: %g, must be in [0,1)", k->name, (double)o->beta2);
    if (k->eps && !(o->eps > 0 && isfinite(o->eps)))
        return tti_fail(TT_E_ARG, "%s: eps: %g, must be above 0", k->name, (double)o->eps);
    if (!(o->weight_decay >= 0 && isfinite(o->weight_decay)))
        return tti_fail(TT_E_ARG, "%s: weight_decay: %g, must be 0 or more", k->name,
                        (double)o->weight_decay);
    if (!(o->max_grad_norm >= 0))
        return tti_fail(TT_E_ARG, "%s: max_grad_norm: %g, must be 0 or more", k->name,
                        (double)o->max_grad_norm);
    return TT_OK;
}

static bool is_plain(tti_dtype t) { return t == TTI_F32 || t == TTI_F16 || t == TTI_BF16; }

static tt_status check_arena(const tti_opt_kind *k, const tti_optimizer_arena *a) {
    if (a->count == 0 || a->count > UINT32_MAX ||
        (a->decay_count % 16 && a->decay_count != a->count))
        return tti_fail(TT_E_ARG, "optimizer: an arena of %zu elements, %zu with decay", a->count,
                        a->decay_count);
    if (!is_plain(a->type) || !is_plain(a->gtype))
        return tti_fail(TT_E_ARG, "optimizer: parameters in %s, gradients in %s",
                        tti_dtype_name(a->type), tti_dtype_name(a->gtype));
    if (k->matrices && !a->nmatrices)
        return tti_fail(TT_E_ARG, "%s: an arena without a list of matrices", k->name);
    size_t end = 0;
    for (size_t i = 0; i < a->nmatrices; i++) {
        const tti_matrix *m = &a->matrices[i];
        const size_t n = m->rows * m->cols;
        if (n == 0 || m->first < end || n > a->count || m->first > a->count - n ||
            m->rows > INT32_MAX || m->cols > INT32_MAX ||
            (m->first < a->decay_count && m->first + n > a->decay_count))
            return tti_fail(TT_E_ARG,
                            "optimizer: matrix %zu of %zu x %zu at %zu in an arena of %zu", i,
                            m->rows, m->cols, m->first, a->count);
        end = m->first + n;
    }
    return TT_OK;
}

static tt_status check_sparse(const tti_optimizer_sparse *s) {
    if (s->rows * s->cols == 0 || s->slots * s->cols > UINT32_MAX || s->rows > INT32_MAX ||
        s->cols > INT32_MAX)
        return tti_fail(TT_E_ARG, "optimizer: a table of %zu x %zu, %zu slots", s->rows, s->cols,
                        s->slots);
    return TT_OK;
}

static tt_status new_words(tti_optimizer *o, cl_mem *out, size_t words) {
    return tti_mem_new(out, o->d, words * 4, TTI_MEM_OPTIMIZER, true);
}

/* Pieces end at multiples of CHUNK, so that a launch over one cuts as the arena's would. */
static tt_status make_tensor(tti_optimizer *o, tti_opt_part *p, size_t k) {
    const tti_opt_tensor *t = &p->tensor[k];
    const size_t most = tti_device_caps(o->d)->max_alloc / t->elem;
    p->per[k] = t->count <= most ? t->count : most / TTI_OPT_CHUNK * TTI_OPT_CHUNK;
    if (p->per[k] == 0)
        return tti_fail(TT_E_MEMORY,
                        "optimizer: the device allows %zu bytes in one buffer, %d are "
                        "the least",
                        most * t->elem, TTI_OPT_CHUNK * 4);
    const size_t n = (t->count + p->per[k] - 1) / p->per[k];
    if (!(p->piece[k] = tti_calloc(n, sizeof *p->piece[k]))) return TT_E_NOMEM;
    p->npieces[k] = n;
    for (size_t i = 0; i < n; i++) {
        const size_t count = TT_MIN(p->per[k], t->count - i * p->per[k]);
        TT_TRY(tti_mem_new(&p->piece[k][i], o->d, count * t->elem, TTI_MEM_OPTIMIZER, true));
    }
    return TT_OK;
}

static tt_status make_parts(tti_optimizer *o) {
    for (size_t i = 0; i < o->narenas + o->nsparse; i++) {
        tti_opt_part *p = &o->part[i];
        if (i < o->narenas) {
            const tti_optimizer_arena *a = &o->arenas[i];
            TT_TRY(check_arena(o->kind, a));
            p->ntensors = o->kind->arena_tensors(&o->o, a, p->tensor);
        } else {
            const tti_optimizer_sparse *s = &o->sparse[i - o->narenas];
            TT_TRY(check_sparse(s));
            p->ntensors = o->kind->sparse_tensors(&o->o, s, p->tensor);
            TT_TRY(new_words(o, &p->last, s->rows));
        }
        for (size_t k = 0; k < p->ntensors; k++) TT_TRY(make_tensor(o, p, k));
    }
    return TT_OK;
}

/* The number that was written in decimal: 0.999f as 0.999, of which 1 - beta2 keeps its digits. */
static double decimal(float x) {
    char text[32];
    snprintf(text, sizeof text, "%.7g", (double)x);
    return strtod(text, NULL);
}

static tt_status write_state(tti_optimizer *o) {
    float state[TTI_OPT_STATE] = {1, 0, 1, 1};
    o->kind->constants(o, state + 4);
    memcpy(state + 13, &o->o.seed, sizeof *state);
    return tti_mem_write(o->d, o->state, 0, state, sizeof state);
}

static tt_status fill(tti_optimizer *o) {
    TT_TRY(make_parts(o));
    o->sums_n = sums_of(o->arenas, o->narenas, o->sparse, o->nsparse);
    TT_TRY(new_words(o, &o->state, TTI_OPT_STATE));
    TT_TRY(new_words(o, &o->ring, 4 * TTI_OPT_STEPS));
    TT_TRY(new_words(o, &o->sums, o->sums_n));
    if (o->kind->scratch)
        TT_TRY(new_words(o, &o->scratch,
                         o->kind->scratch(o->arenas, o->narenas, o->sparse, o->nsparse)));
    if (o->nsparse) {
        TT_TRY(new_words(o, &o->ids, TT_MAX(o->o.max_ids, 1)));
        TT_TRY(new_words(o, &o->slot_ids, most_slots(o->sparse, o->nsparse)));
    }
    TT_TRY(write_state(o));
    if (o->kind->prepare) TT_TRY(o->kind->prepare(o));
    return tti_device_finish(o->d);
}

static tt_status copy_arenas(tti_optimizer *o, const tti_optimizer_arena *arenas) {
    for (size_t i = 0; i < o->narenas; i++) {
        o->arenas[i] = arenas[i];
        const size_t n = arenas[i].nmatrices;
        tti_matrix *m = tti_calloc(n + 1, sizeof *m);
        o->arenas[i].matrices = m;
        if (!m) return TT_E_NOMEM;
        if (n) memcpy(m, arenas[i].matrices, n * sizeof *m);
    }
    return TT_OK;
}

tt_status tti_optimizer_new(tti_optimizer **out, tti_device *d, const tti_optimizer_opts *opts,
                            const tti_optimizer_arena *arenas, size_t narenas,
                            const tti_optimizer_sparse *sparse, size_t nsparse) {
    TT_TRY(check_opts(opts));
    tt_status s = TT_E_NOMEM;
    tti_optimizer *o = tti_calloc(1, sizeof *o);
    if (!o) return s;
    *o = (tti_optimizer){
        .d = d, .kind = kinds[opts->kind], .o = *opts, .narenas = narenas, .nsparse = nsparse};
    o->scaling.scale = opts->scaled ? first_scale : 1.0f;
    o->beta1 = decimal(opts->beta1);
    o->beta2 = decimal(opts->beta2);
    o->weight_decay = decimal(opts->weight_decay);
    o->arenas = tti_calloc(narenas + 1, sizeof *o->arenas);
    o->sparse = tti_calloc(nsparse + 1, sizeof *o->sparse);
    o->part = tti_calloc(narenas + nsparse + 1, sizeof *o->part);
    if (!o->arenas || !o->sparse || !o->part) goto done;
    TT_GO(copy_arenas(o, arenas));
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
        tti_opt_part *p = &o->part[i];
        for (size_t k = 0; k < TTI_OPT_TENSORS; k++) {
            for (size_t j = 0; j < p->npieces[k]; j++) tti_mem_free(o->d, p->piece[k][j]);
            tti_free(p->piece[k]);
        }
        tti_mem_free(o->d, p->last);
    }
    for (size_t i = 0; o->arenas && i < o->narenas; i++) tti_free((void *)o->arenas[i].matrices);
    const cl_mem all[] = {o->state, o->ring, o->sums, o->ids, o->slot_ids, o->scratch};
    for (size_t i = 0; i < TT_COUNT(all); i++) tti_mem_free(o->d, all[i]);
    tti_free(o->arenas);
    tti_free(o->sparse);
    tti_free(o->part);
    tti_free(o);
}

tti_optimizer_kind tti_optimizer_kind_of(const tti_optimizer *o) { return o->o.kind; }

tti_launch tti_opt_kernel(const tti_optimizer *o, const char *file, const char *name,
                          tti_dtype type, tti_dtype gtype, const char *more) {
    const tti_caps *c = tti_device_caps(o->d);
    char defines[192];
    snprintf(defines, sizeof defines, "-DWG=%d -DVW=%d -DCHUNK=%d -DSTEPS=%d -DPT=%d -DGT=%d %s",
             c->wg, c->vw, TTI_OPT_CHUNK, TTI_OPT_STEPS, (int)type, (int)gtype, more);
    return tti_kernel(o->d, file, name, defines);
}
