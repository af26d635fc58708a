// SPDX-License-Identifier: Apache-2.0
/* stored.h - handing a matrix of any storage type to a kernel that includes cl/quant.clh. */
#ifndef TT_HOST_GEMM_STORED_H
#define TT_HOST_GEMM_STORED_H

#include "host/device/device.h"
#include "host/storage/storage.h"

enum { TTI_STORED_DEFINES = 64 };

/* The defines of the layout's type, beginning with a space; NULL: f32. */
void tti_stored_defines(char out[TTI_STORED_DEFINES], const tti_layout *l);
/* The arguments of TT_STORED_ARGS: the buffer, and the sections' places of a quantised matrix.
 * The layout must have passed tti_stored_check. */
void tti_arg_stored(tti_launch *launch, cl_mem m, const tti_layout *l);
/* What kernels can read: blocks of a power of two from 32 on, sections within 256 GiB; and a buffer
 * that holds all of it. TT_E_SHAPE, TT_E_UNSUPPORTED with `what` in front. */
tt_status tti_stored_check(const tti_layout *l, cl_mem m, const char *what);

#endif
