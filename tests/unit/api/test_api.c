// SPDX-License-Identifier: Apache-2.0
/* test_api.c - the public interface around training: versions, devices, tokenizers, refusals. */
#include <ctype.h>
#include "tests/unit/api/support.h"

TestSuite(api, .init = make_inputs, .fini = remove_inputs);

static char told[512];
static void keep_line(void *ctx, int level, const char *line) {
    (void)ctx;
    if (level == TT_LOG_WARNING) snprintf(told, sizeof told, "%s", line);
}

Test(api, version_and_log) {
    const char *v = tt_version();
    cr_expect(isdigit((unsigned char)v[0]) && strchr(v, '.') != strrchr(v, '.'), "%s", v);
    setenv("TT_LOG", "info", 1);
    tt_log_to(keep_line, NULL);
    tti_warn("%d lines", 3);
    cr_expect_str_eq(told, "3 lines");
    tt_log_to(NULL, NULL);
}

Test(api, devices) {
    tt_device_info *list = NULL;
    size_t n = 0, chosen = 0;
    const tt_device_info *first = NULL;
    cr_assert_eq(tt_device_infos(&list, &n), TT_OK, "%s", tt_error());
    for (size_t i = 0; i < n; i++) {
        cr_expect_eq(list[i].index, (int)i);
        cr_expect(list[i].name[0] && list[i].platform_name[0] && list[i].type[0]);
        cr_expect_neq(list[i].usable, list[i].why_not[0] != 0, "%s", list[i].why_not);
        if (list[i].chosen) first = &list[i], chosen++;
    }
    cr_assert_eq(chosen, 1, "%zu devices are chosen", chosen);
    cr_expect(first->usable && first->memory >= first->max_alloc && first->max_alloc > 0);
    tt_device *d = NULL;
    cr_assert_eq(tt_device_open(&d, NULL), TT_OK, "%s", tt_error());
    cr_expect_str_eq(tt_device_name(d), first->name);
    tt_device_close(d);
    d = NULL;
    cr_expect_eq(tt_device_open(&d, "no such device"), TT_E_DEVICE);
    cr_expect_null(d);
    cr_expect(strstr(tt_error(), "no such device"), "%s", tt_error());
    tt_device_infos_free(list);
}

Test(api, tokenizer) {
    tt_tokenizer *t = NULL;
    tt_tokens e = {0};
    char *text = NULL;
    cr_assert_eq(tt_tokenizer_open(&t, in_folder("model")), TT_OK, "%s", tt_error());
    cr_expect_eq(tt_tokenizer_vocab_size(t), 96);
    cr_assert_eq(tt_tokenizer_encode(t, "w1 w90", "w7", NULL, &e), TT_OK, "%s", tt_error());
    const int32_t ids[] = {2, 6, 95, 3, 12, 3}, types[] = {0, 0, 0, 0, 1, 1};
    cr_assert_eq(e.n, 6);
    cr_expect_arr_eq(e.ids, ids, sizeof ids);
    cr_expect_arr_eq(e.type_ids, types, sizeof types);
    cr_expect_eq(e.cut, 0);
    cr_assert_eq(tt_tokenizer_decode(t, e.ids, e.n, true, &text), TT_OK, "%s", tt_error());
    cr_expect_str_eq(text, "w1 w90 w7");
    tt_text_free(text);
    tt_tokens_free(&e);
    tt_tokens_free(&e);
    cr_expect_null(e.ids);
    tt_encode_opts o = tt_encode_defaults();
    o.max_len = 3;
    cr_assert_eq(tt_tokenizer_encode(t, "w1 w2 w3", NULL, &o, &e), TT_OK, "%s", tt_error());
    cr_expect(e.n == 3 && e.cut == 2, "%zu tokens, %zu cut", e.n, e.cut);
    tt_tokens_free(&e);
    o.add_special = false;
    cr_assert_eq(tt_tokenizer_encode(t, "", NULL, &o, &e), TT_OK, "%s", tt_error());
    cr_expect_eq(e.n, 0);
    tt_tokens_free(&e);
    cr_assert_eq(tt_tokenizer_decode(t, NULL, 0, true, &text), TT_OK, "%s", tt_error());
    cr_expect_str_eq(text, "");
    tt_text_free(text);
    o = tt_encode_defaults();
    o.max_len = 1;
    cr_expect_eq(tt_tokenizer_encode(t, "w1", NULL, &o, &e), TT_E_ARG);
    cr_expect_null(e.ids, "a failed call left something");
    tt_tokenizer_close(t);
    t = NULL;
    cr_expect_eq(tt_tokenizer_open(&t, in_folder("missing")), TT_E_IO, "%s", tt_error());
    write_file("model/tokenizer.json", "{", 1);
    cr_expect_eq(tt_tokenizer_open(&t, in_folder("model")), TT_E_FORMAT, "%s", tt_error());
    cr_expect_null(t);
}

