// SPDX-License-Identifier: Apache-2.0
/* Choice of tokens: filters one by one and together, draws by counter, what is refused. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include "host/generate/sample.h"

enum { VOCAB = 12, DRAWS = 20000 };

static const float logits[VOCAB] = {0.5f, 3.0f, -1.0f, 2.0f, 2.0f,  1.0f,
                                    0.0f, 2.5f, -4.0f, 0.2f, -0.3f, 1.5f};

static int32_t next(const tti_sampling *o, const float *x, const int32_t *seen, size_t n,
                    uint32_t sequence, uint32_t step) {
    tti_sampler *s;
    float copy[VOCAB];
    int32_t id = -1;
    memcpy(copy, x, sizeof copy);
    cr_assert_eq(tti_sampler_new(&s, o, VOCAB), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_sampler_next(s, copy, seen, n, sequence, step, &id), TT_OK, "%s", tt_error());
    tti_sampler_free(s);
    return id;
}

/* Shares of many draws against probabilities of the tokens that pass, renormalised. */
static void expect_shares(const char *why, const tti_sampling *o, const double *want) {
    tti_sampler *s;
    double all = 0;
    int count[VOCAB] = {0};
    for (int i = 0; i < VOCAB; i++) all += want[i];
    cr_assert_eq(tti_sampler_new(&s, o, VOCAB), TT_OK, "%s", tt_error());
    for (uint32_t d = 0; d < DRAWS; d++) {
        float x[VOCAB];
        int32_t id;
        memcpy(x, logits, sizeof x);
        cr_assert_eq(tti_sampler_next(s, x, NULL, 0, d % 7, d / 7, &id), TT_OK);
        count[id]++;
    }
    for (int i = 0; i < VOCAB; i++) {
        const double p = want[i] / all, off = fabs((double)count[i] / DRAWS - p);
        cr_expect(p > 0 || count[i] == 0, "%s: token %d was drawn", why, i);
        cr_expect(off <= 5 * sqrt(p * (1 - p) / DRAWS) + 1e-9, "%s: token %d: %d of %d, not %g",
                  why, i, count[i], DRAWS, p);
    }
    tti_sampler_free(s);
}

static void weights(double *w, double temperature, const char *pass) {
    for (int i = 0; i < VOCAB; i++)
        w[i] = pass[i] == '1' ? exp((double)logits[i] / temperature) : 0;
}

/* pass: the tokens that remain, worked out by hand. Probabilities at temperature 1, in order:
 * 1: .339, 7: .206, 3 and 4: .125, 11: .076, 5: .046, 0: .028, ... */
Test(sample, filters) {
    static const struct {
        const char *why;
        tti_sampling o;
        const char *pass;
    } cases[] = {
        {"all", {1.0f, 0, 1, 0, 1, 1}, "111111111111"},
        {"colder", {0.5f, 0, 1, 0, 1, 2}, "111111111111"},
        {"top 2", {1.0f, 2, 1, 0, 1, 3}, "010000010000"},
        {"top 3, two alike", {1.0f, 3, 1, 0, 1, 3}, "010110010000"},
        {"top 1", {1.0f, 1, 1, 0, 1, 3}, "010000000000"},
        {"top of all", {1.0f, 100, 1, 0, 1, 3}, "111111111111"},
        {"half", {1.0f, 0, 0.5f, 0, 1, 4}, "010000010000"},
        {"a little", {1.0f, 0, 0.01f, 0, 1, 4}, "010000000000"},
        {"three quarters", {1.0f, 0, 0.75f, 0, 1, 4}, "010110010000"},
        {"a fifth of the largest", {1.0f, 0, 1, 0.2f, 1, 5}, "010110010001"},
        {"top 4 and half", {1.0f, 4, 0.6f, 0, 1, 6}, "010000010000"},
        {"top 4 and most", {1.0f, 4, 0.7f, 0, 1, 6}, "010100010000"},
        {"all three", {2.0f, 5, 0.9f, 0.5f, 1, 7}, "010110010000"},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        double w[VOCAB];
        weights(w, (double)cases[i].o.temperature, cases[i].pass);
        expect_shares(cases[i].why, &cases[i].o, w);
    }
}

