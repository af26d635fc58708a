// SPDX-License-Identifier: Apache-2.0
/* vocab.h - pieces by their bytes and by id, and a map from 64-bit keys. */
#ifndef TT_HOST_TOKENIZER_VOCAB_H
#define TT_HOST_TOKENIZER_VOCAB_H

#include "host/core/core.h"

/* Ids from here on are refused: tables are indexed by id. */
#define TTI_ID_LIMIT (1 << 24)

/* The hash of a piece can be carried on byte by byte, so that all beginnings of a word cost one
 * pass. */
#define TTI_HASH_START 0xcbf29ce484222325u
static inline uint64_t tti_hash_byte(uint64_t h, uint8_t b) { return (h ^ b) * 0x100000001b3u; }
uint64_t tti_hash_bytes(uint64_t h, const void *p, size_t n);

typedef struct {
    uint64_t hash;
    size_t at; /* in bytes */
    uint32_t len;
    int32_t id;
} tti_entry;
typedef struct {
    char *bytes;
    size_t n_bytes, cap_bytes;
    tti_entry *entry;
    size_t n, cap;
    uint32_t *slot; /* entry number + 1; 0 is free */
    size_t n_slots; /* a power of two */
    int32_t *by_id; /* entry number or -1 */
    size_t n_ids, cap_ids;
    size_t longest; /* bytes of the longest piece */
} tti_vocab;

void tti_vocab_free(tti_vocab *v);
/* Adds a piece (copied) with an id below TTI_ID_LIMIT. When the piece is there already it gets the
 * new id and *old the earlier one, else *old is -1 (old may be NULL). */
tt_status tti_vocab_add(tti_vocab *v, const void *piece, size_t n, int32_t id, int32_t *old);
/* The id, or -1. */
int32_t tti_vocab_find(const tti_vocab *v, const void *piece, size_t n);
int32_t tti_vocab_find_hashed(const tti_vocab *v, uint64_t hash, const void *piece, size_t n);
/* The same for a piece that comes in two parts. */
int32_t tti_vocab_find_joined(const tti_vocab *v, uint64_t hash, const void *a, size_t na,
                              const void *b, size_t nb);
/* The piece of an id (borrowed until the next add), or NULL. */
const char *tti_vocab_piece(const tti_vocab *v, int32_t id, size_t *n);

typedef struct {
    uint64_t key;
    uint32_t a, b;
} tti_pair_slot;
typedef struct {
    tti_pair_slot *slot; /* a == UINT32_MAX is free */
    size_t n_slots, n;
} tti_pairs;
void tti_pairs_free(tti_pairs *m);
/* Sets key to (a, b), a below UINT32_MAX; a key that is there is overwritten. */
tt_status tti_pairs_set(tti_pairs *m, uint64_t key, uint32_t a, uint32_t b);
static inline const tti_pair_slot *tti_pairs_get(const tti_pairs *m, uint64_t key) {
    if (!m->n_slots) return NULL;
    uint64_t h = key * 0x9e3779b97f4a7c15u;
    for (size_t i = h >> 20;; i++) {
        const tti_pair_slot *s = &m->slot[i & (m->n_slots - 1)];
        if (s->a == UINT32_MAX) return NULL;
        if (s->key == key) return s;
    }
}

/* A trie of byte strings on such a map: nodes are numbered from 0, the root. */
typedef struct {
    tti_pairs edges;
    int32_t *value; /* of each node; -1: no string ends here */
    size_t n, cap;
} tti_trie;
void tti_trie_free(tti_trie *t);
/* Adds a string; the first value of a string stays unless replace. */
tt_status tti_trie_add(tti_trie *t, const void *p, size_t n, int32_t value, bool replace);
/* The child of a node by a byte, or 0 where there is none. */
static inline uint32_t tti_trie_step(const tti_trie *t, uint32_t node, uint8_t byte) {
    const tti_pair_slot *s = tti_pairs_get(&t->edges, (uint64_t)node << 8 | byte);
    return s ? s->a : 0;
}

#endif
