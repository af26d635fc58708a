// SPDX-License-Identifier: Apache-2.0
/* The planner against what it promises, on random graphs: no two values that live at the same time
 * share a byte, everything is aligned and inside its arena; and graph building, without a device.
 */
#include <criterion/criterion.h>
#include <string.h>
#include "host/core/philox.h"
#include "host/graph/run.h"
#include "host/ops/ops.h"

static tt_status any_shape(tti_graph *g, tti_node *n) {
    for (int i = 0; i < n->attr.i[1]; i++)
        tti_out(g, n, i, tti_shape_rows(TTI_ROWS_SEL, (size_t)(n->attr.i[0] + i)));
    return TT_OK;
}
static tt_status no_enqueue(tti_exec *e, const tti_node *n) {
    (void)e, (void)n;
    return TT_OK;
}
static tt_status pass_gradient(tti_graph *g, const tti_node *n) {
    for (int i = 0; i < n->nin; i++)
        if (tti_grad_wanted(g, n->in[i])) {
            tti_val in[] = {tti_grad_of(g, n->out[0]), tti_grad_read(g, n->in[i])};
            const tti_attr a = {.i = {(int)tti_val_shape(g, n->in[i])->cols, 1}};
            tti_grad_add(g, n->in[i], tti_emit(g, n->op, in, 2, &a));
        }
    return tti_graph_status(g);
}
static const tti_op op_any = {
    .name = "any", .shape = any_shape, .enqueue = no_enqueue, .backward = pass_gradient};

static uint32_t draw(uint32_t seed, uint32_t *at, uint32_t n) {
    return tti_below(tti_philox((*at)++, 0, 0, 99, seed, 0).v[0], n);
}

static tti_graph *random_graph(uint32_t seed) {
    uint32_t at = 0;
    tti_graph *g = tti_graph_new();
    tti_val made[80];
    int n = 0;
    made[n++] = tti_embed(g, tti_graph_param(g, "w", 9, 12, true), TTI_IN_IDS_SEL, TTI_NONE);
    const int count = 5 + (int)draw(seed, &at, 60);
    while (n < count) {
        tti_val in[3];
        const int nin = 1 + (int)draw(seed, &at, 3);
        for (int i = 0; i < nin; i++) in[i] = made[draw(seed, &at, (uint32_t)n)];
        const tti_attr a = {.i = {1 + (int)draw(seed, &at, 40), 1 + (int)draw(seed, &at, 2)}};
        tti_val v = tti_emit(g, &op_any, in, nin, &a);
        if (draw(seed, &at, 2)) tti_producer(g, v)->reuse_in = (int)draw(seed, &at, (uint32_t)nin);
        if (draw(seed, &at, 8) == 0) tti_graph_keep(g, v);
        made[n++] = v;
    }
    tti_graph_keep(g, made[n - 1]);
    return g;
}

static void check_overlaps(const tti_graph *g, const tti_plan *p, size_t align, size_t max_alloc,
                           uint32_t seed) {
    const size_t n = tti_graph_values(g);
    for (size_t v = 0; v < n; v++) {
        size_t a, o, b, a2, o2, b2;
        int f, l, f2, l2;
        if (!tti_plan_place(p, (tti_val)v, &a, &o, &b)) continue;
        cr_assert(tti_plan_life(p, (tti_val)v, &f, &l));
        cr_expect_eq(o % align, 0, "seed %u value %zu at %zu", seed, v, o);
        cr_expect_leq(o + b, max_alloc, "seed %u value %zu ends at %zu", seed, v, o + b);
        for (size_t w = v + 1; w < n; w++) {
            if (!tti_plan_place(p, (tti_val)w, &a2, &o2, &b2) || a2 != a) continue;
            tti_plan_life(p, (tti_val)w, &f2, &l2);
            const bool bytes = o < o2 + b2 && o2 < o + b;
            bool together = f <= l2 && f2 <= l;
            /* an op may write over an input that ends with it, where it said so */
            for (size_t i = 0; together && i < tti_graph_nodes(g); i++) {
                const tti_node *q = tti_node_at(g, i);
                if (q->reuse_in < 0) continue;
                tti_val in = q->in[q->reuse_in], out = q->out[0];
                if ((in == (tti_val)v && out == (tti_val)w && l == (int)i && f2 == (int)i) ||
                    (in == (tti_val)w && out == (tti_val)v && l2 == (int)i && f == (int)i))
                    together = false;
            }
            cr_expect(!(bytes && together), "seed %u: values %zu [%d,%d] and %zu [%d,%d] collide",
                      seed, v, f, l, w, f2, l2);
        }
    }
}

