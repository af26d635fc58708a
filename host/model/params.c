// SPDX-License-Identifier: Apache-2.0
/* params.c - the list of a model's parameters, named as checkpoints name them. */
#include "host/model/internal.h"

#include <stdarg.h>
#include <string.h>

void tti_body_name(const tti_model *m, char *out, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int n = snprintf(out, 192, "%s", m->family->prefix);
    vsnprintf(out + n, 192 - (size_t)n, fmt, ap);
    va_end(ap);
}

int tti_model_index(const tti_model *m, const char *name) {
    for (size_t i = 0; i < m->nparams; i++)
        if (!strcmp(m->params[i].name, name)) return (int)i;
    return -1;
}

tt_status tti_model_add_param(tti_model *m, const char *name, size_t rows, size_t cols, bool vector,
                              bool trainable) {
    TT_TRY(TTI_GROW(m->params, m->params_cap, m->nparams + 1));
    char *copy = tti_strdup(name);
    if (!copy) return TT_E_NOMEM;
    m->params[m->nparams++] = (tti_param){.name = copy,
                                          .rows = rows,
                                          .cols = cols,
                                          .vector = vector,
                                          .trainable = trainable && !m->opts.frozen,
                                          .decay = !(m->opts.no_decay_1d && vector)};
    return TT_OK;
}

tt_status tti_model_add_vector(tti_model *m, const char *module, const char *leaf, size_t n) {
    char name[224];
    snprintf(name, sizeof name, "%s.%s", module, leaf);
    return tti_model_add_param(m, name, 1, n, true, true);
}

tt_status tti_model_add_dense(tti_model *m, const char *module, size_t in, size_t out, bool bias,
                              bool transposed) {
    char name[224];
    snprintf(name, sizeof name, "%s.weight", module);
    const bool turned = transposed && m->turned;
    transposed = transposed && !turned;
    TT_TRY(tti_model_add_param(m, name, transposed ? in : out, transposed ? out : in, false, true));
    m->params[m->nparams - 1].transposed = transposed;
    m->params[m->nparams - 1].turned = turned;
    return bias ? tti_model_add_vector(m, module, "bias", out) : TT_OK;
}

static tt_status add_table(tti_model *m, const char *module, int rows) {
    char name[224];
    tti_body_name(m, name, "%s.weight", module);
    return tti_model_add_param(m, name, (size_t)rows, (size_t)m->sizes.hidden, false, true);
}

static tt_status add_norm(tti_model *m, const char *module) {
    TT_TRY(tti_model_add_vector(m, module, "weight", (size_t)m->sizes.hidden));
    return tti_model_add_vector(m, module, "bias", (size_t)m->sizes.hidden);
}

static tt_status add_block(tti_model *m, int layer) {
    const tti_family *f = m->family;
    const int d = m->sizes.hidden, h = m->sizes.ffn;
    char name[192];
    const struct {
        const char *module;
        int in, out;
    } part[] = {{f->q, d, d},     {f->k, d, d},  {f->v, d, d},    {f->o, d, d},
                {f->norm1, 0, 0}, {f->up, d, h}, {f->down, h, d}, {f->norm2, 0, 0}};
    for (size_t i = 0; i < TT_COUNT(part); i++) {
        char where[96];
        int n = snprintf(where, sizeof where, f->block, layer);
        snprintf(where + n, sizeof where - (size_t)n, "%s", part[i].module);
        tti_body_name(m, name, "%s", where);
        if (!part[i].in)
            TT_TRY(add_norm(m, name));
        else
            TT_TRY(
                tti_model_add_dense(m, name, (size_t)part[i].in, (size_t)part[i].out, true, false));
    }
    return TT_OK;
}

tt_status tti_model_declare(tti_model *m) {
    const tti_family *f = m->family;
    const tti_sizes *s = &m->sizes;
    const size_t d = (size_t)s->hidden;
    char name[192];
    m->rope[0] = m->rope[1] = -1;
    if (f->decoder) return tti_decoder_declare(m);
    TT_TRY(add_table(m, f->word, s->vocab));
    tti_param *word = &m->params[m->nparams - 1];
    word->sparse = word->trainable; /* nothing but lookups reads an encoder's word table */
    TT_TRY(add_table(m, f->position, s->max_pos));
    if (s->sinusoidal) m->params[m->nparams - 1].trainable = false;
    if (f->type) TT_TRY(add_table(m, f->type, s->types));
    tti_body_name(m, name, "%s", f->embed_norm);
    TT_TRY(add_norm(m, name));
    for (int i = 0; i < s->layers; i++) TT_TRY(add_block(m, i));
    if (f->dense.in_body)
        tti_body_name(m, name, "%s", f->dense.module);
    else
        snprintf(name, sizeof name, "%s", f->dense.module);
    TT_TRY(tti_model_add_dense(m, name, d, d, true, false));
    return tti_model_add_dense(m, f->classifier, d, (size_t)m->info.num_labels, true, false);
}
