// SPDX-License-Identifier: Apache-2.0
/* list.c - every device of every platform, whether it can be used, and what to do without one. */
#include "host/device/internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Copies the text trimmed, cut at size; "" where the driver has none. */
static void keep_text(char *out, size_t size, const char *text) {
    while (isspace((unsigned char)*text)) text++;
    snprintf(out, size, "%s", text);
    for (size_t n = strlen(out); n && isspace((unsigned char)out[n - 1]);) out[--n] = 0;
}

static char *device_text(cl_device_id dev, cl_device_info what) {
    size_t n = 0;
    if (clGetDeviceInfo(dev, what, 0, NULL, &n) != CL_SUCCESS) n = 0;
    char *text = tti_calloc(n + 1, 1);
    if (text && n && clGetDeviceInfo(dev, what, n, text, NULL) != CL_SUCCESS) text[0] = 0;
    return text;
}

static tt_status get_text(char *out, size_t size, cl_device_id dev, cl_device_info what) {
    char *text = device_text(dev, what);
    if (!text) return TT_E_NOMEM;
    keep_text(out, size, text);
    tti_free(text);
    return TT_OK;
}

#define GET(dev, what, var)                                                      \
    do {                                                                         \
        if (clGetDeviceInfo(dev, what, sizeof(var), &(var), NULL) != CL_SUCCESS) \
            memset(&(var), 0, sizeof(var));                                      \
    } while (0)

static bool has_word(const char *list, const char *word) {
    size_t n = strlen(word);
    for (const char *p = list; (p = strstr(p, word)); p += n)
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == 0)) return true;
    return false;
}

/* A container's limit counts where the device's memory is the machine's. */
static uint64_t container_limit(void) {
    static const char *const paths[] = {"/sys/fs/cgroup/memory.max",
                                        "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    for (size_t i = 0; i < TT_COUNT(paths); i++) {
        FILE *f = fopen(paths[i], "r");
        if (!f) continue;
        char line[64] = "";
        if (!fgets(line, sizeof line, f)) line[0] = 0;
        fclose(f);
        char *end;
        errno = 0;
        unsigned long long v = strtoull(line, &end, 10);
        if (end != line && errno == 0 && v > 0) return v;
    }
    return UINT64_MAX;
}

static void refuse(tti_device_info *i, const char *why) {
    i->usable = false;
    snprintf(i->why_not, sizeof i->why_not, "%s", why);
}

static void judge(tti_device_info *i, cl_device_type type) {
    cl_bool available, compiler, little;
    cl_device_fp_config single;
    cl_device_id dev = i->cl_device;
    GET(dev, CL_DEVICE_AVAILABLE, available);
    GET(dev, CL_DEVICE_COMPILER_AVAILABLE, compiler);
    GET(dev, CL_DEVICE_ENDIAN_LITTLE, little);
    GET(dev, CL_DEVICE_SINGLE_FP_CONFIG, single);
    int major = 0, minor = 0;
    if (sscanf(i->version, "OpenCL %d.%d", &major, &minor) != 2) major = 0;
    i->usable = true;
    if (!(type & (CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_CPU | CL_DEVICE_TYPE_ACCELERATOR)))
        refuse(i, "a custom device runs built-in kernels only; choose another device");
    else if (!available)
        refuse(i, "its driver says that it is not available; see the driver's log");
    else if (major < 1 || (major == 1 && minor < 2))
        refuse(i, "its driver is older than OpenCL 1.2; install a newer driver (for Mesa's "
                  "Clover: rusticl, with RUSTICL_ENABLE naming the driver)");
    else if (!compiler)
        refuse(i, "its driver has no compiler; install the driver's compiler package");
    else if (!little)
        refuse(i, "it is big-endian, weights are stored little-endian");
    else if (!(single & CL_FP_ROUND_TO_NEAREST) || !(single & CL_FP_INF_NAN))
        refuse(i, "its single precision lacks round-to-nearest or infinities");
    else if (i->max_alloc == 0 || i->memory == 0 || i->max_wg == 0)
        refuse(i, "its driver reports no memory or no work-group size; update the driver");
}

