// SPDX-License-Identifier: Apache-2.0
/* quantised.c - reading quantised matrices of safetensors files. */
#include "host/format/quantised.h"

#include <math.h>
#include <string.h>
#include "host/format/quantised_internal.h"

enum { NAME_MAX_BYTES = 512, STATE_MAX = 1 << 16 };

/* A quantised weight and its parts; borrowed from the file. */
typedef struct {
    const tti_st_tensor *weight, *state, *scales, *map, *nested, *nested_map;
    const char *kind; /* "nf4", "fp4", "q8" */
    double offset;
    tti_layout layout;
} quantised;

static const struct {
    const char *kind, *ending;
} states[] = {
    {"nf4", TTI_QUANT_STATE_NF4}, {"fp4", TTI_QUANT_STATE_FP4}, {"q8", TTI_QUANT_STATE_Q8}};

static const char *const endings[] = {
    TTI_QUANT_ABSMAX,    TTI_QUANT_MAP,       TTI_QUANT_NESTED,    TTI_QUANT_NESTED_MAP,
    TTI_QUANT_Q8_SCALES, TTI_QUANT_STATE_NF4, TTI_QUANT_STATE_FP4, TTI_QUANT_STATE_Q8,
};

static const tti_st_tensor *part(const tti_st *st, const char *name, const char *ending) {
    char full[NAME_MAX_BYTES];
    const int n = snprintf(full, sizeof full, "%s%s", name, ending);
    return n > 0 && (size_t)n < sizeof full ? tti_st_find(st, full) : NULL;
}

static tt_status bad(const tti_st_tensor *t, const char *what) {
    return tti_fail(TT_E_FORMAT, "%s: tensor %.200s: %s", t->file, t->name, what);
}

/* ".weight" at the end of the name gives way to another ending. */
static const tti_st_tensor *sibling(const tti_st *st, const char *name, const char *ending) {
    static const char weight[] = ".weight";
    const size_t n = strlen(name), w = sizeof weight - 1;
    char module[NAME_MAX_BYTES];
    if (n <= w || n - w >= sizeof module || strcmp(name + n - w, weight)) return NULL;
    memcpy(module, name, n - w);
    module[n - w] = 0;
    return part(st, module, ending);
}

/* There is no quant_state: whether it is quantised in a way that is not read here. */
static tt_status foreign(const tti_st *st, const char *name) {
    const tti_st_tensor *t = sibling(st, name, ".SCB");
    if (!t) t = part(st, name, ".SCB");
    if (t)
        return tti_fail(TT_E_UNSUPPORTED,
                        "%s: tensor %.200s: 8 bits as LLM.int8 of bitsandbytes has them; use the "
                        "model as it was before, or one of 4 bits",
                        t->file, name);
    t = sibling(st, name, ".qweight");
    if (t)
        return tti_fail(TT_E_UNSUPPORTED,
                        "%s: tensor %.200s: packed as GPTQ and AWQ do; use the model as it was "
                        "before, or one of bitsandbytes' 4 bits",
                        t->file, t->name);
    t = part(st, name, TTI_QUANT_ABSMAX);
    if (!t) t = part(st, name, TTI_QUANT_Q8_SCALES);
    return t ? bad(t, "the weight has scales, but no quant_state") : TT_OK;
}

/* ---- quant_state ---- */

static tt_status read_shape(const tti_st_tensor *t, tti_json_at at, size_t dim[2]) {
    const cJSON *shape;
    TT_TRY(tti_json_array(at, "shape", &shape));
    if (cJSON_GetArraySize(shape) != 2)
        return bad(t, "shape: expected [rows, columns], two whole numbers");
    const cJSON *v = shape->child;
    for (int i = 0; i < 2; i++, v = v->next) {
        const double d = cJSON_IsNumber(v) ? v->valuedouble : 0;
        if (!(d >= 1 && d <= 0x1p53) || d != floor(d))
            return bad(t, "shape: expected [rows, columns], two whole numbers");
        dim[i] = (size_t)d;
    }
    size_t count;
    if (!tti_mul(dim[0], dim[1], &count) || count > SIZE_MAX / 16)
        return bad(t, "shape: more elements than can be");
    return TT_OK;
}

static tt_status read_block(const tti_st_tensor *t, tti_json_at at, size_t *out) {
    int64_t block;
    TT_TRY(tti_json_need(at, "blocksize"));
    TT_TRY(tti_json_int_in(at, "blocksize", &block, 64, 32, 4096));
    if (block & (block - 1)) return bad(t, "blocksize: expected a power of two from 32 to 4096");
    *out = (size_t)block;
    return TT_OK;
}

