// SPDX-License-Identifier: Apache-2.0
/* device.h - OpenCL devices: listing, choice, one open device with its queue, device memory through
 * one ledger, programs with their caches, and the one launcher of kernels.
 * One thread at a time per tti_device. */
#ifndef TT_HOST_DEVICE_DEVICE_H
#define TT_HOST_DEVICE_DEVICE_H

#include <CL/cl.h>
#include "host/core/core.h"

/* ---- listing and choice (list.c) ---- */

typedef struct {
    int index;            /* over all platforms, 0-based: what --device N names */
    int platform, device; /* platform:device */
    cl_platform_id cl_platform;
    cl_device_id cl_device;
    char platform_name[128], name[128], vendor[128], driver[128];
    char version[160], c_version[64]; /* CL_DEVICE_VERSION, CL_DEVICE_OPENCL_C_VERSION */
    const char *type;                 /* "gpu", "cpu", "accelerator", "custom" */
    uint32_t compute_units, clock_mhz;
    uint64_t memory, max_alloc, local_mem;
    size_t max_wg;
    uint32_t base_align;    /* bytes: sub-buffers start at multiples of it */
    bool local_mem_is_real; /* CL_LOCAL, not emulated in global memory */
    bool fp16, fp64, subgroups, unified_memory;
    bool usable;
    char why_not[256]; /* when not usable: the reason and the way out */
} tti_device_info;

/* Gives *list (tti_free) with *n devices; n may be 0. Writes into note (may be "") what
 * a user without a usable device should do: no driver, platforms without devices, no permission on
 * /dev/dri or /dev/kfd (names the group; also said when another device is usable). TT_E_DEVICE only
 * for loader failures other than "no platform". One driver registered twice is listed twice:
 * indices are stable. */
tt_status tti_device_list(tti_device_info **list, size_t *n, char note[512]);

/* Picks by spec: NULL or "" takes TT_DEVICE from the environment, and without it the best usable
 * GPU (most memory*units), else accelerator, else CPU. "3" index, "1:0" platform:device, "gpu"/
 * "cpu"/"accelerator" type, anything else a case-insensitive part of the device, vendor or platform
 * name. Nothing fits, or it is not usable: TT_E_DEVICE naming the spec and listing what there is;
 * never another device instead. */
tt_status tti_device_pick(const tti_device_info *list, size_t n, const char *spec, size_t *chosen);

/* ---- one open device (device.c) ---- */

/* How kernels are shaped for this device; ops hold no vendor tests and read only this. */
typedef struct {
    bool cpu;         /* a work-item runs alone: row work-groups of 1 and explicit vectors */
    int wg;           /* work-group size along a row: 1 on CPUs, 64..256 on GPUs (power of two);
                         TT_WG overrides: more than 1 shapes a CPU like a GPU (tests) */
    int vw;           /* floats in an explicit vector: 16 or 8 on CPUs, 1, 2 or 4 on GPUs;
                         TT_VW overrides */
    int att_rows;     /* query rows one attention work-group handles: 2 vw on CPUs, 64 on GPUs */
    size_t max_alloc; /* largest single buffer, bytes; TT_MAX_ALLOC lowers it (tests) */
    size_t align;     /* sub-buffer alignment in bytes, >= 64; TT_ALIGN raises it (tests) */
    size_t memory;    /* bytes of device memory; TT_DEVICE_MEMORY lowers it (tests) */
    size_t local_mem;
    bool local_mem_is_real, fp16, subgroups, unified_memory;
} tti_caps;

typedef struct tti_device tti_device;

/* Opens the device that spec names (see tti_device_pick): context, in-order queue, caches.
 * TT_PROFILE=1 makes the queue a profiling one. Gives *out. */
tt_status tti_device_open(tti_device **out, const char *spec);
void tti_device_close(tti_device *d); /* NULL is a no-op; all buffers must be freed before */
const tti_device_info *tti_device_get_info(const tti_device *d);
const tti_caps *tti_device_caps(const tti_device *d);
/* Lowers caps.memory: the ledger then refuses what goes beyond it. */
void tti_device_limit(tti_device *d, size_t memory);
cl_context tti_device_context(const tti_device *d);
cl_command_queue tti_device_queue(const tti_device *d);
tt_status tti_device_finish(tti_device *d); /* waits; reports asynchronous failures */
tt_status tti_device_flush(tti_device *d);
/* "name (platform), driver": a key for per-device caches: stable across runs. */
const char *tti_device_key(const tti_device *d);

/* Turns a failing OpenCL code into TT_E_DEVICE / TT_E_MEMORY with "what: CL_NAME (code); way out".
 * CL_SUCCESS gives TT_OK. */
tt_status tti_cl(cl_int code, const char *what);
const char *tti_cl_name(cl_int code);

/* ---- memory: the ledger (memory.c) ---- */

