// SPDX-License-Identifier: Apache-2.0
/* support_feed.c - a ragged batch laid out as the graph is fed it. */
#include "tests/op/support_op.h"

#include <stdlib.h>
#include <string.h>
#include "host/core/philox.h"

float td_random(uint32_t a, uint32_t b) {
    return 2.0f * tti_unit(tti_philox(a, b, 0, 77, 1, 2).v[0]) - 1.0f;
}

size_t td_rows(const td_feed *f, tti_rows_kind kind, size_t rows) {
    return kind == TTI_ROWS_CONST ? rows : f->feed.rows.n[kind];
}

/* Which table row a selected row reads, by table: ids, positions, types. */
static int32_t table_row(const td_feed *f, int table, int r) {
    static const tti_input from[] = {TTI_IN_IDS_SEL, TTI_IN_POSID_SEL, TTI_IN_TYPE_SEL};
    return f->in[from[table]][r];
}

/* Rows sorted by table row; the ranges behind the last are empty. */
static void sort_rows(td_feed *f, int table, int limit, size_t sel) {
    static const tti_input first[] = {TTI_IN_IDS_PERM, TTI_IN_POS_PERM, TTI_IN_TYPE_PERM};
    int32_t *perm = f->in[first[table]], *start = f->in[first[table] + 1];
    int32_t *dst = f->in[first[table] + 2];
    size_t n = 0, u = 0;
    for (int row = 0; row < limit; row++) {
        size_t before = n;
        for (size_t r = 0; r < sel; r++)
            if (table_row(f, table, (int)r) == row) perm[n++] = (int32_t)r;
        if (n == before) continue;
        start[u] = (int32_t)before;
        dst[u++] = (int32_t)row;
    }
    f->feed.rows.n[TTI_ROWS_UNIQ] = TT_MAX(f->feed.rows.n[TTI_ROWS_UNIQ], u);
    for (size_t i = u; i <= TD_POSITIONS; i++) start[i] = (int32_t)n;
}

/* Slots of the step: the ids of this batch and one more, as if another batch had it. */
static void make_slots(td_feed *f, size_t sel) {
    size_t n = 0;
    for (int32_t id = 0; id < TD_VOCAB; id++) {
        bool used = id == 0;
        for (size_t r = 0; r < sel; r++) used |= f->in[TTI_IN_IDS_SEL][r] == id;
        if (used) f->slot_ids[n++] = id;
    }
    f->feed.rows.n[TTI_ROWS_STEP_UNIQ] = n;
}

static void blocks(int32_t *to, size_t *n, int seq, int first, int rows, int att_rows) {
    for (int at = 0; at < rows; at += att_rows) {
        int32_t *b = to + 4 * (*n)++;
        b[0] = first + at;
        b[1] = TT_MIN(att_rows, rows - at);
        b[2] = seq;
        b[3] = 0;
    }
}

static void put_row(td_feed *f, bool selected, size_t r, int seq, int pos, int len) {
    f->in[selected ? TTI_IN_POS_SEL : TTI_IN_POS_REST][r] = pos;
    f->in[selected ? TTI_IN_POSID_SEL : TTI_IN_POSID_REST][r] = pos + 2;
    f->in[selected ? TTI_IN_TYPE_SEL : TTI_IN_TYPE_REST][r] = pos >= (len + 1) / 2;
    f->in[selected ? TTI_IN_SEQ_SEL : TTI_IN_SEQ_REST][r] = 100 + seq;
    f->in[selected ? TTI_IN_IDS_SEL : TTI_IN_IDS_REST][r] =
        (int32_t)(tti_philox((uint32_t)seq, (uint32_t)pos, 0, 3, 4, 5).v[0] % TD_VOCAB);
}

/* Two rows of three whose next token exists are supervised. */
static void put_label(td_feed *f, size_t r, int pos, int len) {
    if (pos + 1 >= len || pos % 3 == 1) return;
    const size_t i = f->feed.rows.n[TTI_ROWS_LAB]++;
    f->in[TTI_IN_LAB_ROW][i] = (int32_t)r;
    f->in[TTI_IN_LAB_ID][i] = (int32_t)(i * 7 + 1); /* cases reduce it to their vocabulary */
}

static void add_sequence(td_feed *f, const td_batch *b, int s, int att_rows) {
    size_t *n = f->feed.rows.n;
    const int len = b->sel[s] + b->rest[s];
    const size_t sel0 = n[TTI_ROWS_SEL], rest0 = n[TTI_ROWS_REST];
    int left = b->sel[s];
    for (int pos = 0; pos < len; pos++) {
        const bool selected = left > 0 && (pos % 2 == 0 || len - pos == left);
        left -= selected;
        if (selected)
            put_label(f, n[TTI_ROWS_SEL], pos, len);
        else
            f->in[TTI_IN_KEPT_REST][n[TTI_ROWS_REST]] = (int32_t)(sel0 + rest0) + pos;
        put_row(f, selected, n[selected ? TTI_ROWS_SEL : TTI_ROWS_REST]++, s, pos, len);
    }
    f->in[TTI_IN_OFF_SEL][s + 1] = (int32_t)n[TTI_ROWS_SEL];
    f->in[TTI_IN_OFF_REST][s + 1] = (int32_t)n[TTI_ROWS_REST];
    blocks(f->in[TTI_IN_BLK_SEL], &n[TTI_ROWS_BLK_SEL], s, (int)sel0, b->sel[s], att_rows);
    blocks(f->in[TTI_IN_BLK_REST], &n[TTI_ROWS_BLK_REST], s, (int)rest0, b->rest[s], att_rows);
}

void td_feed_make(td_feed *f, const td_batch *b, int att_rows) {
    memset(f, 0, sizeof *f);
    size_t total = 0;
    for (int s = 0; s < b->seqs; s++) total += (size_t)(b->sel[s] + b->rest[s]);
    for (int i = 0; i < TTI_IN_COUNT; i++) {
        f->in[i] = tti_calloc(4 * (total + TD_POSITIONS + 1), sizeof(int32_t));
        cr_assert_not_null(f->in[i]);
        f->feed.data[i] = f->in[i];
    }
    for (int s = 0; s < b->seqs; s++) add_sequence(f, b, s, att_rows);
    size_t *n = f->feed.rows.n;
    n[TTI_ROWS_SEQ] = (size_t)b->seqs;
    n[TTI_ROWS_SEQ1] = (size_t)b->seqs + 1;
    sort_rows(f, 0, TD_VOCAB, n[TTI_ROWS_SEL]);
    sort_rows(f, 1, TD_POSITIONS, n[TTI_ROWS_SEL]);
    sort_rows(f, 2, TD_TYPES, n[TTI_ROWS_SEL]);
    n[TTI_ROWS_UNIQ1] = n[TTI_ROWS_UNIQ] + 1;
    make_slots(f, n[TTI_ROWS_SEL]);
    f->max = f->feed.rows;
    for (int k = TTI_ROWS_CONST + 1; k < TTI_ROWS_KINDS; k++) f->max.n[k] += 3;
    for (size_t i = 0; i < n[TTI_ROWS_STEP_UNIQ]; i++) /* ids go to slots where sparse */
        TT_ASSERT(f->slot_ids[i] < TD_VOCAB);
}

void td_feed_free(td_feed *f) {
    for (int i = 0; i < TTI_IN_COUNT; i++) tti_free(f->in[i]);
}
