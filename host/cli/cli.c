// SPDX-License-Identifier: Apache-2.0
/* cli.c - options, help, failures. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "host/cli/cli.h"
#include "host/train/near.h"

int tti_cli_failed(void) {
    fprintf(stderr, "tokentune: %s\n", tt_error());
    return TTI_EXIT_FAILED;
}

int tti_cli_usage(const char *fmt, ...) {
    va_list args;
    fputs("tokentune: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    return TTI_EXIT_USAGE;
}

bool tti_cli_line(FILE *f, tti_str *line) {
    int c;
    line->len = 0;
    while ((c = getc(f)) != EOF && c != '\n') tti_str_putc(line, (char)c);
    if (c == EOF && line->len == 0) return false;
    if (line->len > 0 && line->p[line->len - 1] == '\r') line->len--;
    tti_str_add(line, "", 0); /* ends with NUL, empty or not */
    return true;
}

void tti_cli_bytes(tti_str *out, size_t bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    size_t u = 0;
    while (v >= 1024 && u + 1 < TT_COUNT(units)) v /= 1024, u++;
    tti_str_printf(out, v < 10 && u > 0 ? "%.1f %s" : "%.0f %s", v, units[u]);
}

static void print_help(const tti_command *c) {
    printf("usage: tokentune %s %s%s\n\n%s\n", c->name, c->noptions > 0 ? "[options] " : "",
           c->arguments, c->about);
    for (size_t i = 0; i < c->noptions; i++) {
        char left[48];
        const tti_opt *o = &c->options[i];
        snprintf(left, sizeof left, "%s%s%s", o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        printf("  %-20s %s\n", left, o->help);
    }
    printf("  %-20s %s\n", "--help", "this text");
    if (c->more) printf("\n%s", c->more);
}

/* The option that arg names, alone or as --name=value. */
static const tti_opt *find(const tti_command *c, const char *arg, size_t n) {
    for (size_t i = 0; i < c->noptions; i++)
        if (strlen(c->options[i].name) == n && memcmp(c->options[i].name, arg, n) == 0)
            return &c->options[i];
    return NULL;
}

static int unknown_option(const tti_command *c, const char *arg, size_t n) {
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)TT_MIN(n, (size_t)63), arg);
    for (size_t i = 0; i < c->noptions; i++)
        if (tti_is_near(name, c->options[i].name))
            return tti_cli_usage("%s: %s: unknown option; did you mean %s?", c->name, name,
                                 c->options[i].name);
    return tti_cli_usage("%s: %s: unknown option; see tokentune %s --help", c->name, name, c->name);
}

static int set_number(const tti_command *c, const tti_opt *o, const char *value) {
    char *end;
    const double x = strtod(value, &end);
    if (end == value || *end != 0 || !isfinite(x))
        return tti_cli_usage("%s: %s %s: expected a number", c->name, o->name, value);
    *(double *)o->to = x;
    return TTI_EXIT_OK;
}

static int add_text(const tti_opt *o, const char *value) {
    tti_opt_list *l = o->to;
    if (TTI_GROW(l->v, l->cap, l->n + 1) != TT_OK) return tti_cli_failed();
    l->v[l->n++] = value;
    return TTI_EXIT_OK;
}

static int set_value(const tti_command *c, const tti_opt *o, const char *value) {
    char *end;
    if (o->type == TTI_OPT_NUMBER) return set_number(c, o, value);
    if (o->type == TTI_OPT_LIST) return add_text(o, value);
    if (o->type == TTI_OPT_TEXT) {
        if (value[0] == 0)
            return tti_cli_usage("%s: %s: expected %s, found nothing", c->name, o->name, o->value);
        *(const char **)o->to = value;
        return TTI_EXIT_OK;
    }
    unsigned long long n = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != 0 || n < 1 || n > INT32_MAX)
        return tti_cli_usage("%s: %s %s: expected a whole number from 1 to %d", c->name, o->name,
                             value, INT32_MAX);
    *(size_t *)o->to = (size_t)n;
    return TTI_EXIT_OK;
}

/* Option argv[*i], which may take the next argument as well. */
static int set_option(const tti_command *c, int argc, char **argv, int *i) {
    const char *arg = argv[*i];
    size_t n = strcspn(arg, "=");
    const tti_opt *o = find(c, arg, n);
    if (!o) return unknown_option(c, arg, n);
    if (o->type == TTI_OPT_FLAG) {
        if (arg[n] == '=') return tti_cli_usage("%s: %s takes no value", c->name, o->name);
        *(bool *)o->to = true;
        return TTI_EXIT_OK;
    }
    if (arg[n] == '=') return set_value(c, o, arg + n + 1);
    if (*i + 1 == argc)
        return tti_cli_usage("%s: %s: expected %s behind it", c->name, o->name, o->value);
    return set_value(c, o, argv[++*i]);
}

bool tti_cli_parse(const tti_command *c, int argc, char **argv, const char **args, size_t *nargs,
                   int *status) {
    bool options = true;
    *nargs = 0;
    *status = TTI_EXIT_OK;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (options && strcmp(arg, "--") == 0) {
            options = false;
        } else if (options && (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)) {
            print_help(c);
            return false;
        } else if (options && arg[0] == '-' && arg[1] != 0) {
            *status = set_option(c, argc, argv, &i);
            if (*status != TTI_EXIT_OK) return false;
        } else {
            args[(*nargs)++] = arg;
        }
    }
    if (*nargs < c->least)
        *status = tti_cli_usage("%s: expected %s; see tokentune %s --help", c->name, c->arguments,
                                c->name);
    else if (*nargs > c->most)
        *status = tti_cli_usage("%s: %s: one argument too many; see tokentune %s --help", c->name,
                                args[c->most], c->name);
    return *status == TTI_EXIT_OK;
}
