// SPDX-License-Identifier: Apache-2.0
/* Types of parameters, their slabs, and the bytes that all of it takes. */
#include "host/core/philox.h"
#include "tests/unit/model/support.h"

#include <math.h>

enum { SMALL_ALLOC = 24576 }; /* cuts matrices of every type */

/* Planned without a device, counted by the model, and taken from the device: one number. */
static void expect_bytes(tti_device *d, tti_model *m, const char *dir, tti_model_opts o,
                         const char *what) {
    o.align = tti_device_caps(d)->align;
    o.max_alloc = tti_device_caps(d)->max_alloc;
    tti_model *plan = tm_load(NULL, dir, &o);
    const size_t planned = tti_model_weight_bytes(plan), uniq = 5;
    cr_expect_eq(planned, tti_mem_allocated(d, TTI_MEM_WEIGHTS), "%s: %zu bytes planned, %zu", what,
                 planned, tti_mem_allocated(d, TTI_MEM_WEIGHTS));
    cr_expect_eq(planned, tti_model_weight_bytes(m), "%s", what);
    cr_assert_eq(tti_model_alloc_gradients(m, uniq), TT_OK, "%s", tt_error());
    cr_expect_eq(tti_model_gradient_bytes(plan, uniq), tti_mem_allocated(d, TTI_MEM_GRADIENTS),
                 "%s", what);
    for (size_t i = 0; i < tti_model_nparams(m); i++) {
        const tti_param *a = tti_model_param(m, i), *b = tti_model_param(plan, i);
        cr_expect(a->nslabs == b->nslabs && a->layer == b->layer &&
                      a->layout.type == b->layout.type && a->offset == b->offset,
                  "%s: %s", what, a->name);
    }
    tti_model_free_gradients(m);
    cr_expect_eq(tti_mem_allocated(d, TTI_MEM_GRADIENTS), 0);
    tti_model_free(plan);
}

/* Rows without a hole, no slab over the limit, cuts where the type may be cut. */
static void expect_slabs(const tti_param *p, size_t max_alloc, const char *what) {
    size_t row = 0;
    for (size_t k = 0; k < p->nslabs; k++) {
        const tti_slab *s = &p->slabs[k];
        cr_expect_eq(s->row0, row, "%s: %s", what, p->name);
        cr_expect_eq(s->row0 % tti_layout_cut(&p->layout), 0, "%s: %s", what, p->name);
        cr_expect(s->layout.bytes <= max_alloc && s->mem, "%s: %s", what, p->name);
        cr_expect(s->layout.rows == s->rows && s->layout.type == p->layout.type);
        cr_expect(k + 1 == p->nslabs || s->rows == p->slabs[0].rows, "%s: %s", what, p->name);
        row += s->rows;
    }
    cr_expect_eq(row, p->rows, "%s: %s", what, p->name);
    cr_expect_eq(p->p, p->slabs[0].mem);
}

static const struct {
    const char *name;
    tti_dtype weights;
    bool nested;
} types[] = {{"f32", TTI_F32, true}, {"f16", TTI_F16, true},       {"bf16", TTI_BF16, true},
             {"q8", TTI_Q8, true},   {"nf4 flat", TTI_NF4, false}, {"nf4", TTI_NF4, true}};

/* Whether a matrix of this parameter takes the type of weights, or of the head. */
static bool is_body(const tti_param *p) { return !p->vector && strstr(p->name, "_proj.weight"); }
static bool is_head(const tti_param *p) {
    return !strcmp(p->name, "lm_head.weight") || !strcmp(p->name, "model.embed_tokens.weight");
}

