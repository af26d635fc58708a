// SPDX-License-Identifier: Apache-2.0
/* optimizer_adamw8.c - AdamW with moments in 8 bits; kernel cl/optimizer_adamw8.cl. */
#include "host/train/optimizer_internal.h"

#include <math.h>
#include <stdlib.h>

enum { MAPS = 512 };

static size_t blocks_of(size_t count) { return (count + TTI_OPT_BLOCK - 1) / TTI_OPT_BLOCK; }

static size_t arena_tensors(const tti_optimizer_opts *o, const tti_optimizer_arena *a,
                            tti_opt_tensor t[TTI_OPT_TENSORS]) {
    (void)o;
    size_t blocks = 0;
    for (size_t i = 0; i < tti_opt_nmatrices(a); i++) {
        const tti_matrix m = tti_opt_matrix(a, i);
        blocks += blocks_of(m.rows * m.cols);
    }
    t[0] = (tti_opt_tensor){'q', 1, 2 * a->count};
    t[1] = (tti_opt_tensor){'s', sizeof(float), 2 * blocks};
    return 2;
}

static size_t scratch(const tti_optimizer_arena *arenas, size_t narenas,
                      const tti_optimizer_sparse *sparse, size_t nsparse) {
    (void)arenas, (void)narenas, (void)sparse, (void)nsparse;
    return MAPS;
}

/* ---- the map ---- */

static int ascending(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* i of n + 1 values from 0.1 to 1, counted from the nearer end. */
static float between(int i, int n) {
    const float step = (1.0f - 0.1f) / (float)n;
    return i < (n + 1) / 2 ? 0.1f + step * (float)i : 1.0f - step * (float)(n - i);
}

void tti_dynamic_map(bool is_signed, float map[256]) {
    size_t n = 0;
    for (int e = 0; e < 7; e++) { /* powers of ten from 1e-6 to 1, each with twice the entries */
        const int entries = 1 << (is_signed ? e : e + 1);
        const float power = (float)pow(10, e - 6);
        for (int i = 0; i < entries; i++) {
            const float x = power * ((between(i, entries) + between(i + 1, entries)) / 2);
            map[n++] = x;
            if (is_signed) map[n++] = -x;
        }
    }
    map[n++] = 0;
    map[n++] = 1;
    TT_ASSERT(n == 256);
    qsort(map, n, sizeof *map, ascending);
}

static tt_status prepare(tti_optimizer *o) {
    float maps[MAPS];
    for (size_t i = 0; i < o->narenas; i++)
        for (size_t k = 0; k < o->part[i].ntensors; k++)
            if (o->part[i].npieces[k] != 1)
                return tti_fail(TT_E_MEMORY,
                                "adamw8bit: moments of an arena of %zu elements are "
                                "over the device's largest buffer",
                                o->arenas[i].count);
    tti_dynamic_map(true, maps);
    tti_dynamic_map(false, maps + 256);
    return tti_mem_write(o->d, o->scratch, 0, maps, sizeof maps);
}

/* ---- a step ---- */

static tt_status update_matrix(tti_optimizer *o, size_t i, tti_matrix m, size_t first_block) {
    const tti_optimizer_arena *a = &o->arenas[i];
    const tti_opt_part *p = &o->part[i];
    const size_t count = m.rows * m.cols, per = tti_device_caps(o->d)->wg > 1 ? 1 : 64;
    char more[32];
    snprintf(more, sizeof more, "-DBLOCKS=%zu", per);
    tti_launch k = tti_opt_kernel(o, "optimizer_adamw8", "adamw8", a->type, a->gtype, more);
    tti_arg_mem(&k, a->p);
    tti_arg_mem(&k, a->g);
    tti_arg_mem(&k, p->piece[0][0]);
    tti_arg_mem(&k, p->piece[1][0]);
    tti_arg_mem(&k, o->scratch);
    tti_arg_mem(&k, o->state);
    tti_arg_u32(&k, (uint32_t)m.first);
    tti_arg_u32(&k, (uint32_t)count);
    tti_arg_u32(&k, (uint32_t)a->decay_count);
    tti_arg_u32(&k, (uint32_t)first_block);
    tti_arg_u32(&k, (uint32_t)i);
    return tti_run_groups(&k, (blocks_of(count) + per - 1) / per);
}

static tt_status update_arena(tti_optimizer *o, size_t i) {
    const tti_optimizer_arena *a = &o->arenas[i];
    size_t block = 0;
    for (size_t j = 0; j < tti_opt_nmatrices(a); j++) {
        const tti_matrix m = tti_opt_matrix(a, j);
        TT_TRY(update_matrix(o, i, m, block));
        block += blocks_of(m.rows * m.cols);
    }
    return TT_OK;
}

const tti_opt_kind tti_opt_adamw8 = {
    .name = "adamw8bit",
    .file = "optimizer",
    .beta1 = true,
    .beta2 = true,
    .eps = true,
    .arena_tensors = arena_tensors,
    .sparse_tensors = tti_opt_sparse_two,
    .scratch = scratch,
    .prepare = prepare,
    .constants = tti_opt_adamw_constants,
    .coefficients = tti_opt_adamw_coefficients,
    .update_arena = update_arena,
    .update_rows = tti_opt_update_rows,
    .catch_up = tti_opt_catch_up,
};
