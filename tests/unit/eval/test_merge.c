// SPDX-License-Identifier: Apache-2.0
/* Merged folders against base and adapter, and what must not be merged. */
#include <math.h>
#include "host/eval/merge.h"
#include "host/eval/quantise.h"
#include "host/format/safetensors.h"
#include "host/model/model.h"
#include "tests/unit/eval/support.h"

static tti_merge_opts options(te_env *e, const char *base, const char *adapter) {
    return (tti_merge_opts){.base = base,
                            .adapter = adapter,
                            .out = te_temp(e, "out"),
                            .check = true,
                            .device = e->dev,
                            .gemm = e->gemm};
}

/* A fresh adapter of the targets whose B is not zero, in e->dir/adapter. */
static void make_adapter(te_env *e, const char *base, const char *target) {
    tti_model *m;
    tti_model_opts o = tti_model_defaults();
    o.task = TTI_TASK_CAUSAL;
    o.method = TTI_METHOD_LORA;
    o.lora_rank = 3;
    o.lora_targets = &target;
    o.lora_ntargets = 1;
    cr_assert_eq(tti_model_load(&m, e->dev, base, &o), TT_OK, "%s", tt_error());
    for (size_t i = 0; i < tti_model_nparams(m); i++) {
        const tti_param *p = tti_model_param(m, i);
        if (!strstr(p->name, ".lora_B.")) continue;
        float *v = tti_malloc(p->rows * p->cols * sizeof *v);
        for (size_t k = 0; k < p->rows * p->cols; k++) v[k] = 0.05f * (float)((k * 37) % 11) - 0.2f;
        cr_assert_eq(tti_model_write(m, p, v), TT_OK);
        tti_free(v);
    }
    cr_assert_eq(tti_mkdirs(te_temp(e, "adapter")), TT_OK);
    cr_assert_eq(tti_model_save(m, te_temp(e, "adapter"), NULL, 0), TT_OK, "%s", tt_error());
    tti_model_free(m);
}

Test(merge, gives_the_logits_of_base_and_adapter) {
    te_env e = te_open();
    static const char *const cases[] = {"llama-lora-mlp-k30", "phi3-lora-k30", "qwen2-lora-all-k30",
                                        "bert-cls-lora-k30", "distilbert-small-lora"};
    static const struct {
        const char *name;
        double tolerance;
        tti_st_dtype dtype;
    } types[] = {{NULL, 1e-4, TTI_ST_F32}, {"f16", 1e-2, TTI_ST_F16}, {"bf16", 8e-2, TTI_ST_BF16}};
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        char base[512], adapter[512];
        snprintf(base, sizeof base, "%s/cases/%s/model", TT_TEST_DATA, cases[i]);
        snprintf(adapter, sizeof adapter, "%s/cases/%s/adapter", TT_TEST_DATA, cases[i]);
        for (size_t t = 0; t < TT_COUNT(types); t++) {
            tti_merge_opts o = options(&e, base, adapter);
            tti_merge_check c;
            tti_st *st;
            o.dtype = types[t].name;
            cr_assert_eq(tti_merge(&o, &c), TT_OK, "%s: %s", cases[i], tt_error());
            cr_expect_eq(c.tolerance, types[t].tolerance);
            cr_expect(c.error <= c.tolerance && c.prompts == 4);
            cr_assert_eq(tti_st_open(&st, o.out), TT_OK, "%s", tt_error());
            cr_expect_eq(tti_st_at(st, 0)->dtype, types[t].dtype, "%s", cases[i]);
            tti_st_close(st);
        }
    }
    te_close(&e);
}

/* An adapter over quantised weights becomes part of the numbers that those stand for. */
Test(merge, widens_a_quantised_base) {
    te_env e = te_open();
    static const char *const cases[] = {"llama-lora-mlp-k30", "bert-cls-lora-k30"};
    static const char *const types[] = {"nf4", "q8"};
    for (size_t i = 0; i < TT_COUNT(cases) * TT_COUNT(types); i++) {
        char base[512], adapter[512], *text;
        size_t size;
        snprintf(base, sizeof base, "%s/cases/%s/model", TT_TEST_DATA, cases[i / 2]);
        snprintf(adapter, sizeof adapter, "%s/cases/%s/adapter", TT_TEST_DATA, cases[i / 2]);
        const tti_quantise_opts q = {
            .model = base, .out = te_temp(&e, "quantised"), .type = types[i % 2], .nested = true};
        tti_quantise_result r;
        cr_assert_eq(tti_quantise_folder(&q, &r), TT_OK, "%s", tt_error());
        tti_merge_opts o = options(&e, q.out, adapter);
        tti_merge_check c;
        tti_st *st;
        cr_assert_eq(tti_merge(&o, &c), TT_OK, "%s: %s", cases[i / 2], tt_error());
        cr_expect(c.error <= 1e-4, "%s: %g", cases[i / 2], c.error);
        cr_assert_eq(tti_st_open(&st, o.out), TT_OK, "%s", tt_error());
        for (size_t k = 0; k < tti_st_count(st); k++)
            cr_expect_eq(tti_st_at(st, k)->dtype, TTI_ST_F32, "%s", tti_st_at(st, k)->name);
        tti_st_close(st);
        cr_assert_eq(tti_file_read(&text, &size, te_path(o.out, "config.json"), 1 << 16), TT_OK);
        cr_expect(!strstr(text, "quantization_config"), "%s", text);
        tti_free(text);
    }
    te_close(&e);
}

