// SPDX-License-Identifier: Apache-2.0
/* test_budget.c - the search for settings and sizes that fit: on a made-up cost whose answer is
 * known, and on the plan of a small decoder. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include "host/train/batch.h"
#include "host/train/budget.h"
#include "host/train/select.h"

/* ---- a cost that is known ---- */

typedef struct {
    size_t weights, token, scratch; /* scratch: of matrix products, only in exact costs */
    size_t rest; /* keys of a token without gradient, a quarter of it in q8, none computed again */
    int calls;
} made_up;

/* A token kept costs `token` bytes, half of it in 16 bits, a quarter of that with recomputed MLPs
 * and a tenth with recomputed blocks; keys in 8 bits save one byte in a hundred more. */
static tt_status made_up_cost(void *ctx, const tti_dials *d, bool exact, tti_cost *out) {
    made_up *m = ctx;
    m->calls++;
    const double tokens = (double)(d->seq * d->batch) * d->keep;
    double kept = tokens * (double)m->token;
    if (d->kept != TTI_F32) kept /= 2;
    if (d->recompute == TTI_RECOMPUTE_MLP) kept /= 4;
    if (d->recompute == TTI_RECOMPUTE_BLOCK) kept /= 10;
    if (d->keys == TTI_Q8 || d->recompute_keys) kept *= 0.99;
    if (!d->recompute_keys)
        kept += (double)(d->seq * d->batch) * (1 - d->keep) * (double)m->rest /
                (d->keys == TTI_Q8     ? 4
                 : d->keys == TTI_BF16 ? 2
                                       : 1);
    const size_t weights = d->weights == TTI_BF16  ? m->weights / 2
                           : d->weights == TTI_NF4 ? m->weights / 8
                                                   : m->weights;
    *out = (tti_cost){.flops = tokens};
    out->bytes.kept = (size_t)kept;
    out->bytes.weights = weights / (d->method == TTI_CONFIG_FULL ? 1 : 2);
    out->total = out->bytes.kept + out->bytes.weights + (exact ? m->scratch : 0);
    out->flops *= 1 + 0.2 * (int)d->recompute + (d->recompute_keys ? 0.05 : 0);
    return TT_OK;
}

enum { SIZES = TTI_DIAL_KEEP | TTI_DIAL_SEQ | TTI_DIAL_BATCH };
enum { SETTINGS = TTI_DIAL_RECOMPUTE | TTI_DIAL_KEPT | TTI_DIAL_KEYS };

static tti_budget budget_of(made_up *m, size_t limit, unsigned open) {
    return (tti_budget){
        .cost = made_up_cost, .ctx = m, .limit = limit, .open = open, .longest = 1024, .most = 64};
}

static tti_dials find(made_up *m, size_t limit, unsigned open, bool *fits, tti_cost *c) {
    const tti_budget b = budget_of(m, limit, open);
    tti_dials d = tti_dials_defaults();
    m->calls = 0;
    cr_assert_eq(tti_budget_find(&b, &d, c, fits), TT_OK, "%s", tt_error());
    return d;
}

Test(budget, takes_the_fastest_settings_that_fit) {
    made_up m = {.weights = 1000, .token = 100}; /* 2048 tokens: 204800 bytes kept */
    static const struct {
        size_t limit;
        tti_recompute recompute;
        tti_dtype kept, keys;
        bool fits;
    } cases[] = {
        {300000, TTI_RECOMPUTE_NONE, TTI_F32, TTI_F32, true},
        {205800, TTI_RECOMPUTE_NONE, TTI_F32, TTI_F32, true},
        {205799, TTI_RECOMPUTE_NONE, TTI_F32, TTI_Q8, true},
        {203000, TTI_RECOMPUTE_NONE, TTI_BF16, TTI_BF16, true},
        {103399, TTI_RECOMPUTE_NONE, TTI_BF16, TTI_Q8, true},
        {100000, TTI_RECOMPUTE_MLP, TTI_F32, TTI_F32, true},
        {26000, TTI_RECOMPUTE_BLOCK, TTI_F32, TTI_F32, true},
        {11200, TTI_RECOMPUTE_BLOCK, TTI_BF16, TTI_Q8, true},
        {11000, TTI_RECOMPUTE_BLOCK, TTI_BF16, TTI_Q8, false},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        bool fits;
        tti_cost c;
        const tti_dials d = find(&m, cases[i].limit, SETTINGS, &fits, &c);
        cr_expect_eq(fits, cases[i].fits, "case %zu", i);
        cr_expect_eq(c.total <= cases[i].limit, cases[i].fits, "case %zu: %zu", i, c.total);
        cr_expect_eq(d.recompute, cases[i].recompute, "case %zu: %d", i, (int)d.recompute);
        cr_expect_eq(d.kept, cases[i].kept, "case %zu: %d", i, (int)d.kept);
        if (fits) cr_expect_eq(d.keys, cases[i].keys, "case %zu: %d", i, (int)d.keys);
        cr_expect(d.batch == 8 && d.seq == 256 && !(d.keep < 1), "case %zu: sizes", i);
    }
}

