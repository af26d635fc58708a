// SPDX-License-Identifier: Apache-2.0
/* weights.c - parameters out of a checkpoint, or drawn where it has none. */
#include "host/core/file.h"
#include "host/core/philox.h"
#include "host/model/internal.h"

#include <math.h>
#include <string.h>

static size_t count_of(const tti_param *p) { return p->rows * p->cols; }

/* A stream of its own for each name: adding a parameter leaves the others' draws as they are. */
static uint32_t name_key(const char *name) {
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; *name; name++) h = (h ^ (uint8_t)*name) * 16777619u;
    return h;
}

static void draw_normal(float *dst, size_t n, uint32_t seed, uint32_t key, float std) {
    for (size_t i = 0; i < n; i += 2) { /* Box-Muller, two a draw */
        tti_philox_out r = tti_philox((uint32_t)(i / 2), (uint32_t)((uint64_t)(i / 2) >> 32), key,
                                      TTI_STREAM_INIT, seed, 0);
        float radius = sqrtf(-2.0f * logf(1.0f - tti_unit(r.v[0])));
        float angle = 6.28318530717958648f * tti_unit(r.v[1]);
        dst[i] = std * radius * cosf(angle);
        if (i + 1 < n) dst[i + 1] = std * radius * sinf(angle);
    }
}

static void draw_uniform(float *dst, size_t n, uint32_t seed, uint32_t key, float bound) {
    for (size_t i = 0; i < n; i++) {
        tti_philox_out r =
            tti_philox((uint32_t)i, (uint32_t)((uint64_t)i >> 32), key, TTI_STREAM_INIT, seed, 1);
        dst[i] = bound * (2.0f * tti_unit(r.v[0]) - 1.0f);
    }
}

/* DistilBERT's fixed table: sines in even columns, cosines in odd ones. */
static void sinusoids(float *dst, size_t rows, size_t cols) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++) {
            double angle = (double)r / pow(10000.0, 2.0 * (double)(c / 2) / (double)cols);
            dst[r * cols + c] = (float)(c % 2 ? cos(angle) : sin(angle));
        }
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), k = strlen(end);
    return n >= k && !strcmp(s + n - k, end);
}

static void draw(const tti_model *m, const tti_param *p, float *dst) {
    const size_t n = count_of(p);
    const uint32_t key = name_key(p->name);
    memset(dst, 0, n * sizeof *dst);
    if (strstr(p->name, ".lora_A.")) /* as PEFT: kaiming uniform with a = sqrt(5) */
        draw_uniform(dst, n, m->opts.seed, key, 1.0f / sqrtf((float)p->cols));
    else if (strstr(p->name, ".lora_B."))
        return;
    else if (p->vector) { /* biases 0, norms 1 */
        for (size_t i = 0; i < n && ends_with(p->name, "weight"); i++) dst[i] = 1.0f;
        if (m->family->decoder && m->family->decoder->norm_plus != 0)
            memset(dst, 0, n * sizeof *dst);
    } else if (m->sizes.sinusoidal && strstr(p->name, m->family->position))
        sinusoids(dst, p->rows, p->cols);
    else {
        draw_normal(dst, n, m->opts.seed, key, m->sizes.init_range);
        if (m->info.pad_id >= 0 && strstr(p->name, m->family->word))
            memset(dst + (size_t)m->info.pad_id * p->cols, 0, p->cols * sizeof *dst);
    }
}

tt_status tti_model_fresh(tti_model *m, size_t i) {
    m->fresh[i] = 1;
    if (!m->dev) return TT_OK;
    const tti_param *p = &m->params[i];
    if (p->computed) return tti_model_write(m, p, m->sizes.inv_freq[(int)i == m->rope[1]]);
    float *values = tti_malloc(count_of(p) * sizeof *values);
    if (!values) return TT_E_NOMEM;
    draw(m, p, values);
    tt_status s = tti_model_write(m, p, values);
    tti_free(values);
    return s;
}

static bool shape_fits(const tti_param *p, const tti_st_tensor *t) {
    if (p->vector) return t->rank == 1 && t->dim[0] == p->cols;
    return t->rank == 2 && t->dim[0] == p->rows && t->dim[1] == p->cols;
}

