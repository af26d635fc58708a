// SPDX-License-Identifier: Apache-2.0
#include "host/tokenizer/vocab.h"

#include <string.h>

uint64_t tti_hash_bytes(uint64_t h, const void *p, size_t n) {
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++) h = tti_hash_byte(h, b[i]);
    return h;
}

/* The low bits of the running hash are its weakest. */
static size_t start_slot(uint64_t hash) { return (size_t)(hash ^ hash >> 29); }

void tti_vocab_free(tti_vocab *v) {
    tti_free(v->bytes);
    tti_free(v->entry);
    tti_free(v->slot);
    tti_free(v->by_id);
    *v = (tti_vocab){0};
}

static bool same(const char *piece, const void *p, size_t n) { return !n || !memcmp(piece, p, n); }

static uint32_t *find_slot(const tti_vocab *v, uint64_t hash, const void *a, size_t na,
                           const void *b, size_t nb) {
    for (size_t i = start_slot(hash);; i++) {
        uint32_t *s = &v->slot[i & (v->n_slots - 1)];
        if (!*s) return s;
        const tti_entry *e = &v->entry[*s - 1];
        const char *piece = v->bytes + e->at;
        if (e->hash == hash && e->len == na + nb && same(piece, a, na) && same(piece + na, b, nb))
            return s;
    }
}

static tt_status widen(tti_vocab *v) {
    size_t n = v->n_slots ? v->n_slots * 2 : 64;
    uint32_t *slot = tti_calloc(n, sizeof *slot);
    if (!slot) return TT_E_NOMEM;
    for (size_t k = 0; k < v->n; k++) {
        size_t i = start_slot(v->entry[k].hash);
        while (slot[i & (n - 1)]) i++;
        slot[i & (n - 1)] = (uint32_t)k + 1;
    }
    tti_free(v->slot);
    v->slot = slot;
    v->n_slots = n;
    return TT_OK;
}

static tt_status put_id(tti_vocab *v, int32_t id, size_t entry) {
    size_t need = (size_t)id + 1;
    TT_TRY(TTI_GROW(v->by_id, v->cap_ids, need));
    while (v->n_ids < need) v->by_id[v->n_ids++] = -1;
    v->by_id[id] = (int32_t)entry;
    return TT_OK;
}

tt_status tti_vocab_add(tti_vocab *v, const void *piece, size_t n, int32_t id, int32_t *old) {
    TT_ASSERT(id >= 0 && id < TTI_ID_LIMIT);
    if (v->n + v->n / 2 >= v->n_slots) TT_TRY(widen(v));
    uint64_t hash = tti_hash_bytes(TTI_HASH_START, piece, n);
    uint32_t *slot = find_slot(v, hash, piece, n, NULL, 0);
    if (old) *old = *slot ? v->entry[*slot - 1].id : -1;
    if (*slot) {
        v->by_id[v->entry[*slot - 1].id] = -1;
        v->entry[*slot - 1].id = id;
        return put_id(v, id, *slot - 1);
    }
    TT_TRY(TTI_GROW(v->bytes, v->cap_bytes, v->n_bytes + n + 1));
    TT_TRY(TTI_GROW(v->entry, v->cap, v->n + 1));
    TT_TRY(put_id(v, id, v->n));
    if (n) memcpy(v->bytes + v->n_bytes, piece, n);
    v->bytes[v->n_bytes + n] = 0;
    v->entry[v->n] = (tti_entry){hash, v->n_bytes, (uint32_t)n, id};
    v->n_bytes += n + 1;
    *slot = (uint32_t)++v->n;
    v->longest = TT_MAX(v->longest, n);
    return TT_OK;
}

int32_t tti_vocab_find_hashed(const tti_vocab *v, uint64_t hash, const void *piece, size_t n) {
    if (!v->n) return -1;
    uint32_t s = *find_slot(v, hash, piece, n, NULL, 0);
    return s ? v->entry[s - 1].id : -1;
}

int32_t tti_vocab_find_joined(const tti_vocab *v, uint64_t hash, const void *a, size_t na,
                              const void *b, size_t nb) {
    if (!v->n) return -1;
    uint32_t s = *find_slot(v, hash, a, na, b, nb);
    return s ? v->entry[s - 1].id : -1;
}

int32_t tti_vocab_find(const tti_vocab *v, const void *piece, size_t n) {
    return tti_vocab_find_hashed(v, tti_hash_bytes(TTI_HASH_START, piece, n), piece, n);
}

const char *tti_vocab_piece(const tti_vocab *v, int32_t id, size_t *n) {
    if (id < 0 || (size_t)id >= v->n_ids || v->by_id[id] < 0) return NULL;
    const tti_entry *e = &v->entry[v->by_id[id]];
    *n = e->len;
    return v->bytes + e->at;
}

void tti_pairs_free(tti_pairs *m) {
    tti_free(m->slot);
    *m = (tti_pairs){0};
}

static tti_pair_slot *pair_slot(tti_pair_slot *slot, size_t n_slots, uint64_t key) {
    uint64_t h = key * 0x9e3779b97f4a7c15u;
    for (size_t i = h >> 20;; i++) {
        tti_pair_slot *s = &slot[i & (n_slots - 1)];
        if (s->a == UINT32_MAX || s->key == key) return s;
    }
}

tt_status tti_pairs_set(tti_pairs *m, uint64_t key, uint32_t a, uint32_t b) {
    if (m->n + m->n / 2 >= m->n_slots) {
        size_t n = m->n_slots ? m->n_slots * 2 : 64, bytes;
        if (!tti_mul(n, sizeof *m->slot, &bytes)) bytes = SIZE_MAX;
        tti_pair_slot *slot = tti_malloc(bytes);
        if (!slot) return TT_E_NOMEM;
        for (size_t i = 0; i < n; i++) slot[i].a = UINT32_MAX;
        for (size_t i = 0; i < m->n_slots; i++)
            if (m->slot[i].a != UINT32_MAX) *pair_slot(slot, n, m->slot[i].key) = m->slot[i];
        tti_free(m->slot);
        m->slot = slot;
        m->n_slots = n;
    }
    tti_pair_slot *s = pair_slot(m->slot, m->n_slots, key);
    if (s->a == UINT32_MAX) m->n++;
    *s = (tti_pair_slot){key, a, b};
    return TT_OK;
}

void tti_trie_free(tti_trie *t) {
    tti_pairs_free(&t->edges);
    tti_free(t->value);
    *t = (tti_trie){0};
}

tt_status tti_trie_add(tti_trie *t, const void *p, size_t n, int32_t value, bool replace) {
    const uint8_t *b = p;
    if (!t->n) {
        TT_TRY(TTI_GROW(t->value, t->cap, 1));
        t->value[t->n++] = -1;
    }
    uint32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t next = tti_trie_step(t, node, b[i]);
        if (!next) {
            TT_TRY(TTI_GROW(t->value, t->cap, t->n + 1));
            next = (uint32_t)t->n;
            TT_TRY(tti_pairs_set(&t->edges, (uint64_t)node << 8 | b[i], next, 0));
            t->value[t->n++] = -1;
        }
        node = next;
    }
    if (replace || t->value[node] < 0) t->value[node] = value;
    return TT_OK;
}
