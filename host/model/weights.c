// SPDX-License-Identifier: Apache-2.0
/* weights.c - parameters out of a checkpoint, or drawn where it has none. */
#include "host/core/file.h"
#include "host/model/internal.h"

#include <string.h>

tt_status tti_model_fresh(tti_model *m, size_t i) {
    m->fresh[i] = 1;
    if (!m->dev) return TT_OK;
    const tti_param *p = &m->params[i];
    if (p->computed) return tti_model_write(m, p, m->sizes.inv_freq[(int)i == m->rope[1]]);
    const tti_source from = tti_draw_source(m, p);
    return tti_model_send(m, p, &from);
}

static tt_status lookup(const tti_st *st, const char *name, tti_stored *out) {
    out->t = tti_st_find(st, name);
    return out->t ? tti_quantised_find(st, name, &out->quantised, &out->layout) : TT_OK;
}

tt_status tti_model_stored(const tti_model *m, const tti_st *st, const char *name,
                           tti_stored *out) {
    const size_t prefix = strlen(m->family->prefix);
    const bool body = !strncmp(name, m->family->prefix, prefix);
    *out = (tti_stored){.st = st};
    for (int bare = 0; bare <= (body ? 1 : 0); bare++) {
        const char *base = bare ? name + prefix : name;
        TT_TRY(lookup(st, base, out));
        if (out->t) return TT_OK;
        const char *leaf = strrchr(base, '.');
        char old[256];
        snprintf(old, sizeof old, "%.*s.%s", (int)(leaf - base), base,
                 !strcmp(leaf, ".weight") ? "gamma" : "beta");
        TT_TRY(lookup(st, old, out));
        if (out->t) return TT_OK;
    }
    return TT_OK;
}

/* Whether the file has rows and columns the other way: a Conv1D's weight is [in, out] in plain
 * files and [out, in] in those of bitsandbytes. */
static bool is_turned(const tti_param *p, const tti_stored *x) {
    const bool bnb = x->quantised && x->layout.type == TTI_NF4;
    return (p->turned && !bnb) || (p->transposed && bnb);
}

static bool shape_fits(const tti_param *p, const tti_stored *x) {
    const bool turned = is_turned(p, x);
    const size_t rows = turned ? p->cols : p->rows, cols = turned ? p->rows : p->cols;
    const tti_st_tensor *t = x->t;
    if (x->quantised) return x->layout.rows == rows && x->layout.cols == cols && !p->vector;
    if (p->vector) return t->rank == 1 && t->dim[0] == p->cols;
    return t->rank == 2 && t->dim[0] == rows && t->dim[1] == cols;
}

bool tti_model_stored_alike(const tti_param *p, const tti_stored *x) {
    return x->t && x->quantised && !is_turned(p, x) && shape_fits(p, x);
}

static tt_status check_shape(const tti_param *p, const tti_stored *x) {
    char shape[200], asked[64];
    if (shape_fits(p, x)) return TT_OK;
    if (p->vector)
        snprintf(asked, sizeof asked, "[%zu]", p->cols);
    else if (is_turned(p, x))
        snprintf(asked, sizeof asked, "[%zu, %zu]", p->cols, p->rows);
    else
        snprintf(asked, sizeof asked, "[%zu, %zu]", p->rows, p->cols);
    if (x->quantised)
        snprintf(shape, sizeof shape, "[%zu, %zu]", x->layout.rows, x->layout.cols);
    else
        tti_st_shape_text(x->t, shape);
    return tti_fail(TT_E_SHAPE,
                    "%s: %s is %s, config.json asks for %s; the two files belong to different "
                    "models",
                    x->t->file, x->t->name, shape, asked);
}

static tt_status read_tensor(const tti_source *from, size_t first, size_t count, float *dst) {
    return tti_st_read_f32(from->data, dst, first, count);
}

/* The pages that were read stay in no one's memory but the system's. */
static void drop_tensor(const tti_source *from) { tti_st_drop(from->data); }

static tt_status read_packed(const tti_source *from, size_t first, size_t count, float *dst) {
    tti_dequantise(from->more, from->data, first, count, dst);
    return TT_OK;
}

/* data: the whole tensor, of p's columns and rows. */
static tt_status read_turned(const tti_source *from, size_t first, size_t count, float *dst) {
    const tti_param *p = from->more;
    const float *v = from->data;
    for (size_t i = 0; i < count; i++)
        dst[i] = v[(first + i) % p->cols * p->rows + (first + i) / p->cols];
    return TT_OK;
}

