// SPDX-License-Identifier: Apache-2.0
/* lora.c - low-rank adapters beside chosen linear layers: y = x w^T + b + scale (x A^T) B^T
 * (Hu et al., arXiv 2106.09685), named, scaled and stored as PEFT does. */
#include "host/core/file.h"
#include "host/model/internal.h"

#include <string.h>

#define PEFT_PREFIX "base_model.model."

void tti_model_file_name(const tti_model *m, const tti_param *p, char out[256]) {
    snprintf(out, 256, "%s%s", m->opts.method == TTI_METHOD_LORA ? PEFT_PREFIX : "", p->name);
}

/* The linear layer whose weight parameter i is, without ".weight"; false for anything else. */
static bool module_of(const tti_model *m, size_t i, char out[192]) {
    const tti_param *p = &m->params[i];
    const size_t n = strlen(p->name), leaf = strlen(".weight");
    if (p->vector || p->computed || tti_model_is_table(m, p->name) || n <= leaf || n - leaf >= 192)
        return false;
    if (strcmp(p->name + n - leaf, ".weight")) return false;
    snprintf(out, 192, "%.*s", (int)(n - leaf), p->name);
    return true;
}

/* What is adapted where nobody says: query and value, or a decoder's MLP. Layers are named by the
 * last part of their module, where that is no other's. */
static tt_status set_targets(tti_model *m) {
    const tti_model_opts *o = &m->opts;
    if (o->lora_ntargets > 0)
        return tti_peft_set_targets(m->peft, o->lora_targets, (size_t)o->lora_ntargets);
    const tti_family *f = m->family;
    const tti_decoder *d = f->decoder;
    const char *const part[] = {d ? d->gate : f->q, d ? d->gate_up : f->v, d ? d->up : NULL,
                                d ? d->down : NULL};
    const char *name[TT_COUNT(part)];
    size_t n = 0;
    for (size_t i = 0; i < TT_COUNT(part); i++) {
        if (!part[i]) continue;
        const char *dot = strrchr(part[i], '.');
        name[n++] = dot && !(d && d->conv1d) ? dot + 1 : part[i];
    }
    return tti_peft_set_targets(m->peft, name, n);
}

static tt_status describe(tti_model *m) {
    const tti_model_opts *o = &m->opts;
    if (o->adapter)
        TT_TRY(tti_peft_read(&m->peft, o->adapter));
    else {
        if (o->lora_rank < 1)
            return tti_fail(TT_E_ARG, "lora rank %d: expected 1 or more", o->lora_rank);
        TT_TRY(tti_peft_new(&m->peft));
        m->peft->r = o->lora_rank;
        m->peft->alpha = (double)o->lora_alpha;
        m->peft->dropout = (double)o->lora_dropout;
        m->peft->use_rslora = o->lora_rslora;
        TT_TRY(set_targets(m));
        m->peft->task_type = tti_strdup(o->task == TTI_TASK_CAUSAL ? "CAUSAL_LM" : "SEQ_CLS");
        for (size_t i = 0; i < m->nparams; i++)
            m->peft->fan_in_fan_out = m->peft->fan_in_fan_out || m->params[i].transposed;
        m->peft->base_model = tti_strdup(m->dir);
        if (!m->peft->task_type || !m->peft->base_model) return TT_E_NOMEM;
    }
    m->opts.lora_dropout = (float)m->peft->dropout;
    if (o->task == TTI_TASK_CAUSAL) return TT_OK;
    for (size_t i = 0; i < TT_COUNT(m->family->modules_to_save); i++) {
        const char *module = m->family->modules_to_save[i];
        bool known = !module;
        for (size_t k = 0; k < m->peft->modules_to_save.n && !known; k++)
            known = !strcmp(m->peft->modules_to_save.v[k], module);
        if (!known) TT_TRY(tti_peft_add_saved(m->peft, module));
    }
    return TT_OK;
}

/* What trains beside the adapters is what PEFT saves whole. */
static tt_status freeze(tti_model *m) {
    for (size_t i = 0; i < m->nparams; i++) {
        tti_param *p = &m->params[i];
        const char *leaf = strrchr(p->name, '.');
        char module[192];
        bool saved;
        snprintf(module, sizeof module, "%.*s", (int)(leaf - p->name), p->name);
        TT_TRY(tti_peft_saves(m->peft, module, &saved));
        p->trainable = p->trainable && saved;
        p->sparse = p->sparse && saved;
    }
    return TT_OK;
}

static tt_status adapt(tti_model *m, size_t i, const char *module) {
    int rank;
    double scale;
    char name[256];
    TT_TRY(tti_peft_rank(m->peft, module, &rank, &scale));
    TT_TRY(TTI_GROW(m->loras, m->loras_cap, m->nloras + 1));
    tti_lora *l = &m->loras[m->nloras++];
    const tti_param *w = &m->params[i];
    const size_t in = w->transposed ? w->rows : w->cols, out = w->transposed ? w->cols : w->rows;
    *l = (tti_lora){
        .base = (int)i, .a = (int)m->nparams, .b = (int)m->nparams + 1, .scale = (float)scale};
    snprintf(name, sizeof name, "%s.lora_A.weight", module);
    TT_TRY(tti_model_add_param(m, name, (size_t)rank, in, false, true));
    snprintf(name, sizeof name, "%s.lora_B.weight", module);
    return tti_model_add_param(m, name, out, (size_t)rank, false, true);
}

