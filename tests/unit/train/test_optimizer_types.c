// SPDX-License-Identifier: Apache-2.0
/* Parameters and gradients in 16 bits against the same steps in f32, rounded here; state in several
 * buffers; the loss scale. */
#include "host/format/safetensors.h"
#include "tests/unit/train/optimizer_support.h"

/* ---- rounding ---- */

enum { COUNT = 1000, SEED = 4711 };
static const tti_matrix matrices[] = {{0, 12, 20}, {256, 1, 17}, {288, 30, 23}};

static float widen(tti_dtype type, uint16_t h) {
    return type == TTI_F16 ? tti_f16_to_f32(h) : tti_bf16_to_f32(h);
}

/* x rounded up with the probability of what is cut off, where r is uniform in 32 bits. */
static uint16_t rounded(tti_dtype type, float x, uint32_t r) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if (type == TTI_BF16) return (uint16_t)((u + (r >> 16)) >> 16);
    const float a = fabsf(x);
    int e;
    frexpf(a, &e);
    const float unit = a < 0x1p-14f ? 0x1p-24f : ldexpf(1, e - 11), low = floorf(a / unit);
    const float cut = a / unit - low; /* exact */
    const bool up =
        a < 0x1p-14f ? (float)(r >> 8) * 0x1p-24f < cut : (float)(r >> 19) + cut * 8192 >= 8192;
    return tti_f32_to_f16(copysignf(fminf((low + (float)up) * unit, 65504), x));
}

static void narrow(tti_dtype type, uint16_t *dst, const float *src, size_t n) {
    for (size_t i = 0; i < n; i++)
        dst[i] = type == TTI_F16 ? tti_f32_to_f16(src[i]) : tti_f32_to_bf16(src[i]);
}

static bool in_matrix(size_t i) {
    for (size_t k = 0; k < TT_COUNT(matrices); k++)
        if (i >= matrices[k].first && i < matrices[k].first + matrices[k].rows * matrices[k].cols)
            return true;
    return false;
}

/* Numbers that the type keeps exactly, among them some near its ends. */
static void exact(tti_dtype type, float *x, uint32_t salt) {
    for (uint32_t i = 0; i < COUNT; i++) {
        uint16_t h;
        x[i] = draw(i, salt) * (i % 7 == 0 ? 1e-5f : i % 31 == 0 ? 1e3f : 1.0f);
        narrow(type, &h, &x[i], 1);
        x[i] = in_matrix(i) ? widen(type, h) : 0;
    }
}

typedef struct {
    tti_device *d;
    tti_dtype type, gtype;
    cl_mem p, g, p32, g32;
    tti_optimizer *o, *o32;
} pair;

static tti_optimizer *make(tti_device *d, tti_optimizer_kind kind, cl_mem p, cl_mem g,
                           tti_dtype type, tti_dtype gtype) {
    tti_optimizer_opts opts = tti_optimizer_defaults();
    tti_optimizer *o;
    opts.kind = kind;
    opts.seed = SEED;
    opts.weight_decay = 0.1f;
    const tti_optimizer_arena a = {.p = p,
                                   .g = g,
                                   .type = type,
                                   .gtype = gtype,
                                   .count = COUNT,
                                   .decay_count = 256,
                                   .matrices = matrices,
                                   .nmatrices = TT_COUNT(matrices)};
    OK(tti_optimizer_new(&o, d, &opts, &a, 1, NULL, 0));
    return o;
}

static void one_step(pair *w, tti_optimizer_kind kind, uint32_t t) {
    float g[COUNT], p[COUNT], want[COUNT];
    uint16_t half[COUNT];
    exact(w->gtype == TTI_F32 ? TTI_BF16 : w->gtype, g, t);
    OK(tti_mem_write(w->d, w->g32, 0, g, sizeof g));
    if (w->gtype != TTI_F32) narrow(w->gtype, half, g, COUNT);
    OK(tti_mem_write(w->d, w->g, 0, w->gtype == TTI_F32 ? (void *)g : half,
                     COUNT * (w->gtype == TTI_F32 ? sizeof *g : sizeof *half)));
    tti_optimizer *const both[] = {w->o, w->o32};
    for (int k = 0; k < 2; k++) {
        OK(tti_optimizer_begin(both[k], t, 1e-2f, NULL, 0));
        OK(tti_optimizer_update(both[k], NULL, 0, NULL));
    }
    OK(tti_mem_read(w->d, w->p32, 0, want, sizeof want));
    if (w->type == TTI_F32) {
        OK(tti_mem_read(w->d, w->p, 0, p, sizeof p));
        cr_expect_eq(memcmp(p, want, sizeof p), 0, "%s: f32 with gradients in %s",
                     tti_optimizer_name(kind), tti_dtype_name(w->gtype));
        return;
    }
    OK(tti_mem_read(w->d, w->p, 0, half, sizeof half));
    for (uint32_t i = 0, bad = 0; i < COUNT && !bad; i++) {
        const uint32_t r = tti_philox(i, 0, 0, TTI_STREAM_ROUND, SEED, t).v[0];
        const uint16_t h = rounded(w->type, want[i], r);
        bad = half[i] != h;
        cr_expect(!bad, "%s in %s, step %u: p[%u] = %.9g became %04x, must be %04x",
                  tti_optimizer_name(kind), tti_dtype_name(w->type), t, i, (double)want[i], half[i],
                  h);
        p[i] = widen(w->type, half[i]);
    }
    OK(tti_mem_write(w->d, w->p32, 0, p, sizeof p));
}