Test(sample, greedy_and_repetition) {
    tti_sampling o = tti_sampling_defaults();
    const int32_t seen[] = {1, 1, 2, 99, -1};
    cr_expect_eq(next(&o, logits, NULL, 0, 0, 0), 1);
    o.repetition = 1.1f; /* 3.0 becomes 2.73, once although seen twice */
    cr_expect_eq(next(&o, logits, seen, 5, 0, 0), 1);
    o.repetition = 1.3f; /* 2.31 */
    cr_expect_eq(next(&o, logits, seen, 5, 0, 0), 7);
    float low[VOCAB];
    for (int i = 0; i < VOCAB; i++) low[i] = -2.0f - 0.1f * (float)i;
    const int32_t first[] = {0};
    cr_expect_eq(next(&o, low, first, 1, 0, 0), 1, "a negative logit is multiplied");
}

Test(sample, draws_depend_on_seed_sequence_and_step_alone) {
    tti_sampling o = tti_sampling_defaults();
    o.temperature = 5;
    o.seed = 3;
    size_t other[3] = {0};
    for (uint32_t i = 0; i < 200; i++) {
        const int32_t id = next(&o, logits, NULL, 0, 4, i);
        cr_expect_eq(next(&o, logits, NULL, 0, 4, i), id);
        other[0] += next(&o, logits, NULL, 0, 5, i) != id;
        other[1] += next(&o, logits, NULL, 0, 4, i + 1) != id;
        o.seed = 4;
        other[2] += next(&o, logits, NULL, 0, 4, i) != id;
        o.seed = 3;
    }
    for (int k = 0; k < 3; k++) cr_expect(other[k] > 120, "%d: only %zu differ", k, other[k]);
}

Test(sample, refusals) {
    static const struct {
        tti_sampling o;
        const char *part;
    } bad[] = {
        {{-1, 0, 1, 0, 1, 0}, "temperature -1"}, {{NAN, 0, 1, 0, 1, 0}, "temperature"},
        {{1, 0, 0, 0, 1, 0}, "top-p 0"},         {{1, 0, 1.1f, 0, 1, 0}, "top-p 1.1"},
        {{1, 0, 1, 1, 1, 0}, "min-p 1"},         {{1, 0, 1, -0.1f, 1, 0}, "min-p -0.1"},
        {{1, 0, 1, 0, 0, 0}, "repetition"},      {{1, 0, 1, 0, INFINITY, 0}, "repetition"},
    };
    for (size_t i = 0; i < TT_COUNT(bad); i++) {
        cr_expect_eq(tti_sampling_check(&bad[i].o), TT_E_ARG, "%zu", i);
        cr_expect(strstr(tt_error(), bad[i].part), "%s", tt_error());
    }
    tti_sampling o = tti_sampling_defaults();
    tti_sampler *s;
    float x[VOCAB];
    int32_t id;
    cr_assert_eq(tti_sampler_new(&s, &o, VOCAB), TT_OK);
    const float spoilt[] = {NAN, INFINITY};
    for (int i = 0; i < VOCAB; i++)
        for (int k = 0; k < 2; k++) {
            memcpy(x, logits, sizeof x);
            x[i] = spoilt[k];
            cr_expect_eq(tti_sampler_next(s, x, NULL, 0, 0, 0, &id), TT_E_NUMERIC, "%d", i);
        }
    for (int i = 0; i < VOCAB; i++) x[i] = i == 6 ? 1.0f : -INFINITY;
    cr_expect_eq(tti_sampler_next(s, x, NULL, 0, 0, 0, &id), TT_OK);
    cr_expect_eq(id, 6);
    tti_sampler_free(s);
}
