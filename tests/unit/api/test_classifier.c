// SPDX-License-Identifier: Apache-2.0
/* test_classifier.c - trained folders at work: classes, pairs, adapters, values, refusals. */
#include "tests/unit/api/support.h"

TestSuite(classifier, .init = make_inputs, .fini = remove_inputs);

static const char *const texts[] = {"w0 w8", "w1 w9 w4 w44 w13", "w2", "w1", "w0 w17 w3"};
enum { N = TT_COUNT(texts), LABELS = 3 };
static const char *const expected[N] = {"red", "green", "blue", "green", "red"};

static tt_device *open_device(void) {
    tt_device *d = NULL;
    cr_assert_eq(tt_device_open(&d, NULL), TT_OK, "%s", tt_error());
    return d;
}

static tt_classifier *open_classifier(tt_device *d, const char *name, size_t batch,
                                      const char *base) {
    tt_classifier *c = NULL;
    tt_classifier_opts o = tt_classifier_defaults();
    o.batch = batch;
    o.base = base;
    cr_assert_eq(tt_classifier_open(&c, d, in_folder(name), &o), TT_OK, "%s", tt_error());
    return c;
}

static void run(tt_classifier *c, const char *const *texts2, float *p) {
    cr_assert_eq(tt_classifier_run(c, texts, texts2, N, p), TT_OK, "%s", tt_error());
}

static void expect_classes(const tt_classifier *c, const float *p) {
    const char *const *labels = tt_classifier_labels(c);
    cr_assert_eq(tt_classifier_width(c), LABELS);
    for (size_t i = 0; i < N; i++) {
        const float *row = p + i * LABELS;
        size_t best = 0;
        for (size_t k = 1; k < LABELS; k++)
            if (row[k] > row[best]) best = k;
        cr_expect_str_eq(labels[best], expected[i], "%s is %s", texts[i], labels[best]);
        cr_expect_float_eq(row[0] + row[1] + row[2], 1, 1e-6);
    }
}

static void expect_same(const float *a, const float *b, const char *what) {
    for (size_t i = 0; i < N * LABELS; i++)
        cr_expect(fabsf(a[i] - b[i]) <= 1e-5f, "%s: %zu: %g and %g", what, i, (double)a[i],
                  (double)b[i]);
}

Test(classifier, names_the_class_that_training_taught) {
    float p[N * LABELS], q[N * LABELS];
    const char *const pairs[N] = {NULL}, *const broken[] = {"w0", NULL};
    cr_assert_eq(train("out", tt_train_defaults(), NULL, 0), TT_OK, "%s", tt_error());
    tt_device *d = open_device();
    tt_classifier *c = open_classifier(d, "out/final", 32, NULL);
    cr_expect_str_eq(tt_classifier_labels(c)[0], "blue");
    run(c, NULL, p);
    expect_classes(c, p);
    run(c, pairs, q);
    expect_same(p, q, "no second text");
    cr_expect_eq(tt_classifier_run(c, broken, NULL, 2, q), TT_E_ARG);
    cr_expect_str_eq(tt_error(), "texts[1] is NULL");
    cr_expect_eq(tt_classifier_run(c, NULL, NULL, 1, q), TT_E_ARG);
    cr_expect_eq(tt_classifier_run(c, texts, NULL, 1, NULL), TT_E_ARG);
    cr_expect_eq(tt_classifier_run(c, NULL, NULL, 0, NULL), TT_OK);
    run(c, NULL, q);
    expect_same(p, q, "after failures");
    run(c, texts, q);
    cr_expect(memcmp(p, q, sizeof p) != 0, "a second text changes nothing");
    tt_classifier *other = open_classifier(d, "out/final", 2, NULL);
    tt_device_close(d); /* both hold it */
    run(other, NULL, q);
    expect_same(p, q, "batches of 2");
    tt_classifier_close(c);
    run(other, NULL, q);
    expect_same(p, q, "the other is closed");
    tt_classifier_close(other);
}

Test(classifier, adapters_find_their_base) {
    float p[N * LABELS], q[N * LABELS];
    const char *lora[] = {"method.name=lora", "method.rank=4", "train.lr=1e-2", "train.epochs=16"};
    cr_assert_eq(train("out", tt_train_defaults(), lora, 4), TT_OK, "%s", tt_error());
    tt_device *d = open_device();
    tt_classifier *c = open_classifier(d, "out/final", 32, NULL);
    run(c, NULL, p);
    expect_classes(c, p);
    tt_classifier_close(c);
    cr_assert_eq(rename(in_folder("model"), in_folder("moved")), 0);
    tt_classifier *lost = NULL;
    cr_expect_neq(tt_classifier_open(&lost, d, in_folder("out/final"), NULL), TT_OK);
    cr_expect_null(lost);
    c = open_classifier(d, "out/final", 32, in_folder("moved"));
    run(c, NULL, q);
    expect_same(p, q, "base named by the options");
    tt_classifier_close(c);
    tt_device_close(d);
}