Test(budget, what_is_given_stays) {
    made_up m = {.weights = 1000, .token = 100};
    bool fits;
    tti_cost c;
    const tti_dials d = find(&m, 52300, TTI_DIAL_RECOMPUTE, &fits, &c);
    cr_expect(fits && d.kept == TTI_F32 && d.recompute == TTI_RECOMPUTE_MLP);
    find(&m, 10, 0, &fits, &c);
    cr_expect(!fits && m.calls == 1, "nothing is open");
}

Test(budget, frozen_weights_may_be_lowered) {
    made_up m = {.weights = 1000000, .token = 1};
    tti_budget b = budget_of(&m, 300000, TTI_DIAL_WEIGHTS);
    tti_cost c;
    bool fits;
    for (int method = TTI_CONFIG_FULL; method <= TTI_CONFIG_QLORA; method++) {
        tti_dials d = tti_dials_defaults();
        d.method = method;
        tti_dials_settle(&d, 0);
        cr_assert_eq(tti_budget_find(&b, &d, &c, &fits), TT_OK);
        static const int weights[] = {TTI_AS_STORED, TTI_BF16, TTI_NF4};
        cr_expect_eq(d.weights, weights[method], "%s: %d", tti_method_name(method), d.weights);
        cr_expect_eq(fits, method != TTI_CONFIG_FULL);
    }
}

/* The size sought is the largest: one step more does not fit. */
static void expect_largest(made_up *m, const tti_dials *d, size_t limit, unsigned dial) {
    tti_dials least = *d;
    tti_cost c;
    least.recompute = TTI_RECOMPUTE_BLOCK;
    least.kept = TTI_BF16;
    least.keys = TTI_Q8;
    made_up_cost(m, &least, true, &c);
    cr_expect(c.total <= limit, "%zu", c.total);
    if (dial == TTI_DIAL_KEEP) least.keep += 0.001;
    if (dial == TTI_DIAL_SEQ) least.seq++;
    if (dial == TTI_DIAL_BATCH) least.batch++;
    made_up_cost(m, &least, true, &c);
    cr_expect(c.total > limit, "%zu of %zu with one more", c.total, limit);
}

Test(budget, sizes_in_their_order) {
    made_up m = {.weights = 1000, .token = 1000};
    bool fits;
    tti_cost c;
    /* 256 tokens in full, at the smallest settings: 12672 bytes kept */
    tti_dials d = find(&m, 8000, SIZES | SETTINGS, &fits, &c);
    cr_expect(fits && d.seq == 256 && d.batch == 1 && d.keep < 1 && d.keep > 0.5, "%g", d.keep);
    expect_largest(&m, &d, 8000, TTI_DIAL_KEEP);
    d = find(&m, 40000, SIZES | SETTINGS, &fits, &c);
    cr_expect(fits && d.batch == 1 && !(d.keep < 1) && d.seq > 700 && d.seq < 1024, "%zu", d.seq);
    expect_largest(&m, &d, 40000, TTI_DIAL_SEQ);
    d = find(&m, 400000, SIZES | SETTINGS, &fits, &c);
    cr_expect(fits && !(d.keep < 1) && d.seq == 1024 && d.batch > 5, "%zu", d.batch);
    expect_largest(&m, &d, 400000, TTI_DIAL_BATCH);
    d = find(&m, 400000000, SIZES | SETTINGS, &fits, &c);
    cr_expect(fits && d.seq == 1024 && d.batch == 64, "no more than asked for");
    cr_expect(d.recompute == TTI_RECOMPUTE_NONE && d.kept == TTI_F32, "room for the fastest");
    d = find(&m, 900, SIZES | SETTINGS, &fits, &c);
    cr_expect(!fits && d.keep < 0.0011, "%g", d.keep);
    cr_expect_lt(m.calls, 300);
    d = find(&m, 400000, TTI_DIAL_BATCH | SETTINGS, &fits, &c);
    cr_expect(fits && d.seq == 256 && d.batch > 20, "%zu", d.batch);
    expect_largest(&m, &d, 400000, TTI_DIAL_BATCH);
    d = find(&m, 4000, TTI_DIAL_SEQ | SETTINGS, &fits, &c);
    cr_expect(fits && d.seq < 256 && d.batch == 8, "shorter where it must be: %zu", d.seq);
}

