// SPDX-License-Identifier: Apache-2.0
/* merge.c - a base checkpoint rewritten tensor by tensor with an adapter's products added. */
#include "host/core/file.h"
#include "host/model/internal.h"
#include "host/model/merge.h"

#include <string.h>

/* One tensor to be written. */
typedef struct {
    const char *name;
    tti_stored from;
    const tti_lora *lora; /* NULL: copied */
    tti_st_dtype dtype;
} output;

typedef struct {
    tti_model *m;
    tti_st *base, *adapter;
    tti_st_dtype dtype;
    bool quantised; /* the base, some of it */
    output *outs;
    size_t nouts, cap;
} merge;

static const tti_st_tensor *in_adapter(const merge *g, const tti_param *p) {
    char name[256];
    tti_model_file_name(g->m, p, name);
    return tti_st_find(g->adapter, name);
}

/* ---- what belongs where ---- */

/* Every tensor of the adapter has its place, and every place its tensor. */
static tt_status check_adapter(const merge *g) {
    size_t used = 0;
    const char *dir = g->m->opts.adapter;
    for (size_t i = 0; i < g->m->nparams; i++) {
        bool stored;
        TT_TRY(tti_lora_in_file(g->m, i, &stored));
        if (!stored) continue;
        const tti_st_tensor *t = in_adapter(g, &g->m->params[i]);
        if (!t)
            return tti_fail(TT_E_FORMAT,
                            "%s: the adapter has no tensor for %s; it belongs to another model or "
                            "other targets",
                            dir, g->m->params[i].name);
        TT_TRY(tti_model_take(g->m, i, &(tti_stored){.st = g->adapter, .t = t}));
        used++;
    }
    for (size_t k = 0; used < tti_st_count(g->adapter) && k < tti_st_count(g->adapter); k++) {
        const tti_st_tensor *t = tti_st_at(g->adapter, k);
        bool known = false;
        for (size_t i = 0; i < g->m->nparams && !known; i++)
            known = in_adapter(g, &g->m->params[i]) == t;
        if (!known)
            return tti_fail(TT_E_FORMAT, "%s: the adapter's tensor %s has no place in this model",
                            dir, t->name);
    }
    return TT_OK;
}

static tt_status add(merge *g, const char *name, const tti_stored *from, const tti_lora *lora,
                     tti_st_dtype dtype) {
    const tti_st_tensor *t = from->t;
    TT_TRY(TTI_GROW(g->outs, g->cap, g->nouts + 1));
    if (g->dtype != TTI_ST_OTHER && (from->quantised || tti_st_is_float(t))) dtype = g->dtype;
    if (t->dtype == TTI_ST_OTHER || (lora && !from->quantised && !tti_st_is_float(t)))
        return tti_fail(TT_E_UNSUPPORTED, "%s: %s is %s; an adapter is merged into float weights",
                        t->file, t->name, t->dtype_name);
    g->quantised = g->quantised || from->quantised;
    g->outs[g->nouts++] = (output){.name = name, .from = *from, .lora = lora, .dtype = dtype};
    return TT_OK;
}

/* A stored output layer beside tied embeddings is a copy of them. */
static bool is_stale_copy(const merge *g, const tti_st_tensor *t) {
    char word[192];
    tti_body_name(g->m, word, "%s.weight", g->m->family->word);
    const int i = tti_model_index(g->m, word);
    return g->m->sizes.tied && !strcmp(t->name, "lm_head.weight") && i >= 0 &&
           in_adapter(g, &g->m->params[i]);
}

/* The tensors of the base that the model's parameters are, checked; usual: the type of its floats;
 * head: a head comes to stand beside a bare body. */
static tt_status find_all(merge *g, tti_stored *of, tti_st_dtype *usual, bool *head) {
    tti_model *m = g->m;
    for (size_t i = 0; i < m->nparams; i++) {
        const tti_param *p = &m->params[i];
        if (p->computed || strstr(p->name, ".lora_")) continue;
        TT_TRY(tti_model_stored(m, g->base, p->name, &of[i]));
        if (i == 0 && of[i].t && tti_st_is_float(of[i].t)) *usual = of[i].t->dtype;
        const bool whole = in_adapter(g, p) != NULL;
        *head = *head || (whole && !of[i].t);
        if (whole) continue;
        if (!of[i].t)
            return tti_fail(TT_E_FORMAT, "%s: neither the checkpoint nor the adapter has %s",
                            m->dir, p->name);
        TT_TRY(tti_model_take(m, i, &of[i]));
    }
    return TT_OK;
}

