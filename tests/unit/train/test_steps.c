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

/* ---- causal ---- */

static tti_samples make_causal(void) {
    tti_samples s = make_samples();
    s.next = tti_calloc(s.start[SAMPLES], sizeof *s.next);
    s.prompt = tti_calloc(SAMPLES, sizeof *s.prompt);
    for (size_t i = 0; i < SAMPLES; i++) {
        s.prompt[i] = tti_samples_length(&s, i) / 2;
        for (size_t t = s.start[i]; t < s.start[i + 1]; t++)
            s.next[t] =
                t + 1 < s.start[i + 1] && t + 1 >= s.start[i] + s.prompt[i] ? s.ids[t + 1] : -100;
    }
    return s;
}

static tti_steps *causal_steps(const tti_samples *s, tti_select_policy policy, size_t batch,
                               size_t accumulate) {
    const tti_steps_opts o = {.batch = batch,
                              .accumulate = accumulate,
                              .keep = 0.3,
                              .epochs = 2,
                              .seed = 9,
                              .policy = policy,
                              .keep_answer = 0.8,
                              .temperature = 1};
    tti_model_info m = info();
    m.task = TTI_TASK_CAUSAL;
    m.decoder = true;
    tti_steps *steps;
    cr_assert_eq(tti_steps_new(&steps, s, &m, 8, false, &o), TT_OK, "%s", tt_error());
    return steps;
}

/* Losses as a model might have them; they follow from the rows that are asked for. */
static void give_losses(tti_steps *steps, const tti_step *st) {
    float loss[512];
    for (size_t m = 0; m < st->micros; m++) {
        const tti_feed *f;
        cr_assert_eq(tti_steps_scout(steps, m, &f), TT_OK, "%s", tt_error());
        cr_expect_eq(f->rows.n[TTI_ROWS_REST], 0);
        const int32_t *row = f->data[TTI_IN_LAB_ROW], *seq = f->data[TTI_IN_SEQ_SEL];
        for (size_t i = 0; i < f->rows.n[TTI_ROWS_LAB]; i++)
            loss[i] = (float)((seq[row[i]] * 31 +
                               ((const int32_t *)f->data[TTI_IN_POS_SEL])[row[i]] * 17) %
                              13);
        tti_steps_losses(steps, m, loss);
    }
}

/* Selected, supervised rows of all batches of a step are what its loss is a mean over; of any
 * policy, in one batch or several. */
Test(steps, a_causal_loss_is_a_mean_over_the_step) {
    tti_samples s = make_causal();
    for (int policy = TTI_SELECT_RANDOM; policy <= TTI_SELECT_LOSS; policy++) {
        tti_steps *of[] = {causal_steps(&s, (tti_select_policy)policy, 8, 1),
                           causal_steps(&s, (tti_select_policy)policy, 2, 4)};
        for (uint64_t step = 1; step <= tti_steps_total(of[0]); step++) {
            size_t labels[2] = {0, 0}, rows[2] = {0, 0};
            for (int k = 0; k < 2; k++) {
                const tti_rows planned = tti_steps_rows(of[k]);
                tti_step st;
                cr_assert_eq(tti_steps_begin(of[k], step, &st), TT_OK, "%s", tt_error());
                if (policy == TTI_SELECT_LOSS) {
                    give_losses(of[k], &st);
                    cr_assert_eq(tti_steps_choose(of[k], &st), TT_OK);
                }
                for (size_t m = 0; m < st.micros; m++) {
                    const tti_feed *f;
                    cr_assert_eq(tti_steps_batch(of[k], m, &f), TT_OK, "%s", tt_error());
                    labels[k] += f->rows.n[TTI_ROWS_LAB];
                    rows[k] += f->rows.n[TTI_ROWS_SEL];
                    for (int i = 1; i < TTI_ROWS_KINDS; i++)
                        cr_expect_leq(f->rows.n[i], planned.n[i], "kind %d", i);
                }
                cr_expect_eq(labels[k], st.supervised);
                cr_expect_float_eq(st.loss_scale, 1.0f / (float)TT_MAX(st.supervised, 1), 1e-9);
            }
            cr_expect(labels[0] == labels[1] && rows[0] == rows[1], "policy %d step %u", policy,
                      (unsigned)step);
        }
        tti_steps_free(of[0]);
        tti_steps_free(of[1]);
    }
    tti_samples_free(&s);
}

Test(steps, samples_are_held_back_whole) {
    tti_samples s = make_causal(), all = make_causal(), held;
    size_t at[2] = {0, 0}, met[2] = {0, 0};
    cr_assert_eq(tti_samples_hold_back(&s, &held, 11, 3), TT_OK);
    cr_expect(held.n == 11 && s.n == SAMPLES - 11);
    const tti_samples *part[] = {&s, &held};
    for (size_t i = 0; i < SAMPLES; i++) {
        const size_t n = tti_samples_length(&all, i);
        for (int k = 0; k < 2; k++) {
            if (at[k] == part[k]->n) continue;
            const tti_sequence q = tti_samples_at(part[k], at[k]), want = tti_samples_at(&all, i);
            if (q.ids[0] != want.ids[0]) continue; /* the first id tells the samples apart */
            cr_expect(q.n == n && memcmp(q.ids, want.ids, n * sizeof *q.ids) == 0 &&
                      memcmp(q.next, want.next, n * sizeof *q.next) == 0 &&
                      part[k]->prompt[at[k]] == all.prompt[i]);
            at[k]++, met[k]++;
            break;
        }
    }
    cr_expect(met[0] == s.n && met[1] == 11, "every sample is in one part, in its order");
    tti_samples_free(&s);
    tti_samples_free(&all);
    tti_samples_free(&held);
}
