// SPDX-License-Identifier: Apache-2.0
/* peft_write.c - adapter_config.json written, keys sorted as PEFT sorts them. */
#include <math.h>
#include <stdio.h>
#include "host/format/peft.h"

static cJSON *text_or_null(const char *s) { return s ? cJSON_CreateString(s) : cJSON_CreateNull(); }

static cJSON *names_or_null(const tti_peft_names *names) {
    if (!names->n) return cJSON_CreateNull();
    return cJSON_CreateStringArray((const char *const *)names->v, (int)names->n);
}

static cJSON *number(double x, bool always_float) {
    cJSON *v = cJSON_CreateNumber(x);
    if (v && (always_float || x != nearbyint(x))) v->type |= TTI_JSON_FLOAT;
    return v;
}

static cJSON *map_or_empty(const cJSON *map) {
    return map ? cJSON_Duplicate(map, 1) : cJSON_CreateObject();
}

static cJSON *targets(const tti_peft_config *c) {
    if (c->all_linear) return cJSON_CreateString("all-linear");
    if (c->target_regex) return cJSON_CreateString(c->target_regex);
    return cJSON_CreateStringArray((const char *const *)c->targets.v, (int)c->targets.n);
}

static cJSON *excluded(const tti_peft_config *c) {
    return c->exclude_regex ? cJSON_CreateString(c->exclude_regex) : names_or_null(&c->exclude);
}

static cJSON *layers(const tti_peft_config *c) {
    return c->nlayers ? cJSON_CreateIntArray(c->layers, (int)c->nlayers) : cJSON_CreateNull();
}

static tt_status build(const tti_peft_config *c, cJSON *o) {
    TT_TRY(tti_json_set(o, "alpha_pattern", map_or_empty(c->alpha_pattern)));
    TT_TRY(tti_json_set(o, "auto_mapping", cJSON_CreateNull()));
    TT_TRY(tti_json_set(o, "base_model_name_or_path", text_or_null(c->base_model)));
    TT_TRY(tti_json_set_str(o, "bias", "none"));
    TT_TRY(tti_json_set(o, "exclude_modules", excluded(c)));
    TT_TRY(tti_json_set_bool(o, "fan_in_fan_out", c->fan_in_fan_out));
    TT_TRY(tti_json_set_bool(o, "inference_mode", c->inference_mode));
    TT_TRY(tti_json_set_bool(o, "init_lora_weights", true));
    TT_TRY(tti_json_set(o, "layers_pattern", names_or_null(&c->layers_pattern)));
    TT_TRY(tti_json_set(o, "layers_to_transform", layers(c)));
    TT_TRY(tti_json_set(o, "lora_alpha", number(c->alpha, false)));
    TT_TRY(tti_json_set(o, "lora_dropout", number(c->dropout, true)));
    TT_TRY(tti_json_set(o, "modules_to_save", names_or_null(&c->modules_to_save)));
    TT_TRY(tti_json_set_str(o, "peft_type", "LORA"));
    TT_TRY(tti_json_set_int(o, "r", c->r));
    TT_TRY(tti_json_set(o, "rank_pattern", map_or_empty(c->rank_pattern)));
    TT_TRY(tti_json_set(o, "revision", cJSON_CreateNull()));
    TT_TRY(tti_json_set(o, "target_modules", targets(c)));
    TT_TRY(tti_json_set(o, "task_type", text_or_null(c->task_type)));
    return tti_json_set_bool(o, "use_rslora", c->use_rslora);
}

tt_status tti_peft_write(const tti_peft_config *c, const char *path) {
    cJSON *o = cJSON_CreateObject();
    if (!o) return tti_fail(TT_E_NOMEM, "%s: out of host memory", path);
    tt_status s = build(c, o);
    if (s == TT_OK) s = tti_json_write(path, o);
    tti_json_free(o);
    return s;
}
