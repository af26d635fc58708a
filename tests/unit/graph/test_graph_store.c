// SPDX-License-Identifier: Apache-2.0
/* Which values tti_graph_store keeps in fewer bits, who reads what, and the bytes that are then
 * held, without a device. tests/op/test_store.c runs the ops themselves. */
#include <criterion/criterion.h>
#include <string.h>
#include "host/graph/run.h"
#include "host/ops/ops.h"

enum { COLS = 64, HEADS = 2, SEL = 10, REST = 30, SEQ = 2 };

typedef struct {
    tti_graph *g;
    tti_val x, q, k, v, kr, vr, o, h, logits;
} small;

static tti_val dense(small *s, tti_val x, bool trainable, tti_val residual) {
    return tti_linear(s->g, x, tti_graph_param(s->g, "w", COLS, COLS, trainable), TTI_NONE,
                      residual, 1, false);
}

/* One block of a decoder and a loss; again: what is computed again (bit 0: the block of SEL, bit 1:
 * keys of REST). */
static small build(int again) {
    small s = {.g = tti_graph_new()};
    const tti_val table = tti_graph_param(s.g, "e", 9, COLS, false);
    const tti_val norm = tti_graph_param(s.g, "n", 1, COLS, false);
    tti_graph_no_grad(s.g, true);
    const tti_val rest =
        dense(&s, tti_embed(s.g, table, TTI_IN_IDS_REST, TTI_NONE), false, TTI_NONE);
    tti_graph_recompute(s.g, again & 2);
    s.kr = dense(&s, tti_rmsnorm(s.g, rest, norm, 1e-5f, 0, COLS), false, TTI_NONE);
    s.vr = dense(&s, rest, false, TTI_NONE);
    tti_graph_no_grad(s.g, false);
    tti_graph_recompute(s.g, false);
    s.x = dense(&s, tti_embed(s.g, table, TTI_IN_IDS_SEL, TTI_NONE), true, TTI_NONE);
    tti_graph_recompute(s.g, again & 1);
    const tti_val y = tti_rmsnorm(s.g, s.x, norm, 1e-5f, 0, COLS);
    s.q = dense(&s, y, true, TTI_NONE);
    s.k = dense(&s, y, true, TTI_NONE);
    s.v = dense(&s, y, true, TTI_NONE);
    const tti_val keys[] = {s.k, s.v, s.kr, s.vr};
    for (size_t i = 0; i < TT_COUNT(keys); i++) tti_graph_mark_keys(s.g, keys[i]);
    const tti_attention_opts o = {
        .heads = HEADS, .kv_heads = HEADS, .head_dim = COLS / HEADS, .scale = 0.1f, .causal = true};
    s.o = tti_attention(s.g, s.q, s.k, s.v, s.kr, s.vr, &o);
    tti_graph_recompute(s.g, false);
    s.h = dense(&s, s.o, true, s.x);
    const tti_val small_x = tti_linear(s.g, s.h, tti_graph_param(s.g, "a", 8, COLS, true), TTI_NONE,
                                       TTI_NONE, 1, false);
    s.logits = tti_pool_rows(s.g,
                             tti_linear(s.g, small_x, tti_graph_param(s.g, "b", 3, 8, true),
                                        TTI_NONE, TTI_NONE, 1, false),
                             TTI_POOL_FIRST);
    tti_loss(s.g, s.logits, tti_graph_accumulator(s.g, "loss", tti_shape_const(1, 1)), true);
    cr_assert_eq(tti_graph_backward(s.g), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_graph_finish(s.g), TT_OK, "%s", tt_error());
    return s;
}

static const tti_rows rows = {.n = {[TTI_ROWS_SEL] = SEL,
                                    [TTI_ROWS_REST] = REST,
                                    [TTI_ROWS_SEQ] = SEQ,
                                    [TTI_ROWS_SEQ1] = SEQ + 1,
                                    [TTI_ROWS_BLK_SEL] = SEQ,
                                    [TTI_ROWS_BLK_REST] = SEQ}};

