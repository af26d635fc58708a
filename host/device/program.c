// SPDX-License-Identifier: Apache-2.0
/* program.c - programs built on first use and kept, and their kernels in a hash table. */
#include "host/device/internal.h"

#include <stdlib.h>
#include <string.h>

/* Without fma in hardware a driver computes it in software, some a thousand times slower than the
 * product and the sum (llvmpipe): cl/common.clh then takes those. Intel's CPU runtime reports no
 * fma and has it; what is more, it contracts products and sums as it likes, so that only an
 * explicit fma has the same bits everywhere. */
static const char *base_options(const tti_device *d) {
    cl_device_fp_config single = 0;
    cl_int code = clGetDeviceInfo(d->info.cl_device, CL_DEVICE_SINGLE_FP_CONFIG, sizeof single,
                                  &single, NULL);
    const bool intel_cpu =
        strcmp(d->info.platform_name, "Intel(R) OpenCL") == 0 && strcmp(d->info.type, "cpu") == 0;
    return code == CL_SUCCESS && !(single & CL_FP_FMA) && !intel_cpu
               ? "-cl-std=CL1.2 -w -DTT_NO_FMA"
               : "-cl-std=CL1.2 -w";
}

/* The first lines that say what is wrong, joined into one line of at most size bytes. */
static void first_errors(char *out, size_t size, const char *log) {
    const char *at = strstr(log, "error");
    if (!at) at = log;
    while (at > log && at[-1] != '\n') at--;
    size_t used = 0;
    out[0] = 0;
    for (int lines = 0; *at && lines < 6;) {
        size_t len = strcspn(at, "\n");
        size_t skip = strspn(at, " \t\r");
        if (skip < len) {
            int n = snprintf(out + used, size - used, "%s%.*s", lines ? " | " : "",
                             (int)TT_MIN(len - skip, 300), at + skip);
            if (n < 0 || (size_t)n >= size - used) break;
            used += (size_t)n;
            lines++;
        }
        at += len + (at[len] == '\n');
    }
}

static char *build_log(const tti_device *d, cl_program p) {
    size_t n = 0;
    if (clGetProgramBuildInfo(p, d->info.cl_device, CL_PROGRAM_BUILD_LOG, 0, NULL, &n)) n = 0;
    char *log = tti_calloc(n + 1, 1);
    if (log && n && clGetProgramBuildInfo(p, d->info.cl_device, CL_PROGRAM_BUILD_LOG, n, log, NULL))
        log[0] = 0;
    return log;
}

/* NVIDIA's driver does not read line marks and says <kernel>:10: that place in its file. */
static void name_places(tti_str *out, const char *log, const char *source) {
    static const char mark[] = "<kernel>:";
    for (const char *at; (at = strstr(log, mark)); log = at) {
        tti_str_add(out, log, (size_t)(at - log));
        at += sizeof mark - 1;
        char name[64];
        char *rest;
        long line = strtol(at, &rest, 10);
        if (tti_kernel_line(source, line, name, &line)) {
            tti_str_printf(out, "%s:%ld", name, line);
            at = rest;
        } else {
            tti_str_puts(out, mark);
        }
    }
    tti_str_puts(out, log);
}

static tt_status build_failed(const tti_device *d, cl_program p, cl_int code, const char *file,
                              const tti_str *source, const char *options) {
    char *log = build_log(d, p);
    if (!log) return TT_E_NOMEM;
    tti_debug("cl/%s.cl (%s) on %s, build log:\n%s", file, options, d->info.name, log);
    char text[1200];
    tti_str named = {0};
    name_places(&named, log, source->p);
    first_errors(text, sizeof text, named.status == TT_OK ? named.p : log);
    tti_str_free(&named);
    tti_free(log);
    return tti_fail(
        TT_E_BUILD, "kernel file cl/%s.cl does not build on %s with \"%s\": %s (%d): %s", file,
        d->info.name, options, tti_cl_name(code), code, text[0] ? text : "the driver gives no log");
}

static tt_status from_source(cl_program *out, tti_device *d, const char *file,
                             const tti_str *source, const char *options) {
    cl_int code;
    const char *text = source->p;
    cl_program p = clCreateProgramWithSource(d->context, 1, &text, &source->len, &code);
    TT_TRY(tti_cl(code, file));
    double t = tti_now();
    code = clBuildProgram(p, 1, &d->info.cl_device, options, NULL, NULL);
    if (code != CL_SUCCESS) {
        tt_status s = build_failed(d, p, code, file, source, options);
        clReleaseProgram(p);
        return s;
    }
    d->built++;
    tti_debug("cl/%s.cl (%s): built in %.0f ms", file, options, (tti_now() - t) * 1e3);
    *out = p;
    return TT_OK;
}

