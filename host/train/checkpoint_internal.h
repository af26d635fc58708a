// SPDX-License-Identifier: Apache-2.0
/* checkpoint_internal.h - shared by the files of checkpoints. */
#ifndef TT_HOST_TRAIN_CHECKPOINT_INTERNAL_H
#define TT_HOST_TRAIN_CHECKPOINT_INTERNAL_H

#include "host/core/core.h"

/* Names in a folder, sorted. Gives *names (tti_file_names_free). */
tt_status tti_file_names(char ***names, size_t *n, const char *dir);
void tti_file_names_free(char **names, size_t n);
/* Whether a file of a checkpoint is not part of the export in it. */
bool tti_checkpoint_is_own(const char *name);

#endif
