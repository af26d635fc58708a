// SPDX-License-Identifier: Apache-2.0
/* bpe.c - byte pair merging by a heap of candidate merges: n log n in the length of a word. */
#include "host/tokenizer/model.h"

static tt_status symbol(tti_work *w, int32_t id, size_t len) {
    TT_TRY(TTI_GROW(w->symbol, w->cap_symbol, w->n_symbol + 1));
    int32_t at = (int32_t)w->n_symbol++;
    if (at) w->symbol[at - 1].next = at;
    w->symbol[at] = (tti_symbol){id, at - 1, -1, (uint32_t)len};
    return TT_OK;
}

/* The id of one character, with what the model puts before and after it. */
static int32_t char_id(const tti_model *m, const uint8_t *p, size_t n, bool first, bool last,
                       tti_str *joined) {
    bool prefix = m->n_prefix && !first, suffix = m->n_suffix && last;
    joined->len = 0;
    if (prefix) tti_str_add(joined, m->prefix, m->n_prefix);
    tti_str_add(joined, p, n);
    if (suffix) tti_str_add(joined, m->suffix, m->n_suffix);
    return joined->status == TT_OK ? tti_vocab_find(&m->vocab, joined->p, joined->len) : -1;
}

static bool have_bytes(const tti_model *m, const uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (m->byte_id[p[i]] < 0) return false;
    return true;
}

/* One character, or a run of unknown ones in *unk, goes into the list of symbols. */
static tt_status put_char(const tti_model *m, tti_work *w, const uint8_t *p, size_t n, int32_t id,
                          const tti_str *joined, size_t *unk) {
    if (id >= 0) {
        if (*unk) TT_TRY(symbol(w, m->unk, *unk));
        *unk = 0;
        return symbol(w, id, n);
    }
    const uint8_t *bytes = joined->p ? (const uint8_t *)joined->p : p;
    size_t n_bytes = joined->p ? joined->len : n;
    if (m->byte_fallback && have_bytes(m, bytes, n_bytes)) {
        for (size_t i = 0; i < n_bytes; i++) TT_TRY(symbol(w, m->byte_id[bytes[i]], 1));
        return TT_OK;
    }
    if (!m->unk_name) return TT_OK; /* nothing stands for it */
    if (m->unk < 0) return tti_no_unk(m, p, n);
    if (*unk && !m->fuse_unk) {
        TT_TRY(symbol(w, m->unk, *unk));
        *unk = 0;
    }
    *unk += n;
    return TT_OK;
}

static tt_status characters(const tti_model *m, tti_work *w, const uint8_t *p, size_t n) {
    tt_status s = TT_OK;
    tti_str joined = {0};
    size_t unk = 0;
    bool plain = !m->n_prefix && !m->n_suffix;
    w->n_symbol = 0;
    for (size_t i = 0, k; i < n; i += k) {
        k = tti_utf8_len(p[i]);
        int32_t id = plain ? tti_vocab_find(&m->vocab, p + i, k)
                           : char_id(m, p + i, k, i == 0, i + k == n, &joined);
        TT_GO(joined.status);
        TT_GO(put_char(m, w, p + i, k, id, &joined, &unk));
    }
    if (unk) TT_GO(symbol(w, m->unk, unk));
done:
    tti_str_free(&joined);
    return s;
}

static bool before(const tti_merge *a, const tti_merge *b) {
    return a->rank != b->rank ? a->rank < b->rank : a->pos < b->pos;
}

