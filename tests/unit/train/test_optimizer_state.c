// SPDX-License-Identifier: Apache-2.0
/* Every kind saved and resumed, to the bits of a run that was not interrupted; Adafactor's tables
 * against dense updates; bytes as planned. */
#include <unistd.h>
#include "host/train/optimizer_state.h"
#include "tests/unit/train/optimizer_support.h"

enum { COUNT = 1000, ROWS = 20, COLS = 21, SLOTS = 6, STEPS = 9, SAVED = 5 };
static const tti_matrix matrices[] = {{0, 12, 20}, {256, 1, 17}, {288, 30, 23}};

typedef struct {
    tti_device *d;
    cl_mem p, g, table, rows;
    tti_optimizer *o;
} run;

static run make(tti_device *d, tti_optimizer_kind kind, float beta1, bool scaled) {
    uint16_t p[COUNT];
    float table[ROWS * COLS];
    for (uint32_t i = 0; i < COUNT; i++) p[i] = tti_f32_to_bf16(draw(i, 0));
    for (uint32_t i = 0; i < TT_COUNT(table); i++) table[i] = draw(i, 1);
    run r = {.d = d, .p = upload(d, p, sizeof p), .g = upload(d, NULL, sizeof p)};
    r.table = upload(d, table, sizeof table);
    r.rows = upload(d, NULL, SLOTS * COLS * sizeof *table);
    tti_optimizer_opts o = tti_optimizer_defaults();
    o.kind = kind;
    o.beta1 = beta1;
    o.seed = 77;
    o.scaled = scaled;
    o.max_ids = SLOTS;
    const tti_optimizer_arena a = {.p = r.p,
                                   .g = r.g,
                                   .type = TTI_BF16,
                                   .gtype = TTI_F16,
                                   .count = COUNT,
                                   .decay_count = 256,
                                   .matrices = matrices,
                                   .nmatrices = TT_COUNT(matrices)};
    const tti_optimizer_sparse s = {r.table, r.rows, ROWS, COLS, SLOTS, true};
    const size_t before = tti_mem_allocated(d, TTI_MEM_OPTIMIZER);
    OK(tti_optimizer_new(&r.o, d, &o, &a, 1, &s, 1));
    cr_expect_eq(tti_mem_allocated(d, TTI_MEM_OPTIMIZER) - before,
                 tti_optimizer_bytes(&o, &a, 1, &s, 1), "%s", tti_optimizer_name(kind));
    return r;
}

static void run_free(run *r) {
    tti_optimizer_free(r->o);
    const cl_mem all[] = {r->p, r->g, r->table, r->rows};
    for (size_t i = 0; i < TT_COUNT(all); i++) tti_mem_free(r->d, all[i]);
}

/* Step 3 overflows. */
static void one_step(run *r, uint32_t t) {
    uint16_t g[COUNT] = {0};
    float rows[SLOTS * COLS];
    int32_t ids[SLOTS];
    for (int i = 0; i < SLOTS; i++) ids[i] = (int)((t * 7 + (uint32_t)i * 3) % ROWS);
    OK(tti_optimizer_begin(r->o, t, 1e-2f, ids, SLOTS));
    const float scale = tti_optimizer_loss_scale(r->o) * 0x1p-12f;
    for (size_t k = 0; k < TT_COUNT(matrices); k++)
        for (size_t i = 0; i < matrices[k].rows * matrices[k].cols; i++)
            g[matrices[k].first + i] = tti_f32_to_f16(scale * draw((uint32_t)i, 10 + t));
    for (uint32_t i = 0; i < TT_COUNT(rows); i++) rows[i] = scale * draw(i, 100 + t);
    if (t == 3) g[5] = 0x7C00;
    OK(tti_mem_write(r->d, r->g, 0, g, sizeof g));
    OK(tti_mem_write(r->d, r->rows, 0, rows, sizeof rows));
    OK(tti_optimizer_update(r->o, ids, SLOTS - 2, NULL));
}