static tt_status describe(tti_device_info *i, cl_device_id dev) {
    cl_device_type type;
    cl_uint units, clock, align;
    cl_ulong memory, max_alloc, local;
    cl_device_local_mem_type local_type;
    cl_bool unified;
    i->cl_device = dev;
    TT_TRY(get_text(i->name, sizeof i->name, dev, CL_DEVICE_NAME));
    TT_TRY(get_text(i->vendor, sizeof i->vendor, dev, CL_DEVICE_VENDOR));
    TT_TRY(get_text(i->driver, sizeof i->driver, dev, CL_DRIVER_VERSION));
    TT_TRY(get_text(i->version, sizeof i->version, dev, CL_DEVICE_VERSION));
    TT_TRY(get_text(i->c_version, sizeof i->c_version, dev, CL_DEVICE_OPENCL_C_VERSION));
    GET(dev, CL_DEVICE_TYPE, type);
    GET(dev, CL_DEVICE_MAX_COMPUTE_UNITS, units);
    GET(dev, CL_DEVICE_MAX_CLOCK_FREQUENCY, clock);
    GET(dev, CL_DEVICE_GLOBAL_MEM_SIZE, memory);
    GET(dev, CL_DEVICE_MAX_MEM_ALLOC_SIZE, max_alloc);
    GET(dev, CL_DEVICE_LOCAL_MEM_SIZE, local);
    GET(dev, CL_DEVICE_MAX_WORK_GROUP_SIZE, i->max_wg);
    GET(dev, CL_DEVICE_MEM_BASE_ADDR_ALIGN, align);
    GET(dev, CL_DEVICE_LOCAL_MEM_TYPE, local_type);
    GET(dev, CL_DEVICE_HOST_UNIFIED_MEMORY, unified);
    i->type = type & CL_DEVICE_TYPE_GPU           ? "gpu"
              : type & CL_DEVICE_TYPE_ACCELERATOR ? "accelerator"
              : type & CL_DEVICE_TYPE_CPU         ? "cpu"
                                                  : "custom";
    i->compute_units = units;
    i->clock_mhz = clock;
    i->memory = type & CL_DEVICE_TYPE_CPU ? TT_MIN(memory, container_limit()) : memory;
    i->max_alloc = TT_MIN(max_alloc, i->memory);
    i->local_mem = local;
    i->base_align = align / 8; /* OpenCL counts bits here */
    i->local_mem_is_real = local_type == CL_LOCAL;
    i->unified_memory = unified;
    char *extensions = device_text(dev, CL_DEVICE_EXTENSIONS);
    if (!extensions) return TT_E_NOMEM;
    i->fp16 = has_word(extensions, "cl_khr_fp16");
    i->fp64 = has_word(extensions, "cl_khr_fp64");
    i->subgroups =
        has_word(extensions, "cl_khr_subgroups") || has_word(extensions, "cl_intel_subgroups");
    tti_free(extensions);
    judge(i, type);
    return TT_OK;
}

static bool may_not_open(const char *path, gid_t *group) {
    struct stat st;
    if (stat(path, &st) != 0 || access(path, R_OK | W_OK) == 0 || errno != EACCES) return false;
    *group = st.st_gid;
    return true;
}

bool tti_permission_note(char *note, size_t size, const char *dev) {
    char path[320], first[320] = "", dri[300];
    gid_t group = 0;
    snprintf(path, sizeof path, "%.300s/kfd", dev);
    if (may_not_open(path, &group)) memcpy(first, path, sizeof first);
    snprintf(dri, sizeof dri, "%.290s/dri", dev);
    DIR *dir = first[0] ? NULL : opendir(dri);
    for (struct dirent *e; dir && !first[0] && (e = readdir(dir));) {
        if (strncmp(e->d_name, "renderD", 7) != 0) continue;
        int n = snprintf(path, sizeof path, "%s/%s", dri, e->d_name);
        if (n > 0 && (size_t)n < sizeof path && may_not_open(path, &group))
            memcpy(first, path, sizeof first);
    }
    if (dir) closedir(dir);
    if (!first[0]) return false;
    struct group entry, *found = NULL;
    char text[1024], name[64];
    if (getgrgid_r(group, &entry, text, sizeof text, &found) == 0 && found)
        snprintf(name, sizeof name, "%s", entry.gr_name);
    else
        snprintf(name, sizeof name, "%u (no name)", (unsigned)group);
    snprintf(note, size,
             "%s may be opened only by group %s: ask for `usermod -aG %s $USER` and log in again",
             first, name, name);
    return true;
}