typedef enum {
    TTI_MEM_WEIGHTS, /* frozen and trained parameters */
    TTI_MEM_GRADIENTS,
    TTI_MEM_OPTIMIZER,
    TTI_MEM_ACTIVATIONS, /* kept and transient values: the arena */
    TTI_MEM_INPUTS,      /* token ids, positions, offsets, labels */
    TTI_MEM_WORKSPACE,   /* scratch of GEMM providers */
    TTI_MEM_OTHER,
    TTI_MEM_CATEGORIES
} tti_mem_category;
const char *tti_mem_category_name(tti_mem_category c);

/* All device memory comes from here. bytes > 0; zeroed when zero is true. Refuses, with the
 * figures, what is over max_alloc or what the device's memory does not hold (TT_E_MEMORY). */
tt_status tti_mem_new(cl_mem *out, tti_device *d, size_t bytes, tti_mem_category c, bool zero);
void tti_mem_free(tti_device *d, cl_mem m); /* NULL is a no-op */
/* A part of a buffer of tti_mem_new, within it (else TT_E_ARG); offset a multiple of caps.align.
 * Not counted. To be released before the buffer is freed; parts may overlap, and be released in any
 * order (memory_parts.c says why that takes care). */
tt_status tti_mem_sub(cl_mem *out, tti_device *d, cl_mem m, size_t offset, size_t bytes);
void tti_mem_release(tti_device *d, cl_mem m); /* a sub-buffer; NULL is a no-op */
size_t tti_mem_allocated(const tti_device *d, tti_mem_category c); /* bytes now */
size_t tti_mem_peak(const tti_device *d);                          /* highest sum so far */
size_t tti_mem_made(const tti_device *d); /* how many were made so far, those freed again too */
/* Tests: the n-th device allocation from now fails with TT_E_MEMORY, once; env
 * TT_FAIL_DEVICE_ALLOC. */
void tti_mem_fail_at(long n);
/* Copies; write returns when src may be reused, read waits for the queue. Offsets and sizes in
 * bytes. */
tt_status tti_mem_write(tti_device *d, cl_mem m, size_t offset, const void *src, size_t bytes);
tt_status tti_mem_read(tti_device *d, cl_mem m, size_t offset, void *dst, size_t bytes);
tt_status tti_mem_fill0(tti_device *d, cl_mem m, size_t offset, size_t bytes);

/* ---- kernels (program.c, launch.c) ---- */

/* The kernel `name` of cl/<file>.cl built with `defines` ("-DX=1 -DY=2", may be ""), compiled on
 * first use and kept: in memory by (file, defines), on disk by hash of source, options, device and
 * driver (tti_cache_dir()/programs; written aside and renamed, checked by length and hash when
 * read, a bad or stale entry is rebuilt; TT_PROGRAM_CACHE=0 switches it off). Common defines are
 * added here: WG, VW and storage type come from the caller via tti_kernel_defines or by hand. Fails
 * with TT_E_BUILD and the build log's first lines (whole log at TT_LOG=debug). The kernel is owned
 * by the device and shared: set all its arguments at each launch. */
tt_status tti_kernel_get(cl_kernel *out, tti_device *d, const char *file, const char *name,
                         const char *defines);
/* How many programs this process compiled from source on d (a warm run builds none). */
size_t tti_programs_built(const tti_device *d);

/* Sets arguments in order, keeps the first error, then checks their number against
 * CL_KERNEL_NUM_ARGS, checks the work sizes, enqueues, takes the timing event when profiling. */
typedef struct {
    tti_device *d;
    cl_kernel k;
    void *entry; /* what launch.c knows about k */
    const char *name;
    cl_uint narg;
    tt_status status;
} tti_launch;
/* file is also the op's name; on failure the status sticks and shows at tti_run. */
tti_launch tti_kernel(tti_device *d, const char *file, const char *name, const char *defines);
void tti_arg_mem(tti_launch *l, cl_mem m);
void tti_arg_i32(tti_launch *l, int v);
void tti_arg_u32(tti_launch *l, uint32_t v);
void tti_arg_f32(tti_launch *l, float v);
void tti_arg_local(tti_launch *l, size_t bytes);
/* global and local sizes in work-items; a zero global size runs nothing and is TT_OK. Sizes are
 * those of the kernel's reqd_work_group_size where it has one; local may be NULL. */
tt_status tti_run(tti_launch *l, unsigned dims, const size_t *global, const size_t *local);
/* n work-groups of caps.wg work-items (the kernel was built with -DWG=caps.wg). */
tt_status tti_run_groups(tti_launch *l, size_t n);
/* With TT_PROFILE=1: prints time by kernel, sorted, on stderr at close; this resets or reads it. */
void tti_profile_report(tti_device *d, FILE *f);
/* For commands of libraries (CLBlast): whether events are wanted, and a timing event to count under
 * name. Takes e (NULL is a no-op) in either case. */
bool tti_profiling(const tti_device *d);
void tti_profile_take(tti_device *d, const char *name, cl_event e);

#endif