/* Against all keeps and settings there are: where tokens without gradient cost something too. */
Test(budget, no_larger_keep_would_fit) {
    for (uint32_t i = 0; i < 40; i++) {
        made_up m = {.weights = 1000, .token = 400 + i * 37 % 900, .rest = i * 53 % 300};
        const size_t limit = 2000 + i * 977 % 30000;
        bool fits;
        tti_cost c;
        const tti_dials d = find(&m, limit, TTI_DIAL_KEEP | SETTINGS, &fits, &c);
        int best = 0;
        for (int k = 1000; k > 0 && !best; k--)
            for (int n = 0; n < 18; n++) {
                tti_dials t = d;
                t.keep = (double)k / 1000;
                t.recompute = (tti_recompute)(n % 3);
                t.kept = n / 3 % 2 ? TTI_BF16 : TTI_F32;
                t.keys = n / 6 == 1 ? TTI_Q8 : t.kept;
                t.recompute_keys = n / 6 == 2;
                made_up_cost(&m, &t, true, &c);
                if (c.total <= limit) best = k;
            }
        cr_expect_eq(fits, best > 0, "case %u", i);
        if (fits) cr_expect_float_eq(d.keep * 1000, best, 0.5, "case %u: %g, %d", i, d.keep, best);
    }
}

Test(budget, counts_the_scratch_of_products) {
    made_up m = {.weights = 1000, .token = 1000, .scratch = 3000};
    bool fits;
    tti_cost c;
    const tti_dials d = find(&m, 8000, SIZES | SETTINGS, &fits, &c);
    cr_expect(fits && c.total <= 8000, "%zu", c.total);
    expect_largest(&m, &d, 8000, TTI_DIAL_KEEP);
}

Test(budget, says_what_would_fit) {
    static const struct {
        size_t weights, token, limit;
        unsigned advise;
        const char *says;
    } cases[] = {
        {1000, 100, 100000, SETTINGS, "memory.recompute=mlp would need 51.0 KiB"},
        {1000, 100, 150000, SIZES, "select.keep=0.72 would need"},
        {1000, 100, 150000, SIZES, "; or train.batch=5 126.0 KiB"},
        {1000, 100, 204000, TTI_DIAL_KEYS, "storage.keys=q8 would need"},
        {100000, 1, 60000, TTI_DIAL_METHOD | TTI_DIAL_KEPT, "method.name=lora would need"},
        {100000, 1, 20000, TTI_DIAL_METHOD | TTI_DIAL_KEPT,
         "method.name=qlora storage.weights=nf4 would need"},
        {1000, 100, 14000, SETTINGS,
         "memory.recompute=block storage.kept=bf16 storage.keys=q8 would need"},
        {1000, 100, 1100, SETTINGS | SIZES,
         "with every setting at its smallest it would need 1.1 KiB"},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        made_up m = {.weights = cases[i].weights, .token = cases[i].token};
        tti_budget b = budget_of(&m, cases[i].limit, 0);
        const tti_dials d = tti_dials_defaults();
        tti_str s = {0};
        b.advise = cases[i].advise;
        cr_assert_eq(tti_budget_advice(&s, &b, &d, TTI_SAY_KEYS), TT_OK);
        cr_expect(strstr(s.p, cases[i].says), "case %zu: %s\nexpected %s", i, s.p, cases[i].says);
        cr_expect_null(strchr(s.p, '\n'));
        tti_str_free(&s);
    }
}

/* ---- a real plan ---- */

typedef struct {
    tti_model *model;
    tti_dials loaded;
} small;