/* Bytes held from the forward into the backward pass; every node reads what was made before it. */
static size_t kept(const tti_graph *g) {
    for (size_t i = 0; i < tti_graph_nodes(g); i++) {
        const tti_node *n = tti_node_at(g, i);
        for (int k = 0; k < n->nin; k++)
            if (n->in[k] != TTI_NONE)
                cr_assert_lt(tti_value_at(g, n->in[k])->producer, (int)i, "node %zu", i);
        for (int k = 0; k < n->nout; k++)
            if (tti_value_at(g, n->out[k])->kind == TTI_VALUE_TEMP)
                cr_assert_eq(tti_value_at(g, n->out[k])->producer, (int)i, "node %zu", i);
    }
    tti_plan *p;
    cr_assert_eq(tti_plan_new(&p, (tti_graph *)(uintptr_t)g, &rows, 4, 1 << 24), TT_OK, "%s",
                 tt_error());
    const size_t bytes = tti_plan_get_bytes(p).kept;
    tti_plan_free(p);
    return bytes;
}

/* The value packed from v, or TTI_NONE. */
static tti_val packed(const tti_graph *g, tti_val v) {
    for (size_t i = 0; i < tti_graph_nodes(g); i++) {
        const tti_node *n = tti_node_at(g, i);
        if (n->op != &tti_op_store || n->in[0] != v) continue;
        cr_expect_eq(tti_value_at(g, v)->producer, (int)i - 1, "right behind its producer");
        return n->out[0];
    }
    return TTI_NONE;
}

static tti_dtype type_of(const tti_graph *g, tti_val v) {
    const tti_val p = packed(g, v);
    return p == TTI_NONE ? TTI_F32 : tti_val_shape(g, p)->dtype;
}

/* Forward (or backward) nodes, other than stores, that read v. */
static int readers(const tti_graph *g, tti_val v, bool backward) {
    int count = 0;
    for (size_t i = 0; i < tti_graph_nodes(g); i++) {
        const tti_node *n = tti_node_at(g, i);
        for (int k = 0; k < n->nin; k++)
            count += n->in[k] == v && n->backward == backward && n->op != &tti_op_store;
    }
    return count;
}

/* dlogits, lse, rms and the eight columns of a low-rank product stay as they are. */
enum { AS_IT_IS = SEQ * 3 * 4 + SEL * (HEADS + 1 + 8) * 4, ROW = COLS * 4 };

Test(graph_store, f32_changes_nothing) {
    small s = build(0);
    const size_t nodes = tti_graph_nodes(s.g), bytes = kept(s.g);
    cr_assert_eq(tti_graph_store(s.g, &(tti_store_opts){TTI_F32, TTI_F32}), TT_OK);
    cr_expect_eq(tti_graph_nodes(s.g), nodes);
    /* x, q, k, v, o, h and the keys and values of REST; rows are looked up again */
    cr_expect_eq(bytes, 6 * SEL * ROW + 2 * REST * ROW + AS_IT_IS, "%zu", bytes);
    tti_graph_free(s.g);
}

Test(graph_store, kept_bytes) {
    static const struct {
        tti_store_opts o;
        size_t sel_keys, rest_keys, others; /* bytes of a row */
    } cases[] = {
        {{TTI_F32, TTI_BF16}, ROW / 2, ROW / 2, ROW},     {{TTI_F16, TTI_F32}, ROW, ROW, ROW / 2},
        {{TTI_BF16, TTI_F16}, ROW / 2, ROW / 2, ROW / 2}, {{TTI_F32, TTI_Q8}, ROW, COLS + 4, ROW},
        {{TTI_BF16, TTI_Q8}, ROW / 2, COLS + 4, ROW / 2},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        small s = build(0);
        cr_assert_eq(tti_graph_store(s.g, &cases[i].o), TT_OK, "%s", tt_error());
        const size_t want = SEL * (2 * cases[i].sel_keys + 4 * cases[i].others) +
                            REST * 2 * cases[i].rest_keys + AS_IT_IS;
        cr_expect_eq(kept(s.g), want, "case %zu: %zu, not %zu", i, kept(s.g), want);
        tti_graph_free(s.g);
    }
}

