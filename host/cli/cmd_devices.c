// SPDX-License-Identifier: Apache-2.0
/* cmd_devices.c - tokentune devices: what OpenCL offers here, and what would be used. */
#include <inttypes.h>
#include <string.h>
#include "host/device/device.h"

int cmd_devices(int argc, char **argv);

static const char usage[] =
    "usage: tokentune devices [--json]\n"
    "\n"
    "Lists every OpenCL platform's devices, whether each can be used, and which one commands use\n"
    "when they are not told otherwise: the best GPU, else an accelerator, else a CPU.\n"
    "\n"
    "  --json   one JSON document on standard output instead of the table\n"
    "  --help   this text\n"
    "\n"
    "Other commands take --device SPEC, or the environment variable TT_DEVICE: an index (3), a\n"
    "platform and device (1:0), a type (gpu, cpu, accelerator) or a part of a name (radeon).\n"
    "\n"
    "Exit status: 0 when a device can be used, 1 when none can, 2 on wrong usage.\n";

typedef struct {
    tti_device_info *list;
    size_t n, chosen; /* chosen == n: none */
    char note[512];
    const char *why; /* none chosen: the reason */
} view;

static const char *yes(bool b) { return b ? "yes" : "no"; }

static void size_text(char out[16], uint64_t bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    size_t u = 0;
    while (v >= 1024 && u + 1 < TT_COUNT(units)) v /= 1024, u++;
    snprintf(out, 16, v < 10 && u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

/* "OpenCL C 1.2 PoCL" is "1.2" in the table */
static void c_version(char out[8], const char *text) {
    static const char word[] = "OpenCL C ";
    const char *p = strncmp(text, word, sizeof word - 1) == 0 ? text + sizeof word - 1 : text;
    size_t n = strcspn(p, " ");
    snprintf(out, 8, "%.*s", (int)TT_MIN(n, 7), p);
}

static void print_table(const view *v) {
    if (v->n)
        printf("  %-3s %-5s %-11s %5s %8s %8s %8s  %-4s %-4s %-4s %-10s %s\n", "#", "p:d", "type",
               "units", "memory", "largest", "local", "CL C", "fp16", "fp64", "sub-groups",
               "usable");
    for (size_t i = 0; i < v->n; i++) {
        const tti_device_info *d = &v->list[i];
        char memory[16], largest[16], local[16], version[8], pd[24];
        size_text(memory, d->memory);
        size_text(largest, d->max_alloc);
        size_text(local, d->local_mem);
        c_version(version, d->c_version);
        snprintf(pd, sizeof pd, "%d:%d", d->platform, d->device);
        printf("%c %-3d %-5s %-11s %5u %8s %8s %8s  %-4s %-4s %-4s %-10s %s\n      %s (%s, %s)\n",
               i == v->chosen ? '*' : ' ', d->index, pd, d->type, d->compute_units, memory, largest,
               local, version, yes(d->fp16), yes(d->fp64), yes(d->subgroups), yes(d->usable),
               d->name, d->platform_name, d->driver);
        if (!d->usable) printf("      not usable: %s\n", d->why_not);
    }
    if (v->chosen < v->n) printf("* is used unless --device or TT_DEVICE names another\n");
}

static void json_text(tti_str *s, const char *key, const char *value) {
    tti_str_printf(s, "\"%s\": ", key);
    tti_str_json(s, value, strlen(value));
    tti_str_puts(s, ", ");
}

static void json_bool(tti_str *s, const char *key, bool b) {
    tti_str_printf(s, "\"%s\": %s, ", key, b ? "true" : "false");
}

static void json_device(tti_str *s, const tti_device_info *d, bool chosen) {
    tti_str_printf(s, "{\"index\": %d, \"platform\": %d, \"device\": %d, ", d->index, d->platform,
                   d->device);
    json_text(s, "type", d->type);
    json_text(s, "name", d->name);
    json_text(s, "vendor", d->vendor);
    json_text(s, "platform_name", d->platform_name);
    json_text(s, "driver", d->driver);
    json_text(s, "opencl_version", d->version);
    json_text(s, "opencl_c_version", d->c_version);
    tti_str_printf(s, "\"compute_units\": %u, \"clock_mhz\": %u, ", d->compute_units, d->clock_mhz);
    tti_str_printf(s, "\"memory_bytes\": %" PRIu64 ", \"max_alloc_bytes\": %" PRIu64 ", ",
                   d->memory, d->max_alloc);
    tti_str_printf(s, "\"local_memory_bytes\": %" PRIu64 ", \"max_work_group_size\": %zu, ",
                   d->local_mem, d->max_wg);
    json_bool(s, "local_memory_is_real", d->local_mem_is_real);
    json_bool(s, "unified_memory", d->unified_memory);
    json_bool(s, "fp16", d->fp16);
    json_bool(s, "fp64", d->fp64);
    json_bool(s, "subgroups", d->subgroups);
    json_bool(s, "default", chosen);
    json_bool(s, "usable", d->usable);
    tti_str_puts(s, "\"why_not\": ");
    if (d->usable)
        tti_str_puts(s, "null");
    else
        tti_str_json(s, d->why_not, strlen(d->why_not));
    tti_str_putc(s, '}');
}

static tt_status print_json(const view *v) {
    tti_str s = {0};
    tti_str_puts(&s, "{\"devices\": [");
    for (size_t i = 0; i < v->n; i++) {
        if (i) tti_str_puts(&s, ", ");
        json_device(&s, &v->list[i], i == v->chosen);
    }
    tti_str_puts(&s, "], \"default\": ");
    if (v->chosen < v->n)
        tti_str_printf(&s, "%d", v->list[v->chosen].index);
    else
        tti_str_puts(&s, "null");
    tti_str_puts(&s, ", \"note\": ");
    const char *note = v->chosen < v->n || v->note[0] ? v->note : v->why;
    tti_str_json(&s, note, strlen(note));
    tti_str_puts(&s, "}\n");
    tt_status status = s.status;
    if (status == TT_OK) fwrite(s.p, 1, s.len, stdout);
    tti_str_free(&s);
    return status;
}

int cmd_devices(int argc, char **argv) {
    bool json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, stdout);
            return 0;
        } else {
            fprintf(stderr, "tokentune devices: %s: unknown argument; see --help\n", argv[i]);
            return 2;
        }
    }
    view v = {.why = ""};
    tt_status s = tti_device_list(&v.list, &v.n, v.note);
    if (s == TT_OK) {
        v.chosen = v.n;
        if (v.n && tti_device_pick(v.list, v.n, NULL, &v.chosen) != TT_OK) {
            v.chosen = v.n;
            v.why = tt_error();
        }
        if (json)
            s = print_json(&v);
        else
            print_table(&v);
    }
    if (s != TT_OK) {
        fprintf(stderr, "tokentune devices: %s\n", tt_error());
    } else {
        if (v.chosen == v.n && v.n) fprintf(stderr, "tokentune devices: %s\n", v.why);
        if (v.note[0] && !json) fprintf(stderr, "tokentune devices: %s\n", v.note);
    }
    bool found = s == TT_OK && v.chosen < v.n;
    tti_free(v.list);
    if (fflush(stdout) != 0) {
        fprintf(stderr, "tokentune devices: standard output: cannot be written\n");
        return 1;
    }
    return found ? 0 : 1;
}
