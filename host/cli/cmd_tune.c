// SPDX-License-Identifier: Apache-2.0
/* cmd_tune.c - tokentune tune: measures the ways to multiply matrices on a device, keeps the
 * choice. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "host/gemm/gemm.h"

int cmd_tune(int argc, char **argv);

static const char usage[] =
    "usage: tokentune tune [--device SPEC] [--gemm NAME] [--shapes M,N,K[,ta][,tb]]... [--json]\n"
    "\n"
    "Measures every way this program has to multiply matrices on a device, class of shapes by "
    "class\n"
    "of shapes, and keeps the choice in the per-user cache. Training does the same by itself for\n"
    "classes it meets for the first time; this command measures again, for instance after a "
    "driver\n"
    "update or when something else kept the device busy the first time.\n"
    "\n"
    "  --device SPEC    the device (see tokentune devices); else TT_DEVICE, else the best one\n"
    "  --gemm NAME      auto (default), or only the variants of one provider: clblast, tile\n"
    "  --shapes M,N,K[,ta][,tb]\n"
    "                   C[M,N] = A[M,K] B[K,N]; ta: A is stored [K,M]; tb: B is stored [N,K].\n"
    "                   May be given several times; without it a standard set is measured\n"
    "  --json           one JSON line a class on standard output instead of the table\n"
    "  --help           this text\n"
    "\n"
    "Exit status: 0 when every class was measured, 1 on failure, 2 on wrong usage.\n";

typedef struct {
    const char *device, *gemm;
    tti_gemm_shape *shapes;
    size_t n, cap;
    bool json, help;
} options;

static tt_status read_size(size_t *out, const char **text) {
    char *end;
    errno = 0;
    unsigned long long v = strtoull(*text, &end, 10);
    if (end == *text || **text == '-' || errno || v < 1 || v > 1u << 24) return TT_E_ARG;
    *out = (size_t)v;
    *text = end;
    return TT_OK;
}

static tt_status read_shape(tti_gemm_shape *s, const char *text) {
    const char *p = text;
    size_t *const sizes[] = {&s->m, &s->n, &s->k};
    bool good = true;
    *s = (tti_gemm_shape){0};
    for (int i = 0; i < 3 && good; i++) {
        good = read_size(sizes[i], &p) == TT_OK;
        if (good && i < 2) good = *p++ == ',';
    }
    if (good && strncmp(p, ",ta", 3) == 0) p += 3, s->ta = true;
    if (good && strncmp(p, ",tb", 3) == 0) p += 3, s->tb = true;
    if (good && *p == 0) return TT_OK;
    return tti_fail(TT_E_ARG, "--shapes %.60s: expected M,N,K[,ta][,tb], sizes from 1 to %u", text,
                    1u << 24);
}

/* The value of option name at *i, either "--name value" or "--name=value"; NULL for another one. */
static const char *value_of(const char *name, int argc, char **argv, int *i, bool *missing) {
    const size_t n = strlen(name);
    const char *arg = argv[*i];
    if (strncmp(arg, name, n) != 0) return NULL;
    if (arg[n] == '=') return arg + n + 1;
    if (arg[n] != 0) return NULL;
    if (*i + 1 < argc) return argv[++*i];
    *missing = true;
    return NULL;
}

static tt_status read_option(options *o, int argc, char **argv, int *i) {
    const char *v;
    bool missing = false;
    if (strcmp(argv[*i], "--help") == 0 || strcmp(argv[*i], "-h") == 0) {
        o->help = true;
    } else if (strcmp(argv[*i], "--json") == 0) {
        o->json = true;
    } else if ((v = value_of("--device", argc, argv, i, &missing))) {
        o->device = v;
    } else if ((v = value_of("--gemm", argc, argv, i, &missing))) {
        o->gemm = v;
    } else if ((v = value_of("--shapes", argc, argv, i, &missing))) {
        TT_TRY(TTI_GROW(o->shapes, o->cap, o->n + 1));
        return read_shape(&o->shapes[o->n++], v);
    } else if (missing) {
        return tti_fail(TT_E_ARG, "%s: needs a value", argv[*i]);
    } else {
        return tti_fail(TT_E_ARG, "%s: unknown option", argv[*i]);
    }
    return TT_OK;
}

