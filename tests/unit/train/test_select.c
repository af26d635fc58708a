// SPDX-License-Identifier: Apache-2.0
/* test_select.c - counts and draws of selected positions. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include "host/train/select.h"

Test(select, counts_as_python_rounds) {
    static const struct {
        double keep;
        size_t n, want;
    } cases[] = {
        {0.3, 23, 7},  {0.3, 9, 3},   {0.3, 31, 9},  {0.3, 1, 1}, {0.1, 4, 1},  {0.5, 5, 2},
        {0.5, 7, 4},   {1.0, 17, 17}, {2, 17, 2},    {16, 9, 9},  {2.9, 17, 2}, {0.3, 256, 77},
        {0.001, 3, 1}, {1e300, 5, 5}, {0.25, 10, 2}, {0.3, 0, 0}, {0.75, 2, 2},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++)
        cr_expect_eq(tti_select_count(cases[i].keep, cases[i].n), cases[i].want, "case %zu: %zu", i,
                     tti_select_count(cases[i].keep, cases[i].n));
}

Test(select, draws_ascend_and_hold_the_first) {
    int32_t p[64];
    for (uint32_t n = 1; n <= 64; n++)
        for (uint32_t count = 1; count <= n; count++) {
            memset(p, 0x7f, sizeof p);
            tti_select_draw(p, count, n, 3, n, count);
            cr_expect_eq(p[0], 0);
            for (uint32_t i = 1; i < count; i++)
                cr_expect(p[i] > p[i - 1] && p[i] < (int32_t)n, "n %u count %u", n, count);
        }
}

/* Each position but the first is in k-1 of n-1 draws, each pair in its share: a draw that favoured
 * neighbours or the ends would fail. Bounds are five standard deviations. */
Test(select, is_uniform_over_subsets) {
    enum { N = 11, K = 4, DRAWS = 40000 };
    static int single[N], pair[N][N];
    for (uint32_t i = 0; i < DRAWS; i++) {
        int32_t p[K];
        tti_select_draw(p, K, N, 42, i / 100, i % 100);
        for (int a = 0; a < K; a++) {
            single[p[a]]++;
            for (int b = a + 1; b < K; b++) pair[p[a]][p[b]]++;
        }
    }
    double one = (K - 1.0) / (N - 1), two = one * (K - 2.0) / (N - 2);
    cr_expect_eq(single[0], DRAWS);
    for (int a = 1; a < N; a++) {
        double bound = 5 * sqrt(DRAWS * one * (1 - one));
        cr_expect(fabs(single[a] - DRAWS * one) < bound, "position %d: %d", a, single[a]);
        for (int b = a + 1; b < N; b++)
            cr_expect(fabs(pair[a][b] - DRAWS * two) < 5 * sqrt(DRAWS * two * (1 - two)),
                      "positions %d and %d: %d", a, b, pair[a][b]);
    }
}

Test(select, depends_on_seed_step_and_sequence_alone) {
    int32_t a[20], b[20], c[20];
    tti_select_draw(a, 20, 100, 1, 2, 3);
    tti_select_draw(b, 20, 100, 1, 2, 3);
    cr_expect(memcmp(a, b, sizeof a) == 0);
    uint32_t other[][3] = {{0, 2, 3}, {1, 0, 3}, {1, 2, 0}};
    for (int i = 0; i < 3; i++) {
        tti_select_draw(c, 20, 100, other[i][0], other[i][1], other[i][2]);
        cr_expect(memcmp(a, c, sizeof a) != 0, "word %d changes nothing", i);
    }
}

/* ---- decoders ---- */

static tti_selector decoder(tti_select_policy policy, double keep) {
    return (tti_selector){
        .policy = policy, .decoder = true, .keep = keep, .temperature = 1, .seed = 7};
}

Test(select, decoders_count_first_and_last_besides) {
    static const struct {
        double keep;
        size_t n, want;
    } cases[] = {
        {0.3, 1, 1}, {0.3, 2, 2},  {0.3, 3, 2}, {0.3, 12, 5}, {0.5, 7, 4}, {0.01, 9, 2},
        {1, 9, 9},   {2, 9, 2},    {1.5, 9, 2}, {5, 9, 5},    {100, 9, 9}, {0.3, 512, 155},
        {0.5, 3, 2}, {0.75, 4, 4}, {1.0, 1, 1}, {3, 2, 2},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        const tti_selector s = decoder(TTI_SELECT_RANDOM, cases[i].keep);
        const size_t got = tti_selected(&s, &(tti_choice){.n = cases[i].n});
        cr_expect_eq(got, cases[i].want, "case %zu: %zu", i, got);
    }
}

/* Of every policy: ascending positions, the first and the last among them, as many as said. */
Test(select, every_policy_keeps_first_and_last) {
    enum { N = 40 };
    float loss[N];
    int32_t next[N], p[N];
    for (int t = 0; t < N; t++) {
        loss[t] = (float)(t % 7);
        next[t] = t > 9 && t < 30 ? 1 : -1;
    }
    for (int policy = TTI_SELECT_RANDOM; policy <= TTI_SELECT_LOSS; policy++)
        for (size_t n = 1; n <= N; n++)
            for (double keep = 0.1; keep < 25; keep *= 1.9) {
                const tti_selector s = decoder((tti_select_policy)policy, keep);
                const tti_choice c = {.n = n, .prompt = 10, .next = next, .loss = loss, .step = 3};
                const size_t k = tti_selected(&s, &c);
                cr_assert(k >= TT_MIN(n, 2) && k <= n);
                p[k - 1] = -1;
                cr_assert_eq(tti_select(p, &s, &c), TT_OK);
                cr_expect(p[0] == 0 && p[k - 1] == (int32_t)n - 1, "policy %d n %zu", policy, n);
                for (size_t i = 1; i < k; i++) cr_expect_gt(p[i], p[i - 1]);
            }
}

