// SPDX-License-Identifier: Apache-2.0
/* cmd_train.c - tokentune train: a run, its progress, and its end on a signal. */
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "host/cli/cli.h"
#include "host/train/trainer.h"

int cmd_train(int argc, char **argv);

static volatile sig_atomic_t stop_signal;

/* The first signal ends the run after its step; the handler is then gone, and a second one ends the
 * process at once. */
static void on_signal(int number) { stop_signal = number; }

static void catch_signals(void) {
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

/* ---- progress ---- */

typedef struct {
    bool terminal, open; /* a progress line stands there, without its newline */
    double shown;        /* when */
    const char *key;     /* of the metric below: accuracy, pearson or loss */
    struct {
        bool known;
        double value;
    } eval[2], test[2]; /* before training; then of the best step, of the final model */
} progress;

static void line_end(progress *p) {
    if (p->open) fputc('\n', stderr);
    p->open = false;
}

static void table_row(tti_str *s, const char *name, size_t bytes) {
    tti_str_printf(s, "  %-12s %15zu  ", name, bytes);
    tti_cli_bytes(s, bytes);
    tti_str_putc(s, '\n');
}

enum {
    SETTINGS = TTI_DIAL_RECOMPUTE | TTI_DIAL_KEPT | TTI_DIAL_KEYS | TTI_DIAL_WEIGHTS |
               TTI_DIAL_HEAD | TTI_DIAL_OPTIMIZER
};

static void show_plan(const tti_event *e) {
    const tti_bytes *b = &e->bytes;
    tti_str s = {0};
    tti_str_printf(&s, "%zu samples, %" PRIu64 " steps of %.3g epochs, %zu numbers train; on %s\n",
                   e->samples, e->total, (double)e->total / (double)e->per_epoch, e->trained,
                   e->device);
    if (e->data)
        tti_str_printf(&s, "%s\n", e->data);
    else if (e->cut > 0)
        tti_str_printf(&s, "%zu samples are longer than fits and cut\n", e->cut);
    if (e->limit > 0) {
        tti_str_puts(&s, "within ");
        tti_bytes_say(&s, e->limit);
        tti_str_puts(&s, ": ");
        tti_dials_say(&s, e->dials, SETTINGS, TTI_SAY_KEYS);
        tti_str_putc(&s, '\n');
    }
    tti_str_puts(&s, "device memory, bytes:\n");
    table_row(&s, "weights", b->weights);
    table_row(&s, "gradients", b->gradients);
    table_row(&s, "optimizer", b->optimizer);
    table_row(&s, "kept", b->kept);
    table_row(&s, "transient", b->transient);
    table_row(&s, "inputs", b->inputs);
    table_row(&s, "workspace", b->workspace);
    if (e->eval_bytes > 0) table_row(&s, "evaluation", e->eval_bytes);
    if (e->scout_bytes > 0) table_row(&s, "first pass", e->scout_bytes);
    table_row(&s, "total", b->total + e->eval_bytes + e->scout_bytes);
    if (s.status == TT_OK) fputs(s.p, stderr);
    tti_str_free(&s);
}

static void duration(char out[24], double seconds) {
    unsigned long t = seconds > 0 ? (unsigned long)(seconds + 0.5) : 0;
    if (t >= 3600)
        snprintf(out, 24, "%luh%02lum", t / 3600, t / 60 % 60);
    else
        snprintf(out, 24, "%lum%02lus", t / 60, t % 60);
}

/* On a terminal one line that is written over; else a line where the run logs. */
static void show_step(progress *p, const tti_event *e) {
    char left[24];
    double now = tti_now();
    bool last = e->step == e->total;
    if (p->terminal ? now - p->shown < 0.1 && !last && !e->logged : !e->logged) return;
    p->shown = now;
    tti_str s = {0};
    duration(left, e->eta);
    tti_str_printf(&s, "step %" PRIu64 "/%" PRIu64 "  epoch %.2f  loss %.4f  lr %.3g", e->step,
                   e->total, e->epoch, e->loss, e->lr);
    if (e->tokens_per_s > 0) tti_str_printf(&s, "  %.0f tokens/s  %s left", e->tokens_per_s, left);
    tti_str_puts(&s, "  ");
    tti_cli_bytes(&s, e->device_bytes);
    if (s.status == TT_OK && p->terminal) fprintf(stderr, "\r%s\033[K", s.p);
    if (s.status == TT_OK && !p->terminal) fprintf(stderr, "%s\n", s.p);
    p->open = p->terminal;
    tti_str_free(&s);
}

static void show_scores(progress *p, const tti_event *e) {
    const tti_scores *s = e->scores;
    bool test = e->kind == TTI_EVENT_TEST;
    double value = s->causal ? s->loss : s->regression ? s->r.pearson : s->c.accuracy;
    line_end(p);
    fprintf(stderr, "%s at step %" PRIu64 ", %zu samples: loss %.4f  ",
            test ? "test" : "evaluation", e->step, s->n, s->loss);
    if (s->causal)
        fprintf(stderr, "perplexity %.4g  (%zu tokens)", s->perplexity, s->tokens);
    else if (s->regression)
        fprintf(stderr, "pearson %.4f  spearman %.4f", s->r.pearson, s->r.spearman);
    else
        fprintf(stderr, "accuracy %.4f  macro-F1 %.4f  MCC %.4f", s->c.accuracy, s->c.macro_f1,
                s->c.mcc);
    fputs(!test && e->best ? "  (best so far)\n" : "\n", stderr);
    p->key = s->causal ? "loss" : s->regression ? "pearson" : "accuracy";
    int after = e->step > 0;
    if (test)
        p->test[after].value = value, p->test[after].known = true;
    else if (!after || e->best)
        p->eval[after].value = value, p->eval[after].known = true;
}

static void on_event(void *ctx, const tti_event *e) {
    progress *p = ctx;
    switch (e->kind) {
    case TTI_EVENT_PLAN: show_plan(e); break;
    case TTI_EVENT_STEP: show_step(p, e); break;
    case TTI_EVENT_EVAL:
    case TTI_EVENT_TEST: show_scores(p, e); break;
    case TTI_EVENT_SAVED:
        line_end(p);
        fprintf(stderr, "saved %s\n", e->path);
        break;
    case TTI_EVENT_DONE:
        line_end(p);
        fprintf(stderr, "done: %s\n", e->path);
        break;
    }
}

/* ---- results ---- */

static tt_status print_plan(const tti_event *e) {
    const tti_bytes *b = &e->bytes;
    tti_str s = {0};
    tti_str_printf(&s, "{\"steps\": %" PRIu64 ", \"samples\": %zu, \"trained\": %zu, ", e->total,
                   e->samples, e->trained);
    tti_str_printf(&s, "\"weights\": %zu, \"gradients\": %zu, \"optimizer\": %zu, \"kept\": %zu, ",
                   b->weights, b->gradients, b->optimizer, b->kept);
    tti_str_printf(&s, "\"transient\": %zu, \"inputs\": %zu, \"workspace\": %zu, ", b->transient,
                   b->inputs, b->workspace);
    tti_str_printf(&s, "\"evaluation\": %zu, \"first_pass\": %zu, \"total\": %zu, \"settings\": {",
                   e->eval_bytes, e->scout_bytes, b->total + e->eval_bytes + e->scout_bytes);
    tti_dials_json(&s, e->dials);
    tti_str_puts(&s, "}}");
    if (s.status == TT_OK) puts(s.p);
    tt_status status = s.status;
    tti_str_free(&s);
    return status;
}

static tt_status print_done(const progress *p, const tti_event *e) {
    tti_str s = {0};
    tti_str_printf(&s, "{\"steps\": %" PRIu64 ", \"output\": ", e->step);
    tti_str_json(&s, e->path, strlen(e->path));
    if (p->eval[0].known) tti_json_number(&s, "eval_before_", p->key, p->eval[0].value);
    if (p->eval[1].known) tti_json_number(&s, "eval_best_", p->key, p->eval[1].value);
    if (p->test[0].known) tti_json_number(&s, "test_before_", p->key, p->test[0].value);
    if (p->test[1].known) tti_json_number(&s, "test_after_", p->key, p->test[1].value);
    tti_str_putc(&s, '}');
    if (s.status == TT_OK) puts(s.p);
    tt_status status = s.status;
    tti_str_free(&s);
    return status;
}

typedef struct {
    progress p;
    tt_status printed; /* of the line on standard output */
    bool dry_run;
} watcher;

static void watch(void *ctx, const tti_event *e) {
    watcher *w = ctx;
    on_event(&w->p, e);
    if (e->kind == TTI_EVENT_PLAN && w->dry_run) w->printed = print_plan(e);
    if (e->kind == TTI_EVENT_DONE) w->printed = print_done(&w->p, e);
}

/* ---- the command ---- */

static const char summary[] =
    "Fine-tunes a model as CONFIG.yaml says; key=value arguments go before what it says. The "
    "output\n"
    "folder then holds final/ (a model folder for transformers, or an adapter folder for peft),\n"
    "metrics.jsonl and the checkpoints. SIGINT and SIGTERM finish the step, save and end the run\n"
    "(exit status 130 and 143); a second one ends it at once. Progress is told on standard error,\n"
    "the result in one JSON line on standard output.\n";

static int train(const char *const *args, size_t nargs, tti_train_opts *o, const char *device,
                 const char *gemm) {
    tti_config c;
    watcher w = {.p = {.terminal = isatty(STDERR_FILENO)}, .dry_run = o->dry_run};
    tt_status s = tti_config_load(&c, args[0], args + 1, nargs - 1);
    if (s == TT_E_ARG) {
        tti_cli_failed();
        return TTI_EXIT_USAGE;
    }
    if (s != TT_OK) return tti_cli_failed();
    char *own_device = c.device, *own_gemm = c.gemm; /* options go before keys */
    if (device) c.device = (char *)device;
    if (gemm) c.gemm = (char *)gemm;
    o->on = watch;
    o->ctx = &w;
    o->stop = &stop_signal;
    if (!o->dry_run) catch_signals();
    s = tti_train(&c, o);
    if (s == TT_OK) s = w.printed;
    line_end(&w.p);
    c.device = own_device;
    c.gemm = own_gemm;
    tti_config_free(&c);
    if (s == TT_OK) return TTI_EXIT_OK;
    tti_cli_failed();
    return s == TT_E_INTERRUPTED ? 128 + (int)stop_signal : TTI_EXIT_FAILED;
}

int cmd_train(int argc, char **argv) {
    tti_train_opts o = {0};
    const char *device = NULL, *gemm = NULL, *memory = NULL;
    char limit[64];
    const tti_opt options[] = {
        {"--resume", NULL, TTI_OPT_FLAG, &o.resume,
         "go on from the newest checkpoint in the output folder"},
        {"--overwrite", NULL, TTI_OPT_FLAG, &o.overwrite,
         "remove an earlier run from the output folder and begin anew"},
        {"--dry-run", NULL, TTI_OPT_FLAG, &o.dry_run,
         "read everything, print the memory that the run needs, and end"},
        {"--memory", "SIZE", TTI_OPT_TEXT, &memory,
         "as memory.limit=SIZE: 6G, 512M; settings at auto are then the fastest that fit"},
        {"--device", "SPEC", TTI_OPT_TEXT, &device, "see tokentune devices --help"},
        {"--gemm", "NAME", TTI_OPT_TEXT, &gemm, "auto, clblast or tile"},
    };
    tti_str keys = {0};
    tti_str_puts(&keys, "Keys, for the file (sections: model: {path: ...}) and as key=value; "
                        "[defaults]:\n\n");
    tti_config_help(&keys);
    const tti_command command = {
        "train", "CONFIG.yaml [key=value ...]", summary, options, TT_COUNT(options), 1, SIZE_MAX,
        keys.p};
    const char **args = tti_calloc((size_t)argc + 1, sizeof *args);
    size_t nargs;
    int status = TTI_EXIT_FAILED;
    if (!args || keys.status != TT_OK)
        tti_cli_failed();
    else if (tti_cli_parse(&command, argc, argv, args, &nargs, &status)) {
        if (memory) {
            snprintf(limit, sizeof limit, "memory.limit=%s", memory);
            args[nargs++] = limit;
        }
        if (o.resume && o.overwrite)
            status = tti_cli_usage("train: --resume and --overwrite exclude each other");
        else
            status = train(args, nargs, &o, device, gemm);
    }
    tti_free(args);
    tti_str_free(&keys);
    return status;
}