/* NULL when the driver refuses the binary; the caller then builds from source. */
static cl_program from_binary(const tti_device *d, const char *payload, size_t size,
                              const char *options) {
    cl_int code, status = CL_SUCCESS;
    const unsigned char *bytes = (const unsigned char *)payload;
    cl_program p =
        clCreateProgramWithBinary(d->context, 1, &d->info.cl_device, &size, &bytes, &status, &code);
    if (code == CL_SUCCESS && status == CL_SUCCESS)
        code = clBuildProgram(p, 1, &d->info.cl_device, options, NULL, NULL);
    else if (code == CL_SUCCESS)
        code = status;
    if (code == CL_SUCCESS) return p;
    tti_debug("program cache: the driver refuses an entry: %s; it is made anew", tti_cl_name(code));
    if (p) clReleaseProgram(p);
    return NULL;
}

/* Measured: PoCL 3.1, Intel's CPU runtime 2026.2 and rusticl 22.3 take their binaries back, and the
 * kernels then run as fast as those from source; loading takes 1 to 2 ms a program instead of 16
 * (PoCL, its own cache warm), 190 and 22. PoCL pays once: asking for the binary compiles every
 * kernel of the program a second time, for any local size, at about 50 ms a kernel. */
static void store_binary(cl_program p, const char *path, tti_hash key) {
    size_t size = 0;
    if (clGetProgramInfo(p, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) || size == 0) return;
    unsigned char *bytes = tti_malloc(size);
    if (!bytes) return;
    if (clGetProgramInfo(p, CL_PROGRAM_BINARIES, sizeof bytes, &bytes, NULL) == CL_SUCCESS)
        tti_cache_store(path, key, bytes, size);
    tti_free(bytes);
}

static tti_hash program_key(const tti_device *d, const tti_str *source, const char *options) {
    tti_hash h;
    tti_hash_begin(&h);
    tti_hash_add(&h, source->p, source->len);
    tti_hash_add(&h, options, strlen(options));
    tti_hash_add(&h, d->key, strlen(d->key));
    tti_hash_add(&h, d->info.version, strlen(d->info.version));
    tti_hash_end(&h);
    return h;
}

static tt_status make_program(cl_program *out, tti_device *d, const char *file,
                              const char *defines) {
    tti_str source = {0}, options = {0};
    char *path = NULL, *payload = NULL;
    cl_program p = NULL;
    tt_status s;
    tti_str_printf(&options, "%s%s%s", base_options(d), *defines ? " " : "", defines);
    TT_GO(options.status);
    TT_GO(tti_kernel_source(&source, file));
    tti_hash key = program_key(d, &source, options.p);
    TT_GO(tti_cache_path(&path, key));
    if (path) {
        size_t size;
        tti_cache_load(&payload, &size, path, key);
        if (payload) p = from_binary(d, payload, size, options.p);
    }
    if (!p) {
        TT_GO(from_source(&p, d, file, &source, options.p));
        if (path) store_binary(p, path, key);
    }
    *out = p;
done:
    tti_free(payload);
    tti_free(path);
    tti_str_free(&options);
    tti_str_free(&source);
    return s;
}

static tt_status program_of(cl_program *out, tti_device *d, const char *file, const char *defines) {
    for (size_t i = 0; i < d->programs_n; i++) {
        const tti_program_entry *e = &d->programs[i];
        if (strcmp(e->file, file) == 0 && strcmp(e->defines, defines) == 0) {
            *out = e->program;
            return TT_OK;
        }
    }
    TT_TRY(TTI_GROW(d->programs, d->programs_cap, d->programs_n + 1));
    tti_program_entry e = {.file = tti_strdup(file), .defines = tti_strdup(defines)};
    tt_status s = e.file && e.defines ? make_program(&e.program, d, file, defines) : TT_E_NOMEM;
    if (s != TT_OK) {
        tti_free(e.file);
        tti_free(e.defines);
        return s;
    }
    d->programs[d->programs_n++] = e;
    *out = e.program;
    return TT_OK;
}

static uint64_t hash_more(uint64_t h, const char *s) {
    for (; *s; s++) h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    return (h ^ 0xff) * 0x100000001b3u; /* ends a string */
}

