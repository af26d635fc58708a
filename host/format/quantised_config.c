// SPDX-License-Identifier: Apache-2.0
/* quantised_config.c - quantization_config of config.json, as transformers has it. */
#include <string.h>
#include "host/format/quantised.h"

static const char section[] = "quantization_config", own[] = "tokentune";

static tt_status read_own(tti_json_at at, tti_quant_config *out) {
    const char *type;
    TT_TRY(tti_json_str(at, "quant_type", &type, "q8"));
    if (strcmp(type, "q8"))
        return tti_fail(TT_E_UNSUPPORTED, "%s: %s: quant_type \"%.40s\" is not known", at.file,
                        section, type);
    out->type = TTI_Q8;
    return TT_OK;
}

static tt_status read_bitsandbytes(tti_json_at at, tti_quant_config *out) {
    bool four, eight;
    const char *type;
    TT_TRY(tti_json_bool(at, "load_in_4bit", &four, false));
    TT_TRY(tti_json_bool(at, "load_in_8bit", &eight, false));
    if (eight)
        return tti_fail(TT_E_UNSUPPORTED,
                        "%s: %s: 8 bits of bitsandbytes (LLM.int8) are not read; use the model as "
                        "it was before, or one of 4 bits",
                        at.file, section);
    if (!four)
        return tti_fail(TT_E_FORMAT, "%s: %s: neither load_in_4bit nor load_in_8bit is true",
                        at.file, section);
    TT_TRY(tti_json_str(at, "bnb_4bit_quant_type", &type, "fp4")); /* transformers' default */
    if (strcmp(type, "nf4") && strcmp(type, "fp4"))
        return tti_fail(TT_E_UNSUPPORTED,
                        "%s: %s: bnb_4bit_quant_type \"%.40s\"; expected nf4 or fp4", at.file,
                        section, type);
    TT_TRY(tti_json_bool(at, "bnb_4bit_use_double_quant", &out->nested, false));
    TT_TRY(tti_json_str(at, "bnb_4bit_compute_dtype", &out->dtype, NULL));
    out->type = TTI_NF4;
    return TT_OK;
}

tt_status tti_quantised_config(const cJSON *json, const char *file, tti_quant_config *out) {
    *out = (tti_quant_config){.type = TTI_F32};
    const cJSON *q;
    const char *method;
    TT_TRY(tti_json_object((tti_json_at){json, file}, section, &q));
    if (!q) return TT_OK;
    const tti_json_at at = {q, file};
    /* the first files of 4 bits did not name it */
    TT_TRY(tti_json_str(at, "quant_method", &method, "bitsandbytes"));
    if (!strcmp(method, own)) return read_own(at, out);
    if (!strcmp(method, "bitsandbytes")) return read_bitsandbytes(at, out);
    return tti_fail(TT_E_UNSUPPORTED,
                    "%s: %s: quant_method \"%.40s\" is not read; use the model as it was before "
                    "quantisation, or one of bitsandbytes' 4 bits",
                    file, section, method);
}

static tt_status skipped(cJSON *q, const tti_quant_config *c) {
    static const char key[] = "llm_int8_skip_modules";
    if (!c->nskipped) return tti_json_set(q, key, cJSON_CreateNull());
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; list && i < c->nskipped; i++) {
        cJSON *name = cJSON_CreateString(c->skipped[i]);
        if (name) (void)cJSON_AddItemToArray(list, name);
        if (name) continue;
        cJSON_Delete(list);
        list = NULL;
    }
    return tti_json_set(q, key, list);
}

static tt_status set_bitsandbytes(cJSON *q, const tti_quant_config *c) {
    TT_TRY(tti_json_set_bool(q, "_load_in_4bit", true));
    TT_TRY(tti_json_set_bool(q, "_load_in_8bit", false));
    TT_TRY(tti_json_set_str(q, "bnb_4bit_compute_dtype", c->dtype ? c->dtype : "float32"));
    TT_TRY(tti_json_set_str(q, "bnb_4bit_quant_storage", "uint8"));
    TT_TRY(tti_json_set_str(q, "bnb_4bit_quant_type", "nf4"));
    TT_TRY(tti_json_set_bool(q, "bnb_4bit_use_double_quant", c->nested));
    TT_TRY(tti_json_set_bool(q, "llm_int8_enable_fp32_cpu_offload", false));
    TT_TRY(tti_json_set_bool(q, "llm_int8_has_fp16_weight", false));
    TT_TRY(skipped(q, c));
    TT_TRY(tti_json_set_float(q, "llm_int8_threshold", 6.0));
    TT_TRY(tti_json_set_bool(q, "load_in_4bit", true));
    TT_TRY(tti_json_set_bool(q, "load_in_8bit", false));
    return tti_json_set_str(q, "quant_method", "bitsandbytes");
}

tt_status tti_quantised_set_config(cJSON *json, const tti_quant_config *c) {
    if (c->type == TTI_F32) return tti_json_set(json, section, cJSON_CreateNull());
    if (c->type != TTI_NF4 && c->type != TTI_Q8)
        return tti_fail(TT_E_ARG, "%s: %s is not a quantised type", section,
                        tti_dtype_name(c->type));
    cJSON *q = cJSON_CreateObject();
    if (!q) return tti_fail(TT_E_NOMEM, "%s: out of host memory", section);
    tt_status s = TT_OK;
    if (c->type == TTI_NF4) {
        TT_GO(set_bitsandbytes(q, c));
    } else {
        TT_GO(tti_json_set_str(q, "quant_method", own));
        TT_GO(tti_json_set_str(q, "quant_type", "q8"));
    }
done:
    if (s == TT_OK) return tti_json_set(json, section, q);
    cJSON_Delete(q);
    return s;
}
