// SPDX-License-Identifier: Apache-2.0
/* cmd_plan.c - tokentune plan: the byte table of a run before it is run. */
#include <string.h>
#include "host/cli/plan.h"

int cmd_plan(int argc, char **argv);

static const char usage[] =
    "usage: tokentune plan --model DIR [options]\n"
    "\n"
    "Prints what a training step will allocate on the device, by category, and how long it takes.\n"
    "Nothing is allocated or read but config.json; the figures are those of the run, to the "
    "byte.\n"
    "\n"
    "With --memory the sizes that are not given are sought, in the order keep, length, batch: the\n"
    "largest keep that fits for one sequence of 256 tokens; where that is all of them, the "
    "longest\n"
    "sequence; where that is all that the model reads, the largest batch. The settings that are "
    "not\n"
    "given (recompute, kept, keys, and the weights of lora) are then the fastest that fit, "
    "by\n"
    "arithmetic; of those about equally fast the one that rounds least.\n"
    "\n" TTI_SHAPE_HELP "  --memory SIZE        bytes that the run may use, as 8G or 512M\n"
    "  --trade              the table of settings without --memory too\n"
    "  --device-memory SIZE memory of the device planned for; no device is then looked at unless\n"
    "                       --device names one\n"
    "  --max-alloc SIZE     its largest single buffer\n"
    "  --no-device          plan without looking at any device (workspace then counts as 0)\n"
    "  --gflops X           its speed in matrix products, for the time (measured where there is a\n"
    "                       device)\n"
    "  --help               this text\n"
    "\n"
    "Time is counted by floating-point operations, relative to the same step with keep 1 and "
    "without\n"
    "recomputation.\n"
    "Exit status: 0 when the run fits, 1 when it does not or the model cannot be planned, 2 on "
    "wrong\n"
    "usage.\n";

static double relative_time(const plan_job *j) {
    return j->plain_flops > 0 ? j->cost.flops / j->plain_flops : 0;
}

static void print_json(tti_str *s, const plan_job *j, bool fits) {
    const tti_bytes *b = &j->cost.bytes;
    const double flops = j->cost.flops;
    tti_str_puts(s, "{\"total_bytes\": ");
    if (j->cost.total == SIZE_MAX)
        tti_str_puts(s, "null");
    else
        tti_str_printf(s, "%zu", j->cost.total);
    tti_str_puts(s, ", \"by_category\": ");
    tti_bytes_json(s, b);
    tti_str_printf(
        s,
        ", \"held_bytes\": %zu, \"host_bytes\": %zu, \"fits\": %s, \"limit\": %zu, "
        "\"device_memory\": %zu, "
        "\"max_alloc\": %zu, \"batch\": %zu, \"seq\": %zu, \"keep\": %g, \"settings\": {",
        b->kept, tti_model_host_bytes(j->model), fits ? "true" : "false", j->budget.limit,
        j->caps.memory, j->caps.max_alloc, j->d.batch, j->d.seq, j->d.keep);
    const tti_dials shown = tti_dials_of_model(&j->d, j->model);
    tti_dials_json(s, &shown);
    tti_str_printf(s, ", \"lora_rank\": %d}, \"flops\": %.6g, \"relative_time\": %.4f, ",
                   j->a->opts.lora_rank, flops, relative_time(j));
    tti_str_printf(s, "\"recompute_share\": %.4f, ",
                   flops > 0 ? 1 - j->no_recompute_flops / flops : 0);
    if (j->rate > 0)
        tti_str_printf(s, "\"gflops\": %.1f, \"time_s\": %.4g", j->rate / 1e9, flops / j->rate);
    else
        tti_str_puts(s, "\"gflops\": null, \"time_s\": null");
}

