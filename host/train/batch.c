// SPDX-License-Identifier: Apache-2.0
/* batch.c - lays sequences out as the graph's inputs: rows of both streams by sequence and
 * position, offsets, attention blocks, and the sorted tables of lookup gradients. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "host/train/batch.h"

struct tti_batch {
    int32_t *in[TTI_IN_COUNT];
    size_t cap[TTI_IN_COUNT];
    uint64_t *key; /* scratch of the gradient tables: table row << 32 | SEL row */
    size_t key_cap;
    tti_feed feed;
};

/* The inputs of one stream. */
typedef struct {
    int32_t *ids, *pos, *posid, *type, *seq, *off, *blk;
    size_t rows, blocks;
} stream;

tt_status tti_batch_new(tti_batch **out) {
    tti_batch *b = tti_calloc(1, sizeof *b);
    if (!b) return TT_E_NOMEM;
    *out = b;
    return TT_OK;
}

void tti_batch_free(tti_batch *b) {
    if (!b) return;
    for (int i = 0; i < TTI_IN_COUNT; i++) tti_free(b->in[i]);
    tti_free(b->key);
    tti_free(b);
}

const tti_feed *tti_batch_feed(const tti_batch *b) { return &b->feed; }

/* ---- validation ---- */

static tt_status check_selection(const tti_model_info *info, const tti_sequence *q, size_t i) {
    if (!q->selected) return TT_OK;
    if (q->nselected == 0 || q->nselected > q->n)
        return tti_fail(TT_E_DATA, "sequence %zu: %zu of %zu positions selected; choose 1 to %zu",
                        i, q->nselected, q->n, q->n);
    for (size_t j = 0; j < q->nselected; j++) {
        int32_t p = q->selected[j];
        if (p < 0 || (size_t)p >= q->n)
            return tti_fail(TT_E_DATA, "sequence %zu: selected position %d is outside 0..%zu", i,
                            (int)p, q->n - 1);
        if (j > 0 && p <= q->selected[j - 1])
            return tti_fail(TT_E_DATA,
                            "sequence %zu: selected positions must ascend; %d follows %d", i,
                            (int)p, (int)q->selected[j - 1]);
    }
    if (info->task == TTI_TASK_CAUSAL) return TT_OK;
    if (info->pooling == TTI_POOL_FIRST && q->selected[0] != 0)
        return tti_fail(TT_E_DATA, "sequence %zu: position 0 feeds the head; select it", i);
    if (info->pooling == TTI_POOL_LAST && (size_t)q->selected[q->nselected - 1] != q->n - 1)
        return tti_fail(TT_E_DATA, "sequence %zu: the last position feeds the head; select it", i);
    return TT_OK;
}

static tt_status check_sequence(const tti_model_info *info, const tti_sequence *q, size_t i) {
    if (q->n == 0) return tti_fail(TT_E_DATA, "sequence %zu: no tokens", i);
    if (info->max_len > 0 && q->n > (size_t)info->max_len)
        return tti_fail(TT_E_DATA, "sequence %zu: %zu tokens; the model takes at most %d", i, q->n,
                        info->max_len);
    for (size_t t = 0; t < q->n; t++) {
        if (q->next && q->next[t] >= info->vocab)
            return tti_fail(TT_E_DATA,
                            "sequence %zu: label %d at position %zu; the model has %d "
                            "tokens",
                            i, (int)q->next[t], t, info->vocab);
        if (q->ids[t] < 0 || q->ids[t] >= info->vocab)
            return tti_fail(TT_E_DATA,
                            "sequence %zu: token id %d at position %zu; the model has %d", i,
                            (int)q->ids[t], t, info->vocab);
        if (q->types && info->has_types && (q->types[t] < 0 || q->types[t] >= info->types))
            return tti_fail(TT_E_DATA,
                            "sequence %zu: token type %d at position %zu; the model has %d", i,
                            (int)q->types[t], t, info->types);
    }
    if (info->task == TTI_TASK_CLASSIFY && (q->label < 0 || q->label >= info->num_labels))
        return tti_fail(TT_E_DATA, "sequence %zu: label %d; the model has %d labels", i,
                        (int)q->label, info->num_labels);
    if (info->task == TTI_TASK_REGRESS && !isfinite(q->target))
        return tti_fail(TT_E_DATA, "sequence %zu: target %g is not a finite number", i,
                        (double)q->target);
    return check_selection(info, q, i);
}

