// SPDX-License-Identifier: Apache-2.0
/* peft.c - adapter_config.json read, checked and written; matching is in peft_match.c. */
#include "host/format/peft.h"

#include <string.h>
#include <strings.h>
#include "host/core/file.h"

enum { MAX_RANK = 1 << 16 };

static tt_status add_name(tti_peft_names *names, const char *name) {
    char **v = tti_realloc(names->v, names->n + 1, sizeof *v);
    if (!v) return TT_E_NOMEM;
    names->v = v;
    v[names->n] = tti_strdup(name);
    if (!v[names->n]) return TT_E_NOMEM;
    names->n++;
    return TT_OK;
}

static void free_names(tti_peft_names *names) {
    for (size_t i = 0; i < names->n; i++) tti_free(names->v[i]);
    tti_free(names->v);
    *names = (tti_peft_names){0};
}

tt_status tti_peft_new(tti_peft_config **out) {
    *out = NULL;
    tti_peft_config *c = tti_calloc(1, sizeof *c);
    if (!c) return TT_E_NOMEM;
    c->path = tti_strdup("adapter");
    c->r = 8;
    c->alpha = 8;
    if (c->path)
        *out = c;
    else
        tti_peft_free(c);
    return *out ? TT_OK : TT_E_NOMEM;
}

void tti_peft_free(tti_peft_config *c) {
    if (!c) return;
    tti_free(c->path);
    tti_free(c->task_type);
    tti_free(c->base_model);
    tti_free(c->target_regex);
    tti_free(c->exclude_regex);
    tti_free(c->layers);
    free_names(&c->targets);
    free_names(&c->exclude);
    free_names(&c->modules_to_save);
    free_names(&c->layers_pattern);
    tti_json_free(c->rank_pattern);
    tti_json_free(c->alpha_pattern);
    tti_free(c);
}

tt_status tti_peft_set_targets(tti_peft_config *c, const char *const *names, size_t n) {
    free_names(&c->targets);
    tti_free(c->target_regex);
    c->target_regex = NULL;
    c->all_linear = n == 1 && !strcasecmp(names[0], "all-linear");
    for (size_t i = 0; i < n && !c->all_linear; i++) TT_TRY(add_name(&c->targets, names[i]));
    return TT_OK;
}

tt_status tti_peft_add_saved(tti_peft_config *c, const char *name) {
    return add_name(&c->modules_to_save, name);
}

/* A list of strings, or one string, for which `single` is set where given, else a list of one. */
static tt_status read_names(tti_json_at at, const char *key, tti_peft_names *names, char **single) {
    const cJSON *v = tti_json_get(at.object, key);
    char found[64];
    if (!v) return TT_OK;
    if (cJSON_IsString(v) && single) {
        *single = tti_strdup(v->valuestring);
        return *single ? TT_OK : TT_E_NOMEM;
    }
    if (cJSON_IsString(v)) return add_name(names, v->valuestring);
    if (!cJSON_IsArray(v))
        return tti_fail(TT_E_FORMAT, "%s: %s: expected a list of strings, found %s", at.file, key,
                        tti_json_describe(v, found));
    for (const cJSON *e = v->child; e; e = e->next) {
        if (!cJSON_IsString(e))
            return tti_fail(TT_E_FORMAT, "%s: %s: expected strings, found %s", at.file, key,
                            tti_json_describe(e, found));
        TT_TRY(add_name(names, e->valuestring));
    }
    return TT_OK;
}

static bool is_off(const cJSON *v) {
    if (cJSON_IsNull(v) || cJSON_IsFalse(v)) return true;
    return (cJSON_IsArray(v) || cJSON_IsObject(v)) && !v->child;
}

static bool is_one_of(const char *s, const char *const *list) {
    while (*list && strcmp(*list, s)) list++;
    return *list != NULL;
}

/* Everything but these keys changes what an adapter computes, or may: a key of a later version too.
 */
static tt_status refuse_unknown(tti_json_at at) {
    static const char *const fine[] = {"peft_type",         "r",
                                       "lora_alpha",        "lora_dropout",
                                       "use_rslora",        "fan_in_fan_out",
                                       "task_type",         "base_model_name_or_path",
                                       "target_modules",    "exclude_modules",
                                       "modules_to_save",   "layers_to_transform",
                                       "layers_pattern",    "rank_pattern",
                                       "alpha_pattern",     "bias",
                                       "init_lora_weights", "inference_mode",
                                       "auto_mapping",      "revision",
                                       "peft_version",      "megatron_core",
                                       "qalora_group_size", "runtime_config",
                                       "eva_config",        NULL};
    /* these leave the base weights as they are, so that the adapter alone tells all */
    static const char *const plain_init[] = {"gaussian", "eva", "orthogonal", NULL};
    for (const cJSON *v = at.object->child; v; v = v->next)
        if (!is_one_of(v->string, fine) && !is_off(v))
            return tti_fail(TT_E_UNSUPPORTED,
                            "%s: %.100s is set: adapters with it are not supported", at.file,
                            v->string);
    const char *bias;
    TT_TRY(tti_json_str(at, "bias", &bias, "none"));
    if (strcmp(bias, "none"))
        return tti_fail(TT_E_UNSUPPORTED, "%s: bias is \"%.40s\": only \"none\" is supported",
                        at.file, bias);
    const cJSON *init = tti_json_get(at.object, "init_lora_weights");
    if (init && cJSON_IsString(init) && !is_one_of(init->valuestring, plain_init))
        return tti_fail(TT_E_UNSUPPORTED,
                        "%s: init_lora_weights is \"%.40s\", which changes the base model; convert "
                        "the adapter to plain LoRA when saving it",
                        at.file, init->valuestring);
    return TT_OK;
}

