// SPDX-License-Identifier: Apache-2.0
#include "tests/op/support_slabs.h"

static const td_batch ragged = {5, {3, 1, 2, 14, 1}, {4, 0, 0, 12, 1}};
static const td_batch one = {1, {1}, {0}};

enum { ALL, REST, ONLY_IDS }; /* td_case.i */

/* word + position + type, as BERT's embeddings */
static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    const bool rest = c->i == REST;
    tti_val y = tti_embed(g, v[0], rest ? TTI_IN_IDS_REST : TTI_IN_IDS_SEL, TTI_NONE);
    if (c->i == ONLY_IDS) return y;
    y = tti_embed(g, v[1], rest ? TTI_IN_POSID_REST : TTI_IN_POSID_SEL, y);
    return tti_embed(g, v[2], rest ? TTI_IN_TYPE_REST : TTI_IN_TYPE_SEL, y);
}

static void ref(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    static const tti_input in[2][3] = {{TTI_IN_IDS_SEL, TTI_IN_POSID_SEL, TTI_IN_TYPE_SEL},
                                       {TTI_IN_IDS_REST, TTI_IN_POSID_REST, TTI_IN_TYPE_REST}};
    const size_t n = c->in[0].cols, tables = c->i == ONLY_IDS ? 1 : 3;
    const size_t rows = td_rows(f, c->i == REST ? TTI_ROWS_REST : TTI_ROWS_SEL, 0);
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++) {
            y[r * n + i] = 0;
            for (size_t t = 0; t < tables; t++)
                y[r * n + i] += v[t][(size_t)f->in[in[c->i == REST][t]][r] * n + i];
        }
}

#define IN(n, s)                                                                         \
    {                                                                                    \
        {TTI_ROWS_CONST, TD_VOCAB, n, .sparse = s}, {TTI_ROWS_CONST, TD_POSITIONS, n}, { \
            TTI_ROWS_CONST, TD_TYPES, n                                                  \
        }                                                                                \
    }
static const td_case cases[] = {
    {"one column", &ragged, IN(1, false), build, ref, 1e-6, 1e-5, ALL},
    {"dense table", &ragged, IN(37, false), build, ref, 1e-6, 1e-5, ALL},
    {"table with slots", &ragged, IN(37, true), build, ref, 1e-6, 1e-5, ALL},
    {"BERT's width", &ragged, IN(384, true), build, ref, 1e-6, 1e-5, ALL},
    {"one row", &one, IN(20, true), build, ref, 1e-6, 1e-5, ALL},
    {"other rows", &ragged, IN(70, true), build, ref, 1e-6, 1e-5, REST},
    {"integers", &ragged, IN(33, true), build, ref, 0, 1e-6, ALL, .integers = true},
    {"ids alone",
     &ragged,
     {{TTI_ROWS_CONST, TD_VOCAB, 300, .sparse = true}},
     build,
     ref,
     0,
     1e-5,
     ONLY_IDS},
    {0},
};

Test(embed, values_and_gradients) {
    td_env env = td_open();
    td_check_all(&env, cases);
    td_close(&env);
}

/* i: the input looked up; another lookup before it, to which it is added */
static tti_val build_slabs(tti_graph *g, tti_val w, const td_slab_case *c) {
    const tti_val type = tti_graph_param(g, "types", TD_TYPES, c->cols, true);
    const bool rest = c->i == TTI_IN_IDS_REST;
    const tti_val add = tti_embed(g, type, rest ? TTI_IN_TYPE_REST : TTI_IN_TYPE_SEL, TTI_NONE);
    const tti_val y = tti_embed(g, w, (tti_input)c->i, add);
    return rest ? y : tti_add(g, y, tti_embed(g, w, (tti_input)c->i, TTI_NONE));
}

static const td_slab_case stored[] = {
    {"ids", &ragged, TD_VOCAB, 70, build_slabs, .i = TTI_IN_IDS_SEL},
    {"ids with slots", &ragged, TD_VOCAB, 128, build_slabs, .sparse = true, .i = TTI_IN_IDS_SEL},
    {"positions", &ragged, TD_POSITIONS, 33, build_slabs, .i = TTI_IN_POSID_SEL},
    {"rest", &ragged, TD_VOCAB, 64, build_slabs, .i = TTI_IN_IDS_REST},
    {0},
};

Test(embed, tables_in_slabs_of_every_type) { td_check_slabs(stored); }

Test(embed, rejects_short_gradients) {
    tti_graph *g = tti_graph_new();
    const tti_val w = tti_graph_param(g, "w", TD_VOCAB, 8, true);
    tti_graph_param_grad_dtype(g, w, TTI_F16);
    const tti_val y = tti_embed(g, w, TTI_IN_IDS_SEL, TTI_NONE);
    tti_grad_set(g, y, td_source(g, tti_graph_param(g, "r", 4, 8, false), TTI_ROWS_SEL));
    tti_graph_backward(g);
    td_expect_error(g, TT_E_UNSUPPORTED, "the gradient of a table is f16, not f32");
    tti_graph_free(g);
}
