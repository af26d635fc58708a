// SPDX-License-Identifier: Apache-2.0
/* test_trainer.c - whole runs of a tiny model: repeated, killed, stopped, resumed, refused. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>
#include "host/core/file.h"
#include "host/train/checkpoint.h"
#include "host/train/trainer.h"

static char folder[64];
static char warnings[4096]; /* what the library told */

static void keep_line(void *ctx, int level, const char *line) {
    (void)ctx, (void)level;
    size_t n = strlen(warnings);
    snprintf(warnings + n, sizeof warnings - n, "%s\n", line);
}

static char *in_folder(const char *name) {
    static char path[4][160];
    static int i;
    snprintf(path[i = (i + 1) % 4], sizeof path[0], "%s/%s", folder, name);
    return path[i];
}

static void write_text(const char *name, const tti_str *text) {
    cr_assert_eq(text->status, TT_OK);
    cr_assert_eq(tti_file_write(in_folder(name), text->p, text->len), TT_OK, "%s", tt_error());
}

static void copy(const char *from, const char *name) {
    tti_map m;
    char path[256];
    snprintf(path, sizeof path, TT_TEST_DATA "/cases/bert-cls-full-k30/model/%s", from);
    cr_assert_eq(tti_map_open(&m, path), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_file_write(in_folder(name), m.data, m.size), TT_OK);
    tti_map_close(&m);
}

/* The model of a parity case, a vocabulary of 96 words, and texts whose label is that of their
 * first word among w0..w2; other words say nothing. */
