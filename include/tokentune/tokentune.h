// SPDX-License-Identifier: Apache-2.0
/* tokentune/tokentune.h - the whole library: fine-tunes transformers on any OpenCL device.
 *
 * Calls that can fail return TT_OK (0) or a negative tt_status; tt_error() then names the thing,
 * the value and the way out, and outputs are untouched unless the call says otherwise. NULL where
 * it is not allowed is TT_E_ARG; any call may give TT_E_NOMEM. Texts are UTF-8 and end with a zero
 * byte. Ownership has four verbs: a call borrows what it only uses while it runs (or as long as
 * said), copies what it keeps, takes what it will free itself, gives what the caller must free.
 * Every _close and _free takes NULL as a no-op. Options come from a _defaults function, then set
 * fields: fields of later versions stay harmless. The library never ends the process and writes
 * nothing but log lines (see tt_log_to) and the files it was asked for.
 *
 * One thread at a time for a device and the classifiers on it; different devices are independent.
 */
#ifndef TOKENTUNE_TOKENTUNE_H
#define TOKENTUNE_TOKENTUNE_H

#include "tokentune/classifier.h"
#include "tokentune/device.h"
#include "tokentune/status.h"
#include "tokentune/tokenizer.h"
#include "tokentune/trainer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "major.minor.patch"; static. */
TT_API const char *tt_version(void);

typedef enum { TT_LOG_WARNING = 1, TT_LOG_INFO = 2, TT_LOG_DEBUG = 3 } tt_log_level;
/* Log lines of the whole process, as far as the environment's TT_LOG (quiet, info, debug; info by
 * default) lets them through, go to fn, without a newline; fn borrows the line. NULL: to standard
 * error, as at first. Call it while no other call of the library runs. */
TT_API void tt_log_to(void (*fn)(void *ctx, int level, const char *line), void *ctx);

#ifdef __cplusplus
}
#endif
#endif