static void check_types(tti_device *d, tti_optimizer_kind kind, tti_dtype type, tti_dtype gtype) {
    float p[COUNT];
    uint16_t half[COUNT];
    pair w = {.d = d, .type = type, .gtype = gtype};
    exact(type == TTI_F32 ? TTI_BF16 : type, p, 1000);
    w.p32 = upload(d, p, sizeof p);
    w.g32 = upload(d, NULL, sizeof p);
    if (type != TTI_F32) narrow(type, half, p, COUNT);
    w.p = type == TTI_F32 ? upload(d, p, sizeof p) : upload(d, half, sizeof half);
    w.g = upload(d, NULL, sizeof p);
    w.o = make(d, kind, w.p, w.g, type, gtype);
    w.o32 = make(d, kind, w.p32, w.g32, TTI_F32, TTI_F32);
    for (uint32_t t = 1; t <= 3; t++) one_step(&w, kind, t);
    tti_optimizer_free(w.o);
    tti_optimizer_free(w.o32);
    const cl_mem all[] = {w.p, w.g, w.p32, w.g32};
    for (size_t i = 0; i < TT_COUNT(all); i++) tti_mem_free(d, all[i]);
}

Test(optimizer_types, steps_are_those_of_f32_rounded_by_chance) {
    tti_device *d = open_device();
    for (int kind = 0; kind < TTI_OPT_KINDS; kind++) {
        set_shape(d, shapes[0]);
        check_types(d, (tti_optimizer_kind)kind, TTI_BF16, TTI_BF16);
        set_shape(d, shapes[2]);
        check_types(d, (tti_optimizer_kind)kind, TTI_F16, TTI_F16);
    }
    for (size_t i = 0; i < TT_COUNT(shapes); i++) {
        set_shape(d, shapes[i]);
        check_types(d, TTI_OPT_LION, i % 2 ? TTI_BF16 : TTI_F16, TTI_F32);
    }
    set_shape(d, shapes[1]);
    check_types(d, TTI_OPT_ADAMW, TTI_F32, TTI_BF16);
    check_types(d, TTI_OPT_ADAMW, TTI_F32, TTI_F16);
    tti_device_close(d);
}

/* The mean of many roundings of one number is that number. */
static void check_mean(tti_device *d, tti_dtype type, float start, float update, float unit) {
    enum { N = 40000 };
    uint16_t *p = malloc(N * sizeof *p);
    float *g = malloc(N * sizeof *g);
    double sum = 0;
    for (size_t i = 0; i < N; i++) {
        narrow(type, &p[i], &start, 1);
        g[i] = update;
    }
    cl_mem pm = upload(d, p, N * sizeof *p), gm = upload(d, g, N * sizeof *g);
    tti_optimizer_opts o = {.kind = TTI_OPT_SGD, .seed = 5};
    const tti_optimizer_arena a = {.p = pm, .g = gm, .count = N, .type = type};
    tti_optimizer *opt;
    OK(tti_optimizer_new(&opt, d, &o, &a, 1, NULL, 0));
    OK(tti_optimizer_begin(opt, 1, 1, NULL, 0));
    OK(tti_optimizer_update(opt, NULL, 0, NULL));
    OK(tti_mem_read(d, pm, 0, p, N * sizeof *p));
    for (size_t i = 0; i < N; i++)
        sum += ((double)widen(type, p[i]) - (double)start) / (double)unit;
    const double want = -(double)update / (double)unit, sigma = sqrt(0.25 / N);
    cr_expect(fabs(sum / N - want) <= 4.5 * sigma, "%s, %g - %g: %g units on average, must be %g",
              tti_dtype_name(type), (double)start, (double)update, sum / N, want);
    tti_optimizer_free(opt);
    tti_mem_free(d, pm);
    tti_mem_free(d, gm);
    free(p);
    free(g);
}