static tt_status read_nested(const tti_st_tensor *t, tti_json_at at, quantised *q) {
    int64_t block;
    const char *dtype;
    TT_TRY(tti_json_need(at, "nested_offset"));
    TT_TRY(tti_json_float(at, "nested_offset", &q->offset, 0));
    TT_TRY(tti_json_int(at, "nested_blocksize", &block, TTI_NESTED_BLOCK));
    TT_TRY(tti_json_str(at, "nested_dtype", &dtype, "float32"));
    if (block != TTI_NESTED_BLOCK)
        return tti_fail(TT_E_UNSUPPORTED,
                        "%s: tensor %.200s: nested_blocksize %lld; only %d is read", t->file,
                        t->name, (long long)block, (int)TTI_NESTED_BLOCK);
    if (strcmp(dtype, "float32")) return bad(t, "nested_dtype: expected \"float32\"");
    if (!isfinite((float)q->offset)) return bad(t, "nested_offset: not a finite number");
    return TT_OK;
}

static tt_status read_state(quantised *q) {
    const tti_st_tensor *t = q->state;
    char where[900];
    snprintf(where, sizeof where, "%.400s: tensor %.400s", t->file, t->name);
    if (t->dtype != TTI_ST_U8 || t->bytes > STATE_MAX)
        return bad(t, "expected JSON as a row of bytes (U8)");
    cJSON *json = NULL;
    TT_TRY(tti_json_parse(&json, t->data ? t->data : "", t->bytes, where));
    tt_status s = TT_OK;
    size_t dim[2] = {0}, block = 0;
    const char *type;
    const tti_json_at at = {json, where};
    if (!cJSON_IsObject(json)) TT_GO(bad(t, "expected a JSON object"));
    TT_GO(tti_json_need(at, "quant_type"));
    TT_GO(tti_json_str(at, "quant_type", &type, ""));
    if (strcmp(type, q->kind)) TT_GO(bad(t, "quant_type: not that of the tensor's name"));
    TT_GO(tti_json_need(at, "shape"));
    TT_GO(read_shape(t, at, dim));
    TT_GO(read_block(t, at, &block));
    const bool q8 = !strcmp(q->kind, "q8"), nested = !q8 && q->nested != NULL;
    if (nested) TT_GO(read_nested(t, at, q));
    if (!nested && tti_json_get(json, "nested_offset"))
        TT_GO(bad(t, "nested scales are named, but there is no nested_absmax"));
    q->layout = tti_layout_of(q8 ? TTI_Q8 : TTI_NF4, dim[0], dim[1], block, nested);
done:
    tti_json_free(json);
    return s;
}

/* ---- parts ---- */

/* t must be there with so many elements. f32: F32, F16 and BF16 are all read. */
static tt_status need(const tti_st_tensor *weight, const tti_st_tensor *t, const char *ending,
                      tti_st_dtype dtype, size_t count) {
    if (!t)
        return tti_fail(TT_E_FORMAT,
                        "%s: tensor %.200s: has no %s beside it; the file is not "
                        "complete",
                        weight->file, weight->name, ending + 1);
    const bool fits = t->dtype == dtype ||
                      (dtype == TTI_ST_F32 && (t->dtype == TTI_ST_F16 || t->dtype == TTI_ST_BF16));
    char shape[200];
    if (!fits || t->count != count)
        return tti_fail(TT_E_FORMAT,
                        "%s: tensor %.200s: %s of shape %s; the weight needs %zu elements of %s",
                        t->file, t->name, t->dtype_name, tti_st_shape_text(t, shape), count,
                        dtype == TTI_ST_U8 ? "U8" : "F32");
    return TT_OK;
}

static tt_status check_weight(const quantised *q) {
    const tti_st_tensor *t = q->weight;
    const tti_layout *l = &q->layout;
    const size_t count = l->rows * l->cols, bytes = l->type == TTI_Q8 ? count : (count + 1) / 2;
    const bool shape = l->type != TTI_Q8 || (t->dtype == TTI_ST_I8 && t->rank == 2 &&
                                             t->dim[0] == l->rows && t->dim[1] == l->cols);
    char text[200];
    if (shape && t->bytes == bytes) return TT_OK;
    return tti_fail(TT_E_FORMAT,
                    "%s: tensor %.200s: %s of shape %s, %zu bytes; quant_state says %s of shape "
                    "[%zu, %zu], %zu bytes",
                    t->file, t->name, t->dtype_name, tti_st_shape_text(t, text), t->bytes, q->kind,
                    l->rows, l->cols, bytes);
}

