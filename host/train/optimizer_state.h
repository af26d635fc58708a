// SPDX-License-Identifier: Apache-2.0
/* optimizer_state.h - both moments of every trained parameter in one safetensors file. */
#ifndef TT_HOST_TRAIN_OPTIMIZER_STATE_H
#define TT_HOST_TRAIN_OPTIMIZER_STATE_H

#include "host/train/session.h"

/* After tti_session_flush. Waits for the device. */
tt_status tti_optimizer_state_write(const char *path, tti_session *s, const tti_model *m);
/* The next step of s is step + 1. Another layout than m's: TT_E_FORMAT. */
tt_status tti_optimizer_state_read(const char *path, tti_session *s, const tti_model *m,
                                   uint32_t step);

#endif
