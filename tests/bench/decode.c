// SPDX-License-Identifier: Apache-2.0
/* decode.c - speed of decoding against the speed of memory:
 *   bench_decode MODEL_DIR [sequences [prompt tokens [steps]]]
 * MODEL_DIR needs config.json only: weights are random. A step of one sequence reads every weight
 * but the word embeddings once, so the limit is those bytes by the bytes that as many threads read
 * a second from a buffer of that size. Reads and steps take turns; the medians count. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "host/generate/engine.h"

enum { MOST_THREADS = 256, LANES = 64, EACH = 16 /* steps between two readings */ };

typedef struct {
    const float *from;
    size_t n;
    float sum;
} reader;

static void *read_all(void *arg) {
    reader *r = arg;
    float lane[LANES] = {0}, sum = 0;
    for (size_t i = 0; i + LANES <= r->n; i += LANES)
        for (size_t k = 0; k < LANES; k++) lane[k] += r->from[i + k];
    for (size_t k = 0; k < LANES; k++) sum += lane[k];
    r->sum = sum;
    return NULL;
}

/* Seconds that `threads` threads take to read n floats. */
static double read_once(const float *p, size_t n, size_t threads) {
    pthread_t thread[MOST_THREADS];
    reader r[MOST_THREADS];
    const double start = tti_now();
    for (size_t i = 0; i < threads; i++) {
        r[i] = (reader){p + n / threads * i, n / threads, 0};
        if (pthread_create(&thread[i], NULL, read_all, &r[i])) exit(1);
    }
    for (size_t i = 0; i < threads; i++) pthread_join(thread[i], NULL);
    return tti_now() - start;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *x, size_t n) {
    qsort(x, n, sizeof *x, by_size);
    return x[n / 2];
}

static void need(tt_status s) {
    if (s == TT_OK) return;
    fprintf(stderr, "%s\n", tt_error());
    exit(1);
}

/* Bytes of weights that a step reads: all but the table that is only looked up in. */
static size_t bytes_read(tti_model *m) {
    size_t bytes = 0;
    const bool tied = !tti_model_find(m, "lm_head.weight");
    for (size_t i = 0; i < tti_model_nparams(m); i++) {
        const tti_param *p = tti_model_param(m, i);
        const bool table =
            strstr(p->name, "embed_tokens") || strstr(p->name, "wte") || strstr(p->name, "wpe");
        if (!table || (tied && !strstr(p->name, "wpe"))) bytes += p->rows * p->cols * sizeof(float);
    }
    return bytes;
}

int main(int argc, char **argv) {
    if (argc < 2) return fprintf(stderr, "usage: bench_decode MODEL_DIR [sequences ...]\n"), 2;
    const size_t slots = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    const size_t prompt = argc > 3 ? strtoul(argv[3], NULL, 10) : 32;
    const size_t steps = argc > 4 ? strtoul(argv[4], NULL, 10) : 256;
    tti_device *d;
    tti_gemm *gemm;
    tti_model *m;
    tti_engine *e;
    tti_model_opts o = tti_model_defaults();
    o.task = TTI_TASK_CAUSAL;
    o.frozen = o.random_weights = true;
    need(tti_device_open(&d, NULL));
    need(tti_gemm_new(&gemm, d, NULL));
    need(tti_model_load(&m, d, argv[1], &o));
    const tti_engine_opts eo = {.slots = slots, .capacity = prompt + steps + 2};
    need(tti_engine_new(&e, d, gemm, m, &eo));
    const size_t bytes = bytes_read(m), count = bytes / sizeof(float), rounds = steps / EACH;
    const size_t units = tti_device_get_info(d)->compute_units;
    const size_t threads = TT_MIN(units, (size_t)MOST_THREADS);
    float *buffer = tti_malloc(bytes), *logits = tti_malloc(slots * tti_engine_vocab(e) * 4);
    int32_t *ids = tti_calloc(prompt, sizeof *ids);
    tti_piece *p = tti_calloc(slots, sizeof *p);
    double *read = tti_calloc(rounds + 1, sizeof *read), *step = tti_calloc(steps, sizeof *step);
    if (!buffer || !logits || !ids || !p || !read || !step || !rounds) return 1;
    memset(buffer, 0, bytes);
    for (size_t i = 0; i < prompt; i++) ids[i] = (int32_t)(i * 7 % tti_engine_vocab(e));
    for (size_t s = 0; s < slots; s++) p[s] = (tti_piece){s, ids, prompt};
    need(tti_engine_run(e, p, slots, logits));
    for (size_t s = 0; s < slots; s++) p[s].n = 1;
    need(tti_engine_run(e, p, slots, logits));
    for (size_t r = 0; r < rounds; r++) {
        read[r] = read_once(buffer, count, threads);
        for (size_t i = 0; i < EACH; i++) {
            const double start = tti_now();
            need(tti_engine_run(e, p, slots, logits));
            step[r * EACH + i] = tti_now() - start;
        }
    }
    const double once = median(read, rounds), each = median(step, rounds * EACH);
    printf("%.1f MB of weights, %zu threads read them in %.2f ms (%.1f GB/s); a step of %zu: "
           "%.2f ms, %.1f tokens/s, %.2f of the limit\n",
           (double)bytes * 1e-6, threads, once * 1e3, (double)bytes / once * 1e-9, slots,
           each * 1e3, (double)slots / each, once / each);
    tti_engine_free(e);
    tti_model_free(m);
    tti_gemm_free(gemm);
    tti_device_close(d);
    tti_free(buffer), tti_free(logits), tti_free(ids), tti_free(p), tti_free(read), tti_free(step);
    return 0;
}
