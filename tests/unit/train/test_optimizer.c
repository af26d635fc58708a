// SPDX-License-Identifier: Apache-2.0
/* AdamW against a double reference; tables updated lazily against dense updates, bit for bit. */
#include "tests/unit/train/optimizer_support.h"

/* ---- dense, against doubles ---- */

enum { N = 20000, DECAY_N = 16000, DENSE_STEPS = 6, BAD_STEP = 4 };

typedef struct {
    double p[N], m[N], v[N];
} dense_ref;

static double ref_norm(const float *g, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)g[i] * (double)g[i];
    return sqrt(sum);
}

static void ref_step(dense_ref *r, const float *g, int t, double lr, double max_norm) {
    const double norm = ref_norm(g, N), clip = fmin(1, max_norm / (norm + 1e-6));
    for (int i = 0; i < N; i++) {
        const double x = (double)g[i] * clip;
        if (i < DECAY_N) r->p[i] *= 1 - lr * 0.1;
        r->m[i] += (x - r->m[i]) * 0.1;
        r->v[i] = 0.999 * r->v[i] + 0.001 * x * x;
        const double d = sqrt(r->v[i]) / sqrt(1 - pow(0.999, t)) + 1e-8;
        r->p[i] -= lr / (1 - pow(0.9, t)) * r->m[i] / d;
    }
}

static void check_dense(tti_device *d, const int shape[2]) {
    set_shape(d, shape);
    static dense_ref r;
    static float p[N], g[N];
    memset(&r, 0, sizeof r);
    for (uint32_t i = 0; i < N; i++) r.p[i] = p[i] = draw(i, 0);
    cl_mem pm = upload(d, p, sizeof p), gm = upload(d, NULL, sizeof g);
    tti_optimizer_opts o = tti_optimizer_defaults();
    o.weight_decay = 0.1f;
    const tti_optimizer_arena a = {.p = pm, .g = gm, .count = N, .decay_count = DECAY_N};
    tti_optimizer *opt;
    OK(tti_optimizer_new(&opt, d, &o, &a, 1, NULL, 0));
    for (int t = 1; t <= DENSE_STEPS; t++) {
        const float lr = 1e-2f / (float)t, scale = t == 2 ? 1e-3f : 1.0f; /* step 2: no clipping */
        for (uint32_t i = 0; i < N; i++) g[i] = scale * draw(i, (uint32_t)t);
        if (t == BAD_STEP) g[N / 2] = INFINITY;
        OK(tti_mem_write(d, gm, 0, g, sizeof g));
        OK(tti_optimizer_begin(opt, (uint32_t)t, lr, NULL, 0));
        OK(tti_optimizer_update(opt, NULL, 0, NULL));
        float norm;
        bool finite;
        OK(tti_optimizer_stats(opt, &norm, &finite));
        cr_expect_eq(finite, t != BAD_STEP, "step %d: finite %d", t, finite);
        if (t == BAD_STEP) continue;
        const double want = ref_norm(g, N);
        cr_expect(fabs((double)norm - want) <= 1e-5 * want, "norm %g, must be %g", (double)norm,
                  want);
        ref_step(&r, g, t, (double)lr, 1.0);
    }
    OK(tti_mem_read(d, pm, 0, p, sizeof p));
    double worst = 0;
    for (int i = 0; i < N; i++) {
        const double e = fabs((double)p[i] - r.p[i]) / (1 + fabs(r.p[i]));
        if (!(e <= worst)) worst = e;
    }
    cr_expect(worst <= 1e-6, "wg %d, vw %d: error %g after %d steps", shape[0], shape[1], worst,
              DENSE_STEPS);
    tti_optimizer_free(opt);
    tti_mem_free(d, pm);
    tti_mem_free(d, gm);
}

Test(optimizer, dense_steps_match_doubles) {
    tti_device *d = open_device();
    for (size_t i = 0; i < TT_COUNT(shapes); i++) check_dense(d, shapes[i]);
    tti_device_close(d);
}

/* ---- lazy, against dense ---- */

enum { MAX_ROWS = 32, MAX_COLS = 40 };

typedef struct {
    tti_device *d;
    int rows, cols;
    bool decay;
    tti_optimizer_kind kind;
    float beta1;
    tti_optimizer *lazy, *dense;
    cl_mem lazy_p, lazy_g, dense_p, dense_g;
} twins;

static tti_optimizer_opts twin_opts(const twins *w) {
    tti_optimizer_opts o = tti_optimizer_defaults();
    o.kind = w->kind;
    o.beta1 = w->beta1;
    o.max_grad_norm = 0; /* the norms' last bits differ: the sums have another order */
    o.max_ids = MAX_ROWS;
    return o;
}

