// SPDX-License-Identifier: Apache-2.0
/* hf_config.c - config.json: the keys every model has, and writing a changed one. */
#include "host/format/hf_config.h"

#include <limits.h>
#include <string.h>
#include "host/core/file.h"

enum { MAX_LABELS = 1 << 20 };

static tt_status wrong_label(const char *path, const char *key, const char *why) {
    return tti_fail(TT_E_FORMAT, "%s: id2label: \"%.100s\": %s", path, key, why);
}

/* A whole number as it is written in decimal, below limit. */
static bool read_id(const char *s, size_t limit, size_t *out) {
    size_t v = 0;
    if (!*s || (*s == '0' && s[1])) return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9') return false;
        v = v * 10 + (size_t)(*s - '0');
        if (v >= limit) return false;
    }
    *out = v;
    return true;
}

static tt_status label_name(char **out, const cJSON *v, const char *path) {
    if (cJSON_IsString(v)) {
        *out = tti_strdup(v->valuestring);
    } else if (cJSON_IsNumber(v)) { /* some checkpoints name their classes by numbers */
        tti_str text = {0};
        tti_json_print(&text, v);
        if (text.status != TT_OK) tti_str_free(&text);
        *out = text.p;
    } else {
        return wrong_label(path, v->string, "expected a string");
    }
    return *out ? TT_OK : TT_E_NOMEM;
}

static tt_status read_id2label(tti_hf_config *c, const cJSON *map) {
    size_t n = (size_t)cJSON_GetArraySize(map);
    if (!n || n > MAX_LABELS)
        return tti_fail(TT_E_FORMAT, "%s: id2label: %zu labels, expected 1 to %d", c->path, n,
                        MAX_LABELS);
    c->id2label = tti_calloc(n, sizeof *c->id2label);
    if (!c->id2label) return TT_E_NOMEM;
    c->num_labels = (int)n;
    for (const cJSON *v = map->child; v; v = v->next) {
        size_t id;
        if (!read_id(v->string, n, &id))
            return wrong_label(c->path, v->string, "ids must be 0 to labels-1 without gaps");
        if (c->id2label[id]) return wrong_label(c->path, v->string, "twice");
        TT_TRY(label_name(&c->id2label[id], v, c->path));
    }
    c->has_labels = true;
    return TT_OK;
}

static void compare_label2id(const tti_hf_config *c, const cJSON *map) {
    for (int i = 0; i < c->num_labels; i++) {
        const cJSON *v = tti_json_get(map, c->id2label[i]);
        if (v && cJSON_IsNumber(v) && v->valuedouble == i) continue;
        tti_warn("%s: label2id does not say that \"%s\" is %d, id2label does and is used", c->path,
                 c->id2label[i], i);
        return;
    }
}

static tt_status make_labels(tti_hf_config *c) {
    c->id2label = tti_calloc((size_t)c->num_labels, sizeof *c->id2label);
    if (!c->id2label) return TT_E_NOMEM;
    for (int i = 0; i < c->num_labels; i++) {
        char name[32];
        snprintf(name, sizeof name, "LABEL_%d", i);
        c->id2label[i] = tti_strdup(name);
        if (!c->id2label[i]) return TT_E_NOMEM;
    }
    return TT_OK;
}

static tt_status read_labels(tti_hf_config *c) {
    tti_json_at at = {c->json, c->path};
    const cJSON *id2label, *label2id;
    int64_t n;
    TT_TRY(tti_json_int_in(at, "num_labels", &n, 2, 1, MAX_LABELS));
    TT_TRY(tti_json_object(at, "id2label", &id2label));
    TT_TRY(tti_json_object(at, "label2id", &label2id));
    if (!id2label) {
        c->num_labels = (int)n;
        return make_labels(c);
    }
    TT_TRY(read_id2label(c, id2label));
    if (tti_json_get(c->json, "num_labels") && n != c->num_labels)
        return tti_fail(TT_E_FORMAT, "%s: num_labels is %lld, but id2label has %d labels", c->path,
                        (long long)n, c->num_labels);
    if (label2id) compare_label2id(c, label2id);
    return TT_OK;
}

