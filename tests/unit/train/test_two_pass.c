// SPDX-License-Identifier: Apache-2.0
/* test_two_pass.c - two passes over a batch, the first without gradient, give the losses of all
 * rows and then the gradients of one pass with the same selection. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include "host/train/batch.h"
#include "host/train/session.h"

enum { SEQUENCES = 3, LONGEST = 24, ROWS = SEQUENCES * LONGEST };

typedef struct {
    tti_device *d;
    tti_gemm *gemm;
    tti_model *m;
    tti_batch *b;
    int32_t ids[ROWS], next[ROWS], selected[ROWS];
    tti_sequence seqs[SEQUENCES];
    tti_idset slots;
    float *gradient; /* of all trained parameters, end to end */
    size_t count;
} bench;

static void make_sequences(bench *x) {
    static const int32_t chosen[SEQUENCES][6] = {
        {0, 3, 4, 11, 17, 23}, {0, 1, 2, 5, 8, 12}, {0, 6}};
    static const size_t n[] = {24, 13, 7}, k[] = {6, 6, 2};
    int32_t at = 0;
    for (size_t i = 0; i < SEQUENCES; i++) {
        x->seqs[i] = (tti_sequence){.ids = x->ids + at,
                                    .next = x->next + at,
                                    .n = n[i],
                                    .selected = chosen[i],
                                    .nselected = k[i],
                                    .number = (uint32_t)i};
        for (size_t t = 0; t < n[i]; t++, at++) {
            x->ids[at] = 3 + (at * 7 + (int32_t)i) % 90;
            x->next[at] = t + 1 < n[i] && t % 5 ? 3 + (at * 11) % 90 : -1;
        }
    }
}

static void open_case(bench *x, const char *name, bool lora) {
    char dir[256];
    tti_model_opts o = tti_model_defaults();
    o.task = TTI_TASK_CAUSAL;
    o.method = lora ? TTI_METHOD_LORA : TTI_METHOD_FULL;
    o.hidden_dropout = 0.1f;
    o.attention_dropout = 0.1f;
    memset(x, 0, sizeof *x);
    make_sequences(x);
    snprintf(dir, sizeof dir, TT_TEST_DATA "/cases/%s/model", name);
    cr_assert_eq(tti_device_open(&x->d, NULL), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_gemm_new(&x->gemm, x->d, NULL), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_model_load(&x->m, x->d, dir, &o), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_batch_new(&x->b), TT_OK);
    const tti_model_info *info = tti_model_get_info(x->m);
    cr_assert_eq(tti_idset_add(&x->slots, info, x->seqs, SEQUENCES, true), TT_OK);
    for (size_t i = 0; i < tti_model_nparams(x->m); i++) {
        const tti_param *p = tti_model_param(x->m, i);
        if (p->trainable) x->count += p->rows * p->cols;
    }
    x->gradient = tti_calloc(x->count, sizeof *x->gradient);
    cr_assert_not_null(x->gradient);
}

static void close_case(bench *x) {
    tti_free(x->gradient);
    tti_idset_free(&x->slots);
    tti_batch_free(x->b);
    tti_model_free(x->m);
    tti_gemm_free(x->gemm);
    tti_device_close(x->d);
}

static const tti_feed *lay_out(bench *x, bool all) {
    tti_sequence seqs[SEQUENCES];
    memcpy(seqs, x->seqs, sizeof seqs);
    for (size_t i = 0; all && i < SEQUENCES; i++) seqs[i].selected = NULL;
    const bool dense = !tti_model_param(x->m, 0)->sparse;
    cr_assert_eq(tti_batch_fill(x->b, tti_model_get_info(x->m), tti_device_caps(x->d)->att_rows,
                                seqs, SEQUENCES, all ? NULL : x->slots.id, all ? 0 : x->slots.n,
                                dense),
                 TT_OK, "%s", tt_error());
    return tti_batch_feed(x->b);
}

static tti_session_opts options(const tti_feed *feed, bool training) {
    tti_session_opts o = tti_session_defaults();
    o.training = training;
    o.dropout = o.loss = true;
    o.max = feed->rows;
    o.seed = 4;
    return o;
}

