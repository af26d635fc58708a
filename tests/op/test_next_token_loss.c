// SPDX-License-Identifier: Apache-2.0
#include "tests/op/support_slabs.h"

#include <math.h>
#include <string.h>

static const td_batch ragged = {5, {3, 1, 2, 14, 4}, {4, 0, 0, 12, 1}};
static const td_batch pair = {1, {2}, {0}};
static const td_batch single = {3, {1, 1, 1}, {0}}; /* nothing follows: no row is supervised */

/* i: vocabulary; p: cap; opts: rows at a time; one input: it is table and projection */
static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    const tti_val loss = tti_graph_accumulator(g, "loss", tti_shape_const(1, 1));
    const bool tied = c->in[1].cols == 0;
    const tti_val x =
        tied ? tti_gather_labelled(g, tti_embed(g, v[0], TTI_IN_IDS_SEL, TTI_NONE)) : v[0];
    tti_next_token_loss(g, x, v[tied ? 0 : 1], loss, c->p, *(const int *)c->opts);
    return loss;
}

static double row_loss(const double *x, const double *w, const td_case *c, size_t d, int label) {
    double z[1100], top = -INFINITY, sum = 0;
    for (int k = 0; k < c->i; k++) {
        z[k] = 0;
        for (size_t i = 0; i < d; i++) z[k] += x[i] * w[(size_t)k * d + i];
        if (c->p > 0) z[k] = (double)c->p * tanh(z[k] / (double)c->p);
        top = fmax(top, z[k]);
    }
    for (int k = 0; k < c->i; k++) sum += exp(z[k] - top);
    return log(sum) + top - z[label];
}

static void ref(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    const size_t d = c->in[0].cols;
    const bool tied = c->in[1].cols == 0;
    y[0] = 0;
    for (size_t r = 0; r < td_rows(f, TTI_ROWS_LAB, 0); r++) {
        const int32_t row = f->in[TTI_IN_LAB_ROW][r];
        const size_t at = tied ? (size_t)f->in[TTI_IN_IDS_SEL][row] : r;
        y[0] += row_loss(v[0] + at * d, v[tied ? 0 : 1], c, d, f->in[TTI_IN_LAB_ID][r]) / 3;
    }
}

static const int all = 64, five = 5, single_row = 1;

#define IN(vocab, d, s)                                                            \
    {                                                                              \
        {TTI_ROWS_LAB, 0, d, .scale = s}, { TTI_ROWS_CONST, vocab, d, .scale = s } \
    }
static const td_case cases[] = {
    {"one token", &ragged, IN(1, 3, 1), build, ref, 1e-6, 1e-6, 1, .opts = &all},
    {"two tokens", &ragged, IN(2, 8, 1), build, ref, 1e-6, 1e-6, 2, .opts = &all},
    {"one row", &pair, IN(77, 9, 1), build, ref, 1e-6, 1e-6, 77, .opts = &all},
    {"no supervised row", &single, IN(77, 9, 1), build, ref, 1e-6, 1e-6, 77, .opts = &all},
    {"odd sizes", &ragged, IN(77, 19, 2), build, ref, 1e-6, 2e-6, 77, .opts = &all},
    {"five rows at a time", &ragged, IN(77, 19, 2), build, ref, 1e-6, 2e-6, 77, .opts = &five},
    {"one row at a time", &ragged, IN(33, 7, 2), build, ref, 1e-6, 2e-6, 33, .opts = &single_row},
    {"capped", &ragged, IN(77, 19, 2), build, ref, 1e-6, 2e-6, 77, 3.0f, .opts = &five},
    {"capped, all at once", &ragged, IN(40, 24, 3), build, ref, 1e-6, 4e-6, 40, 30.0f,
     .opts = &all},
    {"1001 tokens", &ragged, IN(1001, 24, 1), build, ref, 1e-6, 2e-6, 1001, .opts = &five},
    {"far apart", &ragged, IN(50, 8, 9), build, ref, 1e-6, 2e-5, 50, .opts = &all},
    {"projection frozen",
     &ragged,
     {{TTI_ROWS_LAB, 0, 12}, {TTI_ROWS_CONST, 30, 12, .frozen = true}},
     build,
     ref,
     1e-6,
     2e-6,
     30,
     .opts = &five},
    {"only the projection is trained",
     &ragged,
     {{TTI_ROWS_LAB, 0, 12, .frozen = true}, {TTI_ROWS_CONST, 30, 12}},
     build,
     ref,
     1e-6,
     2e-6,
     30,
     .opts = &five},
    {"nothing is trained",
     &ragged,
     {{TTI_ROWS_LAB, 0, 12, .frozen = true}, {TTI_ROWS_CONST, 30, 12, .frozen = true}},
     build,
     ref,
     1e-6,
     2e-6,
     30,
     .opts = &five},
    {"tied to the table",
     &ragged,
     {{TTI_ROWS_CONST, TD_VOCAB, 12}},
     build,
     ref,
     1e-6,
     2e-6,
     TD_VOCAB,
     .opts = &five},
    {0},
};

