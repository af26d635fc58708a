// SPDX-License-Identifier: Apache-2.0
/* Every kind against torch and transformers (tests/ref/optimizer_cases.py); 8-bit moments against
 * f32 ones. */
#include "host/format/safetensors.h"
#include "tests/unit/train/optimizer_support.h"

enum { COUNT = 304, DECAY = 256, STEPS = 6, BAD = 4 };
static const tti_matrix matrices[] = {{0, 12, 20}, {256, 1, 17}, {288, 3, 5}};

static tti_st *open_cases(void) {
    tti_st *st = NULL;
    OK(tti_st_open(&st, TT_TEST_DATA "/ref/optimizer_cases.safetensors"));
    return st;
}

static void load(const tti_st *st, const char *name, float *dst, size_t first, size_t count) {
    const tti_st_tensor *t = tti_st_find(st, name);
    cr_assert(t, "no %s", name);
    OK(tti_st_read_f32(t, dst, first, count));
}

static const struct {
    const char *name;
    tti_optimizer_kind kind;
    float beta1, beta2;
} cases[] = {
    {"adamw", TTI_OPT_ADAMW, 0.9f, 0.999f},
    {"sgd", TTI_OPT_SGD, 0.9f, 0},
    {"sgd0", TTI_OPT_SGD, 0, 0},
    {"adafactor", TTI_OPT_ADAFACTOR, 0, 0},
    {"lion", TTI_OPT_LION, 0.9f, 0.99f},
};

typedef struct {
    tti_device *d;
    cl_mem p, g;
    tti_optimizer *o;
} made;

static made make(tti_device *d, const tti_st *st, tti_optimizer_kind kind, float beta1,
                 float beta2) {
    float p[COUNT];
    load(st, "p0", p, 0, COUNT);
    made m = {.d = d, .p = upload(d, p, sizeof p), .g = upload(d, NULL, sizeof p)};
    tti_optimizer_opts o = tti_optimizer_defaults();
    o.kind = kind;
    o.beta1 = beta1;
    o.beta2 = beta2;
    o.weight_decay = 0.1f;
    const tti_optimizer_arena a = {.p = m.p,
                                   .g = m.g,
                                   .count = COUNT,
                                   .decay_count = DECAY,
                                   .matrices = matrices,
                                   .nmatrices = TT_COUNT(matrices)};
    OK(tti_optimizer_new(&m.o, d, &o, &a, 1, NULL, 0));
    return m;
}

static void made_free(made *m) {
    tti_optimizer_free(m->o);
    tti_mem_free(m->d, m->p);
    tti_mem_free(m->d, m->g);
}

static void step(made *m, const tti_st *st, uint32_t t) {
    float g[COUNT], norm;
    bool finite;
    load(st, "g", g, (t - 1) * COUNT, COUNT);
    OK(tti_mem_write(m->d, m->g, 0, g, sizeof g));
    OK(tti_optimizer_begin(m->o, t, 0.01f / (float)t, NULL, 0));
    OK(tti_optimizer_update(m->o, NULL, 0, NULL));
    OK(tti_optimizer_stats(m->o, &norm, &finite));
    cr_expect_eq(finite, t != BAD, "step %u: finite %d", t, finite);
}

static void check_kind(tti_device *d, const tti_st *st, size_t c, const int shape[2]) {
    set_shape(d, shape);
    made m = make(d, st, cases[c].kind, cases[c].beta1, cases[c].beta2);
    char name[32];
    snprintf(name, sizeof name, "%s.p", cases[c].name);
    for (uint32_t t = 1; t <= STEPS; t++) {
        float p[COUNT], want[COUNT];
        step(&m, st, t);
        OK(tti_mem_read(d, m.p, 0, p, sizeof p));
        load(st, name, want, (t - 1) * COUNT, COUNT);
        for (size_t i = 0; i < COUNT; i++)
            if (!(fabsf(p[i] - want[i]) <= 1e-6f * (1 + fabsf(want[i])))) {
                cr_expect(false, "%s, wg %d, vw %d: p[%zu] is %.9g after step %u, must be %.9g",
                          cases[c].name, shape[0], shape[1], i, (double)p[i], t, (double)want[i]);
                break;
            }
    }
    made_free(&m);
}

Test(optimizer_kinds, match_torch) {
    tti_device *d = open_device();
    tti_st *st = open_cases();
    for (size_t c = 0; c < TT_COUNT(cases); c++)
        for (size_t i = 0; i < TT_COUNT(shapes); i++) check_kind(d, st, c, shapes[i]);
    tti_st_close(st);
    tti_device_close(d);
}

/* ---- 8-bit moments ---- */

Test(optimizer_kinds, dynamic_maps_are_those_of_bitsandbytes) {
    tti_st *st = open_cases();
    for (int is_signed = 0; is_signed < 2; is_signed++) {
        float map[256], want[256];
        tti_dynamic_map(is_signed, map);
        load(st, is_signed ? "map.signed" : "map.unsigned", want, 0, 256);
        for (int i = 0; i < 256; i++)
            cr_expect(fabsf(map[i] - want[i]) <= 2e-7f * fabsf(want[i]),
                      "signed %d [%d]: %.9g %.9g", is_signed, i, (double)map[i], (double)want[i]);
    }
    tti_st_close(st);
}

/* Whether index q is that of the entry nearest to x, but for rounding. */
static bool is_nearest(const float *map, int q, double x) {
    const double e = fabs((double)map[q] - x), slack = 1e-6 * fabs(x);
    return (q == 0 || e <= fabs((double)map[q - 1] - x) + slack) &&
           (q == 255 || e <= fabs((double)map[q + 1] - x) + slack);
}

