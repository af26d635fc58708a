// SPDX-License-Identifier: Apache-2.0
/* measure.c - times the candidates of a class of shapes on the device, after comparing what they
 * compute. The operands are multiples of 1/64 up to 1 and k is at most 4096, so every order of
 * additions gives the same, exact result and the comparison can be for equality. */
#include "host/gemm/internal.h"

#include <string.h>

#define MAX_K 4096
#define MAX_FMAS ((size_t)1 << 29)
#define BATCH 0.008 /* seconds that one timing should take */
#define BUDGET 0.25 /* seconds of timing a class */
#define ROUNDS 5
#define HOPELESS 2.5 /* times slower than the best at first sight: not timed any further */
/* A later candidate must need less than this share of an earlier one's time; one that would
 * displace the device's usual provider, less than that one, for other work on the machine can slow
 * any single timing. */
#define CLEARLY 0.97
#define DISPLACE 0.7

typedef struct {
    int provider, variant;
    double best; /* seconds a call; 0 before the first timing */
    bool usable, hopeless;
    const char *why;
} candidate;

typedef struct {
    tti_gemm *g;
    tti_gemm_call call;
    tti_layout b_layout;
    cl_mem workspace;
    float *a, *b, *want, *got; /* want is filled by the first candidate that proves right */
    bool have_want;
    candidate c[TTI_GEMM_RESULTS];
    size_t n;
} race;

/* The shape itself, or smaller of the same kind when a run of it would take long. */
static tti_gemm_shape representative(tti_gemm_shape s) {
    size_t *size[] = {&s.m, &s.n, &s.k};
    for (int i = 0; i < 3; i++) *size[i] = TT_MAX(*size[i], 1);
    s.k = TT_MIN(s.k, MAX_K);
    while ((double)s.m * (double)s.n * (double)s.k > (double)MAX_FMAS) {
        size_t *largest = &s.m;
        if (s.n > *largest) largest = &s.n;
        if (s.k > *largest) largest = &s.k;
        *largest /= 2;
    }
    return s;
}

/* An operand in its layout, and on the host as f32. */
static tt_status operand(race *r, cl_mem *m, float **host, const tti_layout *l, uint32_t seed) {
    void *bytes = tti_malloc(l->bytes);
    *host = tti_malloc(l->rows * l->cols * sizeof **host);
    tt_status s = bytes && *host ? TT_OK : TT_E_NOMEM;
    if (s == TT_OK) tti_gemm_fill(l, bytes, *host, seed);
    if (s == TT_OK) s = tti_mem_new(m, r->g->d, l->bytes, TTI_MEM_WORKSPACE, false);
    if (s == TT_OK) s = tti_mem_write(r->g->d, *m, 0, bytes, l->bytes);
    tti_free(bytes);
    return s;
}

static tt_status prepare(race *r, const tti_gemm_shape *s) {
    tti_device *d = r->g->d;
    tti_gemm_call *c = &r->call;
    const size_t bytes = s->m * s->n * sizeof(float);
    *c = (tti_gemm_call){.shape = *s,
                         .lda = s->ta ? s->m : s->k,
                         .ldb = s->tb ? s->k : s->n,
                         .ldc = s->n,
                         .alpha = 1.0f,
                         .b_layout = &r->b_layout};
    const tti_layout a_layout = tti_layout_plain(TTI_F32, s->m, s->k); /* or turned: as many */
    r->b_layout = tti_layout_plain(s->bt, s->tb ? s->n : s->k, c->ldb);
    TT_TRY(operand(r, &c->a, &r->a, &a_layout, 1));
    TT_TRY(operand(r, &c->b, &r->b, &r->b_layout, 2));
    TT_TRY(tti_mem_new(&c->c, d, bytes, TTI_MEM_WORKSPACE, false));
    r->want = tti_malloc(bytes);
    r->got = tti_malloc(bytes);
    if (!r->want || !r->got) return TT_E_NOMEM;
    size_t scratch = 0;
    for (size_t i = 0; i < r->n; i++)
        scratch = TT_MAX(scratch, tti_gemm_providers[r->c[i].provider]->workspace(
                                      tti_device_caps(d), r->c[i].variant, s));
    return scratch ? tti_mem_new(&r->workspace, d, scratch, TTI_MEM_WORKSPACE, false) : TT_OK;
}

