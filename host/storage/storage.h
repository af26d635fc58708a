// SPDX-License-Identifier: Apache-2.0
/* storage.h - how numbers lie in memory: element types, and the layout of quantised matrices.
 * Arithmetic is in f32 everywhere; a type says only how a number is kept between uses.
 *
 * A quantised matrix [rows, cols] is one run of bytes, so that one buffer holds it: sections, each
 * from a multiple of TTI_SECTION bytes on. Blocks of `block` elements, in row-major order across
 * rows, share a scale; the last block may be shorter.
 *   Q8    data    int8[count]; element = data * scale
 *         scales  f32[blocks]: largest magnitude of the block / 127
 *   NF4   data    4 bits an element, the even one of a byte in its upper half (bitsandbytes'
 * order); element = code[data] * scale scales  nested: u8[blocks]; else f32[blocks], the block's
 * largest magnitude nested  nested: f32[ceil(blocks / 256)]; scale = nested_code[scales] * nested +
 * offset, each operation rounded tables  f32[16] code, f32[256] nested_code, f32 offset (Dettmers
 * et al., arXiv 2305.14314: NF4 of block 64, its scales as 8-bit numbers of block 256.)
 */
#ifndef TT_HOST_STORAGE_STORAGE_H
#define TT_HOST_STORAGE_STORAGE_H

#include "host/core/core.h"

typedef enum { TTI_F32, TTI_I32, TTI_F16, TTI_BF16, TTI_Q8, TTI_NF4, TTI_DTYPES } tti_dtype;
/* "f32", "i32", "f16", "bf16", "q8", "nf4" */
const char *tti_dtype_name(tti_dtype t);
/* False when there is no such type. */
bool tti_dtype_parse(const char *name, tti_dtype *out);
static inline bool tti_dtype_quantised(tti_dtype t) { return t == TTI_Q8 || t == TTI_NF4; }

enum { TTI_SECTION = 64, TTI_QUANT_BLOCK = 64, TTI_NESTED_BLOCK = 256, TTI_CODE = 16 };
enum { TTI_NESTED_CODE = 256 };

/* Where the parts of a matrix lie; offsets in bytes from its beginning. Plain types: data at 0. */
typedef struct {
    tti_dtype type;
    size_t rows, cols;
    size_t block; /* elements of a scale; 0 for plain types */
    bool has_nested;
    size_t blocks, nested_blocks;
    size_t data, scales, nested, tables;
    size_t bytes; /* all of it */
} tti_layout;

/* block: TTI_QUANT_BLOCK, or what a file says (a multiple of 2); nested: scales are 8-bit numbers
 * (NF4 only). Both are ignored for plain types. */
tti_layout tti_layout_of(tti_dtype type, size_t rows, size_t cols, size_t block, bool nested);
/* A matrix [rows, cols] among others in one run of elements, from `first` on. */
typedef struct {
    size_t first, rows, cols;
} tti_matrix;

/* The usual one: blocks of 64; NF4 nested. */
static inline tti_layout tti_layout_plain(tti_dtype type, size_t rows, size_t cols) {
    return tti_layout_of(type, rows, cols, TTI_QUANT_BLOCK, type == TTI_NF4);
}
/* A matrix may be cut into pieces at multiples of so many rows: no block crosses a cut. */
size_t tti_layout_cut(const tti_layout *l);

/* Bytes of a row of `cols` elements kept between uses, of a value that is computed (Q8: blocks of
 * 64 columns within the row, int8[cols] padded to 4 bytes, then an f32 scale each). NF4: not kept
 * so. */
size_t tti_row_bytes(tti_dtype type, size_t cols);

/* Quantises src[rows*cols] into dst, layout->bytes of it (host memory): bit for bit as bitsandbytes
 * for NF4 with blocks of 64. Plain types are rounded to nearest even. Padding is zero. TT_E_NUMERIC
 * names the first element that is not finite. */
tt_status tti_quantise(const tti_layout *l, const float *src, void *dst);
/* Elements first .. first+count-1 of src as f32. */
void tti_dequantise(const tti_layout *l, const void *src, size_t first, size_t count, float *dst);

#endif
