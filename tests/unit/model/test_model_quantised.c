// SPDX-License-Identifier: Apache-2.0
/* Quantised checkpoints as transformers and this program write them: loaded, widened, planned. */
#include <math.h>
#include "host/model/quantise.h"
#include "tests/unit/model/support.h"
#include "tests/unit/storage/support.h"

enum { SMALL_ALLOC = 24576 }; /* cuts matrices of every type */

static const char *const folders[] = {"nested", "fp4", "stored16"};

static const char *fixture(const char *name) {
    return tm_path(TT_TEST_DATA "/unit/format/fixtures", name);
}

static tti_model_opts evaluated(void) {
    tti_model_opts o = tti_model_defaults();
    o.task = TTI_TASK_CAUSAL;
    o.frozen = true;
    return o;
}

static uint64_t sum_of(tti_model *m, const tti_param *p) {
    float *v = tm_values(m, p);
    const uint64_t sum = total(v, p->rows * p->cols * sizeof *v);
    tti_free(v);
    return sum;
}

/* Each weight as bitsandbytes widens it, whichever exact type it has in memory. */
Test(quantised, folders_of_transformers) {
    tm_env e = tm_open();
    static const int types[] = {TTI_AS_STORED, TTI_F32, TTI_NF4};
    for (size_t i = 0; i < TT_COUNT(folders) * TT_COUNT(types); i++) {
        const char *folder = folders[i / TT_COUNT(types)];
        const int type = types[i % TT_COUNT(types)];
        char *text, name[200];
        size_t size, n = 0;
        unsigned long long sum;
        tti_model_opts o = evaluated();
        o.weights = type;
        tti_model *m = tm_load(e.dev, fixture(folder), &o);
        cr_assert_eq(tti_file_read(&text, &size, tm_path(fixture(folder), "sums.txt"), 1 << 16),
                     TT_OK, "%s", tt_error());
        for (const char *line = text; *line; line = strchr(line, '\n') + 1, n++) {
            cr_assert_eq(sscanf(line, "%199s %llx", name, &sum), 2);
            const tti_param *p = tti_model_find(m, name);
            cr_assert(p, "%s", name);
            cr_expect_eq(p->layout.type, type == TTI_F32 ? TTI_F32 : TTI_NF4, "%s", name);
            cr_expect_eq(p->layout.has_nested, type != TTI_F32 && !strcmp(folder, "nested"));
            cr_expect_eq(sum_of(m, p), sum, "%s: %s", folder, name);
        }
        cr_expect_eq(n, 7);
        cr_expect_eq(tti_model_find(m, "lm_head.weight")->layout.type,
                     type == TTI_F32 ? TTI_F32 : TTI_BF16);
        tti_free(text);
        tti_model_free(m);
    }
    tm_close(&e);
}

Test(quantised, are_widened_and_rounded_to_other_types) {
    tm_env e = tm_open();
    static const tti_dtype types[] = {TTI_BF16, TTI_F16, TTI_Q8};
    tti_model_opts o = evaluated();
    o.weights = TTI_F32;
    tti_model *exact = tm_load(e.dev, fixture("nested"), &o);
    for (size_t i = 0; i < TT_COUNT(types); i++) {
        o.weights = (int)types[i];
        tti_model *m = tm_load(e.dev, fixture("nested"), &o);
        const tti_param *p = tti_model_find(m, "model.layers.0.mlp.up_proj.weight");
        float *want = tm_values(exact, tti_model_find(exact, p->name)), *got = tm_values(m, p);
        cr_expect_eq(p->layout.type, types[i]);
        tm_round(&p->layout, want);
        cr_expect_eq(memcmp(want, got, p->rows * p->cols * sizeof *got), 0, "%s",
                     tti_dtype_name(types[i]));
        tti_free(want);
        tti_free(got);
        tti_model_free(m);
    }
    tti_model_free(exact);
    tm_close(&e);
}

/* config.json alone says what a plan needs to know. */
Test(quantised, plans_without_weights) {
    tm_env e = tm_open();
    char *text;
    size_t size;
    cr_assert_eq(tti_file_read(&text, &size, tm_path(fixture("nested"), "config.json"), 1 << 16),
                 TT_OK);
    tm_write(tm_path(e.dir, "plan"), "config.json", text);
    tti_free(text);
    tti_model_opts o = evaluated();
    o.frozen = false;
    o.method = TTI_METHOD_LORA;
    o.align = tti_device_caps(e.dev)->align;
    tti_model *plan = tm_load(NULL, tm_path(e.dir, "plan"), &o);
    tti_model *beside = tm_load(NULL, fixture("nested"), &o);
    tti_model *m = tm_load(e.dev, fixture("nested"), &o);
    cr_expect_eq(tti_model_weight_bytes(plan), tti_model_weight_bytes(m));
    cr_expect_eq(tti_model_weight_bytes(beside), tti_model_weight_bytes(m));
    cr_expect_eq(tti_mem_allocated(e.dev, TTI_MEM_WEIGHTS), tti_model_weight_bytes(m));
    tti_model_free(m);
    tti_model_free(plan);
    tti_model_free(beside);
    tm_close(&e);
}

