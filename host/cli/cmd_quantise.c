// SPDX-License-Identifier: Apache-2.0
/* cmd_quantise.c - tokentune quantise: a model folder in fewer bits. */
#include <string.h>
#include "host/cli/cli.h"
#include "host/eval/quantise.h"

int cmd_quantise(int argc, char **argv);

static const char summary[] =
    "Writes the model in DIR with its weights in another type, as a folder that tokentune loads as "
    "it\n"
    "is. nf4 is what transformers loads with bitsandbytes: 4 bits a number for the linear layers "
    "of\n"
    "the blocks, in blocks of 64 with double quantisation. q8 is this program's own: 8 bits for "
    "the\n"
    "same layers. bf16 and f16 take all weights, for any reader. No device is used. The result is "
    "one\n"
    "JSON line on standard output.\n";

static tt_status print(const tti_quantise_opts *o, const tti_quantise_result *r) {
    tti_str out = {0};
    tti_str_puts(&out, "{\"output\": ");
    tti_str_json(&out, o->out, strlen(o->out));
    tti_str_printf(&out, ", \"type\": \"%s\", \"matrices\": %zu}", o->type, r->matrices);
    if (out.status == TT_OK) puts(out.p);
    tt_status s = out.status;
    tti_str_free(&out);
    return s;
}

int cmd_quantise(int argc, char **argv) {
    tti_quantise_opts o = {.type = "nf4"};
    bool flat = false;
    const tti_opt options[] = {
        {"--output", "DIR", TTI_OPT_TEXT, &o.out, "the folder to write"},
        {"--to", "NAME", TTI_OPT_TEXT, &o.type, "nf4, q8, bf16 or f16 [nf4]"},
        {"--no-double-quant", NULL, TTI_OPT_FLAG, &flat, "nf4: scales as f32 numbers"},
    };
    const tti_command command = {.name = "quantise",
                                 .arguments = "DIR",
                                 .about = summary,
                                 .options = options,
                                 .noptions = TT_COUNT(options),
                                 .least = 1,
                                 .most = 1};
    const char **args = tti_calloc((size_t)argc, sizeof *args);
    size_t nargs;
    int status;
    if (!args) return tti_cli_failed();
    if (tti_cli_parse(&command, argc, argv, args, &nargs, &status)) {
        tti_quantise_result r;
        o.model = args[0];
        o.nested = !flat;
        status = TTI_EXIT_OK;
        if (!o.out)
            status = tti_cli_usage("quantise: expected --output DIR; see tokentune quantise "
                                   "--help");
        else if (tti_quantise_folder(&o, &r) != TT_OK || print(&o, &r) != TT_OK)
            status = tti_cli_failed();
    }
    tti_free(args);
    return status;
}
