// SPDX-License-Identifier: Apache-2.0
/* batch_order.c - shuffled, grouped by length, shuffled again. */
#include "host/data/batch_order.h"

#include <stdlib.h>
#include <string.h>
#include "host/core/philox.h"

struct tti_batch_order {
    size_t *length;
    uint32_t *sample; /* the order of the epoch */
    uint32_t *batch_at, *sorted;
    size_t n, batch, group, batches;
    uint64_t seed;
};

enum { OF_SAMPLES, OF_BATCHES }; /* what is shuffled: a counter word */

static void shuffle(uint32_t *v, size_t n, uint32_t epoch, uint32_t what, uint64_t seed) {
    for (size_t i = n; i-- > 1;) {
        tti_philox_out r = tti_philox((uint32_t)i, epoch, what, TTI_STREAM_SHUFFLE, (uint32_t)seed,
                                      (uint32_t)(seed >> 32));
        const size_t j = tti_below(r.v[0], (uint32_t)i + 1);
        const uint32_t t = v[i];
        v[i] = v[j];
        v[j] = t;
    }
}

tt_status tti_batch_order_new(tti_batch_order **out, const size_t *lengths, size_t n, size_t batch,
                              size_t group, uint64_t seed) {
    *out = NULL;
    if (!n || n > UINT32_MAX || !batch)
        return tti_fail(TT_E_ARG, "%zu samples in batches of %zu cannot be put in order", n, batch);
    tti_batch_order *o = tti_calloc(1, sizeof *o);
    if (!o) return TT_E_NOMEM;
    *o = (tti_batch_order){.n = n, .batch = TT_MIN(batch, n), .group = group, .seed = seed};
    o->batches = n / o->batch + (n % o->batch != 0);
    o->length = tti_calloc(n, sizeof *o->length);
    o->sample = tti_calloc(n, sizeof *o->sample);
    o->sorted = tti_calloc(n, sizeof *o->sorted);
    o->batch_at = tti_calloc(o->batches, sizeof *o->batch_at);
    if (!o->length || !o->sample || !o->sorted || !o->batch_at) {
        tti_batch_order_free(o);
        return TT_E_NOMEM;
    }
    memcpy(o->length, lengths, n * sizeof *lengths);
    tti_batch_order_epoch(o, 0);
    *out = o;
    return TT_OK;
}

void tti_batch_order_free(tti_batch_order *o) {
    if (!o) return;
    tti_free(o->length);
    tti_free(o->sample);
    tti_free(o->sorted);
    tti_free(o->batch_at);
    tti_free(o);
}

/* By length, and by sample where lengths are equal, so that any sort gives one order. */
static int by_length(const void *a, const void *b, void *lengths) {
    const size_t *length = lengths;
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    if (length[x] != length[y]) return length[x] > length[y] ? -1 : 1;
    return x < y ? -1 : x > y;
}

void tti_batch_order_epoch(tti_batch_order *o, uint32_t epoch) {
    uint32_t *order = o->group > 1 ? o->sorted : o->sample;
    for (size_t i = 0; i < o->n; i++) order[i] = (uint32_t)i;
    shuffle(order, o->n, epoch, OF_SAMPLES, o->seed);
    if (o->group <= 1) return;
    size_t run;
    if (!tti_mul(o->group, o->batch, &run)) run = o->n;
    for (size_t i = 0; i < o->n; i += run) {
        const size_t m = TT_MIN(run, o->n - i);
        qsort_r(order + i, m, sizeof *order, by_length, o->length);
        if (m == o->n - i) break; /* i + run may not fit */
    }
    const size_t full = o->n / o->batch; /* a short batch stays last */
    for (size_t i = 0; i < o->batches; i++) o->batch_at[i] = (uint32_t)i;
    shuffle(o->batch_at, full, epoch, OF_BATCHES, o->seed);
    for (size_t i = 0; i < o->batches; i++) {
        const size_t to = i * o->batch, from = o->batch_at[i] * o->batch;
        memcpy(o->sample + to, order + from, TT_MIN(o->batch, o->n - to) * sizeof *order);
    }
}

size_t tti_batch_order_count(const tti_batch_order *o) { return o->batches; }

const uint32_t *tti_batch_order_at(const tti_batch_order *o, size_t i, size_t *n) {
    TT_ASSERT(i < o->batches);
    *n = TT_MIN(o->batch, o->n - i * o->batch);
    return o->sample + i * o->batch;
}
