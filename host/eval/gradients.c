// SPDX-License-Identifier: Apache-2.0
/* gradients.c - copies and products of gradients. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "host/eval/gradients.h"

void tti_gradients_free(tti_gradients *g) {
    for (size_t i = 0; g->dense && i < g->nparams; i++) tti_free(g->dense[i]);
    tti_free(g->dense);
    tti_free(g->rows);
    tti_free(g->ids);
    *g = (tti_gradients){0};
}

static tt_status read_sparse(tti_gradients *g, tti_device *d, const tti_param *p,
                             const tti_idset *ids) {
    const size_t bytes = ids->n * p->cols * sizeof *g->rows;
    g->ids = tti_malloc((ids->n + 1) * sizeof *g->ids);
    g->rows = tti_malloc(bytes);
    if (!g->ids || !g->rows) return TT_E_NOMEM;
    if (ids->n == 0) return TT_OK;
    memcpy(g->ids, ids->id, ids->n * sizeof *g->ids);
    g->nids = ids->n;
    return tti_mem_read(d, p->g, 0, g->rows, bytes);
}

tt_status tti_gradients_read(tti_gradients *g, tti_device *d, tti_model *m, const tti_idset *ids) {
    tti_gradients_free(g);
    g->sparse = -1;
    g->nparams = tti_model_nparams(m);
    if (!(g->dense = tti_calloc(g->nparams, sizeof *g->dense))) return TT_E_NOMEM;
    for (size_t i = 0; i < g->nparams; i++) {
        const tti_param *p = tti_model_param(m, i);
        const size_t bytes = p->rows * p->cols * sizeof(float);
        if (!p->trainable) continue;
        if (p->sparse) {
            TT_ASSERT(g->sparse < 0);
            g->sparse = (int)i;
            TT_TRY(read_sparse(g, d, p, ids));
            continue;
        }
        if (!(g->dense[i] = tti_malloc(bytes))) return TT_E_NOMEM;
        TT_TRY(tti_mem_read(d, p->g, 0, g->dense[i], bytes));
    }
    return TT_OK;
}

static void add(tti_products *s, const float *a, const float *b, size_t n) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    s->ab += ab;
    s->aa += aa;
    s->bb += bb;
}

/* Rows by id; what only one of the two has meets zeros. */
static void add_rows(tti_products *s, const tti_gradients *a, const tti_gradients *b, size_t cols) {
    size_t i = 0, k = 0;
    tti_products none;
    while (i < a->nids || k < b->nids) {
        const bool has_a = i < a->nids && (k >= b->nids || a->ids[i] <= b->ids[k]);
        const bool has_b = k < b->nids && (i >= a->nids || b->ids[k] <= a->ids[i]);
        const float *x = a->rows + i * cols, *y = b->rows + k * cols;
        none = (tti_products){0, 0, 0};
        if (has_a && has_b)
            add(s, x, y, cols);
        else
            add(&none, has_a ? x : y, has_a ? x : y, cols);
        if (has_a && !has_b) s->aa += none.aa;
        if (has_b && !has_a) s->bb += none.bb;
        i += has_a;
        k += has_b;
    }
}

void tti_gradients_products(tti_products *sums, const size_t *group, const tti_gradients *a,
                            const tti_gradients *b, tti_model *m) {
    for (size_t i = 0; i < a->nparams; i++) {
        const tti_param *p = tti_model_param(m, i);
        if ((int)i == a->sparse)
            add_rows(&sums[group[i]], a, b, p->cols);
        else if (a->dense[i])
            add(&sums[group[i]], a->dense[i], b->dense[i], p->rows * p->cols);
    }
}

double tti_cosine(const tti_products *p) {
    return p->aa > 0 && p->bb > 0 ? p->ab / (sqrt(p->aa) * sqrt(p->bb)) : 0;
}

/* The number of the block that a name is in: its first part that is a number; -1: none. */
static long block_of(const char *name) {
    for (const char *at = name; (at = strchr(at, '.')); at++)
        if (isdigit((unsigned char)at[1])) return strtol(at + 1, NULL, 10);
    return -1;
}

size_t tti_gradient_groups(size_t *group, char (*names)[32], tti_model *m) {
    const size_t layers = (size_t)tti_model_get_info(m)->layers;
    bool behind = false; /* blocks have been seen: what is outside comes after them */
    for (size_t i = 0; i < tti_model_nparams(m); i++) {
        const long block = block_of(tti_model_param(m, i)->name);
        behind = behind || block >= 0;
        group[i] = block >= 0 ? 1 + (size_t)block : behind ? layers + 1 : 0;
    }
    for (size_t g = 0; names && g < layers + 2; g++) {
        if (g == 0 || g > layers)
            snprintf(names[g], sizeof names[g], "%s", g == 0 ? "embeddings" : "head");
        else
            snprintf(names[g], sizeof names[g], "block %zu", g - 1);
    }
    return layers + 2;
}
