// SPDX-License-Identifier: Apache-2.0
/* decoder_config.c - a decoder's settings out of config.json. */
#include "host/model/internal.h"

#include <math.h>
#include <string.h>

static tti_json_at at(const tti_model *m) {
    return (tti_json_at){m->config->json, m->config->path};
}

static tt_status heads(tti_model *m) {
    tti_sizes *s = &m->sizes;
    const tti_decoder *d = m->family->decoder;
    int64_t kv, dim, fallback = d->head_dim ? d->head_dim : s->hidden / s->heads;
    TT_TRY(tti_json_int_in(at(m), "num_key_value_heads", &kv, s->heads, 1, s->heads));
    TT_TRY(tti_json_int_in(at(m), "head_dim", &dim, fallback, 1, 4096));
    if (s->heads % kv)
        return tti_fail(TT_E_FORMAT,
                        "%s: num_attention_heads %d is no multiple of "
                        "num_key_value_heads %d",
                        m->config->path, s->heads, (int)kv);
    s->kv_heads = (int)kv;
    s->head_dim = (int)dim;
    double scalar = (double)dim, score = 0, logit = 0, partial;
    if (d->scalar) {
        TT_TRY(tti_json_float(at(m), "query_pre_attn_scalar", &scalar, 256));
        TT_TRY(tti_json_float(at(m), "attn_logit_softcapping", &score, 0));
        TT_TRY(tti_json_float(at(m), "final_logit_softcapping", &logit, 0));
    }
    s->scale = (float)(1.0 / sqrt(scalar));
    s->score_cap = (float)score;
    s->logit_cap = (float)logit;
    TT_TRY(tti_json_float(at(m), "partial_rotary_factor", &partial, 1.0));
    const cJSON *rope;
    TT_TRY(tti_json_object(at(m), "rope_parameters", &rope));
    if (rope)
        TT_TRY(tti_json_float((tti_json_at){rope, m->config->path}, "partial_rotary_factor",
                              &partial, partial));
    s->rot = m->family->position ? 0 : (int)((double)dim * partial);
    if (s->rot % 2 || s->rot > s->head_dim || s->rot < 0)
        return tti_fail(TT_E_FORMAT, "%s: %d columns of a head of %d cannot turn in pairs",
                        m->config->path, s->rot, s->head_dim);
    return TT_OK;
}

/* Whether layer i attends to a window, by the family's rule; layer_types, where given, decides. */
static tt_status windows(tti_model *m) {
    const tti_decoder *d = m->family->decoder;
    tti_sizes *s = &m->sizes;
    int64_t window = 0, upper = 0, pattern = d->window_pattern;
    bool use = true;
    if (!(s->sliding = tti_calloc((size_t)s->layers, 1))) return TT_E_NOMEM;
    if (d->window == TTI_WINDOW_NONE) return TT_OK;
    TT_TRY(tti_json_int_in(at(m), "sliding_window", &window, 0, 1, INT32_MAX));
    if (d->window == TTI_WINDOW_UPPER) {
        TT_TRY(tti_json_bool(at(m), "use_sliding_window", &use, false));
        TT_TRY(tti_json_int_in(at(m), "max_window_layers", &upper, 28, 0, INT32_MAX));
    }
    if (d->window == TTI_WINDOW_EVERY)
        TT_TRY(tti_json_int_in(at(m), "sliding_window_pattern", &pattern, pattern, 1, 1 << 20));
    if (!use || !window) return TT_OK;
    s->window = (int)window;
    const cJSON *types;
    TT_TRY(tti_json_array(at(m), "layer_types", &types));
    if (types && cJSON_GetArraySize(types) != s->layers)
        return tti_fail(TT_E_FORMAT, "%s: layer_types: expected one for each of %d layers",
                        m->config->path, s->layers);
    for (int i = 0; i < s->layers; i++) {
        const cJSON *t = types ? cJSON_GetArrayItem(types, i) : NULL;
        if (t && cJSON_IsString(t))
            s->sliding[i] = !strcmp(t->valuestring, "sliding_attention");
        else if (d->window == TTI_WINDOW_UPPER)
            s->sliding[i] = i >= upper;
        else
            s->sliding[i] = d->window == TTI_WINDOW_ALL || (i + 1) % pattern != 0;
    }
    return TT_OK;
}

static tt_status ropes(tti_model *m) {
    tti_sizes *s = &m->sizes;
    const int kinds = s->rot == 0 ? 0 : m->family->decoder->nested_rope ? 2 : 1;
    for (int i = 0; i < kinds; i++) {
        s->inv_freq[i] = tti_calloc((size_t)s->rot / 2, sizeof(float));
        if (!s->inv_freq[i]) return TT_E_NOMEM;
        TT_TRY(tti_rope_frequencies(m, i == 1, s->inv_freq[i], &s->rope_scale[i]));
    }
    return TT_OK;
}

tt_status tti_decoder_read_config(tti_model *m) {
    const tti_decoder *d = m->family->decoder;
    tti_sizes *s = &m->sizes;
    TT_TRY(heads(m));
    TT_TRY(windows(m));
    TT_TRY(ropes(m));
    TT_TRY(tti_json_bool(at(m), "tie_word_embeddings", &s->tied, d->tie));
    TT_TRY(tti_json_bool(at(m), "attention_bias", &s->attention_bias, false));
    TT_TRY(tti_json_bool(at(m), "mlp_bias", &s->mlp_bias, false));
    double eps;
    TT_TRY(tti_json_float(at(m), d->eps, &eps, m->family->eps_default));
    s->eps = (float)eps;
    static const char *const off[] = {"use_bidirectional_attention",
                                      "scale_attn_by_inverse_layer_idx", "add_cross_attention"};
    for (size_t i = 0; i < TT_COUNT(off); i++) {
        bool on;
        TT_TRY(tti_json_bool(at(m), off[i], &on, false));
        if (on)
            return tti_fail(TT_E_UNSUPPORTED, "%s: %s is true; that is not supported",
                            m->config->path, off[i]);
    }
    return TT_OK;
}
