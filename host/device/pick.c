// SPDX-License-Identifier: Apache-2.0
/* pick.c - which device a specification names. */
#include "host/device/internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool holds(const char *text, const char *part) { return strcasestr(text, part) != NULL; }

static int type_rank(const char *type) {
    static const char *const order[] = {"custom", "cpu", "accelerator", "gpu"};
    for (size_t i = 0; i < TT_COUNT(order); i++)
        if (strcmp(type, order[i]) == 0) return (int)i;
    return -1;
}

/* Usable before not, then type, then memory times units; equal ones keep their order. */
static bool better(const tti_device_info *a, const tti_device_info *b) {
    if (a->usable != b->usable) return a->usable;
    int ra = type_rank(a->type), rb = type_rank(b->type);
    if (ra != rb) return ra > rb;
    return (double)a->memory * a->compute_units > (double)b->memory * b->compute_units;
}

/* A whole number without sign up to end; false for anything else. */
static bool number(const char *text, const char *end, long *out) {
    if (text == end) return false;
    for (const char *p = text; p < end; p++)
        if (!isdigit((unsigned char)*p)) return false;
    errno = 0;
    *out = strtol(text, NULL, 10);
    return errno == 0;
}

static bool fits(const tti_device_info *i, const char *spec) {
    const char *end = spec + strlen(spec), *colon = strchr(spec, ':');
    long a, b;
    if (*spec == 0) return true;
    if (number(spec, end, &a)) return i->index == a;
    if (colon && number(spec, colon, &a) && number(colon + 1, end, &b))
        return i->platform == a && i->device == b;
    if (strcasecmp(spec, "gpu") == 0 || strcasecmp(spec, "cpu") == 0 ||
        strcasecmp(spec, "accelerator") == 0)
        return strcasecmp(i->type, spec) == 0;
    return holds(i->name, spec) || holds(i->vendor, spec) || holds(i->platform_name, spec);
}

/* "0 NVIDIA H100 (gpu); 1 ..." cut where it no longer fits. */
static void name_all(char *out, size_t size, const tti_device_info *list, size_t n) {
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; i < n; i++) {
        int k = snprintf(out + used, size - used, "%s%d %.60s (%s%s)", i ? "; " : "", list[i].index,
                         list[i].name, list[i].type, list[i].usable ? "" : ", not usable");
        if (k < 0 || (size_t)k >= size - used) {
            out[used] = 0;
            return;
        }
        used += (size_t)k;
    }
}

tt_status tti_device_pick(const tti_device_info *list, size_t n, const char *spec, size_t *chosen) {
    const char *from = "";
    if (!spec || !*spec) {
        spec = getenv("TT_DEVICE");
        if (!spec) spec = "";
        if (*spec) from = " (from TT_DEVICE)";
    }
    const tti_device_info *best = NULL;
    for (size_t i = 0; i < n; i++)
        if (fits(&list[i], spec) && (!best || better(&list[i], best))) best = &list[i];
    if (best && best->usable) {
        *chosen = (size_t)(best - list);
        return TT_OK;
    }
    char all[900];
    name_all(all, sizeof all, list, n);
    if (best && *spec)
        return tti_fail(TT_E_DEVICE, "device \"%.100s\"%s: %s is not usable: %s; devices here: %s",
                        spec, from, best->name, best->why_not, all);
    if (best)
        return tti_fail(TT_E_DEVICE, "no usable device: %s: %s; devices here: %s", best->name,
                        best->why_not, all);
    if (n == 0) return tti_fail(TT_E_DEVICE, "device \"%.100s\"%s: no device here", spec, from);
    return tti_fail(TT_E_DEVICE,
                    "device \"%.100s\"%s fits none; give an index, platform:device, gpu, cpu or a "
                    "part of a name; devices here: %s",
                    spec, from, all);
}