Test(optimizer_types, rounding_by_chance_is_unbiased) {
    tti_device *d = open_device();
    check_mean(d, TTI_BF16, 1, 0x1p-8f * 0.3f, 0x1p-8f); /* below 1 numbers are half as far apart */
    check_mean(d, TTI_BF16, -3, 0x1p-6f * 0.01f, 0x1p-6f);
    check_mean(d, TTI_F16, 1.5f, -0x1p-10f * 0.2f, 0x1p-10f);
    check_mean(d, TTI_F16, 0x1p-20f, 0x1p-24f * 0.37f, 0x1p-24f);
    tti_device_close(d);
}

/* ---- state in several buffers ---- */

Test(optimizer_types, state_is_cut_where_one_buffer_is_too_small) {
    enum { N = 3 * TTI_OPT_CHUNK + 1000 };
    tti_device *d = open_device();
    float *g = malloc(N * sizeof *g), *m[2];
    uint16_t *p[2];
    const size_t most = caps_of(d)->max_alloc;
    for (uint32_t i = 0; i < N; i++) g[i] = draw(i, 3);
    for (int k = 0; k < 2; k++) {
        p[k] = calloc(N, sizeof *p[k]);
        m[k] = malloc(N * sizeof *m[k]);
        cl_mem pm = upload(d, p[k], N * sizeof *p[k]), gm = upload(d, g, N * sizeof *g);
        tti_optimizer_opts o = tti_optimizer_defaults();
        const tti_optimizer_arena a = {
            .p = pm, .g = gm, .type = TTI_BF16, .count = N, .decay_count = 2 * TTI_OPT_CHUNK + 32};
        const size_t before = tti_mem_allocated(d, TTI_MEM_OPTIMIZER);
        tti_optimizer *opt;
        if (k) caps_of(d)->max_alloc = N * sizeof *p[k];
        OK(tti_optimizer_new(&opt, d, &o, &a, 1, NULL, 0));
        cr_expect_eq(tti_mem_allocated(d, TTI_MEM_OPTIMIZER) - before,
                     tti_optimizer_bytes(&o, &a, 1, NULL, 0));
        for (uint32_t t = 1; t <= 3; t++) {
            OK(tti_optimizer_begin(opt, t, 0.1f, NULL, 0));
            OK(tti_optimizer_update(opt, NULL, 0, NULL));
        }
        OK(tti_mem_read(d, pm, 0, p[k], N * sizeof *p[k]));
        OK(tti_optimizer_write(opt, 1, 100, g, N - 100)); /* there and back, over the cuts */
        OK(tti_optimizer_read(opt, 1, 100, m[k], N - 100));
        cr_expect_eq(memcmp(m[k], g, (N - 100) * sizeof *g), 0);
        OK(tti_optimizer_read(opt, 0, 0, m[k], N));
        tti_optimizer_free(opt);
        tti_mem_free(d, pm);
        tti_mem_free(d, gm);
    }
    caps_of(d)->max_alloc = most;
    cr_expect_eq(memcmp(p[0], p[1], N * sizeof *p[0]), 0, "parameters differ");
    cr_expect_eq(memcmp(m[0], m[1], N * sizeof *m[0]), 0, "moments differ");
    for (int k = 0; k < 2; k++) {
        free(p[k]);
        free(m[k]);
    }
    free(g);
    tti_device_close(d);
}

/* ---- the loss scale ---- */

typedef struct {
    tti_device *d;
    cl_mem p, g, loss;
    tti_optimizer *o;
    uint32_t step;
} scaled_run;

static scaled_run scaled_make(tti_device *d, bool scaled) {
    const float p[16] = {1, 2, 3, 4, 5, 6, 7, 8}, loss = 1;
    scaled_run r = {.d = d, .p = upload(d, p, sizeof p), .loss = upload(d, &loss, sizeof loss)};
    r.g = upload(d, NULL, 16 * (scaled ? 2 : 4));
    tti_optimizer_opts o = tti_optimizer_defaults();
    o.scaled = scaled;
    const tti_optimizer_arena a = {
        .p = r.p, .g = r.g, .count = 16, .decay_count = 16, .gtype = scaled ? TTI_F16 : TTI_F32};
    OK(tti_optimizer_new(&r.o, d, &o, &a, 1, NULL, 0));
    return r;
}

static void scaled_free(scaled_run *r) {
    tti_optimizer_free(r->o);
    tti_mem_free(r->d, r->p);
    tti_mem_free(r->d, r->g);
    tti_mem_free(r->d, r->loss);
}

