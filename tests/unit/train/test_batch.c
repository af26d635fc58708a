// SPDX-License-Identifier: Apache-2.0
/* test_batch.c - batches laid out against a plain restatement of graph.h, on random sequences. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "host/train/batch.h"

enum { SEQS = 9, LEN = 40 };

typedef struct {
    int32_t ids[LEN], types[LEN], selected[LEN];
} storage;

static tti_model_info roberta_like(void) {
    tti_model_info m = {0};
    m.vocab = 23, m.max_len = LEN, m.types = 2, m.num_labels = 3;
    m.posid_offset = 2, m.posid_pad = 1, m.pad_id = 1;
    m.has_types = m.has_posids = true;
    return m;
}

static size_t random_batch(storage *st, tti_sequence *q, bool all) {
    size_t n = 1 + (size_t)(rand() % SEQS);
    for (size_t i = 0; i < n; i++) {
        q[i] = (tti_sequence){.ids = st[i].ids, .number = (uint32_t)(100 + i)};
        q[i].n = 1 + (size_t)(rand() % LEN);
        q[i].types = rand() % 4 ? st[i].types : NULL;
        q[i].label = rand() % 3;
        for (size_t t = 0; t < q[i].n; t++) {
            st[i].ids[t] = rand() % 23;
            st[i].types[t] = rand() % 2;
            if (t == 0 || rand() % 3 == 0) st[i].selected[q[i].nselected++] = (int32_t)t;
        }
        if (!all) q[i].selected = st[i].selected;
    }
    return n;
}

static bool is_selected(const tti_sequence *q, size_t t) {
    if (!q->selected) return true;
    for (size_t j = 0; j < q->nselected; j++)
        if ((size_t)q->selected[j] == t) return true;
    return false;
}

/* Walks the batch in the order that graph.h promises and compares one stream row by row. */
static void expect_stream(const tti_feed *f, const tti_model_info *m, const tti_sequence *q,
                          size_t n, bool sel) {
    int d = sel ? 0 : 1; /* the inputs of the two streams alternate */
    const int32_t *const *in = (const int32_t *const *)f->data;
    size_t r = 0;
    for (size_t i = 0; i < n; i++) {
        cr_expect_eq(in[TTI_IN_OFF_SEL + d][i], (int32_t)r);
        int32_t seen = 0;
        for (size_t t = 0; t < q[i].n; t++) {
            bool pad = q[i].ids[t] == m->pad_id;
            int32_t posid = pad ? m->posid_pad : m->posid_offset + seen;
            if (m->posid_pad < 0) posid = m->posid_offset + (int32_t)t;
            if (!pad) seen++;
            if (is_selected(&q[i], t) != sel) continue;
            cr_expect_eq(in[TTI_IN_IDS_SEL + d][r], q[i].ids[t]);
            cr_expect_eq(in[TTI_IN_POS_SEL + d][r], (int32_t)t);
            cr_expect_eq(in[TTI_IN_POSID_SEL + d][r], posid);
            cr_expect_eq(in[TTI_IN_TYPE_SEL + d][r], q[i].types ? q[i].types[t] : 0);
            cr_expect_eq(in[TTI_IN_SEQ_SEL + d][r], (int32_t)q[i].number);
            r++;
        }
    }
    cr_expect_eq(in[TTI_IN_OFF_SEL + d][n], (int32_t)r);
    cr_expect_eq(f->rows.n[sel ? TTI_ROWS_SEL : TTI_ROWS_REST], r);
}

static void expect_blocks(const tti_feed *f, size_t n, int att, bool sel) {
    const int32_t *off = f->data[sel ? TTI_IN_OFF_SEL : TTI_IN_OFF_REST];
    const int32_t *blk = f->data[sel ? TTI_IN_BLK_SEL : TTI_IN_BLK_REST];
    size_t count = f->rows.n[sel ? TTI_ROWS_BLK_SEL : TTI_ROWS_BLK_REST], b = 0;
    for (size_t i = 0; i < n; i++)
        for (int32_t r = off[i]; r < off[i + 1]; r += att, b++) {
            cr_assert_lt(b, count);
            int32_t rows = TT_MIN(att, off[i + 1] - r);
            int32_t want[4] = {r, rows, (int32_t)i, 0};
            cr_expect(memcmp(want, blk + 4 * b, sizeof want) == 0, "block %zu", b);
        }
    cr_expect_eq(b, count);
}