static tt_status look(const tti_st *st, const char *name, bool *found, quantised *q) {
    *found = false;
    *q = (quantised){.weight = tti_st_find(st, name)};
    for (size_t i = 0; i < TT_COUNT(states) && !q->state; i++) {
        q->state = part(st, name, states[i].ending);
        q->kind = states[i].kind;
    }
    if (!q->state) return foreign(st, name);
    if (!q->weight) return bad(q->state, "the weight that it describes is missing");
    const bool q8 = !strcmp(q->kind, "q8");
    q->scales = part(st, name, q8 ? TTI_QUANT_Q8_SCALES : TTI_QUANT_ABSMAX);
    q->nested = part(st, name, TTI_QUANT_NESTED);
    TT_TRY(read_state(q));
    TT_TRY(check_weight(q));
    const tti_layout *l = &q->layout;
    TT_TRY(need(q->weight, q->scales, q8 ? TTI_QUANT_Q8_SCALES : TTI_QUANT_ABSMAX,
                l->has_nested ? TTI_ST_U8 : TTI_ST_F32, l->blocks));
    if (!q8) {
        q->map = part(st, name, TTI_QUANT_MAP);
        TT_TRY(need(q->weight, q->map, TTI_QUANT_MAP, TTI_ST_F32, TTI_CODE));
    }
    if (l->has_nested) {
        q->nested_map = part(st, name, TTI_QUANT_NESTED_MAP);
        TT_TRY(need(q->weight, q->nested, TTI_QUANT_NESTED, TTI_ST_F32, l->nested_blocks));
        TT_TRY(need(q->weight, q->nested_map, TTI_QUANT_NESTED_MAP, TTI_ST_F32, TTI_NESTED_CODE));
    }
    *found = true;
    return TT_OK;
}

tt_status tti_quantised_find(const tti_st *st, const char *name, bool *found, tti_layout *l) {
    quantised q;
    TT_TRY(look(st, name, found, &q));
    if (*found) *l = q.layout;
    return TT_OK;
}

/* ---- values ---- */

/* Reads a tensor of numbers; *largest is that of their magnitudes, all of them being finite. */
static tt_status numbers(const tti_st_tensor *t, float *dst, float *largest) {
    TT_TRY(tti_st_read_f32(t, dst, 0, t->count));
    *largest = 0;
    for (size_t i = 0; i < t->count; i++) {
        if (!isfinite(dst[i]))
            return tti_fail(TT_E_NUMERIC, "%s: tensor %.200s: element %zu is %g; it is damaged",
                            t->file, t->name, i, (double)dst[i]);
        if (fabsf(dst[i]) > *largest) *largest = fabsf(dst[i]);
    }
    return TT_OK;
}

static tt_status fill(const quantised *q, uint8_t *dst) {
    const tti_layout *l = &q->layout;
    float code = 127, scale = 0, nested_code = 0;
    float *tables = (float *)(void *)(dst + l->tables);
    memset(dst, 0, l->bytes);
    memcpy(dst, q->weight->data, q->weight->bytes);
    if (l->type == TTI_NF4) {
        TT_TRY(numbers(q->map, tables, &code));
        tti_nested_code(tables + TTI_CODE);
    }
    if (l->has_nested) {
        memcpy(dst + l->scales, q->scales->data, q->scales->bytes);
        TT_TRY(numbers(q->nested, (float *)(void *)(dst + l->nested), &scale));
        TT_TRY(numbers(q->nested_map, tables + TTI_CODE, &nested_code));
        tables[TTI_CODE + TTI_NESTED_CODE] = (float)q->offset;
        scale = scale * nested_code + fabsf((float)q->offset);
    } else {
        TT_TRY(numbers(q->scales, (float *)(void *)(dst + l->scales), &scale));
    }
    if (!isfinite(scale * code))
        return tti_fail(TT_E_NUMERIC,
                        "%s: tensor %.200s: scales up to %g; the weights are not "
                        "finite",
                        q->weight->file, q->weight->name, (double)scale);
    return TT_OK;
}

tt_status tti_quantised_fill(const tti_st *st, const char *name, const tti_layout *l, void *dst) {
    quantised q;
    bool found;
    TT_TRY(look(st, name, &found, &q));
    if (!found || q.layout.bytes != l->bytes || q.layout.rows != l->rows ||
        q.layout.block != l->block || q.layout.type != l->type)
        return tti_fail(TT_E_ARG, "tensor %.200s: not the layout of this file", name);
    return fill(&q, dst);
}

void tti_quantised_drop(const tti_st *st, const char *name) {
    const tti_st_tensor *t = tti_st_find(st, name);
    if (t) tti_st_drop(t);
    for (size_t i = 0; i < TT_COUNT(endings); i++)
        if ((t = part(st, name, endings[i]))) tti_st_drop(t);
}

size_t tti_quantised_owner(const char *name) {
    const size_t n = strlen(name);
    for (size_t i = 0; i < TT_COUNT(endings); i++) {
        const size_t e = strlen(endings[i]);
        if (n > e && !strcmp(name + n - e, endings[i])) return n - e;
    }
    return 0;
}