tt_status tti_model_take(tti_model *m, size_t i, const tti_st_tensor *t) {
    const tti_param *p = &m->params[i];
    char shape[200], asked[64];
    if (p->vector)
        snprintf(asked, sizeof asked, "[%zu]", p->cols);
    else
        snprintf(asked, sizeof asked, "[%zu, %zu]", p->rows, p->cols);
    if (!shape_fits(p, t))
        return tti_fail(TT_E_SHAPE,
                        "%s: %s is %s, config.json asks for %s; the two files belong to "
                        "different models",
                        t->file, t->name, tti_st_shape_text(t, shape), asked);
    if (!m->dev) return TT_OK;
    const size_t n = count_of(p);
    float *values = tti_malloc(n * sizeof *values);
    if (!values) return TT_E_NOMEM;
    tt_status s;
    TT_GO(tti_st_read_f32(t, values, 0, n));
    for (size_t k = 0; k < n; k++)
        if (!isfinite(values[k])) {
            s = tti_fail(TT_E_NUMERIC, "%s: %s: element %zu is %g; the checkpoint is damaged",
                         t->file, t->name, k, (double)values[k]);
            goto done;
        }
    s = tti_model_write(m, p, values);
done:
    tti_free(values);
    return s;
}

const tti_st_tensor *tti_model_stored(const tti_model *m, const tti_st *st, const char *name) {
    const size_t prefix = strlen(m->family->prefix);
    const bool body = !strncmp(name, m->family->prefix, prefix);
    for (int bare = 0; bare <= (body ? 1 : 0); bare++) {
        const char *base = bare ? name + prefix : name;
        const tti_st_tensor *t = tti_st_find(st, base);
        if (t) return t;
        const char *leaf = strrchr(base, '.');
        char old[256];
        snprintf(old, sizeof old, "%.*s.%s", (int)(leaf - base), base,
                 !strcmp(leaf, ".weight") ? "gamma" : "beta");
        t = tti_st_find(st, old);
        if (t) return t;
    }
    return NULL;
}

static bool in_head(const tti_model *m, const char *name) {
    const tti_family *f = m->family;
    if (f->decoder) return !strncmp(name, f->classifier, strlen(f->classifier));
    char dense[192];
    if (f->dense.in_body)
        tti_body_name(m, dense, "%s", f->dense.module);
    else
        snprintf(dense, sizeof dense, "%s", f->dense.module);
    return !strncmp(name, dense, strlen(dense)) ||
           !strncmp(name, f->classifier, strlen(f->classifier));
}

/* The last layer: its size is the number of labels. */
static bool is_classifier(const tti_model *m, const char *name) {
    size_t n = strlen(m->family->classifier);
    return !strncmp(name, m->family->classifier, n) && name[n] == '.';
}

static void report(const tti_model *m, const tti_st *st, size_t used) {
    char fresh[256] = "";
    for (size_t i = 0; i < m->nparams; i++) {
        const tti_param *p = &m->params[i];
        if (!m->fresh[i] || p->computed || strstr(p->name, ".lora_")) continue;
        bool follows = false; /* the adapter's file has it */
        if (m->opts.adapter) tti_lora_in_file(m, i, &follows);
        if (follows) continue;
        size_t n = strlen(fresh);
        snprintf(fresh + n, sizeof fresh - n, "%s%s", n ? ", " : "", p->name);
    }
    if (*fresh && m->dev)
        tti_info("not in the checkpoint, drawn fresh from seed %u: %s", m->opts.seed, fresh);
    if (tti_st_count(st) > used)
        tti_debug("%zu tensors of the checkpoint are not used", tti_st_count(st) - used);
}

static tt_status load_one(tti_model *m, const tti_st *st, size_t i, size_t *used) {
    const tti_param *p = &m->params[i];
    if (p->computed || strstr(p->name, ".lora_")) return tti_model_fresh(m, i);
    const tti_st_tensor *t = tti_model_stored(m, st, p->name);
    const bool new_size = t && is_classifier(m, p->name) && !shape_fits(p, t);
    bool follows = false; /* a classifier trained with the adapter, whose file has it */
    if (new_size && m->opts.adapter) TT_TRY(tti_lora_in_file(m, i, &follows));
    if (new_size && m->opts.frozen && !follows)
        return tti_fail(TT_E_SHAPE, "%s: %s is for another number of labels than %d", t->file,
                        t->name, m->info.num_labels);
    if (t && !new_size && !(m->opts.fresh_head && is_classifier(m, p->name))) {
        (*used)++;
        return tti_model_take(m, i, t);
    }
    if (in_head(m, p->name)) return tti_model_fresh(m, i);
    return tti_fail(TT_E_FORMAT, "%s: the checkpoint has no tensor %s", m->dir, p->name);
}

tt_status tti_model_load_weights(tti_model *m) {
    if (m->opts.random_weights) {
        for (size_t i = 0; i < m->nparams; i++) TT_TRY(tti_model_fresh(m, i));
        return TT_OK;
    }
    tti_st *st;
    TT_TRY(tti_st_open(&st, m->dir));
    tt_status s = TT_OK;
    size_t used = 0;
    for (size_t i = 0; i < m->nparams && s == TT_OK; i++) s = load_one(m, st, i, &used);
    if (s == TT_OK) report(m, st, used);
    tti_st_close(st);
    return s;
}