/* A checkpoint of a bare body keeps its names unless a head comes to stand beside them. */
static tt_status plan(merge *g) {
    tti_model *m = g->m;
    tti_stored *of = tti_calloc(m->nparams, sizeof *of);
    if (!of) return TT_E_NOMEM;
    bool head = false;
    tti_st_dtype usual = TTI_ST_F32;
    tt_status s;
    TT_GO(find_all(g, of, &usual, &head));
    for (size_t k = 0; k < tti_st_count(g->base); k++) {
        const tti_st_tensor *t = tti_st_at(g->base, k), *whole = NULL;
        size_t i = 0;
        while (i < m->nparams && of[i].t != t) i++;
        const bool own = i < m->nparams;
        if (!own && (is_stale_copy(g, t) || tti_stored_is_part(g->base, t))) continue;
        if (own) whole = in_adapter(g, &m->params[i]);
        const tti_stored from =
            own && !whole ? of[i] : (tti_stored){.st = g->base, .t = whole ? whole : t};
        TT_GO(add(g, own && head ? m->params[i].name : t->name, &from,
                  own && !whole ? tti_lora_of(m, (int)i) : NULL,
                  from.quantised || (own && of[i].quantised) ? usual : t->dtype));
    }
    for (size_t i = 0; i < m->nparams; i++) {
        const tti_st_tensor *t = in_adapter(g, &m->params[i]);
        if (t && !of[i].t && !strstr(m->params[i].name, ".lora_"))
            TT_GO(add(g, m->params[i].name, &(tti_stored){.st = g->adapter, .t = t}, NULL, usual));
    }
    if (g->quantised && m->family->decoder && m->family->decoder->conv1d)
        s = tti_fail(TT_E_UNSUPPORTED,
                     "%s: %s's layers lie transposed once they are quantised; merge into the base "
                     "that was quantised",
                     m->dir, m->family->model_type);
    if (g->quantised && s == TT_OK)
        tti_info("%s is quantised: the merged weights are written as %s", m->dir,
                 g->outs[0].dtype == TTI_ST_BF16  ? "bf16"
                 : g->outs[0].dtype == TTI_ST_F16 ? "f16"
                                                  : "f32");
done:
    tti_free(of);
    return s;
}

/* ---- writing ---- */

static tt_status read_all(const tti_st_tensor *t, float **out) {
    if (!(*out = tti_malloc((t->count + 1) * sizeof **out))) return TT_E_NOMEM;
    return tti_st_read_f32(t, *out, 0, t->count);
}

/* One row of the stored weight at a time: row r gets the rows of `inner` [rank, cols], each times
 * an element of `outer`. W [out, in]: B's row r and A; W [in, out]: A's column r and B's transpose,
 * whose element (k, c) is b[c * rank + k]. */
static void add_product(double *sum, const tti_lora *l, const tti_param *w, const float *a,
                        const float *b, size_t rank, size_t r) {
    const size_t cols = w->cols;
    for (size_t k = 0; k < rank; k++) {
        const double f =
            (double)l->scale * (double)(w->transposed ? a[k * w->rows + r] : b[r * rank + k]);
        if (w->transposed)
            for (size_t c = 0; c < cols; c++) sum[c] += f * (double)b[c * rank + k];
        else
            for (size_t c = 0; c < cols; c++) sum[c] += f * (double)a[k * cols + c];
    }
}

static tt_status write_merged(const merge *g, tti_st_writer *w, const output *o,
                              const tti_reader *from) {
    const tti_lora *l = o->lora;
    const tti_param *p = &g->m->params[l->base];
    const size_t rank = g->m->params[l->a].rows, cols = p->cols;
    float *a = NULL, *b = NULL, *row = tti_malloc(cols * sizeof *row);
    double *sum = tti_malloc(cols * sizeof *sum);
    tt_status s = row && sum ? TT_OK : TT_E_NOMEM;
    if (s == TT_OK) s = read_all(in_adapter(g, &g->m->params[l->a]), &a);
    if (s == TT_OK) s = read_all(in_adapter(g, &g->m->params[l->b]), &b);
    for (size_t r = 0; r < p->rows && s == TT_OK; r++) {
        TT_GO(tti_reader_f32(from, row, r * cols, cols));
        for (size_t c = 0; c < cols; c++) sum[c] = (double)row[c];
        add_product(sum, l, p, a, b, rank, r);
        for (size_t c = 0; c < cols; c++) row[c] = (float)sum[c];
        TT_GO(tti_check_held(o->name, o->dtype, row, r * cols, cols));
        TT_GO(tti_st_writer_write_f32(w, row, cols));
    }
done:
    tti_free(a);
    tti_free(b);
    tti_free(row);
    tti_free(sum);
    return s;
}

