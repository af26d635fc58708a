// SPDX-License-Identifier: Apache-2.0
/* digest.h - a 64-bit sum that tells damaged or exchanged content from the content that was
 * written; no protection against intent. */
#ifndef TT_HOST_TRAIN_DIGEST_H
#define TT_HOST_TRAIN_DIGEST_H

#include "host/core/core.h"

typedef struct {
    uint64_t h, size;
    uint8_t rest[8]; /* bytes that do not fill a word yet */
} tti_digest;
void tti_digest_begin(tti_digest *d);
void tti_digest_add(tti_digest *d, const void *bytes, size_t n); /* in any portions */
uint64_t tti_digest_end(const tti_digest *d);
/* Of a file's content. */
tt_status tti_digest_file(uint64_t *out, uint64_t *size, const char *path);

#endif