/* ---- rows ---- */

static size_t selected_of(const tti_sequence *q) { return q->selected ? q->nselected : q->n; }
static size_t blocks_of(size_t rows, int att_rows) {
    return (rows + (size_t)att_rows - 1) / (size_t)att_rows;
}

static void add_blocks(stream *s, size_t first, size_t seq, int att_rows) {
    for (size_t r = first; r < s->rows; r += (size_t)att_rows) {
        int32_t *k = s->blk + 4 * s->blocks++;
        k[0] = (int32_t)r;
        k[1] = (int32_t)TT_MIN((size_t)att_rows, s->rows - r);
        k[2] = (int32_t)seq;
        k[3] = 0;
    }
}

static void add_sequence(stream *sel, stream *rest, int32_t *kept, const tti_model_info *info,
                         const tti_sequence *q) {
    const size_t before = sel->rows + rest->rows;
    size_t next = 0;     /* in q->selected */
    int32_t counted = 0; /* tokens so far that are not padding */
    bool skips_pad = info->posid_pad >= 0;
    for (size_t t = 0; t < q->n; t++) {
        bool chosen = !q->selected || (next < q->nselected && (size_t)q->selected[next] == t);
        stream *s = chosen ? sel : rest;
        if (chosen) next++;
        size_t r = s->rows++;
        if (!chosen) kept[r] = (int32_t)(before + t);
        s->ids[r] = q->ids[t];
        s->pos[r] = (int32_t)t;
        if (!skips_pad)
            s->posid[r] = info->posid_offset + (int32_t)t;
        else if (q->ids[t] == info->pad_id)
            s->posid[r] = info->posid_pad;
        else
            s->posid[r] = info->posid_offset + counted++;
        s->type[r] = q->types && info->has_types ? q->types[t] : 0;
        s->seq[r] = (int32_t)q->number;
    }
}

static tt_status make_room(tti_batch *b, const tti_rows *rows) {
    static const uint8_t kind[TTI_IN_COUNT] = {
        [TTI_IN_IDS_SEL] = TTI_ROWS_SEL,     [TTI_IN_IDS_REST] = TTI_ROWS_REST,
        [TTI_IN_POS_SEL] = TTI_ROWS_SEL,     [TTI_IN_POS_REST] = TTI_ROWS_REST,
        [TTI_IN_POSID_SEL] = TTI_ROWS_SEL,   [TTI_IN_POSID_REST] = TTI_ROWS_REST,
        [TTI_IN_TYPE_SEL] = TTI_ROWS_SEL,    [TTI_IN_TYPE_REST] = TTI_ROWS_REST,
        [TTI_IN_SEQ_SEL] = TTI_ROWS_SEL,     [TTI_IN_SEQ_REST] = TTI_ROWS_REST,
        [TTI_IN_OFF_SEL] = TTI_ROWS_SEQ1,    [TTI_IN_OFF_REST] = TTI_ROWS_SEQ1,
        [TTI_IN_BLK_SEL] = TTI_ROWS_BLK_SEL, [TTI_IN_BLK_REST] = TTI_ROWS_BLK_REST,
        [TTI_IN_LABELS] = TTI_ROWS_SEQ,      [TTI_IN_IDS_PERM] = TTI_ROWS_SEL,
        [TTI_IN_IDS_START] = TTI_ROWS_SEL,   [TTI_IN_IDS_DST] = TTI_ROWS_SEL,
        [TTI_IN_POS_PERM] = TTI_ROWS_SEL,    [TTI_IN_POS_START] = TTI_ROWS_SEL,
        [TTI_IN_POS_DST] = TTI_ROWS_SEL,     [TTI_IN_TYPE_PERM] = TTI_ROWS_SEL,
        [TTI_IN_TYPE_START] = TTI_ROWS_SEL,  [TTI_IN_TYPE_DST] = TTI_ROWS_SEL,
        [TTI_IN_LAB_ROW] = TTI_ROWS_SEL,     [TTI_IN_LAB_ID] = TTI_ROWS_SEL,
        [TTI_IN_KEPT_REST] = TTI_ROWS_REST,
    };
    for (int i = 0; i < TTI_IN_COUNT; i++) {
        size_t n = rows->n[kind[i]];
        if (i == TTI_IN_BLK_SEL || i == TTI_IN_BLK_REST) n *= 4;
        n++; /* START holds one more than there are ranges; and no input is NULL */
        TT_TRY(TTI_GROW(b->in[i], b->cap[i], n));
        b->feed.data[i] = b->in[i];
    }
    return TTI_GROW(b->key, b->key_cap, rows->n[TTI_ROWS_SEL] + 1);
}

