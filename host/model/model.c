// SPDX-License-Identifier: Apache-2.0
/* model.c - loading, and writing back. */
#include "host/core/file.h"
#include "host/model/internal.h"

tti_model_opts tti_model_defaults(void) {
    return (tti_model_opts){.pooling = -1,
                            .lora_rank = 8,
                            .lora_alpha = 16,
                            .hidden_dropout = -1,
                            .attention_dropout = -1,
                            .classifier_dropout = -1,
                            .weights = TTI_AS_STORED,
                            .head = TTI_AS_STORED,
                            .nested = true,
                            .gradients = TTI_F32,
                            .align = 128,
                            .max_alloc = SIZE_MAX / 2};
}

enum { WRITTEN = 1 << 20 }; /* numbers on their way into a file at a time */

static const char generation_file[] = "generation_config.json";

/* How to generate, where the model came with it: kept, for its folder may be gone when the model is
 * saved. */
static tt_status load_generation(tti_model *m) {
    enum { LARGEST = 1 << 20 };
    if (m->opts.task != TTI_TASK_CAUSAL || m->opts.method != TTI_METHOD_FULL) return TT_OK;
    char *path = tti_path_join(m->dir, generation_file);
    if (!path) return TT_E_NOMEM;
    tt_status s = TT_OK;
    if (tti_file_exists(path))
        s = tti_file_read(&m->generation, &m->generation_size, path, LARGEST);
    tti_free(path);
    return s;
}

static tt_status load(tti_model *m) {
    TT_TRY(tti_hf_config_read(&m->config, m->dir));
    TT_TRY(tti_quantised_config(m->config->json, m->config->path, &m->quant));
    TT_TRY(tti_model_read_config(m));
    const int weights = m->opts.weights == TTI_AS_STORED ? (int)m->quant.type : m->opts.weights;
    m->turned = weights == TTI_NF4;
    TT_TRY(tti_model_declare(m));
    TT_TRY(tti_lora_declare(m));
    if (!(m->fresh = tti_calloc(m->nparams, 1))) return TT_E_NOMEM;
    TT_TRY(tti_model_open_checkpoint(m));
    TT_TRY(tti_model_assign_types(m));
    TT_TRY(tti_model_layout(m));
    if (!m->dev && !m->opts.check_weights) return TT_OK;
    if (m->dev) TT_TRY(tti_model_allocate(m));
    TT_TRY(load_generation(m));
    TT_TRY(tti_model_load_weights(m));
    return tti_lora_load(m);
}

tt_status tti_model_load(tti_model **out, tti_device *d, const char *dir,
                         const tti_model_opts *opts) {
    tti_model *m = tti_calloc(1, sizeof *m);
    if (!m) return TT_E_NOMEM;
    m->opts = *opts;
    m->dev = d;
    m->align = d ? tti_device_caps(d)->align : opts->align;
    m->max_alloc = d ? tti_device_caps(d)->max_alloc : opts->max_alloc;
    m->max_alloc = m->max_alloc / m->align * m->align;
    m->dir = tti_strdup(dir);
    tt_status s = m->dir ? load(m) : TT_E_NOMEM;
    tti_model_close_checkpoint(m);
    if (s == TT_OK)
        *out = m;
    else
        tti_model_free(m);
    return s;
}

void tti_model_free(tti_model *m) {
    if (!m) return;
    tti_model_release(m);
    for (size_t i = 0; i < m->nparams; i++) tti_free((char *)(uintptr_t)m->params[i].name);
    tti_free(m->params);
    tti_free(m->fresh);
    tti_free(m->sizes.sliding);
    tti_free(m->sizes.inv_freq[0]);
    tti_free(m->sizes.inv_freq[1]);
    tti_free(m->loras);
    tti_free(m->generation);
    tti_peft_free(m->peft);
    tti_hf_config_free(m->config);
    tti_free(m->dir);
    tti_free(m);
}

const tti_model_info *tti_model_get_info(const tti_model *m) { return &m->info; }
const tti_model_opts *tti_model_get_opts(const tti_model *m) { return &m->opts; }
tti_hf_config *tti_model_config(tti_model *m) { return m->config; }

tti_param *tti_model_param_of(tti_model *m, const tti_graph *g, tti_val v) {
    return tti_model_find(m, tti_value_at(g, v)->name);
}

tt_status tti_model_bind(tti_model *m, const tti_graph *g, tti_exec *e) {
    for (size_t v = 0; v < tti_graph_values(g); v++) {
        const tti_value *val = tti_value_at(g, (tti_val)v);
        if (val->kind != TTI_VALUE_PARAM) continue;
        const tti_param *p = tti_model_param_of(m, g, (tti_val)v);
        if (!p) return tti_fail(TT_E_INTERNAL, "the graph has no parameter %s", val->name);
        if (p->hosted) continue;
        tti_exec_bind_slabs(e, (tti_val)v, p->slabs, p->nslabs);
        if (val->grad != TTI_NONE) tti_exec_bind_slabs(e, val->grad, p->gslabs, p->nslabs);
    }
    return tti_model_stream_bind(m, g, e);
}

