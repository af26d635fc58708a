// SPDX-License-Identifier: Apache-2.0
/* generate.h - completions of prompts: several at once, each until its end. */
#ifndef TT_HOST_GENERATE_GENERATE_H
#define TT_HOST_GENERATE_GENERATE_H

#include <signal.h>
#include "host/generate/engine.h"
#include "host/generate/sample.h"
#include "host/generate/text.h"

typedef struct {
    const int32_t *ids;
    size_t n;       /* >= 1 */
    size_t kept;    /* the first so many are in slot 0 already; for a single prompt, else 0 */
    size_t max_new; /* >= 1; n + max_new is at most the capacity + 1 */
} tti_prompt;

typedef enum {
    TTI_END_LENGTH, /* max_new tokens */
    TTI_END_TOKEN,  /* an end token came; it is the last of the ids */
    TTI_END_STOP,   /* a stop string came */
    TTI_END_ASKED   /* *interrupt was set */
} tti_end;
const char *tti_end_name(tti_end e); /* "length", "end", "stop", "interrupted" */

/* What was made of a prompt; zero-initialise, tti_completion_free at the end. */
typedef struct {
    int32_t *ids;
    size_t n, cap;
    tti_str text; /* without end token and stop string */
    tti_end end;
    int stop; /* number of the stop string, or -1 */
} tti_completion;
void tti_completion_free(tti_completion *c);

typedef struct {
    tti_sampling sampling;
    const int32_t *end_ids; /* tokens that end a text; borrowed */
    size_t nend_ids;
    const char *const *stops; /* borrowed */
    size_t nstops;
    const volatile sig_atomic_t *interrupt; /* NULL: none */
    /* Called with text of prompt i as it comes (n may be 0 at its end: done); NULL: not wanted.
     * Other than TT_OK ends everything. */
    tt_status (*on_text)(void *ctx, size_t i, const char *text, size_t n, bool done);
    void *ctx;
    uint32_t first; /* number of the first prompt: draws depend on it */
} tti_generate_opts;

/* Completes n prompts, out[i] of prompts[i]; as many at once as the engine has slots: where one
 * ends the next begins. t NULL: ids only, no text. Borrows all. */
tt_status tti_generate(tti_engine *e, const tti_tokenizer *t, const tti_generate_opts *o,
                       const tti_prompt *prompts, size_t n, tti_completion *out);

/* The end tokens of a model folder: eos_token_id, a number or a list, of generation_config.json,
 * else of config.json; there may be none. Gives *ids (tti_free). */
tt_status tti_end_ids_read(int32_t **ids, size_t *n, const char *dir);

#endif