static tt_status push(tti_work *w, tti_merge x) {
    TT_TRY(TTI_GROW(w->heap, w->cap_heap, w->n_heap + 1));
    size_t i = w->n_heap++;
    for (; i && before(&x, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = x;
    return TT_OK;
}

static tti_merge pop(tti_work *w) {
    tti_merge top = w->heap[0], x = w->heap[--w->n_heap];
    size_t i = 0, n = w->n_heap;
    for (size_t c; (c = 2 * i + 1) < n; i = c) {
        if (c + 1 < n && before(&w->heap[c + 1], &w->heap[c])) c++;
        if (!before(&w->heap[c], &x)) break;
        w->heap[i] = w->heap[c];
    }
    w->heap[i] = x;
    return top;
}

static const tti_pair_slot *merge_of(const tti_model *m, int32_t a, int32_t b) {
    return tti_pairs_get(&m->merges, (uint64_t)(uint32_t)a << 32 | (uint32_t)b);
}

/* Offers the merge of the symbol at pos with the next one. */
static tt_status offer(const tti_model *m, tti_work *w, int32_t pos) {
    const tti_symbol *a = &w->symbol[pos];
    if (a->next < 0) return TT_OK;
    const tti_pair_slot *s = merge_of(m, a->id, w->symbol[a->next].id);
    return s ? push(w, (tti_merge){s->a, (uint32_t)pos, (int32_t)s->b}) : TT_OK;
}

static tt_status merge_all(const tti_model *m, tti_work *w) {
    w->n_heap = 0;
    for (size_t i = 0; i + 1 < w->n_symbol; i++) TT_TRY(offer(m, w, (int32_t)i));
    while (w->n_heap) {
        tti_merge top = pop(w);
        tti_symbol *a = &w->symbol[top.pos];
        if (!a->len || a->next < 0) continue;
        tti_symbol *b = &w->symbol[a->next];
        /* the symbols may have changed since this was offered */
        const tti_pair_slot *still = merge_of(m, a->id, b->id);
        if (!still || (int32_t)still->b != top.id) continue;
        a->id = top.id;
        a->len += b->len;
        a->next = b->next;
        b->len = 0;
        if (a->next >= 0) w->symbol[a->next].prev = (int32_t)top.pos;
        if (a->prev >= 0) TT_TRY(offer(m, w, a->prev));
        TT_TRY(offer(m, w, (int32_t)top.pos));
    }
    return TT_OK;
}

tt_status tti_bpe(const tti_model *m, tti_work *w, const uint8_t *p, size_t n) {
    if (m->ignore_merges) {
        int32_t id = tti_vocab_find(&m->vocab, p, n);
        if (id >= 0) return tti_part_add(w, id, 0, n);
    }
    TT_TRY(characters(m, w, p, n));
    TT_TRY(merge_all(m, w));
    for (size_t i = 0, at = 0; i < w->n_symbol; i++) {
        if (!w->symbol[i].len) continue;
        TT_TRY(tti_part_add(w, w->symbol[i].id, at, at + w->symbol[i].len));
        at += w->symbol[i].len;
    }
    return TT_OK;
}

tt_status tti_merge_add(tti_model *m, const char *file, const char *a, size_t na, const char *b,
                        size_t nb, size_t rank) {
    tti_str joined = {0};
    int32_t left = tti_vocab_find(&m->vocab, a, na), right = tti_vocab_find(&m->vocab, b, nb);
    tti_str_add(&joined, a, na);
    if (nb >= m->n_prefix) tti_str_add(&joined, b + m->n_prefix, nb - m->n_prefix);
    tt_status s = joined.status;
    if (s == TT_OK) {
        int32_t id = tti_vocab_find(&m->vocab, joined.p, joined.len);
        if (left < 0 || right < 0 || id < 0 || nb < m->n_prefix)
            s = tti_fail(TT_E_FORMAT, "%s: merge %zu: %.80s is not in the vocabulary", file, rank,
                         left < 0    ? a
                         : right < 0 ? b
                                     : joined.p);
        else
            s = tti_pairs_set(&m->merges, (uint64_t)(uint32_t)left << 32 | (uint32_t)right,
                              (uint32_t)rank, (uint32_t)id);
    }
    tti_str_free(&joined);
    return s;
}

/* "a b" or ["a", "b"] */
static tt_status merge_load(tti_model *m, const tti_file *f, const cJSON *j, size_t rank) {
    tt_status s = TT_OK;
    char *a = NULL, *b = NULL;
    size_t na = 0, nb = 0;
    const cJSON *first = cJSON_IsArray(j) ? j->child : NULL;
    if (first && first->next && !first->next->next && cJSON_IsString(first) &&
        cJSON_IsString(first->next)) {
        TT_GO(tti_string(first->valuestring, &a, &na));
        TT_GO(tti_string(first->next->valuestring, &b, &nb));
        TT_GO(tti_merge_add(m, f->name, a, na, b, nb, rank));
    } else if (cJSON_IsString(j)) {
        TT_GO(tti_string(j->valuestring, &a, &na));
        char *gap = memchr(a, ' ', na);
        if (!gap || memchr(gap + 1, ' ', na - (size_t)(gap + 1 - a))) {
            s = tti_fail(TT_E_FORMAT, "%s: model: merges: number %zu is not two pieces: %.80s",
                         f->name, rank, a);
            goto done;
        }
        *gap = 0;
        nb = na - (size_t)(gap + 1 - a);
        TT_GO(tti_merge_add(m, f->name, a, (size_t)(gap - a), gap + 1, nb, rank));
    } else {
        s = tti_fail(TT_E_FORMAT, "%s: model: merges: number %zu is not two pieces", f->name, rank);
    }
done:
    tti_free(a);
    tti_free(b);
    return s;
}

tt_status tti_merges_load(tti_model *m, const tti_file *f, const cJSON *list) {
    if (!cJSON_IsArray(list))
        return tti_fail(TT_E_FORMAT, "%s: model: merges: expected a list", f->name);
    const cJSON *j;
    size_t rank = 0;
    cJSON_ArrayForEach(j, list) TT_TRY(merge_load(m, f, j, rank++));
    return TT_OK;
}
