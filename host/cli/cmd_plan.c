// SPDX-License-Identifier: Apache-2.0
/* cmd_plan.c - tokentune plan: the byte table of a run before it is run. */
#include <string.h>
#include "host/cli/shape_args.h"

int cmd_plan(int argc, char **argv);

static const char usage[] =
    "usage: tokentune plan --model DIR [options]\n"
    "\n"
    "Prints what a training step will allocate on the device, by category. Nothing is allocated "
    "or\n"
    "read but config.json; the figures are those of the run, to the byte.\n"
    "\n" TTI_SHAPE_HELP
    "  --no-device          plan without looking at any device (GEMM workspace then counts as 0)\n"
    "  --device-memory SIZE memory of the device planned for, as 8G or 512M\n"
    "  --max-alloc SIZE     its largest single buffer\n"
    "  --help               this text\n"
    "\n"
    "Exit status: 0 when the run fits, 1 when it does not or the model cannot be planned, 2 on "
    "wrong\n"
    "usage.\n";

static tt_status print(const tti_shape_args *a, const tti_bytes *b, const tti_caps *caps) {
    const bool fits = b->total <= caps->memory;
    tti_str s = {0};
    if (a->json) {
        tti_str_puts(&s, "{\"total_bytes\": ");
        tti_str_printf(&s, "%zu, \"by_category\": ", b->total);
        tti_bytes_json(&s, b);
        tti_str_printf(&s,
                       ", \"held_bytes\": %zu, \"fits\": %s, \"device_memory\": %zu, "
                       "\"max_alloc\": %zu, \"batch\": %zu, \"seq\": %zu, \"keep\": %g}\n",
                       b->kept, fits ? "true" : "false", caps->memory, caps->max_alloc, a->batch,
                       a->seq, a->keep);
    } else {
        const struct {
            const char *name, *what;
            size_t bytes;
        } row[] = {{"weights", "parameters", b->weights},
                   {"gradients", "of the trained ones", b->gradients},
                   {"optimizer", "AdamW's moments", b->optimizer},
                   {"kept", "values held from the forward into the backward pass", b->kept},
                   {"transient", "other values, at their highest", b->transient},
                   {"inputs", "token ids, positions, offsets", b->inputs},
                   {"workspace", "scratch of matrix products", b->workspace},
                   {"total", fits ? "fits" : "does not fit", b->total}};
        tti_str_printf(&s, "%-10s %15s %10s\n", "category", "bytes", "MiB");
        for (size_t i = 0; i < TT_COUNT(row); i++)
            tti_str_printf(&s, "%-10s %15zu %10.1f  %s\n", row[i].name, row[i].bytes,
                           (double)row[i].bytes / (1 << 20), row[i].what);
    }
    if (s.status == TT_OK) fputs(s.p, stdout);
    tt_status status = s.status;
    tti_str_free(&s);
    if (status == TT_OK && !fits)
        return tti_fail(TT_E_MEMORY, "the run needs %zu bytes, the device has %zu", b->total,
                        caps->memory);
    return status;
}

static tt_status plan(tti_shape_args *a) {
    tti_caps caps = {.cpu = true,
                     .wg = 1,
                     .vw = 16,
                     .att_rows = 16,
                     .max_alloc = SIZE_MAX / 2,
                     .align = 128,
                     .memory = SIZE_MAX / 2};
    tti_device *d = NULL;
    tti_gemm *gemm = NULL;
    tti_model *m = NULL;
    tti_bytes b;
    tt_status s = TT_OK;
    if (!a->no_device) {
        TT_GO(tti_device_open(&d, a->device));
        TT_GO(tti_gemm_new(&gemm, d, a->gemm));
        caps = *tti_device_caps(d);
    }
    if (a->device_memory > 0) caps.memory = (size_t)a->device_memory;
    if (a->max_alloc > 0) caps.max_alloc = (size_t)a->max_alloc;
    a->opts.align = caps.align;
    a->opts.max_alloc = caps.max_alloc;
    TT_GO(tti_model_load(&m, NULL, a->model, &a->opts));
    const tti_model_info *info = tti_model_get_info(m);
    if (a->seq > (size_t)info->max_len) {
        s = tti_fail(TT_E_ARG, "--seq %zu: the model reads at most %d tokens", a->seq,
                     info->max_len);
        goto done;
    }
    tti_session_opts o = tti_session_defaults();
    o.training = true;
    o.max = tti_shape_args_rows(a, info, caps.att_rows);
    TT_GO(tti_session_plan(&b, &caps, gemm, m, &o));
    s = print(a, &b, &caps);
done:
    tti_model_free(m);
    tti_gemm_free(gemm);
    tti_device_close(d);
    return s;
}

int cmd_plan(int argc, char **argv) {
    tti_shape_args a;
    bool done;
    int status = tti_shape_args_parse(&a, argc, argv, usage, &done);
    if (!done && plan(&a) != TT_OK) {
        fprintf(stderr, "tokentune: %s\n", tt_error());
        status = 1;
    }
    tti_shape_args_free(&a);
    return status;
}