static void twins_make(twins *w, const float *p) {
    const size_t n = (size_t)(w->rows * w->cols), bytes = n * sizeof(float);
    w->lazy_p = upload(w->d, p, bytes);
    w->dense_p = upload(w->d, p, bytes);
    w->lazy_g = upload(w->d, NULL, bytes);
    w->dense_g = upload(w->d, NULL, bytes);
    const tti_optimizer_opts o = twin_opts(w);
    const tti_optimizer_arena a = {
        .p = w->dense_p, .g = w->dense_g, .count = n, .decay_count = w->decay ? n : 0};
    const tti_optimizer_sparse s = {w->lazy_p,       w->lazy_g,       (size_t)w->rows,
                                    (size_t)w->cols, (size_t)w->rows, w->decay};
    OK(tti_optimizer_new(&w->dense, w->d, &o, &a, 1, NULL, 0));
    OK(tti_optimizer_new(&w->lazy, w->d, &o, NULL, 0, &s, 1));
}

static void twins_free(twins *w) {
    tti_optimizer_free(w->lazy);
    tti_optimizer_free(w->dense);
    tti_mem_free(w->d, w->lazy_p);
    tti_mem_free(w->d, w->lazy_g);
    tti_mem_free(w->d, w->dense_p);
    tti_mem_free(w->d, w->dense_g);
}

static void expect_equal(const twins *w, cl_mem a, cl_mem b, const char *what) {
    float x[MAX_ROWS * MAX_COLS], y[MAX_ROWS * MAX_COLS];
    const size_t n = (size_t)(w->rows * w->cols);
    OK(tti_mem_read(w->d, a, 0, x, n * sizeof *x));
    OK(tti_mem_read(w->d, b, 0, y, n * sizeof *y));
    for (size_t i = 0; i < n; i++)
        if (memcmp(&x[i], &y[i], sizeof *x) != 0) {
            cr_expect(false, "%s[%zu]: %.9g lazily, %.9g densely", what, i, (double)x[i],
                      (double)y[i]);
            return;
        }
}

static void expect_same_moments(const twins *w) {
    const size_t n = (size_t)(w->rows * w->cols);
    float x[MAX_ROWS * MAX_COLS], y[MAX_ROWS * MAX_COLS];
    for (size_t which = 0; which < tti_optimizer_tensors(w->lazy); which++) {
        OK(tti_optimizer_read(w->lazy, which, 0, x, n));
        OK(tti_optimizer_read(w->dense, which, 0, y, n));
        cr_expect_eq(memcmp(x, y, n * sizeof *x), 0, "moment %zu differs", which + 1);
    }
}

/* One step: every row with r % stride == t % stride is read, every second of them has gradient. The
 * rows read must be up to date before the update. */
static void twins_step(twins *w, uint32_t t, int stride, bool bad) {
    float g[MAX_ROWS * MAX_COLS] = {0}, slots[MAX_ROWS * MAX_COLS];
    int32_t ids[MAX_ROWS], slot_ids[MAX_ROWS];
    size_t n = 0, m = 0;
    const size_t cols = (size_t)w->cols;
    for (int r = 0; r < w->rows - 1; r++) { /* the last row is never read */
        if (r % stride != (int)t % stride) continue;
        ids[n++] = r;
        if ((r + (int)t) % 2) continue;
        for (size_t c = 0; c < cols; c++)
            slots[m * cols + c] = g[(size_t)r * cols + c] = draw((uint32_t)r * 64 + (uint32_t)c, t);
        slot_ids[m++] = r;
    }
    if (bad && m) slots[0] = g[(size_t)slot_ids[0] * cols] = NAN;
    OK(tti_mem_write(w->d, w->dense_g, 0, g, (size_t)w->rows * cols * sizeof *g));
    OK(tti_mem_write(w->d, w->lazy_g, 0, slots, m * cols * sizeof *slots));
    const float lr = 1e-2f / (float)(1 + t % 7);
    OK(tti_optimizer_begin(w->dense, t, lr, NULL, 0));
    OK(tti_optimizer_begin(w->lazy, t, lr, ids, n));
    for (size_t i = 0; i < n && t % 5 == 0; i++) {
        float a[MAX_COLS], b[MAX_COLS];
        const size_t at = (size_t)ids[i] * cols * sizeof(float);
        OK(tti_mem_read(w->d, w->lazy_p, at, a, cols * sizeof *a));
        OK(tti_mem_read(w->d, w->dense_p, at, b, cols * sizeof *b));
        cr_expect_eq(memcmp(a, b, cols * sizeof *a), 0, "row %d lags at step %u", ids[i], t);
    }
    OK(tti_optimizer_update(w->dense, NULL, 0, NULL));
    OK(tti_optimizer_update(w->lazy, slot_ids, m, NULL));
}

