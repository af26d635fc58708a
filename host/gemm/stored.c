// SPDX-License-Identifier: Apache-2.0
/* stored.c - the host's side of cl/quant.clh. */
#include "host/gemm/stored.h"

void tti_stored_defines(char out[TTI_STORED_DEFINES], const tti_layout *l) {
    if (!l || l->type == TTI_F32)
        out[0] = 0;
    else if (!tti_dtype_quantised(l->type))
        snprintf(out, TTI_STORED_DEFINES, " -DQT=%d", (int)l->type);
    else
        snprintf(out, TTI_STORED_DEFINES, " -DQT=%d -DQBLOCK=%zu -DQNESTED=%d", (int)l->type,
                 l->block, l->has_nested);
}

void tti_arg_stored(tti_launch *launch, cl_mem m, const tti_layout *l) {
    tti_arg_mem(launch, m);
    if (!l || !tti_dtype_quantised(l->type)) return;
    tti_arg_u32(launch, (uint32_t)(l->scales / TTI_SECTION));
    tti_arg_u32(launch, (uint32_t)(l->nested / TTI_SECTION));
    tti_arg_u32(launch, (uint32_t)(l->tables / TTI_SECTION));
}

tt_status tti_stored_check(const tti_layout *l, cl_mem m, const char *what) {
    if (l->type == TTI_I32 || l->type >= TTI_DTYPES)
        return tti_fail(TT_E_UNSUPPORTED, "%s: kept as %s, not as numbers that kernels multiply",
                        what, tti_dtype_name(l->type));
    if (tti_dtype_quantised(l->type) && (l->block < 32 || (l->block & (l->block - 1)) != 0))
        return tti_fail(TT_E_UNSUPPORTED,
                        "%s: blocks of %zu elements; kernels read powers of two from 32 on", what,
                        l->block);
    if (l->bytes / TTI_SECTION > UINT32_MAX)
        return tti_fail(TT_E_SHAPE, "%s: %zu bytes are too many for one matrix", what, l->bytes);
    size_t have = 0;
    TT_TRY(tti_cl(clGetMemObjectInfo(m, CL_MEM_SIZE, sizeof have, &have, NULL), what));
    if (have < l->bytes)
        return tti_fail(TT_E_SHAPE, "%s: buffer of %zu bytes, needs %zu", what, have, l->bytes);
    return TT_OK;
}
