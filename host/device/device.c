// SPDX-License-Identifier: Apache-2.0
/* device.c - one open device: context, queue, and how kernels are shaped for it. */
#include "host/device/internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool tti_parse_bytes(const char *text, size_t *out) {
    if (!isdigit((unsigned char)*text)) return false;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno) return false;
    size_t unit = 1;
    switch (*end) {
    case 'k':
    case 'K': unit = (size_t)1 << 10, end++; break;
    case 'm':
    case 'M': unit = (size_t)1 << 20, end++; break;
    case 'g':
    case 'G': unit = (size_t)1 << 30, end++; break;
    default: break;
    }
    return *end == 0 && v <= SIZE_MAX && tti_mul((size_t)v, unit, out);
}

/* Lowers *limit to what the environment variable says. */
static tt_status lower_by_env(size_t *limit, const char *name) {
    const char *text = getenv(name);
    size_t v;
    if (!text || !*text) return TT_OK;
    if (!tti_parse_bytes(text, &v) || v == 0)
        return tti_fail(TT_E_ARG, "%s=%.40s: not a number of bytes such as 1024, 512M, 4G", name,
                        text);
    *limit = TT_MIN(*limit, v);
    return TT_OK;
}

static tt_status power_by_env(int *value, const char *name, int most) {
    const char *text = getenv(name);
    if (!text || !*text) return TT_OK;
    char *end;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (errno || *end || v < 1 || v > most || (v & (v - 1)))
        return tti_fail(TT_E_ARG, "%s=%.40s: not a power of two from 1 to %d", name, text, most);
    *value = (int)v;
    return TT_OK;
}

static int power_below(size_t n, int most) {
    int p = 1;
    while (p < most && (size_t)p * 2 <= n) p *= 2;
    return p;
}

static tt_status find_caps(tti_caps *c, const tti_device_info *i) {
    cl_uint width = 0;
    if (clGetDeviceInfo(i->cl_device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, sizeof width, &width,
                        NULL) != CL_SUCCESS)
        width = 0;
    bool cpu = strcmp(i->type, "cpu") == 0;
    c->wg = cpu ? 1 : power_below(i->max_wg, 128);
    TT_TRY(power_by_env(&c->wg, "TT_WG", power_below(i->max_wg, 1024)));
    c->cpu = cpu && c->wg == 1;
    c->vw = !c->cpu ? 4 : width >= 16 ? 16 : 8;
    TT_TRY(power_by_env(&c->vw, "TT_VW", 16));
    c->att_rows = c->cpu ? 2 * c->vw : TT_MIN(64, c->wg);
    c->max_alloc = (size_t)i->max_alloc;
    c->memory = (size_t)i->memory;
    TT_TRY(lower_by_env(&c->max_alloc, "TT_MAX_ALLOC"));
    TT_TRY(lower_by_env(&c->memory, "TT_DEVICE_MEMORY"));
    c->max_alloc = TT_MIN(c->max_alloc, c->memory);
    int align = (int)TT_MAX((uint32_t)64, i->base_align);
    TT_TRY(power_by_env(&align, "TT_ALIGN", 1 << 16));
    c->align = TT_MAX((size_t)align, TT_MAX((size_t)64, (size_t)i->base_align));
    c->local_mem = (size_t)i->local_mem;
    c->local_mem_is_real = i->local_mem_is_real;
    c->fp16 = i->fp16;
    c->subgroups = i->subgroups;
    c->unified_memory = i->unified_memory;
    return TT_OK;
}

static void CL_CALLBACK driver_says(const char *text, const void *info, size_t n, void *user) {
    (void)info, (void)n, (void)user;
    tti_debug("OpenCL driver: %s", text);
}

static tt_status open_queue(tti_device *d) {
    const cl_context_properties props[] = {CL_CONTEXT_PLATFORM,
                                           (cl_context_properties)d->info.cl_platform, 0};
    cl_int code;
    d->context = clCreateContext(props, 1, &d->info.cl_device, driver_says, NULL, &code);
    if (code == CL_SUCCESS)
        d->queue = clCreateCommandQueue(d->context, d->info.cl_device,
                                        d->profiling ? CL_QUEUE_PROFILING_ENABLE : 0, &code);
    if (code == CL_SUCCESS) return TT_OK;
    char what[200];
    snprintf(what, sizeof what, "opening device %d, %s", d->info.index, d->info.name);
    return tti_cl(code, what);
}

tt_status tti_device_open(tti_device **out, const char *spec) {
    tti_device_info *list;
    size_t n, chosen;
    char note[512];
    *out = NULL;
    TT_TRY(tti_device_list(&list, &n, note));
    tti_device *d = NULL;
    tti_str key = {0};
    tt_status s = TT_OK;
    if (n == 0) TT_GO(tti_fail(TT_E_DEVICE, "no OpenCL device: %s", note));
    s = tti_device_pick(list, n, spec, &chosen);
    if (s != TT_OK && note[0]) s = tti_fail(s, "%.1400s (%s)", tt_error(), note);
    TT_GO(s);
    d = tti_calloc(1, sizeof *d);
    TT_GO(d ? TT_OK : TT_E_NOMEM);
    d->info = list[chosen];
    const char *profile = getenv("TT_PROFILE");
    d->profiling = profile && strcmp(profile, "1") == 0;
    TT_GO(find_caps(&d->caps, &d->info));
    tti_str_printf(&key, "%s (%s), %s", d->info.name, d->info.platform_name, d->info.driver);
    TT_GO(key.status);
    d->key = key.p;
    key.p = NULL;
    TT_GO(open_queue(d));
    *out = d;
    d = NULL;
done:
    tti_str_free(&key);
    tti_device_close(d);
    tti_free(list);
    return s;
}

void tti_device_close(tti_device *d) {
    if (!d) return;
    if (d->queue) clFinish(d->queue);
    if (d->profiling && d->queue) tti_profile_report(d, stderr);
    tti_profile_free(d);
    tti_memory_free(d);
    tti_programs_free(d);
    if (d->queue) clReleaseCommandQueue(d->queue);
    if (d->context) clReleaseContext(d->context);
    tti_free(d->key);
    tti_free(d);
}

const tti_device_info *tti_device_get_info(const tti_device *d) { return &d->info; }

void tti_device_limit(tti_device *d, size_t memory) {
    d->caps.memory = TT_MIN(d->caps.memory, memory);
    d->caps.max_alloc = TT_MIN(d->caps.max_alloc, d->caps.memory);
}

const tti_caps *tti_device_caps(const tti_device *d) { return &d->caps; }
cl_context tti_device_context(const tti_device *d) { return d->context; }
cl_command_queue tti_device_queue(const tti_device *d) { return d->queue; }
const char *tti_device_key(const tti_device *d) { return d->key; }

tt_status tti_device_finish(tti_device *d) {
    TT_TRY(tti_cl(clFinish(d->queue), "waiting for the device"));
    return tti_cl(tti_stage_sweep(d), "writing device memory");
}

tt_status tti_device_flush(tti_device *d) {
    return tti_cl(clFlush(d->queue), "flushing the queue");
}