static void write_note(char note[512], size_t platforms, size_t devices, size_t usable) {
    char permission[300] = "";
    bool barred = tti_permission_note(permission, sizeof permission, "/dev");
    const char *icd = getenv("OCL_ICD_VENDORS");
    if (usable) {
        snprintf(note, 512, "%s", permission);
    } else if (platforms == 0) {
        snprintf(note, 512,
                 "no OpenCL driver is registered%s%.60s: install one (Debian: pocl-opencl-icd for "
                 "the CPU; intel-opencl-icd, mesa-opencl-icd or the vendor's driver for a GPU), or "
                 "without root unpack PyPI's intel-opencl-rt, intel-cmplr-lib-rt and tbb and set "
                 "OCL_ICD_VENDORS to a folder with an .icd file that names libintelocl.so%s%s",
                 icd ? " in OCL_ICD_VENDORS=" : "", icd ? icd : "", barred ? "; " : "", permission);
    } else {
        snprintf(note, 512,
                 "%s: install a driver for this machine (Debian: pocl-opencl-icd for the CPU; "
                 "intel-opencl-icd, mesa-opencl-icd with RUSTICL_ENABLE, or the vendor's for a "
                 "GPU)%s%s",
                 devices ? "no device is usable"
                         : "OpenCL drivers are here but show no device (PoCL shows none where it "
                           "cannot write: set POCL_CACHE_DIR to a folder of yours)",
                 barred ? "; " : "", permission);
    }
}

typedef struct {
    tti_device_info *list;
    size_t n, cap;
} listing;

static tt_status add_platform(listing *l, cl_platform_id platform, int number) {
    char name[256] = "";
    if (clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof name, name, NULL) != CL_SUCCESS)
        name[0] = 0;
    name[sizeof name - 1] = 0;
    cl_uint n = 0;
    cl_int code = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &n);
    if (code != CL_SUCCESS || n == 0) { /* one broken driver does not hide the others */
        if (code != CL_SUCCESS && code != CL_DEVICE_NOT_FOUND)
            tti_debug("platform %d (%s): %s", number, name, tti_cl_name(code));
        return TT_OK;
    }
    cl_device_id *ids = tti_calloc(n, sizeof(cl_device_id));
    if (!ids) return TT_E_NOMEM;
    tt_status s = TT_OK;
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, n, ids, NULL) != CL_SUCCESS) goto done;
    TT_GO(TTI_GROW(l->list, l->cap, l->n + n));
    for (cl_uint j = 0; j < n; j++) {
        tti_device_info *i = &l->list[l->n];
        *i = (tti_device_info){.index = (int)l->n, .platform = number, .device = (int)j};
        i->cl_platform = platform;
        keep_text(i->platform_name, sizeof i->platform_name, name);
        TT_GO(describe(i, ids[j]));
        l->n++;
    }
done:
    tti_free(ids);
    return s;
}

tt_status tti_device_list(tti_device_info **list, size_t *n, char note[512]) {
    *list = NULL;
    *n = 0;
    note[0] = 0;
    cl_uint np = 0;
    cl_int code = clGetPlatformIDs(0, NULL, &np);
    if (code == -1001)
        np = 0; /* CL_PLATFORM_NOT_FOUND_KHR: no driver registered */
    else
        TT_TRY(tti_cl(code, "listing OpenCL platforms"));
    listing l = {0};
    tt_status s = TT_OK;
    cl_platform_id *platforms = tti_calloc(np, sizeof(cl_platform_id));
    if (!platforms) return TT_E_NOMEM;
    if (np) TT_GO(tti_cl(clGetPlatformIDs(np, platforms, NULL), "listing OpenCL platforms"));
    for (cl_uint p = 0; p < np; p++) TT_GO(add_platform(&l, platforms[p], (int)p));
    size_t usable = 0;
    for (size_t i = 0; i < l.n; i++) usable += l.list[i].usable;
    write_note(note, np, l.n, usable);
done:
    tti_free(platforms);
    if (s != TT_OK) {
        tti_free(l.list);
        return s;
    }
    *list = l.list;
    *n = l.n;
    return TT_OK;
}
