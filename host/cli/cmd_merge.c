// SPDX-License-Identifier: Apache-2.0
/* cmd_merge.c - tokentune merge: an adapter becomes part of its base model. */
#include <string.h>
#include "host/cli/cli.h"
#include "host/eval/merge.h"

int cmd_merge(int argc, char **argv);

static const char summary[] =
    "Adds a LoRA adapter into the weights of its base model and writes a whole model folder, "
    "which\n"
    "transformers and tokentune load without the adapter. With --check the folder is loaded again\n"
    "and its logits are compared with those of base and adapter on the PROMPTs (or texts of its\n"
    "own); where they differ nothing is written. The result is one JSON line on standard output.\n";

static tt_status print(const tti_merge_opts *o, const tti_merge_check *c) {
    tti_str out = {0};
    tti_str_puts(&out, "{\"output\": ");
    tti_str_json(&out, o->out, strlen(o->out));
    if (o->check) {
        tti_str_printf(&out,
                       ", \"prompts\": %zu, \"tokens\": %zu, \"error\": %.3g, \"tolerance\": %g",
                       c->prompts, c->tokens, c->error, c->tolerance);
        if (c->effect >= 0) tti_str_printf(&out, ", \"adapter_effect\": %.3g", c->effect);
    }
    tti_str_putc(&out, '}');
    if (out.status == TT_OK) puts(out.p);
    tt_status s = out.status;
    tti_str_free(&out);
    return s;
}

static tt_status run(tti_merge_opts *o, const char *device, const char *gemm) {
    tti_merge_check check;
    tt_status s = TT_OK;
    if (o->check) TT_GO(tti_device_open(&o->device, device));
    if (o->check) TT_GO(tti_gemm_new(&o->gemm, o->device, gemm));
    TT_GO(tti_merge(o, &check));
    s = print(o, &check);
done:
    tti_gemm_free(o->gemm);
    tti_device_close(o->device);
    return s;
}

int cmd_merge(int argc, char **argv) {
    tti_merge_opts o = {0};
    const char *device = NULL, *gemm = NULL;
    const tti_opt options[] = {
        {"--model", "DIR", TTI_OPT_TEXT, &o.base, "the base [as the adapter names it]"},
        {"--adapter", "DIR", TTI_OPT_TEXT, &o.adapter, "the adapter folder"},
        {"--out", "DIR", TTI_OPT_TEXT, &o.out, "the folder to write"},
        {"--dtype", "NAME", TTI_OPT_TEXT, &o.dtype, "f32, f16 or bf16 [as the base]"},
        {"--check", NULL, TTI_OPT_FLAG, &o.check, "compare before calling it done"},
        {"--device", "SPEC", TTI_OPT_TEXT, &device, "see tokentune devices --help"},
        {"--gemm", "NAME", TTI_OPT_TEXT, &gemm, "auto, clblast or tile"},
    };
    const tti_command command = {.name = "merge",
                                 .arguments = "[PROMPT ...]",
                                 .about = summary,
                                 .options = options,
                                 .noptions = TT_COUNT(options),
                                 .least = 0,
                                 .most = SIZE_MAX};
    const char **args = tti_calloc((size_t)argc, sizeof *args);
    int status;
    if (!args) return tti_cli_failed();
    o.prompts = args;
    if (tti_cli_parse(&command, argc, argv, args, &o.nprompts, &status)) {
        if (!o.adapter || !o.out)
            status = tti_cli_usage("merge: expected --adapter DIR and --out DIR; see tokentune "
                                   "merge --help");
        else if (o.nprompts > 0 && !o.check)
            status = tti_cli_usage("merge: %s: prompts are for --check", args[0]);
        else if (run(&o, device, gemm) != TT_OK)
            status = tti_cli_failed();
    }
    tti_free(args);
    return status;
}