static void fill_rows(tti_batch *b, const tti_model_info *info, int att_rows,
                      const tti_sequence *seqs, size_t n) {
    int32_t **in = b->in;
    stream sel = {in[TTI_IN_IDS_SEL],
                  in[TTI_IN_POS_SEL],
                  in[TTI_IN_POSID_SEL],
                  in[TTI_IN_TYPE_SEL],
                  in[TTI_IN_SEQ_SEL],
                  in[TTI_IN_OFF_SEL],
                  in[TTI_IN_BLK_SEL],
                  0,
                  0};
    stream rest = {in[TTI_IN_IDS_REST],
                   in[TTI_IN_POS_REST],
                   in[TTI_IN_POSID_REST],
                   in[TTI_IN_TYPE_REST],
                   in[TTI_IN_SEQ_REST],
                   in[TTI_IN_OFF_REST],
                   in[TTI_IN_BLK_REST],
                   0,
                   0};
    for (size_t i = 0; i < n; i++) {
        size_t s0 = sel.rows, r0 = rest.rows;
        sel.off[i] = (int32_t)s0;
        rest.off[i] = (int32_t)r0;
        add_sequence(&sel, &rest, in[TTI_IN_KEPT_REST], info, &seqs[i]);
        add_blocks(&sel, s0, i, att_rows);
        add_blocks(&rest, r0, i, att_rows);
        if (info->task == TTI_TASK_REGRESS)
            memcpy(&in[TTI_IN_LABELS][i], &seqs[i].target, sizeof(int32_t));
        else
            in[TTI_IN_LABELS][i] = seqs[i].label;
    }
    sel.off[n] = (int32_t)sel.rows;
    rest.off[n] = (int32_t)rest.rows;
}

size_t tti_sequence_supervised(const tti_sequence *q) {
    size_t n = 0, of = selected_of(q);
    for (size_t i = 0; q->next && i < of; i++)
        n += q->next[q->selected ? q->selected[i] : (int)i] >= 0;
    return n;
}

/* Rows whose next token is supervised, and that token. */
static void fill_labels(tti_batch *b, const tti_sequence *seqs, size_t n) {
    size_t row = 0, lab = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t of = selected_of(&seqs[i]);
        for (size_t k = 0; k < of; k++, row++) {
            const size_t t = seqs[i].selected ? (size_t)seqs[i].selected[k] : k;
            if (!seqs[i].next || seqs[i].next[t] < 0) continue;
            b->in[TTI_IN_LAB_ROW][lab] = (int32_t)row;
            b->in[TTI_IN_LAB_ID][lab++] = seqs[i].next[t];
        }
    }
    b->feed.rows.n[TTI_ROWS_LAB] = lab;
}

/* ---- gradients of lookups ---- */

