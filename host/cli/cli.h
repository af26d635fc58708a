// SPDX-License-Identifier: Apache-2.0
/* cli.h - what the commands share: one table of options that both parses and prints help, and the
 * way a failure is told: one line on standard error, exit status 1, or 2 for wrong usage. */
#ifndef TT_HOST_CLI_CLI_H
#define TT_HOST_CLI_CLI_H

#include "host/core/core.h"

enum { TTI_EXIT_OK, TTI_EXIT_FAILED, TTI_EXIT_USAGE };

typedef enum {
    TTI_OPT_FLAG,
    TTI_OPT_TEXT,
    TTI_OPT_COUNT,
    TTI_OPT_NUMBER,
    TTI_OPT_LIST /* may be given more than once */
} tti_opt_type;

/* Zero-initialise; whoever declares it frees v. The texts are those of argv. */
typedef struct {
    const char **v;
    size_t n, cap;
} tti_opt_list;

/* One long option. The target keeps its value where the option is not given. */
typedef struct {
    const char *name;  /* "--device" */
    const char *value; /* name of the value in the help; NULL for flags */
    tti_opt_type type;
    void *to;         /* bool *, const char **, size_t * (at least 1), double * or tti_opt_list * */
    const char *help; /* one line */
} tti_opt;

typedef struct {
    const char *name;      /* "train" */
    const char *arguments; /* "CONFIG.yaml [key=value ...]" */
    const char *about;     /* paragraphs, each line ends with a newline */
    const tti_opt *options;
    size_t noptions;
    size_t least, most; /* arguments that are no options */
    const char *more;   /* printed behind the options; NULL */
} tti_command;

/* Reads argv[1..]. Options may stand anywhere; "--" ends them; "-" is an argument. The others go to
 * args (room for argc), *nargs of them. Returns true to go on; false: help was printed, or an error
 * told, and *status is the exit status. */
bool tti_cli_parse(const tti_command *c, int argc, char **argv, const char **args, size_t *nargs,
                   int *status);
/* Prints the line "tokentune: <tt_error()>" and returns TTI_EXIT_FAILED. */
int tti_cli_failed(void);
/* The same line for a message of its own; returns TTI_EXIT_USAGE. */
int tti_cli_usage(const char *fmt, ...) TT_PRINTF(1, 2);

/* The next line of f, without its end, in place of what line holds; false at the end of f. */
bool tti_cli_line(FILE *f, tti_str *line);

/* Appends "1.2 MiB" or the like. */
void tti_cli_bytes(tti_str *out, size_t bytes);

#endif