static tti_kernel_entry **slot_of(tti_kernel_entry **table, size_t size, uint64_t hash,
                                  const char *file, const char *name, const char *defines) {
    size_t i = (hash ^ (hash >> 32)) & (size - 1);
    for (;; i = (i + 1) & (size - 1)) {
        tti_kernel_entry *e = table[i];
        if (!e || (e->hash == hash && strcmp(e->name, name) == 0 && strcmp(e->file, file) == 0 &&
                   strcmp(e->defines, defines) == 0))
            return &table[i];
    }
}

static tt_status more_slots(tti_device *d) {
    size_t size = d->kernels_size ? d->kernels_size * 2 : 256;
    tti_kernel_entry **table = tti_calloc(size, sizeof *table);
    if (!table) return TT_E_NOMEM;
    for (size_t i = 0; i < d->kernels_size; i++) {
        tti_kernel_entry *e = d->kernels[i];
        if (e) *slot_of(table, size, e->hash, e->file, e->name, e->defines) = e;
    }
    tti_free(d->kernels);
    d->kernels = table;
    d->kernels_size = size;
    return TT_OK;
}

static tt_status make_kernel(tti_kernel_entry **out, tti_device *d, const char *file,
                             const char *name, const char *defines) {
    cl_program program;
    TT_TRY(program_of(&program, d, file, defines));
    size_t nf = strlen(file) + 1, nn = strlen(name) + 1, nd = strlen(defines) + 1;
    tti_kernel_entry *e = tti_calloc(1, sizeof *e + nf + nn + nd);
    if (!e) return TT_E_NOMEM;
    char *text = (char *)(e + 1);
    e->file = memcpy(text, file, nf);
    e->name = memcpy(text + nf, name, nn);
    e->defines = memcpy(text + nf + nn, defines, nd);
    cl_device_id dev = d->info.cl_device;
    cl_int code;
    e->k = clCreateKernel(program, name, &code);
    if (code == CL_SUCCESS)
        code = clGetKernelInfo(e->k, CL_KERNEL_NUM_ARGS, sizeof e->nargs, &e->nargs, NULL);
    if (code == CL_SUCCESS)
        code = clGetKernelWorkGroupInfo(e->k, dev, CL_KERNEL_COMPILE_WORK_GROUP_SIZE,
                                        sizeof e->required, e->required, NULL);
    if (code == CL_SUCCESS)
        code = clGetKernelWorkGroupInfo(e->k, dev, CL_KERNEL_WORK_GROUP_SIZE, sizeof e->max_wg,
                                        &e->max_wg, NULL);
    if (code != CL_SUCCESS) {
        char what[256];
        snprintf(what, sizeof what, "kernel %s of cl/%s.cl", name, file);
        if (e->k) clReleaseKernel(e->k);
        tti_free(e);
        return tti_cl(code, what);
    }
    *out = e;
    return TT_OK;
}

tt_status tti_kernel_find(tti_kernel_entry **out, tti_device *d, const char *file, const char *name,
                          const char *defines) {
    if (!defines) defines = "";
    uint64_t hash = hash_more(hash_more(hash_more(0xcbf29ce484222325u, name), file), defines);
    if (d->kernels_size) {
        *out = *slot_of(d->kernels, d->kernels_size, hash, file, name, defines);
        if (*out) return TT_OK;
    }
    if (2 * (d->kernels_n + 1) > d->kernels_size) TT_TRY(more_slots(d));
    tti_kernel_entry *e;
    TT_TRY(make_kernel(&e, d, file, name, defines));
    e->hash = hash;
    *slot_of(d->kernels, d->kernels_size, hash, file, name, defines) = e;
    d->kernels_n++;
    *out = e;
    return TT_OK;
}

tt_status tti_kernel_get(cl_kernel *out, tti_device *d, const char *file, const char *name,
                         const char *defines) {
    tti_kernel_entry *e;
    TT_TRY(tti_kernel_find(&e, d, file, name, defines));
    *out = e->k;
    return TT_OK;
}

size_t tti_programs_built(const tti_device *d) { return d->built; }

void tti_programs_free(tti_device *d) {
    for (size_t i = 0; i < d->kernels_size; i++) {
        if (!d->kernels[i]) continue;
        clReleaseKernel(d->kernels[i]->k);
        tti_free(d->kernels[i]);
    }
    tti_free(d->kernels);
    for (size_t i = 0; i < d->programs_n; i++) {
        clReleaseProgram(d->programs[i].program);
        tti_free(d->programs[i].file);
        tti_free(d->programs[i].defines);
    }
    tti_free(d->programs);
}