static void finish(race *r) {
    tti_device *d = r->g->d;
    tti_mem_free(d, r->call.a);
    tti_mem_free(d, r->call.b);
    tti_mem_free(d, r->call.c);
    tti_mem_free(d, r->workspace);
    tti_free(r->a);
    tti_free(r->b);
    tti_free(r->want);
    tti_free(r->got);
}

/* A few elements by hand, for the first candidate has nothing to be compared with. */
static bool right(const race *r) {
    const tti_gemm_call *c = &r->call;
    const tti_gemm_shape *s = &c->shape;
    for (size_t t = 0; t < 100; t++) {
        const size_t i = t < 4 ? s->m - 1 - t % s->m : t * 7919 % s->m;
        const size_t j = t < 4 ? s->n - 1 - t / 2 % s->n : t * 6007 % s->n;
        double sum = 0;
        for (size_t k = 0; k < s->k; k++)
            sum += (double)r->a[s->ta ? k * c->lda + i : i * c->lda + k] *
                   (double)r->b[s->tb ? j * c->ldb + k : k * c->ldb + j];
        if (!((double)r->got[i * c->ldc + j] == sum)) return false;
    }
    return true;
}

static tt_status run(race *r, const candidate *c, int times) {
    for (int i = 0; i < times; i++)
        TT_TRY(tti_gemm_providers[c->provider]->run(r->g->d, c->variant, &r->call, r->workspace));
    return tti_device_finish(r->g->d);
}

/* Builds, runs, compares. Only a lack of memory is a failure of the whole. */
static tt_status try_out(race *r, candidate *c) {
    const tti_gemm_shape *s = &r->call.shape;
    const size_t bytes = s->m * s->n * sizeof(float);
    memset(r->got, 0xff, bytes); /* NaN: what a candidate leaves out shows */
    tt_status status = tti_mem_write(r->g->d, r->call.c, 0, r->got, bytes);
    if (status == TT_OK) status = run(r, c, 1);
    if (status == TT_OK) status = tti_mem_read(r->g->d, r->call.c, 0, r->got, bytes);
    if (status == TT_E_NOMEM || status == TT_E_MEMORY) return status;
    c->why = "does not run here";
    if (status != TT_OK) {
        tti_debug("%s: %s", tti_gemm_providers[c->provider]->name, tt_error());
        return TT_OK;
    }
    c->why = "wrong result";
    if (r->have_want) {
        for (size_t i = 0; i < s->m * s->n; i++)
            if (!(r->got[i] == r->want[i])) return TT_OK;
    } else {
        if (!right(r)) return TT_OK;
        memcpy(r->want, r->got, bytes);
        r->have_want = true;
    }
    c->why = "";
    c->usable = true;
    return TT_OK;
}

/* Takes part of the time of a batch of calls when that is the shortest so far. */
static tt_status time_one(race *r, candidate *c) {
    const double times = c->best > 0 ? BATCH / c->best : 1;
    const int n = times < 1 ? 1 : times > 500 ? 500 : (int)times;
    const double start = tti_now();
    TT_TRY(run(r, c, n));
    const double each = TT_MAX((tti_now() - start) / n, 1e-9);
    if (c->best <= 0 || each < c->best) c->best = each;
    return TT_OK;
}

/* Whether it is of the provider that this kind of device is expected to be fastest with: never
 * given up after a single run. */
static bool is_usual(const race *r, const candidate *c) {
    return tti_device_caps(r->g->d)->cpu && tti_gemm_providers[c->provider] == &tti_gemm_tile;
}

static double fastest(const race *r) {
    double best = 0;
    for (size_t i = 0; i < r->n; i++)
        if (r->c[i].usable && (best <= 0 || r->c[i].best < best)) best = r->c[i].best;
    return best;
}

