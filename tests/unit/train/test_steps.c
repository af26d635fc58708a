// SPDX-License-Identifier: Apache-2.0
/* test_steps.c - which samples and selections a step holds, and that planned rows suffice. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include "host/train/steps.h"

enum { SAMPLES = 53, VOCAB = 61 };

static tti_samples make_samples(void) {
    tti_samples s = {.n = SAMPLES};
    srand(5);
    s.start = tti_calloc(SAMPLES + 1, sizeof *s.start);
    s.label = tti_calloc(SAMPLES, sizeof *s.label);
    s.target = tti_calloc(SAMPLES, sizeof *s.target);
    for (size_t i = 0; i < SAMPLES; i++) {
        size_t n = 1 + (size_t)(rand() % 30);
        s.start[i + 1] = s.start[i] + n;
        s.label[i] = (int32_t)(i % 3);
        s.longest = TT_MAX(s.longest, n);
    }
    s.ids = tti_calloc(s.start[SAMPLES], sizeof *s.ids);
    s.types = tti_calloc(s.start[SAMPLES], sizeof *s.types);
    for (size_t t = 0; t < s.start[SAMPLES]; t++) s.ids[t] = rand() % VOCAB;
    for (size_t i = 0; i < SAMPLES; i++)
        s.ids[s.start[i]] = (int32_t)i; /* tells the samples apart */
    return s;
}

static tti_model_info info(void) {
    tti_model_info m = {0};
    m.vocab = VOCAB, m.max_len = 32, m.types = 2, m.num_labels = 3;
    m.posid_pad = -1, m.pad_id = 0, m.has_types = m.has_posids = true;
    return m;
}

static tti_steps *make_steps(const tti_samples *s, size_t batch, size_t accumulate) {
    const tti_steps_opts o = {
        .batch = batch, .accumulate = accumulate, .keep = 0.3, .epochs = 2.5, .seed = 9};
    const tti_model_info m = info();
    tti_steps *steps;
    cr_assert_eq(tti_steps_new(&steps, s, &m, 8, false, &o), TT_OK, "%s", tt_error());
    return steps;
}

Test(steps, every_epoch_visits_every_sample_once) {
    tti_samples s = make_samples();
    tti_steps *steps = make_steps(&s, 4, 2);
    uint64_t per_epoch = tti_steps_per_epoch(steps);
    cr_expect_eq(per_epoch, (SAMPLES + 7) / 8);
    cr_expect_eq(tti_steps_total(steps), 18, "2.5 epochs of 7 steps");
    int seen[SAMPLES] = {0};
    for (uint64_t step = 1; step <= per_epoch; step++) {
        tti_step st;
        cr_assert_eq(tti_steps_begin(steps, step, &st), TT_OK);
        cr_expect_eq(st.micros, (st.sequences + 3) / 4);
        for (size_t m = 0; m < st.micros; m++) {
            const tti_feed *f;
            cr_assert_eq(tti_steps_batch(steps, m, &f), TT_OK, "%s", tt_error());
            const int32_t *ids = f->data[TTI_IN_IDS_SEL], *off = f->data[TTI_IN_OFF_SEL];
            for (size_t i = 0; i < f->rows.n[TTI_ROWS_SEQ]; i++) seen[ids[off[i]]]++;
        }
    }
    for (int i = 0; i < SAMPLES; i++) cr_expect_eq(seen[i], 1, "sample %d: %d times", i, seen[i]);
    tti_steps_free(steps);
    tti_samples_free(&s);
}

/* The SEL rows of a step, end to end. */
static size_t rows_of_step(tti_steps *steps, uint64_t step, int32_t *ids, int32_t *seq) {
    tti_step st;
    size_t n = 0;
    cr_assert_eq(tti_steps_begin(steps, step, &st), TT_OK);
    for (size_t m = 0; m < st.micros; m++) {
        const tti_feed *f;
        cr_assert_eq(tti_steps_batch(steps, m, &f), TT_OK);
        size_t rows = f->rows.n[TTI_ROWS_SEL];
        memcpy(ids + n, f->data[TTI_IN_IDS_SEL], rows * sizeof *ids);
        memcpy(seq + n, f->data[TTI_IN_SEQ_SEL], rows * sizeof *seq);
        n += rows;
    }
    return n;
}

Test(steps, micro_batches_do_not_change_a_step) {
    static int32_t a_ids[512], b_ids[512], a_seq[512], b_seq[512];
    tti_samples s = make_samples();
    tti_steps *whole = make_steps(&s, 8, 1), *parts = make_steps(&s, 2, 4);
    for (uint64_t step = 1; step <= tti_steps_total(whole); step++) {
        size_t n = rows_of_step(whole, step, a_ids, a_seq);
        cr_assert_eq(rows_of_step(parts, step, b_ids, b_seq), n);
        cr_expect(memcmp(a_ids, b_ids, n * sizeof *a_ids) == 0, "step %u", (unsigned)step);
        cr_expect(memcmp(a_seq, b_seq, n * sizeof *a_seq) == 0, "step %u", (unsigned)step);
    }
    tti_steps_free(whole);
    tti_steps_free(parts);
    tti_samples_free(&s);
}

Test(steps, a_step_is_the_same_whatever_came_before) {
    static int32_t a_ids[512], b_ids[512], a_seq[512], b_seq[512];
    tti_samples s = make_samples();
    tti_steps *in_order = make_steps(&s, 4, 2), *alone = make_steps(&s, 4, 2);
    size_t n = 0;
    for (uint64_t step = 1; step <= 11; step++) n = rows_of_step(in_order, step, a_ids, a_seq);
    cr_assert_eq(rows_of_step(alone, 11, b_ids, b_seq), n);
    cr_expect(memcmp(a_ids, b_ids, n * sizeof *a_ids) == 0);
    tti_steps_free(in_order);
    tti_steps_free(alone);
    tti_samples_free(&s);
}

Test(steps, planned_rows_are_never_exceeded_and_reached) {
    tti_samples s = make_samples();
    tti_steps *steps = make_steps(&s, 4, 2);
    const tti_rows planned = tti_steps_rows(steps);
    tti_rows most = {{0}};
    size_t gradient = 0;
    for (uint64_t step = 1; step <= tti_steps_total(steps); step++) {
        tti_step st;
        cr_assert_eq(tti_steps_begin(steps, step, &st), TT_OK);
        gradient = TT_MAX(gradient, st.gradient->n);
        for (size_t m = 0; m < st.micros; m++) {
            const tti_feed *f;
            cr_assert_eq(tti_steps_batch(steps, m, &f), TT_OK);
            tti_rows_raise(&most, &f->rows);
        }
    }
    for (int k = 1; k < TTI_ROWS_KINDS; k++)
        cr_expect_leq(most.n[k], planned.n[k], "kind %d: %zu over %zu", k, most.n[k], planned.n[k]);
    for (int k = 1; k < TTI_ROWS_UNIQ; k++) cr_expect_eq(most.n[k], planned.n[k], "kind %d", k);
    cr_expect_leq(gradient, planned.n[TTI_ROWS_STEP_UNIQ]);
    tti_steps_free(steps);
    tti_samples_free(&s);
}
