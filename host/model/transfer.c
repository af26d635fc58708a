// SPDX-License-Identifier: Apache-2.0
/* transfer.c - numbers of parameters on their way into device memory and back. What is loaded,
 * drawn or written passes through chunks of bounded size, in which several threads convert it to
 * the parameter's type: host memory never holds a parameter as a whole, only a quantised one's
 * scales. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include "host/model/internal.h"

enum {
    CHUNK = 1 << 22,  /* elements on their way to the device at a time */
    PIECE = 1 << 17,  /* elements that a thread converts at a time: they stay in its cache */
    MOST_THREADS = 16 /* the bus is the limit then */
};

static size_t data_bytes(tti_dtype type, size_t count) {
    if (type == TTI_NF4) return (count + 1) / 2;
    if (type == TTI_Q8) return count;
    return count * (type == TTI_F32 ? 4 : 2);
}

/* One chunk of a slab: elements first .. first+count-1 of the parameter. */
typedef struct {
    const tti_source *from;
    tti_dtype type;
    size_t block; /* 0 for plain types */
    size_t first, count, piece;
    uint8_t *data; /* converted, without scales */
    float *scales; /* of the chunk's blocks */
    atomic_size_t next;
    atomic_bool stop;
} chunk;

/* What a thread works with. */
typedef struct {
    chunk *c;
    pthread_t thread;
    float *values;
    uint8_t *packed;
    tt_status status;
    size_t failed; /* piece */
    char message[512];
} worker;

/* ---- converting ---- */

/* What rounds to infinity. */
static float limit_of(tti_dtype type) {
    return type == TTI_F16 ? 65520.0f : type == TTI_BF16 ? 0x1.ffp127f : INFINITY;
}

static tt_status check_values(const chunk *c, const float *v, size_t first, size_t n) {
    const float limit = limit_of(c->type);
    for (size_t i = 0; i < n; i++) {
        if (fabsf(v[i]) < limit) continue;
        if (!isfinite(v[i]))
            return tti_fail(TT_E_NUMERIC, "%s: element %zu is %g; the checkpoint is damaged",
                            c->from->name, first + i, (double)v[i]);
        return tti_fail(TT_E_NUMERIC, "%s: element %zu is %g, which %s cannot hold; use %s",
                        c->from->name, first + i, (double)v[i], tti_dtype_name(c->type),
                        c->type == TTI_F16 ? "bf16" : "f32");
    }
    return TT_OK;
}

static tt_status convert(worker *w, size_t piece) {
    chunk *c = w->c;
    const size_t at = piece * c->piece, n = TT_MIN(c->piece, c->count - at);
    const tti_layout l = tti_layout_of(c->type, 1, n, c->block, false);
    TT_TRY(c->from->read(c->from, c->first + at, n, w->values));
    TT_TRY(check_values(c, w->values, c->first + at, n));
    TT_TRY(tti_quantise(&l, w->values, w->packed));
    memcpy(c->data + data_bytes(c->type, at), w->packed, data_bytes(c->type, n));
    if (c->block) memcpy(c->scales + at / c->block, w->packed + l.scales, l.blocks * sizeof(float));
    return TT_OK;
}

static void *work(void *arg) {
    worker *w = arg;
    chunk *c = w->c;
    for (size_t i; w->status == TT_OK && !atomic_load(&c->stop);) {
        i = atomic_fetch_add(&c->next, 1);
        if (i * c->piece >= c->count) break;
        w->status = convert(w, i);
        w->failed = i;
    }
    if (w->status != TT_OK) { /* the message is this thread's own */
        snprintf(w->message, sizeof w->message, "%s", tt_error());
        atomic_store(&c->stop, true);
    }
    return NULL;
}

/* The failure of the first piece that failed, whichever thread found it. */
static tt_status first_failure(const worker *w, size_t n) {
    const worker *first = NULL;
    for (size_t i = 0; i < n; i++)
        if (w[i].status != TT_OK && (!first || w[i].failed < first->failed)) first = &w[i];
    return first ? tti_fail(first->status, "%s", first->message) : TT_OK;
}

static tt_status convert_chunk(chunk *c, worker *w, size_t nworkers) {
    const size_t pieces = (c->count + c->piece - 1) / c->piece, n = TT_MIN(pieces, nworkers);
    size_t started = 1;
    atomic_store(&c->next, 0);
    for (size_t i = 0; i < n; i++) w[i].status = TT_OK, w[i].c = c;
    while (started < n && !pthread_create(&w[started].thread, NULL, work, &w[started])) started++;
    work(&w[0]);
    for (size_t i = 1; i < started; i++) pthread_join(w[i].thread, NULL);
    return first_failure(w, started);
}

/* ---- buffers ---- */

typedef struct {
    chunk c;
    worker *workers;
    size_t nworkers;
    float *scales; /* of all the parameter's blocks */
} transfer;

