// SPDX-License-Identifier: Apache-2.0
/* safetensors_convert.c - elements to and from the types of the host. */
#include <string.h>
#include "host/format/safetensors.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little endian, read as is");

static tt_status check(const tti_st_tensor *t, size_t first, size_t count) {
    if (first <= t->count && count <= t->count - first) return TT_OK;
    char shape[200];
    return tti_fail(TT_E_SHAPE, "%s: tensor %.200s: elements %zu to %zu asked for, shape %s",
                    t->file, t->name, first, first + count, tti_st_shape_text(t, shape));
}

/* Reads element i of type `type` without need of alignment. */
#define EACH(type, expr)                        \
    for (size_t i = 0; i < count; i++) {        \
        type v;                                 \
        memcpy(&v, p + i * sizeof v, sizeof v); \
        dst[i] = (expr);                        \
    }                                           \
    return TT_OK

tt_status tti_st_read_f32(const tti_st_tensor *t, float *dst, size_t first, size_t count) {
    TT_TRY(check(t, first, count));
    if (!count) return TT_OK;
    const uint8_t *p = (const uint8_t *)t->data + first * (t->bytes / t->count);
    switch (t->dtype) {
    case TTI_ST_F32: memcpy(dst, p, count * 4); return TT_OK;
    case TTI_ST_F16: EACH(uint16_t, tti_f16_to_f32(v));
    case TTI_ST_BF16: EACH(uint16_t, tti_bf16_to_f32(v));
    case TTI_ST_F64: EACH(double, (float)v);
    default:
        return tti_fail(TT_E_UNSUPPORTED,
                        "%s: tensor %.200s: is %s, expected F32, F16, BF16 or F64", t->file,
                        t->name, t->dtype_name);
    }
}

tt_status tti_st_read_i64(const tti_st_tensor *t, int64_t *dst, size_t first, size_t count) {
    TT_TRY(check(t, first, count));
    if (!count) return TT_OK;
    const uint8_t *p = (const uint8_t *)t->data + first * (t->bytes / t->count);
    switch (t->dtype) {
    case TTI_ST_I64: memcpy(dst, p, count * 8); return TT_OK;
    case TTI_ST_I32: EACH(int32_t, v);
    case TTI_ST_I16: EACH(int16_t, v);
    case TTI_ST_I8: EACH(int8_t, v);
    case TTI_ST_U8: EACH(uint8_t, v);
    case TTI_ST_BOOL: EACH(uint8_t, v != 0);
    default:
        return tti_fail(TT_E_UNSUPPORTED, "%s: tensor %.200s: is %s, expected integers", t->file,
                        t->name, t->dtype_name);
    }
}

const char *tti_st_shape_text(const tti_st_tensor *t, char buf[200]) {
    size_t n = 0;
    buf[n++] = '[';
    for (int i = 0; i < t->rank; i++)
        n += (size_t)snprintf(buf + n, 200 - n, "%s%zu", i ? ", " : "", t->dim[i]);
    buf[n++] = ']';
    buf[n] = 0;
    return buf;
}

void tti_st_drop(const tti_st_tensor *t) { tti_map_drop(&t->map); }
