// SPDX-License-Identifier: Apache-2.0
/* model.c - dispatch, the word cache, WordPiece and WordLevel. */
#include "host/tokenizer/model.h"

enum { CACHE_SLOTS = 1 << 14, CACHE_WORD = 64, CACHE_PARTS = 1 << 18 };

tt_status tti_part_add(tti_work *w, int32_t id, size_t begin, size_t end) {
    if (w->n_part == w->cap_part) TT_TRY(TTI_GROW(w->part, w->cap_part, w->n_part + 1));
    w->part[w->n_part++] = (tti_part){id, (uint32_t)begin, (uint32_t)end};
    return TT_OK;
}

tt_status tti_no_unk(const tti_model *m, const uint8_t *p, size_t n) {
    return tti_fail(TT_E_DATA, "tokenizer: %.*s is not in the vocabulary and %s%s%s",
                    (int)TT_MIN(n, (size_t)60), (const char *)p,
                    m->unk_name ? "neither is the unknown token " : "there is no unknown token",
                    m->unk_name ? m->unk_name : "", "; use a model that has one");
}

static tt_status whole_unk(const tti_model *m, tti_work *w, const uint8_t *p, size_t n) {
    w->n_part = 0;
    return m->unk < 0 ? tti_no_unk(m, p, n) : tti_part_add(w, m->unk, 0, n);
}

/* The longest piece that begins at byte from of a word; w->hash has room. */
static int32_t longest(const tti_model *m, tti_work *w, const uint8_t *p, size_t from, size_t n,
                       size_t *end) {
    const tti_vocab *v = &m->vocab;
    size_t prefix = from && m->prefix ? m->n_prefix : 0;
    uint64_t h = tti_hash_bytes(TTI_HASH_START, m->prefix, prefix);
    if (prefix > v->longest) return -1;
    size_t most = TT_MIN(n - from, v->longest - prefix);
    for (size_t i = 0; i < most; i++) w->hash[i] = h = tti_hash_byte(h, p[from + i]);
    for (size_t k = most; k > 0; k--) {
        if (from + k < n && (p[from + k] & 0xC0) == 0x80) continue; /* inside a character */
        int32_t id = tti_vocab_find_joined(v, w->hash[k - 1], m->prefix, prefix, p + from, k);
        if (id >= 0) return *end = from + k, id;
    }
    return -1;
}

tt_status tti_wordpiece(const tti_model *m, tti_work *w, const uint8_t *p, size_t n) {
    size_t chars = 0;
    for (size_t i = 0; i < n; i++) chars += (p[i] & 0xC0) != 0x80;
    if (chars > m->max_chars) return whole_unk(m, w, p, n);
    TT_TRY(TTI_GROW(w->hash, w->cap_hash, TT_MIN(n, m->vocab.longest)));
    for (size_t from = 0, end = 0; from < n; from = end) {
        int32_t id = longest(m, w, p, from, n, &end);
        if (id < 0) return whole_unk(m, w, p, n);
        TT_TRY(tti_part_add(w, id, from, end));
    }
    return TT_OK;
}

static tt_status wordlevel(const tti_model *m, tti_work *w, const uint8_t *p, size_t n) {
    int32_t id = tti_vocab_find(&m->vocab, p, n);
    return id < 0 ? whole_unk(m, w, p, n) : tti_part_add(w, id, 0, n);
}

static tt_status parts_of(const tti_model *m, tti_work *w, const uint8_t *p, size_t n) {
    w->n_part = 0;
    switch (m->kind) {
    case TTI_WORDPIECE: return tti_wordpiece(m, w, p, n);
    case TTI_WORDLEVEL: return wordlevel(m, w, p, n);
    case TTI_BPE: return tti_bpe(m, w, p, n);
    case TTI_UNIGRAM: return tti_unigram(m, w, p, n);
    }
    return tti_fail(TT_E_INTERNAL, "model %d", (int)m->kind);
}

static tt_status cache_new(tti_cache *c) {
    c->slot = tti_calloc(CACHE_SLOTS, sizeof *c->slot);
    if (!c->slot) return TT_E_NOMEM;
    c->n_slots = CACHE_SLOTS;
    return TT_OK;
}

void tti_cache_clear(tti_cache *c) {
    if (!c->slot) return;
    memset(c->slot, 0, c->n_slots * sizeof *c->slot);
    c->used = c->n_bytes = c->n_part = 0;
}

static tti_cache_slot *cache_slot(const tti_cache *c, uint64_t hash, const uint8_t *p, size_t n) {
    for (size_t i = (size_t)(hash ^ hash >> 31);; i++) {
        tti_cache_slot *s = &c->slot[i & (c->n_slots - 1)];
        if (!s->len) return s;
        if (s->hash == hash && s->len == n && !memcmp(c->bytes + s->at, p, n)) return s;
    }
}

/* Remembers w->part for a word. */
static tt_status cache_put(tti_work *w, uint64_t hash, const uint8_t *p, size_t n) {
    tti_cache *c = &w->cache;
    if (c->used > c->n_slots / 2 || c->n_part > CACHE_PARTS) tti_cache_clear(c);
    TT_TRY(TTI_GROW(c->bytes, c->cap_bytes, c->n_bytes + n));
    TT_TRY(TTI_GROW(c->part, c->cap_part, c->n_part + w->n_part + 1));
    memcpy(c->bytes + c->n_bytes, p, n);
    memcpy(c->part + c->n_part, w->part, w->n_part * sizeof *w->part);
    *cache_slot(c, hash, p, n) = (tti_cache_slot){hash, (uint32_t)c->n_bytes, (uint32_t)n,
                                                  (uint32_t)c->n_part, (uint32_t)w->n_part};
    c->n_bytes += n;
    c->n_part += w->n_part;
    c->used++;
    return TT_OK;
}

static tt_status emit(tti_work *w, const tti_part *part, size_t n, size_t begin) {
    for (size_t i = 0; i < n; i++)
        TT_TRY(tti_work_token(w, part[i].id, begin + part[i].begin, begin + part[i].end));
    return TT_OK;
}

tt_status tti_model_word(const tti_model *m, tti_work *w, size_t begin, size_t end) {
    const uint8_t *p = w->doc.p + begin;
    size_t n = end - begin;
    if (!n) return TT_OK;
    bool cached = n <= CACHE_WORD && (m->kind == TTI_BPE || m->kind == TTI_WORDPIECE);
    uint64_t hash = 0;
    if (cached) {
        if (!w->cache.slot) TT_TRY(cache_new(&w->cache));
        hash = tti_hash_bytes(TTI_HASH_START, p, n);
        const tti_cache_slot *s = cache_slot(&w->cache, hash, p, n);
        if (s->len) return emit(w, w->cache.part + s->token, s->n, begin);
    }
    TT_TRY(parts_of(m, w, p, n));
    if (cached) TT_TRY(cache_put(w, hash, p, n));
    return emit(w, w->part, w->n_part, begin);
}