Test(quantised, are_not_trained_whole) {
    tti_model *m = NULL;
    tti_model_opts o = evaluated();
    o.frozen = false;
    cr_expect_eq(tti_model_load(&m, NULL, fixture("nested"), &o), TT_E_ARG);
    cr_expect(strstr(tt_error(), "quantised weights cannot be trained (weights nf4); use method "
                                 "lora, or weights bf16"),
              "%s", tt_error());
    o.weights = TTI_BF16;
    m = tm_load(NULL, fixture("nested"), &o);
    tti_model_free(m);
}

/* ---- what this program writes ---- */

static void quantise(const char *from, const char *to, tti_dtype type, bool nested) {
    tti_quantise_result r;
    cr_assert_eq(tti_mkdirs(to), TT_OK);
    cr_assert_eq(tti_model_quantise(from, to, type, nested, &r), TT_OK, "%s", tt_error());
    cr_expect(r.matrices > 0);
}

/* Random weights as a checkpoint. */
static const char *checkpoint(tm_env *e) {
    const char *dir = tm_llama(e, "shape", ""), *to = tm_path(e->dir, "base");
    tti_model_opts o = tm_opts();
    tti_model *m = tm_load(e->dev, dir, &o);
    cr_assert_eq(tti_mkdirs(to), TT_OK);
    cr_assert_eq(tti_model_save(m, to, NULL, 0), TT_OK, "%s", tt_error());
    tti_model_free(m);
    return to;
}

static void expect_equal(tti_model *got, tti_model *want, const char *what) {
    cr_assert_eq(tti_model_nparams(got), tti_model_nparams(want));
    for (size_t i = 0; i < tti_model_nparams(got); i++) {
        const tti_param *p = tti_model_param(got, i), *q = tti_model_param(want, i);
        cr_expect(p->layout.bytes == q->layout.bytes && p->layout.type == q->layout.type);
        cr_assert(p->rows == q->rows && p->cols == q->cols, "%s: %s", what, p->name);
        float *a = tm_values(got, p), *b = tm_values(want, q);
        cr_expect_eq(memcmp(a, b, p->rows * p->cols * sizeof *a), 0, "%s: %s", what, p->name);
        tti_free(a);
        tti_free(b);
    }
}

static const struct {
    const char *name;
    tti_dtype type;
    bool nested;
} types[] = {{"nf4", TTI_NF4, true},
             {"nf4 flat", TTI_NF4, false},
             {"q8", TTI_Q8, false},
             {"bf16", TTI_BF16, false},
             {"f16", TTI_F16, false}};
enum { QUANTISED = 3 }; /* the first of them */

/* A quantised folder holds what loading into that type gives, in slabs or not; GPT-2's weights
 * are turned on the way. */
Test(quantised, folders_hold_what_loading_gives) {
    tm_env e = tm_open();
    const char *const bases[] = {checkpoint(&e), TT_TEST_DATA "/cases/gpt2-full-k30/model"};
    for (size_t i = 0; i < TT_COUNT(bases) * QUANTISED; i++) {
        const size_t t = i % QUANTISED;
        const char *base = bases[i / QUANTISED], *to = tm_path(e.dir, "to");
        cr_assert_eq(tti_dir_remove(to), TT_OK);
        quantise(base, to, types[t].type, types[t].nested);
        tti_device *d = tm_device(SMALL_ALLOC);
        tti_model_opts o = evaluated();
        o.weights = (int)types[t].type;
        o.nested = types[t].nested;
        o.head = TTI_F32;
        tti_model *want = tm_load(e.dev, base, &o);
        o.weights = TTI_AS_STORED;
        o.nested = true;
        tti_model *got = tm_load(d, to, &o);
        expect_equal(got, want, types[t].name);
        cr_expect_eq(tti_model_weight_bytes(got), tti_mem_allocated(d, TTI_MEM_WEIGHTS));
        tti_model_free(got);
        tti_model_free(want);
        tti_device_close(d);
    }
    tm_close(&e);
}