Test(classifier, a_regression_gives_values) {
    float v[N];
    char data[192];
    const char *extra[] = {"task=regress", data};
    snprintf(data, sizeof data, "data.train=%s/numbers.tsv", folder);
    cr_assert_eq(train("out", tt_train_defaults(), extra, 2), TT_OK, "%s", tt_error());
    tt_device *d = open_device();
    tt_classifier *c = open_classifier(d, "out/final", 3, NULL);
    cr_expect_eq(tt_classifier_width(c), 1);
    cr_expect_null(tt_classifier_labels(c));
    run(c, NULL, v);
    const float want[N] = {0, 1, 2, 1, 0};
    for (size_t i = 0; i < N; i++)
        cr_expect_lt(fabsf(v[i] - want[i]), 0.5f, "%s: %g", texts[i], (double)v[i]);
    tt_classifier_close(c);
    tt_device_close(d);
}

Test(classifier, refusals_name_what_is_wrong) {
    tt_device *d = open_device();
    tt_classifier *c = NULL;
    char *model = in_folder("model");
    tt_classifier_opts o = tt_classifier_defaults();
    cr_expect_eq(tt_classifier_open(&c, d, in_folder("missing"), NULL), TT_E_IO);
    cr_expect(strstr(tt_error(), "missing: no such folder"), "%s", tt_error());
    o.batch = 0;
    cr_expect_eq(tt_classifier_open(&c, d, model, &o), TT_E_ARG);
    cr_expect(strstr(tt_error(), "batch"), "%s", tt_error());
    o = tt_classifier_defaults();
    o.max_len = 65;
    cr_expect_eq(tt_classifier_open(&c, d, model, &o), TT_E_ARG);
    cr_expect(strstr(tt_error(), "65"), "%s", tt_error());
    o = tt_classifier_defaults();
    o.gemm = "fast";
    cr_expect_eq(tt_classifier_open(&c, d, model, &o), TT_E_ARG);
    cr_expect(strstr(tt_error(), "fast"), "%s", tt_error());
    cr_assert_eq(unlink(in_folder("model/vocab.txt")), 0);
    cr_expect_eq(tt_classifier_open(&c, d, model, NULL), TT_E_IO);
    write_file("model/config.json", "{}", 2);
    cr_expect_neq(tt_classifier_open(&c, d, model, NULL), TT_OK);
    cr_expect_null(c, "a failed call changed its output");
    tt_device_close(d);
}

Test(classifier, results_that_are_no_numbers_are_refused) {
    tti_map m;
    float p[N * LABELS];
    cr_assert_eq(train("out", tt_train_defaults(), (const char *[]){"train.epochs=1"}, 1), TT_OK);
    cr_assert_eq(tti_map_open(&m, in_folder("out/final/model.safetensors")), TT_OK);
    uint8_t *bytes = tti_malloc(m.size);
    uint64_t header = 0;
    memcpy(bytes, m.data, m.size);
    memcpy(&header, bytes, sizeof header);
    const float huge = 3e38f; /* loads, and overflows when it is computed with */
    for (size_t at = 8 + header; at + sizeof huge <= m.size; at += sizeof huge)
        memcpy(bytes + at, &huge, sizeof huge);
    write_file("out/final/model.safetensors", bytes, m.size);
    tti_free(bytes);
    tti_map_close(&m);
    tt_device *d = open_device();
    tt_classifier *c = open_classifier(d, "out/final", 32, NULL);
    cr_expect_eq(tt_classifier_run(c, texts, NULL, N, p), TT_E_NUMERIC);
    tt_classifier_close(c);
    tt_device_close(d);
}

/* Wherever memory runs out, opening or running fails with that status and leaves nothing behind. */
Test(classifier, survives_failing_allocations) {
    float p[N * LABELS];
    int failed = 0;
    cr_assert_eq(train("out", tt_train_defaults(), (const char *[]){"train.epochs=1"}, 1), TT_OK);
    tt_device *d = open_device();
    tt_status s = TT_E_NOMEM;
    for (long n = 1; n < 1000000 && s != TT_OK; n += 1 + n / 8) {
        tt_classifier *c = NULL;
        tti_alloc_fail_at(n);
        s = tt_classifier_open(&c, d, in_folder("out/final"), NULL);
        cr_expect_eq(s == TT_OK, c != NULL);
        if (s == TT_OK) s = tt_classifier_run(c, texts, NULL, N, p);
        tti_alloc_fail_at(0);
        cr_expect(s == TT_OK || s == TT_E_NOMEM, "allocation %ld: %d %s", n, (int)s, tt_error());
        failed += s == TT_E_NOMEM;
        tt_classifier_close(c);
    }
    cr_expect_eq(s, TT_OK);
    cr_expect_gt(failed, 20);
    tt_device_close(d);
}