static void copy(tti_device *d, cl_mem to, cl_mem from, size_t bytes) {
    char *x = malloc(bytes);
    OK(tti_mem_read(d, from, 0, x, bytes));
    OK(tti_mem_write(d, to, 0, x, bytes));
    OK(tti_device_finish(d));
    free(x);
}

static void expect_same(tti_device *d, cl_mem a, cl_mem b, size_t bytes, const char *what) {
    char *x = malloc(bytes), *y = malloc(bytes);
    OK(tti_mem_read(d, a, 0, x, bytes));
    OK(tti_mem_read(d, b, 0, y, bytes));
    cr_expect_eq(memcmp(x, y, bytes), 0, "%s differs", what);
    free(x);
    free(y);
}

static const char *scratch_file(char path[64]) {
    snprintf(path, 64, "/tmp/tt-optimizer-%ld.safetensors", (long)getpid());
    return path;
}

static void check_resumed(tti_device *d, tti_optimizer_kind kind, float beta1, bool scaled) {
    char path[64];
    scratch_file(path);
    run a = make(d, kind, beta1, scaled), b = make(d, kind, beta1, scaled);
    for (uint32_t t = 1; t <= SAVED; t++) one_step(&a, t);
    OK(tti_optimizer_flush(a.o));
    OK(tti_optimizer_save(a.o, path));
    copy(d, b.p, a.p, COUNT * 2);
    copy(d, b.table, a.table, ROWS * COLS * sizeof(float));
    OK(tti_optimizer_load(b.o, path, SAVED));
    for (uint32_t t = SAVED + 1; t <= STEPS; t++) {
        one_step(&a, t);
        one_step(&b, t);
    }
    OK(tti_optimizer_flush(a.o));
    OK(tti_optimizer_flush(b.o));
    expect_same(d, a.p, b.p, COUNT * 2, tti_optimizer_name(kind));
    expect_same(d, a.table, b.table, ROWS * COLS * sizeof(float), tti_optimizer_name(kind));
    tti_optimizer_scaling s, z;
    OK(tti_optimizer_get_scaling(a.o, &s));
    OK(tti_optimizer_get_scaling(b.o, &z));
    cr_expect(s.scale == z.scale && s.good == z.good && s.overflows == z.overflows, "%s: %g %u %u",
              tti_optimizer_name(kind), (double)z.scale, z.good, z.overflows);
    cr_expect_eq(s.overflows, scaled ? 1 : 0);
    run_free(&a);
    run_free(&b);
    unlink(path);
}

Test(optimizer_state, resumes_to_the_same_bits) {
    tti_device *d = open_device();
    for (int kind = 0; kind < TTI_OPT_KINDS; kind++)
        check_resumed(d, (tti_optimizer_kind)kind, 0.9f, kind % 2 == 0);
    check_resumed(d, TTI_OPT_SGD, 0, true);
    set_shape(d, shapes[2]);
    check_resumed(d, TTI_OPT_ADAMW8, 0.9f, true);
    check_resumed(d, TTI_OPT_ADAFACTOR, 0.9f, true);
    tti_device_close(d);
}

Test(optimizer_state, refuses_what_is_not_its_own) {
    tti_device *d = open_device();
    char path[64];
    run lion = make(d, TTI_OPT_LION, 0.9f, true), sgd = make(d, TTI_OPT_SGD, 0.9f, false),
        plain = make(d, TTI_OPT_SGD, 0, false), unscaled = make(d, TTI_OPT_LION, 0.9f, false);
    OK(tti_optimizer_save(lion.o, scratch_file(path)));
    cr_expect_eq(tti_optimizer_load(sgd.o, path, 1), TT_E_FORMAT);
    cr_expect(strstr(tt_error(), "lion") && strstr(tt_error(), "sgd"), "%s", tt_error());
    cr_expect_eq(tti_optimizer_load(unscaled.o, path, 1), TT_E_ARG);
    cr_expect(strstr(tt_error(), "65536"), "%s", tt_error());
    OK(tti_optimizer_save(sgd.o, path));
    cr_expect_eq(tti_optimizer_load(plain.o, path, 1), TT_E_FORMAT);
    cr_expect_eq(tti_optimizer_load(lion.o, path, 1), TT_E_FORMAT);
    run *const all[] = {&lion, &sgd, &plain, &unscaled};
    for (size_t i = 0; i < TT_COUNT(all); i++) run_free(all[i]);
    unlink(path);
    tti_device_close(d);
}

