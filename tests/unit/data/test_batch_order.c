// SPDX-License-Identifier: Apache-2.0
/* test_batch_order.c - every sample once an epoch, batches of like lengths, repeatable from
 * anywhere. */
#include "host/core/philox.h"
#include "host/data/batch_order.h"
#include "tests/unit/format/scratch.h"

TestSuite(batch_order, .fini = abort_on_leaks);

static void fill(size_t *length, size_t n) {
    for (size_t i = 0; i < n; i++)
        length[i] = 1 + tti_below(tti_philox((uint32_t)i, 0, 0, 0, 1, 2).v[0], 200);
}

/* All samples of the current epoch, batch after batch. */
static void collect(const tti_batch_order *o, uint32_t *all, size_t n, size_t batch) {
    size_t at = 0;
    for (size_t b = 0; b < tti_batch_order_count(o); b++) {
        size_t m;
        const uint32_t *v = tti_batch_order_at(o, b, &m);
        const bool last = b + 1 == tti_batch_order_count(o);
        cr_expect(last ? m == n - b * TT_MIN(batch, n) : m == batch, "batch %zu has %zu", b, m);
        for (size_t i = 0; i < m && at < n; i++) all[at++] = v[i];
    }
    cr_expect_eq(at, n);
}

Test(batch_order, every_sample_once) {
    static const size_t sizes[][3] = {
        /* samples, batch, group */
        {1, 1, 50},     {1, 8, 50},        {7, 8, 50},         {8, 8, 50}, {9, 8, 50},
        {1000, 7, 5},   {1000, 16, 50},    {64, 4, 0},         {64, 4, 1}, {65, 4, 2},
        {100, 1, 1000}, {10, SIZE_MAX, 3}, {333, 10, SIZE_MAX}};
    size_t length[1000];
    uint32_t first[1000], second[1000], again[1000];
    fill(length, 1000);
    for (size_t c = 0; c < TT_COUNT(sizes); c++) {
        const size_t n = sizes[c][0], batch = sizes[c][1];
        tti_batch_order *o, *p;
        cr_assert_eq(tti_batch_order_new(&o, length, n, batch, sizes[c][2], 3), TT_OK);
        cr_assert_eq(tti_batch_order_new(&p, length, n, batch, sizes[c][2], 3), TT_OK);
        collect(o, first, n, batch);
        bool seen[1000] = {false};
        for (size_t i = 0; i < n; i++) {
            cr_expect(first[i] < n && !seen[first[i]], "case %zu", c);
            seen[first[i]] = true;
        }
        tti_batch_order_epoch(o, 7);
        collect(o, second, n, batch);
        tti_batch_order_epoch(p, 7); /* straight there, as a resumed run goes */
        collect(p, again, n, batch);
        cr_expect(!memcmp(second, again, n * sizeof *again), "case %zu", c);
        if (n > 50) cr_expect(memcmp(first, second, n * sizeof *again), "epochs differ");
        tti_batch_order_epoch(p, 0);
        collect(p, again, n, batch);
        cr_expect(!memcmp(first, again, n * sizeof *again), "case %zu", c);
        tti_batch_order_free(o);
        tti_batch_order_free(p);
    }
}

/* Rows that padding to the longest of a batch would add: what grouping is for. */
static size_t waste(const tti_batch_order *o, const size_t *length) {
    size_t sum = 0;
    for (size_t b = 0; b < tti_batch_order_count(o); b++) {
        size_t m, most = 0;
        const uint32_t *v = tti_batch_order_at(o, b, &m);
        for (size_t i = 0; i < m; i++) most = TT_MAX(most, length[v[i]]);
        for (size_t i = 0; i < m; i++) sum += most - length[v[i]];
    }
    return sum;
}

Test(batch_order, grouped_by_length) {
    size_t length[1000];
    fill(length, 1000);
    tti_batch_order *mixed, *grouped;
    cr_assert_eq(tti_batch_order_new(&mixed, length, 1000, 8, 0, 1), TT_OK);
    cr_assert_eq(tti_batch_order_new(&grouped, length, 1000, 8, TTI_BATCH_GROUP, 1), TT_OK);
    cr_expect(waste(grouped, length) * 10 < waste(mixed, length), "%zu of %zu",
              waste(grouped, length), waste(mixed, length));
    size_t rising = 0, m; /* but the batches themselves are in no order of length */
    for (size_t b = 1; b < tti_batch_order_count(grouped); b++) {
        const size_t before = length[*tti_batch_order_at(grouped, b - 1, &m)];
        rising += length[*tti_batch_order_at(grouped, b, &m)] > before;
    }
    cr_expect(rising > 40 && rising < 85, "%zu of 124 are longer than the one before", rising);
    tti_batch_order_free(mixed);
    tti_batch_order_free(grouped);
}

Test(batch_order, seeds_and_places) {
    enum { N = 50, EPOCHS = 2000 };
    size_t length[N] = {0}, count[N] = {0}, m;
    tti_batch_order *o, *p;
    cr_assert_eq(tti_batch_order_new(&o, length, N, 5, 3, 1), TT_OK);
    cr_assert_eq(tti_batch_order_new(&p, length, N, 5, 3, 1 | 1ull << 32), TT_OK);
    cr_expect(memcmp(tti_batch_order_at(o, 0, &m), tti_batch_order_at(p, 0, &m), 20));
    for (uint32_t e = 0; e < EPOCHS; e++) { /* each sample leads about equally often */
        tti_batch_order_epoch(o, e);
        for (size_t i = 0; i < 5; i++) count[tti_batch_order_at(o, 0, &m)[i]]++;
    }
    for (size_t i = 0; i < N; i++) /* 200 expected, 5 sigma = 67 */
        cr_expect(count[i] > 133 && count[i] < 267, "sample %zu: %zu times", i, count[i]);
    tti_batch_order_free(o);
    tti_batch_order_free(p);
    cr_expect_eq(tti_batch_order_new(&o, length, 0, 5, 3, 1), TT_E_ARG);
    cr_expect_eq(tti_batch_order_new(&o, length, 5, 0, 3, 1), TT_E_ARG);
}

static tt_status make(void) {
    size_t length[9] = {0};
    tti_batch_order *o;
    TT_TRY(tti_batch_order_new(&o, length, 9, 2, 3, 1));
    tti_batch_order_free(o);
    return TT_OK;
}

Test(batch_order, allocation_failure) { expect_nomem_until_ok(make); }