static size_t threads(size_t pieces) {
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return TT_MAX(TT_MIN(TT_MIN((size_t)TT_MAX(n, 1), pieces), (size_t)MOST_THREADS), 1);
}

static tt_status begin(transfer *t, const tti_param *p, const tti_source *from) {
    const tti_layout *l = &p->layout;
    const size_t count = p->rows * p->cols, even = l->block ? l->block : 2;
    *t = (transfer){.c = {.from = from, .type = l->type, .block = l->block}};
    t->c.piece = TT_MAX(PIECE / even, 1) * even;
    t->nworkers = threads(TT_MIN(count, (size_t)CHUNK) / t->c.piece + 1);
    const size_t most = TT_MIN(count, t->c.piece);
    const size_t packed = tti_layout_of(l->type, 1, most, l->block, false).bytes;
    t->workers = tti_calloc(t->nworkers, sizeof *t->workers);
    t->c.data = tti_malloc(data_bytes(l->type, TT_MIN(count, (size_t)CHUNK + t->c.piece)));
    if (!t->workers || !t->c.data) return TT_E_NOMEM;
    for (size_t i = 0; i < t->nworkers; i++) {
        t->workers[i].values = tti_malloc(most * sizeof(float));
        t->workers[i].packed = tti_malloc(packed);
        if (!t->workers[i].values || !t->workers[i].packed) return TT_E_NOMEM;
    }
    if (l->block && !(t->scales = tti_malloc(l->blocks * sizeof *t->scales))) return TT_E_NOMEM;
    return TT_OK;
}

static void end(transfer *t) {
    for (size_t i = 0; t->workers && i < t->nworkers; i++) {
        tti_free(t->workers[i].values);
        tti_free(t->workers[i].packed);
    }
    tti_free(t->workers);
    tti_free(t->c.data);
    tti_free(t->scales);
}

/* ---- to the device ---- */

/* Into a slab of device memory, or of host memory. */
static tt_status put(tti_model *m, const tti_slab *s, size_t offset, const void *src,
                     size_t bytes) {
    uint8_t *host = m->hosts[s - m->slabs];
    if (!host) return tti_mem_write(m->dev, s->mem, offset, src, bytes);
    memcpy(host + offset, src, bytes);
    return TT_OK;
}

/* The numbers of a slab, without what lies behind them. */
static tt_status send_data(transfer *t, tti_model *m, const tti_slab *s) {
    const size_t count = s->rows * s->layout.cols, before = s->row0 * s->layout.cols;
    const size_t step = TT_MAX(CHUNK / t->c.piece, 1) * t->c.piece;
    for (size_t at = 0; at < count; at += step) {
        t->c.first = before + at;
        t->c.count = TT_MIN(step, count - at);
        t->c.scales = t->scales ? t->scales + t->c.first / t->c.block : NULL;
        TT_TRY(convert_chunk(&t->c, t->workers, t->nworkers));
        if (t->c.from->done) t->c.from->done(t->c.from);
        TT_TRY(put(m, s, data_bytes(t->c.type, at), t->c.data, data_bytes(t->c.type, t->c.count)));
    }
    return TT_OK;
}

/* NF4: a small matrix whose blocks of two are {scale, 0} has the scales, nested or not, and the
 * tables that the parameter is to have. Gives *out. */
static tt_status nest(const transfer *t, const tti_layout *l, tti_layout *small, uint8_t **out) {
    float *pairs = tti_calloc(l->blocks, 2 * sizeof *pairs);
    *small = tti_layout_of(l->type, 1, 2 * l->blocks, 2, l->has_nested);
    *out = tti_malloc(small->bytes);
    tt_status s = pairs && *out ? TT_OK : TT_E_NOMEM;
    for (size_t i = 0; i < l->blocks && s == TT_OK; i++) pairs[2 * i] = t->scales[i];
    if (s == TT_OK) s = tti_quantise(small, pairs, *out);
    tti_free(pairs);
    return s;
}

/* Copies what a slab has of a section: entries of `size` bytes, from number `first` of the whole.
 */
static void section(uint8_t *tail, size_t to, const uint8_t *from, size_t first, size_t n,
                    size_t size) {
    memcpy(tail + to, from + first * size, n * size);
}

/* What lies behind the numbers of a slab: out of `from`, in layout `of`, which has the sections of
 * the whole parameter; or, of NULL, the scales as they are. */
