// SPDX-License-Identifier: Apache-2.0
/* file_internal.h - what file.c and folder.c share; nobody else includes it, except their test. */
#ifndef TT_HOST_CORE_FILE_INTERNAL_H
#define TT_HOST_CORE_FILE_INTERNAL_H

#include "host/core/core.h"

/* Follows links as far as path exists and drops final slashes. Gives the name (tti_free); NULL on
 * TT_E_NOMEM. */
char *tti_path_resolve(const char *path);
/* fsync of a file or folder, and of the folder that path is an entry of. */
tt_status tti_sync_path(const char *path);
tt_status tti_sync_parent(const char *path);

/* Tests: commit folders as on a system without an atomic exchange of two names. */
extern bool tti_dir_without_exchange;

#endif