/* The folder of a quantised model is written whole or not at all, and never over another thing. */
Test(merge, quantised_folders) {
    te_env e = te_open();
    const char *base = te_data("cases/llama-gqa-full-k10/model"), *out = te_temp(&e, "q");
    tti_quantise_result r;
    tti_quantise_opts q = {.model = base, .out = out, .type = "nf4"};
    cr_assert_eq(tti_quantise_folder(&q, &r), TT_OK, "%s", tt_error());
    cr_expect_eq(r.matrices, 21);
    cr_expect(tti_file_exists(te_path(out, "generation_config.json")));
    q.type = "q8";
    cr_expect_eq(tti_quantise_folder(&q, &r), TT_OK, "a model's folder is replaced: %s",
                 tt_error());
    q.type = "i8";
    cr_expect_eq(tti_quantise_folder(&q, &r), TT_E_ARG);
    cr_expect(strstr(tt_error(), "expected nf4, q8, bf16 or f16"), "%s", tt_error());
    q.type = "nf4";
    q.out = base;
    cr_expect_eq(tti_quantise_folder(&q, &r), TT_E_ARG);
    cr_expect(strstr(tt_error(), "is read from"), "%s", tt_error());
    q.out = e.dir;
    cr_expect_eq(tti_quantise_folder(&q, &r), TT_E_ARG);
    cr_expect(strstr(tt_error(), "holds something else than a model"), "%s", tt_error());
    q.out = te_temp(&e, "new");
    tti_alloc_fail_at(40);
    cr_expect_eq(tti_quantise_folder(&q, &r), TT_E_NOMEM);
    tti_alloc_fail_at(0);
    cr_expect(!tti_dir_exists(q.out));
    te_close(&e);
}

/* One element against its formula; what the adapter leaves alone is there byte for byte. */
Test(merge, adds_the_scaled_product) {
    te_env e = te_open();
    const char *base = te_data("cases/llama-lora-mlp-k30/model");
    const char *adapter = te_data("cases/llama-lora-mlp-k30/adapter");
    tti_merge_opts o = options(&e, base, adapter);
    tti_merge_check c;
    tti_st *w, *ab, *got;
    o.check = false;
    cr_assert_eq(tti_merge(&o, &c), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_st_open(&w, base), TT_OK);
    cr_assert_eq(tti_st_open(&ab, te_path(adapter, "adapter_model.safetensors")), TT_OK);
    cr_assert_eq(tti_st_open(&got, o.out), TT_OK);
    cr_expect_eq(tti_st_count(got), tti_st_count(w));
    for (size_t i = 0; i < tti_st_count(w); i++) {
        const tti_st_tensor *x = tti_st_at(w, i), *y = tti_st_find(got, x->name);
        char name[300];
        cr_assert(y && y->bytes == x->bytes, "%s", x->name);
        snprintf(name, sizeof name, "base_model.model.%.*s.lora_A.weight",
                 (int)(strlen(x->name) - strlen(".weight")), x->name);
        const tti_st_tensor *a = tti_st_find(ab, name);
        if (!a) {
            cr_expect_eq(memcmp(x->data, y->data, x->bytes), 0, "%s", x->name);
            continue;
        }
        memcpy(strstr(name, "lora_A"), "lora_B", strlen("lora_B"));
        const tti_st_tensor *b = tti_st_find(ab, name);
        const size_t r = 5, k = 3, rank = a->dim[0];
        float wv, gv, av, bv;
        cr_assert_eq(tti_st_read_f32(x, &wv, r * x->dim[1] + k, 1), TT_OK);
        cr_assert_eq(tti_st_read_f32(y, &gv, r * x->dim[1] + k, 1), TT_OK);
        double want = (double)wv;
        for (size_t q = 0; q < rank; q++) {
            cr_assert_eq(tti_st_read_f32(a, &av, q * a->dim[1] + k, 1), TT_OK);
            cr_assert_eq(tti_st_read_f32(b, &bv, r * rank + q, 1), TT_OK);
            want += 8.0 / 4.0 * (double)av * (double)bv; /* alpha / rank of the case */
        }
        cr_expect_eq(gv, (float)want, "%s: %.9g, not %.9g", x->name, (double)gv, want);
    }
    tti_st_close(w);
    tti_st_close(ab);
    tti_st_close(got);
    te_close(&e);
}