Test(next_token_loss, values_and_gradients) {
    td_env env = td_open();
    td_check_all(&env, cases);
    td_close(&env);
}

enum { ROWS = 7, VOCAB = 37, DIM = 6 };

typedef struct {
    tti_graph *g;
    tti_val table, w, loss, rows;
    double flops;
} lone;

/* The loss of rows that are a table's own, as a graph of evaluation has it, or of training. */
static void lone_build(lone *t, bool training, int chunk) {
    t->g = tti_graph_new();
    t->table = tti_graph_param(t->g, "table", TD_VOCAB, DIM, true);
    t->w = tti_graph_param(t->g, "w", VOCAB, DIM, true);
    t->loss = tti_graph_accumulator(t->g, "loss", tti_shape_const(1, 1));
    tti_graph_no_grad(t->g, !training);
    const tti_val x = tti_embed(t->g, t->table, TTI_IN_IDS_SEL, TTI_NONE);
    t->rows = tti_next_token_loss(t->g, tti_gather_labelled(t->g, x), t->w, t->loss, 0, chunk);
    tti_graph_no_grad(t->g, false);
    tti_graph_keep(t->g, t->rows);
    const tti_node *n = tti_producer(t->g, t->rows);
    cr_assert_not_null(n, "%s", tt_error());
    tti_rows rows = {{0}};
    rows.n[TTI_ROWS_LAB] = ROWS;
    t->flops = n->op->flops(t->g, n, &rows);
    cr_assert_eq(tti_graph_finish(t->g), TT_OK);
}

static void lone_run(td_env *env, const lone *t, const int32_t *label, float *loss, float *rows) {
    float table[TD_VOCAB * DIM], w[VOCAB * DIM];
    for (uint32_t i = 0; i < TT_COUNT(table); i++) table[i] = td_random(i, 1);
    for (uint32_t i = 0; i < TT_COUNT(w); i++) w[i] = td_random(i, 2);
    const float *host[] = {table, w};
    const size_t count[] = {TT_COUNT(table), TT_COUNT(w)};
    int32_t ids[ROWS], row[ROWS];
    for (int i = 0; i < ROWS; i++) ids[i] = row[i] = i;
    tti_feed feed = {0};
    feed.rows.n[TTI_ROWS_SEL] = feed.rows.n[TTI_ROWS_LAB] = ROWS;
    feed.data[TTI_IN_IDS_SEL] = ids;
    feed.data[TTI_IN_LAB_ROW] = row;
    feed.data[TTI_IN_LAB_ID] = label;
    const tti_caps *caps = tti_device_caps(env->d);
    tti_plan *plan;
    tti_exec *e;
    cl_mem m[2], l;
    cr_assert_eq(tti_plan_new(&plan, t->g, &feed.rows, caps->align, caps->max_alloc), TT_OK);
    cr_assert_eq(tti_exec_new(&e, env->d, env->gemm, t->g, plan), TT_OK, "%s", tt_error());
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(tti_mem_new(&m[i], env->d, count[i] * 4, TTI_MEM_OTHER, false), TT_OK);
        cr_assert_eq(tti_mem_write(env->d, m[i], 0, host[i], count[i] * 4), TT_OK);
        tti_exec_bind(e, i ? t->w : t->table, m[i]);
    }
    cr_assert_eq(tti_mem_new(&l, env->d, 4, TTI_MEM_OTHER, true), TT_OK);
    tti_exec_bind(e, t->loss, l);
    e->loss_scale = 0.5f;
    for (e->micro = 0; e->micro < 2; e->micro++) {
        cr_assert_eq(tti_exec_run(e, &feed), TT_OK, "%s", tt_error());
        cr_assert_eq(tti_mem_read(env->d, l, 0, &loss[e->micro], 4), TT_OK);
    }
    cr_assert_eq(tti_exec_read(e, t->rows, rows, ROWS), TT_OK);
    const td_case c = {.i = VOCAB};
    for (int r = 0; r < ROWS; r++) {
        double x[DIM], wd[VOCAB * DIM];
        for (int i = 0; i < DIM; i++) x[i] = (double)table[r * DIM + i];
        for (int i = 0; i < VOCAB * DIM; i++) wd[i] = (double)w[i];
        const bool valid = label[r] >= 0 && label[r] < VOCAB;
        const double want = valid ? row_loss(x, wd, &c, DIM, label[r]) : NAN;
        cr_expect(valid ? fabs((double)rows[r] - want) < 1e-6 : isnan(rows[r]),
                  "row %d: loss %g, must be %g", r, (double)rows[r], want);
    }
    tti_exec_free(e);
    tti_plan_free(plan);
    for (int i = 0; i < 2; i++) tti_mem_free(env->d, m[i]);
    tti_mem_free(env->d, l);
}

