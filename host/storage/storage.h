// SPDX-License-Identifier: Apache-2.0
/* storage.h - how numbers lie in memory: element types, and the layout of quantised matrices.
 * Arithmetic is in f32 everywhere; a type says only how a number is kept between uses.
 *
 * A quantised matrix [rows, cols] is one run of bytes, so that one buffer holds it: sections, each
 * from a multiple of TTI_SECTION bytes on. Blocks of `block` elements, in row-major order across
 * rows, share a scale; the last block may be shorter.
 *
 *   Q8  data    int8[count]; element = data * scale
 *       scales  f32[blocks]: largest magnitude of the block / 127
 *
 *   NF4 data    4 bits an element, the even one of a byte in its upper half, as bitsandbytes has
 *               them; element = code[data] * scale
 *       scales  f32[blocks], the block's largest magnitude; nested: u8[blocks]
 *       nested  f32[ceil(blocks / 256)]: scale = nested_code[scales] * nested + offset, each
 *               operation rounded
 *       tables  f32[16] code, f32[256] nested_code, f32 offset
 *
 * (Dettmers et al., arXiv 2305.14314: NF4 of block 64, its scales as 8-bit numbers of block 256.)
 */
#ifndef TT_HOST_STORAGE_STORAGE_H
#define TT_HOST_STORAGE_STORAGE_H

#include "host/core/core.h"
#include "host/storage/half.h"

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

/* The layout of rows first .. first+rows-1 alone. Quantised: first is a multiple of
 * tti_layout_cut, and so is rows unless the piece ends where the matrix does. */
tti_layout tti_layout_rows(const tti_layout *l, size_t first, size_t rows);
/* Copies those rows of src, a matrix in layout l, into dst as a matrix of their own in the layout
 * that tti_layout_rows says: the same elements, bit for bit (tables go along). Padding is zero. */
void tti_cut(const tti_layout *l, const void *src, size_t first, size_t rows, void *dst);
/* The other way: puts a piece back into dst. Pieces of one matrix have the same tables. */
void tti_join(const tti_layout *l, void *dst, size_t first, size_t rows, const void *piece);

/* Quantises src[rows*cols] into dst, layout->bytes of it (host memory). Plain types are rounded to
 * nearest even. Padding is zero. TT_E_NUMERIC names the first element that is not finite.
 *
 * NF4 gives the bits of bitsandbytes 0.50 on a CPU, for any block (quantize_4bit): codes, scales,
 * the tail of a matrix that is no multiple of the block, the 8-bit numbers of nested scales and
 * their code. The offset of nested scales is their mean, added up in the order in which torch does
 * on one thread, whatever the CPU; with more threads torch's order differs from 32768 blocks
 * (2M elements) on, and with it the last bit of the offset. */
tt_status tti_quantise(const tti_layout *l, const float *src, void *dst);

/* The same in pieces, so that the whole matrix is never there in f32: begin, add until the matrix
 * is complete, end. Zero-initialised it may be freed. */
typedef struct {
    tti_layout l;
    uint8_t *dst;   /* borrowed until end */
    size_t done;    /* elements so far */
    float *largest; /* of each block, where scales are nested; owned */
} tti_quantiser;
tt_status tti_quantiser_begin(tti_quantiser *q, const tti_layout *l, void *dst);
/* Quantised types: count is a multiple of l.block, except in the last piece. */
tt_status tti_quantiser_add(tti_quantiser *q, const float *src, size_t count);
tt_status tti_quantiser_end(tti_quantiser *q); /* TT_E_ARG when elements are missing */
void tti_quantiser_free(tti_quantiser *q);     /* harmless after end and after a failure */

/* Elements first .. first+count-1 of src as f32: code * scale, one rounding each, as bitsandbytes
 * has them (on CPUs with AVX-512 its own f32 results are wrong where a row is no multiple of the
 * block; these are not). */
void tti_dequantise(const tti_layout *l, const void *src, size_t first, size_t count, float *dst);

/* NF4's numbers, and the 8-bit code of nested scales (dynamic tree quantisation, Dettmers, arXiv
 * 1511.04561), ascending, as they stand in the tables of a matrix. */
extern const float tti_nf4_code[TTI_CODE];
void tti_nested_code(float code[TTI_NESTED_CODE]);

#endif
