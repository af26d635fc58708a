// SPDX-License-Identifier: Apache-2.0
/* quantise.c - a checkpoint rewritten tensor by tensor in another storage type. */
#include <string.h>
#include "host/core/file.h"
#include "host/model/internal.h"
#include "host/model/quantise.h"

enum { CHUNK = 1 << 20 }; /* numbers that are converted at a time */

/* One weight to be written; its parts are written with it. */
typedef struct {
    const char *name;
    tti_stored from;
    bool packed, turned; /* quantised; rows become columns */
    tti_layout l;        /* packed: of the whole */
    tti_st_dtype dtype;  /* else */
} output;

typedef struct {
    tti_model *m;
    tti_st *st;
    tti_dtype type;
    bool nested;
    output *outs;
    size_t nouts, cap;
    char **skipped; /* modules that stay as they are */
    size_t nskipped, skipped_cap;
    tti_quantise_result *result;
} job;

/* ---- what becomes of each tensor ---- */

static tt_status skip(job *j, const char *module, size_t n) {
    for (size_t i = 0; i < j->nskipped; i++)
        if (strlen(j->skipped[i]) == n && !strncmp(j->skipped[i], module, n)) return TT_OK;
    TT_TRY(TTI_GROW(j->skipped, j->skipped_cap, j->nskipped + 1));
    if (!(j->skipped[j->nskipped] = tti_strndup(module, n))) return TT_E_NOMEM;
    j->nskipped++;
    return TT_OK;
}

/* The parameter that the tensor is, NULL where the model has no use for it. */
static const tti_param *param_of(const job *j, const tti_stored *of, const tti_st_tensor *t) {
    for (size_t i = 0; i < j->m->nparams; i++)
        if (of[i].t == t) return &j->m->params[i];
    return NULL;
}

static output describe(const job *j, const tti_param *p, const tti_stored *x) {
    output o = {.name = x->t->name, .from = *x, .dtype = x->t->dtype};
    const tti_layout *l = &x->layout;
    const bool number = x->quantised || tti_st_is_float(x->t), to_nf4 = j->type == TTI_NF4;
    /* bitsandbytes has a Conv1D's weight as [out, in], all others as [in, out] */
    o.turned = p && (p->transposed || p->turned) && to_nf4 != (x->quantised && l->type == TTI_NF4);
    o.packed = tti_dtype_quantised(j->type) && p && tti_model_is_body(j->m, p) && number;
    if (!tti_dtype_quantised(j->type) && number)
        o.dtype = j->type == TTI_F16 ? TTI_ST_F16 : TTI_ST_BF16;
    const size_t rows = x->quantised ? l->rows : x->t->dim[0];
    const size_t cols = x->quantised ? l->cols : x->t->dim[1];
    o.l = tti_layout_of(j->type, o.turned ? cols : rows, o.turned ? rows : cols, TTI_QUANT_BLOCK,
                        j->nested);
    if (x->quantised && l->type == j->type && l->has_nested == o.l.has_nested) o.l = *l;
    return o;
}

/* Modules that readers would take for quantised ones. */
static tt_status skip_rest(job *j, const tti_param *p, const tti_stored *x) {
    static const char leaf[] = ".weight";
    const char *name = p ? p->name : x->t->name;
    const size_t n = strlen(name), k = strlen(leaf);
    if (x->t->rank != 2 || n <= k || strcmp(name + n - k, leaf)) return TT_OK;
    return p && tti_model_is_table(j->m, name) ? TT_OK : skip(j, name, n - k);
}

static tt_status add(job *j, const tti_param *p, const tti_stored *x) {
    const tti_st_tensor *t = x->t;
    const output o = describe(j, p, x);
    if (!o.packed) TT_TRY(skip_rest(j, p, x));
    if (!o.packed && o.dtype == TTI_ST_OTHER)
        return tti_fail(TT_E_UNSUPPORTED, "%s: %s is %s, which is not read", t->file, t->name,
                        t->dtype_name);
    if (!o.packed && x->quantised && tti_dtype_quantised(j->type))
        return tti_fail(TT_E_UNSUPPORTED, "%s: %s is quantised, but no layer of %s's blocks",
                        t->file, t->name, j->m->family->model_type);
    TT_TRY(TTI_GROW(j->outs, j->cap, j->nouts + 1));
    j->outs[j->nouts++] = o;
    j->result->matrices += o.packed || o.dtype != t->dtype;
    return TT_OK;
}

