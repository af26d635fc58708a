// SPDX-License-Identifier: Apache-2.0
/* cache.c - compiled programs on disk, one file an entry:
 *   magic[8], key (16 bytes), payload length (8), payload hash (16), payload
 * in the byte order of the machine, which the driver's binary shares. An entry is read whole and
 * checked before use; writers work aside and rename, so that processes need no lock. */
#include "host/device/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "host/core/file.h"

#define MAX_ENTRY ((size_t)256 << 20)

static const char magic[8] = {'T', 'T', 'P', 'R', 'O', 'G', '0', '1'};

typedef struct {
    char magic[8];
    tti_hash key;
    uint64_t size;
    tti_hash sum;
} header;

void tti_hash_begin(tti_hash *h) {
    h->a = 0xcbf29ce484222325u;
    h->b = 0x9e3779b97f4a7c15u;
}

void tti_hash_add(tti_hash *h, const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    uint64_t a = h->a, b = h->b;
    for (size_t i = 0; i < n; i++) {
        a = (a ^ p[i]) * 0x100000001b3u;
        b = (b + p[i]) * 0xff51afd7ed558ccdu;
        b ^= b >> 29;
    }
    h->a = (a ^ n) * 0x9e3779b97f4a7c15u;
    h->b = (b ^ (n << 1)) * 0xc4ceb9fe1a85ec53u;
}

static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdu;
    x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53u;
    return x ^ (x >> 33);
}

void tti_hash_end(tti_hash *h) {
    h->a = mix(h->a);
    h->b = mix(h->b ^ h->a);
}

static tti_hash sum_of(const void *payload, size_t size) {
    tti_hash h;
    tti_hash_begin(&h);
    tti_hash_add(&h, payload, size);
    tti_hash_end(&h);
    return h;
}

tt_status tti_cache_path(char **path, tti_hash key) {
    *path = NULL;
    const char *off = getenv("TT_PROGRAM_CACHE");
    if (off && strcmp(off, "0") == 0) return TT_OK;
    char *root = NULL, *dir = NULL;
    tt_status s = tti_cache_dir(&root);
    if (s == TT_OK && !(dir = tti_path_join(root, "programs"))) s = TT_E_NOMEM;
    if (s == TT_OK) s = tti_mkdirs(dir);
    if (s == TT_OK) {
        char name[40];
        snprintf(name, sizeof name, "%016" PRIx64 "%016" PRIx64, key.a, key.b);
        if (!(*path = tti_path_join(dir, name))) s = TT_E_NOMEM;
    } else if (s != TT_E_NOMEM) {
        tti_debug("program cache off: %s", tt_error());
        s = TT_OK;
    }
    tti_free(dir);
    tti_free(root);
    return s;
}

static bool whole(const header *h, const char *data, size_t size, tti_hash key) {
    if (size < sizeof *h) return false;
    if (memcmp(h->magic, magic, sizeof magic) != 0) return false;
    if (memcmp(&h->key, &key, sizeof key) != 0) return false;
    if (h->size == 0 || h->size != size - sizeof *h) return false;
    tti_hash sum = sum_of(data + sizeof *h, size - sizeof *h);
    return memcmp(&sum, &h->sum, sizeof sum) == 0;
}

void tti_cache_load(char **payload, size_t *size, const char *path, tti_hash key) {
    *payload = NULL;
    *size = 0;
    if (!tti_file_exists(path)) return;
    char *data;
    size_t n;
    if (tti_file_read(&data, &n, path, MAX_ENTRY) != TT_OK) {
        tti_debug("program cache: %s", tt_error());
        return;
    }
    header h = {0};
    if (n >= sizeof h) memcpy(&h, data, sizeof h);
    if (!whole(&h, data, n, key)) {
        tti_debug("program cache: %s is damaged or of another build; it is made anew", path);
        tti_free(data);
        return;
    }
    memmove(data, data + sizeof h, n - sizeof h);
    *payload = data;
    *size = n - sizeof h;
}

void tti_cache_store(const char *path, tti_hash key, const void *payload, size_t size) {
    header h = {.key = key, .size = size, .sum = sum_of(payload, size)};
    memcpy(h.magic, magic, sizeof magic);
    char *data = size ? tti_malloc(sizeof h + size) : NULL;
    if (!data) return;
    memcpy(data, &h, sizeof h);
    memcpy(data + sizeof h, payload, size);
    if (tti_file_write(path, data, sizeof h + size) != TT_OK)
        tti_debug("program cache: %s", tt_error());
    tti_free(data);
}