Test(plan, random_graphs) {
    for (uint32_t seed = 1; seed <= 200; seed++) {
        tti_graph *g = random_graph(seed);
        cr_assert_eq(tti_graph_finish(g), TT_OK);
        tti_rows max = {{0}};
        for (int i = 0; i < TTI_ROWS_KINDS; i++) max.n[i] = 7 + seed % 5;
        const size_t align = seed % 2 ? 64 : 128, limit = seed % 3 ? 4096 : (size_t)1 << 20;
        tti_plan *p;
        cr_assert_eq(tti_plan_new(&p, g, &max, align, limit), TT_OK, "%s", tt_error());
        check_overlaps(g, p, align, limit, seed);
        tti_plan_free(p);
        tti_graph_free(g);
    }
}

Test(plan, value_over_the_limit_is_named) {
    tti_graph *g = tti_graph_new();
    tti_val x = tti_embed(g, tti_graph_param(g, "w", 9, 100, true), TTI_IN_IDS_SEL, TTI_NONE);
    tti_graph_keep(g, x);
    cr_assert_eq(tti_graph_finish(g), TT_OK);
    tti_rows max = {{0}};
    max.n[TTI_ROWS_SEL] = 1000;
    tti_plan *p;
    cr_assert_eq(tti_plan_new(&p, g, &max, 64, 65536), TT_E_MEMORY);
    cr_expect(strstr(tt_error(), "400000 bytes") && strstr(tt_error(), "65536"), "%s", tt_error());
    tti_graph_free(g);
}

Test(graph, what_nobody_reads_is_removed) {
    tti_graph *g = tti_graph_new();
    tti_val w = tti_graph_param(g, "w", 9, 8, true);
    tti_val x = tti_embed(g, w, TTI_IN_IDS_SEL, TTI_NONE);
    tti_val used = tti_add(g, x, x);
    tti_add(g, used, x); /* unused */
    tti_graph_keep(g, used);
    cr_assert_eq(tti_graph_nodes(g), 3);
    cr_assert_eq(tti_graph_finish(g), TT_OK);
    cr_expect_eq(tti_graph_nodes(g), 2);
    tti_graph_free(g);
}

/* Ops built without gradient appear in no gradient; cheap ops are computed again, not kept. */
Test(graph, regions) {
    tti_graph *g = tti_graph_new();
    tti_val w = tti_graph_param(g, "w", 8, 8, true),
            loss = tti_graph_accumulator(g, "loss", tti_shape_const(1, 1));
    tti_val x = tti_embed(g, tti_graph_param(g, "e", 9, 8, true), TTI_IN_IDS_SEL, TTI_NONE);
    tti_graph_no_grad(g, true);
    tti_val frozen = tti_linear(g, x, w, TTI_NONE, TTI_NONE, 1, false);
    tti_graph_no_grad(g, false);
    cr_expect(!tti_value_at(g, frozen)->needs_grad);
    tti_val h = tti_linear(g, x, w, TTI_NONE, frozen, 1, false);
    tti_val a = tti_activation(g, h, TTI_ACT_GELU);
    tti_val y = tti_linear(g, a, w, TTI_NONE, TTI_NONE, 1, false);
    tti_val pooled = tti_pool_rows(g, y, TTI_POOL_FIRST);
    tti_loss(g, pooled, loss, true);
    cr_assert_eq(tti_graph_backward(g), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_graph_finish(g), TT_OK);
    cr_expect_eq(tti_grad_of(g, frozen), TTI_NONE);
    tti_rows max = {{0}};
    for (int i = 0; i < TTI_ROWS_KINDS; i++) max.n[i] = 16;
    tti_plan *p;
    cr_assert_eq(tti_plan_new(&p, g, &max, 64, 1 << 20), TT_OK);
    int first, last, behind = -1;
    for (size_t i = tti_graph_nodes(g); i-- > 0;)
        if (tti_node_at(g, i)->backward) behind = (int)i;
    cr_assert(tti_plan_life(p, a, &first, &last));
    cr_expect_lt(last, behind, "the activation's output is kept");
    cr_assert(tti_plan_life(p, h, &first, &last));
    cr_expect_geq(last, behind, "its input is not kept");
    /* what is kept: h and dlogits; x is looked up again */
    cr_expect_eq(tti_plan_get_bytes(p).kept, 16 * 8 * 4 + 16 * 8 * 4);
    tti_plan_free(p);
    tti_graph_free(g);
}

Test(graph, shapes_that_do_not_fit_are_named) {
    tti_graph *g = tti_graph_new();
    tti_val x = tti_embed(g, tti_graph_param(g, "e", 9, 8, true), TTI_IN_IDS_SEL, TTI_NONE);
    tti_linear(g, x, tti_graph_param(g, "w", 4, 7, true), TTI_NONE, TTI_NONE, 1, false);
    cr_expect_eq(tti_graph_status(g), TT_E_SHAPE);
    cr_expect(strstr(tt_error(), "x is [sel,8], w is [4,7]"), "%s", tt_error());
    cr_expect_eq(tti_graph_finish(g), TT_E_SHAPE);
    tti_graph_free(g);
}
