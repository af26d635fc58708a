// SPDX-License-Identifier: Apache-2.0
/* rope.c - frequencies of rotary embeddings from config.json, in its older spelling (rope_theta and
 * rope_scaling) and today's (rope_parameters): plain, linear, dynamic (NTK), llama3, yarn (Peng et
 * al., arXiv 2309.00071). Arithmetic in float where transformers' is, so that angles agree. */
#include "host/model/internal.h"

#include <math.h>
#include <string.h>

typedef struct {
    const char *type, *file;
    tti_json_at at; /* the object that holds factor and the like */
    double theta, factor;
    int dim;
} settings;

static tt_status number(const settings *r, const char *key, double *out, double fallback) {
    return tti_json_float(r->at, key, out, fallback);
}

static tt_status need(const settings *r, const char *key, double *out) {
    TT_TRY(tti_json_need(r->at, key));
    return number(r, key, out, 0);
}

static void plain(const settings *r, float *f) {
    for (int i = 0; i < r->dim / 2; i++)
        f[i] = 1.0f / powf((float)r->theta, (float)(2 * i) / (float)r->dim);
}

/* Long waves are slowed by factor, short ones kept, those between blended (Llama 3.1). */
static tt_status llama3(const settings *r, float *f) {
    double low, high, original;
    TT_TRY(need(r, "low_freq_factor", &low));
    TT_TRY(need(r, "high_freq_factor", &high));
    TT_TRY(need(r, "original_max_position_embeddings", &original));
    plain(r, f);
    const float long_wave = (float)(original / low), short_wave = (float)(original / high);
    for (int i = 0; i < r->dim / 2; i++) {
        const float wave = 6.28318530717958648f / f[i];
        if (wave < short_wave) continue;
        if (wave > long_wave) {
            f[i] /= (float)r->factor;
            continue;
        }
        const float smooth = ((float)original / wave - (float)low) / (float)(high - low);
        f[i] = (1.0f - smooth) * f[i] / (float)r->factor + smooth * f[i];
    }
    return TT_OK;
}

static double yarn_edge(const settings *r, double rotations, double original) {
    return r->dim * log(original / (rotations * 2 * 3.14159265358979323846)) / (2 * log(r->theta));
}

static double yarn_mscale(double factor, double m) {
    return factor <= 1 ? 1.0 : 0.1 * m * log(factor) + 1.0;
}

static tt_status yarn(const settings *r, float *f, float *scale) {
    double original, fast, slow, m, m_all, attention;
    bool truncate;
    TT_TRY(need(r, "original_max_position_embeddings", &original));
    TT_TRY(number(r, "beta_fast", &fast, 32));
    TT_TRY(number(r, "beta_slow", &slow, 1));
    TT_TRY(number(r, "mscale", &m, 0));
    TT_TRY(number(r, "mscale_all_dim", &m_all, 0));
    TT_TRY(tti_json_bool(r->at, "truncate", &truncate, true));
    const double inferred = m != 0 && m_all != 0
                                ? yarn_mscale(r->factor, m) / yarn_mscale(r->factor, m_all)
                                : yarn_mscale(r->factor, 1);
    TT_TRY(number(r, "attention_factor", &attention, inferred));
    double low = yarn_edge(r, fast, original), high = yarn_edge(r, slow, original);
    if (truncate) low = floor(low), high = ceil(high);
    low = fmax(low, 0);
    high = fmin(high, r->dim - 1);
    if (low == high) high += 0.001;
    plain(r, f);
    for (int i = 0; i < r->dim / 2; i++) {
        float ramp = ((float)i - (float)low) / (float)(high - low);
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        const float slowed = f[i] / (float)r->factor;
        f[i] = slowed * ramp + f[i] * (1.0f - ramp);
    }
    *scale = (float)attention;
    return TT_OK;
}

/* rope_parameters, or its part for the kind of layer; else rope_scaling; theta beside either. */
static tt_status find(const tti_model *m, bool sliding, settings *r) {
    const tti_json_at top = {m->config->json, m->config->path};
    const bool nested = m->family->decoder->nested_rope;
    const char *part = sliding ? "sliding_attention" : "full_attention";
    const cJSON *today, *older, *object;
    TT_TRY(tti_json_object(top, "rope_parameters", &today));
    TT_TRY(tti_json_object(top, "rope_scaling", &older));
    object = today ? today : older;
    if (object && nested) {
        const cJSON *inner = tti_json_get(object, part);
        object = cJSON_IsObject(inner) ? inner : sliding ? NULL : object == today ? NULL : object;
    }
    double theta = 10000;
    if (nested && !sliding) theta = 1000000;
    TT_TRY(tti_json_float(top, nested && sliding ? "rope_local_base_freq" : "rope_theta", &theta,
                          theta));
    static const cJSON none = {.type = cJSON_Object};
    *r = (settings){.file = m->config->path, .at = {object ? object : &none, m->config->path}};
    TT_TRY(tti_json_float(r->at, "rope_theta", &r->theta, theta));
    TT_TRY(tti_json_str(r->at, "type", &r->type, "default"));
    return tti_json_str(r->at, "rope_type", &r->type, r->type);
}

tt_status tti_rope_frequencies(const tti_model *m, bool sliding, float *f, float *scale) {
    settings r;
    TT_TRY(find(m, sliding, &r));
    r.dim = m->sizes.rot;
    *scale = 1.0f;
    const bool longrope = !strcmp(r.type, "longrope") || !strcmp(r.type, "su");
    if (!(r.theta > 0)) return tti_fail(TT_E_FORMAT, "%s: rope_theta: expected > 0", r.file);
    if (!strcmp(r.type, "default") || !strcmp(r.type, "dynamic")) {
        plain(&r, f); /* dynamic turns as plain does up to max_position_embeddings, our limit */
        return TT_OK;
    }
    if (longrope ||
        (strcmp(r.type, "linear") && strcmp(r.type, "llama3") && strcmp(r.type, "yarn")))
        return tti_fail(TT_E_UNSUPPORTED,
                        "%s: rope type \"%s\" is not supported; default, linear, "
                        "dynamic, llama3 and yarn are",
                        r.file, r.type);
    TT_TRY(need(&r, "factor", &r.factor));
    if (!(r.factor >= 1))
        return tti_fail(TT_E_FORMAT, "%s: rope factor %g: expected 1 or more", r.file, r.factor);
    if (!strcmp(r.type, "llama3")) return llama3(&r, f);
    if (!strcmp(r.type, "yarn")) return yarn(&r, f, scale);
    plain(&r, f);
    for (int i = 0; i < r.dim / 2; i++) f[i] /= (float)r.factor;
    return TT_OK;
}