static tt_status race_on(race *r) {
    for (size_t i = 0; i < r->n; i++) {
        TT_TRY(try_out(r, &r->c[i]));
        if (r->c[i].usable) TT_TRY(time_one(r, &r->c[i]));
    }
    const double first = fastest(r), start = tti_now();
    for (size_t i = 0; i < r->n; i++) {
        candidate *c = &r->c[i];
        c->hopeless = c->usable && !is_usual(r, c) && c->best > HOPELESS * first;
        if (c->hopeless) c->why = "slow: one run only";
    }
    for (int round = 0; round < ROUNDS && tti_now() - start < BUDGET; round++)
        for (size_t i = 0; i < r->n; i++)
            if (r->c[i].usable && !r->c[i].hopeless) TT_TRY(time_one(r, &r->c[i]));
    return TT_OK;
}

static void add_candidates(race *r, const tti_gemm_shape *s) {
    const tti_gemm *g = r->g;
    for (int p = 0; p < TTI_GEMM_PROVIDERS; p++) {
        if (g->forced >= 0 ? g->forced != p : g->choices.out[p]) continue;
        for (int v = 0; v < tti_gemm_providers[p]->variants; v++)
            if (tti_gemm_providers[p]->suits(tti_device_caps(g->d), v, s) && r->n < TT_COUNT(r->c))
                r->c[r->n++] = (candidate){.provider = p, .variant = v, .why = ""};
    }
}

static const candidate *winner(const race *r) {
    const candidate *w = NULL;
    for (size_t i = 0; i < r->n; i++) {
        const candidate *c = &r->c[i];
        if (!c->usable || c->hopeless) continue;
        const bool displaces =
            w && is_usual(r, w) && !is_usual(r, c) && !tti_gemm_providers[c->provider]->partial;
        if (!w || c->best < (displaces ? DISPLACE : CLEARLY) * w->best) w = c;
    }
    return w;
}

static void report(const race *r, const candidate *w, tti_gemm_result *out) {
    const tti_gemm_shape *s = &r->call.shape;
    const double flop = 2.0 * (double)s->m * (double)s->n * (double)s->k;
    for (size_t i = 0; i < r->n; i++) {
        const candidate *c = &r->c[i];
        const tti_gemm_plan plan = {.provider = c->provider, .variant = c->variant};
        out[i] = (tti_gemm_result){
            .gflops = c->usable ? flop / c->best * 1e-9 : 0, .why = c->why, .chosen = c == w};
        snprintf(out[i].name, sizeof out[i].name, "%s", tti_gemm_plan_name(r->g, &plan));
    }
}

tt_status tti_gemm_measure(tti_gemm *g, const tti_gemm_shape *shape, tti_gemm_choice *best,
                           tti_gemm_result *results, size_t *n) {
    const tti_gemm_shape s = representative(*shape);
    race r = {.g = g};
    add_candidates(&r, shape);
    tt_status status = prepare(&r, &s);
    if (status == TT_OK) status = race_on(&r);
    if (status == TT_OK) {
        const candidate *w = winner(&r);
        if (w) {
            *best = (tti_gemm_choice){g->forced, tti_gemm_class_of(shape), w->provider, w->variant};
            for (size_t i = 0; tti_device_caps(g->d)->cpu && i < r.n; i++)
                if (r.c[i].hopeless && r.c[i].provider != w->provider &&
                    !tti_gemm_providers[w->provider]->partial &&
                    !tti_gemm_providers[r.c[i].provider]->partial)
                    g->choices.out[r.c[i].provider] = true;
            if (results) {
                report(&r, w, results);
                *n = r.n;
            }
        } else {
            status = tti_fail(TT_E_DEVICE,
                              "gemm: none of %zu ways to multiply %zu x %zu x %zu "
                              "works on %s; TT_LOG=debug says why",
                              r.n, s.m, s.n, s.k, tti_device_key(g->d));
        }
    }
    finish(&r);
    return status;
}
