// SPDX-License-Identifier: Apache-2.0
/* cmd_bench.c - tokentune bench step: the time and the bytes of one fine-tuning step. */
#include <stdlib.h>
#include <string.h>
#include "host/cli/shape_args.h"
#include "host/core/philox.h"
#include "host/train/select.h"

int cmd_bench(int argc, char **argv);

static const char usage[] =
    "usage: tokentune bench step --model DIR [options]\n"
    "\n"
    "Times whole training steps (forward, backward, clipping, update) of a classifier, or of a "
    "decoder\n"
    "that predicts the next token everywhere, on random tokens with random weights, after one "
    "step\n"
    "that is not counted, without dropout.\n"
    "\n" TTI_SHAPE_HELP "  --memory SIZE        device memory that it may use, as 8G or 512M\n"
    "  --repeat N           counted steps (5)\n"
    "  --help               this text\n"
    "\n"
    "The JSON line: the settings by name, step_s, min_s, max_s (median and bounds), tokens_per_s, "
    "held_bytes (values "
    "other\n"
    "than weights that live from the forward into the backward pass), planned_bytes and\n"
    "allocated_bytes by category, allocations_after_first_step (of device memory), and resident\n"
    "bytes of the process: process_loaded_bytes (the most before the first step), process_bytes "
    "(after\n"
    "the last), process_peak_bytes.\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage.\n";

typedef struct {
    const tti_shape_args *a;
    tti_device *dev;
    tti_gemm *gemm;
    tti_model *model;
    tti_session *session;
    tti_batch *batch;
    tti_sequence *seqs;
    int32_t *ids, *next, *selected;
    size_t losses; /* what the loss is a mean over */
    tti_idset all, slots;
    double *times;
    size_t loaded, late; /* process bytes when all was ready; allocations after the first step */
} bench;

static tt_status make_sequence(bench *b, size_t i) {
    const tti_shape_args *a = b->a;
    const bool causal = a->opts.task == TTI_TASK_CAUSAL;
    const size_t k = tti_shape_args_selected(a, &a->d);
    const tti_selector s = {.decoder = causal, .keep = a->d.keep, .seed = 1};
    b->seqs[i] = (tti_sequence){.ids = b->ids + i * a->d.seq,
                                .n = a->d.seq,
                                .selected = b->selected + i * k,
                                .nselected = k,
                                .number = (uint32_t)i,
                                .label = (int32_t)(i % 2),
                                .next = causal ? b->next + i * a->d.seq : NULL};
    TT_TRY(tti_select(b->selected + i * k, &s,
                      &(tti_choice){.n = a->d.seq, .step = 1, .number = (uint32_t)i}));
    b->losses += causal ? tti_sequence_supervised(&b->seqs[i]) : 1;
    return TT_OK;
}

/* Random tokens; each but a sequence's last is followed by the next one. */
static tt_status make_batch(bench *b) {
    const tti_shape_args *a = b->a;
    const tti_model_info *info = tti_model_get_info(b->model);
    const size_t n = a->d.batch * a->d.seq;
    b->ids = tti_calloc(n, sizeof *b->ids);
    b->next = tti_calloc(n, sizeof *b->next);
    b->selected = tti_calloc(n, sizeof *b->selected);
    b->seqs = tti_calloc(a->d.batch, sizeof *b->seqs);
    if (!b->ids || !b->next || !b->selected || !b->seqs) return TT_E_NOMEM;
    for (size_t i = 0; i < n; i++)
        b->ids[i] =
            (int32_t)tti_below(tti_philox((uint32_t)i, 0, 0, 0, 1, 0).v[0], (uint32_t)info->vocab);
    for (size_t i = 0; i < n; i++) b->next[i] = (i + 1) % a->d.seq ? b->ids[i + 1] : -1;
    for (size_t i = 0; i < a->d.batch; i++) TT_TRY(make_sequence(b, i));
    TT_TRY(tti_idset_add(&b->all, info, b->seqs, a->d.batch, false));
    TT_TRY(tti_idset_add(&b->slots, info, b->seqs, a->d.batch, true));
    TT_TRY(tti_batch_new(&b->batch));
    return tti_batch_fill(b->batch, info, tti_device_caps(b->dev)->att_rows, b->seqs, a->d.batch,
                          b->slots.id, b->slots.n, !tti_model_param(b->model, 0)->sparse);
}

static tti_session_opts session_options(const bench *b, const tti_model_info *info) {
    tti_session_opts o = tti_session_defaults();
    o.training = true;
    tti_dials_session(&b->a->d, &o);
    o.max = tti_shape_args_rows(b->a, &b->a->d, info, tti_device_caps(b->dev)->att_rows);
    return o;
}

static tt_status setup(bench *b) {
    tti_model_opts opts = b->a->opts;
    opts.random_weights = true;
    opts.num_labels = 2;
    TT_TRY(tti_device_open(&b->dev, b->a->device));
    if (b->a->limit > 0) tti_device_limit(b->dev, (size_t)b->a->limit);
    TT_TRY(tti_gemm_new(&b->gemm, b->dev, b->a->gemm));
    opts.align = tti_device_caps(b->dev)->align;
    opts.max_alloc = tti_device_caps(b->dev)->max_alloc;
    TT_TRY(tti_model_load(&b->model, NULL, b->a->model, &opts));
    const tti_session_opts o = session_options(b, tti_model_get_info(b->model));
    const int longest = tti_model_get_info(b->model)->max_len;
    if (b->a->d.seq > (size_t)longest)
        return tti_fail(TT_E_ARG, "--seq %zu: the model reads at most %d tokens", b->a->d.seq,
                        longest);
    /* Planning measures matrix products, which takes memory: before there are weights. */
    tti_bytes planned;
    TT_TRY(tti_session_plan(&planned, tti_device_caps(b->dev), b->gemm, b->model, &o));
    TT_TRY(tti_bytes_fit(&planned, tti_device_caps(b->dev)));
    tti_model_free(b->model);
    b->model = NULL;
    tti_process_trim();
    TT_TRY(tti_model_load(&b->model, b->dev, b->a->model, &opts));
    TT_TRY(make_batch(b));
    TT_TRY(tti_session_new(&b->session, b->dev, b->gemm, b->model, &o));
    size_t now;
    tti_process_bytes(&now, &b->loaded);
    return TT_OK;
}

