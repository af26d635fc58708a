// SPDX-License-Identifier: Apache-2.0
#include "host/tokenizer/work.h"

#include "host/tokenizer/regex.h"

tt_status tti_text_grow(tti_text *t, size_t more) {
    if (t->status == TT_OK && more > UINT32_MAX / 2 - t->n)
        t->status = tti_fail(TT_E_ARG, "text: more than 2 GiB after normalization; split it");
    if (t->status == TT_OK) t->status = TTI_GROW(t->at, t->cap_at, t->n + more);
    if (t->status == TT_OK) t->status = TTI_GROW(t->p, t->cap, t->n + more);
    return t->status;
}

void tti_text_free(tti_text *t) {
    tti_free(t->p);
    tti_free(t->at);
    *t = (tti_text){0};
}

void tti_text_bytes(tti_text *t, const void *p, size_t n, tti_span at) {
    if (!n || !tti_text_room(t, n)) return;
    memcpy(t->p + t->n, p, n);
    for (size_t i = 0; i < n; i++) t->at[t->n + i] = at;
    t->n += n;
}

void tti_text_copy(tti_text *t, const tti_text *from, size_t begin, size_t end) {
    size_t n = end - begin;
    if (!n || !tti_text_room(t, n)) return;
    memcpy(t->p + t->n, from->p + begin, n);
    memcpy(t->at + t->n, from->at + begin, n * sizeof *t->at);
    t->n += n;
}

tt_status tti_pieces_add(tti_pieces *p, size_t begin, size_t end, int32_t id) {
    if (begin == end) return TT_OK;
    if (p->n == p->cap) TT_TRY(TTI_GROW(p->v, p->cap, p->n + 1));
    p->v[p->n++] = (tti_piece){(uint32_t)begin, (uint32_t)end, id};
    return TT_OK;
}

tt_status tti_matches_add(tti_matches *m, size_t begin, size_t end, bool hit) {
    if (m->n == m->cap) TT_TRY(TTI_GROW(m->v, m->cap, m->n + 1));
    m->v[m->n++] = (tti_match){(uint32_t)begin, (uint32_t)end, hit};
    return TT_OK;
}

tt_status tti_strings_add(tti_strings *l, const void *p, size_t n) {
    TT_TRY(TTI_GROW(l->end, l->cap, l->n + 1));
    tti_str_add(&l->text, p, n);
    l->end[l->n++] = l->text.len;
    return l->text.status;
}

void tti_strings_free(tti_strings *l) {
    tti_str_free(&l->text);
    tti_free(l->end);
    *l = (tti_strings){0};
}

tt_status tti_work_new(tti_work **out) {
    *out = tti_calloc(1, sizeof **out);
    return *out ? TT_OK : TT_E_NOMEM;
}

void tti_work_free(tti_work *w) {
    if (!w) return;
    tti_text_free(&w->input);
    tti_text_free(&w->doc);
    tti_text_free(&w->cur);
    tti_text_free(&w->next);
    tti_free(w->pieces.v);
    tti_free(w->next_pieces.v);
    tti_free(w->matches.v);
    tti_free(w->token);
    tti_free(w->mark);
    tti_free(w->key);
    tti_free(w->sorted);
    tti_free(w->cps);
    tti_free(w->symbol);
    tti_free(w->heap);
    tti_free(w->step);
    tti_free(w->part);
    tti_free(w->hash);
    tti_free(w->shadow);
    tti_regex_match_data_free(w->match_data);
    tti_free(w->cache.slot);
    tti_free(w->cache.bytes);
    tti_free(w->cache.part);
    tti_free(w);
}

tt_status tti_work_token(tti_work *w, int32_t id, size_t begin, size_t end) {
    if (w->n_token == w->cap_token) TT_TRY(TTI_GROW(w->token, w->cap_token, w->n_token + 1));
    tti_span at = {0, 0};
    if (begin < end && end <= w->doc.n)
        at = (tti_span){w->doc.at[begin].from, w->doc.at[end - 1].to};
    w->token[w->n_token++] = (tti_token){.id = id, .at = at};
    return TT_OK;
}