/* Embeddings that differ by little beside a large number in common, which GPT-2's norm takes away:
 * bf16 cannot hold the difference. */
Test(merge, is_not_called_done_where_the_logits_differ) {
    te_env e = te_open();
    const char *from = te_data("eval/gpt2"), *to = te_temp(&e, "base");
    char *text;
    size_t size;
    tti_st *st;
    tti_st_writer *w;
    cr_assert_eq(tti_mkdirs(to), TT_OK);
    cr_assert_eq(tti_file_read(&text, &size, te_path(from, "config.json"), 1 << 20), TT_OK);
    cr_assert_eq(tti_file_write(te_path(to, "config.json"), text, size), TT_OK);
    tti_free(text);
    cr_assert_eq(tti_st_open(&st, from), TT_OK);
    cr_assert_eq(tti_st_writer_begin(&w, te_path(to, "model.safetensors")), TT_OK);
    for (size_t i = 0; i < tti_st_count(st); i++) {
        const tti_st_tensor *t = tti_st_at(st, i);
        cr_assert_eq(tti_st_writer_declare(w, t->name, TTI_ST_F32, t->rank, t->dim), TT_OK);
    }
    for (size_t i = 0; i < tti_st_count(st); i++) {
        const tti_st_tensor *t = tti_st_at(st, i);
        float *v = tti_malloc(t->count * sizeof *v);
        cr_assert_eq(tti_st_read_f32(t, v, 0, t->count), TT_OK);
        for (size_t k = 0; k < t->count && strstr(t->name, "wte"); k++) v[k] += 64.0f;
        cr_assert_eq(tti_st_writer_write_f32(w, v, t->count), TT_OK);
        tti_free(v);
    }
    cr_assert_eq(tti_st_writer_commit(w), TT_OK);
    tti_st_writer_free(w);
    tti_st_close(st);
    make_adapter(&e, to, "c_attn");
    tti_merge_opts o = options(&e, to, te_temp(&e, "adapter"));
    tti_merge_check c;
    o.dtype = "bf16";
    cr_expect_eq(tti_merge(&o, &c), TT_E_MISMATCH);
    cr_expect(strstr(tt_error(), "worst is prompt"), "%s", tt_error());
    cr_expect(!tti_dir_exists(o.out));
    te_close(&e);
}

Test(merge, refuses_what_does_not_belong_together) {
    te_env e = te_open();
    const char *llama = te_data("cases/llama-lora-mlp-k30/model");
    const char *adapter = te_data("cases/llama-lora-mlp-k30/adapter");
    te_write(&e, "file", "x");
    cr_assert_eq(tti_mkdirs(te_temp(&e, "other")), TT_OK);
    te_write(&e, "other/letter.txt", "x");
    const struct {
        const char *base, *adapter, *out, *dtype;
        tt_status status;
    } cases[] = {
        {te_data("eval/llama"), adapter, te_temp(&e, "o"), NULL, TT_E_SHAPE},
        {llama, llama, te_temp(&e, "o"), NULL, TT_E_IO},
        {llama, adapter, llama, NULL, TT_E_ARG},
        {llama, adapter, te_temp(&e, "file"), NULL, TT_E_ARG},
        {llama, adapter, te_temp(&e, "other"), NULL, TT_E_ARG},
        {llama, adapter, te_temp(&e, "o"), "f8", TT_E_ARG},
        {te_temp(&e, "none"), adapter, te_temp(&e, "o"), NULL, TT_E_IO},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        tti_merge_opts o = options(&e, cases[i].base, cases[i].adapter);
        tti_merge_check c;
        o.out = cases[i].out;
        o.dtype = cases[i].dtype;
        o.check = false;
        cr_expect_eq(tti_merge(&o, &c), cases[i].status, "case %zu: %s", i, tt_error());
    }
    cr_expect(!tti_dir_exists(te_temp(&e, "o")));
    cr_expect(tti_file_exists(te_temp(&e, "other/letter.txt")));
    te_close(&e);
}