/* Every SEL row with gradient stands once, in ascending order, in the range of its table row. */
static void expect_table(const tti_feed *f, tti_input rows, tti_input perm, int32_t without,
                         const int32_t *slots) {
    const int32_t *row = f->data[rows], *p = f->data[perm], *start = f->data[perm + 1],
                  *dst = f->data[perm + 2];
    size_t uniq = f->rows.n[TTI_ROWS_UNIQ], sel = f->rows.n[TTI_ROWS_SEL];
    size_t listed = 0, with = 0;
    int32_t last = -1;
    cr_expect_eq(start[0], 0);
    for (size_t u = 0; u < uniq; u++) {
        cr_expect_leq(start[u], start[u + 1]);
        if (start[u] == start[u + 1]) {
            cr_expect_eq(dst[u], 0, "padding ranges point at row 0");
            continue;
        }
        int32_t table_row = slots ? slots[dst[u]] : dst[u];
        cr_expect_gt(table_row, last);
        last = table_row;
        for (int32_t k = start[u]; k < start[u + 1]; k++, listed++) {
            cr_expect_eq(row[p[k]], table_row);
            cr_expect_neq(table_row, without);
            if (k > start[u]) cr_expect_gt(p[k], p[k - 1]);
        }
    }
    for (size_t r = 0; r < sel; r++) with += row[r] != without;
    cr_expect_eq(listed, with);
    cr_expect_eq((size_t)start[uniq], with);
}

Test(batch, equals_the_plain_layout) {
    static storage st[SEQS];
    tti_sequence q[SEQS];
    tti_batch *b;
    cr_assert_eq(tti_batch_new(&b), TT_OK);
    srand(7);
    for (int trial = 0; trial < 400; trial++) {
        tti_model_info m = roberta_like();
        if (trial % 3 == 1) m.posid_pad = -1, m.posid_offset = 0, m.pad_id = 0; /* as BERT */
        if (trial % 3 == 2) m.pad_id = -1, m.posid_pad = -1;
        int att = (int[]){1, 8, 16}[trial % 3];
        bool dense = trial % 2;
        size_t n = random_batch(st, q, trial % 5 == 0);
        int32_t slots[23];
        for (int i = 0; i < 23; i++) slots[i] = i;
        cr_assert_eq(tti_batch_fill(b, &m, att, q, n, trial % 4 ? slots : NULL, 23, dense), TT_OK,
                     "%s", tt_error());
        const tti_feed *f = tti_batch_feed(b);
        expect_stream(f, &m, q, n, true);
        expect_stream(f, &m, q, n, false);
        expect_blocks(f, n, att, true);
        expect_blocks(f, n, att, false);
        tti_idset own = {0};
        cr_assert_eq(tti_idset_add(&own, &m, q, n, true), TT_OK);
        expect_table(f, TTI_IN_IDS_SEL, TTI_IN_IDS_PERM, m.pad_id,
                     dense       ? NULL
                     : trial % 4 ? slots
                                 : own.id);
        expect_table(f, TTI_IN_POSID_SEL, TTI_IN_POS_PERM, m.posid_pad, NULL);
        expect_table(f, TTI_IN_TYPE_SEL, TTI_IN_TYPE_PERM, -1, NULL);
        for (size_t i = 0; i < n; i++)
            cr_expect_eq(((const int32_t *)f->data[TTI_IN_LABELS])[i], q[i].label);
        tti_idset_free(&own);
    }
    tti_batch_free(b);
}

Test(batch, targets_of_regression_are_float_bits) {
    int32_t ids[] = {2, 3};
    tti_model_info m = roberta_like();
    m.task = TTI_TASK_REGRESS;
    tti_sequence q = {.ids = ids, .n = 2, .target = -1.25f};
    tti_batch *b;
    cr_assert_eq(tti_batch_new(&b), TT_OK);
    cr_assert_eq(tti_batch_fill(b, &m, 1, &q, 1, NULL, 0, false), TT_OK);
    cr_expect_eq(((const float *)tti_batch_feed(b)->data[TTI_IN_LABELS])[0], -1.25f);
    q.target = NAN;
    cr_expect_eq(tti_batch_fill(b, &m, 1, &q, 1, NULL, 0, false), TT_E_DATA);
    tti_batch_free(b);
}