/* Also a graph whose parameters want gradients, none of which may be computed. */
Test(next_token_loss, rows_of_evaluation) {
    td_env env = td_open();
    lone t;
    lone_build(&t, false, 3);
    cr_expect_eq(tti_value_at(t.g, t.w)->grad, TTI_NONE);
    cr_expect_eq(t.flops, 2.0 * ROWS * VOCAB * DIM);
    const int32_t good[ROWS] = {0, 36, 5, 5, 17, 35, 1}, bad[ROWS] = {0, 37, 5, -1, 17, 35, 1};
    float loss[2], rows[ROWS], sum = 0;
    lone_run(&env, &t, good, loss, rows);
    for (int i = 0; i < ROWS; i++) sum += rows[i];
    cr_expect(fabsf(loss[0] - 0.5f * sum) < 1e-5f, "%g, rows add up to %g", (double)loss[0],
              (double)sum);
    cr_expect(fabsf(loss[1] - sum) < 1e-5f, "a second batch does not add: %g", (double)loss[1]);
    lone_run(&env, &t, bad, loss, rows);
    cr_expect(isnan(loss[0]), "a label outside the vocabulary gives loss %g", (double)loss[0]);
    tti_graph_free(t.g);
    td_close(&env);
}

Test(next_token_loss, counts_all_products_in_training) {
    lone t;
    lone_build(&t, true, 3);
    cr_expect_eq(t.flops, 6.0 * ROWS * VOCAB * DIM);
    cr_expect_neq(tti_value_at(t.g, t.w)->grad, TTI_NONE);
    tti_graph_free(t.g);
}

Test(next_token_loss, rejects_wrong_arguments) {
    static const struct {
        size_t d;
        bool gathered;
        int chunk;
        float cap;
        tt_status code;
        const char *part;
    } t[] = {
        {7, true, 4, 0, TT_E_SHAPE, "x is [lab,8], not [lab,d], or w is [20,7]"},
        {8, false, 4, 0, TT_E_SHAPE, "x is [sel,8], not [lab,d]"},
        {8, true, 0, 0, TT_E_ARG, "0 rows at a time"},
        {8, true, 4, -1, TT_E_ARG, "cap -1"},
        {8, true, 4, NAN, TT_E_ARG, "cap nan"},
    };
    for (size_t i = 0; i < TT_COUNT(t); i++) {
        tti_graph *g = tti_graph_new();
        tti_val x = tti_embed(g, tti_graph_param(g, "x", 9, 8, true), TTI_IN_IDS_SEL, TTI_NONE);
        if (t[i].gathered) x = tti_gather_labelled(g, x);
        const tti_val w = tti_graph_param(g, "w", 20, t[i].d, true);
        const tti_val loss = tti_graph_accumulator(g, "loss", tti_shape_const(1, 1));
        cr_expect_eq(tti_next_token_loss(g, x, w, loss, t[i].cap, t[i].chunk), TTI_NONE);
        td_expect_error(g, t[i].code, t[i].part);
        tti_graph_free(g);
    }
}

/* i: rows at a time; y: the loss of each row goes into it */
static tti_val build_slabs(tti_graph *g, tti_val w, const td_slab_case *c) {
    const tti_val loss = tti_graph_accumulator(g, "loss", tti_shape_const(1, 1));
    const tti_val x = td_source(g, tti_graph_param(g, "x", 24, c->cols, true), TTI_ROWS_LAB);
    tti_next_token_loss(g, x, w, loss, 3.0f, c->i);
    return loss;
}

static const td_slab_case stored[] = {
    {"all at once", &ragged, 77, 64, build_slabs, .sums = TD_SUM_OTHERS, .i = 64},
    {"five rows at a time", &ragged, 301, 70, build_slabs, .sums = TD_SUM_OTHERS, .i = 5},
    {"no supervised row", &single, 50, 32, build_slabs, .sums = TD_SUM_OTHERS, .i = 4},
    {0},
};

Test(next_token_loss, projections_in_slabs_of_every_type) { td_check_slabs(stored); }

/* Beside the rows' gradient and their losses there are only the logits of `chunk` rows. */
Test(next_token_loss, plans_no_more_than_its_logits) {
    enum { MOST = 700, D = 128, WORDS = 500, CHUNK = 64 };
    tti_graph *g = tti_graph_new();
    const tti_val w = tti_graph_param(g, "w", WORDS, D, true);
    const tti_val x = td_source(g, tti_graph_param(g, "x", MOST, D, true), TTI_ROWS_LAB);
    const tti_val loss = tti_graph_accumulator(g, "loss", tti_shape_const(1, 1));
    tti_next_token_loss(g, x, w, loss, 0, CHUNK);
    cr_assert_eq(tti_graph_backward(g), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_graph_finish(g), TT_OK);
    const tti_rows rows = {.n = {[TTI_ROWS_LAB] = MOST}};
    tti_plan *plan;
    cr_assert_eq(tti_plan_new(&plan, g, &rows, 64, SIZE_MAX / 64 * 64), TT_OK);
    const tti_plan_bytes b = tti_plan_get_bytes(plan);
    const size_t row_losses = (MOST * 4 + 63) / 64 * 64;
    cr_expect_eq(b.kept + b.transient, 4 * (2 * MOST * D + CHUNK * WORDS) + row_losses,
                 "%zu and %zu bytes", b.kept, b.transient);
    tti_plan_free(plan);
    tti_graph_free(g);
}
