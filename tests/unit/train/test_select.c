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
