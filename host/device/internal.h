// SPDX-License-Identifier: Apache-2.0
/* internal.h - what the files of host/device share with each other, and with their tests. */
#ifndef TT_HOST_DEVICE_INTERNAL_H
#define TT_HOST_DEVICE_INTERNAL_H

#include "host/device/device.h"

/* ---- embedded kernel files (kernels.c in the build folder, made by cl/embed.cmake) ---- */

typedef struct {
    const char *name; /* "gemm.cl", "common.clh"; NULL ends the table */
    const unsigned char *bytes;
    size_t size;
} tti_kernel_file;
extern const tti_kernel_file tti_kernel_files[];

/* Gives the text of cl/<file>.cl with its includes in place and #line marks, from the folder that
 * TT_CL_DIR names or else from the embedded files. A file is included once a program. */
tt_status tti_kernel_source(tti_str *out, const char *file);

/* Where line `number` (from 1) of such a text comes from: for drivers that do not read line marks.
 * False where there is no such line. */
bool tti_kernel_line(const char *source, long number, char file[64], long *line);

/* ---- hashes and the cache on disk (cache.c) ---- */

typedef struct {
    uint64_t a, b;
} tti_hash;
void tti_hash_begin(tti_hash *h);
void tti_hash_add(tti_hash *h, const void *bytes,
                  size_t n); /* counts n too: "ab","c" != "a","bc" */
void tti_hash_end(tti_hash *h);

/* The path of the entry for key in the per-user cache; gives *path (tti_free), NULL with TT_OK when
 * the cache is off (TT_PROGRAM_CACHE=0) or no folder can be written. */
tt_status tti_cache_path(char **path, tti_hash key);
/* Gives the payload (tti_free) where a whole and unharmed entry is there, else NULL. */
void tti_cache_load(char **payload, size_t *size, const char *path, tti_hash key);
/* Writes an entry; failures are logged only, the program runs without. */
void tti_cache_store(const char *path, tti_hash key, const void *payload, size_t size);

/* ---- the device ---- */

typedef struct {
    const char *file, *name, *defines; /* owned: one block with the entry */
    uint64_t hash;
    cl_kernel k;
    cl_uint nargs;
    size_t required[3]; /* reqd_work_group_size, zeros without */
    size_t max_wg;
    size_t profile; /* 1 + its row in the profile table, 0 before the first launch */
} tti_kernel_entry;

typedef struct {
    char *file, *defines;
    cl_program program;
} tti_program_entry;

typedef struct {
    cl_mem mem;
    size_t bytes;
    tti_mem_category category;
} tti_mem_entry;

/* A sub-buffer, in the order of their making. */
typedef struct {
    cl_mem mem, of;
    bool released;
} tti_mem_part;

typedef struct {
    char name[64];
    uint64_t count;
    double ms;
} tti_profile_row;

typedef struct {
    cl_event event;
    size_t row;
} tti_profile_event;

/* A host copy of a small write, kept until the device has read it. */
typedef struct {
    void *p;
    size_t size;
    cl_event event; /* NULL when the slot is free */
} tti_stage;

#define TTI_PENDING 1024
#define TTI_STAGES 32

struct tti_device {
    tti_device_info info;
    tti_caps caps;
    char *key;
    cl_context context;
    cl_command_queue queue;

    tti_mem_entry *mem;
    size_t mem_n, mem_cap;
    tti_mem_part *parts;
    size_t parts_n, parts_cap;
    size_t allocated[TTI_MEM_CATEGORIES], total, peak, made;
    tti_stage stage[TTI_STAGES];
    cl_int write_failed; /* the code a staged write ended with; shows at tti_device_finish */

    tti_program_entry *programs;
    size_t programs_n, programs_cap, built;
    tti_kernel_entry **kernels; /* hash table, a power of two, at most half full */
    size_t kernels_n, kernels_size;

    bool profiling;
    tti_profile_row *rows;
    size_t rows_n, rows_cap;
    tti_profile_event pending[TTI_PENDING];
    size_t pending_n;
};

/* Finds or builds the kernel; owned by the device. */
tt_status tti_kernel_find(tti_kernel_entry **out, tti_device *d, const char *file, const char *name,
                          const char *defines);
void tti_programs_free(tti_device *d);
void tti_memory_free(tti_device *d);
/* Frees the slots of staged writes that have ended; gives the first failure since the last call. */
cl_int tti_stage_sweep(tti_device *d);
void tti_profile_free(tti_device *d);
void tti_profile_add(tti_device *d, size_t row, cl_event e); /* takes e */
tt_status tti_profile_row_of(size_t *row, tti_device *d, const char *name);

/* "16G", "512M", "1024": bytes; false when malformed. */
bool tti_parse_bytes(const char *text, size_t *out);

/* ---- listing ---- */

/* Adds to note (at most size bytes) the device nodes below dev ("/dev") that exist but may not be
 * opened by this user, with the group that may. Returns whether there are any. */
bool tti_permission_note(char *note, size_t size, const char *dev);

#endif