/* Cut into slabs or not, each type holds what quantising the drawn numbers as a whole gives. */
Test(store, every_type_in_slabs_and_whole) {
    tm_env e = tm_open();
    const char *dir = tm_llama(&e, "m", "");
    tti_model_opts o = tm_opts();
    o.frozen = true;
    tti_model *plain = tm_load(e.dev, dir, &o);
    for (size_t t = 0; t < TT_COUNT(types) * 2; t++) {
        const size_t max_alloc = t % 2 ? SMALL_ALLOC : 0;
        size_t cut = 0;
        tti_device *d = tm_device(max_alloc);
        o.weights = o.head = (int)types[t / 2].weights;
        o.nested = types[t / 2].nested;
        tti_model *m = tm_load(d, dir, &o);
        for (size_t i = 0; i < tti_model_nparams(m); i++) {
            const tti_param *p = tti_model_param(m, i);
            const bool matrix = is_body(p) || is_head(p);
            float *want = tm_values(plain, tti_model_param(plain, i)), *got = tm_values(m, p);
            const tti_layout l = tti_layout_of(matrix ? types[t / 2].weights : TTI_F32, p->rows,
                                               p->cols, TTI_QUANT_BLOCK, types[t / 2].nested);
            tm_round(&l, want);
            cr_expect_eq(p->layout.bytes, l.bytes, "%s: %s", types[t / 2].name, p->name);
            cr_expect_eq(memcmp(want, got, p->rows * p->cols * sizeof *got), 0, "%s: %s",
                         types[t / 2].name, p->name);
            expect_slabs(p, tti_device_caps(d)->max_alloc, types[t / 2].name);
            cut += p->nslabs > 1;
            tti_free(want);
            tti_free(got);
        }
        cr_expect_eq(cut > 0, max_alloc > 0, "%s", types[t / 2].name);
        expect_bytes(d, m, dir, o, types[t / 2].name);
        tti_model_free(m);
        tti_device_close(d);
    }
    tti_model_free(plain);
    tm_close(&e);
}

/* The formula by which fresh weights have always been drawn, from the first element to the last. */
static void draw(float *v, size_t n, uint32_t seed, const char *name, float std) {
    uint32_t key = 2166136261u;
    for (; *name; name++) key = (key ^ (uint8_t)*name) * 16777619u;
    for (size_t i = 0; i < n; i++) {
        tti_philox_out r = tti_philox((uint32_t)(i / 2), 0, key, TTI_STREAM_INIT, seed, 0);
        float radius = sqrtf(-2.0f * logf(1.0f - tti_unit(r.v[0])));
        float angle = 6.28318530717958648f * tti_unit(r.v[1]);
        v[i] = std * radius * (i % 2 ? sinf(angle) : cosf(angle));
    }
}

Test(store, random_weights_stay_what_they_were) {
    tm_env e = tm_open();
    tti_model_opts o = tm_opts();
    o.frozen = true;
    tti_model *m = tm_load(e.dev, tm_llama(&e, "m", ""), &o);
    for (size_t i = 0; i < tti_model_nparams(m); i++) {
        const tti_param *p = tti_model_param(m, i);
        if (!is_body(p) && !is_head(p)) continue;
        float *got = tm_values(m, p), *want = tti_malloc(p->rows * p->cols * sizeof *want);
        draw(want, p->rows * p->cols, o.seed, p->name, 0.1f);
        cr_expect_eq(memcmp(got, want, p->rows * p->cols * sizeof *got), 0, "%s", p->name);
        tti_free(got);
        tti_free(want);
    }
    tti_model_free(m);
    tm_close(&e);
}

/* Writes through slabs of every type, reads back, leaves the neighbours alone. */
Test(store, writes_are_read_back) {
    tm_env e = tm_open();
    const char *dir = tm_llama(&e, "m", "");
    for (size_t t = 0; t < TT_COUNT(types); t++) {
        tti_device *d = tm_device(SMALL_ALLOC);
        tti_model_opts o = tm_opts();
        o.frozen = true;
        o.weights = o.head = (int)types[t].weights;
        o.nested = types[t].nested;
        tti_model *m = tm_load(d, dir, &o);
        const tti_param *p = tti_model_find(m, "lm_head.weight");
        const tti_param *other = tti_model_find(m, "model.layers.1.mlp.down_proj.weight");
        const size_t n = p->rows * p->cols;
        float *before = tm_values(m, other), *v = tti_malloc(n * sizeof *v);
        for (size_t i = 0; i < n; i++) v[i] = sinf((float)i) * (float)(1 + i % 7);
        cr_assert_eq(tti_model_write(m, p, v), TT_OK, "%s", tt_error());
        tm_round(&p->layout, v);
        float *got = tm_values(m, p), *after = tm_values(m, other);
        cr_expect_eq(memcmp(got, v, n * sizeof *v), 0, "%s", types[t].name);
        cr_expect_eq(memcmp(before, after, other->rows * other->cols * sizeof *v), 0, "%s",
                     types[t].name);
        v[12345] = INFINITY;
        cr_expect_eq(tti_model_write(m, p, v), TT_E_NUMERIC);
        cr_expect(strstr(tt_error(), "lm_head.weight: element 12345 is inf"), "%s", tt_error());
        tti_free(before);
        tti_free(after);
        tti_free(got);
        tti_free(v);
        tti_model_free(m);
        tti_device_close(d);
    }
    tm_close(&e);
}

