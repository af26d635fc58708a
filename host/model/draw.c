// SPDX-License-Identifier: Apache-2.0
/* draw.c - fresh numbers of parameters, from the seed and the parameter's name. Each element has a
 * counter of its own, so that any part can be drawn by itself. */
#include <math.h>
#include <string.h>
#include "host/core/philox.h"
#include "host/model/internal.h"

/* A stream of its own for each name: adding a parameter leaves the others' draws as they are. */
static uint32_t name_key(const char *name) {
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; *name; name++) h = (h ^ (uint8_t)*name) * 16777619u;
    return h;
}

/* Elements first .. first+n-1, first even. */
static void draw_normal(float *dst, size_t first, size_t n, uint32_t seed, uint32_t key,
                        float std) {
    for (size_t i = 0; i < n; i += 2) { /* Box-Muller, two a draw */
        const uint64_t at = (first + i) / 2;
        tti_philox_out r =
            tti_philox((uint32_t)at, (uint32_t)(at >> 32), key, TTI_STREAM_INIT, seed, 0);
        float radius = sqrtf(-2.0f * logf(1.0f - tti_unit(r.v[0])));
        float angle = 6.28318530717958648f * tti_unit(r.v[1]);
        dst[i] = std * radius * cosf(angle);
        if (i + 1 < n) dst[i + 1] = std * radius * sinf(angle);
    }
}

static void draw_uniform(float *dst, size_t first, size_t n, uint32_t seed, uint32_t key,
                         float bound) {
    for (size_t i = 0; i < n; i++) {
        const uint64_t at = first + i;
        tti_philox_out r =
            tti_philox((uint32_t)at, (uint32_t)(at >> 32), key, TTI_STREAM_INIT, seed, 1);
        dst[i] = bound * (2.0f * tti_unit(r.v[0]) - 1.0f);
    }
}

/* DistilBERT's fixed table: sines in even columns, cosines in odd ones. */
static void sinusoids(float *dst, size_t first, size_t n, size_t cols) {
    for (size_t i = 0; i < n; i++) {
        const size_t r = (first + i) / cols, c = (first + i) % cols;
        const double angle = (double)r / pow(10000.0, 2.0 * (double)(c / 2) / (double)cols);
        dst[i] = (float)(c % 2 ? cos(angle) : sin(angle));
    }
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), k = strlen(end);
    return n >= k && !strcmp(s + n - k, end);
}

/* The pad token's embedding is zero. */
static void clear_pad(const tti_model *m, const tti_param *p, float *dst, size_t first, size_t n) {
    if (m->info.pad_id < 0 || !strstr(p->name, m->family->word)) return;
    const size_t pad = (size_t)m->info.pad_id * p->cols;
    for (size_t i = 0; i < n; i++)
        if (first + i >= pad && first + i < pad + p->cols) dst[i] = 0;
}

static tt_status draw(const tti_source *from, size_t first, size_t n, float *dst) {
    const tti_model *m = from->data;
    const tti_param *p = from->more;
    const uint32_t key = name_key(p->name);
    memset(dst, 0, n * sizeof *dst);
    if (strstr(p->name, ".lora_A.")) /* as PEFT: kaiming uniform with a = sqrt(5) */
        draw_uniform(dst, first, n, m->opts.seed, key, 1.0f / sqrtf((float)p->cols));
    else if (strstr(p->name, ".lora_B."))
        return TT_OK;
    else if (p->vector) { /* biases 0, norms 1 */
        const bool shifted = m->family->decoder && m->family->decoder->norm_plus != 0;
        for (size_t i = 0; i < n && ends_with(p->name, "weight") && !shifted; i++) dst[i] = 1.0f;
    } else if (m->sizes.sinusoidal && strstr(p->name, m->family->position))
        sinusoids(dst, first, n, p->cols);
    else {
        draw_normal(dst, first, n, m->opts.seed, key, m->sizes.init_range);
        clear_pad(m, p, dst, first, n);
    }
    return TT_OK;
}

tti_source tti_draw_source(const tti_model *m, const tti_param *p) {
    return (tti_source){.read = draw, .name = p->name, .data = m, .more = p};
}
