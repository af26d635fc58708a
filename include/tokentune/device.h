// SPDX-License-Identifier: Apache-2.0
/* tokentune/device.h - the OpenCL devices of this machine, and one of them opened.
 * One thread at a time for a device and what was opened on it. */
#ifndef TOKENTUNE_DEVICE_H
#define TOKENTUNE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "tokentune/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int index;            /* over all platforms, from 0: the spec "3" */
    int platform, device; /* the spec "1:0" */
    char name[128], platform_name[128], vendor[128], driver[128];
    char type[16]; /* "gpu", "cpu", "accelerator" or "custom" */
    uint32_t compute_units;
    uint64_t memory, max_alloc; /* bytes; of one buffer at most */
    bool usable;
    bool chosen;       /* what tt_device_open opens when it is not told otherwise */
    char why_not[256]; /* not usable: the reason and the way out; else "" */
} tt_device_info;

/* Gives *list (tt_device_infos_free) of *n devices; *n may be 0, for which tt_device_open says what
 * to do. TT_E_DEVICE: OpenCL itself fails. */
TT_API tt_status tt_device_infos(tt_device_info **list, size_t *n);
TT_API void tt_device_infos_free(tt_device_info *list);

typedef struct tt_device tt_device;

/* Opens the device that spec names: an index, "platform:device", a type, or a part of a name in any
 * case. NULL or "": what the environment's TT_DEVICE names, else the best GPU, else an accelerator,
 * else a CPU. Gives *out (tt_device_close).
 * TT_E_DEVICE: none fits, or it cannot be used; the message lists those that there are. */
TT_API tt_status tt_device_open(tt_device **out, const char *spec);

/* What was opened on it goes on working and holds the device until it is closed itself. */
TT_API void tt_device_close(tt_device *d);

/* "" for NULL; lives as long as the device. */
TT_API const char *tt_device_name(const tt_device *d);

#ifdef __cplusplus
}
#endif
#endif