/* A table's rows without gradient only decay; columns and the size of the update are summed up over
 * the rows with gradient. */
static void check_table(tti_device *d, const int shape[2]) {
    float p[ROWS * COLS], q[ROWS * COLS], slots[SLOTS * COLS];
    set_shape(d, shape);
    for (uint32_t i = 0; i < TT_COUNT(p); i++) p[i] = draw(i, 1);
    cl_mem lazy = upload(d, p, sizeof p), dense = upload(d, p, sizeof p);
    cl_mem rows = upload(d, NULL, sizeof slots), g = upload(d, NULL, sizeof p);
    tti_optimizer_opts o = tti_optimizer_defaults();
    o.kind = TTI_OPT_ADAFACTOR;
    o.max_ids = SLOTS;
    o.weight_decay = 0.1f;
    const tti_matrix whole = {0, ROWS, COLS};
    const tti_optimizer_arena a = {.p = dense,
                                   .g = g,
                                   .count = ROWS * COLS,
                                   .decay_count = ROWS * COLS,
                                   .matrices = &whole,
                                   .nmatrices = 1};
    const tti_optimizer_sparse s = {lazy, rows, ROWS, COLS, SLOTS, true};
    tti_optimizer *opt[2];
    OK(tti_optimizer_new(&opt[0], d, &o, NULL, 0, &s, 1));
    OK(tti_optimizer_new(&opt[1], d, &o, &a, 1, NULL, 0));
    for (uint32_t t = 1; t <= 12; t++) {
        int32_t ids[SLOTS];
        const size_t n = t % 5; /* none in step 5 */
        memset(q, 0, sizeof q);
        for (size_t i = 0; i < SLOTS; i++) {
            ids[i] = (int)((t * 7 + (uint32_t)i * 3) % (ROWS - 1));
            for (size_t c = 0; c < COLS && i < n; c++)
                q[(size_t)ids[i] * COLS + c] = slots[i * COLS + c] =
                    draw((uint32_t)(i * COLS + c), 50 + t);
        }
        if (t == 4) slots[0] = q[(size_t)ids[0] * COLS] = NAN;
        OK(tti_mem_write(d, rows, 0, slots, sizeof slots));
        OK(tti_mem_write(d, g, 0, q, sizeof q));
        OK(tti_optimizer_begin(opt[0], t, 1e-2f, ids, SLOTS));
        OK(tti_optimizer_update(opt[0], ids, n, NULL));
        OK(tti_optimizer_begin(opt[1], t, 1e-2f, NULL, 0));
        OK(tti_optimizer_update(opt[1], NULL, 0, NULL));
    }
    OK(tti_optimizer_flush(opt[0]));
    OK(tti_mem_read(d, lazy, 0, p, sizeof p));
    OK(tti_mem_read(d, dense, 0, q, sizeof q));
    for (size_t i = 0, bad = 0; i < TT_COUNT(p) && !bad; i++) {
        bad = !(fabsf(p[i] - q[i]) <= 2e-6f);
        cr_expect(!bad, "wg %d: p[%zu]: %.9g lazily, %.9g densely", shape[0], i, (double)p[i],
                  (double)q[i]);
    }
    const size_t row = (ROWS - 1) * COLS * sizeof *p; /* never read: only decayed, bit for bit */
    cr_expect_eq(memcmp((char *)p + row, (char *)q + row, COLS * sizeof *p), 0);
    for (int k = 0; k < 2; k++) tti_optimizer_free(opt[k]);
    const cl_mem all[] = {lazy, dense, rows, g};
    for (size_t i = 0; i < TT_COUNT(all); i++) tti_mem_free(d, all[i]);
}

Test(optimizer_state, adafactor_tables_follow_dense_updates) {
    tti_device *d = open_device();
    for (size_t i = 0; i < TT_COUNT(shapes); i += 2) check_table(d, shapes[i]);
    tti_device_close(d);
}
