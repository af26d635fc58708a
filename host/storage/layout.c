// SPDX-License-Identifier: Apache-2.0
/* layout.c - names of types, and where the parts of a matrix lie. */
#include "host/storage/storage.h"

#include <string.h>

static const char *const names[TTI_DTYPES] = {"f32", "i32", "f16", "bf16", "q8", "nf4"};

const char *tti_dtype_name(tti_dtype t) { return t < TTI_DTYPES ? names[t] : "unknown"; }

bool tti_dtype_parse(const char *name, tti_dtype *out) {
    for (int i = 0; i < TTI_DTYPES; i++)
        if (!strcmp(names[i], name)) {
            *out = (tti_dtype)i;
            return true;
        }
    return false;
}

static size_t section(size_t n) { return (n + TTI_SECTION - 1) / TTI_SECTION * TTI_SECTION; }

tti_layout tti_layout_of(tti_dtype type, size_t rows, size_t cols, size_t block, bool nested) {
    const size_t count = rows * cols;
    tti_layout l = {.type = type, .rows = rows, .cols = cols};
    if (!tti_dtype_quantised(type)) {
        l.bytes = count * (type == TTI_F16 || type == TTI_BF16 ? 2 : 4);
        return l;
    }
    l.block = block;
    l.blocks = (count + block - 1) / block;
    l.has_nested = nested && type == TTI_NF4;
    l.scales = section(type == TTI_NF4 ? (count + 1) / 2 : count);
    l.bytes = l.scales + section(l.blocks * (l.has_nested ? 1 : 4));
    if (l.has_nested) {
        l.nested_blocks = (l.blocks + TTI_NESTED_BLOCK - 1) / TTI_NESTED_BLOCK;
        l.nested = l.bytes;
        l.bytes += section(l.nested_blocks * 4);
    }
    if (type == TTI_NF4) {
        l.tables = l.bytes;
        l.bytes += section((TTI_CODE + TTI_NESTED_CODE + 1) * 4);
    }
    return l;
}

size_t tti_layout_cut(const tti_layout *l) {
    if (!tti_dtype_quantised(l->type) || l->cols == 0) return 1;
    size_t a = l->block * (l->has_nested ? TTI_NESTED_BLOCK : 1), b = l->cols;
    const size_t group = a;
    while (b) { /* greatest common divisor */
        const size_t r = a % b;
        a = b;
        b = r;
    }
    return group / a;
}

size_t tti_row_bytes(tti_dtype type, size_t cols) {
    if (type == TTI_Q8) return (cols + 3) / 4 * 4 + (cols + 63) / 64 * 4;
    return cols * (type == TTI_F16 || type == TTI_BF16 ? 2 : 4);
}