static tt_status step(bench *b, uint32_t number) {
    TT_TRY(
        tti_session_begin(b->session, number, 1e-4f, b->all.id, b->all.n, b->slots.id, b->slots.n));
    TT_TRY(tti_session_batch(b->session, tti_batch_feed(b->batch), 0,
                             1.0f / (float)TT_MAX(b->losses, 1)));
    TT_TRY(tti_session_update(b->session));
    return tti_device_finish(b->dev);
}

static int ascending(const void *x, const void *y) {
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static tt_status report(bench *b) {
    const tti_shape_args *a = b->a;
    const size_t n = (size_t)a->repeat;
    qsort(b->times, n, sizeof *b->times, ascending);
    const double median = n % 2 ? b->times[n / 2] : (b->times[n / 2 - 1] + b->times[n / 2]) / 2;
    const double rate = (double)(a->d.batch * a->d.seq) / median;
    const tti_bytes planned = tti_session_planned(b->session);
    const tti_bytes allocated = tti_session_allocated(b->session);
    const char *device = tti_device_get_info(b->dev)->name;
    if (!a->json) {
        printf("%s: %zu x %zu tokens, keep %g, %s: %.4f s a step (%.4f to %.4f), %.0f tokens/s, "
               "%.1f MiB held, %.1f MiB in all\n",
               device, a->d.batch, a->d.seq, a->d.keep, tti_method_name(a->d.method), median,
               b->times[0], b->times[n - 1], rate, (double)planned.kept / (1 << 20),
               (double)planned.total / (1 << 20));
        return TT_OK;
    }
    tti_str s = {0};
    tti_str_puts(&s, "{\"device\": ");
    tti_str_json(&s, device, strlen(device));
    tti_str_puts(&s, ", \"model\": ");
    tti_str_json(&s, a->model, strlen(a->model));
    tti_str_puts(&s, ", ");
    const tti_dials shown = tti_dials_of_model(&a->d, b->model);
    tti_dials_json(&s, &shown);
    tti_str_printf(&s,
                   ", \"step_s\": %.4f, \"min_s\": %.4f, \"max_s\": %.4f, "
                   "\"tokens_per_s\": %.1f, \"held_bytes\": %zu, \"planned_bytes\": ",
                   median, b->times[0], b->times[n - 1], rate, planned.kept);
    tti_bytes_json(&s, &planned);
    tti_str_puts(&s, ", \"allocated_bytes\": ");
    tti_bytes_json(&s, &allocated);
    size_t now, peak;
    tti_process_bytes(&now, &peak);
    tti_str_printf(&s,
                   ", \"allocations_after_first_step\": %zu, \"process_loaded_bytes\": %zu, "
                   "\"process_bytes\": %zu, \"process_peak_bytes\": %zu}\n",
                   b->late, b->loaded, now, peak);
    if (s.status == TT_OK) fputs(s.p, stdout);
    tt_status status = s.status;
    tti_str_free(&s);
    return status;
}

static tt_status run(bench *b) {
    TT_TRY(setup(b));
    b->times = tti_calloc((size_t)b->a->repeat, sizeof *b->times);
    if (!b->times) return TT_E_NOMEM;
    TT_TRY(step(b, 1));
    const size_t made = tti_mem_made(b->dev);
    tti_process_trim();
    for (int i = 0; i < b->a->repeat; i++) {
        const double t = tti_now();
        TT_TRY(step(b, (uint32_t)i + 2));
        b->times[i] = tti_now() - t;
    }
    float loss, norm;
    bool finite;
    TT_TRY(tti_session_result(b->session, &loss, &norm, &finite));
    if (!finite) return tti_fail(TT_E_NUMERIC, "the loss is not finite after the timed steps");
    b->late = tti_mem_made(b->dev) - made;
    return report(b);
}

int cmd_bench(int argc, char **argv) {
    if (argc >= 2 && !strcmp(argv[1], "--help")) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc < 2 || strcmp(argv[1], "step")) {
        fprintf(stderr, "tokentune: bench: expected \"step\"; see tokentune bench --help\n");
        return 2;
    }
    argv[1] = argv[0];
    tti_shape_args a;
    bool done;
    int status = tti_shape_args_parse(&a, argc - 1, argv + 1, usage, &done);
    bench b = {.a = &a};
    if (!done && run(&b) != TT_OK) {
        fprintf(stderr, "tokentune: %s\n", tt_error());
        status = 1;
    }
    tti_session_free(b.session);
    tti_batch_free(b.batch);
    tti_idset_free(&b.all);
    tti_idset_free(&b.slots);
    tti_free(b.seqs);
    tti_free(b.ids);
    tti_free(b.next);
    tti_free(b.selected);
    tti_free(b.times);
    tti_model_free(b.model);
    tti_gemm_free(b.gemm);
    tti_device_close(b.dev);
    tti_shape_args_free(&a);
    return status;
}
