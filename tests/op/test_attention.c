// SPDX-License-Identifier: Apache-2.0
/* test_attention.c - host/ops/attention.c, cl/attention*.cl */
#include "tests/op/support_op.h"
#include "host/core/philox.h"

#include <math.h>
#include <string.h>

enum { SEED = 11, STEP = 5 }; /* of the harness */

static const td_batch tiny = {6, {1, 1, 2, 3, 1, 4}, {0, 1, 0, 2, 5, 3}};
static const td_batch lanes = {3, {15, 16, 17}, {2, 0, 16}}; /* around a vector's width */
static const td_batch longer = {2, {33, 30}, {0, 70}};       /* several tiles of keys */
static const td_batch all = {3, {33, 1, 17}, {0, 0, 0}};     /* every row selected */

/* Few sets of options: each costs several compilations for each kind of device. */
static const tti_attention_opts plain = {2, 2, 12, 0.29f};
static const tti_attention_opts window = {2, 2, 4, 0.5f, .causal = true, .window = 5};
static const tti_attention_opts past = {3, 1, 5, 0.5f, .window = 3}; /* and all of the future */
static const tti_attention_opts dropped = {2, 1, 4, 0.5f, .dropout = 0.3f, .site = 3};
static const tti_attention_opts capped = {
    4, 2, 8, 1.0f, .causal = true, .dropout = 0.2f, .softcap = 1.5f};
static const tti_attention_opts far = {2, 2, 12, 0.29f, .query_rest = true};
static const tti_attention_opts far_window = {
    2, 2, 4, 0.5f, .causal = true, .window = 5, .query_rest = true};
static const tti_attention_opts far_dropped = {
    2, 1, 4, 0.5f, .dropout = 0.3f, .site = 3, .query_rest = true};
static const tti_attention_opts widest = {1, 1, 256, 0.0625f};

static tti_val build(tti_graph *g, const tti_val *v, const td_case *c) {
    const tti_attention_opts *o = c->opts;
    const bool rest = c->in[3].cols > 0, was = tti_graph_no_grad(g, o->query_rest);
    const tti_val y =
        tti_attention(g, v[0], v[1], v[2], rest ? v[3] : TTI_NONE, rest ? v[4] : TTI_NONE, o);
    tti_graph_no_grad(g, was);
    return y;
}

/* ---- reference ---- */

/* The rows of one sequence that a query may see: their number, stream and row. */
typedef struct {
    int n, stream[128], row[128];
} keys;

static keys keys_of(const td_case *c, const td_feed *f, int seq, int qpos) {
    const tti_attention_opts *o = c->opts;
    keys k = {0};
    for (int st = 0; st < (c->in[3].cols ? 2 : 1); st++) {
        const int32_t *off = f->in[st ? TTI_IN_OFF_REST : TTI_IN_OFF_SEL];
        for (int r = off[seq]; r < off[seq + 1]; r++) {
            const int pos = f->in[st ? TTI_IN_POS_REST : TTI_IN_POS_SEL][r];
            if (o->causal && pos > qpos) continue;
            if (o->window && qpos - pos >= o->window) continue;
            k.stream[k.n] = st;
            k.row[k.n++] = r;
        }
    }
    return k;
}

/* What dropout makes of a probability of 1. */
static double kept(const td_case *c, int kpos, int qpos, int seq, int head) {
    const tti_attention_opts *o = c->opts;
    if (o->dropout == 0 || c->inference) return 1;
    const uint32_t stream = (TTI_STREAM_DROPOUT + 16 * (uint32_t)o->site) ^ ((uint32_t)head << 20);
    const uint32_t word =
        tti_philox((uint32_t)kpos / 8, (uint32_t)qpos, (uint32_t)seq, stream, SEED, STEP)
            .v[kpos / 2 % 4];
    const double drop = rint((double)o->dropout * 65536);
    return (word >> 16 * (kpos % 2) & 0xFFFF) < drop ? 0 : 65536 / (65536 - drop);
}

