// SPDX-License-Identifier: Apache-2.0
/* main.c - the table of commands. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include "host/cli/cli.h"
#include "host/train/near.h"

/* X(name, summary) */
#define COMMANDS(X)                                                            \
    X(train, "fine-tune a model as a YAML file says; resume a run")            \
    X(eval, "measure a trained model on labelled data")                        \
    X(predict, "labels and probabilities for texts, as JSON lines")            \
    X(generate, "continue prompts, or hold a conversation")                    \
    X(merge, "an adapter and its base model as one model folder")              \
    X(quantise, "a model folder in fewer bits a weight")                       \
    X(fidelity, "how close gradients of selected tokens come to the full one") \
    X(plan, "the bytes that a training step will need, before any run")        \
    X(verify, "run parity cases on a device")                                  \
    X(bench, "time a training step")                                           \
    X(devices, "list OpenCL devices and what they can do")                     \
    X(tokenize, "token ids and pieces of texts")                               \
    X(tune, "measure matrix products again and remember the fastest")

#define DECLARE(name, summary) int cmd_##name(int argc, char **argv);
COMMANDS(DECLARE)

typedef struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} command;

#define ENTRY(name, summary) {#name, summary, cmd_##name},
static const command commands[] = {COMMANDS(ENTRY)};

static void print_help(void) {
    puts("usage: tokentune COMMAND [arguments]\n"
         "\n"
         "Fine-tunes transformer models on any OpenCL device. Only selected tokens take part in "
         "the\n"
         "backward pass, so that the activations of the others are never kept (TokenTune).\n"
         "\n"
         "Commands:");
    for (size_t i = 0; i < TT_COUNT(commands); i++)
        printf("  %-9s %s\n", commands[i].name, commands[i].summary);
    puts("\n"
         "  tokentune COMMAND --help explains a command.\n"
         "  tokentune --version tells the version.\n"
         "\n"
         "Results are on standard output, messages on standard error. Exit status: 0 done, 1 "
         "failed,\n"
         "2 wrong usage, 130 and 143 stopped by SIGINT and SIGTERM after saving.\n"
         "\n"
         "Environment: TT_DEVICE and TT_GEMM choose device and matrix products where no option or\n"
         "key does; TT_LOG=quiet|info|debug; TT_CACHE_DIR is where programs and tunings are kept.");
}

static int unknown(const char *name) {
    tti_str near = {0};
    for (size_t i = 0; i < TT_COUNT(commands); i++)
        if (tti_is_near(name, commands[i].name))
            tti_str_printf(&near, "%s%s", near.len > 0 ? " or " : "; did you mean ",
                           commands[i].name);
    int status =
        near.len > 0 && near.status == TT_OK
            ? tti_cli_usage("%s: unknown command%s?", name, near.p)
            : tti_cli_usage("%s: unknown command; tokentune --help lists the commands", name);
    tti_str_free(&near);
    return status;
}

static int run_command(int argc, char **argv) {
    if (argc < 2) {
        print_help();
        return TTI_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help();
        return TTI_EXIT_OK;
    }
    if (strcmp(name, "--version") == 0) {
        puts("tokentune " TT_VERSION);
        return TTI_EXIT_OK;
    }
    for (size_t i = 0; i < TT_COUNT(commands); i++)
        if (strcmp(name, commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    return unknown(name);
}

int main(int argc, char **argv) {
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow fails its write instead */
    int status = run_command(argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == TTI_EXIT_OK) {
        fprintf(stderr, "tokentune: standard output: cannot be written: %s\n", strerror(errno));
        status = TTI_EXIT_FAILED;
    }
    return status;
}