static tt_status print_json(const tti_gemm_shape *s, const tti_gemm_result *r, size_t n) {
    tti_str out = {0};
    char class[64];
    tti_gemm_class_name(class, s);
    tti_str_puts(&out, "{\"class\":");
    tti_str_json(&out, class, strlen(class));
    tti_str_printf(&out, ",\"m\":%zu,\"n\":%zu,\"k\":%zu,\"ta\":%s,\"tb\":%s,\"candidates\":[",
                   s->m, s->n, s->k, s->ta ? "true" : "false", s->tb ? "true" : "false");
    for (size_t i = 0; i < n; i++) {
        tti_str_puts(&out, i ? ",{\"name\":" : "{\"name\":");
        tti_str_json(&out, r[i].name, strlen(r[i].name));
        tti_str_printf(&out, ",\"gflops\":%.1f,\"chosen\":%s", r[i].gflops,
                       r[i].chosen ? "true" : "false");
        if (*r[i].why) {
            tti_str_puts(&out, ",\"note\":");
            tti_str_json(&out, r[i].why, strlen(r[i].why));
        }
        tti_str_putc(&out, '}');
    }
    tti_str_puts(&out, "]}\n");
    tt_status status = out.status;
    if (status == TT_OK) fputs(out.p, stdout);
    tti_str_free(&out);
    return status;
}

static void print_table(const tti_gemm_shape *s, const tti_gemm_result *r, size_t n) {
    char class[64];
    tti_gemm_class_name(class, s);
    for (size_t i = 0; i < n; i++) {
        char speed[24] = "-";
        if (r[i].gflops > 0) snprintf(speed, sizeof speed, "%.1f", r[i].gflops);
        printf("%-22s %-16s %9s  %s%s\n", i ? "" : class, r[i].name, speed,
               r[i].chosen ? "chosen" : "", r[i].why);
    }
}

static tt_status tune(const options *o) {
    tti_device *d = NULL;
    tti_gemm *g = NULL;
    size_t n = o->n;
    const tti_gemm_shape *shapes = n ? o->shapes : tti_gemm_standard_shapes(&n);
    tt_status s = TT_OK;
    TT_GO(tti_device_open(&d, o->device));
    TT_GO(tti_gemm_new(&g, d, o->gemm));
    if (!o->json) {
        printf("device: %s\n\n", tti_device_key(d));
        printf("%-22s %-16s %9s\n", "class", "candidate", "GFLOP/s");
    }
    for (size_t i = 0; i < n; i++) {
        tti_gemm_result r[TTI_GEMM_RESULTS];
        size_t found;
        TT_GO(tti_gemm_tune_one(g, &shapes[i], r, &found));
        if (o->json)
            TT_GO(print_json(&shapes[i], r, found));
        else
            print_table(&shapes[i], r, found);
        fflush(stdout);
    }
    if (ferror(stdout)) s = tti_fail(TT_E_IO, "standard output: %s", strerror(errno));
done:
    tti_gemm_free(g);
    tti_device_close(d);
    return s;
}

int cmd_tune(int argc, char **argv) {
    options o = {0};
    tt_status s = TT_OK;
    for (int i = 1; i < argc && s == TT_OK; i++) s = read_option(&o, argc, argv, &i);
    int code = 0;
    if (s != TT_OK) {
        fprintf(stderr, "tokentune tune: %s\nSee tokentune tune --help.\n", tt_error());
        code = 2;
    } else if (o.help) {
        fputs(usage, stdout);
    } else if (tune(&o) != TT_OK) {
        fprintf(stderr, "tokentune tune: %s\n", tt_error());
        code = 1;
    }
    tti_free(o.shapes);
    return code;
}