static void ref_row(double *y, const double *const *v, const td_case *c, const td_feed *f, int seq,
                    int row, int qpos, int h) {
    const tti_attention_opts *o = c->opts;
    const int dim = o->head_dim, kh = h / (o->heads / o->kv_heads), kv = o->kv_heads * dim;
    const keys k = keys_of(c, f, seq, qpos);
    const int number = f->in[TTI_IN_SEQ_SEL][f->in[TTI_IN_OFF_SEL][seq]];
    double p[128], most = -INFINITY, sum = 0;
    for (int j = 0; j < k.n; j++) {
        const double *key = v[k.stream[j] ? 3 : 1] + k.row[j] * kv + kh * dim;
        double s = 0;
        for (int d = 0; d < dim; d++) s += v[0][(row * o->heads + h) * dim + d] * key[d];
        s *= (double)o->scale;
        if (o->softcap > 0) s = (double)o->softcap * tanh(s / (double)o->softcap);
        p[j] = s;
        most = fmax(most, s);
    }
    for (int j = 0; j < k.n; j++) sum += p[j] = exp(p[j] - most);
    for (int d = 0; d < dim; d++) y[(row * o->heads + h) * dim + d] = 0;
    for (int j = 0; j < k.n; j++) {
        const int st = k.stream[j];
        const int kpos = f->in[st ? TTI_IN_POS_REST : TTI_IN_POS_SEL][k.row[j]];
        const double w = p[j] / sum * kept(c, kpos, qpos, number, h);
        for (int d = 0; d < dim; d++)
            y[(row * o->heads + h) * dim + d] += w * v[st ? 4 : 2][k.row[j] * kv + kh * dim + d];
    }
}

static void ref(double *y, const double *const *v, const td_case *c, const td_feed *f) {
    const tti_attention_opts *o = c->opts;
    const bool rest = o->query_rest;
    const int32_t *off = f->in[rest ? TTI_IN_OFF_REST : TTI_IN_OFF_SEL];
    for (int s = 0; s < c->batch->seqs; s++)
        for (int r = off[s]; r < off[s + 1]; r++)
            for (int h = 0; h < o->heads; h++)
                ref_row(y, v, c, f, s, r, f->in[rest ? TTI_IN_POS_REST : TTI_IN_POS_SEL][r], h);
}

/* ---- cases ---- */