static tti_session *open_session(bench *x, const tti_session_opts *o) {
    tti_session *s;
    cr_assert_eq(tti_session_new(&s, x->d, x->gemm, x->m, o), TT_OK, "%s", tt_error());
    tti_session_exec(s)->step = 9;
    return s;
}

static void read_gradient(bench *x, float *to) {
    for (size_t i = 0; i < tti_model_nparams(x->m); i++) {
        const tti_param *p = tti_model_param(x->m, i);
        if (!p->trainable) continue;
        const size_t rows = p->sparse ? x->slots.n : p->rows;
        cr_assert_eq(tti_mem_read(x->d, p->g, 0, to, rows * p->cols * sizeof *to), TT_OK);
        to += p->rows * p->cols;
    }
}

/* A training step's first half: loss and gradient. */
static float one_pass(bench *x, tti_session *s, float *gradient) {
    float loss;
    cr_assert_eq(tti_session_batch(s, lay_out(x, false), 0, 0.125f), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_session_loss(s, &loss), TT_OK);
    read_gradient(x, gradient);
    return loss;
}

static void expect_same(const bench *x, const char *name, const float *two) {
    double most = 0, worst = 0;
    for (size_t i = 0; i < x->count; i++) {
        most = fmax(most, fabs((double)x->gradient[i]));
        const double error = fabs((double)x->gradient[i] - (double)two[i]);
        worst = error <= worst ? worst : error;
    }
    cr_expect(most > 0, "%s: no gradient", name);
    cr_expect(worst <= 1e-5 * most, "%s: gradients differ by %g of %g", name, worst, most);
}

static void check_case(const char *name, bool lora) {
    bench x;
    open_case(&x, name, lora);
    tti_session_opts o = options(lay_out(&x, false), true);
    const size_t held = o.max.n[TTI_ROWS_REST];
    cr_assert_gt(held, 0);
    tti_session *s = open_session(&x, &o);
    const float one = one_pass(&x, s, x.gradient);
    tti_session_free(s);

    float *two = tti_calloc(x.count, sizeof *two), rows[ROWS];
    const tti_feed *all = lay_out(&x, true);
    tti_session_opts first = options(all, false);
    const size_t lab = all->rows.n[TTI_ROWS_LAB];
    first.keep_keys = true;
    o.kept_rows = first.max.n[TTI_ROWS_SEL];
    tti_session *scout = open_session(&x, &first);
    s = open_session(&x, &o);
    tti_session_keys(s, scout);
    cr_assert_eq(tti_session_batch(scout, lay_out(&x, true), 0, 1.0f), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_session_row_losses(scout, rows, lab), TT_OK);
    const float again = one_pass(&x, s, two);
    cr_expect(fabsf(one - again) <= 1e-5f * one, "%s: loss %g and %g", name, (double)one,
              (double)again);
    expect_same(&x, name, two);

    double sum = 0; /* the losses of all rows hold those of the selected ones */
    size_t at = 0;
    for (size_t i = 0; i < SEQUENCES; i++)
        for (size_t t = 0, k = 0; t < x.seqs[i].n; t++) {
            const bool chosen = k < x.seqs[i].nselected && (size_t)x.seqs[i].selected[k] == t;
            k += chosen;
            if (x.seqs[i].next[t] < 0) continue;
            if (chosen) sum += (double)rows[at];
            at++;
        }
    cr_expect_eq(at, lab);
    cr_expect(fabs(sum * 0.125 - (double)one) <= 1e-5 * (double)one, "%s: %g and %g", name,
              sum * 0.125, (double)one);
    tti_session_free(s);
    tti_session_free(scout);
    tti_free(two);
    close_case(&x);
}

Test(two_pass, gradients_are_those_of_one) {
    static const char *const names[] = {
        "llama-full-all", "llama-tied-full-k30",     "llama3-rope-full-k30", "qwen3-full-k30",
        "gpt2-full-k30",  "mistral-window-full-k30", "gemma2-full-k30"};
    for (size_t i = 0; i < TT_COUNT(names); i++) check_case(names[i], false);
    check_case("llama-gqa-full-k10", true);
}
