// SPDX-License-Identifier: Apache-2.0
/* store.c - where parameters and their gradients lie in device memory.
 * A parameter is one or more slabs of whole rows, none over the device's largest buffer. Slabs of
 * trained dense parameters share flat arenas of one type each, those with weight decay first, so
 * that the optimizer walks them in a few launches; gradients repeat the layout. Slabs of frozen
 * ones share arenas of bytes. Embeddings that only lookups read have a buffer of their own, and
 * gradient rows for the step's tokens alone. */
#include <stdlib.h>
#include <string.h>
#include "host/graph/stream.h"
#include "host/model/internal.h"

#define MOST_ELEMENTS ((size_t)UINT32_MAX - (1u << 16)) /* the optimizer counts in 32 bits */

static size_t align_up(size_t n, size_t a) { return (n + a - 1) / a * a; }

static size_t size_of(tti_dtype t) { return t == TTI_F16 || t == TTI_BF16 ? 2 : 4; }

static tti_layout slab_layout(const tti_param *p, size_t rows) {
    const tti_layout *l = &p->layout;
    return tti_layout_of(l->type, rows, p->cols, l->block, l->has_nested);
}

static tti_place *place_of(const tti_model *m, const tti_slab *s) {
    return &m->places[s - m->slabs];
}

/* ---- cutting ---- */

/* Trained ones begin at multiples of so many elements: weights and gradients are aligned there. */
static size_t unit_of(const tti_model *m, const tti_param *p) {
    return m->align / TT_MIN(size_of(p->layout.type), size_of(p->gtype));
}

/* Elements that an arena holds: weights, gradients and f32 moments each fit one buffer. */
static size_t most_elements(const tti_model *m, const tti_param *p) {
    const size_t unit = unit_of(m, p);
    return TT_MIN(m->max_alloc / sizeof(float), MOST_ELEMENTS) / unit * unit;
}

static bool fits(const tti_model *m, const tti_param *p, size_t rows) {
    if (p->trainable && !p->sparse) return rows * p->cols <= most_elements(m, p);
    return slab_layout(p, rows).bytes <= m->max_alloc;
}

static tt_status too_large(const tti_model *m, const tti_param *p, size_t bytes) {
    return tti_fail(TT_E_MEMORY, "%s needs %zu bytes in one buffer, the device allows %zu", p->name,
                    bytes, m->max_alloc);
}

/* Rows of each slab but the last: as few slabs as there can be, of about one size. */
static tt_status slab_rows(const tti_model *m, const tti_param *p, size_t *out) {
    *out = TT_MAX(p->rows, 1);
    if (fits(m, p, p->rows)) return TT_OK;
    const size_t cut = tti_layout_cut(&p->layout);
    size_t low = 0, high = p->rows / cut; /* cuts: low fit, high + 1 do not */
    while (low < high) {
        const size_t mid = (low + high + 1) / 2;
        if (fits(m, p, mid * cut))
            low = mid;
        else
            high = mid - 1;
    }
    if (low == 0) return too_large(m, p, slab_layout(p, TT_MIN(cut, p->rows)).bytes);
    const size_t n = (p->rows + low * cut - 1) / (low * cut);
    *out = align_up((p->rows + n - 1) / n, cut);
    return TT_OK;
}

static tt_status cut(tti_model *m) {
    size_t total = 0, *rows = tti_calloc(m->nparams + 1, sizeof *rows);
    if (!rows) return TT_E_NOMEM;
    tt_status s = TT_OK;
    for (size_t i = 0; i < m->nparams; i++) {
        tti_param *p = &m->params[i];
        TT_GO(slab_rows(m, p, &rows[i]));
        p->nslabs = TT_MAX((p->rows + rows[i] - 1) / rows[i], 1);
        total += p->nslabs;
    }
    m->slabs = tti_calloc(total + 1, sizeof *m->slabs);
    m->gslabs = tti_calloc(total + 1, sizeof *m->gslabs);
    m->places = tti_calloc(total + 1, sizeof *m->places);
    m->hosts = tti_calloc(total + 1, sizeof *m->hosts);
    if (!m->slabs || !m->gslabs || !m->places || !m->hosts) TT_GO(TT_E_NOMEM);
    m->nslabs = total;
    total = 0;
    for (size_t i = 0; i < m->nparams; i++) {
        tti_param *p = &m->params[i];
        p->slabs = m->slabs + total;
        p->gslabs = m->gslabs + total;
        for (size_t k = 0, row = 0; k < p->nslabs; k++, row += rows[i]) {
            const size_t n = TT_MIN(rows[i], p->rows - row);
            p->slabs[k] = p->gslabs[k] = (tti_slab){.row0 = row, .rows = n};
            p->slabs[k].layout = slab_layout(p, n);
            p->gslabs[k].layout = tti_layout_plain(p->gtype, n, p->cols);
        }
        total += p->nslabs;
    }
done:
    tti_free(rows);
    return s;
}