static tt_status small_cost(void *ctx, const tti_dials *d, bool exact, tti_cost *out) {
    (void)exact;
    small *m = ctx;
    const tti_caps caps = {.cpu = true,
                           .wg = 1,
                           .vw = 16,
                           .att_rows = 16,
                           .align = 128,
                           .max_alloc = SIZE_MAX / 2,
                           .memory = SIZE_MAX / 2};
    if (!m->model || m->loaded.method != d->method || m->loaded.weights != d->weights) {
        tti_model_opts o = tti_model_defaults();
        o.task = TTI_TASK_CAUSAL;
        tti_dials_model(d, &o);
        tti_model_free(m->model);
        m->model = NULL;
        TT_TRY(tti_model_load(&m->model, NULL, TT_TEST_DATA "/cases/llama-full-all/model", &o));
        m->loaded = *d;
    }
    const tti_model_info *info = tti_model_get_info(m->model);
    const tti_selector s = {.decoder = true, .keep = d->keep};
    const size_t k = tti_selected(&s, &(tti_choice){.n = d->seq});
    tti_session_opts o = tti_session_defaults();
    o.training = true;
    o.max = tti_batch_bounds(info, caps.att_rows, d->batch, d->batch * d->seq, d->batch * k, 1);
    tti_dials_session(d, &o);
    TT_TRY(tti_session_plan_work(&out->bytes, &out->flops, &caps, NULL, m->model, &o));
    out->total = out->bytes.total;
    return TT_OK;
}

static size_t total(small *m, const tti_dials *d) {
    tti_cost c;
    cr_assert_eq(small_cost(m, d, false, &c), TT_OK, "%s", tt_error());
    return c.total;
}

Test(budget, bytes_of_a_plan_grow_with_every_size) {
    small m = {0};
    tti_dials d = tti_dials_defaults();
    d.batch = 4;
    d.seq = 48;
    size_t before = 0;
    for (d.keep = 0.05; d.keep < 1.01; d.keep += 0.05) {
        const size_t now = total(&m, &(tti_dials){.keep = fmin(d.keep, 1),
                                                  .batch = 4,
                                                  .seq = 48,
                                                  .weights = TTI_AS_STORED,
                                                  .head = TTI_AS_STORED});
        cr_expect(now + 4096 >= before, "keep %g: %zu after %zu", d.keep, now, before);
        before = now;
    }
    d.keep = 0.3;
    before = 0;
    for (d.batch = 1; d.batch < 30; d.batch++) {
        const size_t now = total(&m, &d);
        cr_expect(now > before, "batch %zu: %zu after %zu", d.batch, now, before);
        before = now;
    }
    tti_model_free(m.model);
}

Test(budget, a_plan_fits_and_the_next_larger_does_not) {
    static const size_t limits[] = {660000, 700000, 800000, 1 << 20, 3 << 20};
    small m = {0};
    for (size_t i = 0; i < TT_COUNT(limits); i++) {
        tti_budget b = {.cost = small_cost,
                        .ctx = &m,
                        .limit = limits[i],
                        .longest = 64,
                        .most = 1000,
                        .open = SIZES};
        tti_dials d = tti_dials_defaults();
        d.seq = 16;
        tti_cost c;
        bool fits;
        cr_assert_eq(tti_budget_find(&b, &d, &c, &fits), TT_OK, "%s", tt_error());
        cr_assert(fits, "%zu: %zu", limits[i], c.total);
        cr_expect(c.total <= limits[i] && c.total == total(&m, &d));
        if (d.keep < 1)
            d.keep += 0.07; /* 16 positions: one more */
        else if (d.seq < 64)
            d.seq++;
        else
            d.batch++;
        cr_expect(total(&m, &d) > limits[i], "%zu: keep %g, %zu x %zu", limits[i], d.keep, d.batch,
                  d.seq);
    }
    tti_model_free(m.model);
}

Test(budget, the_smallest_settings_need_least) {
    small m = {0};
    for (int method = TTI_CONFIG_FULL; method <= TTI_CONFIG_QLORA; method++) {
        tti_dials d = tti_dials_defaults();
        d.method = method;
        d.seq = 64;
        tti_dials_settle(&d, 0);
        const size_t usual = total(&m, &d);
        tti_dials_smallest(&d, TTI_DIAL_WEIGHTS);
        const size_t least = total(&m, &d);
        cr_expect(least < usual, "%s: %zu and %zu", tti_method_name(method), least, usual);
        for (int i = 0; i < 4; i++) {
            tti_dials t = d;
            if (i == 0) t.recompute = TTI_RECOMPUTE_NONE;
            if (i == 1) t.kept = TTI_F32;
            if (i == 2) t.optimizer = TTI_OPT_ADAMW;
            if (i == 3) t.keep = 0.1;
            const size_t now = total(&m, &t);
            cr_expect(i == 3 ? now < least : now > least, "%s, change %d: %zu and %zu",
                      tti_method_name(method), i, now, least);
        }
    }
    tti_model_free(m.model);
}