static void make_inputs(void) {
    tti_str vocab = {0}, data = {0};
    snprintf(folder, sizeof folder, "/tmp/tt_trainer_XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(tti_mkdirs(in_folder("model")), TT_OK);
    copy("config.json", "model/config.json");
    copy("model.safetensors", "model/model.safetensors");
    tti_str_puts(&vocab, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
    for (int i = 0; i < 91; i++) tti_str_printf(&vocab, "w%d\n", i);
    write_text("model/vocab.txt", &vocab);
    tti_str_puts(&data, "text\tlabel\n");
    srand(3);
    for (int i = 0; i < 60; i++) {
        tti_str_printf(&data, "w%d", i % 3);
        for (int n = rand() % 20; n > 0; n--) tti_str_printf(&data, " w%d", 3 + rand() % 88);
        tti_str_printf(&data, "\t%s\n", (const char *[]){"red", "green", "blue"}[i % 3]);
    }
    write_text("data.tsv", &data);
    tti_str_free(&vocab);
    tti_str_free(&data);
    warnings[0] = 0;
    tti_log_sink(keep_line, NULL);
}

static void remove_inputs(void) { tti_dir_remove(folder); }

TestSuite(trainer, .init = make_inputs, .fini = remove_inputs);

typedef struct {
    uint64_t die_at;  /* SIGKILL of this process after that many events */
    uint64_t stop_at; /* step after which *stop is set */
    volatile sig_atomic_t stop;
    uint64_t events, steps, total;
    double before, best;
    tti_scores last;
} watch;

static void on_event(void *ctx, const tti_event *e) {
    watch *w = ctx;
    w->events++;
    if (e->kind == TTI_EVENT_STEP) w->steps++;
    if (e->kind == TTI_EVENT_STEP && w->stop_at == e->step) w->stop = SIGINT;
    if (e->kind == TTI_EVENT_EVAL && e->step == 0) w->before = e->scores->c.accuracy;
    if (e->kind == TTI_EVENT_EVAL && e->best) w->best = e->scores->c.accuracy;
    if (e->kind == TTI_EVENT_EVAL) w->last = *e->scores;
    w->total = e->total;
    if (w->die_at > 0 && w->events == w->die_at) raise(SIGKILL);
}

/* One run into folder/out; extra: up to four overrides. */
static tt_status run(const char *out, bool resume, watch *w, const char *const *extra, size_t n) {
    char text[5][192];
    const char *all[16] = {"train.epochs=3",     "train.batch=4",    "train.accumulate=2",
                           "train.lr=3e-3",      "train.warmup=2",   "train.save_every=4",
                           "data.eval_count=12", "train.log_every=2"};
    size_t count = 8;
    snprintf(text[0], sizeof text[0], "model.path=%s/model", folder);
    snprintf(text[1], sizeof text[1], "data.train=%s/data.tsv", folder);
    snprintf(text[2], sizeof text[2], "output.dir=%s/%s", folder, out);
    for (int i = 0; i < 3; i++) all[count++] = text[i];
    for (size_t i = 0; i < n; i++) all[count++] = extra[i];
    tti_config c;
    TT_TRY(tti_config_load(&c, NULL, all, count));
    const tti_train_opts o = {.resume = resume, .stop = &w->stop, .on = on_event, .ctx = w};
    tt_status s = tti_train(&c, &o);
    tti_config_free(&c);
    return s;
}

static void expect_same_file(const char *a, const char *b) {
    tti_map x, y;
    cr_assert_eq(tti_map_open(&x, a), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_map_open(&y, b), TT_OK, "%s", tt_error());
    cr_expect(x.size == y.size && memcmp(x.data, y.data, x.size) == 0, "%s and %s differ", a, b);
    tti_map_close(&x);
    tti_map_close(&y);
}

static int expect_same_folder(const char *a, const char *b) {
    int n = 0;
    DIR *d = opendir(a);
    cr_assert_not_null(d, "%s", a);
    for (struct dirent *e; (e = readdir(d));) {
        char x[400], y[400];
        if (e->d_name[0] == '.') continue;
        snprintf(x, sizeof x, "%s/%s", a, e->d_name);
        snprintf(y, sizeof y, "%s/%s", b, e->d_name);
        if (tti_dir_exists(x))
            n += expect_same_folder(x, y);
        else
            expect_same_file(x, y), n++;
    }
    closedir(d);
    return n;
}

/* A child that is killed at the given event, or earlier ends well. */
static bool killed_run(const char *out, uint64_t die_at, const char *const *extra, size_t n) {
    pid_t child = fork();
    if (child == 0) {
        watch w = {.die_at = die_at};
        _exit(run(out, true, &w, extra, n) == TT_OK ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "a resumed run failed");
    return WIFSIGNALED(status);
}

static void expect_kills_change_nothing(const char *const *extra, size_t n) {
    static const uint64_t die_at[] = {3, 7, 12, 9, 5}; /* events: anywhere between the files */
    for (size_t i = 0; i < TT_COUNT(die_at); i++)
        cr_expect(killed_run("killed", die_at[i], extra, n), "run %zu ended before its kill", i);
    while (killed_run("killed", 1000, extra, n)) continue;
    watch w = {0};
    cr_assert_eq(run("whole", false, &w, extra, n), TT_OK, "%s", tt_error());
    cr_expect_eq(w.steps, 18);
    cr_expect_geq(expect_same_folder(in_folder("whole"), in_folder("killed")), 15);
    expect_same_folder(in_folder("killed"), in_folder("whole"));
}

Test(trainer, a_killed_run_ends_with_the_same_bits) { expect_kills_change_nothing(NULL, 0); }

Test(trainer, so_does_an_adapter_with_dropout) {
    const char *extra[] = {"method.name=lora", "method.dropout=0.2", "model.hidden_dropout=0.1",
                           "select.keep=4"};
    expect_kills_change_nothing(extra, 4);
}

Test(trainer, a_stopped_run_saves_and_goes_on) {
    watch w = {.stop_at = 7};
    cr_assert_eq(run("stopped", false, &w, NULL, 0), TT_E_INTERRUPTED);
    cr_expect(strstr(tt_error(), "stopped after step 7 of 18"), "%s", tt_error());
    uint64_t step;
    bool found;
    cr_assert_eq(tti_checkpoint_latest(&step, &found, in_folder("stopped")), TT_OK);
    cr_expect(found && step == 7);
    w = (watch){0};
    cr_assert_eq(run("stopped", true, &w, NULL, 0), TT_OK, "%s", tt_error());
    cr_expect_eq(w.steps, 11);
    w = (watch){0};
    cr_assert_eq(run("whole", false, &w, NULL, 0), TT_OK, "%s", tt_error());
    expect_same_folder(in_folder("whole"), in_folder("stopped"));
}

Test(trainer, learns_and_its_model_is_as_good_as_said) {
    const char *extra[] = {"train.epochs=12", "data.eval_count=0", NULL};
    char eval[192];
    snprintf(eval, sizeof eval, "data.eval=%s/data.tsv", folder);
    extra[2] = eval;
    watch w = {0};
    cr_assert_eq(run("out", false, &w, extra, 3), TT_OK, "%s", tt_error());
    cr_expect_lt(w.before, 0.7);
    cr_expect_gt(w.best, 0.9, "accuracy %g", w.best);
    tti_device *d;
    tti_gemm *g;
    tti_trained t;
    cr_assert_eq(tti_device_open(&d, NULL), TT_OK);
    cr_assert_eq(tti_gemm_new(&g, d, NULL), TT_OK);
    cr_assert_eq(tti_trained_read(&t, in_folder("out/final"), NULL), TT_OK, "%s", tt_error());
    cr_assert_eq(tti_trained_load(&t, d), TT_OK, "%s", tt_error());
    cr_expect_eq(t.nlabels, 3);
    cr_expect_str_eq(t.labels[0], "blue", "labels in the order of their bytes");
    tti_dataset_opts o = {.labels = t.about.labels, .nlabels = t.nlabels};
    tti_dataset *data;
    tti_samples samples;
    tti_evaluator *e;
    tti_scores s;
    const char *path = in_folder("data.tsv");
    cr_assert_eq(tti_dataset_load(&data, &path, 1, &o), TT_OK);
    cr_assert_eq(tti_samples_encode(&samples, data, t.tokenizer, 64, 96), TT_OK);
    cr_assert_eq(tti_evaluator_new(&e, d, g, t.model, samples.longest, 5), TT_OK);
    cr_assert_eq(tti_evaluate(e, &samples, &s), TT_OK);
    cr_expect_eq(s.c.accuracy, w.best);
    tti_evaluator_free(e);
    tti_samples_free(&samples);
    tti_dataset_free(data);
    tti_trained_free(&t);
    tti_gemm_free(g);
    tti_device_close(d);
}

Test(trainer, a_damaged_checkpoint_is_passed_over) {
    watch w = {0};
    const char *keep[] = {"train.keep_last=9"};
    cr_assert_eq(run("out", false, &w, keep, 1), TT_OK, "%s", tt_error());
    cr_assert_eq(run("whole", false, &w, keep, 1), TT_OK, "%s", tt_error());
    int f = open(in_folder("out/checkpoint-18/optimizer.safetensors"), O_WRONLY);
    cr_assert(f >= 0 && pwrite(f, "!", 1, 5000) == 1);
    close(f);
    w = (watch){0};
    cr_assert_eq(run("out", true, &w, keep, 1), TT_OK, "%s", tt_error());
    cr_expect(strstr(warnings, "checkpoint-18 is damaged and passed over"), "%s", warnings);
    cr_expect_eq(w.steps, 2, "%u steps after checkpoint-16", (unsigned)w.steps);
    expect_same_folder(in_folder("whole"), in_folder("out"));
}

/* Each refusal names what is wrong, and nothing that is there is touched. */
Test(trainer, refuses_what_would_lose_or_change_a_run) {
    watch w = {0};
    cr_assert_eq(run("out", false, &w, NULL, 0), TT_OK, "%s", tt_error());
    cr_expect_eq(run("out", false, &w, NULL, 0), TT_E_ARG);
    cr_expect(strstr(tt_error(), "is not empty; --resume"), "%s", tt_error());
    const char *other[] = {"train.lr=1e-5"};
    cr_expect_eq(run("out", true, &w, other, 1), TT_E_ARG);
    cr_expect(strstr(tt_error(), "train.lr"), "%s", tt_error());
    tti_str data = {0};
    tti_str_puts(&data, "text\tlabel\nw0\tred\nw1 w2\tgreen\nw3\tblue\n");
    for (int i = 0; i < 20; i++) tti_str_puts(&data, "w9\tblue\nw8\tgreen\nw7\tred\n");
    write_text("data.tsv", &data);
    tti_str_free(&data);
    cr_expect_eq(run("out", true, &w, NULL, 0), TT_E_ARG);
    cr_expect(strstr(tt_error(), "data.train: the samples are not those"), "%s", tt_error());
    int f = open(in_folder("out"), O_RDONLY | O_DIRECTORY);
    cr_assert(f >= 0 && flock(f, LOCK_EX) == 0);
    cr_expect_eq(run("out", true, &w, NULL, 0), TT_E_ARG);
    cr_expect(strstr(tt_error(), "in use by another run"), "%s", tt_error());
    close(f);
    const char *bad[][2] = {
        {"train.best=pearson", "train.best: pearson is no metric of this task"},
        {"data.max_len=65", "data.max_len: 65; the model reads at most 64"},
        {"data.shots=1000", "1000 are to be drawn"},
        {"model.path=/nowhere", "/nowhere"},
        {"data.train=/nowhere.tsv", "/nowhere.tsv"},
        {"gemm=fast", "fast"},
        {"device=no such device", "no such device"},
        {"method.name=lora,", "method.name"},
    };
    for (size_t i = 0; i < TT_COUNT(bad); i++) {
        cr_expect_neq(run("new", false, &w, bad[i], 1), TT_OK, "%s", bad[i][0]);
        cr_expect(strstr(tt_error(), bad[i][1]), "%s: %s", bad[i][0], tt_error());
        cr_expect_null(strchr(tt_error(), '\n'), "%s", tt_error());
    }
}

Test(trainer, a_loss_that_is_not_finite_ends_the_run) {
    const char *wild[] = {"train.lr=100", "train.max_grad_norm=0", "train.warmup=6",
                          "train.epochs=40"};
    watch w = {0};
    tt_status s = run("out", false, &w, wild, 4);
    cr_expect_eq(s, TT_E_NUMERIC, "%d", (int)s);
    cr_expect(strstr(tt_error(), "no finite number") && strstr(tt_error(), "checkpoint-"), "%s",
              tt_error());
    uint64_t step;
    bool found;
    cr_assert_eq(tti_checkpoint_latest(&step, &found, in_folder("out")), TT_OK);
    cr_expect(found, "the checkpoint before is kept");
}

Test(trainer, a_dry_run_writes_nothing) {
    const char *const all[] = {"train.epochs=1"};
    char text[3][192];
    snprintf(text[0], sizeof text[0], "model.path=%s/model", folder);
    snprintf(text[1], sizeof text[1], "data.train=%s/data.tsv", folder);
    snprintf(text[2], sizeof text[2], "output.dir=%s/dry", folder);
    tti_config c;
    cr_assert_eq(tti_config_load(&c, NULL, (const char *[]){all[0], text[0], text[1], text[2]}, 4),
                 TT_OK);
    watch w = {0};
    const tti_train_opts o = {.dry_run = true, .on = on_event, .ctx = &w};
    cr_expect_eq(tti_train(&c, &o), TT_OK, "%s", tt_error());
    cr_expect_eq(w.events, 1);
    cr_expect_eq(w.total, 4);
    cr_expect_not(tti_dir_exists(in_folder("dry")));
    tti_config_free(&c);
}

/* Wherever memory runs out the run ends with that status, and another one can be made. */
Test(trainer, survives_failing_allocations) {
    const char *short_run[] = {"train.epochs=1", "train.keep_last=1"};
    tt_status s = TT_E_NOMEM;
    int failed = 0;
    for (long n = 1; n < 4000000 && s != TT_OK; n += 1 + n / 4) {
        watch w = {0};
        tti_dir_remove(in_folder("out"));
        tti_alloc_fail_at(n);
        s = run("out", false, &w, short_run, 2);
        tti_alloc_fail_at(0);
        cr_expect(s == TT_OK || s == TT_E_NOMEM, "allocation %ld: %d %s", n, (int)s, tt_error());
        failed += s == TT_E_NOMEM;
    }
    cr_expect_eq(s, TT_OK);
    cr_expect_gt(failed, 20);
}