/* ---- placing ---- */

/* Puts the slabs of p behind what the last arena of its kind holds, or into new ones. */
static tt_status put_trained(tti_model *m, tti_param *p, size_t first_arena) {
    for (size_t k = 0; k < p->nslabs; k++) {
        const size_t count = align_up(p->slabs[k].rows * p->cols, unit_of(m, p));
        tti_arena *a = m->narenas > first_arena ? &m->arenas[m->narenas - 1] : NULL;
        if (!a || a->count + count > most_elements(m, p)) {
            TT_TRY(TTI_GROW(m->arenas, m->arenas_cap, m->narenas + 1));
            a = &m->arenas[m->narenas++];
            *a = (tti_arena){.type = p->layout.type, .gtype = p->gtype};
        }
        *place_of(m, &p->slabs[k]) = (tti_place){(size_t)(a - m->arenas), a->count};
        a->count += count;
        if (p->decay) a->decay_count = a->count;
    }
    return TT_OK;
}

static tt_status put_frozen(tti_model *m, tti_param *p) {
    for (size_t k = 0; k < p->nslabs; k++) {
        const size_t bytes = align_up(p->slabs[k].layout.bytes, m->align);
        tti_bytes_arena *a = m->nfrozen ? &m->frozen[m->nfrozen - 1] : NULL;
        if (!a || a->bytes + bytes > m->max_alloc) {
            TT_TRY(TTI_GROW(m->frozen, m->frozen_cap, m->nfrozen + 1));
            a = &m->frozen[m->nfrozen++];
            *a = (tti_bytes_arena){0};
        }
        *place_of(m, &p->slabs[k]) = (tti_place){m->nfrozen - 1, a->bytes};
        a->bytes += bytes;
    }
    return TT_OK;
}

/* All trained dense parameters of one type and one type of gradient. */
static tt_status put_all(tti_model *m, tti_dtype type, tti_dtype gtype) {
    const size_t first = m->narenas;
    for (int decay = 1; decay >= 0; decay--)
        for (size_t i = 0; i < m->nparams; i++) {
            tti_param *p = &m->params[i];
            if (p->trainable && !p->sparse && p->decay == (decay != 0) && p->layout.type == type &&
                p->gtype == gtype)
                TT_TRY(put_trained(m, p, first));
        }
    return TT_OK;
}

tt_status tti_model_layout(tti_model *m) {
    static const tti_dtype types[] = {TTI_F32, TTI_F16, TTI_BF16};
    TT_TRY(cut(m));
    for (size_t i = 0; i < m->nparams; i++) {
        tti_param *p = &m->params[i];
        p->hosted = m->opts.stream && !p->trainable && p->layer >= 0;
    }
    for (size_t t = 0; t < TT_COUNT(types); t++)
        for (size_t g = 0; g < TT_COUNT(types); g++) TT_TRY(put_all(m, types[t], types[g]));
    for (size_t i = 0; i < m->nparams; i++)
        if (!m->params[i].trainable && !m->params[i].hosted) TT_TRY(put_frozen(m, &m->params[i]));
    for (size_t i = 0; i < m->nparams; i++) {
        tti_param *p = &m->params[i];
        const tti_place *at = place_of(m, p->slabs);
        const bool trained = p->trainable && !p->sparse;
        p->arena = at->arena + (p->trainable ? 0 : m->narenas);
        p->offset = at->offset * (trained ? size_of(p->layout.type) : 1);
    }
    return tti_model_stream_plan(m);
}