Test(api, what_may_not_be_null) {
    tt_device *d = NULL;
    tt_tokenizer *t = NULL;
    tt_classifier *c = NULL;
    tt_tokens e;
    tt_device_info *list;
    char *text;
    size_t n;
    float p;
    const char *const texts[] = {"w1"};
    const tt_train_opts none = tt_train_defaults(), unset = {.nsettings = 1},
                        missing = {.nsettings = 1, .settings = (const char *const[]){NULL}},
                        both = {.resume = true, .overwrite = true};
    cr_assert_eq(tt_device_open(&d, NULL), TT_OK, "%s", tt_error());
    cr_assert_eq(tt_tokenizer_open(&t, in_folder("model")), TT_OK, "%s", tt_error());
    const struct {
        tt_status status;
        const char *call;
    } got[] = {
        {tt_device_infos(NULL, &n), "list"},
        {tt_device_infos(&list, NULL), "n"},
        {tt_device_open(NULL, NULL), "out"},
        {tt_tokenizer_open(NULL, folder), "out"},
        {tt_tokenizer_open(&t, NULL), "path"},
        {tt_tokenizer_encode(NULL, "w1", NULL, NULL, &e), "t"},
        {tt_tokenizer_encode(t, NULL, NULL, NULL, &e), "text"},
        {tt_tokenizer_encode(t, "w1", NULL, NULL, NULL), "out"},
        {tt_tokenizer_decode(NULL, NULL, 0, true, &text), "t"},
        {tt_tokenizer_decode(t, NULL, 1, true, &text), "ids"},
        {tt_tokenizer_decode(t, NULL, 0, true, NULL), "text"},
        {tt_classifier_open(NULL, d, folder, NULL), "out"},
        {tt_classifier_open(&c, NULL, folder, NULL), "device"},
        {tt_classifier_open(&c, d, NULL, NULL), "dir"},
        {tt_classifier_run(NULL, texts, NULL, 1, &p), "c"},
        {tt_train(NULL), "o"},
        {tt_train(&none), "nothing is described"},
        {tt_train(&unset), "settings"},
        {tt_train(&missing), "settings[0]"},
        {tt_train(&both), "exclude each other"},
    };
    for (size_t i = 0; i < TT_COUNT(got); i++)
        cr_expect(got[i].status == TT_E_ARG || got[i].status == TT_E_FORMAT, "%s: %d", got[i].call,
                  (int)got[i].status);
    tt_train(&missing);
    cr_expect_str_eq(tt_error(), "settings[0] is NULL");
    tt_classifier_open(&c, d, NULL, NULL);
    cr_expect_str_eq(tt_error(), "tt_classifier_open: model_dir is NULL");
    cr_expect_null(c);
    tt_tokenizer_close(t);
    tt_device_close(d);
}

Test(api, null_is_closed_already) {
    tt_device_close(NULL);
    tt_device_infos_free(NULL);
    tt_classifier_close(NULL);
    tt_tokenizer_close(NULL);
    tt_tokens_free(NULL);
    tt_text_free(NULL);
    cr_expect_str_eq(tt_device_name(NULL), "");
    cr_expect_eq(tt_classifier_width(NULL), 0);
    cr_expect_null(tt_classifier_labels(NULL));
    cr_expect_eq(tt_tokenizer_vocab_size(NULL), 0);
}

/* ---- training ---- */

typedef struct {
    tt_train_event_kind order[256];
    size_t n;
    tt_train_event plan, last;
    tt_scores scores;
    char path[192], device[128];
    uint64_t steps, stop_at;
    volatile sig_atomic_t stop;
} watch;