static void check_lazy(tti_device *d, const int shape[2], bool decay, int cols,
                       tti_optimizer_kind kind, float beta1) {
    set_shape(d, shape);
    twins w = {.d = d, .rows = 30, .cols = cols, .decay = decay, .kind = kind, .beta1 = beta1};
    float p[MAX_ROWS * MAX_COLS];
    for (uint32_t i = 0; i < TT_COUNT(p); i++) p[i] = draw(i, 1000);
    twins_make(&w, p);
    for (uint32_t t = 1; t <= 23; t++) twins_step(&w, t, 4, t == 6 || t == 17);
    OK(tti_optimizer_flush(w.lazy));
    expect_equal(&w, w.lazy_p, w.dense_p, decay ? "p (decay)" : "p");
    expect_same_moments(&w);
    twins_free(&w);
}

Test(optimizer, lazy_rows_have_the_bits_of_dense_ones) {
    tti_device *d = open_device();
    for (size_t i = 0; i < TT_COUNT(shapes); i++) {
        check_lazy(d, shapes[i], true, 37, TTI_OPT_ADAMW, 0.9f);
        check_lazy(d, shapes[i], false, 16, TTI_OPT_ADAMW, 0.9f);
    }
    for (size_t i = 0; i < TT_COUNT(shapes); i += 2) {
        check_lazy(d, shapes[i], true, 37, TTI_OPT_SGD, 0.9f);
        check_lazy(d, shapes[i], true, 37, TTI_OPT_SGD, 0);
        check_lazy(d, shapes[i], true, 37, TTI_OPT_LION, 0.9f);
    }
    tti_device_close(d);
}

Test(optimizer, rows_may_lag_longer_than_the_steps_at_hand) {
    tti_device *d = open_device();
    twins w = {.d = d, .rows = 9, .cols = 5, .decay = true, .beta1 = 0.9f};
    float p[MAX_ROWS * MAX_COLS];
    for (uint32_t i = 0; i < TT_COUNT(p); i++) p[i] = draw(i, 1000);
    twins_make(&w, p);
    for (uint32_t t = 1; t <= 4200; t++) twins_step(&w, t, t < 10 || t > 4190 ? 2 : 100, t == 5);
    OK(tti_optimizer_flush(w.lazy));
    expect_equal(&w, w.lazy_p, w.dense_p, "p");
    expect_same_moments(&w);
    twins_free(&w);
    tti_device_close(d);
}

/* ---- the rest ---- */

Test(optimizer, resumes_to_the_same_bits) {
    tti_device *d = open_device();
    twins w = {.d = d, .rows = 30, .cols = 19, .decay = true, .beta1 = 0.9f}, v = w;
    float p[MAX_ROWS * MAX_COLS];
    for (uint32_t i = 0; i < TT_COUNT(p); i++) p[i] = draw(i, 1000);
    twins_make(&w, p);
    for (uint32_t t = 1; t <= 9; t++) twins_step(&w, t, 4, false);
    OK(tti_optimizer_flush(w.lazy));
    const size_t n = (size_t)(w.rows * w.cols);
    OK(tti_mem_read(d, w.lazy_p, 0, p, n * sizeof *p));
    twins_make(&v, p);
    for (size_t which = 0; which < 2; which++) {
        OK(tti_optimizer_read(w.lazy, which, 0, p, n));
        OK(tti_optimizer_write(v.lazy, which, 0, p, n));
        OK(tti_optimizer_write(v.dense, which, 0, p, n));
    }
    OK(tti_optimizer_resume(v.lazy, 9));
    OK(tti_optimizer_resume(v.dense, 9));
    for (uint32_t t = 10; t <= 20; t++) {
        twins_step(&w, t, 4, false);
        twins_step(&v, t, 4, false);
    }
    OK(tti_optimizer_flush(w.lazy));
    OK(tti_optimizer_flush(v.lazy));
    expect_equal(&w, w.lazy_p, v.lazy_p, "p resumed");
    expect_equal(&w, w.lazy_p, w.dense_p, "p");
    twins_free(&w);
    twins_free(&v);
    tti_device_close(d);
}

