// SPDX-License-Identifier: Apache-2.0
/* decoder_params.c - a decoder's parameters, named as checkpoints name them. */
#include "host/model/internal.h"

static bool has_bias(tti_bias rule, bool asked) {
    return rule == TTI_BIAS_YES || (rule == TTI_BIAS_ASK && asked);
}

static tt_status norm(tti_model *m, const char *module, int n) {
    if (m->family->decoder->layernorm) {
        TT_TRY(tti_model_add_vector(m, module, "weight", (size_t)n));
        return tti_model_add_vector(m, module, "bias", (size_t)n);
    }
    return tti_model_add_vector(m, module, "weight", (size_t)n);
}

static tt_status block(tti_model *m, int layer) {
    const tti_decoder *d = m->family->decoder;
    const tti_sizes *s = &m->sizes;
    const int hidden = s->hidden, q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    const bool qkv_bias = has_bias(d->qkv_bias, s->attention_bias);
    const bool mlp_bias = has_bias(d->mlp_bias, s->mlp_bias);
    const struct {
        const char *part;
        int in, out; /* in 0: a norm of `out` */
        bool bias;
    } parts[] = {{d->norm1, 0, hidden, false},
                 {d->q, hidden, q, qkv_bias},
                 {d->k, hidden, kv, qkv_bias},
                 {d->v, hidden, kv, qkv_bias},
                 {d->qkv, hidden, q + 2 * kv, qkv_bias},
                 {d->q_norm, 0, s->head_dim, false},
                 {d->k_norm, 0, s->head_dim, false},
                 {d->o, q, hidden, has_bias(d->o_bias, s->attention_bias)},
                 {d->post1, 0, hidden, false},
                 {d->norm2, 0, hidden, false},
                 {d->gate, hidden, s->ffn, mlp_bias},
                 {d->up, hidden, s->ffn, mlp_bias},
                 {d->gate_up, hidden, 2 * s->ffn, mlp_bias},
                 {d->down, s->ffn, hidden, mlp_bias},
                 {d->post2, 0, hidden, false}};
    for (size_t i = 0; i < TT_COUNT(parts); i++) {
        if (!parts[i].part) continue;
        char where[64], name[192];
        snprintf(where, sizeof where, m->family->block, layer);
        tti_body_name(m, name, "%s%s", where, parts[i].part);
        if (!parts[i].in)
            TT_TRY(norm(m, name, parts[i].out));
        else
            TT_TRY(tti_model_add_dense(m, name, (size_t)parts[i].in, (size_t)parts[i].out,
                                       parts[i].bias, d->conv1d));
    }
    return TT_OK;
}

/* Frequencies are a table like any other frozen one, but no checkpoint holds it. */
static tt_status rope(tti_model *m) {
    static const char *const name[] = {"rope.full", "rope.sliding"};
    for (int i = 0; i < 2; i++) {
        m->rope[i] = -1;
        if (!m->sizes.inv_freq[i]) continue;
        m->rope[i] = (int)m->nparams;
        TT_TRY(tti_model_add_vector(m, name[i], "inv_freq", (size_t)m->sizes.rot / 2));
        m->params[m->rope[i]].trainable = false;
        m->params[m->rope[i]].computed = true;
    }
    return TT_OK;
}

tt_status tti_decoder_declare(tti_model *m) {
    const tti_family *f = m->family;
    const tti_sizes *s = &m->sizes;
    const size_t d = (size_t)s->hidden;
    const bool causal = m->opts.task == TTI_TASK_CAUSAL;
    char name[192];
    tti_body_name(m, name, "%s.weight", f->word);
    TT_TRY(tti_model_add_param(m, name, (size_t)s->vocab, d, false, true));
    tti_param *word = &m->params[m->nparams - 1];
    word->sparse = word->trainable && !(causal && s->tied);
    if (f->position) {
        tti_body_name(m, name, "%s.weight", f->position);
        TT_TRY(tti_model_add_param(m, name, (size_t)s->max_pos, d, false, true));
    }
    for (int i = 0; i < s->layers; i++) TT_TRY(block(m, i));
    tti_body_name(m, name, "%s", f->decoder->final_norm);
    TT_TRY(norm(m, name, s->hidden));
    if (!causal)
        TT_TRY(tti_model_add_dense(m, f->classifier, d, (size_t)m->info.num_labels, false, false));
    else if (!s->tied)
        TT_TRY(tti_model_add_dense(m, "lm_head", d, (size_t)s->vocab, false, false));
    return rope(m);
}