/* Types of 16 bits stay what they are in a file; quantised ones, which no training made, do not. */
static tti_st_dtype file_type(const tti_param *p) {
    return p->layout.type == TTI_F16    ? TTI_ST_F16
           : p->layout.type == TTI_BF16 ? TTI_ST_BF16
                                        : TTI_ST_F32;
}

static tt_status write_values(tti_model *m, tti_st_writer *w, const tti_param *p) {
    const size_t count = p->rows * p->cols, slab = p->slabs[0].rows * p->cols;
    const size_t step = p->layout.block ? slab : TT_MIN(count, (size_t)WRITTEN);
    float *values = tti_malloc(step * sizeof *values);
    tt_status s = values ? TT_OK : TT_E_NOMEM;
    for (size_t at = 0; at < count && s == TT_OK; at += step) {
        const size_t n = TT_MIN(step, count - at);
        s = tti_model_read_part(m, p, at, n, values);
        if (s == TT_OK) s = tti_st_writer_write_f32(w, values, n);
    }
    tti_free(values);
    return s;
}

static tt_status write_tensors(tti_model *m, tti_st_writer *w, const uint8_t *stored) {
    for (size_t i = 0; i < m->nparams; i++) {
        const tti_param *p = &m->params[i];
        char name[256];
        if (!stored[i]) continue;
        tti_model_file_name(m, p, name);
        TT_TRY(tti_st_writer_declare(w, name, file_type(p), p->vector ? 1 : 2,
                                     p->vector ? (size_t[]){p->cols, 0}
                                               : (size_t[]){p->rows, p->cols}));
    }
    for (size_t i = 0; i < m->nparams; i++)
        if (stored[i]) TT_TRY(write_values(m, w, &m->params[i]));
    return tti_st_writer_commit(w);
}

tt_status tti_model_write_file(tti_model *m, const char *dir, const char *file,
                               const uint8_t *stored) {
    char *path = tti_path_join(dir, file);
    if (!path) return TT_E_NOMEM;
    tti_st_writer *w = NULL;
    tt_status s = tti_st_writer_begin(&w, path);
    if (s == TT_OK) s = write_tensors(m, w, stored);
    tti_st_writer_free(w);
    tti_free(path);
    return s;
}

/* The type of the body's matrices: transformers loads everything in it. */
static const char *torch_type(const tti_model *m) {
    for (size_t i = 0; i < m->nparams; i++) {
        const tti_st_dtype t = file_type(&m->params[i]);
        if (m->params[i].layer >= 0 && t != TTI_ST_F32)
            return t == TTI_ST_F16 ? "float16" : "bfloat16";
    }
    return "float32";
}

static tt_status write_config(tti_model *m, const char *dir, const char *const *labels, int n) {
    tt_status s = TT_E_NOMEM;
    char *path = tti_path_join(dir, "config.json");
    cJSON *extra = cJSON_CreateObject();
    if (!path || !extra) {
        tti_fail(TT_E_NOMEM, "out of host memory");
        goto done;
    }
    const bool mean = m->info.pooling == TTI_POOL_MEAN;
    if (mean) tti_warn("the model was trained with mean pooling; transformers reads position 0");
    TT_GO(tti_json_set(extra, "tokentune_pooling",
                       mean ? cJSON_CreateString("mean") : cJSON_CreateNull()));
    TT_GO(tti_quantised_set_config(extra, &(tti_quant_config){.type = TTI_F32}));
    const tti_hf_config_edit edit = {.architecture = m->info.architecture,
                                     .problem_type = m->opts.task == TTI_TASK_CAUSAL ? NULL
                                                     : m->opts.task == TTI_TASK_REGRESS
                                                         ? "regression"
                                                         : "single_label_classification",
                                     .dtype = torch_type(m),
                                     .num_labels = m->info.num_labels,
                                     .labels = n == m->info.num_labels ? labels : NULL,
                                     .extra = extra};
    s = tti_hf_config_write(m->config->json, &edit, path);
done:
    cJSON_Delete(extra);
    tti_free(path);
    return s;
}

static tt_status save_generation(const tti_model *m, const char *dir) {
    if (!m->generation) return TT_OK;
    char *path = tti_path_join(dir, generation_file);
    if (!path) return TT_E_NOMEM;
    const tt_status s = tti_file_write(path, m->generation, m->generation_size);
    tti_free(path);
    return s;
}

tt_status tti_model_save(tti_model *m, const char *dir, const char *const *labels, int n) {
    if (m->opts.method == TTI_METHOD_LORA) return tti_lora_save(m, dir);
    uint8_t *all = tti_malloc(m->nparams);
    if (!all) return TT_E_NOMEM;
    for (size_t i = 0; i < m->nparams; i++) all[i] = !m->params[i].computed;
    tt_status s = tti_model_write_file(m, dir, "model.safetensors", all);
    tti_free(all);
    TT_TRY(s);
    TT_TRY(save_generation(m, dir));
    return write_config(m, dir, labels, n);
}
