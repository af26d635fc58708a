// SPDX-License-Identifier: Apache-2.0
/* model_folder.h - folders that are made out of other models' folders. */
#ifndef TT_HOST_EVAL_MODEL_FOLDER_H
#define TT_HOST_EVAL_MODEL_FOLDER_H

#include "host/core/core.h"

/* TT_OK where out may be written: it is not there, empty, or a model's folder. TT_E_ARG where it is
 * one of the n sources (by whatever name), a file, or holds something else. */
tt_status tti_folder_check_place(const char *out, const char *const *sources, size_t n);
/* Copies those of the n files that are in `from`. */
tt_status tti_folder_copy(const char *to, const char *from, const char *const *names, size_t n);
/* All files of a tokenizer and its chat template. */
tt_status tti_folder_copy_tokenizer(const char *to, const char *from);
tt_status tti_folder_has_tokenizer(const char *dir, bool *out);

#endif
