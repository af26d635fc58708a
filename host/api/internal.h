// SPDX-License-Identifier: Apache-2.0
/* internal.h - what the files of the public interface share. */
#ifndef TT_HOST_API_INTERNAL_H
#define TT_HOST_API_INTERNAL_H

#include "host/device/device.h"
#include "tokentune/tokentune.h"

/* Returns TT_E_ARG, naming the call and the argument, when p is NULL. */
#define TT_NEED(p)                                                           \
    do {                                                                     \
        if (!(p)) return tti_fail(TT_E_ARG, "%s: %s is NULL", __func__, #p); \
    } while (0)

struct tt_device {
    tti_device *d;
    size_t holders; /* the caller, until it closes the device, and what was opened on it */
};
/* The last release closes the device. */
void tti_api_device_hold(tt_device *d);
void tti_api_device_release(tt_device *d);

#endif