static tt_status declare(tti_st_writer *w, const output *o) {
    const tti_layout *l = &o->from.layout;
    if (o->from.quantised)
        return tti_st_writer_declare(w, o->name, o->dtype, 2, (size_t[]){l->rows, l->cols});
    return tti_st_writer_declare(w, o->name, o->dtype, o->from.t->rank, o->from.t->dim);
}

static tt_status write_weights(const merge *g, const char *dir) {
    char *path = tti_path_join(dir, "model.safetensors");
    tti_st_writer *w = NULL;
    tt_status s = path ? tti_st_writer_begin(&w, path) : TT_E_NOMEM;
    for (size_t k = 0; k < g->nouts && s == TT_OK; k++) s = declare(w, &g->outs[k]);
    for (size_t k = 0; k < g->nouts && s == TT_OK; k++) {
        const output *o = &g->outs[k];
        tti_reader r;
        s = tti_reader_open(&r, &o->from);
        if (s == TT_OK)
            s = o->lora ? write_merged(g, w, o, &r) : tti_reader_copy(&r, w, o->name, o->dtype);
        tti_reader_close(&r);
    }
    if (s == TT_OK) s = tti_st_writer_commit(w);
    tti_st_writer_free(w);
    tti_free(path);
    return s;
}

/* config.json of the base; a classifier's says what its head is. */
static tt_status write_config(const merge *g, const char *dir, const char *const *labels, int n) {
    const tti_model *m = g->m;
    tti_hf_config_edit edit = {.dtype = g->dtype == TTI_ST_F32    ? "float32"
                                        : g->dtype == TTI_ST_F16  ? "float16"
                                        : g->dtype == TTI_ST_BF16 ? "bfloat16"
                                                                  : NULL};
    char *path = tti_path_join(dir, "config.json");
    cJSON *extra = cJSON_CreateObject();
    tt_status s = path && extra ? TT_OK : tti_fail(TT_E_NOMEM, "out of host memory");
    edit.extra = extra;
    if (s == TT_OK) s = tti_quantised_set_config(extra, &(tti_quant_config){.type = TTI_F32});
    if (s == TT_OK && m->opts.task != TTI_TASK_CAUSAL) {
        edit.architecture = m->info.architecture;
        edit.problem_type =
            m->opts.task == TTI_TASK_REGRESS ? "regression" : "single_label_classification";
        edit.num_labels = m->info.num_labels;
        edit.labels = n == m->info.num_labels ? labels : NULL;
        const bool mean = m->info.pooling == TTI_POOL_MEAN;
        s = tti_json_set(extra, "tokentune_pooling",
                         mean ? cJSON_CreateString("mean") : cJSON_CreateNull());
    }
    if (s == TT_OK) s = tti_hf_config_write(m->config->json, &edit, path);
    cJSON_Delete(extra);
    tti_free(path);
    return s;
}

tt_status tti_model_merge(tti_model *m, const char *dir, tti_st_dtype dtype,
                          const char *const *labels, int n) {
    TT_ASSERT(!m->dev && m->opts.adapter && m->opts.method == TTI_METHOD_LORA);
    merge g = {.m = m, .dtype = dtype};
    char *path = tti_path_join(m->opts.adapter, "adapter_model.safetensors");
    tt_status s = path ? TT_OK : TT_E_NOMEM;
    if (s == TT_OK) s = tti_st_open(&g.adapter, path);
    if (s == TT_OK) s = check_adapter(&g);
    if (s == TT_OK) s = tti_st_open(&g.base, m->dir);
    if (s == TT_OK) s = plan(&g);
    if (s == TT_OK) s = write_weights(&g, dir);
    if (s == TT_OK) s = write_config(&g, dir, labels, n);
    tti_free(g.outs);
    tti_st_close(g.base);
    tti_st_close(g.adapter);
    tti_free(path);
    return s;
}