Test(graph_store, who_reads_what) {
    small s = build(0);
    cr_assert_eq(tti_graph_store(s.g, &(tti_store_opts){TTI_BF16, TTI_Q8}), TT_OK);
    cr_expect_eq(type_of(s.g, s.kr), TTI_Q8);
    cr_expect_eq(type_of(s.g, s.k), TTI_BF16, "keys that carry gradient are not q8");
    cr_expect_eq(type_of(s.g, s.h), TTI_BF16);
    const tti_val exact[] = {s.q, s.k, s.v, s.kr, s.vr}, plain[] = {s.x, s.o, s.h};
    for (size_t i = 0; i < TT_COUNT(exact); i++) {
        cr_expect_eq(readers(s.g, exact[i], false), 0, "attention reads the rounded %zu", i);
        const tti_val p = packed(s.g, exact[i]);
        cr_expect_eq(readers(s.g, p, false), 1, "%zu is loaded for the forward pass", i);
        cr_expect_eq(readers(s.g, p, true), 1, "%zu is loaded for the backward pass", i);
    }
    for (size_t i = 0; i < TT_COUNT(plain); i++) {
        cr_expect_gt(readers(s.g, plain[i], false), 0, "%zu is read as it was computed", i);
        cr_expect_eq(readers(s.g, plain[i], true), 0, "%zu", i);
        cr_expect_eq(readers(s.g, packed(s.g, plain[i]), false), 0, "%zu", i);
        cr_expect_eq(readers(s.g, packed(s.g, plain[i]), true), 1, "%zu is loaded once", i);
    }
    tti_graph_free(s.g);
}

/* What is computed again needs no place of its own. Where numbers saved from it are not computed
 * again (the log-sum-exp), what it is computed from is rounded for the forward pass too. */
Test(graph_store, regions_computed_again) {
    for (int again = 1; again <= 3; again++) {
        small s = build(again);
        cr_assert_eq(tti_graph_store(s.g, &(tti_store_opts){TTI_BF16, TTI_Q8}), TT_OK);
        kept(s.g);
        cr_expect_eq(packed(s.g, s.q) == TTI_NONE, (again & 1) != 0, "again %d", again);
        cr_expect_eq(packed(s.g, s.kr) == TTI_NONE, (again & 2) != 0, "again %d", again);
        cr_expect_neq(packed(s.g, s.x), TTI_NONE);
        int rounded = 0; /* loads of REST values in the forward pass */
        for (size_t i = 0; i < tti_graph_nodes(s.g); i++) {
            const tti_node *n = tti_node_at(s.g, i);
            rounded += n->op == &tti_op_load && !n->backward &&
                       tti_val_shape(s.g, n->out[0])->kind == TTI_ROWS_REST;
        }
        /* 1: keys are loaded, lse comes from the second attention; 2: the stream; 3: nothing */
        cr_expect_eq(rounded, again == 2, "again %d: %d", again, rounded);
        tti_graph_free(s.g);
    }
}

Test(graph_store, other_types_are_refused) {
    static const tti_store_opts cases[] = {{TTI_Q8, TTI_F32}, {TTI_F32, TTI_NF4}, {TTI_I32, 0}};
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        small s = build(0);
        cr_expect_eq(tti_graph_store(s.g, &cases[i]), TT_E_ARG, "case %zu", i);
        cr_expect(strstr(tt_error(), "they may be f32, f16 or bf16"), "%s", tt_error());
        tti_graph_free(s.g);
    }
}
