// SPDX-License-Identifier: Apache-2.0
/* fuzz_safetensors.c - libFuzzer entry: any bytes are a tensor file, whose tensors are all read, as
 * quantised weights too where they are such. */
#include <stdlib.h>
#include "host/format/quantised.h"
#include "tests/fuzz/fuzz_file.h"

static void read_quantised(const tti_st *st, const char *name) {
    tti_layout l;
    bool found;
    if (tti_quantised_find(st, name, &found, &l) != TT_OK || !found) return;
    if (l.bytes > 1 << 24) return;
    void *q = malloc(l.bytes);
    float x[64];
    if (q && tti_quantised_fill(st, name, &l, q) == TT_OK)
        for (size_t i = 0; i < l.rows * l.cols; i += TT_COUNT(x))
            tti_dequantise(&l, q, i, TT_MIN(TT_COUNT(x), l.rows * l.cols - i), x);
    free(q);
    tti_quantised_drop(st, name);
}

static void read_all(const tti_st *st) {
    for (size_t i = 0; i < tti_st_count(st); i++) {
        const tti_st_tensor *t = tti_st_at(st, i);
        char shape[200];
        float x[64];
        int64_t n[64];
        (void)tti_st_shape_text(t, shape);
        if (tti_st_find(st, t->name) != t) abort();
        for (size_t at = 0; at < t->count && at < 4096; at += TT_COUNT(x)) {
            const size_t m = TT_MIN(TT_COUNT(x), t->count - at);
            if (tti_st_read_f32(t, x, at, m) != TT_OK && tti_st_read_i64(t, n, at, m) != TT_OK &&
                t->dtype != TTI_ST_OTHER)
                abort();
        }
        if (t->count && tti_st_read_f32(t, x, t->count, 1) == TT_OK) abort();
        read_quantised(st, t->name);
    }
    (void)tti_st_metadata(st, "format");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    tti_st *st;
    int fd = fuzz_file(path, data, size);
    if (fd < 0) return 0;
    if (tti_st_open(&st, path) == TT_OK) read_all(st);
    tti_st_close(st);
    close(fd);
    return 0;
}
