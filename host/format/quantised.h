// SPDX-License-Identifier: Apache-2.0
/* quantised.h - quantised matrices in safetensors files, and what config.json says of them.
 *
 * 4 bits, as bitsandbytes and transformers write them; X is the name of the weight:
 *   X                                    U8[ceil(count / 2), 1], two elements a byte
 *   X.absmax                             F32[blocks]; nested: U8[blocks]
 *   X.quant_map                          F32[16]: NF4's or FP4's numbers
 *   X.nested_absmax, X.nested_quant_map  F32[ceil(blocks / 256)], F32[256]; nested scales only
 *   X.quant_state.bitsandbytes__nf4      U8[n] (or __fp4): JSON of quant_type, blocksize, dtype,
 *                                        shape, nested_blocksize, nested_dtype, nested_offset
 * 8 bits, this program's own:
 *   X                                    I8[rows, cols]
 *   X.q8_scales                          F32[blocks]
 *   X.quant_state.tokentune__q8          U8[n]: JSON of quant_type, blocksize, dtype, shape
 *
 * Their data are the sections of a tti_layout (storage.h) as they are. */
#ifndef TT_HOST_FORMAT_QUANTISED_H
#define TT_HOST_FORMAT_QUANTISED_H

#include "host/format/json.h"
#include "host/format/safetensors.h"
#include "host/storage/storage.h"

/* Looks whether the weight `name` is quantised in the file. *found false: it is an ordinary tensor,
 * or missing. Else *l is its layout (NF4 for FP4 too: the numbers are in its tables), rows and cols
 * as the file states them, and every part of it has been checked for type and size; the values are
 * looked at by tti_quantised_fill. bitsandbytes rounds what it widens to the "dtype" of
 * quant_state; here it stays f32. transformers keeps GPT-2's weights [out, in] when quantised, [in,
 * out] when not. TT_E_FORMAT names the tensor and what is wrong with it; TT_E_UNSUPPORTED names
 * other ways of quantising (LLM.int8, GPTQ, AWQ). */
tt_status tti_quantised_find(const tti_st *st, const char *name, bool *found, tti_layout *l);
/* Fills dst, l->bytes of it (*l from tti_quantised_find), from the file. TT_E_NUMERIC: a scale or
 * a number of a table is not finite. */
tt_status tti_quantised_fill(const tti_st *st, const char *name, const tti_layout *l, void *dst);
/* Lets go of the pages of the weight and its parts, as tti_st_drop does. */
void tti_quantised_drop(const tti_st *st, const char *name);
/* The length of the weight's name at the beginning of `name`, where that is a part of a quantised
 * weight by its ending (".absmax" and the like); else 0. */
size_t tti_quantised_owner(const char *name);

/* Declares the tensors of a matrix in layout l (NF4, Q8), in the order in which write gives them.
 * Copies everything. */
tt_status tti_quantised_declare(tti_st_writer *w, const char *name, const tti_layout *l);
/* Writes the data of what declare declared, from a matrix in layout l. dtype: the type to which
 * readers are to widen it, "float32", "bfloat16" or "float16". TT_E_UNSUPPORTED: 4-bit numbers
 * other than NF4's, which bitsandbytes would read as NF4. */
tt_status tti_quantised_write(tti_st_writer *w, const tti_layout *l, const void *src,
                              const char *dtype);

/* quantization_config of config.json. */
typedef struct {
    tti_dtype type;             /* NF4 (FP4 files too), Q8; F32: there is none */
    bool nested;                /* NF4: double quantisation */
    const char *dtype;          /* bnb_4bit_compute_dtype, or NULL; read: borrowed from json */
    const char *const *skipped; /* writing: modules that are not quantised; borrowed */
    size_t nskipped;
} tti_quant_config;
/* What the configuration says (file: its name, for messages). TT_E_UNSUPPORTED: a quant_method
 * that is not read here (gptq, awq, ...), or bitsandbytes in 8 bits. */
tt_status tti_quantised_config(const cJSON *json, const char *file, tti_quant_config *out);
/* Sets quantization_config in json (a configuration, or tti_hf_config_edit's extra) such that
 * transformers loads NF4 weights with bitsandbytes; type F32 sets it to null, which removes it from
 * what tti_hf_config_write writes. Copies. */
tt_status tti_quantised_set_config(cJSON *json, const tti_quant_config *q);

#endif