/* ---- allocating ---- */

/* A buffer for each slab of p out of the arenas: weights, or gradients. */
static tt_status take_slabs(tti_model *m, tti_param *p, bool gradients) {
    for (size_t k = 0; k < p->nslabs; k++) {
        const tti_place *at = place_of(m, &p->slabs[k]);
        tti_slab *s = gradients ? &p->gslabs[k] : &p->slabs[k];
        cl_mem of = !p->trainable ? m->frozen[at->arena].p
                    : gradients   ? m->arenas[at->arena].g
                                  : m->arenas[at->arena].p;
        const size_t offset = at->offset * (p->trainable ? size_of(s->layout.type) : 1);
        TT_TRY(tti_mem_sub(&s->mem, m->dev, of, offset, s->layout.bytes));
    }
    return TT_OK;
}

static tt_status host_slabs(tti_model *m, const tti_param *p) {
    for (size_t k = 0; k < p->nslabs; k++)
        if (!(m->hosts[&p->slabs[k] - m->slabs] = tti_malloc(p->slabs[k].layout.bytes)))
            return TT_E_NOMEM;
    return TT_OK;
}

tt_status tti_model_allocate(tti_model *m) {
    for (size_t a = 0; a < m->narenas; a++)
        TT_TRY(tti_mem_new(&m->arenas[a].p, m->dev, m->arenas[a].count * size_of(m->arenas[a].type),
                           TTI_MEM_WEIGHTS, true));
    for (size_t a = 0; a < m->nfrozen; a++)
        TT_TRY(tti_mem_new(&m->frozen[a].p, m->dev, m->frozen[a].bytes, TTI_MEM_WEIGHTS, false));
    for (size_t i = 0; i < m->nparams; i++) {
        tti_param *p = &m->params[i];
        if (p->hosted)
            TT_TRY(host_slabs(m, p));
        else if (p->sparse)
            TT_TRY(tti_mem_new(&p->slabs->mem, m->dev, p->layout.bytes, TTI_MEM_WEIGHTS, false));
        else
            TT_TRY(take_slabs(m, p, false));
        p->p = p->slabs->mem;
    }
    return tti_model_stream_make(m);
}

/* Bytes of a sparse parameter's gradient. */
static size_t slot_bytes(const tti_param *p, size_t step_uniq) {
    return TT_MAX(step_uniq, 1) * p->cols * sizeof(float);
}

tt_status tti_model_alloc_gradients(tti_model *m, size_t step_uniq) {
    for (size_t a = 0; a < m->narenas; a++)
        TT_TRY(tti_mem_new(&m->arenas[a].g, m->dev,
                           m->arenas[a].count * size_of(m->arenas[a].gtype), TTI_MEM_GRADIENTS,
                           true));
    m->sparse_rows = step_uniq;
    for (size_t i = 0; i < m->nparams; i++) {
        tti_param *p = &m->params[i];
        if (!p->trainable) continue;
        if (p->sparse) {
            p->gslabs->rows = TT_MAX(step_uniq, 1);
            p->gslabs->layout = tti_layout_plain(TTI_F32, p->gslabs->rows, p->cols);
            TT_TRY(tti_mem_new(&p->gslabs->mem, m->dev, slot_bytes(p, step_uniq), TTI_MEM_GRADIENTS,
                               true));
        } else
            TT_TRY(take_slabs(m, p, true));
        p->g = p->gslabs->mem;
    }
    return TT_OK;
}

static void release_slabs(tti_model *m, const tti_param *p, tti_slab *s) {
    for (size_t k = 0; s && k < p->nslabs; k++) { /* none: laying out failed */
        if (p->sparse)
            tti_mem_free(m->dev, s[k].mem);
        else
            tti_mem_release(m->dev, s[k].mem);
        s[k].mem = NULL;
    }
}

