// SPDX-License-Identifier: Apache-2.0
#include "host/generate/sample.h"
#include "host/core/philox.h"

#include <math.h>
#include <string.h>

struct tti_sampler {
    tti_sampling o;
    size_t vocab;
    int32_t *heap;  /* tokens, the largest logit on top */
    double *weight; /* of the tokens taken from the heap */
    int32_t *taken;
    uint8_t *marked; /* tokens that were penalised already */
};

tti_sampling tti_sampling_defaults(void) { return (tti_sampling){.top_p = 1, .repetition = 1}; }

tt_status tti_sampling_check(const tti_sampling *s) {
    if (!(s->temperature >= 0) || !isfinite(s->temperature))
        return tti_fail(TT_E_ARG, "temperature %g: expected 0 or more", (double)s->temperature);
    if (!(s->top_p > 0 && s->top_p <= 1))
        return tti_fail(TT_E_ARG, "top-p %g: expected more than 0, at most 1", (double)s->top_p);
    if (!(s->min_p >= 0 && s->min_p < 1))
        return tti_fail(TT_E_ARG, "min-p %g: expected 0 or more, less than 1", (double)s->min_p);
    if (!(s->repetition > 0) || !isfinite(s->repetition))
        return tti_fail(TT_E_ARG, "repetition penalty %g: expected more than 0",
                        (double)s->repetition);
    return TT_OK;
}

tt_status tti_sampler_new(tti_sampler **out, const tti_sampling *o, size_t vocab) {
    TT_TRY(tti_sampling_check(o));
    tti_sampler *s = tti_calloc(1, sizeof *s);
    if (!s) return TT_E_NOMEM;
    s->o = *o;
    s->vocab = vocab;
    s->heap = tti_calloc(vocab, sizeof *s->heap);
    s->weight = tti_calloc(vocab, sizeof *s->weight);
    s->taken = tti_calloc(vocab, sizeof *s->taken);
    s->marked = tti_calloc(vocab, 1);
    if (!s->heap || !s->weight || !s->taken || !s->marked) {
        tti_sampler_free(s);
        return TT_E_NOMEM;
    }
    *out = s;
    return TT_OK;
}

void tti_sampler_free(tti_sampler *s) {
    if (!s) return;
    tti_free(s->heap);
    tti_free(s->weight);
    tti_free(s->taken);
    tti_free(s->marked);
    tti_free(s);
}

static void penalise(tti_sampler *s, float *x, const int32_t *seen, size_t n) {
    if (s->o.repetition == 1.0f) return;
    for (size_t i = 0; i < n; i++) {
        const int32_t t = seen[i];
        if (t < 0 || (size_t)t >= s->vocab || s->marked[t]) continue;
        s->marked[t] = 1;
        x[t] = x[t] < 0 ? x[t] * s->o.repetition : x[t] / s->o.repetition;
    }
    for (size_t i = 0; i < n; i++)
        if (seen[i] >= 0 && (size_t)seen[i] < s->vocab) s->marked[seen[i]] = 0;
}

/* The first of the largest; a NaN is one of them. */
static size_t largest(const float *x, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best] || isnan(x[i])) best = i;
    return best;
}

/* ---- the heap ---- */

/* Of equal logits the smaller token comes first. */
static bool before(const float *x, int32_t a, int32_t b) {
    return x[a] != x[b] ? x[a] > x[b] : a < b;
}

static void sink(int32_t *h, size_t n, size_t i, const float *x) {
    for (;;) {
        size_t top = i;
        for (size_t c = 2 * i + 1; c <= 2 * i + 2 && c < n; c++)
            if (before(x, h[c], h[top])) top = c;
        if (top == i) return;
        const int32_t t = h[i];
        h[i] = h[top];
        h[top] = t;
        i = top;
    }
}

/* ---- drawing ---- */

