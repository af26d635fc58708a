// SPDX-License-Identifier: Apache-2.0
/* export.c - trained models written, and read back for inference. */
#include <string.h>
#include "host/core/file.h"
#include "host/format/peft.h"
#include "host/train/export.h"

static const char about_file[] = "tokentune.json";

/* ---- writing ---- */

static const char *const tasks[] = {
    [TTI_TASK_CLASSIFY] = "classify", [TTI_TASK_REGRESS] = "regress", [TTI_TASK_CAUSAL] = "causal"};
static const char *const poolings[] = {
    [TTI_POOL_FIRST] = "cls", [TTI_POOL_LAST] = "last", [TTI_POOL_MEAN] = "mean"};

/* Index of a name; that of the first where it is none of them. */
static int named(const char *const *names, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return (int)i;
    return 0;
}

static tt_status about_json(cJSON *root, const tti_export *e) {
    TT_TRY(tti_json_set_str(root, "task", tasks[e->task]));
    if (e->task == TTI_TASK_CAUSAL) {
        if (e->template) TT_TRY(tti_json_set_str(root, "template", e->template));
        return tti_json_set_int(root, "max_len", (int64_t)e->max_len);
    }
    TT_TRY(tti_json_set_str(root, "pooling", poolings[e->pooling]));
    TT_TRY(tti_json_set_int(root, "max_len", (int64_t)e->max_len));
    TT_TRY(tti_json_set_int(root, "num_labels", e->num_labels));
    if (!e->labels) return TT_OK;
    return tti_json_set(root, "labels",
                        cJSON_CreateStringArray((const char *const *)e->labels, e->num_labels));
}

static tt_status write_about(const char *dir, const tti_export *e) {
    cJSON *root = cJSON_CreateObject();
    char *path = tti_path_join(dir, about_file);
    tt_status s = root && path ? about_json(root, e) : tti_fail(TT_E_NOMEM, "out of host memory");
    if (s == TT_OK) s = tti_json_write(path, root);
    cJSON_Delete(root);
    tti_free(path);
    return s;
}

tt_status tti_export_write(const char *dir, tti_model *model, const tti_tokenizer *tokenizer,
                           const tti_export *e) {
    TT_TRY(tti_model_save(model, dir, e->labels, e->labels ? e->num_labels : 0));
    TT_TRY(tti_tokenizer_save(tokenizer, dir));
    return write_about(dir, e);
}

/* ---- reading ---- */

static tt_status has_file(bool *out, const char *dir, const char *name) {
    char *path = tti_path_join(dir, name);
    if (!path) return TT_E_NOMEM;
    *out = tti_file_exists(path);
    tti_free(path);
    return TT_OK;
}

static tt_status copy_labels(tti_trained *t, const char *const *names, size_t n) {
    t->labels = tti_calloc(n, sizeof *t->labels);
    if (!t->labels) return TT_E_NOMEM;
    t->nlabels = n;
    t->about.num_labels = (int)n;
    for (size_t i = 0; i < n; i++)
        if (!(t->labels[i] = tti_strdup(names[i]))) return TT_E_NOMEM;
    return TT_OK;
}

static tt_status json_labels(tti_trained *t, tti_json_at at) {
    const cJSON *list, *item;
    int64_t n;
    TT_TRY(tti_json_int_in(at, "num_labels", &n, 0, 1, 1 << 20));
    TT_TRY(tti_json_array(at, "labels", &list));
    t->about.num_labels = (int)n;
    if (!list) return TT_OK;
    const char **names = tti_calloc((size_t)n, sizeof *names);
    if (!names) return TT_E_NOMEM;
    size_t count = 0;
    cJSON_ArrayForEach(item, list) {
        if (cJSON_IsString(item) && count < (size_t)n) names[count] = item->valuestring;
        count++;
    }
    bool whole = count == (size_t)n;
    for (size_t i = 0; i < (size_t)n; i++) whole = whole && names[i];
    tt_status s =
        whole ? copy_labels(t, names, count)
              : tti_fail(TT_E_FORMAT, "%s: labels: expected %lld texts", at.file, (long long)n);
    tti_free(names);
    return s;
}

static tt_status read_about(tti_trained *t, const char *dir) {
    char *path = tti_path_join(dir, about_file);
    cJSON *root = NULL;
    if (!path) return TT_E_NOMEM;
    tt_status s = TT_OK;
    if (!tti_file_exists(path)) goto done;
    TT_GO(tti_json_file(&root, path, TTI_JSON_MAX));
    const tti_json_at at = {root, path};
    const char *task, *pooling, *template;
    int64_t max_len;
    TT_GO(tti_json_str(at, "task", &task, "classify"));
    TT_GO(tti_json_str(at, "pooling", &pooling, "cls"));
    TT_GO(tti_json_int_in(at, "max_len", &max_len, 0, 0, INT32_MAX));
    TT_GO(tti_json_str(at, "template", &template, NULL));
    t->about.task = (tti_task)named(tasks, TT_COUNT(tasks), task);
    t->about.pooling = (tti_pool)named(poolings, TT_COUNT(poolings), pooling);
    t->about.max_len = (size_t)max_len;
    if (template && !(t->template = tti_strdup(template))) TT_GO(TT_E_NOMEM);
    t->about.template = t->template;
    t->headless = t->about.task == TTI_TASK_CAUSAL;
    if (!t->headless) TT_GO(json_labels(t, at));
done:
    tti_json_free(root);
    tti_free(path);
    return s;
}