/* bf16 and f16 folders are plain ones: each number is rounded, norms too. */
Test(quantised, folders_of_16_bits) {
    tm_env e = tm_open();
    const char *base = checkpoint(&e);
    tti_model_opts o = evaluated();
    tti_model *exact = tm_load(e.dev, base, &o);
    for (size_t t = QUANTISED; t < TT_COUNT(types); t++) {
        const char *to = tm_path(e.dir, types[t].name);
        char *text;
        size_t size;
        quantise(base, to, types[t].type, false);
        tti_model *m = tm_load(e.dev, to, &o);
        for (size_t i = 0; i < tti_model_nparams(m); i++) {
            const tti_param *p = tti_model_param(m, i);
            if (p->computed) continue;
            const tti_layout l = tti_layout_plain(types[t].type, p->rows, p->cols);
            float *got = tm_values(m, p), *want = tm_values(exact, tti_model_param(exact, i));
            tm_round(&l, want);
            cr_expect_eq(memcmp(got, want, p->rows * p->cols * sizeof *got), 0, "%s: %s",
                         types[t].name, p->name);
            tti_free(got);
            tti_free(want);
        }
        cr_assert_eq(tti_file_read(&text, &size, tm_path(to, "config.json"), 1 << 16), TT_OK);
        cr_expect(strstr(text, t == QUANTISED ? "\"bfloat16\"" : "\"float16\""), "%s", text);
        tti_free(text);
        tti_model_free(m);
    }
    tti_model_free(exact);
    tm_close(&e);
}

/* Widening a quantised folder again gives the numbers it holds, and no quantization_config. */
Test(quantised, folders_are_widened) {
    tm_env e = tm_open();
    static const char *const bases[] = {TT_TEST_DATA "/cases/gpt2-full-k30/model",
                                        TT_TEST_DATA "/cases/llama-gqa-full-k10/model"};
    for (size_t i = 0; i < TT_COUNT(bases); i++) {
        const char *nf4 = tm_path(e.dir, i ? "a4" : "b4"), *wide = tm_path(e.dir, i ? "a" : "b");
        quantise(bases[i], nf4, TTI_NF4, true);
        quantise(nf4, wide, TTI_BF16, false);
        tti_model_opts o = evaluated();
        o.weights = TTI_BF16;
        tti_model *want = tm_load(e.dev, nf4, &o), *got = tm_load(e.dev, wide, &o);
        for (size_t k = 0; k < tti_model_nparams(got); k++) {
            const tti_param *p = tti_model_param(got, k);
            if (p->vector) continue;
            cr_expect_eq(sum_of(got, p), sum_of(want, tti_model_param(want, k)), "%s", p->name);
        }
        tti_model_free(got);
        tti_model_free(want);
    }
    tm_close(&e);
}

/* ---- saving ---- */

Test(quantised, trained_types_are_saved_as_they_are) {
    tm_env e = tm_open();
    const char *base = checkpoint(&e), *to = tm_path(e.dir, "trained");
    tti_model_opts o = evaluated();
    o.frozen = false;
    o.weights = TTI_BF16;
    tti_model *m = tm_load(e.dev, base, &o);
    cr_assert_eq(tti_mkdirs(to), TT_OK);
    cr_assert_eq(tti_model_save(m, to, NULL, 0), TT_OK, "%s", tt_error());
    tti_st *st;
    char *text;
    size_t size;
    cr_assert_eq(tti_st_open(&st, to), TT_OK, "%s", tt_error());
    cr_expect_eq(tti_st_find(st, "model.layers.0.mlp.up_proj.weight")->dtype, TTI_ST_BF16);
    cr_expect_eq(tti_st_find(st, "lm_head.weight")->dtype, TTI_ST_BF16);
    cr_expect_eq(tti_st_find(st, "model.norm.weight")->dtype, TTI_ST_F32);
    cr_expect_eq(tti_st_find(st, "model.embed_tokens.weight")->dtype, TTI_ST_F32);
    tti_st_close(st);
    cr_assert_eq(tti_file_read(&text, &size, tm_path(to, "config.json"), 1 << 16), TT_OK);
    cr_expect(strstr(text, "\"bfloat16\""), "%s", text);
    tti_free(text);
    o.frozen = true;
    tti_model *again = tm_load(e.dev, to, &o);
    for (size_t i = 0; i < tti_model_nparams(m); i++) {
        const tti_param *p = tti_model_param(m, i);
        if (!strcmp(p->name, "model.embed_tokens.weight")) continue; /* rounded where frozen */
        cr_expect_eq(sum_of(m, p), sum_of(again, tti_model_param(again, i)), "%s", p->name);
    }
    tti_model_free(again);
    tti_model_free(m);
    tm_close(&e);
}

/* ---- what cannot be ---- */

