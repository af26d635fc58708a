// SPDX-License-Identifier: Apache-2.0
/* digest.c - word by word: mix in, rotate, multiply. */
#include <string.h>
#include "host/core/file.h"
#include "host/train/digest.h"

static const uint64_t odd1 = 0x9E3779B97F4A7C15u, odd2 = 0xC2B2AE3D27D4EB4Fu;

static uint64_t mix(uint64_t h, uint64_t word) {
    h ^= word * odd1;
    return ((h << 31) | (h >> 33)) * odd2;
}

void tti_digest_begin(tti_digest *d) { *d = (tti_digest){.h = odd1}; }

void tti_digest_add(tti_digest *d, const void *bytes, size_t n) {
    const uint8_t *p = bytes;
    uint64_t word;
    size_t have = d->size & 7;
    d->size += n;
    if (have > 0) {
        size_t take = TT_MIN(8 - have, n);
        memcpy(d->rest + have, p, take);
        p += take, n -= take;
        if (have + take < 8) return;
        memcpy(&word, d->rest, 8);
        d->h = mix(d->h, word);
    }
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&word, p, 8);
        d->h = mix(d->h, word);
    }
    if (n > 0) memcpy(d->rest, p, n);
}

uint64_t tti_digest_end(const tti_digest *d) {
    uint64_t word = 0, h = d->h;
    memcpy(&word, d->rest, d->size & 7);
    h = mix(mix(h, word), d->size);
    h ^= h >> 29;
    h *= odd1;
    return h ^ (h >> 32);
}

tt_status tti_digest_file(uint64_t *out, uint64_t *size, const char *path) {
    tti_map m;
    TT_TRY(tti_map_open(&m, path));
    tti_digest d;
    tti_digest_begin(&d);
    for (size_t at = 0, n; at < m.size; at += n) {
        n = TT_MIN(m.size - at, (size_t)TTI_MAP_PIECE);
        tti_digest_add(&d, m.data + at, n);
        tti_map_drop(&m);
    }
    *out = tti_digest_end(&d);
    *size = m.size;
    tti_map_close(&m);
    return TT_OK;
}