static void on_event(void *ctx, const tt_train_event *e) {
    watch *w = ctx;
    if (w->n < TT_COUNT(w->order)) w->order[w->n++] = e->kind;
    if (e->kind == TT_TRAIN_PLAN) w->plan = *e;
    if (e->kind == TT_TRAIN_PLAN) snprintf(w->device, sizeof w->device, "%s", e->device);
    if (e->kind == TT_TRAIN_STEP) w->steps++;
    if (e->kind == TT_TRAIN_STEP && e->step == w->stop_at) w->stop = 1;
    cr_expect_eq(e->scores != NULL, e->kind == TT_TRAIN_EVAL || e->kind == TT_TRAIN_TEST);
    cr_expect_eq(e->path != NULL, e->kind == TT_TRAIN_SAVED || e->kind == TT_TRAIN_DONE);
    if (e->scores) w->scores = *e->scores;
    if (e->path) snprintf(w->path, sizeof w->path, "%s", e->path);
    w->last = *e;
}

static size_t count(const watch *w, tt_train_event_kind kind) {
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++) n += w->order[i] == kind;
    return n;
}

Test(api, events_of_a_run) {
    static watch w;
    const char *extra[] = {"train.epochs=2", "data.eval_count=12", "train.log_every=3"};
    const tt_train_opts o = {.on_event = on_event, .ctx = &w};
    cr_assert_eq(train("out", o, extra, 3), TT_OK, "%s", tt_error());
    const tt_bytes *b = &w.plan.bytes;
    cr_expect_eq(w.order[0], TT_TRAIN_PLAN);
    cr_expect_eq(w.order[1], TT_TRAIN_EVAL, "the model before training");
    cr_expect_eq(w.last.kind, TT_TRAIN_DONE);
    cr_expect_eq(w.plan.total, 24);
    cr_expect_eq(w.plan.per_epoch, 12);
    cr_expect_eq(w.plan.samples, 48);
    cr_expect_eq(w.plan.eval_samples, 12);
    cr_expect_gt(w.plan.trained, 1000);
    cr_expect_eq(b->total, b->weights + b->gradients + b->optimizer + b->kept + b->transient +
                               b->inputs + b->workspace + b->evaluation);
    cr_expect(b->weights > 0 && b->optimizer > 0 && b->kept > 0 && b->evaluation > 0);
    cr_expect_eq(count(&w, TT_TRAIN_STEP), 24);
    cr_expect_eq(count(&w, TT_TRAIN_EVAL), 3);
    cr_expect_geq(count(&w, TT_TRAIN_SAVED), 2);
    cr_expect_eq(w.last.step, 24);
    cr_expect_float_eq(w.last.epoch, 2, 1e-9);
    cr_expect(isfinite(w.last.loss) && w.last.loss > 0 && w.last.device_bytes > 0);
    cr_expect(w.scores.n == 12 && !w.scores.regression && w.scores.loss > 0);
    cr_expect_str_eq(w.path, in_folder("out/final"));
    tt_device *d;
    cr_assert_eq(tt_device_open(&d, NULL), TT_OK);
    cr_expect_str_eq(w.device, tt_device_name(d));
    tt_device_close(d);
}

Test(api, a_run_is_stopped_resumed_and_refused) {
    static watch w, again, dry;
    const char *extra[] = {"train.epochs=1"};
    w.stop_at = 4;
    tt_train_opts o = {.on_event = on_event, .ctx = &w, .stop = &w.stop};
    cr_expect_eq(train("out", o, extra, 1), TT_E_INTERRUPTED);
    cr_expect_eq(w.steps, 4);
    o = (tt_train_opts){.on_event = on_event, .ctx = &again};
    cr_expect_eq(train("out", o, extra, 1), TT_E_ARG, "the folder holds a run");
    o.resume = true;
    cr_assert_eq(train("out", o, extra, 1), TT_OK, "%s", tt_error());
    cr_expect_eq(again.steps, 11);
    o = (tt_train_opts){.on_event = on_event, .ctx = &dry, .dry_run = true};
    cr_assert_eq(train("dry", o, extra, 1), TT_OK, "%s", tt_error());
    cr_expect(dry.n == 1 && dry.plan.bytes.total > 0);
    cr_expect_not(tti_dir_exists(in_folder("dry")));
    o = (tt_train_opts){.overwrite = true};
    cr_assert_eq(train("out", o, extra, 1), TT_OK, "%s", tt_error());
    o = (tt_train_opts){.config = in_folder("missing.yaml")};
    cr_expect_eq(tt_train(&o), TT_E_IO);
    cr_expect(strstr(tt_error(), "missing.yaml"), "%s", tt_error());
    const char *unknown[] = {"train.pace=3"};
    cr_expect_eq(train("new", (tt_train_opts){0}, unknown, 1), TT_E_ARG);
    cr_expect(strstr(tt_error(), "train.pace"), "%s", tt_error());
}
