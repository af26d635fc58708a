// SPDX-License-Identifier: Apache-2.0
/* store.c - where parameters and their gradients lie in device memory.
 * Trained dense parameters share flat arenas, those with weight decay first, so that the optimizer
 * walks them in a few launches; gradients repeat the layout. Embeddings that only lookups read have
 * a buffer of their own, and gradient rows for the step's tokens alone. */
#include "host/model/internal.h"

static size_t align_up(size_t n, size_t a) { return (n + a - 1) / a * a; }

static size_t param_bytes(const tti_param *p) { return p->rows * p->cols * sizeof(float); }

/* Puts p behind what the current arena of its kind holds, or into a new one. */
static tt_status put(tti_model *m, tti_param *p, size_t first_arena) {
    const size_t bytes = align_up(param_bytes(p), m->align);
    if (bytes > m->max_alloc)
        return tti_fail(TT_E_MEMORY, "%s needs %zu bytes, the device allows %zu in one buffer",
                        p->name, bytes, m->max_alloc);
    tti_arena *a = m->nall > first_arena ? &m->arenas[m->nall - 1] : NULL;
    if (!a || a->count * sizeof(float) + bytes > m->max_alloc) {
        TT_TRY(TTI_GROW(m->arenas, m->arenas_cap, m->nall + 1));
        a = &m->arenas[m->nall++];
        *a = (tti_arena){0};
    }
    p->arena = (size_t)(a - m->arenas);
    p->offset = a->count * sizeof(float);
    a->count += bytes / sizeof(float);
    if (p->trainable && p->decay) a->decay_count = a->count;
    return TT_OK;
}

tt_status tti_model_layout(tti_model *m) {
    for (int decay = 1; decay >= 0; decay--)
        for (size_t i = 0; i < m->nparams; i++) {
            tti_param *p = &m->params[i];
            if (p->trainable && !p->sparse && p->decay == (decay != 0)) TT_TRY(put(m, p, 0));
        }
    m->narenas = m->nall;
    for (size_t i = 0; i < m->nparams; i++)
        if (!m->params[i].trainable) TT_TRY(put(m, &m->params[i], m->narenas));
    for (size_t i = 0; i < m->nparams; i++) {
        const tti_param *p = &m->params[i];
        if (p->sparse && param_bytes(p) > m->max_alloc)
            return tti_fail(TT_E_MEMORY, "%s needs %zu bytes, the device allows %zu in one buffer",
                            p->name, param_bytes(p), m->max_alloc);
    }
    return TT_OK;
}

tt_status tti_model_allocate(tti_model *m) {
    for (size_t a = 0; a < m->nall; a++)
        TT_TRY(tti_mem_new(&m->arenas[a].p, m->dev, m->arenas[a].count * sizeof(float),
                           TTI_MEM_WEIGHTS, true));
    for (size_t i = 0; i < m->nparams; i++) {
        tti_param *p = &m->params[i];
        if (p->sparse)
            TT_TRY(tti_mem_new(&p->p, m->dev, param_bytes(p), TTI_MEM_WEIGHTS, false));
        else
            TT_TRY(tti_mem_sub(&p->p, m->dev, m->arenas[p->arena].p, p->offset, param_bytes(p)));
    }
    return TT_OK;
}

tt_status tti_model_alloc_gradients(tti_model *m, size_t step_uniq) {
    for (size_t a = 0; a < m->narenas; a++)
        TT_TRY(tti_mem_new(&m->arenas[a].g, m->dev, m->arenas[a].count * sizeof(float),
                           TTI_MEM_GRADIENTS, true));
    m->sparse_rows = step_uniq;
    for (size_t i = 0; i < m->nparams; i++) {
        tti_param *p = &m->params[i];
        if (!p->trainable) continue;
        if (p->sparse)
            TT_TRY(tti_mem_new(&p->g, m->dev, TT_MAX(step_uniq, 1) * p->cols * sizeof(float),
                               TTI_MEM_GRADIENTS, true));
        else
            TT_TRY(tti_mem_sub(&p->g, m->dev, m->arenas[p->arena].g, p->offset, param_bytes(p)));
    }
    return TT_OK;
}

void tti_model_free_gradients(tti_model *m) {
    for (size_t i = 0; i < m->nparams; i++) {
        tti_param *p = &m->params[i];
        if (p->sparse)
            tti_mem_free(m->dev, p->g);
        else
            tti_mem_release(p->g);
        p->g = NULL;
    }
    for (size_t a = 0; a < m->narenas; a++) {
        tti_mem_free(m->dev, m->arenas[a].g);
        m->arenas[a].g = NULL;
    }
}

void tti_model_release(tti_model *m) {
    if (!m->dev) return;
    tti_model_free_gradients(m);
    for (size_t i = 0; i < m->nparams; i++) {
        tti_param *p = &m->params[i];
        if (p->sparse)
            tti_mem_free(m->dev, p->p);
        else
            tti_mem_release(p->p);
    }
    for (size_t a = 0; a < m->nall; a++) tti_mem_free(m->dev, m->arenas[a].p);
}

size_t tti_model_narenas(const tti_model *m) { return m->narenas; }
const tti_arena *tti_model_arena(const tti_model *m, size_t i) { return &m->arenas[i]; }

size_t tti_model_weight_bytes(const tti_model *m) {
    size_t sum = 0;
    for (size_t a = 0; a < m->nall; a++) sum += m->arenas[a].count * sizeof(float);
    for (size_t i = 0; i < m->nparams; i++)
        if (m->params[i].sparse) sum += param_bytes(&m->params[i]);
    return sum;
}

size_t tti_model_gradient_bytes(const tti_model *m, size_t step_uniq) {
    size_t sum = 0;
    for (size_t a = 0; a < m->narenas; a++) sum += m->arenas[a].count * sizeof(float);
    for (size_t i = 0; i < m->nparams; i++)
        if (m->params[i].sparse) sum += TT_MAX(step_uniq, 1) * m->params[i].cols * sizeof(float);
    return sum;
}

size_t tti_model_nparams(const tti_model *m) { return m->nparams; }
tti_param *tti_model_param(tti_model *m, size_t i) { return &m->params[i]; }

tti_param *tti_model_find(tti_model *m, const char *name) {
    int i = tti_model_index(m, name);
    return i < 0 ? NULL : &m->params[i];
}

tt_status tti_model_read(tti_model *m, const tti_param *p, float *dst) {
    return tti_mem_read(m->dev, p->p, 0, dst, param_bytes(p));
}

tt_status tti_model_write(tti_model *m, const tti_param *p, const float *src) {
    return tti_mem_write(m->dev, p->p, 0, src, param_bytes(p));
}