/* A step with gradient x at every element, times the scale, in the type of the run. */
static void scaled_step(scaled_run *r, bool scaled, float x) {
    float g[16];
    uint16_t h[16];
    OK(tti_optimizer_begin(r->o, ++r->step, 1e-2f, NULL, 0));
    for (int i = 0; i < 16; i++) g[i] = x * tti_optimizer_loss_scale(r->o);
    narrow(TTI_F16, h, g, 16);
    OK(tti_mem_write(r->d, r->g, 0, scaled ? (void *)h : g, scaled ? sizeof h : sizeof g));
    OK(tti_optimizer_update(r->o, NULL, 0, r->loss));
}

static void expect_verdict(scaled_run *r, bool finite, float scale, uint32_t overflows) {
    float norm;
    bool was;
    uint32_t bad;
    OK(tti_optimizer_stats(r->o, &norm, &was));
    OK(tti_optimizer_skipped(r->o, r->step, r->step, &bad));
    cr_expect_eq(was, finite, "step %u: finite %d", r->step, was);
    cr_expect_eq(bad, finite ? 0 : r->step, "step %u: skipped %u", r->step, bad);
    tti_optimizer_scaling s;
    OK(tti_optimizer_get_scaling(r->o, &s));
    cr_expect(s.scale == scale && s.overflows == overflows, "step %u: scale %g, %u overflows",
              r->step, (double)s.scale, s.overflows);
    cr_expect_eq(tti_optimizer_overflows(r->o), overflows);
}

Test(optimizer_types, loss_scale_follows_what_overflows) {
    tti_device *d = open_device();
    scaled_run r = scaled_make(d, true);
    float before[16], after[16], norm;
    bool finite;
    scaled_step(&r, true, 0.25f);
    expect_verdict(&r, true, 65536, 0);
    OK(tti_optimizer_stats(r.o, &norm, &finite));
    cr_expect_eq(norm, 1.0f, "norm %g", (double)norm); /* 16 elements of 1/4 */
    OK(tti_mem_read(d, r.p, 0, before, sizeof before));
    scaled_step(&r, true, 2); /* 131072 is over the largest half */
    expect_verdict(&r, true, 32768, 1);
    OK(tti_mem_read(d, r.p, 0, after, sizeof after));
    cr_expect_eq(memcmp(before, after, sizeof before), 0, "an overflow changed parameters");
    for (int i = 0; i < 15; i++) scaled_step(&r, true, INFINITY);
    expect_verdict(&r, true, 1, 16);
    scaled_step(&r, true, INFINITY); /* no smaller scale is left */
    expect_verdict(&r, false, 1, 17);
    for (int i = 0; i < 1999; i++) scaled_step(&r, true, 0.25f);
    expect_verdict(&r, true, 1, 17);
    scaled_step(&r, true, 0.25f);
    expect_verdict(&r, true, 2, 17);
    const float bad = NAN; /* a loss that is no number is no overflow */
    OK(tti_mem_write(d, r.loss, 0, &bad, sizeof bad));
    scaled_step(&r, true, 0.25f);
    expect_verdict(&r, false, 1, 18);
    const tti_optimizer_scaling wrong[] = {
        {.scale = 3}, {.scale = 0x1p25f}, {2, 2000, 0}, {0, 0, 0}};
    for (size_t i = 0; i < TT_COUNT(wrong); i++)
        cr_expect_eq(tti_optimizer_set_scaling(r.o, &wrong[i]), TT_E_ARG);
    OK(tti_optimizer_set_scaling(r.o, &(tti_optimizer_scaling){0x1p24f, 1999, 3}));
    const float good = 1;
    OK(tti_mem_write(d, r.loss, 0, &good, sizeof good));
    scaled_step(&r, true, 0x1p-12f);
    expect_verdict(&r, true, 0x1p24f, 3); /* the largest */
    scaled_free(&r);
    tti_device_close(d);
}

Test(optimizer_types, scaled_gradients_make_the_same_steps) {
    tti_device *d = open_device();
    scaled_run r[2] = {scaled_make(d, false), scaled_make(d, true)};
    float p[2][16];
    for (int k = 0; k < 2; k++) {
        for (int t = 0; t < 5; t++) scaled_step(&r[k], k, 0.125f * (float)(1 + t % 3));
        OK(tti_mem_read(d, r[k].p, 0, p[k], sizeof p[k]));
        scaled_free(&r[k]);
    }
    cr_expect_eq(memcmp(p[0], p[1], sizeof p[0]), 0, "%.9g and %.9g", (double)p[0][0],
                 (double)p[1][0]);
    tti_device_close(d);
}