static tt_status plan(job *j) {
    const tti_family *f = j->m->family;
    tti_stored *of = tti_calloc(j->m->nparams, sizeof *of);
    if (!of) return TT_E_NOMEM;
    tt_status s = TT_OK;
    for (size_t i = 0; i < j->m->nparams && s == TT_OK; i++)
        s = tti_model_stored(j->m, j->st, j->m->params[i].name, &of[i]);
    for (size_t k = 0; k < tti_st_count(j->st) && s == TT_OK; k++) {
        tti_stored x = {.st = j->st, .t = tti_st_at(j->st, k)};
        if (tti_stored_is_part(j->st, x.t)) continue;
        s = tti_quantised_find(j->st, x.t->name, &x.quantised, &x.layout);
        if (s == TT_OK) s = add(j, param_of(j, of, x.t), &x);
    }
    if (s == TT_OK) s = skip(j, f->classifier, strlen(f->classifier));
    if (s == TT_OK && f->decoder) s = skip(j, "lm_head", strlen("lm_head"));
    tti_free(of);
    return s;
}

/* ---- writing ---- */

static tt_status declare(tti_st_writer *w, const output *o) {
    if (o->packed) return tti_quantised_declare(w, o->name, &o->l);
    if (o->from.quantised || o->turned)
        return tti_st_writer_declare(w, o->name, o->dtype, 2, (size_t[]){o->l.rows, o->l.cols});
    return tti_st_writer_declare(w, o->name, o->dtype, o->from.t->rank, o->from.t->dim);
}

/* Elements first .. first+n-1 of the output; whole: all of what is turned. */
static tt_status read_f32(const output *o, const tti_reader *r, const float *whole, float *dst,
                          size_t first, size_t n) {
    const tti_layout *l = &o->l;
    if (!whole) return tti_reader_f32(r, dst, first, n);
    for (size_t i = 0; i < n; i++)
        dst[i] = whole[(first + i) % l->cols * l->rows + (first + i) / l->cols];
    return TT_OK;
}

static tt_status write_packed(tti_st_writer *w, const output *o, tti_quantiser *q) {
    const tti_stored *x = &o->from;
    tt_status s = tti_quantiser_end(q);
    if (s == TT_OK)
        s = tti_quantised_write(w, &o->l, q->dst,
                                x->t->dtype == TTI_ST_BF16  ? "bfloat16"
                                : x->t->dtype == TTI_ST_F16 ? "float16"
                                                            : "float32");
    return s;
}

/* Chunk by chunk into the file, or into the quantiser. */
static tt_status convert(tti_st_writer *w, const output *o, const tti_reader *r,
                         const float *whole) {
    const size_t step = o->packed ? CHUNK / o->l.block * o->l.block : CHUNK;
    tti_quantiser q = {0};
    float *v = tti_malloc(step * sizeof *v);
    uint8_t *packed = tti_malloc(o->packed ? o->l.bytes : 0);
    tt_status s = v && packed ? TT_OK : TT_E_NOMEM;
    if (s == TT_OK && o->packed) s = tti_quantiser_begin(&q, &o->l, packed);
    for (size_t at = 0, n; at < r->count && s == TT_OK; at += n) {
        n = TT_MIN(step, r->count - at);
        TT_GO(read_f32(o, r, whole, v, at, n));
        TT_GO(tti_check_held(o->name, o->packed ? TTI_ST_F32 : o->dtype, v, at, n));
        TT_GO(o->packed ? tti_quantiser_add(&q, v, n) : tti_st_writer_write_f32(w, v, n));
        tti_reader_drop(r);
    }
    if (s == TT_OK && o->packed) s = write_packed(w, o, &q);
done:
    tti_quantiser_free(&q);
    tti_free(packed);
    tti_free(v);
    return s;
}

