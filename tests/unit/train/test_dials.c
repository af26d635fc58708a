// SPDX-License-Identifier: Apache-2.0
/* test_dials.c - what the dials of memory change and what they must not: recomputation leaves every
 * bit of a gradient, storage in fewer bits an error within what the type explains, and each
 * combination allocates what was planned, to the byte. */
#include "dial_support.h"

#define CASE(name) TT_TEST_DATA "/cases/" name

static const char *const cases[] = {
    CASE("bert-cls-full-k30"),  CASE("bert-small-lora-all"),    CASE("distilbert-small-lora"),
    CASE("llama-gqa-full-k10"), CASE("llama-lora-mlp-k30"),     CASE("gpt2-full-k30"),
    CASE("gemma3-full-k30"),    CASE("phi3-lora-k30"),          CASE("qwen3-full-k30"),
    CASE("llama-full-all"),     CASE("mistral-window-full-k30")};

static const td_dials plain = {.name = "plain"};

static const td_dials again[] = {
    {.name = "mlp", .recompute = TTI_RECOMPUTE_MLP},
    {.name = "block", .recompute = TTI_RECOMPUTE_BLOCK},
    {.name = "keys", .recompute_keys = true},
    {.name = "block and keys", .recompute = TTI_RECOMPUTE_BLOCK, .recompute_keys = true},
};

Test(dials, recomputation_keeps_every_bit, .timeout = 300) {
    td_env e = td_open();
    for (size_t i = 0; i < TT_COUNT(cases); i++)
        for (int dropout = 0; dropout < 2; dropout++) {
            td_dials t = plain;
            t.dropout = dropout ? 0.1f : 0.0f;
            td_step want = td_run(&e, cases[i], &t);
            for (size_t k = 0; k < TT_COUNT(again); k++) {
                t = again[k];
                t.dropout = dropout ? 0.1f : 0.0f;
                td_step got = td_run(&e, cases[i], &t);
                cr_expect_eq(got.loss, want.loss, "%s %s: loss %.9g, not %.9g", cases[i], t.name,
                             (double)got.loss, (double)want.loss);
                cr_expect(td_error(&got, &want) == 0, "%s %s: gradients differ by %.3g", cases[i],
                          t.name, td_error(&got, &want));
                td_free(&got);
            }
            td_free(&want);
        }
    td_close(&e);
}

/* Relative error of the whole gradient, in units of the type's: 2^-11, 2^-8, and 1/254 of a block's
 * largest. Cases of a few rows and layers multiply it by little. */
static const struct {
    td_dials t;
    double most;
} stored[] = {
    {{.name = "kept f16", .kept = TTI_F16, .keys = TTI_F16}, 2e-3},
    {{.name = "kept bf16", .kept = TTI_BF16, .keys = TTI_BF16}, 1.5e-2},
    {{.name = "keys q8", .keys = TTI_Q8}, 2e-2},
    {{.name = "all of it", .kept = TTI_BF16, .keys = TTI_Q8, .recompute = TTI_RECOMPUTE_BLOCK},
     3e-2},
    {{.name = "f16 gradients", .gradients = TTI_F16}, 2e-3},
    {{.name = "bf16 gradients", .gradients = TTI_BF16}, 8e-3},
};

Test(dials, storage_costs_what_the_type_explains, .timeout = 300) {
    td_env e = td_open();
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        td_step want = td_run(&e, cases[i], &plain);
        for (size_t k = 0; k < TT_COUNT(stored); k++) {
            td_step got = td_run(&e, cases[i], &stored[k].t);
            const double error = td_error(&got, &want);
            cr_expect(error <= stored[k].most, "%s %s: gradients are off by %.3g of %.3g", cases[i],
                      stored[k].t.name, error, stored[k].most);
            td_free(&got);
        }
        td_free(&want);
    }
    td_close(&e);
}

static const char *const adapted[] = {CASE("bert-small-lora-all"), CASE("llama-lora-mlp-k30"),
                                      CASE("phi3-lora-k30"), CASE("qwen2-lora-all-k30")};
static const int base_types[] = {TTI_F16, TTI_BF16, TTI_Q8, TTI_NF4};

