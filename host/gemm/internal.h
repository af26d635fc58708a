// SPDX-License-Identifier: Apache-2.0
/* internal.h - what the files of host/gemm share with each other, and with their tests. */
#ifndef TT_HOST_GEMM_INTERNAL_H
#define TT_HOST_GEMM_INTERNAL_H

#include "host/gemm/gemm.h"
#include "host/gemm/stored.h"

/* One way of computing products. Variants are numbered from 0 and named; their names are kept in
 * caches and checkpoints, their numbers only in memory. */
typedef struct {
    const char *name;
    int variants;
    bool partial;                             /* for some shapes only: cannot be the one forced */
    const char *(*variant_name)(int variant); /* static; "" where there is only one */
    /* Is the variant a sensible candidate for the shape's class on a device of these caps? */
    bool (*suits)(const tti_caps *c, int variant, const tti_gemm_shape *s);
    /* Scratch bytes for every call up to the shape: depends on the arguments alone. */
    size_t (*workspace)(const tti_caps *c, int variant, const tti_gemm_shape *s);
    /* Enqueues a valid call with m, n > 0; k may be 0. */
    tt_status (*run)(tti_device *d, int variant, const tti_gemm_call *c, cl_mem workspace);
} tti_gemm_provider;

extern const tti_gemm_provider tti_gemm_clblast, tti_gemm_tile, tti_gemm_vec;
#define TTI_GEMM_PROVIDERS 3
extern const tti_gemm_provider *const tti_gemm_providers[TTI_GEMM_PROVIDERS];

/* GEMM_ARGS of cl/gemm_common.clh, which every product kernel takes; and those from c on to the
 * residual, which gemm_epilogue takes too. One place knows the flags. */
void tti_gemm_args(tti_launch *l, const tti_gemm_call *c);
void tti_gemm_arg_end(tti_launch *l, const tti_gemm_call *c);
/* B's; NULL when it is f32. */
const tti_layout *tti_gemm_layout(const tti_gemm_call *c);
int tti_gemm_flags(const tti_gemm_call *c);

/* ---- classes and choices (choose.c) ---- */

/* Shapes of one class share a choice: transposes, B's type, and each size rounded up to a power of
 * two. */
typedef struct {
    bool ta, tb;
    unsigned char bt;
    unsigned char m, n, k; /* log2 */
} tti_gemm_class;
tti_gemm_class tti_gemm_class_of(const tti_gemm_shape *s);

typedef struct {
    int forced; /* the only provider that was allowed, or -1 */
    tti_gemm_class class;
    int provider, variant;
} tti_gemm_choice;

typedef struct {
    tti_gemm_choice *p;
    size_t n, cap;
    bool out[TTI_GEMM_PROVIDERS]; /* far too slow on this device: not measured again */
} tti_gemm_choices;

/* NULL when there is none. */
const tti_gemm_choice *tti_gemm_choices_find(const tti_gemm_choices *c, int forced,
                                             const tti_gemm_class *class);
/* Adds, or replaces the choice of the same class. */
tt_status tti_gemm_choices_put(tti_gemm_choices *c, const tti_gemm_choice *one);
void tti_gemm_choices_clear(tti_gemm_choices *c);

struct tti_gemm {
    tti_device *d;
    int forced;  /* index of the provider, or -1 */
    bool tuning; /* TT_GEMM_TUNE is not 0 */
    char *path;  /* of the cache file; NULL where no folder can be written */
    tti_gemm_choices choices;
};

/* ---- their text (text.c) ---- */

/* "nt", and for a B that is not f32 "nt-nf4"; gives out. */
enum { TTI_GEMM_FORM = 16 };
const char *tti_gemm_form(char out[TTI_GEMM_FORM], const tti_gemm_class *c);

/* Appends a line for each choice, sorted; and the providers that are out when `out` is true. */
void tti_gemm_text_write(tti_str *s, const tti_gemm_choices *c, bool out);
/* Adds the choices of the text to c. TT_E_FORMAT names the first malformed line; then c may hold
 * the choices of the lines before. */
tt_status tti_gemm_text_read(tti_gemm_choices *c, const char *text);

/* ---- the per-user cache (cache.c) ---- */

/* Gives *path (tti_free), NULL with TT_OK where no folder can be written. */
tt_status tti_gemm_cache_path(char **path, const tti_device *d);
/* Waits for the lock of the cache file. -1 where it cannot be had: then there is no sharing. */
int tti_gemm_cache_lock(const char *path);
void tti_gemm_cache_unlock(int fd);
/* Adds what the file holds to c; a missing, corrupt or stale file adds nothing. */
void tti_gemm_cache_read(tti_gemm_choices *c, const char *path, const char *device_key);
/* Replaces the file; failures are logged only. */
void tti_gemm_cache_write(const tti_gemm_choices *c, const char *path, const char *device_key);

/* ---- measuring (measure.c, fill.c) ---- */

/* Fills l->bytes of a matrix with multiples of 1/64 from -1 to 1, and values with the same as f32.
 */
void tti_gemm_fill(const tti_layout *l, void *bytes, float *values, uint32_t seed);

/* Measures the candidates of s's class and sets *best; r and n as in tti_gemm_tune_one, or NULL.
 * Marks in g->choices.out who is out of the race. */
tt_status tti_gemm_measure(tti_gemm *g, const tti_gemm_shape *s, tti_gemm_choice *best,
                           tti_gemm_result *r, size_t *n);

#endif