static tt_status read_all(tti_hf_config *c) {
    TT_TRY(tti_json_file(&c->json, c->path, TTI_JSON_MAX));
    tti_json_at at = {c->json, c->path};
    TT_TRY(tti_json_need(at, "model_type"));
    TT_TRY(tti_json_str(at, "model_type", &c->model_type, NULL));
    TT_TRY(tti_json_str(at, "problem_type", &c->problem_type, NULL));
    const cJSON *list;
    TT_TRY(tti_json_array(at, "architectures", &list));
    if (list && list->child) {
        if (!cJSON_IsString(list->child))
            return tti_fail(TT_E_FORMAT, "%s: architectures: expected strings", c->path);
        c->architecture = list->child->valuestring;
    }
    return read_labels(c);
}

tt_status tti_hf_config_read(tti_hf_config **out, const char *path) {
    *out = NULL;
    tti_hf_config *c = tti_calloc(1, sizeof *c);
    if (!c) return TT_E_NOMEM;
    c->path = tti_dir_exists(path) ? tti_path_join(path, "config.json") : tti_strdup(path);
    tt_status s = c->path ? read_all(c) : TT_E_NOMEM;
    if (s == TT_OK)
        *out = c;
    else
        tti_hf_config_free(c);
    return s;
}

void tti_hf_config_free(tti_hf_config *c) {
    if (!c) return;
    for (int i = 0; c->id2label && i < c->num_labels; i++) tti_free(c->id2label[i]);
    tti_free(c->id2label);
    tti_json_free(c->json);
    tti_free(c->path);
    tti_free(c);
}

static tt_status set_labels(cJSON *json, const tti_hf_config_edit *e) {
    cJSON *id2label = cJSON_CreateObject(), *label2id = cJSON_CreateObject();
    tt_status s = tti_json_set(json, "id2label", id2label);
    if (s == TT_OK)
        s = tti_json_set(json, "label2id", label2id);
    else
        cJSON_Delete(label2id);
    for (int i = 0; s == TT_OK && i < e->num_labels; i++) {
        char id[16], name[32];
        snprintf(id, sizeof id, "%d", i);
        snprintf(name, sizeof name, "LABEL_%d", i);
        const char *label = e->labels ? e->labels[i] : name;
        if (tti_json_get(label2id, label))
            return tti_fail(TT_E_ARG, "label \"%.100s\": twice in the list of labels", label);
        s = tti_json_set_str(id2label, id, label);
        if (s == TT_OK) s = tti_json_set_int(label2id, label, i);
    }
    /* transformers reads the count from id2label and refuses a key that differs */
    cJSON_DeleteItemFromObjectCaseSensitive(json, "num_labels");
    cJSON_DeleteItemFromObjectCaseSensitive(json, "_num_labels");
    return s;
}

static tt_status set_architecture(cJSON *json, const char *name) {
    cJSON *list = cJSON_CreateArray(), *item = cJSON_CreateString(name);
    if (!list || !item || !cJSON_AddItemToArray(list, item)) {
        cJSON_Delete(list);
        cJSON_Delete(item);
        return tti_fail(TT_E_NOMEM, "architectures: out of host memory");
    }
    return tti_json_set(json, "architectures", list);
}

static tt_status set_extra(cJSON *json, const cJSON *extra) {
    for (const cJSON *v = extra ? extra->child : NULL; v; v = v->next) {
        if (cJSON_IsNull(v))
            cJSON_DeleteItemFromObjectCaseSensitive(json, v->string);
        else
            TT_TRY(tti_json_set(json, v->string, cJSON_Duplicate(v, 1)));
    }
    return TT_OK;
}

static tt_status apply(cJSON *json, const tti_hf_config_edit *e) {
    if (e->architecture) TT_TRY(set_architecture(json, e->architecture));
    if (e->num_labels > 0) TT_TRY(set_labels(json, e));
    if (e->problem_type) TT_TRY(tti_json_set_str(json, "problem_type", e->problem_type));
    if (e->dtype) {
        bool newer = cJSON_GetObjectItemCaseSensitive(json, "dtype");
        if (newer) TT_TRY(tti_json_set_str(json, "dtype", e->dtype));
        if (!newer || cJSON_GetObjectItemCaseSensitive(json, "torch_dtype"))
            TT_TRY(tti_json_set_str(json, "torch_dtype", e->dtype));
    }
    return set_extra(json, e->extra);
}

tt_status tti_hf_config_write(const cJSON *json, const tti_hf_config_edit *edit, const char *path) {
    cJSON *copy = cJSON_Duplicate(json, 1);
    if (!copy) return tti_fail(TT_E_NOMEM, "%s: out of host memory", path);
    tt_status s = apply(copy, edit);
    if (s == TT_OK) s = tti_json_write(path, copy);
    tti_json_free(copy);
    return s;
}