/* What a model folder made by others says of itself. */
static tt_status read_model_labels(tti_trained *t, const char *dir) {
    tti_hf_config *c;
    TT_TRY(tti_hf_config_read(&c, dir));
    t->about.task = c->problem_type && strcmp(c->problem_type, "regression") == 0
                        ? TTI_TASK_REGRESS
                        : TTI_TASK_CLASSIFY;
    t->headless = !c->has_labels && !(c->architecture && strstr(c->architecture, "Classification"));
    if (t->headless && c->architecture &&
        (strstr(c->architecture, "CausalLM") || strstr(c->architecture, "LMHead")))
        t->about.task = TTI_TASK_CAUSAL;
    if (c->num_labels == 1 && !t->headless) t->about.task = TTI_TASK_REGRESS;
    t->about.num_labels = c->num_labels;
    tt_status s = TT_OK;
    if (c->has_labels && t->about.task == TTI_TASK_CLASSIFY)
        s = copy_labels(t, (const char *const *)c->id2label, (size_t)c->num_labels);
    tti_hf_config_free(c);
    return s;
}

static tt_status load_model(tti_trained *t, tti_device *d) {
    tti_model_opts o = tti_model_defaults();
    tti_peft_config *peft = NULL;
    tt_status s = TT_OK;
    const char *dir = t->adapter ? t->base : t->dir;
    o.frozen = true;
    o.weights = t->weights;
    o.head = t->head;
    o.nested = t->nested;
    o.task = t->about.task;
    o.num_labels = t->about.num_labels;
    if (t->adapter) {
        TT_GO(tti_peft_read(&peft, t->dir));
        if (!dir) dir = peft->base_model;
        if (!dir)
            TT_GO(tti_fail(TT_E_ARG, "%s: adapter_config.json names no base model; give --base",
                           t->dir));
        o.method = TTI_METHOD_LORA;
        o.adapter = t->dir;
        o.pooling = (int)t->about.pooling;
    }
    TT_GO(tti_model_load(&t->model, d, dir, &o));
    t->about.pooling = tti_model_get_info(t->model)->pooling;
done:
    tti_peft_free(peft);
    return s;
}

tt_status tti_trained_read(tti_trained *out, const char *dir, const char *base) {
    *out = (tti_trained){
        .dir = dir, .base = base, .weights = TTI_AS_STORED, .head = TTI_F32, .nested = true};
    bool about = false;
    tt_status s = TT_OK;
    if (!tti_dir_exists(dir)) return tti_fail(TT_E_IO, "%s: no such folder", dir);
    TT_GO(has_file(&out->adapter, dir, "adapter_config.json"));
    TT_GO(has_file(&about, dir, about_file));
    if (about)
        s = read_about(out, dir);
    else if (!out->adapter)
        s = read_model_labels(out, dir);
    else if (base)
        s = read_model_labels(out, base);
    else
        s = tti_fail(TT_E_ARG, "%s: an adapter without %s; give --base", dir, about_file);
    out->about.labels = (const char *const *)out->labels;
done:
    if (s != TT_OK) tti_trained_free(out);
    return s;
}

tt_status tti_trained_load(tti_trained *t, tti_device *d) {
    bool tokenizer, vocab;
    TT_TRY(has_file(&tokenizer, t->dir, "tokenizer.json"));
    TT_TRY(has_file(&vocab, t->dir, "vocab.txt"));
    TT_TRY(load_model(t, d));
    bool own = !t->adapter || !t->base || tokenizer || vocab;
    TT_TRY(tti_tokenizer_load(&t->tokenizer, own ? t->dir : t->base));
    size_t most = (size_t)tti_model_get_info(t->model)->max_len;
    if (t->about.max_len == 0 || t->about.max_len > most) t->about.max_len = most;
    return TT_OK;
}

tt_status tti_trained_limit(tti_trained *t, size_t max_len) {
    size_t most = (size_t)tti_model_get_info(t->model)->max_len;
    if (max_len > most)
        return tti_fail(TT_E_ARG, "max-len %zu: the model reads at most %zu tokens", max_len, most);
    if (max_len > 0) t->about.max_len = max_len;
    return TT_OK;
}

void tti_trained_free(tti_trained *t) {
    for (size_t i = 0; i < t->nlabels; i++) tti_free(t->labels[i]);
    tti_free(t->labels);
    tti_free(t->template);
    tti_model_free(t->model);
    tti_tokenizer_free(t->tokenizer);
    *t = (tti_trained){0};
}