Test(select, decoders_draw_uniformly_between) {
    enum { N = 11, K = 5, DRAWS = 30000 };
    static int single[N];
    const tti_selector s = decoder(TTI_SELECT_RANDOM, K);
    for (uint32_t i = 0; i < DRAWS; i++) {
        int32_t p[K];
        tti_select(p, &s, &(tti_choice){.n = N, .step = i / 100, .number = i % 100});
        for (int a = 0; a < K; a++) single[p[a]]++;
    }
    const double share = (K - 2.0) / (N - 2);
    cr_expect(single[0] == DRAWS && single[N - 1] == DRAWS);
    for (int t = 1; t < N - 1; t++)
        cr_expect(fabs(single[t] - DRAWS * share) < 5 * sqrt(DRAWS * share * (1 - share)),
                  "position %d: %d", t, single[t]);
}

Test(select, prefix_takes_the_first) {
    int32_t p[4];
    const tti_selector s = decoder(TTI_SELECT_PREFIX, 4),
                       e = {.policy = TTI_SELECT_PREFIX, .keep = 3};
    tti_select(p, &s, &(tti_choice){.n = 9});
    cr_expect(p[0] == 0 && p[1] == 1 && p[2] == 2 && p[3] == 8);
    cr_expect_eq(tti_selected(&e, &(tti_choice){.n = 9}), 3);
    tti_select(p, &e, &(tti_choice){.n = 9});
    cr_expect(p[0] == 0 && p[1] == 1 && p[2] == 2, "an encoder needs no last position");
}

/* A conversation of two answers: rows 9..19 and 29..38 predict them; their ends are 19 and 38. */
Test(select, stratified_has_its_shares_and_the_ends) {
    enum { N = 40, DRAWS = 4000 };
    static int single[N];
    int32_t next[N], p[N];
    for (int t = 0; t < N; t++) next[t] = (t >= 9 && t < 20) || (t >= 29 && t < 39) ? 5 : -1;
    tti_selector s = decoder(TTI_SELECT_STRATIFIED, 0.5);
    s.keep_prompt = 0.25, s.keep_answer = 12;
    for (uint32_t i = 0; i < DRAWS; i++) {
        const tti_choice c = {.n = N, .prompt = 10, .next = next, .step = i};
        int prompt = 0, answer = 0;
        const size_t k = tti_selected(&s, &c);
        tti_select(p, &s, &c);
        for (size_t a = 0; a < k; a++) {
            single[p[a]]++;
            next[p[a]] >= 0 ? answer++ : prompt++;
        }
        cr_assert(answer == 12 && prompt == 5, "%d and %d", answer, prompt); /* 19 / 4 to even */
    }
    cr_expect(single[0] == DRAWS && single[39] == DRAWS && single[19] == DRAWS &&
              single[38] == DRAWS);
    for (int t = 1; t < 39; t++) { /* 3 of 17 free prompt rows, 10 of 19 free answer rows */
        const double share = next[t] >= 0 ? 10.0 / 19 : 3.0 / 17;
        if (t == 19 || t == 38) continue;
        cr_expect(fabs(single[t] - DRAWS * share) < 5 * sqrt(DRAWS * share * (1 - share)),
                  "position %d: %d", t, single[t]);
    }
}

/* One of three rows is drawn with weights exp(loss / temperature). */
Test(select, losses_weigh) {
    enum { N = 5, DRAWS = 30000 };
    static const double temperature[] = {1, 2};
    float loss[N] = {50, 0, (float)log(2), (float)log(5), 50};
    for (int k = 0; k < 2; k++) {
        int single[N] = {0};
        double sum = 0;
        tti_selector s = decoder(TTI_SELECT_LOSS, 3);
        s.temperature = temperature[k];
        for (uint32_t i = 0; i < DRAWS; i++) {
            int32_t p[3];
            cr_assert_eq(tti_select(p, &s, &(tti_choice){.n = N, .loss = loss, .step = i}), TT_OK);
            single[p[1]]++;
        }
        for (int t = 1; t < 4; t++) sum += exp((double)loss[t] / temperature[k]);
        for (int t = 1; t < 4; t++) {
            const double share = exp((double)loss[t] / temperature[k]) / sum;
            cr_expect(fabs(single[t] - DRAWS * share) < 5 * sqrt(DRAWS * share * (1 - share)),
                      "temperature %g, position %d: %d", temperature[k], t, single[t]);
        }
    }
}

Test(select, a_cold_loss_takes_the_largest) {
    enum { N = 20 };
    float loss[N];
    int32_t p[6];
    for (int t = 0; t < N; t++) loss[t] = (float)(t * 7 % 20);
    loss[4] = NAN; /* counts as nothing to learn */
    tti_selector s = decoder(TTI_SELECT_LOSS, 6);
    s.temperature = 1e-3;
    cr_assert_eq(tti_select(p, &s, &(tti_choice){.n = N, .loss = loss}), TT_OK);
    static const int32_t want[] = {0, 8, 11, 14, 17, 19}; /* losses 16 to 19 */
    for (int i = 0; i < 6; i++) cr_expect_eq(p[i], want[i], "%d: %d", i, p[i]);
}