/* The first step's moments are (1 - b1) g and (1 - b2) g^2, in blocks that begin with matrices. */
static void check_requantised(tti_device *d, const tti_matrix *m, size_t n, size_t count,
                              tti_optimizer *o, const float *g) {
    uint8_t *q = malloc(2 * count);
    float maps[2][256];
    tti_dynamic_map(true, maps[0]);
    tti_dynamic_map(false, maps[1]);
    OK(tti_optimizer_read(o, 0, 0, q, 2 * count));
    size_t block = 0;
    for (size_t k = 0; k < n; k++)
        for (size_t b = 0, all = m[k].rows * m[k].cols; b < all; b += TTI_OPT_BLOCK, block++) {
            const float *x = g + m[k].first + b;
            const size_t len = TT_MIN(all - b, (size_t)TTI_OPT_BLOCK);
            double most = 0;
            float scale[2];
            for (size_t i = 0; i < len; i++) most = fmax(most, fabs((double)x[i]));
            OK(tti_optimizer_read(o, 1, 2 * block, scale, 2));
            cr_expect(fabs((double)scale[0] - 0.1 * most) <= 1e-6 * most, "scale %zu", block);
            cr_expect(fabs((double)scale[1] - 0.001 * most * most) <= 1e-6 * most * most);
            for (size_t i = 0; i < len; i++) {
                const uint8_t *at = q + 2 * (m[k].first + b + i);
                const double r = (double)x[i] / most;
                cr_expect(is_nearest(maps[0], at[0], r), "m[%zu]: %g became %d", i, r, at[0]);
                cr_expect(is_nearest(maps[1], at[1], r * r) || (at[1] == 1 && r != 0),
                          "v[%zu]: %g became %d", i, r * r, at[1]);
                cr_expect(at[1] > 0 || r == 0, "v[%zu] is lost", i);
            }
        }
    free(q);
    (void)d;
}

/* An update is at most a few times the rate: the distance is measured in rates. */
static void check_eight(tti_device *d, const int shape[2]) {
    enum { N = 5000, K = 30 };
    const tti_matrix m[] = {{0, 30, 100}, {3008, 1, 900}, {3920, 27, 40}};
    const float lr = 1e-3f;
    float *p = malloc(N * sizeof *p), *g = calloc(N, sizeof *g), *p8 = malloc(N * sizeof *p);
    set_shape(d, shape);
    for (uint32_t i = 0; i < N; i++) p[i] = draw(i, 0);
    cl_mem pm[2] = {upload(d, p, N * sizeof *p), upload(d, p, N * sizeof *p)};
    cl_mem gm = upload(d, NULL, N * sizeof *g);
    tti_optimizer *o[2];
    for (int k = 0; k < 2; k++) {
        tti_optimizer_opts opts = tti_optimizer_defaults();
        opts.kind = k ? TTI_OPT_ADAMW8 : TTI_OPT_ADAMW;
        opts.max_grad_norm = 0;
        const tti_optimizer_arena a = {.p = pm[k],
                                       .g = gm,
                                       .count = N,
                                       .decay_count = 3008,
                                       .matrices = m,
                                       .nmatrices = TT_COUNT(m)};
        OK(tti_optimizer_new(&o[k], d, &opts, &a, 1, NULL, 0));
    }
    for (uint32_t t = 1; t <= K; t++) {
        for (size_t k = 0; k < TT_COUNT(m); k++)
            for (uint32_t i = 0; i < m[k].rows * m[k].cols; i++) {
                const uint32_t at = (uint32_t)m[k].first + i; /* some are far smaller than others */
                g[at] = (0.3f + draw(at, t)) * powf(10, draw(at, 999)) * (at % 11 ? 1 : 0);
            }
        OK(tti_mem_write(d, gm, 0, g, N * sizeof *g));
        for (int k = 0; k < 2; k++) {
            OK(tti_optimizer_begin(o[k], t, lr, NULL, 0));
            OK(tti_optimizer_update(o[k], NULL, 0, NULL));
        }
        if (t == 1) check_requantised(d, m, TT_COUNT(m), N, o[1], g);
    }
    OK(tti_mem_read(d, pm[0], 0, p, N * sizeof *p));
    OK(tti_mem_read(d, pm[1], 0, p8, N * sizeof *p));
    double sum = 0, moved = 0, worst = 0;
    for (uint32_t i = 0; i < N; i++) {
        const double e = fabs((double)p[i] - (double)p8[i]) / (double)lr;
        sum += e * e;
        if (!(e <= worst)) worst = e;
        moved += pow((double)(p[i] - draw(i, 0)) / (double)lr, 2);
    }
    cr_expect(sqrt(sum / N) <= 0.06 * sqrt(moved / N) && worst <= 8,
              "wg %d, vw %d: off by %g rates (rms), %g at most, where f32 moved %g", shape[0],
              shape[1], sqrt(sum / N), worst, sqrt(moved / N));
    for (int k = 0; k < 2; k++) {
        tti_optimizer_free(o[k]);
        tti_mem_free(d, pm[k]);
    }
    tti_mem_free(d, gm);
    free(p);
    free(p8);
    free(g);
}

Test(optimizer_kinds, eight_bits_stay_close_to_f32) {
    tti_device *d = open_device();
    for (size_t i = 0; i < TT_COUNT(shapes); i++) check_eight(d, shapes[i]);
    tti_device_close(d);
}
