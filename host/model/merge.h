// SPDX-License-Identifier: Apache-2.0
/* merge.h - a LoRA adapter added into its base model's weights. */
#ifndef TT_HOST_MODEL_MERGE_H
#define TT_HOST_MODEL_MERGE_H

#include "host/model/model.h"

/* Writes into the existing folder dir the checkpoint of m, which was loaded without a device, with
 * method LoRA and an adapter: model.safetensors and config.json. An adapted weight becomes
 * W + scale * B A, summed in double precision; what the adapter stores whole takes the place of the
 * base's; every other tensor is copied. dtype: F32, F16 or BF16 for all floating-point tensors, or
 * OTHER: each stays what it is. labels: names of m's classes (n may be 0).
 * TT_E_FORMAT, TT_E_SHAPE: the adapter is of another base. TT_E_NUMERIC: a number that the dtype
 * cannot hold. */
tt_status tti_model_merge(tti_model *m, const char *dir, tti_st_dtype dtype,
                          const char *const *labels, int n);

#endif
