// SPDX-License-Identifier: Apache-2.0
/* optimizer_internal.h - what the files of the optimizers share with each other, and with their
 * tests: one table of functions a kind. */
#ifndef TT_HOST_TRAIN_OPTIMIZER_INTERNAL_H
#define TT_HOST_TRAIN_OPTIMIZER_INTERNAL_H

#include "host/train/optimizer.h"

enum {
    TTI_OPT_STEPS = 4096, /* whose coefficients are at hand for rows that lag behind */
    TTI_OPT_CHUNK = 16384,
    TTI_OPT_STATE = 16, /* floats: see cl/optimizer.clh */
    TTI_OPT_TENSORS = 2,
    TTI_OPT_BLOCK = 256, /* ADAMW8 */
};

/* One tensor of a part's state. */
typedef struct {
    char which;
    size_t elem, count;
} tti_opt_tensor;

/* An arena or a sparse parameter. Tensors lie in pieces of per[i] elements, one buffer each. */
typedef struct {
    tti_opt_tensor tensor[TTI_OPT_TENSORS];
    size_t ntensors;
    cl_mem *piece[TTI_OPT_TENSORS];
    size_t per[TTI_OPT_TENSORS], npieces[TTI_OPT_TENSORS];
    cl_mem last; /* sparse: the step up to which a row is done */
} tti_opt_part;

/* What a kind is. Tensors of an arena or a sparse parameter go into t, their number comes back. */
typedef struct {
    const char *name;
    const char *file; /* of the kernels over tables */
    bool beta1, beta2, eps;
    bool matrices; /* arenas must have them */
    size_t (*arena_tensors)(const tti_optimizer_opts *o, const tti_optimizer_arena *a,
                            tti_opt_tensor t[TTI_OPT_TENSORS]);
    size_t (*sparse_tensors)(const tti_optimizer_opts *o, const tti_optimizer_sparse *s,
                             tti_opt_tensor t[TTI_OPT_TENSORS]);
    size_t (*scratch)(const tti_optimizer_arena *arenas, size_t narenas,
                      const tti_optimizer_sparse *sparse, size_t nsparse); /* floats; may be NULL */
    tt_status (*prepare)(tti_optimizer *o);                                /* may be NULL */
    void (*constants)(const tti_optimizer *o, float h[4]);
    /* s[0], the decay, is set */
    void (*coefficients)(const tti_optimizer *o, uint32_t step, double lr, float s[3]);
    tt_status (*update_arena)(tti_optimizer *o, size_t i);
    tt_status (*update_rows)(tti_optimizer *o, size_t i, size_t slots);
    /* n rows of sparse parameter i, those of o->ids; or, with ids false, all rows */
    tt_status (*catch_up)(tti_optimizer *o, size_t i, bool ids, size_t n, uint32_t to);
} tti_opt_kind;
extern const tti_opt_kind tti_opt_adamw, tti_opt_adamw8, tti_opt_sgd, tti_opt_adafactor,
    tti_opt_lion;
const tti_opt_kind *tti_opt_kind_at(tti_optimizer_kind k);

struct tti_optimizer {
    tti_device *d;
    const tti_opt_kind *kind;
    tti_optimizer_opts o;
    tti_optimizer_arena *arenas; /* their matrices are o's own */
    tti_optimizer_sparse *sparse;
    size_t narenas, nsparse, sums_n;
    tti_opt_part *part; /* arenas, then sparse */
    cl_mem state, ring, sums, ids, slot_ids, scratch;
    uint32_t begun, updated, flushed, judged; /* judged: the step whose verdict `scaling` knows */
    double beta1, beta2, weight_decay;
    tti_optimizer_scaling scaling;
};

/* The kernel `name` of cl/<file>.cl, for p and g of these types; more: further defines. */
tti_launch tti_opt_kernel(const tti_optimizer *o, const char *file, const char *name,
                          tti_dtype type, tti_dtype gtype, const char *more);
static inline size_t tti_opt_chunks(size_t count) {
    return (count + TTI_OPT_CHUNK - 1) / TTI_OPT_CHUNK;
}
/* The numbers of elements of an arena's matrices, or the arena itself where it has none. */
size_t tti_opt_nmatrices(const tti_optimizer_arena *a);
tti_matrix tti_opt_matrix(const tti_optimizer_arena *a, size_t i);

/* Kinds whose state is floats for each element (optimizer_moments.c), over tables. */
size_t tti_opt_sparse_two(const tti_optimizer_opts *o, const tti_optimizer_sparse *s,
                          tti_opt_tensor t[TTI_OPT_TENSORS]);
void tti_opt_adamw_constants(const tti_optimizer *o, float h[4]);
void tti_opt_adamw_coefficients(const tti_optimizer *o, uint32_t step, double lr, float s[3]);
tt_status tti_opt_update_rows(tti_optimizer *o, size_t i, size_t slots);
tt_status tti_opt_catch_up(tti_optimizer *o, size_t i, bool ids, size_t n, uint32_t to);

/* The 256 entries of the dynamic map, ascending: a sign (is_signed), an exponent of 10 as a run of
 * zero bits, and a linear fraction in the bits left. */
void tti_dynamic_map(bool is_signed, float map[256]);

#endif