static tt_status read_layers(tti_peft_config *c, tti_json_at at) {
    const cJSON *v = tti_json_get(at.object, "layers_to_transform");
    if (!v) return TT_OK;
    size_t n = cJSON_IsArray(v) ? (size_t)cJSON_GetArraySize(v) : 1;
    c->layers = tti_calloc(n, sizeof *c->layers);
    if (!c->layers) return TT_E_NOMEM;
    for (const cJSON *e = cJSON_IsArray(v) ? v->child : v; e;
         e = cJSON_IsArray(v) ? e->next : NULL) {
        char found[64];
        if (!cJSON_IsNumber(e) || e->valuedouble != e->valueint || e->valueint < 0)
            return tti_fail(TT_E_FORMAT,
                            "%s: layers_to_transform: expected layer numbers, found %s", at.file,
                            tti_json_describe(e, found));
        c->layers[c->nlayers++] = e->valueint;
    }
    return TT_OK;
}

static tt_status read_pattern(tti_json_at at, const char *key, cJSON **out, double least) {
    const cJSON *map;
    TT_TRY(tti_json_object(at, key, &map));
    if (!map || !map->child) return TT_OK;
    for (const cJSON *v = map->child; v; v = v->next) {
        char found[64];
        if (!cJSON_IsNumber(v) || !(v->valuedouble >= least && v->valuedouble <= MAX_RANK) ||
            (least > 0 && v->valuedouble != v->valueint))
            return tti_fail(TT_E_FORMAT, "%s: %s: %.100s: expected %s, found %s", at.file, key,
                            v->string, least > 0 ? "a rank" : "a number",
                            tti_json_describe(v, found));
    }
    *out = cJSON_Duplicate(map, 1);
    return *out ? TT_OK : tti_fail(TT_E_NOMEM, "%s: out of host memory", key);
}

static tt_status read_text(tti_json_at at, const char *key, char **out) {
    const char *v;
    TT_TRY(tti_json_str(at, key, &v, NULL));
    if (!v) return TT_OK;
    *out = tti_strdup(v);
    return *out ? TT_OK : TT_E_NOMEM;
}

static tt_status read_targets(tti_peft_config *c, tti_json_at at) {
    TT_TRY(tti_json_need(at, "target_modules"));
    TT_TRY(read_names(at, "target_modules", &c->targets, &c->target_regex));
    if (c->target_regex && !strcasecmp(c->target_regex, "all-linear")) {
        tti_free(c->target_regex);
        c->target_regex = NULL;
        c->all_linear = true;
    }
    return read_names(at, "exclude_modules", &c->exclude, &c->exclude_regex);
}

static tt_status read_all(tti_peft_config *c, tti_json_at at) {
    const char *type;
    TT_TRY(tti_json_need(at, "peft_type"));
    TT_TRY(tti_json_str(at, "peft_type", &type, NULL));
    if (strcmp(type, "LORA"))
        return tti_fail(TT_E_UNSUPPORTED, "%s: peft_type is \"%.40s\": only LORA is supported",
                        at.file, type);
    TT_TRY(refuse_unknown(at));
    int64_t r;
    TT_TRY(tti_json_int_in(at, "r", &r, 8, 1, MAX_RANK));
    c->r = (int)r;
    TT_TRY(tti_json_float(at, "lora_alpha", &c->alpha, 8));
    TT_TRY(tti_json_float(at, "lora_dropout", &c->dropout, 0));
    if (!(c->dropout >= 0 && c->dropout < 1))
        return tti_fail(TT_E_FORMAT,
                        "%s: lora_dropout: expected a number from 0 to below 1, found %g", at.file,
                        c->dropout);
    TT_TRY(tti_json_bool(at, "use_rslora", &c->use_rslora, false));
    TT_TRY(tti_json_bool(at, "fan_in_fan_out", &c->fan_in_fan_out, false));
    TT_TRY(tti_json_bool(at, "inference_mode", &c->inference_mode, false));
    TT_TRY(read_text(at, "task_type", &c->task_type));
    TT_TRY(read_text(at, "base_model_name_or_path", &c->base_model));
    TT_TRY(read_targets(c, at));
    TT_TRY(read_names(at, "modules_to_save", &c->modules_to_save, NULL));
    TT_TRY(read_layers(c, at));
    TT_TRY(read_names(at, "layers_pattern", &c->layers_pattern, NULL));
    TT_TRY(read_pattern(at, "rank_pattern", &c->rank_pattern, 1));
    return read_pattern(at, "alpha_pattern", &c->alpha_pattern, -MAX_RANK);
}

tt_status tti_peft_read(tti_peft_config **out, const char *path) {
    *out = NULL;
    tti_peft_config *c = tti_calloc(1, sizeof *c);
    if (!c) return TT_E_NOMEM;
    cJSON *json = NULL;
    tt_status s = TT_E_NOMEM;
    c->path = tti_dir_exists(path) ? tti_path_join(path, "adapter_config.json") : tti_strdup(path);
    if (!c->path) goto done;
    TT_GO(tti_json_file(&json, c->path, TTI_JSON_MAX));
    TT_GO(read_all(c, (tti_json_at){json, c->path}));
done:
    tti_json_free(json);
    if (s == TT_OK)
        *out = c;
    else
        tti_peft_free(c);
    return s;
}