static int compare_u64(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Ranges of SEL rows by table row; rows that read `without` have no gradient. Gives the number of
 * ranges; entries of dst are table rows. The row in the key's low half keeps the sort stable. */
static size_t fill_table(tti_batch *b, tti_input rows, tti_input perm, int32_t without, size_t sel,
                         size_t *listed) {
    const int32_t *row = b->in[rows];
    int32_t *p = b->in[perm], *start = b->in[perm + 1], *dst = b->in[perm + 2];
    size_t n = 0, uniq = 0;
    for (size_t r = 0; r < sel; r++)
        if (row[r] != without) b->key[n++] = (uint64_t)(uint32_t)row[r] << 32 | r;
    qsort(b->key, n, sizeof *b->key, compare_u64);
    for (size_t i = 0; i < n; i++) {
        int32_t table_row = (int32_t)(b->key[i] >> 32);
        p[i] = (int32_t)(uint32_t)b->key[i];
        if (uniq == 0 || dst[uniq - 1] != table_row) {
            start[uniq] = (int32_t)i;
            dst[uniq++] = table_row;
        }
    }
    start[uniq] = (int32_t)n;
    for (size_t i = n; i < sel; i++) p[i] = 0;
    *listed = n;
    return uniq;
}

/* Turns token ids into slots; both lists ascend. */
static tt_status ids_to_slots(int32_t *dst, size_t uniq, const int32_t *slot_ids, size_t slots) {
    size_t s = 0;
    for (size_t u = 0; u < uniq; u++) {
        while (s < slots && slot_ids[s] < dst[u]) s++;
        if (s == slots || slot_ids[s] != dst[u])
            return tti_fail(TT_E_ARG, "batch: token id %d has no slot in the step", (int)dst[u]);
        dst[u] = (int32_t)s;
    }
    return TT_OK;
}

static tt_status fill_tables(tti_batch *b, const tti_model_info *info, const int32_t *slot_ids,
                             size_t slots, bool dense_ids) {
    static const struct {
        tti_input rows, perm;
    } table[] = {{TTI_IN_IDS_SEL, TTI_IN_IDS_PERM},
                 {TTI_IN_POSID_SEL, TTI_IN_POS_PERM},
                 {TTI_IN_TYPE_SEL, TTI_IN_TYPE_PERM}};
    tti_rows *rows = &b->feed.rows;
    const int32_t without[] = {info->pad_id, info->posid_pad, -1};
    size_t uniq[3], listed[3], most = 0;
    for (int i = 0; i < 3; i++) {
        uniq[i] = fill_table(b, table[i].rows, table[i].perm, without[i], rows->n[TTI_ROWS_SEL],
                             &listed[i]);
        most = TT_MAX(most, uniq[i]);
    }
    int32_t *dst = b->in[TTI_IN_IDS_DST];
    if (slot_ids && !dense_ids)
        TT_TRY(ids_to_slots(dst, uniq[0], slot_ids, slots));
    else if (!dense_ids)
        for (size_t u = 0; u < uniq[0]; u++) dst[u] = (int32_t)u;
    for (int i = 0; i < 3; i++)
        for (size_t u = uniq[i]; u < most; u++) {
            b->in[table[i].perm + 1][u + 1] = (int32_t)listed[i];
            b->in[table[i].perm + 2][u] = 0;
        }
    rows->n[TTI_ROWS_UNIQ] = most;
    rows->n[TTI_ROWS_UNIQ1] = most + 1;
    rows->n[TTI_ROWS_STEP_UNIQ] = slot_ids ? slots : uniq[0];
    return TT_OK;
}

tt_status tti_batch_fill(tti_batch *b, const tti_model_info *info, int att_rows,
                         const tti_sequence *seqs, size_t n, const int32_t *slot_ids, size_t slots,
                         bool dense_ids) {
    if (n == 0 || att_rows < 1) return tti_fail(TT_E_ARG, "batch: no sequences");
    memset(&b->feed, 0, sizeof b->feed);
    tti_rows *rows = &b->feed.rows;
    for (size_t i = 0; i < n; i++) {
        TT_TRY(check_sequence(info, &seqs[i], i));
        size_t s = selected_of(&seqs[i]), r = seqs[i].n - s;
        rows->n[TTI_ROWS_SEL] += s;
        rows->n[TTI_ROWS_REST] += r;
        rows->n[TTI_ROWS_BLK_SEL] += blocks_of(s, att_rows);
        rows->n[TTI_ROWS_BLK_REST] += blocks_of(r, att_rows);
    }
    rows->n[TTI_ROWS_SEQ] = n;
    rows->n[TTI_ROWS_SEQ1] = n + 1;
    if (rows->n[TTI_ROWS_SEL] + rows->n[TTI_ROWS_REST] > INT32_MAX / 4)
        return tti_fail(TT_E_DATA, "batch: %zu tokens are too many; lower the batch",
                        rows->n[TTI_ROWS_SEL] + rows->n[TTI_ROWS_REST]);
    TT_TRY(make_room(b, rows));
    fill_rows(b, info, att_rows, seqs, n);
    fill_labels(b, seqs, n);
    return fill_tables(b, info, slot_ids, slots, dense_ids);
}