static tt_status write_one(tti_st_writer *w, const output *o) {
    const tti_layout *a = &o->from.layout, *b = &o->l;
    tti_reader r;
    float *whole = NULL;
    tt_status s;
    TT_GO(tti_reader_open(&r, &o->from));
    const bool same =
        o->packed && r.packed && a->type == b->type && a->block == b->block &&
        a->has_nested == b->has_nested &&
        (a->type != TTI_NF4 || !memcmp(r.packed + a->tables, tti_nf4_code, sizeof tti_nf4_code));
    if (o->turned) {
        if (!(whole = tti_malloc(r.count * sizeof *whole))) TT_GO(TT_E_NOMEM);
        TT_GO(tti_reader_f32(&r, whole, 0, r.count));
    }
    if (same)
        s = tti_quantised_write(w, a, r.packed, "float32");
    else if (o->packed || o->turned)
        s = convert(w, o, &r, whole);
    else
        s = tti_reader_copy(&r, w, o->name, o->dtype);
done:
    tti_free(whole);
    tti_reader_close(&r);
    return s;
}

static tt_status write_weights(const job *j, const char *dir) {
    char *path = tti_path_join(dir, "model.safetensors");
    tti_st_writer *w = NULL;
    tt_status s = path ? tti_st_writer_begin(&w, path) : TT_E_NOMEM;
    for (size_t k = 0; k < j->nouts && s == TT_OK; k++) s = declare(w, &j->outs[k]);
    for (size_t k = 0; k < j->nouts && s == TT_OK; k++) s = write_one(w, &j->outs[k]);
    if (s == TT_OK) s = tti_st_writer_commit(w);
    tti_st_writer_free(w);
    tti_free(path);
    return s;
}

/* The type in which transformers computes: the checkpoint's own. */
static const char *compute_type(const job *j) {
    const cJSON *v = tti_json_get(j->m->config->json, "dtype");
    if (!cJSON_IsString(v)) v = tti_json_get(j->m->config->json, "torch_dtype");
    return cJSON_IsString(v) ? v->valuestring : "float32";
}

static tt_status write_config(const job *j, const char *dir) {
    const tti_quant_config q = {.type = tti_dtype_quantised(j->type) ? j->type : TTI_F32,
                                .nested = j->nested,
                                .dtype = compute_type(j),
                                .skipped = (const char *const *)j->skipped,
                                .nskipped = j->nskipped};
    char *path = tti_path_join(dir, "config.json");
    cJSON *extra = cJSON_CreateObject();
    const tti_hf_config_edit edit = {.dtype = j->type == TTI_F16    ? "float16"
                                              : j->type == TTI_BF16 ? "bfloat16"
                                                                    : NULL,
                                     .extra = extra};
    tt_status s = path && extra ? TT_OK : tti_fail(TT_E_NOMEM, "out of host memory");
    if (s == TT_OK) s = tti_quantised_set_config(extra, &q);
    if (s == TT_OK) s = tti_hf_config_write(j->m->config->json, &edit, path);
    cJSON_Delete(extra);
    tti_free(path);
    return s;
}

/* ---- the whole ---- */

/* What the checkpoint is of, as its config.json says. */
static tt_status read_task(const char *dir, tti_task *task) {
    tti_hf_config *c;
    TT_TRY(tti_hf_config_read(&c, dir));
    const bool causal = c->architecture && (strstr(c->architecture, "ForCausalLM") ||
                                            strstr(c->architecture, "LMHead"));
    *task = causal ? TTI_TASK_CAUSAL : TTI_TASK_CLASSIFY;
    tti_hf_config_free(c);
    return TT_OK;
}

tt_status tti_model_quantise(const char *dir, const char *to, tti_dtype type, bool nested,
                             tti_quantise_result *out) {
    *out = (tti_quantise_result){0};
    if (type != TTI_F16 && type != TTI_BF16 && !tti_dtype_quantised(type))
        return tti_fail(TT_E_ARG, "type %s: expected nf4, q8, bf16 or f16", tti_dtype_name(type));
    job j = {.type = type, .nested = nested && type == TTI_NF4, .result = out};
    tti_model_opts o = tti_model_defaults();
    o.frozen = o.check_weights = true;
    tt_status s = read_task(dir, &o.task);
    if (s == TT_OK) s = tti_model_load(&j.m, NULL, dir, &o);
    if (s == TT_OK) s = tti_st_open(&j.st, dir);
    if (s == TT_OK) s = plan(&j);
    if (s == TT_OK) s = write_weights(&j, to);
    if (s == TT_OK) s = write_config(&j, to);
    for (size_t i = 0; i < j.nskipped; i++) tti_free(j.skipped[i]);
    tti_free(j.skipped);
    tti_free(j.outs);
    tti_st_close(j.st);
    tti_model_free(j.m);
    return s;
}
