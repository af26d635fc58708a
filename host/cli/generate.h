// SPDX-License-Identifier: Apache-2.0
/* generate.h - what the files of the command generate share. */
#ifndef TT_HOST_CLI_GENERATE_H
#define TT_HOST_CLI_GENERATE_H

#include "host/cli/cli.h"
#include "host/data/causal.h"
#include "host/generate/generate.h"
#include "host/train/export.h"

typedef struct {
    const char *model, *adapter, *file, *template, *system, *device, *gemm;
    tti_opt_list prompts, stops;
    size_t max_new, batch;                                     /* 0: not given */
    double temperature, top_k, top_p, min_p, repetition, seed; /* temperature NaN: not given */
    bool chat, json;
} tti_generate_args;

/* A model ready to write. */
typedef struct {
    const tti_generate_args *args;
    char *base; /* owned: what adapter_config.json names */
    tti_trained t;
    tti_device *dev;
    tti_gemm *gemm;
    tti_template *template; /* NULL: prompts as they are */
    const char **stops;     /* those given, then perhaps the template's end mark */
    size_t nstops;
    int32_t *end_ids;
    size_t nend_ids, context;
    tti_sampling sampling;
    tti_causal_tokens tokens; /* scratch */
    tti_rendered rendered;
} tti_writer;

/* Opens what args name, checks the values. Borrows args. */
tt_status tti_writer_open(tti_writer *w, const tti_generate_args *args);
void tti_writer_close(tti_writer *w);
/* Ids of n messages as the template has them, up to the answer, in w->tokens. Without a template:
 * the text of the only message. An empty text is the tokenizer's begin mark; where there is none:
 * TT_E_DATA. */
tt_status tti_writer_encode(tti_writer *w, const tti_message *m, size_t n);
/* The options of tti_generate but for those of output. */
tti_generate_opts tti_writer_options(const tti_writer *w);
/* How many new tokens a prompt of n gets: --max-new, which must fit (TT_E_ARG: what would), else
 * 256 or what fits. name: of the prompt, for messages. */
tt_status tti_writer_room(const tti_writer *w, const char *name, size_t n, size_t *max_new);

/* SIGINT and SIGTERM set the flag that tti_writer_options passes on; a second one ends the process.
 */
void tti_writer_signals(bool catch_them);
int tti_writer_signal(void); /* the last, and forgets it; 0: none */

/* Reads lines of standard input as questions and answers them, until its end. */
tt_status tti_generate_chat(tti_writer *w);

#endif
