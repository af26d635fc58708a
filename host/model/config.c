// SPDX-License-Identifier: Apache-2.0
/* config.c - sizes and settings out of config.json, checked before anything is built on them. */
#include "host/model/internal.h"

#include <math.h>
#include <string.h>

static tti_json_at at(const tti_model *m) {
    return (tti_json_at){m->config->json, m->config->path};
}

static tt_status read_act(const char *file, const char *key, const char *name, tti_act *act) {
    static const struct {
        const char *name;
        tti_act act;
    } known[] = {{"gelu", TTI_ACT_GELU},
                 {"gelu_python", TTI_ACT_GELU},
                 {"gelu_new", TTI_ACT_GELU_TANH},
                 {"gelu_pytorch_tanh", TTI_ACT_GELU_TANH},
                 {"gelu_python_tanh", TTI_ACT_GELU_TANH},
                 {"gelu_fast", TTI_ACT_GELU_TANH},
                 {"gelu_accurate", TTI_ACT_GELU_TANH},
                 {"relu", TTI_ACT_RELU},
                 {"silu", TTI_ACT_SILU},
                 {"swish", TTI_ACT_SILU},
                 {"tanh", TTI_ACT_TANH}};
    for (size_t i = 0; i < TT_COUNT(known); i++)
        if (!strcmp(known[i].name, name)) {
            *act = known[i].act;
            return TT_OK;
        }
    return tti_fail(TT_E_UNSUPPORTED,
                    "%s: %s: activation \"%s\" is not known; known are gelu, gelu_new, "
                    "gelu_pytorch_tanh, relu, silu, tanh",
                    file, key, name);
}

/* Graph and plan of more layers than any model has would take hours. */
enum { MOST = INT32_MAX / 4, MOST_LAYERS = 1024 };

static tt_status need_int(const tti_model *m, const char *key, int *out, int most) {
    int64_t v;
    TT_TRY(tti_json_need(at(m), key));
    TT_TRY(tti_json_int_in(at(m), key, &v, 0, 1, most));
    *out = (int)v;
    return TT_OK;
}

/* key NULL: the family has no such dropout */
static tt_status dropout(const tti_model *m, const char *key, float asked, double fallback,
                         float *out) {
    double v = 0;
    if (!key) return TT_OK;
    TT_TRY(tti_json_float(at(m), key, &v, fallback));
    if (asked >= 0) v = asked;
    if (!(v >= 0 && v < 1))
        return tti_fail(TT_E_FORMAT, "%s: %s: %g is no dropout probability; it must be in [0, 1)",
                        m->config->path, key, v);
    *out = (float)v;
    return TT_OK;
}

static tt_status read_dropouts(tti_model *m) {
    const tti_family *f = m->family;
    tti_sizes *s = &m->sizes;
    TT_TRY(dropout(m, f->hidden_dropout, m->opts.hidden_dropout, f->hidden_dropout_default,
                   &s->hidden_dropout));
    TT_TRY(dropout(m, f->attention_dropout, m->opts.attention_dropout, f->attention_dropout_default,
                   &s->attention_dropout));
    double fallback = f->classifier_dropout_default;
    return dropout(m, f->classifier_dropout, m->opts.classifier_dropout,
                   fallback < 0 ? (double)s->hidden_dropout : fallback, &s->classifier_dropout);
}

/* What changes the arithmetic and is not built is refused, never ignored. */
static tt_status refuse_variants(const tti_model *m) {
    const char *position;
    TT_TRY(tti_json_str(at(m), "position_embedding_type", &position, "absolute"));
    if (strcmp(position, "absolute"))
        return tti_fail(TT_E_UNSUPPORTED,
                        "%s: position_embedding_type \"%s\" is not supported; \"absolute\" is",
                        m->config->path, position);
    static const char *const off[] = {"is_decoder", "add_cross_attention"};
    for (size_t i = 0; i < TT_COUNT(off) && !m->family->decoder; i++) {
        bool on;
        TT_TRY(tti_json_bool(at(m), off[i], &on, false));
        if (on)
            return tti_fail(TT_E_UNSUPPORTED,
                            "%s: %s is true; only plain encoders of type %s are "
                            "supported",
                            m->config->path, off[i], m->family->model_type);
    }
    const cJSON *pruned = tti_json_get(m->config->json, "pruned_heads");
    if (pruned && cJSON_GetArraySize(pruned) > 0)
        return tti_fail(TT_E_UNSUPPORTED, "%s: pruned_heads is not supported", m->config->path);
    return TT_OK;
}

static const char *default_act(const tti_family *f) {
    if (!f->decoder) return "gelu";
    if (f->decoder->layernorm) return "gelu_new";
    return f->decoder->embed_scale ? "gelu_pytorch_tanh" : "silu";
}