static void print_settings(tti_str *s, const plan_job *j) {
    const tti_dials shown = tti_dials_of_model(&j->d, j->model), *d = &shown;
    tti_str_printf(s, "\n%zu x %zu tokens, keep %g, %s: weights %s, head %s, kept %s, keys %s",
                   d->batch, d->seq, d->keep, tti_method_name(d->method),
                   tti_storage_name(d->weights), tti_storage_name(d->head), tti_dtype_name(d->kept),
                   tti_dials_keys_name(d));
    tti_str_printf(s, ", gradients %s, recompute %s, %s%s\n", tti_dtype_name(d->gradients),
                   tti_recompute_name(d->recompute), tti_optimizer_name(d->optimizer),
                   d->stream ? ", streamed" : "");
    tti_str_printf(s, "time: %.4g TFLOP a step, %.3f of keep 1 without recomputation",
                   j->cost.flops / 1e12, relative_time(j));
    if (j->rate > 0)
        tti_str_printf(s, "; %.4g s at %.4g GFLOP/s", j->cost.flops / j->rate, j->rate / 1e9);
    tti_str_putc(s, '\n');
}

static void print_text(tti_str *s, const plan_job *j, bool fits) {
    const tti_bytes *b = &j->cost.bytes;
    char state[32];
    snprintf(state, sizeof state, "of %s", tti_optimizer_name(j->d.optimizer));
    const struct {
        const char *name, *what;
        size_t bytes;
    } row[] = {{"weights", "parameters", b->weights},
               {"gradients", "of the trained ones", b->gradients},
               {"optimizer", state, b->optimizer},
               {"kept", "values held from the forward into the backward pass", b->kept},
               {"transient", "other values, at their highest", b->transient},
               {"inputs", "token ids, positions, offsets", b->inputs},
               {"workspace", "scratch of matrix products", b->workspace},
               {"total", fits ? "fits" : "does not fit", b->total}};
    tti_str_printf(s, "%-10s %15s %10s\n", "category", "bytes", "MiB");
    for (size_t i = 0; i < TT_COUNT(row); i++)
        tti_str_printf(s, "%-10s %15zu %10.1f  %s\n", row[i].name, row[i].bytes,
                       (double)row[i].bytes / (1 << 20), row[i].what);
    const size_t host = tti_model_host_bytes(j->model);
    if (host)
        tti_str_printf(s, "%-10s %15zu %10.1f  %s\n", "host", host, (double)host / (1 << 20),
                       "layers in host memory; the device sees two at a time");
    print_settings(s, j);
}

/* One line: what is too much, and the smallest changes that would fit. */
static tt_status refuse(plan_job *j) {
    tti_str s = {0}, way = {0};
    tti_cost c;
    tt_status status = TT_OK;
    if (j->cost.total == SIZE_MAX) {
        status = plan_cost(j, &j->d, false, &c); /* sets the message, which names the value */
        tti_str_puts(&s, tt_error());
    } else {
        tti_str_puts(&s, "the run needs ");
        tti_bytes_say(&s, j->cost.total);
        tti_str_puts(&s,
                     j->budget.limit < j->caps.memory ? ", the limit is " : ", the device has ");
        tti_bytes_say(&s, j->budget.limit);
    }
    if (status == TT_OK) status = tti_budget_advice(&way, &j->budget, &j->d, TTI_SAY_FLAGS);
    if (status == TT_OK) status = s.status;
    if (status == TT_OK) status = tti_fail(TT_E_MEMORY, "%s; %s", s.p, way.p);
    tti_str_free(&s);
    tti_str_free(&way);
    return status;
}

static tt_status plan(plan_job *j) {
    bool fits;
    tti_str s = {0};
    TT_TRY(plan_find(j, &fits));
    (j->a->json ? print_json : print_text)(&s, j, fits);
    const bool trade = j->a->limit > 0 || j->a->trade;
    tt_status status = TT_OK;
    if (trade && j->a->json) tti_str_puts(&s, ", \"trade\": [");
    if (trade) status = plan_trade(j, &s);
    if (trade && j->a->json) tti_str_putc(&s, ']');
    if (j->a->json) tti_str_puts(&s, "}\n");
    if (status == TT_OK) status = s.status;
    if (status == TT_OK) fputs(s.p, stdout);
    tti_str_free(&s);
    return status == TT_OK && !fits ? refuse(j) : status;
}

int cmd_plan(int argc, char **argv) {
    tti_shape_args a;
    bool done;
    int status = tti_shape_args_parse(&a, argc, argv, usage, &done);
    plan_job j = {.a = &a};
    if (!done && plan(&j) != TT_OK) {
        fprintf(stderr, "tokentune: %s\n", tt_error());
        status = 1;
    }
    plan_free(&j);
    tti_shape_args_free(&a);
    return status;
}