void tti_model_free_gradients(tti_model *m) {
    for (size_t i = 0; i < m->nparams; i++) {
        release_slabs(m, &m->params[i], m->params[i].gslabs);
        m->params[i].g = NULL;
    }
    for (size_t a = 0; a < m->narenas; a++) {
        tti_mem_free(m->dev, m->arenas[a].g);
        m->arenas[a].g = NULL;
    }
}

static void release(tti_model *m) {
    tti_stream_free(m->stream);
    tti_model_free_gradients(m);
    for (size_t i = 0; i < m->nparams; i++) release_slabs(m, &m->params[i], m->params[i].slabs);
    for (size_t a = 0; a < m->narenas; a++) tti_mem_free(m->dev, m->arenas[a].p);
    for (size_t a = 0; a < m->nfrozen; a++) tti_mem_free(m->dev, m->frozen[a].p);
}

void tti_model_release(tti_model *m) {
    if (m->dev) release(m);
    tti_free(m->arenas);
    tti_free(m->frozen);
    tti_free(m->slabs);
    tti_free(m->gslabs);
    tti_free(m->places);
    for (size_t k = 0; k < m->nslabs; k++) tti_free(m->hosts[k]);
    tti_free(m->hosts);
}

/* ---- what there is ---- */

size_t tti_model_narenas(const tti_model *m) { return m->narenas; }
const tti_arena *tti_model_arena(const tti_model *m, size_t i) { return &m->arenas[i]; }

static int by_first(const void *a, const void *b) {
    const tti_matrix *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

tt_status tti_model_arena_matrices(const tti_model *m, size_t i, tti_matrix **out, size_t *n) {
    size_t count = 0;
    tti_matrix *v = NULL;
    for (int pass = 0; pass < 2; pass++) {
        if (pass && !(v = tti_calloc(count, sizeof *v))) return TT_E_NOMEM;
        count = 0;
        for (size_t k = 0; k < m->nparams; k++) {
            const tti_param *p = &m->params[k];
            for (size_t s = 0; s < p->nslabs && p->trainable && !p->sparse; s++) {
                const tti_place *at = place_of(m, &p->slabs[s]);
                if (at->arena != i) continue;
                if (pass) v[count] = (tti_matrix){at->offset, p->slabs[s].rows, p->cols};
                count++;
            }
        }
    }
    if (count) qsort(v, count, sizeof *v, by_first);
    *out = v;
    *n = count;
    return TT_OK;
}

size_t tti_model_weight_bytes(const tti_model *m) {
    size_t sum = m->stream_bytes;
    for (size_t a = 0; a < m->narenas; a++) sum += m->arenas[a].count * size_of(m->arenas[a].type);
    for (size_t a = 0; a < m->nfrozen; a++) sum += m->frozen[a].bytes;
    for (size_t i = 0; i < m->nparams; i++)
        if (m->params[i].sparse) sum += m->params[i].layout.bytes;
    return sum;
}

size_t tti_model_gradient_bytes(const tti_model *m, size_t step_uniq) {
    size_t sum = 0;
    for (size_t a = 0; a < m->narenas; a++) sum += m->arenas[a].count * size_of(m->arenas[a].gtype);
    for (size_t i = 0; i < m->nparams; i++)
        if (m->params[i].sparse) sum += slot_bytes(&m->params[i], step_uniq);
    return sum;
}

const void *const *tti_model_host(const tti_model *m, const tti_param *p) {
    void *const *at = m->hosts + (p->slabs - m->slabs);
    return at[0] ? (const void *const *)at : NULL;
}

size_t tti_model_host_bytes(const tti_model *m) {
    size_t sum = 0;
    for (size_t i = 0; i < m->nparams; i++)
        for (size_t k = 0; k < m->params[i].nslabs && m->params[i].hosted; k++)
            sum += m->params[i].slabs[k].layout.bytes;
    return sum;
}

size_t tti_model_nparams(const tti_model *m) { return m->nparams; }
tti_param *tti_model_param(tti_model *m, size_t i) { return &m->params[i]; }

tti_param *tti_model_find(tti_model *m, const char *name) {
    int i = tti_model_index(m, name);
    return i < 0 ? NULL : &m->params[i];
}