/* Trained ones: arenas of one type each, every matrix in its place, gradients in the same cuts. */
Test(store, trained_arenas) {
    static const struct {
        tti_dtype weights, gradients;
    } cases[] = {{TTI_F32, TTI_F32},
                 {TTI_F32, TTI_BF16},
                 {TTI_BF16, TTI_F32},
                 {TTI_F16, TTI_F16},
                 {TTI_BF16, TTI_BF16}};
    tm_env e = tm_open();
    const char *dir = tm_llama(&e, "m", ", \"tie_word_embeddings\": true");
    for (size_t c = 0; c < TT_COUNT(cases) * 2; c++) {
        tti_device *d = tm_device(c % 2 ? SMALL_ALLOC : 0);
        tti_model_opts o = tm_opts();
        o.weights = (int)cases[c / 2].weights;
        o.gradients = cases[c / 2].gradients;
        o.no_decay_1d = true;
        tti_model *m = tm_load(d, dir, &o);
        cr_assert_eq(tti_model_alloc_gradients(m, 3), TT_OK, "%s", tt_error());
        size_t matrices = 0, slabs = 0;
        for (size_t a = 0; a < tti_model_narenas(m); a++) {
            const tti_arena *arena = tti_model_arena(m, a);
            tti_matrix *v;
            size_t n, end = 0;
            cr_assert_eq(tti_model_arena_matrices(m, a, &v, &n), TT_OK, "%s", tt_error());
            for (size_t i = 0; i < n; i++) {
                cr_expect(v[i].first >= end, "arena %zu: matrix %zu overlaps", a, i);
                end = v[i].first + v[i].rows * v[i].cols;
            }
            cr_expect(n > 0 && end <= arena->count && arena->decay_count <= arena->count);
            cr_expect(arena->count * sizeof(float) <= tti_device_caps(d)->max_alloc);
            matrices += n;
            tti_free(v);
        }
        for (size_t i = 0; i < tti_model_nparams(m); i++) {
            const tti_param *p = tti_model_param(m, i);
            if (!p->trainable) continue;
            const bool body = is_body(p);
            cr_expect_eq(p->layout.type, p->vector ? TTI_F32 : cases[c / 2].weights, "%s", p->name);
            cr_expect_eq(p->gtype, body ? cases[c / 2].gradients : TTI_F32, "%s", p->name);
            cr_expect(tti_model_arena(m, p->arena)->type == p->layout.type &&
                      tti_model_arena(m, p->arena)->gtype == p->gtype);
            slabs += p->nslabs;
            for (size_t k = 0; k < p->nslabs; k++)
                cr_expect(p->gslabs[k].mem && p->gslabs[k].rows == p->slabs[k].rows &&
                          p->gslabs[k].layout.type == p->gtype);
            float *g = tti_calloc(p->rows * p->cols, sizeof *g);
            g[0] = 1;
            cr_assert_eq(tti_model_read_gradient(m, p, g), TT_OK, "%s", tt_error());
            cr_expect_eq(g[0], 0, "%s", p->name);
            tti_free(g);
        }
        cr_expect_eq(matrices, slabs);
        tti_model_free_gradients(m);
        expect_bytes(d, m, dir, o, "trained");
        tti_model_free(m);
        tti_device_close(d);
    }
    tm_close(&e);
}

Test(store, adapters_stay_f32_over_any_base) {
    tm_env e = tm_open();
    const char *dir = tm_llama(&e, "m", "");
    tti_model_opts o = tm_opts();
    o.method = TTI_METHOD_LORA;
    o.weights = TTI_NF4;
    tti_model *m = tm_load(e.dev, dir, &o);
    for (size_t i = 0; i < tti_model_nparams(m); i++) {
        const tti_param *p = tti_model_param(m, i);
        const tti_dtype want = is_body(p) ? TTI_NF4 : is_head(p) ? TTI_BF16 : TTI_F32;
        cr_expect_eq(p->layout.type, want, "%s: %s", p->name, tti_dtype_name(p->layout.type));
        cr_expect_eq(p->trainable, strstr(p->name, ".lora_") != NULL, "%s", p->name);
        const char *layer = strstr(p->name, "layers.");
        cr_expect_eq(p->layer, layer ? layer[7] - '0' : -1, "%s: %d", p->name, p->layer);
    }
    expect_bytes(e.dev, m, dir, o, "adapters");
    tti_model_free(m);
    tm_close(&e);
}