static double uniform(const tti_sampler *s, uint32_t sequence, uint32_t step) {
    const tti_philox_out r = tti_philox(step, sequence, 0, TTI_STREAM_SAMPLE, s->o.seed, 0);
    return ((double)(r.v[0] >> 5) * 0x1p26 + (double)(r.v[1] >> 6)) * 0x1p-53;
}

typedef struct {
    const float *x;
    double scale, top; /* weight of a token: exp((x - top) * scale), 1 for the most probable */
    size_t left;       /* in the heap */
    size_t count;      /* taken */
} queue;

static double weight(const queue *q, int32_t token) {
    return exp(((double)q->x[token] - q->top) * q->scale);
}

static void take_one(tti_sampler *s, queue *q) {
    s->taken[q->count] = s->heap[0];
    s->weight[q->count++] = weight(q, s->heap[0]);
    s->heap[0] = s->heap[--q->left];
    sink(s->heap, q->left, 0, q->x);
}

/* The most probable k; those as probable as the last of them stay too, as in transformers. */
static double take_k(tti_sampler *s, queue *q, size_t k) {
    double sum = 0;
    while (q->left > 0 && (q->count < k || q->x[s->heap[0]] == q->x[s->taken[q->count - 1]])) {
        take_one(s, q);
        sum += s->weight[q->count - 1];
    }
    return sum;
}

/* Takes the tokens that pass all filters, the most probable first; how many, at least one. */
static size_t take(tti_sampler *s, queue *q) {
    double all = 0, some = 0;
    q->left = s->vocab;
    for (size_t i = 0; i < s->vocab; i++) s->heap[i] = (int32_t)i;
    for (size_t i = s->vocab / 2; i-- > 0;) sink(s->heap, s->vocab, i, q->x);
    const size_t k = s->o.top_k;
    if (k) all = take_k(s, q, k);
    for (size_t i = 0; !k && i < s->vocab; i++) all += weight(q, (int32_t)i);
    for (size_t i = 0;; i++) {
        if (i == q->count) {
            if (k || q->left == 0) return i;
            take_one(s, q);
        }
        const bool enough = s->o.top_p < 1 && some >= (double)s->o.top_p * all;
        if (i > 0 && (enough || s->weight[i] < (double)s->o.min_p)) return i;
        some += s->weight[i];
    }
}

static int32_t draw(const double *weight, const int32_t *token, size_t n, double u) {
    double sum = 0, at = 0;
    for (size_t i = 0; i < n; i++) sum += weight[i];
    for (size_t i = 0; i < n; i++) {
        at += weight[i];
        if (at > u * sum) return token ? token[i] : (int32_t)i;
    }
    return token ? token[n - 1] : (int32_t)(n - 1);
}

tt_status tti_sampler_next(tti_sampler *s, float *x, const int32_t *seen, size_t n,
                           uint32_t sequence, uint32_t step, int32_t *out) {
    penalise(s, x, seen, n);
    const size_t best = largest(x, s->vocab);
    if (isnan(x[best]) || x[best] == INFINITY)
        return tti_fail(TT_E_NUMERIC,
                        "sequence %u, step %u: the logit of token %zu is no finite number; are "
                        "the model's weights sound?",
                        sequence, step, best);
    *out = (int32_t)best;
    if (s->o.temperature == 0) return TT_OK;
    const double scale = 1.0 / (double)s->o.temperature, top = (double)x[best];
    const double u = uniform(s, sequence, step);
    if (s->o.top_k || s->o.top_p < 1 || s->o.min_p > 0) {
        queue q = {.x = x, .scale = scale, .top = top};
        const size_t count = take(s, &q);
        *out = draw(s->weight, s->taken, count, u);
        return TT_OK;
    }
    for (size_t i = 0; i < s->vocab; i++) s->weight[i] = exp(((double)x[i] - top) * scale);
    *out = draw(s->weight, NULL, s->vocab, u);
    return TT_OK;
}