#define ROWS(stream, width, factor) \
    { .kind = TTI_ROWS_##stream, .cols = (width), .scale = (factor) }
#define Q_K_V(q, heads, kv, dim) \
    ROWS(q, (heads) * (dim), 2), ROWS(SEL, (kv) * (dim), 2), ROWS(SEL, (kv) * (dim), 1)
#define BOTH(heads, kv, dim) \
    { Q_K_V(SEL, heads, kv, dim), ROWS(REST, (kv) * (dim), 2), ROWS(REST, (kv) * (dim), 1) }
#define SELECTED(heads, kv, dim) \
    { Q_K_V(SEL, heads, kv, dim) }
#define FAR(heads, kv, dim) \
    { Q_K_V(REST, heads, kv, dim), ROWS(REST, (kv) * (dim), 2), ROWS(REST, (kv) * (dim), 1) }
#define CASE(text, rows, inputs, options)                                               \
    .why = text, .batch = &rows, .in = inputs, .build = build, .ref = ref, .tol = 2e-6, \
    .grad_tol = 5e-6, .opts = &options

static const td_case cases[] = {
    {CASE("one to eight tokens", tiny, BOTH(2, 2, 12), plain)},
    {CASE("around a vector", lanes, BOTH(2, 2, 12), plain)},
    {CASE("several tiles", longer, BOTH(2, 2, 12), plain)},
    {CASE("all selected", all, SELECTED(2, 2, 12), plain)},
    {CASE("REST keys that nobody has", all, BOTH(2, 2, 12), plain)},
    {CASE("window to the past only, one key head", lanes, BOTH(3, 1, 5), past)},
    {CASE("causal and window", longer, BOTH(2, 2, 4), window)},
    {CASE("causal and window, tiny", tiny, BOTH(2, 2, 4), window)},
    {CASE("causal and window, all selected", all, SELECTED(2, 2, 4), window)},
    {CASE("dropout", longer, BOTH(2, 1, 4), dropped)},
    {CASE("dropout, around a vector", lanes, BOTH(2, 1, 4), dropped)},
    {CASE("causal, dropout, soft cap, grouped heads", lanes, BOTH(4, 2, 8), capped)},
    {CASE("causal, soft cap, dropout is off", longer, BOTH(4, 2, 8), capped), .inference = true},
    {CASE("causal, soft cap, all selected", all, SELECTED(4, 2, 8), capped), .inference = true},
    {CASE("queries of REST rows", tiny, FAR(2, 2, 12), far)},
    {CASE("queries of REST rows, window", longer, FAR(2, 2, 4), far_window)},
    {CASE("queries of REST rows, dropout", lanes, FAR(2, 1, 4), far_dropped)},
    {0},
};

static const td_case by_block[] = {
    {CASE("several tiles, by block", longer, BOTH(2, 2, 12), plain)},
    {CASE("all selected, by block", all, SELECTED(2, 2, 12), plain)},
    {CASE("sliding window, by block", longer, BOTH(2, 2, 4), window)},
    {CASE("dropout, by block", lanes, BOTH(2, 1, 4), dropped)},
    {0},
};

static const td_case wide_cases[] = {
    {CASE("heads of 256", tiny, BOTH(1, 1, 256), widest)},
    {0},
};

/* With few compute units a work-item takes a whole sequence and key head back, with many a block.
 */
static void pretend_units(td_env *env, uint32_t units) {
    ((tti_device_info *)(uintptr_t)tti_device_get_info(env->d))->compute_units = units;
}

Test(attention, values_and_gradients_by_sequence) {
    td_env env = td_open();
    pretend_units(&env, 1);
    td_check_all(&env, cases);
    td_close(&env);
}

Test(attention, values_and_gradients_by_block) {
    td_env env = td_open();
    pretend_units(&env, 1 << 20);
    td_check_all(&env, by_block);
    td_close(&env);
}

Test(attention, wide_heads) {
    td_env env = td_open();
    td_check_all(&env, wide_cases);
    td_close(&env);
}

/* Which inputs want a gradient must not matter to the gradients of the others. */
Test(attention, gradients_of_some_inputs) {
    static const int wanted[] = {1, 2, 5}; /* q; k; q and v */
    td_env env = td_open();
    for (size_t w = 0; w < 2 * TT_COUNT(wanted); w++) {
        td_case c = {CASE("gradients of some inputs", lanes, BOTH(2, 1, 4), dropped)};
        for (int i = 0; i < 3; i++) c.in[i].frozen = !(wanted[w / 2] & 1 << i);
        pretend_units(&env, w % 2 ? 1 : 1 << 20);
        td_check(&env, &c);
    }
    td_close(&env);
}

/* ---- bits ---- */

enum { HEADS = 2, DIM = 12, WIDTH = HEADS * DIM };

typedef struct {
    float *o, *dq, *dk, *dv; /* [sel of the batch, WIDTH] */
} rows_out;

static cl_mem table(td_env *env, tti_exec *e, tti_val p, uint32_t key, bool nan_row) {
    float x[TD_VOCAB * WIDTH];
    for (size_t i = 0; i < TT_COUNT(x); i++) x[i] = 2 * td_random((uint32_t)i, key);
    if (nan_row) x[0] = NAN;
    cl_mem m = NULL;
    cr_assert_eq(tti_mem_new(&m, env->d, sizeof x, TTI_MEM_OTHER, false), TT_OK);
    cr_assert_eq(tti_mem_write(env->d, m, 0, x, sizeof x), TT_OK);
    cr_assert_eq(tti_device_finish(env->d), TT_OK);
    tti_exec_bind(e, p, m);
    return m;
}

typedef struct {
    tti_graph *g;
    tti_val table[5], q, k, v, o;
} bits_graph;

/* q, k, v and do are rows of tables chosen by token, which a batch's first sequences keep. */
static bits_graph bits_build(const tti_attention_opts *o) {
    static const char *const names[] = {"q", "k", "v", "do", "none"};
    bits_graph b = {.g = tti_graph_new()};
    cr_assert_not_null(b.g);
    for (int i = 0; i < 4; i++) b.table[i] = tti_graph_param(b.g, names[i], TD_VOCAB, WIDTH, true);
    b.q = tti_embed(b.g, b.table[0], TTI_IN_IDS_SEL, TTI_NONE);
    b.k = tti_embed(b.g, b.table[1], TTI_IN_IDS_SEL, TTI_NONE);
    b.v = tti_embed(b.g, b.table[2], TTI_IN_IDS_SEL, TTI_NONE);
    tti_graph_no_grad(b.g, true);
    const tti_val kr = tti_embed(b.g, b.table[1], TTI_IN_IDS_REST, TTI_NONE);
    const tti_val vr = tti_embed(b.g, b.table[2], TTI_IN_IDS_REST, TTI_NONE);
    const tti_val dy = tti_embed(b.g, b.table[3], TTI_IN_IDS_SEL, TTI_NONE);
    tti_graph_no_grad(b.g, false);
    b.o = tti_attention(b.g, b.q, b.k, b.v, kr, vr, o);
    tti_graph_keep(b.g, b.o);
    tti_grad_set(b.g, b.o, dy);
    cr_assert_eq(tti_graph_backward(b.g), TT_OK, "%s", tti_graph_status(b.g) ? tt_error() : "");
    tti_graph_keep(b.g, tti_grad_of(b.g, b.q));
    tti_graph_keep(b.g, tti_grad_of(b.g, b.k));
    tti_graph_keep(b.g, tti_grad_of(b.g, b.v));
    cr_assert_eq(tti_graph_finish(b.g), TT_OK, "%s", tti_graph_status(b.g) ? tt_error() : "");
    return b;
}

static float *read_rows(tti_exec *e, tti_val v, size_t rows) {
    float *p = tti_calloc(rows * WIDTH + 1, sizeof *p);
    cr_assert_eq(tti_exec_read(e, v, p, rows * WIDTH), TT_OK, "%s", tt_error());
    return p;
}

static rows_out bits_run(td_env *env, const tti_attention_opts *o, const td_batch *batch,
                         const tti_rows *max, bool nan_row) {
    bits_graph b = bits_build(o);
    td_feed f;
    td_feed_make(&f, batch, tti_device_caps(env->d)->att_rows);
    if (nan_row) /* no sequence uses token 0 */
        for (size_t r = 0; r < f.feed.rows.n[TTI_ROWS_SEL] + f.feed.rows.n[TTI_ROWS_REST]; r++) {
            f.in[TTI_IN_IDS_SEL][r] = TT_MAX(f.in[TTI_IN_IDS_SEL][r], 1);
            f.in[TTI_IN_IDS_REST][r] = TT_MAX(f.in[TTI_IN_IDS_REST][r], 1);
        }
    tti_plan *plan;
    tti_exec *e;
    const tti_caps *caps = tti_device_caps(env->d);
    cr_assert_eq(tti_plan_new(&plan, b.g, max, caps->align, caps->max_alloc), TT_OK);
    cr_assert_eq(tti_exec_new(&e, env->d, env->gemm, b.g, plan), TT_OK, "%s", tt_error());
    cl_mem m[4], grad[4] = {0};
    for (int i = 0; i < 4; i++) {
        m[i] = table(env, e, b.table[i], (uint32_t)i + 1, nan_row);
        const tti_val dg = tti_value_at(b.g, b.table[i])->grad;
        if (dg == TTI_NONE) continue;
        cr_assert_eq(tti_mem_new(&grad[i], env->d, TD_VOCAB * WIDTH * 4, TTI_MEM_OTHER, true),
                     TT_OK);
        tti_exec_bind(e, dg, grad[i]);
    }
    e->seed = SEED, e->step = STEP, e->training = true;
    cr_assert_eq(tti_exec_run(e, &f.feed), TT_OK, "%s", tt_error());
    const size_t n = f.feed.rows.n[TTI_ROWS_SEL];
    rows_out out = {read_rows(e, b.o, n), read_rows(e, tti_grad_of(b.g, b.q), n),
                    read_rows(e, tti_grad_of(b.g, b.k), n), read_rows(e, tti_grad_of(b.g, b.v), n)};
    tti_exec_free(e);
    for (int i = 0; i < 4; i++) {
        tti_mem_free(env->d, m[i]);
        tti_mem_free(env->d, grad[i]);
    }
    tti_plan_free(plan);
    tti_graph_free(b.g);
    td_feed_free(&f);
    return out;
}

static void rows_free(rows_out *r) {
    tti_free(r->o);
    tti_free(r->dq);
    tti_free(r->dk);
    tti_free(r->dv);
}

static void same(const char *what, const rows_out *a, const rows_out *b, size_t rows) {
    const size_t bytes = rows * WIDTH * sizeof(float);
    cr_expect(memcmp(a->o, b->o, bytes) == 0, "%s: o differs", what);
    cr_expect(memcmp(a->dq, b->dq, bytes) == 0, "%s: dq differs", what);
    cr_expect(memcmp(a->dk, b->dk, bytes) == 0, "%s: dk differs", what);
    cr_expect(memcmp(a->dv, b->dv, bytes) == 0, "%s: dv differs", what);
}

static tti_rows bounds(const td_batch *b) {
    td_feed f;
    td_feed_make(&f, b, 1);
    const tti_rows max = f.max;
    td_feed_free(&f);
    return max;
}

/* A row has the same bits alone and in company; on CPUs in blocks of one vector and of two. */
Test(attention, bits_of_a_row_depend_on_its_sequence_alone) {
    static const td_batch alone = {1, {37}, {40}}, company = {4, {37, 2, 16, 40}, {40, 0, 3, 1}};
    static const tti_attention_opts o = {
        HEADS, HEADS, DIM, 0.3f, .causal = true, .window = 30, .dropout = 0.1f, .site = 2};
    static const struct {
        const char *what;
        uint32_t units;
        int wg, vw, rows_alone, rows_in_company;
    } forms[] = {{"by sequence", 1, 1, 8, 8, 16},
                 {"by sequence, 16 lanes", 1, 1, 16, 16, 32},
                 {"by block", 1 << 20, 1, 8, 8, 16},
                 {"as on a GPU", 1, 64, 4, 64, 64}};
    td_env env = td_open();
    const tti_rows max = bounds(&company);
    for (size_t i = 0; i < TT_COUNT(forms); i++) {
        pretend_units(&env, forms[i].units);
        td_shape(env.d, forms[i].wg, forms[i].vw);
        tti_caps *caps = (tti_caps *)(uintptr_t)tti_device_caps(env.d);
        caps->att_rows = forms[i].rows_alone;
        rows_out a = bits_run(&env, &o, &alone, &max, false);
        caps->att_rows = forms[i].rows_in_company;
        rows_out b = bits_run(&env, &o, &company, &max, false);
        same(forms[i].what, &a, &b, 37);
        rows_free(&a);
        rows_free(&b);
    }
    td_close(&env);
}

/* NaN in rows that no sequence of the batch reads stays away. */
Test(attention, nan_of_rows_not_read_stays_away) {
    static const td_batch batch = {3, {5, 18, 1}, {4, 0, 2}};
    static const tti_attention_opts opts = {HEADS, HEADS, DIM, 0.3f};
    td_env env = td_open();
    const tti_rows max = bounds(&batch);
    rows_out r = bits_run(&env, &opts, &batch, &max, true);
    for (size_t i = 0; i < 24 * WIDTH; i++)
        cr_expect(isfinite(r.o[i]) && isfinite(r.dq[i]) && isfinite(r.dk[i]) && isfinite(r.dv[i]));
    rows_free(&r);
    td_close(&env);
}

/* ---- refusals ---- */

static void refuses(int qcols, int kcols, tti_rows_kind kind, const tti_attention_opts *o,
                    tt_status code, const char *part) {
    tti_graph *g = tti_graph_new();
    cr_assert_not_null(g);
    const tti_val tq = tti_graph_param(g, "q", TD_VOCAB, (size_t)qcols, true);
    const tti_val tk = tti_graph_param(g, "k", TD_VOCAB, (size_t)kcols, true);
    const tti_val q = tti_embed(g, tq, TTI_IN_IDS_SEL, TTI_NONE);
    const tti_val k =
        tti_embed(g, tk, kind == TTI_ROWS_SEL ? TTI_IN_IDS_SEL : TTI_IN_IDS_REST, TTI_NONE);
    cr_expect_eq(tti_attention(g, q, k, k, TTI_NONE, TTI_NONE, o), TTI_NONE);
    td_expect_error(g, code, part);
    tti_graph_free(g);
}

Test(attention, refuses_what_does_not_fit) {
    const tti_attention_opts o = {4, 2, 8, 0.3f};
    refuses(31, 16, TTI_ROWS_SEL, &o, TT_E_SHAPE, "q is [sel,31], must be [sel,32]");
    refuses(32, 32, TTI_ROWS_SEL, &o, TT_E_SHAPE, "k of SEL rows is [sel,32], must be [sel,16]");
    refuses(32, 16, TTI_ROWS_REST, &o, TT_E_SHAPE, "must be [sel,16]");
    refuses(32, 16, TTI_ROWS_SEL, &(tti_attention_opts){4, 3, 8, 0.3f}, TT_E_ARG, "4 heads over 3");
    refuses(32, 16, TTI_ROWS_SEL, &(tti_attention_opts){4, 0, 8, 0.3f}, TT_E_ARG, "over 0");
    refuses(32, 16, TTI_ROWS_SEL, &(tti_attention_opts){4, 2, 0, 0.3f}, TT_E_UNSUPPORTED,
            "0 columns");
    refuses(32, 16, TTI_ROWS_SEL, &(tti_attention_opts){4, 2, 8, 0.3f, .dropout = 1}, TT_E_ARG,
            "dropout is 1");
    refuses(32, 16, TTI_ROWS_SEL, &(tti_attention_opts){4, 2, 8, NAN}, TT_E_ARG, "scale nan");
    refuses(32, 16, TTI_ROWS_SEL, &(tti_attention_opts){4, 2, 8, 0.3f, .query_rest = true},
            TT_E_ARG, "without their keys");
}
