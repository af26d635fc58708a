// SPDX-License-Identifier: Apache-2.0
#include "tests/op/support_op.h"

static const td_batch ragged = {4, {3, 1, 2, 7}, {4, 0, 0, 12}};
static const td_batch one = {1, {1}, {0}};
static const td_batch none = {2, {0, 0}, {3, 2}};

/* y = sum of the parts (all of one width) times 1, 2, 3, 4; bits of i: parts that are left out */
typedef struct {
    int n, width[4];
} parts;

static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    const parts *p = c->opts;
    tti_val part[4], y = TTI_NONE;
    tti_split(g, v[0], p->width, p->n, part);
    for (int i = 0; i < p->n; i++) {
        if (c->i >> i & 1) continue;
        const tti_val s = tti_scale(g, part[i], (float)(i + 1));
        y = y == TTI_NONE ? s : tti_add(g, y, s);
    }
    return y;
}

static void ref(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    const parts *p = c->opts;
    const size_t rows = td_rows(f, c->in[0].kind, 0), cols = c->in[0].cols;
    size_t first = 0, width = 0;
    for (int i = 0; i < p->n; i++)
        if (!(c->i >> i & 1)) width = (size_t)p->width[i];
    for (size_t i = 0; i < rows * width; i++) y[i] = 0;
    for (int i = 0; i < p->n; first += (size_t)p->width[i++])
        for (size_t k = 0; !(c->i >> i & 1) && k < rows * width; k++)
            y[k] += (i + 1) * v[0][k / width * cols + first + k % width];
}

static const parts two = {2, {1, 1}}, three = {3, {37, 37, 37}}, four = {4, {5, 5, 5, 5}};
static const parts uneven = {3, {3, 41, 8}}, wide = {2, {1501, 1501}};

#define IN(k, n)    \
    {               \
        { k, 0, n } \
    }
static const td_case cases[] = {
    {"one column each", &ragged, IN(TTI_ROWS_SEL, 2), build, ref, 1e-6, 1e-6, .opts = &two},
    {"three odd parts", &ragged, IN(TTI_ROWS_SEL, 111), build, ref, 1e-6, 1e-6, .opts = &three},
    {"four parts", &ragged, IN(TTI_ROWS_SEL, 20), build, ref, 1e-6, 1e-6, .opts = &four},
    {"one row", &one, IN(TTI_ROWS_SEL, 20), build, ref, 1e-6, 1e-6, .opts = &four},
    {"no row", &none, IN(TTI_ROWS_SEL, 20), build, ref, 1e-6, 1e-6, .opts = &four},
    {"unselected rows", &none, IN(TTI_ROWS_REST, 20), build, ref, 1e-6, 1e-6, .opts = &four},
    {"wide", &ragged, IN(TTI_ROWS_SEL, 3002), build, ref, 1e-6, 1e-6, .opts = &wide},
    {"parts that nobody reads", &ragged, IN(TTI_ROWS_SEL, 20), build, ref, 1e-6, 1e-6, 1 | 4,
     .opts = &four},
    {"the middle of uneven parts", &ragged, IN(TTI_ROWS_SEL, 52), build, ref, 1e-6, 1e-6, 1 | 4,
     .opts = &uneven},
    {"the last of uneven parts", &ragged, IN(TTI_ROWS_SEL, 52), build, ref, 1e-6, 1e-6, 1 | 2,
     .opts = &uneven},
    {0},
};

Test(split, values_and_gradients) {
    td_env env = td_open();
    td_check_all(&env, cases);
    td_close(&env);
}

Test(split, rejects_wrong_widths) {
    static const struct {
        int n, width[6];
        tt_status code;
        const char *part;
    } t[] = {
        {2, {4, 5}, TT_E_SHAPE, "the parts have 9 columns, x is [4,8]"},
        {2, {8, 0}, TT_E_SHAPE, "part 1 has 0 columns"},
        {3, {8, -4, 4}, TT_E_SHAPE, "part 1 has -4 columns"},
        {1, {8}, TT_E_ARG, "1 parts, must be 2 to 4"},
        {5, {1, 1, 1, 1, 4}, TT_E_ARG, "5 parts"},
    };
    for (size_t i = 0; i < TT_COUNT(t); i++) {
        tti_graph *g = tti_graph_new();
        tti_val out[6];
        tti_split(g, tti_graph_param(g, "x", 4, 8, true), t[i].width, t[i].n, out);
        cr_expect_eq(out[0], TTI_NONE);
        td_expect_error(g, t[i].code, t[i].part);
        tti_graph_free(g);
    }
}
