// SPDX-License-Identifier: Apache-2.0
/* quantised_write.c - writing quantised matrices to safetensors files. */
#include <string.h>
#include "host/format/quantised.h"
#include "host/format/quantised_internal.h"

/* quant_state's text. */
static void state_text(tti_str *s, const tti_layout *l, const char *dtype, const char *offset) {
    tti_str_printf(s, "{\"quant_type\": \"%s\", \"blocksize\": %zu, \"dtype\": \"%s\", ",
                   l->type == TTI_Q8 ? "q8" : "nf4", l->block, dtype);
    tti_str_printf(s, "\"shape\": [%zu, %zu]", l->rows, l->cols);
    if (l->has_nested)
        tti_str_printf(
            s, ", \"nested_blocksize\": %d, \"nested_dtype\": \"float32\", \"nested_offset\": %s",
            (int)TTI_NESTED_BLOCK, offset);
    tti_str_putc(s, '}');
}

/* Its length, the same for every offset and dtype: spaces behind the text make up for shorter ones,
 * since tensors are declared before the offset is known. */
static tt_status state_length(const tti_layout *l, size_t *out) {
    tti_str s = {0};
    state_text(&s, l, "bfloat16", "-2.2250738585072014e-308");
    *out = s.len;
    const tt_status status = s.status;
    tti_str_free(&s);
    return status;
}

static tt_status declare(tti_st_writer *w, const char *name, const char *ending, tti_st_dtype dtype,
                         size_t count) {
    tti_str full = {0};
    tti_str_puts(&full, name);
    tti_str_puts(&full, ending);
    tt_status s = full.status;
    if (s == TT_OK) s = tti_st_writer_declare(w, full.p, dtype, 1, &count);
    tti_str_free(&full);
    return s;
}

tt_status tti_quantised_declare(tti_st_writer *w, const char *name, const tti_layout *l) {
    size_t length;
    TT_TRY(state_length(l, &length));
    if (l->type == TTI_Q8) {
        TT_TRY(tti_st_writer_declare(w, name, TTI_ST_I8, 2, (size_t[]){l->rows, l->cols}));
        TT_TRY(declare(w, name, TTI_QUANT_Q8_SCALES, TTI_ST_F32, l->blocks));
        return declare(w, name, TTI_QUANT_STATE_Q8, TTI_ST_U8, length);
    }
    if (l->type != TTI_NF4)
        return tti_fail(TT_E_ARG, "tensor %.200s: %s is not a quantised type", name,
                        tti_dtype_name(l->type));
    const size_t bytes = (l->rows * l->cols + 1) / 2;
    TT_TRY(tti_st_writer_declare(w, name, TTI_ST_U8, 2, (size_t[]){bytes, 1}));
    TT_TRY(declare(w, name, TTI_QUANT_ABSMAX, l->has_nested ? TTI_ST_U8 : TTI_ST_F32, l->blocks));
    if (l->has_nested) {
        TT_TRY(declare(w, name, TTI_QUANT_NESTED, TTI_ST_F32, l->nested_blocks));
        TT_TRY(declare(w, name, TTI_QUANT_NESTED_MAP, TTI_ST_F32, TTI_NESTED_CODE));
    }
    TT_TRY(declare(w, name, TTI_QUANT_MAP, TTI_ST_F32, TTI_CODE));
    return declare(w, name, TTI_QUANT_STATE_NF4, TTI_ST_U8, length);
}

static tt_status write_state(tti_st_writer *w, const tti_layout *l, const char *dtype,
                             float offset) {
    char number[32];
    tti_str text = {0};
    size_t length;
    TT_TRY(state_length(l, &length));
    snprintf(number, sizeof number, "%.17g", (double)offset);
    state_text(&text, l, dtype, number);
    while (text.status == TT_OK && text.len < length) tti_str_putc(&text, ' ');
    tt_status s = text.status;
    if (s == TT_OK && text.len != length)
        s = tti_fail(TT_E_ARG, "dtype \"%s\" of a quantised matrix", dtype);
    if (s == TT_OK) s = tti_st_writer_write(w, text.p, length);
    tti_str_free(&text);
    return s;
}

tt_status tti_quantised_write(tti_st_writer *w, const tti_layout *l, const void *src,
                              const char *dtype) {
    const uint8_t *at = src;
    const size_t count = l->rows * l->cols;
    if (l->type == TTI_Q8) {
        TT_TRY(tti_st_writer_write(w, at, count));
        TT_TRY(tti_st_writer_write(w, at + l->scales, l->blocks * 4));
        return write_state(w, l, dtype, 0);
    }
    const uint8_t *code = at + l->tables, *nested = code + TTI_CODE * 4;
    float offset;
    memcpy(&offset, nested + TTI_NESTED_CODE * 4, 4);
    if (memcmp(code, tti_nf4_code, sizeof tti_nf4_code))
        return tti_fail(TT_E_UNSUPPORTED, "4-bit numbers other than NF4's cannot be written; "
                                          "quantise the model anew");
    TT_TRY(tti_st_writer_write(w, at, (count + 1) / 2));
    TT_TRY(tti_st_writer_write(w, at + l->scales, l->blocks * (l->has_nested ? 1 : 4)));
    if (l->has_nested) {
        TT_TRY(tti_st_writer_write(w, at + l->nested, l->nested_blocks * 4));
        TT_TRY(tti_st_writer_write(w, nested, TTI_NESTED_CODE * 4));
    }
    TT_TRY(tti_st_writer_write(w, code, TTI_CODE * 4));
    return write_state(w, l, dtype, offset);
}
