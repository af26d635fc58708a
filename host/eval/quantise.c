// SPDX-License-Identifier: Apache-2.0
/* quantise.c - the quantised folder written aside and put in its place. */
#include "host/core/file.h"
#include "host/eval/model_folder.h"
#include "host/eval/quantise.h"

static const char *const other_files[] = {"generation_config.json", "tokentune.json"};

static tt_status write(const tti_quantise_opts *o, tti_dtype type, const char *dir,
                       tti_quantise_result *result) {
    TT_TRY(tti_model_quantise(o->model, dir, type, o->nested, result));
    TT_TRY(tti_folder_copy_tokenizer(dir, o->model));
    return tti_folder_copy(dir, o->model, other_files, TT_COUNT(other_files));
}

tt_status tti_quantise_folder(const tti_quantise_opts *o, tti_quantise_result *result) {
    tti_dtype type;
    char *aside = NULL;
    if (!tti_dtype_parse(o->type, &type))
        return tti_fail(TT_E_ARG, "type %s: expected nf4, q8, bf16 or f16", o->type);
    if (!tti_dir_exists(o->model)) return tti_fail(TT_E_IO, "%s: no such folder", o->model);
    TT_TRY(tti_folder_check_place(o->out, &o->model, 1));
    tt_status s = tti_dir_begin(&aside, o->out);
    if (s == TT_OK) s = write(o, type, aside, result);
    if (s == TT_OK) s = tti_dir_commit(aside, o->out);
    if (s != TT_OK && aside) tti_dir_abort(aside);
    tti_free(aside);
    return s;
}
