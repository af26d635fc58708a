// SPDX-License-Identifier: Apache-2.0
/* batch_rows.c - sets of token ids, and row counts known before a batch is laid out. */
#include <stdlib.h>
#include "host/train/batch.h"

static int compare_i32(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

tt_status tti_idset_add(tti_idset *set, const tti_model_info *info, const tti_sequence *seqs,
                        size_t n, bool only_gradient) {
    for (size_t i = 0; i < n; i++) {
        const tti_sequence *q = &seqs[i];
        bool some = only_gradient && q->selected;
        size_t count = some ? q->nselected : q->n;
        TT_TRY(TTI_GROW(set->id, set->cap, set->n + count));
        for (size_t j = 0; j < count; j++) {
            int32_t id = q->ids[some ? (size_t)q->selected[j] : j];
            if (!only_gradient || id != info->pad_id) set->id[set->n++] = id;
        }
    }
    if (set->n == 0) return TT_OK;
    qsort(set->id, set->n, sizeof *set->id, compare_i32);
    size_t kept = 1;
    for (size_t i = 1; i < set->n; i++)
        if (set->id[i] != set->id[kept - 1]) set->id[kept++] = set->id[i];
    set->n = kept;
    return TT_OK;
}

void tti_idset_free(tti_idset *set) {
    tti_free(set->id);
    *set = (tti_idset){0};
}

/* The kinds that follow from the others: unique table rows are at most the rows and the table. */
static void derive(tti_rows *r, const tti_model_info *info, size_t micro) {
    size_t sel = r->n[TTI_ROWS_SEL], vocab = (size_t)TT_MAX(info->vocab, 0);
    size_t table = (size_t)TT_MAX(info->max_len + info->posid_offset, info->types);
    table = TT_MAX(table, vocab);
    r->n[TTI_ROWS_SEQ1] = r->n[TTI_ROWS_SEQ] + 1;
    r->n[TTI_ROWS_LAB] = sel;
    r->n[TTI_ROWS_UNIQ] = TT_MIN(sel, table);
    r->n[TTI_ROWS_UNIQ1] = r->n[TTI_ROWS_UNIQ] + 1;
    r->n[TTI_ROWS_STEP_UNIQ] = micro > 0 && sel > vocab / micro ? vocab : sel * micro;
}

tti_rows tti_batch_bounds(const tti_model_info *info, int att_rows, size_t batch, size_t tokens,
                          size_t selected, size_t micro) {
    tti_rows r = {{0}};
    size_t a = (size_t)att_rows, sel = TT_MIN(selected, tokens), rest = tokens - sel;
    r.n[TTI_ROWS_SEL] = sel;
    r.n[TTI_ROWS_REST] = rest;
    r.n[TTI_ROWS_SEQ] = batch;
    /* sum of ceil(n_i / a) over at most `batch` parts; never more blocks than rows */
    r.n[TTI_ROWS_BLK_SEL] = TT_MIN(sel, (sel + batch * (a - 1)) / a);
    r.n[TTI_ROWS_BLK_REST] = TT_MIN(rest, (rest + batch * (a - 1)) / a);
    derive(&r, info, micro);
    return r;
}

tti_rows tti_batch_rows(const tti_model_info *info, int att_rows, const size_t *lengths,
                        const size_t *selected, size_t n) {
    tti_rows r = {{0}};
    size_t a = (size_t)att_rows;
    for (size_t i = 0; i < n; i++) {
        size_t rest = lengths[i] - selected[i];
        r.n[TTI_ROWS_SEL] += selected[i];
        r.n[TTI_ROWS_REST] += rest;
        r.n[TTI_ROWS_BLK_SEL] += (selected[i] + a - 1) / a;
        r.n[TTI_ROWS_BLK_REST] += (rest + a - 1) / a;
    }
    r.n[TTI_ROWS_SEQ] = n;
    derive(&r, info, 1);
    return r;
}

void tti_rows_raise(tti_rows *most, const tti_rows *r) {
    for (int i = 0; i < TTI_ROWS_KINDS; i++) most->n[i] = TT_MAX(most->n[i], r->n[i]);
}
