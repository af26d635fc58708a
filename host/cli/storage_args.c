// SPDX-License-Identifier: Apache-2.0
#include "host/cli/storage_args.h"

#include <string.h>
#include "host/cli/cli.h"

enum { PLAIN = 1 << TTI_F32 | 1 << TTI_BF16 | 1 << TTI_F16 };
enum { FROZEN = PLAIN | 1 << TTI_Q8 | 1 << TTI_NF4 };

/* A type among those whose bits are in `of`. */
static bool type(const char *text, unsigned of, tti_dtype *out) {
    return tti_dtype_parse(text, out) && (of >> *out & 1);
}

static bool type_or_auto(const char *text, int *out) {
    tti_dtype t;
    if (!strcmp(text, "auto")) {
        *out = TTI_AS_STORED;
        return true;
    }
    if (!type(text, FROZEN, &t)) return false;
    *out = (int)t;
    return true;
}

bool tti_arg_among(const char *text, const char *(*name)(int), int n, int *out) {
    for (*out = 0; *out < n; (*out)++)
        if (!strcmp(text, name(*out))) return true;
    return false;
}

static const char *recompute_name(int i) { return tti_recompute_name((tti_recompute)i); }

static bool truth(const char *text, bool *out) {
    *out = !strcmp(text, "true");
    return *out || !strcmp(text, "false");
}

bool tti_storage_arg(tti_dials *d, int option, const char *v, unsigned *bit) {
    int i;
    switch (option) {
    case TTI_ARG_WEIGHTS:
        *bit = strcmp(v, "auto") ? TTI_DIAL_WEIGHTS : 0;
        return type_or_auto(v, &d->weights);
    case TTI_ARG_HEAD:
        *bit = strcmp(v, "auto") ? TTI_DIAL_HEAD : 0;
        return type_or_auto(v, &d->head);
    case TTI_ARG_NESTED: *bit = TTI_DIAL_NESTED; return truth(v, &d->nested);
    case TTI_ARG_KEPT: *bit = TTI_DIAL_KEPT; return type(v, PLAIN, &d->kept);
    case TTI_ARG_KEYS:
        *bit = TTI_DIAL_KEYS;
        d->recompute_keys = !strcmp(v, "recompute");
        return d->recompute_keys || type(v, PLAIN | 1 << TTI_Q8, &d->keys);
    case TTI_ARG_GRADIENTS: *bit = TTI_DIAL_GRADIENTS; return type(v, PLAIN, &d->gradients);
    case TTI_ARG_RECOMPUTE:
        *bit = TTI_DIAL_RECOMPUTE;
        if (!tti_arg_among(v, recompute_name, 3, &i)) return false;
        d->recompute = (tti_recompute)i;
        return true;
    default: return false;
    }
}

int tti_arg_unknown(const char *command, const char *what) {
    fprintf(stderr,
            "tokentune: %s: %s is not an option, or lacks its value; see tokentune %s --help\n",
            command, what, command);
    return TTI_EXIT_USAGE;
}

int tti_arg_refused(const char *command, const struct option *options, int c, const char *value) {
    const char *what = "?";
    for (const struct option *o = options; o->name; o++)
        if (o->val == c) what = o->name;
    fprintf(stderr, "tokentune: %s: --%s %s is not a usable value; see tokentune %s --help\n",
            command, what, value, command);
    return TTI_EXIT_USAGE;
}