Test(batch, refuses_what_the_model_cannot_take) {
    int32_t ok[] = {2, 3, 4}, big[] = {2, 23, 4}, negative[] = {2, -1, 4}, long_one[LEN + 1];
    int32_t sel[] = {0, 2}, twice[] = {0, 0}, outside[] = {0, 3}, no_first[] = {1, 2};
    for (int i = 0; i <= LEN; i++) long_one[i] = 3;
    struct {
        tti_sequence q;
        const char *says;
    } bad[] = {
        {{.ids = ok, .n = 0}, "no tokens"},
        {{.ids = big, .n = 3}, "token id 23 at position 1"},
        {{.ids = negative, .n = 3}, "token id -1"},
        {{.ids = long_one, .n = LEN + 1}, "41 tokens; the model takes at most 40"},
        {{.ids = ok, .n = 3, .types = big}, "token type 2"},
        {{.ids = ok, .n = 3, .label = 3}, "label 3; the model has 3"},
        {{.ids = ok, .n = 3, .label = -1}, "label -1"},
        {{.ids = ok, .n = 3, .selected = sel, .nselected = 0}, "0 of 3 positions"},
        {{.ids = ok, .n = 3, .selected = twice, .nselected = 2}, "must ascend"},
        {{.ids = ok, .n = 3, .selected = outside, .nselected = 2}, "position 3 is outside"},
        {{.ids = ok, .n = 3, .selected = no_first, .nselected = 2}, "feeds the head"},
    };
    tti_model_info m = roberta_like();
    tti_batch *b;
    cr_assert_eq(tti_batch_new(&b), TT_OK);
    for (size_t i = 0; i < TT_COUNT(bad); i++) {
        tti_sequence two[] = {{.ids = ok, .n = 3}, bad[i].q};
        cr_expect_eq(tti_batch_fill(b, &m, 8, two, 2, NULL, 0, false), TT_E_DATA, "case %zu", i);
        cr_expect(strstr(tt_error(), bad[i].says) && strstr(tt_error(), "sequence 1"),
                  "case %zu: %s", i, tt_error());
    }
    int32_t slots[] = {2, 4}; /* id 3 has none */
    tti_sequence q = {.ids = ok, .n = 3};
    cr_expect_eq(tti_batch_fill(b, &m, 8, &q, 1, slots, 2, false), TT_E_ARG);
    cr_expect_eq(tti_batch_fill(b, &m, 8, &q, 0, NULL, 0, false), TT_E_ARG);
    tti_batch_free(b);
}

Test(batch, bounds_hold_for_any_batch) {
    static storage st[SEQS];
    tti_sequence q[SEQS];
    tti_batch *b;
    tti_model_info m = roberta_like();
    cr_assert_eq(tti_batch_new(&b), TT_OK);
    srand(11);
    for (int trial = 0; trial < 300; trial++) {
        size_t n = random_batch(st, q, false), tokens = 0, selected = 0;
        size_t len[SEQS], sel[SEQS];
        for (size_t i = 0; i < n; i++) {
            tokens += len[i] = q[i].n;
            selected += sel[i] = q[i].nselected;
        }
        int att = 1 + rand() % 9;
        cr_assert_eq(tti_batch_fill(b, &m, att, q, n, NULL, 0, false), TT_OK);
        const tti_rows *got = &tti_batch_feed(b)->rows;
        tti_rows loose = tti_batch_bounds(&m, att, n, tokens, selected, 1);
        tti_rows tight = tti_batch_rows(&m, att, len, sel, n);
        for (int k = 1; k < TTI_ROWS_KINDS; k++) {
            cr_expect_leq(got->n[k], tight.n[k], "kind %d", k);
            cr_expect_leq(tight.n[k], loose.n[k], "kind %d", k);
            if (k < TTI_ROWS_UNIQ) cr_expect_eq(got->n[k], tight.n[k], "kind %d", k);
        }
    }
    tti_batch_free(b);
}

Test(idset, merges_and_leaves_out_the_pad) {
    int32_t a[] = {5, 1, 5, 9}, c[] = {2, 9, 1}, sel[] = {0, 1};
    tti_model_info m = roberta_like();
    tti_sequence q1 = {.ids = a, .n = 4, .selected = sel, .nselected = 2}, q2 = {.ids = c, .n = 3};
    tti_idset all = {0}, grad = {0};
    cr_assert_eq(tti_idset_add(&all, &m, &q1, 1, false), TT_OK);
    cr_assert_eq(tti_idset_add(&all, &m, &q2, 1, false), TT_OK);
    cr_assert_eq(tti_idset_add(&grad, &m, &q1, 1, true), TT_OK);
    cr_assert_eq(tti_idset_add(&grad, &m, &q2, 1, true), TT_OK);
    int32_t want_all[] = {1, 2, 5, 9}, want_grad[] = {2, 5, 9};
    cr_expect(all.n == 4 && memcmp(all.id, want_all, sizeof want_all) == 0);
    cr_expect(grad.n == 3 && memcmp(grad.id, want_grad, sizeof want_grad) == 0);
    tti_idset_free(&all);
    tti_idset_free(&grad);
}