Test(optimizer, a_loss_that_is_no_number_stops_the_update) {
    tti_device *d = open_device();
    const float bad = NAN, p0[4] = {1, 2, 3, 4}, g0[4] = {1, 1, 1, 1};
    cl_mem p = upload(d, p0, sizeof p0), g = upload(d, g0, sizeof g0);
    cl_mem loss = upload(d, &bad, sizeof bad);
    const tti_optimizer_opts o = tti_optimizer_defaults();
    const tti_optimizer_arena a = {.p = p, .g = g, .count = 4, .decay_count = 4};
    tti_optimizer *opt;
    OK(tti_optimizer_new(&opt, d, &o, &a, 1, NULL, 0));
    OK(tti_optimizer_begin(opt, 1, 0.1f, NULL, 0));
    OK(tti_optimizer_update(opt, NULL, 0, loss));
    float norm, p1[4];
    bool finite;
    OK(tti_optimizer_stats(opt, &norm, &finite));
    OK(tti_mem_read(d, p, 0, p1, sizeof p1));
    cr_expect_not(finite);
    cr_expect_float_eq(norm, 2.0f, 1e-6);
    cr_expect_eq(memcmp(p0, p1, sizeof p0), 0, "parameters changed");
    tti_optimizer_free(opt);
    tti_mem_free(d, p);
    tti_mem_free(d, g);
    tti_mem_free(d, loss);
    tti_device_close(d);
}

Test(optimizer, allocates_what_it_says) {
    tti_device *d = open_device();
    const size_t before = tti_mem_allocated(d, TTI_MEM_OPTIMIZER);
    tti_optimizer_opts o = tti_optimizer_defaults();
    o.max_ids = 77;
    const tti_optimizer_arena a[2] = {{.count = 50000, .decay_count = 160},
                                      {.count = 48, .decay_count = 48}};
    const tti_optimizer_sparse s = {NULL, NULL, 100, 33, 20, true};
    tti_optimizer *opt;
    OK(tti_optimizer_new(&opt, d, &o, a, 2, &s, 1));
    cr_expect_eq(tti_mem_allocated(d, TTI_MEM_OPTIMIZER) - before,
                 tti_optimizer_bytes(&o, a, 2, &s, 1));
    tti_optimizer_free(opt);
    cr_expect_eq(tti_mem_allocated(d, TTI_MEM_OPTIMIZER), before);
    for (long n = 1; n <= 8; n++) { /* every device allocation may fail */
        tti_mem_fail_at(n);
        opt = NULL;
        cr_expect_eq(tti_optimizer_new(&opt, d, &o, a, 2, &s, 1), TT_E_MEMORY);
        cr_expect_eq(tti_mem_allocated(d, TTI_MEM_OPTIMIZER), before, "leak at %ld", n);
    }
    tti_mem_fail_at(0);
    tti_device_close(d);
}

Test(optimizer, refuses_wrong_options_and_order) {
    tti_device *d = open_device();
    const tti_optimizer_sparse s = {NULL, NULL, 10, 3, 2, true};
    tti_optimizer *opt = NULL;
    static const struct {
        float beta1, beta2, eps, decay, norm;
        const char *names;
    } bad[] = {
        {1, 0.9f, 1e-8f, 0, 1, "beta1: 1"},
        {0.9f, -1, 1e-8f, 0, 1, "beta2: -1"},
        {0.9f, 0.9f, 0, 0, 1, "eps: 0"},
        {0.9f, 0.9f, 1e-8f, -1, 1, "weight_decay: -1"},
        {0.9f, 0.9f, 1e-8f, 0, -2, "max_grad_norm: -2"},
        {NAN, 0.9f, 1e-8f, 0, 1, "beta1: "},
    };
    for (size_t i = 0; i < TT_COUNT(bad); i++) {
        const tti_optimizer_opts o = {.beta1 = bad[i].beta1,
                                      .beta2 = bad[i].beta2,
                                      .eps = bad[i].eps,
                                      .weight_decay = bad[i].decay,
                                      .max_grad_norm = bad[i].norm,
                                      .max_ids = 2};
        cr_expect_eq(tti_optimizer_new(&opt, d, &o, NULL, 0, &s, 1), TT_E_ARG);
        cr_expect(strstr(tt_error(), bad[i].names), "%s", tt_error());
    }
    tti_optimizer_opts o = tti_optimizer_defaults();
    o.max_ids = 2;
    OK(tti_optimizer_new(&opt, d, &o, NULL, 0, &s, 1));
    cr_expect_eq(tti_optimizer_begin(opt, 2, 0.1f, NULL, 0), TT_E_INTERNAL);
    cr_expect_eq(tti_optimizer_begin(opt, 1, NAN, NULL, 0), TT_E_NUMERIC);
    cr_expect_eq(tti_optimizer_begin(opt, 1, 0.1f, (int32_t[]){1, 2, 3}, 3), TT_E_SHAPE);
    cr_expect_eq(tti_optimizer_update(opt, NULL, 0, NULL), TT_E_INTERNAL);
    tti_optimizer_free(opt);
    tti_optimizer_free(NULL);
    tti_device_close(d);
}
