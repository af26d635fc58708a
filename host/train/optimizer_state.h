// SPDX-License-Identifier: Apache-2.0
/* optimizer_state.h - an optimizer's state in one safetensors file: the tensors of optimizer.h by
 * name, and in its metadata "optimizer", the kind (none: adamw), and "loss_scale", "<log2> <good>
 * <overflows>" where it is not 1. */
#ifndef TT_HOST_TRAIN_OPTIMIZER_STATE_H
#define TT_HOST_TRAIN_OPTIMIZER_STATE_H

#include "host/train/session.h"

/* After a flush. Waits for the device. */
tt_status tti_optimizer_save(tti_optimizer *o, const char *path);
/* The next step of o is step + 1; the same bits follow as if there had been no file. Another layout
 * than o's, or another kind's state: TT_E_FORMAT naming both. */
tt_status tti_optimizer_load(tti_optimizer *o, const char *path, uint32_t step);

/* The same for a session's optimizer, after tti_session_flush. */
tt_status tti_optimizer_state_write(const char *path, tti_session *s, const tti_model *m);
tt_status tti_optimizer_state_read(const char *path, tti_session *s, const tti_model *m,
                                   uint32_t step);

#endif