/* Blocks in host memory hold what those on the device hold. */
Test(store, hosted_blocks) {
    tm_env e = tm_open();
    const char *dir = tm_llama(&e, "m", "");
    for (size_t t = 0; t < TT_COUNT(types); t++) {
        tti_model_opts o = tm_opts();
        o.method = TTI_METHOD_LORA;
        o.weights = (int)types[t].weights;
        o.nested = types[t].nested;
        tti_model *whole = tm_load(e.dev, dir, &o);
        tti_device *d = tm_device(SMALL_ALLOC);
        o.stream = true;
        tti_model *m = tm_load(d, dir, &o);
        size_t hosted = 0;
        for (size_t i = 0; i < tti_model_nparams(m); i++) {
            const tti_param *p = tti_model_param(m, i);
            float *got = tm_values(m, p), *want = tm_values(whole, tti_model_param(whole, i));
            cr_expect_eq(memcmp(got, want, p->rows * p->cols * sizeof *got), 0, "%s: %s",
                         types[t].name, p->name);
            cr_expect_eq(p->hosted, p->layer >= 0 && !p->trainable, "%s", p->name);
            cr_expect_eq(tti_model_host(m, p) != NULL, p->hosted, "%s", p->name);
            cr_expect_eq(p->p == NULL, p->hosted, "%s", p->name);
            for (size_t k = 0; k < p->nslabs && p->hosted; k++) hosted += p->slabs[k].layout.bytes;
            tti_free(got);
            tti_free(want);
        }
        cr_expect(hosted > 0 && hosted == tti_model_host_bytes(m));
        expect_bytes(d, m, dir, o, types[t].name);
        tti_model_free(m);
        tti_model_free(whole);
        tti_device_close(d);
    }
    tm_close(&e);
}

Test(store, what_cannot_be_is_said) {
    tm_env e = tm_open();
    const char *dir = tm_llama(&e, "m", "");
    static const struct {
        int weights, head, gradients;
        size_t max_alloc;
        tt_status status;
        const char *message;
    } cases[] = {
        {TTI_NF4, TTI_F32, TTI_F32, 0, TT_E_ARG,
         "quantised weights cannot be trained (weights nf4)"},
        {TTI_F32, TTI_I32, TTI_F32, 0, TT_E_ARG, "head i32: expected f32, bf16, f16, q8 or nf4"},
        {TTI_F32, TTI_F32, TTI_Q8, 0, TT_E_ARG, "gradients q8: expected f32, bf16 or f16"},
        {TTI_F32, TTI_F32, TTI_F32, 128, TT_E_MEMORY, "in one buffer, the device allows 128"},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        tti_model *m = NULL;
        tti_model_opts o = tm_opts();
        o.weights = cases[i].weights;
        o.head = cases[i].head;
        o.gradients = (tti_dtype)cases[i].gradients;
        if (cases[i].max_alloc) o.max_alloc = cases[i].max_alloc;
        cr_expect_eq(tti_model_load(&m, NULL, dir, &o), cases[i].status, "%zu", i);
        cr_expect(strstr(tt_error(), cases[i].message), "%s", tt_error());
    }
    tm_close(&e);
}

Test(store, a_trained_table_that_no_buffer_holds_is_dense) {
    tm_env e = tm_open();
    const char *dir = tm_llama(&e, "m", "");
    for (int small = 0; small < 2; small++) {
        tti_model *m;
        tti_model_opts o = tm_opts();
        if (small) o.max_alloc = SMALL_ALLOC;
        cr_assert_eq(tti_model_load(&m, NULL, dir, &o), TT_OK, "%s", tt_error());
        const tti_param *p = tti_model_param(m, 0);
        cr_expect_eq(p->sparse, !small, "%s", p->name);
        cr_expect_eq(p->nslabs > 1, small != 0, "%zu slabs", p->nslabs);
        tti_model_free(m);
    }
    tm_close(&e);
}