static tt_status send_tail(tti_model *m, const tti_slab *s, const tti_layout *of,
                           const uint8_t *from, const float *scales) {
    const tti_layout *l = &s->layout;
    const size_t data = data_bytes(l->type, s->rows * l->cols);
    const size_t block = s->row0 * l->cols / l->block;
    uint8_t *tail = tti_calloc(l->bytes - data, 1);
    if (!tail) return TT_E_NOMEM;
    section(tail, l->scales - data, from ? from + of->scales : (const uint8_t *)scales, block,
            l->blocks, l->has_nested ? 1 : 4);
    if (l->has_nested)
        section(tail, l->nested - data, from + of->nested, block / TTI_NESTED_BLOCK,
                l->nested_blocks, 4);
    if (l->type == TTI_NF4)
        section(tail, l->tables - data, from + of->tables, 0, 1, l->bytes - l->tables);
    tt_status st = put(m, s, data, tail, l->bytes - data);
    tti_free(tail);
    return st;
}

tt_status tti_model_send_packed(tti_model *m, const tti_param *p, const uint8_t *packed) {
    const tti_layout *l = &p->layout;
    for (size_t k = 0; k < p->nslabs; k++) {
        const tti_slab *s = &p->slabs[k];
        TT_TRY(put(m, s, 0, packed + data_bytes(l->type, s->row0 * l->cols),
                   data_bytes(l->type, s->rows * l->cols)));
        TT_TRY(send_tail(m, s, l, packed, NULL));
    }
    return TT_OK;
}

tt_status tti_model_send(tti_model *m, const tti_param *p, const tti_source *from) {
    transfer t;
    tti_layout small = {0};
    uint8_t *packed = NULL;
    tt_status s;
    TT_GO(begin(&t, p, from));
    for (size_t k = 0; k < p->nslabs; k++) TT_GO(send_data(&t, m, &p->slabs[k]));
    if (p->layout.type == TTI_NF4) TT_GO(nest(&t, &p->layout, &small, &packed));
    for (size_t k = 0; k < p->nslabs && p->layout.block; k++)
        TT_GO(send_tail(m, &p->slabs[k], &small, packed, t.scales));
done:
    tti_free(packed);
    end(&t);
    return s;
}

/* ---- from the device ---- */

/* Elements first .. first+count-1 of a slab, which host memory may hold; of a quantised one on the
 * device, all of it is read for them. */
static tt_status fetch(tti_device *d, const tti_slab *s, const void *host, size_t first,
                       size_t count, float *dst) {
    const tti_layout *l = &s->layout;
    if (host) {
        tti_dequantise(l, host, first, count, dst);
        return TT_OK;
    }
    if (l->type == TTI_F32)
        return tti_mem_read(d, s->mem, first * sizeof *dst, dst, count * sizeof *dst);
    const bool whole = l->block > 0;
    const tti_layout part = whole ? *l : tti_layout_of(l->type, 1, count, 0, false);
    uint8_t *packed = tti_malloc(part.bytes);
    if (!packed) return TT_E_NOMEM;
    tt_status st =
        tti_mem_read(d, s->mem, whole ? 0 : data_bytes(l->type, first), packed, part.bytes);
    if (st == TT_OK) tti_dequantise(&part, packed, whole ? first : 0, count, dst);
    tti_free(packed);
    return st;
}

/* hosts: by slab, or NULL. */
static tt_status fetch_all(tti_device *d, const tti_slab *slabs, size_t n, void *const *hosts,
                           size_t first, size_t count, float *dst) {
    for (size_t k = 0; k < n && count > 0; k++) {
        const size_t before = slabs[k].row0 * slabs[k].layout.cols;
        const size_t size = slabs[k].rows * slabs[k].layout.cols;
        if (first >= before + size) continue;
        const size_t here = TT_MIN(count, before + size - first);
        TT_TRY(fetch(d, &slabs[k], hosts ? hosts[k] : NULL, first - before, here, dst));
        first += here, count -= here, dst += here;
    }
    return TT_OK;
}

tt_status tti_model_read_part(tti_model *m, const tti_param *p, size_t first, size_t count,
                              float *dst) {
    return fetch_all(m->dev, p->slabs, p->nslabs, m->hosts + (p->slabs - m->slabs), first, count,
                     dst);
}

tt_status tti_model_read(tti_model *m, const tti_param *p, float *dst) {
    return tti_model_read_part(m, p, 0, p->rows * p->cols, dst);
}

tt_status tti_model_read_gradient(tti_model *m, const tti_param *p, float *dst) {
    size_t rows = 0;
    for (size_t k = 0; k < p->nslabs; k++) rows += p->gslabs[k].rows;
    return fetch_all(m->dev, p->gslabs, p->nslabs, NULL, 0, rows * p->cols, dst);
}

static tt_status read_memory(const tti_source *from, size_t first, size_t count, float *dst) {
    memcpy(dst, (const float *)from->data + first, count * sizeof *dst);
    return TT_OK;
}

tt_status tti_model_write(tti_model *m, const tti_param *p, const float *src) {
    const tti_source from = {.read = read_memory, .name = p->name, .data = src};
    return tti_model_send(m, p, &from);
}