static tt_status send_turned(tti_model *m, const tti_param *p, const tti_source *from) {
    const size_t count = p->rows * p->cols;
    float *whole = tti_malloc(count * sizeof *whole);
    tt_status s = whole ? from->read(from, 0, count, whole) : TT_E_NOMEM;
    if (s == TT_OK && from->done) from->done(from);
    const tti_source turned = {.read = read_turned, .name = from->name, .data = whole, .more = p};
    if (s == TT_OK) s = tti_model_send(m, p, &turned);
    tti_free(whole);
    return s;
}

static bool same_layout(const tti_layout *a, const tti_layout *b) {
    return a->type == b->type && a->block == b->block && a->has_nested == b->has_nested;
}

static tt_status take_quantised(tti_model *m, const tti_param *p, const tti_stored *x,
                                const char *name) {
    uint8_t *packed = tti_malloc(x->layout.bytes);
    if (!packed) return TT_E_NOMEM;
    tt_status s = tti_quantised_fill(x->st, x->t->name, &x->layout, packed);
    tti_quantised_drop(x->st, x->t->name);
    const tti_source from = {.read = read_packed, .name = name, .data = packed, .more = &x->layout};
    if (s == TT_OK && is_turned(p, x))
        s = send_turned(m, p, &from);
    else if (s == TT_OK && same_layout(&x->layout, &p->layout))
        s = tti_model_send_packed(m, p, packed);
    else if (s == TT_OK)
        s = tti_model_send(m, p, &from);
    tti_free(packed);
    return s;
}

tt_status tti_model_take(tti_model *m, size_t i, const tti_stored *x) {
    const tti_param *p = &m->params[i];
    TT_TRY(check_shape(p, x));
    if (!m->dev) return TT_OK;
    char name[512];
    snprintf(name, sizeof name, "%s: %s", x->t->file, x->t->name);
    if (x->quantised) return take_quantised(m, p, x, name);
    const tti_source from = {.read = read_tensor, .done = drop_tensor, .name = name, .data = x->t};
    return is_turned(p, x) ? send_turned(m, p, &from) : tti_model_send(m, p, &from);
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

static tt_status load_one(tti_model *m, size_t i, size_t *used) {
    const tti_param *p = &m->params[i];
    tti_stored x;
    if (p->computed || strstr(p->name, ".lora_")) return tti_model_fresh(m, i);
    TT_TRY(tti_model_stored(m, m->st, p->name, &x));
    const bool new_size = x.t && is_classifier(m, p->name) && !shape_fits(p, &x);
    bool follows = false; /* a classifier trained with the adapter, whose file has it */
    if (new_size && m->opts.adapter) TT_TRY(tti_lora_in_file(m, i, &follows));
    if (new_size && m->opts.frozen && !follows)
        return tti_fail(TT_E_SHAPE, "%s: %s is for another number of labels than %d", x.t->file,
                        x.t->name, m->info.num_labels);
    if (x.t && !new_size && !(m->opts.fresh_head && is_classifier(m, p->name))) {
        (*used)++;
        return tti_model_take(m, i, &x);
    }
    if (tti_model_in_head(m, p->name)) return tti_model_fresh(m, i);
    return tti_fail(TT_E_FORMAT, "%s: the checkpoint has no tensor %s", m->dir, p->name);
}

tt_status tti_model_open_checkpoint(tti_model *m) {
    if (m->opts.random_weights) return TT_OK;
    if (m->dev || m->opts.check_weights) return tti_st_open(&m->st, m->dir);
    if (m->quant.type == TTI_F32) return TT_OK;
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json"};
    bool found = false; /* planning goes by config.json alone where there are no weights */
    for (size_t i = 0; i < TT_COUNT(names) && !found; i++) {
        char *path = tti_path_join(m->dir, names[i]);
        if (!path) return TT_E_NOMEM;
        found = tti_file_exists(path);
        tti_free(path);
    }
    return found ? tti_st_open(&m->st, m->dir) : TT_OK;
}

void tti_model_close_checkpoint(tti_model *m) {
    tti_st_close(m->st);
    m->st = NULL;
}

tt_status tti_model_load_weights(tti_model *m) {
    size_t used = 0;
    for (size_t i = 0; i < m->nparams; i++)
        TT_TRY(m->opts.random_weights ? tti_model_fresh(m, i) : load_one(m, i, &used));
    if (m->st) report(m, m->st, used);
    return TT_OK;
}
