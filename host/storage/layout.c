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

tti_layout tti_layout_rows(const tti_layout *l, size_t first, size_t rows) {
    TT_ASSERT(first <= l->rows && rows <= l->rows - first);
    const size_t cut = tti_layout_cut(l);
    TT_ASSERT(first % cut == 0 && (rows % cut == 0 || first + rows == l->rows));
    return tti_layout_of(l->type, rows, l->cols, l->block, l->has_nested);
}

/* Where a section of the piece lies in the whole; its size. */
typedef struct {
    size_t whole, piece, bytes;
} part;

/* The sections of `rows` rows from `first` on, tables last; their number. */
static size_t parts(const tti_layout *l, size_t first, const tti_layout *p, part out[4]) {
    const size_t at = first * l->cols, count = p->rows * l->cols;
    if (!tti_dtype_quantised(l->type)) {
        const size_t size = l->type == TTI_F16 || l->type == TTI_BF16 ? 2 : 4;
        out[0] = (part){at * size, 0, count * size};
        return 1;
    }
    const size_t block = at / l->block, scale = l->has_nested ? 1 : 4;
    size_t n = 0;
    out[n++] =
        l->type == TTI_NF4 ? (part){at / 2, p->data, (count + 1) / 2} : (part){at, p->data, count};
    out[n++] = (part){l->scales + block * scale, p->scales, p->blocks * scale};
    if (l->has_nested)
        out[n++] =
            (part){l->nested + block / TTI_NESTED_BLOCK * 4, p->nested, p->nested_blocks * 4};
    if (l->type == TTI_NF4)
        out[n++] = (part){l->tables, p->tables, (TTI_CODE + TTI_NESTED_CODE + 1) * 4};
    return n;
}

void tti_cut(const tti_layout *l, const void *src, size_t first, size_t rows, void *dst) {
    const tti_layout p = tti_layout_rows(l, first, rows);
    part at[4];
    const size_t n = parts(l, first, &p, at);
    if (tti_dtype_quantised(l->type)) memset(dst, 0, p.bytes);
    for (size_t i = 0; i < n; i++)
        memcpy((uint8_t *)dst + at[i].piece, (const uint8_t *)src + at[i].whole, at[i].bytes);
}

void tti_join(const tti_layout *l, void *dst, size_t first, size_t rows, const void *piece) {
    const tti_layout p = tti_layout_rows(l, first, rows);
    part at[4];
    const size_t n = parts(l, first, &p, at);
    for (size_t i = 0; i < n; i++)
        memcpy((uint8_t *)dst + at[i].whole, (const uint8_t *)piece + at[i].piece, at[i].bytes);
}

size_t tti_row_bytes(tti_dtype type, size_t cols) {
    if (type == TTI_Q8) return (cols + 3) / 4 * 4 + (cols + 63) / 64 * 4;
    return cols * (type == TTI_F16 || type == TTI_BF16 ? 2 : 4);
}
