// SPDX-License-Identifier: Apache-2.0
/* safetensors.h - reading and writing tensors in files.
 *
 * A file is: 8 bytes, the length n of the header, little endian; n bytes of JSON, padded with
 * spaces; the data. The header maps a tensor's name to {"dtype", "shape", "data_offsets": [begin,
 * end)} within the data, which the tensors cover without holes or overlaps, and "__metadata__" to
 * strings. Tensors are row-major and little endian. */
#ifndef TT_HOST_FORMAT_SAFETENSORS_H
#define TT_HOST_FORMAT_SAFETENSORS_H

#include "host/core/file.h"
#include "host/storage/half.h" /* tti_f16_to_f32 and its kin */

/* X(name, bits); OTHER: known to the format, not to this program (8-bit floats and the like). */
#define TTI_ST_DTYPES(X) \
    X(F32, 32)           \
    X(F16, 16)           \
    X(BF16, 16)          \
    X(F64, 64)           \
    X(I64, 64)           \
    X(I32, 32)           \
    X(I16, 16)           \
    X(I8, 8)             \
    X(U8, 8)             \
    X(BOOL, 8)

typedef enum {
#define TTI_ST_ENUM(name, bits) TTI_ST_##name,
    TTI_ST_DTYPES(TTI_ST_ENUM)
#undef TTI_ST_ENUM
        TTI_ST_OTHER
} tti_st_dtype;

enum { TTI_ST_MAX_RANK = 8 };

/* All pointers are borrowed from the tti_st. */
typedef struct {
    const char *name, *file, *dtype_name;
    tti_st_dtype dtype;
    int rank;
    size_t dim[TTI_ST_MAX_RANK];
    size_t count;     /* product of dim; 1 for rank 0 */
    const void *data; /* may be unaligned; NULL when bytes is 0 */
    size_t bytes;
    tti_map map; /* of the file; borrowed */
} tti_st_tensor;

typedef struct tti_st tti_st;

/* Maps path, which is a .safetensors file, an index (*.json) whose shards are beside it, or a
 * folder holding model.safetensors or else model.safetensors.index.json. Everything is checked
 * here: TT_E_FORMAT names the file, the tensor and the value that is wrong. The files must not be
 * shortened while open. Gives *out (tti_st_close). */
tt_status tti_st_open(tti_st **out, const char *path);
void tti_st_close(tti_st *st); /* NULL is a no-op */

/* Tensors in the order of the header; of sharded files, in the order of the index. */
size_t tti_st_count(const tti_st *st);
const tti_st_tensor *tti_st_at(const tti_st *st, size_t i);
const tti_st_tensor *tti_st_find(const tti_st *st, const char *name); /* NULL if there is none */
/* Data have been read: all pages of the tensor's mapped file leave the process's resident set (they
 * are read again when touched again), so that loading a model does not hold it twice. */
void tti_st_drop(const tti_st_tensor *t);
/* A value of __metadata__ (of the first shard), NULL if there is none. Borrowed. */
const char *tti_st_metadata(const tti_st *st, const char *key);

/* Converts elements first .. first+count-1 of an F32, F16, BF16 or F64 tensor, exactly (F64:
 * rounded to nearest even). TT_E_UNSUPPORTED for another dtype, TT_E_SHAPE beyond the end. */
tt_status tti_st_read_f32(const tti_st_tensor *t, float *dst, size_t first, size_t count);
/* The same for integers and BOOL. */
tt_status tti_st_read_i64(const tti_st_tensor *t, int64_t *dst, size_t first, size_t count);
/* "[2, 3]", in buf; returns buf. */
const char *tti_st_shape_text(const tti_st_tensor *t, char buf[200]);

/* Writing: begin, declare every tensor, then write their data in the order declared, in pieces of
 * any size, then commit. The file appears complete or not at all. The same calls give the same
 * bytes. A failed call leaves the writer fit only for tti_st_writer_free. */
typedef struct tti_st_writer tti_st_writer;
tt_status tti_st_writer_begin(tti_st_writer **out, const char *path);
/* Copies name and dim. TT_E_ARG: declared twice, or after the first write. dtype not OTHER. */
tt_status tti_st_writer_declare(tti_st_writer *w, const char *name, tti_st_dtype dtype, int rank,
                                const size_t *dim);
/* Adds to __metadata__, which begins as {"format": "pt"}; copies. Before the first write. */
tt_status tti_st_writer_meta(tti_st_writer *w, const char *key, const char *value);
/* Bytes as they are to stand in the file; may cross from one tensor into the next. */
tt_status tti_st_writer_write(tti_st_writer *w, const void *data, size_t bytes);
/* Rounds to the dtype (F32, F16, BF16 or F64) of the tensor whose turn it is; stays within it. */
tt_status tti_st_writer_write_f32(tti_st_writer *w, const float *src, size_t count);
/* Fails unless every declared byte has been written. */
tt_status tti_st_writer_commit(tti_st_writer *w);
void tti_st_writer_free(tti_st_writer *w); /* drops what was not committed; NULL is a no-op */

#endif