Test(quantised, numbers_that_do_not_fit_are_named) {
    tm_env e = tm_open();
    const char *name = "model.layers.1.mlp.gate_proj.weight";
    const struct {
        float value;
        tti_dtype type;
        const char *message;
    } cases[] = {{1e6f, TTI_F16, "element 20000 is 1e+06, which f16 cannot hold; use bf16"},
                 {3.4e38f, TTI_BF16, "element 20000 is 3.4e+38, which bf16 cannot hold; use f32"},
                 {NAN, TTI_NF4, "element 20000 is nan; the checkpoint is damaged"},
                 {-INFINITY, TTI_F32, "element 20000 is -inf; the checkpoint is damaged"}};
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        const char *base = checkpoint(&e), *to = tm_path(e.dir, "to");
        tti_st *st;
        char *file, *data;
        size_t size;
        const char *path = tm_path(base, "model.safetensors");
        cr_assert_eq(tti_file_read(&file, &size, path, 1 << 24), TT_OK);
        cr_assert_eq(tti_st_open(&st, base), TT_OK);
        const tti_st_tensor *t = tti_st_find(st, name);
        uint64_t header;
        memcpy(&header, file, 8);
        /* where the tensor lies in the file: behind its first sixteen bytes */
        data = memmem(file + 8 + header, size - 8 - header, t->data, 64);
        cr_assert(data);
        tti_st_close(st);
        memcpy(data + 20000 * sizeof(float), &cases[i].value, sizeof(float));
        cr_assert_eq(tti_file_write(path, file, size), TT_OK);
        tti_free(file);
        tti_model *m = NULL;
        tti_model_opts o = evaluated();
        o.weights = (int)cases[i].type;
        cr_expect_eq(tti_model_load(&m, e.dev, base, &o), TT_E_NUMERIC);
        cr_expect(strstr(tt_error(), cases[i].message) && strstr(tt_error(), name), "%s",
                  tt_error());
        if (cases[i].type == TTI_F32) continue;
        tti_quantise_result r;
        cr_assert_eq(tti_mkdirs(to), TT_OK);
        cr_expect_eq(tti_model_quantise(base, to, cases[i].type, true, &r), TT_E_NUMERIC);
        cr_expect(strstr(tt_error(), name), "%s", tt_error());
        cr_expect_eq(tti_model_quantise(base, to, TTI_F32, true, &r), TT_E_ARG);
    }
    tm_close(&e);
}

/* Whichever allocation fails, of the host or of the device, loading ends with a reason and leaves
 * nothing behind. */
Test(quantised, every_allocation_may_fail) {
    tm_env e = tm_open();
    tti_model_opts o = evaluated();
    o.frozen = false;
    o.method = TTI_METHOD_LORA;
    for (int kind = 0; kind < 3; kind++) {
        long n = 0;
        tt_status s = TT_E_NOMEM;
        o.stream = kind == 2;
        while (s != TT_OK && n < 4000) {
            tti_model *m = NULL;
            n++;
            if (kind == 1)
                tti_mem_fail_at(n);
            else
                tti_alloc_fail_at(n);
            s = tti_model_load(&m, e.dev, fixture("nested"), &o);
            tti_alloc_fail_at(0);
            tti_mem_fail_at(0);
            if (s != TT_OK) cr_expect_eq(s, kind == 1 ? TT_E_MEMORY : TT_E_NOMEM, "%ld", n);
            cr_expect_eq(m != NULL, s == TT_OK, "%ld", n);
            tti_model_free(m);
            cr_expect_eq(tti_mem_allocated(e.dev, TTI_MEM_WEIGHTS), 0, "%ld", n);
        }
        cr_expect(s == TT_OK && n > 2, "%d: %ld", kind, n);
    }
    tm_close(&e);
}

Test(quantised, every_allocation_of_writing_may_fail) {
    tm_env e = tm_open();
    const struct {
        const char *from;
        tti_dtype type;
    } cases[] = {{TT_TEST_DATA "/cases/gpt2-full-k30/model", TTI_NF4},
                 {TT_TEST_DATA "/unit/format/fixtures/nested", TTI_BF16},
                 {TT_TEST_DATA "/unit/format/fixtures/nested", TTI_Q8}};
    const char *to = tm_path(e.dir, "to");
    cr_assert_eq(tti_mkdirs(to), TT_OK);
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        long n = 0;
        tt_status s = TT_E_NOMEM;
        while (s != TT_OK && n < 4000) {
            tti_quantise_result r;
            tti_alloc_fail_at(++n);
            s = tti_model_quantise(cases[i].from, to, cases[i].type, true, &r);
            tti_alloc_fail_at(0);
            if (s != TT_OK) cr_expect_eq(s, TT_E_NOMEM, "%zu: %ld: %s", i, n, tt_error());
        }
        cr_expect(s == TT_OK && n > 50, "%zu: %ld", i, n);
    }
    tm_close(&e);
}