/* Names the layers of the first block that could be adapted. */
static tt_status no_target(const tti_model *m) {
    char known[256] = "", block[64];
    snprintf(block, sizeof block, m->family->block, 0);
    for (size_t i = 0; i < m->nparams; i++) {
        char module[192];
        const char *part = strstr(m->params[i].name, block);
        const size_t used = strlen(known);
        if (!part || !module_of(m, i, module)) continue;
        part = module + (part - m->params[i].name) + strlen(block);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", part);
    }
    return tti_fail(TT_E_ARG, "lora targets match no linear layer of %s; its blocks have %s",
                    m->family->model_type, known);
}

tt_status tti_lora_declare(tti_model *m) {
    if (m->opts.method != TTI_METHOD_LORA) return TT_OK;
    TT_TRY(describe(m));
    TT_TRY(freeze(m));
    const size_t base = m->nparams;
    for (size_t i = 0; i < base; i++) {
        char module[192];
        bool match, saved;
        if (!module_of(m, i, module)) continue;
        const bool head = !strcmp(module, m->family->classifier) || !strcmp(module, "lm_head");
        TT_TRY(tti_peft_matches(m->peft, module, head, &match));
        TT_TRY(tti_peft_saves(m->peft, module, &saved));
        if (match && !saved) TT_TRY(adapt(m, i, module));
    }
    return m->nloras ? TT_OK : no_target(m);
}

const tti_lora *tti_lora_of(const tti_model *m, int base) {
    for (size_t i = 0; i < m->nloras; i++)
        if (m->loras[i].base == base) return &m->loras[i];
    return NULL;
}

tt_status tti_lora_in_file(const tti_model *m, size_t i, bool *out) {
    const char *name = m->params[i].name, *leaf = strrchr(name, '.');
    char module[192];
    *out = strstr(name, ".lora_") != NULL;
    if (*out) return TT_OK;
    snprintf(module, sizeof module, "%.*s", (int)(leaf - name), name);
    return tti_peft_saves(m->peft, module, out);
}

static tt_status load_from(tti_model *m, const tti_st *st) {
    size_t used = 0;
    for (size_t i = 0; i < m->nparams; i++) {
        bool stored;
        char name[256];
        TT_TRY(tti_lora_in_file(m, i, &stored));
        if (!stored) continue;
        tti_model_file_name(m, &m->params[i], name);
        const tti_st_tensor *t = tti_st_find(st, name);
        if (!t)
            return tti_fail(TT_E_FORMAT,
                            "%s: the adapter has no tensor %s; it belongs to "
                            "another model or other targets",
                            m->opts.adapter, name);
        TT_TRY(tti_model_take(m, i, &(tti_stored){.st = st, .t = t}));
        m->fresh[i] = 0;
        used++;
    }
    if (used == tti_st_count(st)) return TT_OK;
    for (size_t k = 0; k < tti_st_count(st); k++) {
        const char *name = tti_st_at(st, k)->name;
        const size_t n = strlen(PEFT_PREFIX);
        if (strncmp(name, PEFT_PREFIX, n) || tti_model_index(m, name + n) < 0)
            return tti_fail(TT_E_FORMAT, "%s: the adapter's tensor %s has no place in this model",
                            m->opts.adapter, name);
    }
    return TT_OK;
}

tt_status tti_lora_load(tti_model *m) {
    if (!m->opts.adapter || m->opts.method != TTI_METHOD_LORA) return TT_OK;
    char *path = tti_path_join(m->opts.adapter, "adapter_model.safetensors");
    if (!path) return TT_E_NOMEM;
    tti_st *st;
    tt_status s = tti_st_open(&st, path);
    tti_free(path);
    TT_TRY(s);
    s = load_from(m, st);
    tti_st_close(st);
    return s;
}

tt_status tti_lora_save(tti_model *m, const char *dir) {
    uint8_t *stored = tti_calloc(m->nparams, 1);
    if (!stored) return TT_E_NOMEM;
    tt_status s = TT_OK;
    for (size_t i = 0; i < m->nparams && s == TT_OK; i++) {
        bool in;
        s = tti_lora_in_file(m, i, &in);
        stored[i] = in;
    }
    if (s == TT_OK) s = tti_model_write_file(m, dir, "adapter_model.safetensors", stored);
    char *path = s == TT_OK ? tti_path_join(dir, "adapter_config.json") : NULL;
    if (s == TT_OK) s = path ? tti_peft_write(m->peft, path) : TT_E_NOMEM;
    tti_free(path);
    tti_free(stored);
    return s;
}
