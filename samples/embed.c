// SPDX-License-Identifier: Apache-2.0
/* embed.c - a program around the library: trains as a file says, then classifies texts.
 *   cc embed.c $(pkg-config --cflags --libs tokentune) -o embed
 *   ./embed samples/fewshot.yaml "where is my parcel" "I was charged twice" */
#include <stdio.h>
#include <stdlib.h>
#include <tokentune/tokentune.h>

static int failed(const char *what) {
    fprintf(stderr, "embed: %s: %s\n", what, tt_error());
    return 1;
}

/* The trained model's folder is told by the last event, and has to be copied. */
static void on_event(void *ctx, const tt_train_event *e) {
    if (e->kind == TT_TRAIN_PLAN)
        fprintf(stderr, "%zu samples on %s, %zu bytes\n", e->samples, e->device, e->bytes.total);
    if (e->kind == TT_TRAIN_STEP && e->logged)
        fprintf(stderr, "step %llu of %llu: loss %.4f\n", (unsigned long long)e->step,
                (unsigned long long)e->total, e->loss);
    if (e->kind == TT_TRAIN_DONE) snprintf(ctx, FILENAME_MAX, "%s", e->path);
}

static void print(const char *text, const float *p, const char *const *labels, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (p[i] > p[best]) best = i;
    printf("%s\t%.4f\t%s\n", labels ? labels[best] : "value", (double)p[best], text);
}

int main(int argc, char **argv) {
    static char model[FILENAME_MAX];
    tt_device *device = NULL;
    tt_classifier *c = NULL;
    float *p = NULL;
    int status = 1;
    if (argc < 3) {
        fprintf(stderr, "usage: embed CONFIG.yaml TEXT...\n");
        return 2;
    }
    tt_train_opts o = tt_train_defaults();
    o.config = argv[1];
    o.resume = true; /* called again, it goes on where it was, or has nothing left to do */
    o.on_event = on_event;
    o.ctx = model;
    if (tt_train(&o) != TT_OK) return failed(argv[1]);

    const char *const *texts = (const char *const *)argv + 2;
    size_t n = (size_t)argc - 2;
    if (tt_device_open(&device, NULL) != TT_OK ||
        tt_classifier_open(&c, device, model, NULL) != 0 ||
        !(p = calloc(n * tt_classifier_width(c), sizeof *p)) ||
        tt_classifier_run(c, texts, NULL, n, p) != TT_OK) {
        failed(model);
    } else {
        size_t width = tt_classifier_width(c);
        for (size_t i = 0; i < n; i++)
            print(texts[i], p + i * width, tt_classifier_labels(c), width);
        status = 0;
    }
    free(p);
    tt_classifier_close(c);
    tt_device_close(device);
    return status;
}