static tt_status read_sizes(tti_model *m) {
    const tti_family *f = m->family;
    tti_sizes *s = &m->sizes;
    TT_TRY(need_int(m, "vocab_size", &s->vocab, MOST));
    TT_TRY(need_int(m, f->max_pos, &s->max_pos, MOST));
    TT_TRY(need_int(m, f->hidden, &s->hidden, MOST));
    TT_TRY(need_int(m, f->layers, &s->layers, MOST_LAYERS));
    TT_TRY(need_int(m, f->heads, &s->heads, MOST));
    if (f->decoder && f->decoder->conv1d && !tti_json_get(m->config->json, f->ffn))
        s->ffn = 4 * s->hidden; /* GPT-2 leaves n_inner null */
    else
        TT_TRY(need_int(m, f->ffn, &s->ffn, MOST));
    if (s->hidden % s->heads && !(f->decoder && tti_json_get(m->config->json, "head_dim")))
        return tti_fail(TT_E_FORMAT, "%s: %s %d is no multiple of %s %d", m->config->path,
                        f->hidden, s->hidden, f->heads, s->heads);
    int64_t types = 0;
    if (f->type) TT_TRY(tti_json_int_in(at(m), "type_vocab_size", &types, 2, 1, 65536));
    s->types = (int)types;
    double eps, range;
    TT_TRY(tti_json_float(at(m), "layer_norm_eps", &eps, f->eps_default));
    s->eps = (float)(f->eps_in_config ? eps : f->eps_default);
    TT_TRY(tti_json_float(at(m), "initializer_range", &range, 0.02));
    s->init_range = (float)range;
    if (!(s->eps > 0 && s->eps < 1) || !(range > 0 && range < 100))
        return tti_fail(TT_E_FORMAT,
                        "%s: layer_norm_eps %g or initializer_range %g is out of range",
                        m->config->path, eps, range);
    const char *act;
    TT_TRY(tti_json_str(at(m), f->act, &act, default_act(f)));
    TT_TRY(read_act(m->config->path, f->act, act, &s->act));
    return tti_json_bool(at(m), "sinusoidal_pos_embds", &s->sinusoidal, false);
}

static tt_status read_pooling(tti_model *m) {
    const char *name;
    TT_TRY(tti_json_str(at(m), "tokentune_pooling", &name, "cls"));
    if (strcmp(name, "cls") && strcmp(name, "mean"))
        return tti_fail(TT_E_FORMAT, "%s: tokentune_pooling \"%s\" is neither \"cls\" nor \"mean\"",
                        m->config->path, name);
    m->info.pooling = !strcmp(name, "mean") ? TTI_POOL_MEAN : TTI_POOL_FIRST;
    if (m->opts.pooling >= 0) m->info.pooling = (tti_pool)m->opts.pooling;
    if (m->family->decoder) m->info.pooling = TTI_POOL_LAST;
    return TT_OK;
}

tt_status tti_model_read_config(tti_model *m) {
    m->family = tti_family_find(m->config->model_type);
    if (!m->family) return tti_fail_in(TT_E_UNSUPPORTED, "%s", m->config->path);
    TT_TRY(read_sizes(m));
    TT_TRY(read_dropouts(m));
    TT_TRY(refuse_variants(m));
    TT_TRY(read_pooling(m));
    if (m->family->decoder) TT_TRY(tti_decoder_read_config(m));
    if (m->opts.task == TTI_TASK_CAUSAL && !m->family->decoder)
        return tti_fail(TT_E_UNSUPPORTED, "%s: %s models classify; they do not predict tokens",
                        m->config->path, m->family->model_type);
    const tti_sizes *s = &m->sizes;
    int64_t pad;
    TT_TRY(tti_json_int_in(at(m), "pad_token_id", &pad, m->family->pad_default, -1, s->vocab - 1));
    const bool shift = m->family->pad_shifts_positions;
    if (shift && pad < 0)
        return tti_fail(TT_E_FORMAT,
                        "%s: pad_token_id: %s counts positions from it; it must be set",
                        m->config->path, m->family->model_type);
    int labels = m->opts.num_labels ? m->opts.num_labels : m->config->num_labels;
    if (m->opts.task == TTI_TASK_REGRESS) labels = 1;
    const bool causal = m->opts.task == TTI_TASK_CAUSAL;
    tti_model_info i = {.architecture = causal ? m->family->causal : m->family->architecture,
                        .vocab = s->vocab,
                        .max_len = shift ? s->max_pos - (int)pad - 1 : s->max_pos,
                        .types = s->types,
                        .layers = s->layers,
                        .hidden = s->hidden,
                        .heads = s->heads,
                        .ffn = s->ffn,
                        .num_labels = causal ? 0 : labels,
                        .posid_offset = shift ? (int)pad + 1 : 0,
                        .posid_pad = shift ? (int)pad : -1,
                        .pad_id = (int)pad,
                        .pooling = m->info.pooling,
                        .task = m->opts.task,
                        .has_types = m->family->type != NULL,
                        .has_posids = m->family->position != NULL,
                        .decoder = m->family->decoder != NULL};
    if (i.decoder && m->family->position) i.pad_id = -1; /* GPT-2's table has no padding row */
    if (i.max_len < 1)
        return tti_fail(TT_E_FORMAT, "%s: max_position_embeddings %d leaves no room for text",
                        m->config->path, s->max_pos);
    m->info = i;
    return TT_OK;
}