Test(dials, gradients_over_a_quantised_base_are_those_over_its_values, .timeout = 300) {
    td_env e = td_open();
    for (size_t i = 0; i < TT_COUNT(adapted); i++)
        for (size_t k = 0; k < TT_COUNT(base_types); k++) {
            const int type = base_types[k];
            const td_dials t = {.name = "typed", .weights = type, .head = type};
            const td_dials f = {.name = "its values", .through = type};
            td_step got = td_run(&e, adapted[i], &t), want = td_run(&e, adapted[i], &f);
            cr_expect_eq(got.loss, want.loss, "%s %s: loss %.9g, not %.9g", adapted[i],
                         tti_dtype_name((tti_dtype)type), (double)got.loss, (double)want.loss);
            cr_expect(td_error(&got, &want) == 0, "%s %s: gradients differ by %.3g", adapted[i],
                      tti_dtype_name((tti_dtype)type), td_error(&got, &want));
            td_free(&got);
            td_free(&want);
        }
    td_close(&e);
}

static bool same_bytes(const tti_bytes *a, const tti_bytes *b) {
    return a->weights == b->weights && a->gradients == b->gradients &&
           a->optimizer == b->optimizer && a->kept == b->kept && a->transient == b->transient &&
           a->inputs == b->inputs && a->workspace == b->workspace && a->total == b->total;
}

Test(dials, streamed_weights_keep_every_bit, .timeout = 300) {
    td_env e = td_open();
    for (size_t i = 0; i < TT_COUNT(adapted); i++)
        for (size_t k = 0; k < TT_COUNT(base_types); k++)
            for (int again_i = TTI_RECOMPUTE_NONE; again_i <= TTI_RECOMPUTE_BLOCK; again_i += 2) {
                td_dials t = {.name = tti_dtype_name((tti_dtype)base_types[k]),
                              .weights = base_types[k],
                              .head = TTI_AS_STORED,
                              .recompute = (tti_recompute)again_i,
                              .dropout = 0.1f};
                td_step want = td_run(&e, adapted[i], &t);
                t.stream = true;
                td_step got = td_run(&e, adapted[i], &t);
                cr_expect_eq(got.loss, want.loss, "%s %s: loss", adapted[i], t.name);
                cr_expect(td_error(&got, &want) == 0, "%s %s: gradients", adapted[i], t.name);
                cr_expect(same_bytes(&got.planned, &got.allocated),
                          "%s %s: planned %zu, allocated %zu", adapted[i], t.name,
                          got.planned.total, got.allocated.total);
                td_free(&got);
                td_free(&want);
            }
    td_close(&e);
}

static const int weight_types[] = {TTI_F32, TTI_F16, TTI_BF16, TTI_Q8, TTI_NF4};
static const tti_store_opts store_types[] = {
    {TTI_F32, TTI_F32}, {TTI_F16, TTI_F16}, {TTI_BF16, TTI_BF16}, {TTI_BF16, TTI_Q8}};

/* One weight type, method and optimizer: every way of storing and recomputing. */
static void check_bytes(td_env *e, const char *dir, td_dials t) {
    char name[128];
    for (size_t k = 0; k < TT_COUNT(store_types); k++)
        for (int again_i = TTI_RECOMPUTE_NONE; again_i <= TTI_RECOMPUTE_BLOCK; again_i++)
            for (int keys = 0; keys < 2; keys++) {
                t.kept = store_types[k].kept;
                t.keys = store_types[k].keys;
                t.recompute = (tti_recompute)again_i;
                t.recompute_keys = keys != 0;
                snprintf(name, sizeof name,
                         "weights %d kept %d keys %d recompute %d%s optimizer %d", t.weights,
                         (int)t.kept, (int)t.keys, again_i, keys ? "+keys" : "", (int)t.optimizer);
                t.name = name;
                td_step got = td_run(e, dir, &t);
                cr_expect(same_bytes(&got.planned, &got.allocated),
                          "%s %s: planned %zu, allocated %zu", dir, name, got.planned.total,
                          got.allocated.total);
                td_free(&got);
            }
}

Test(dials, what_is_planned_is_allocated, .timeout = 600) {
    td_env e = td_open();
    for (size_t w = 0; w < TT_COUNT(weight_types); w++) {
        td_dials t = {.weights = weight_types[w], .head = TTI_AS_STORED};
        t.optimizer = (tti_optimizer_kind)(w % TTI_OPT_KINDS);
        check_bytes(&e, CASE("llama-lora-mlp-k30"), t);
        t.gradients = w == 1 ? TTI_F16 : w == 2 ? TTI_BF16 : TTI_F32;
        if (w < 3) check_bytes(&e, CASE("bert-cls-full-k30"), t);
    }
    td_close(&e);
}
