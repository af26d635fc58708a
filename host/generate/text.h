// SPDX-License-Identifier: Apache-2.0
/* text.h - text of tokens as they come: whole characters only, and nothing of what may become a
 * stop string. */
#ifndef TT_HOST_GENERATE_TEXT_H
#define TT_HOST_GENERATE_TEXT_H

#include "host/tokenizer/tokenizer.h"

/* ---- characters ---- */

/* The tokens that the text still depends on. Zero-initialise but for t. */
typedef struct {
    const tti_tokenizer *t; /* borrowed */
    int32_t *ids;
    size_t n, cap;
    tti_str given, now; /* the text of ids that was given; scratch */
} tti_text_stream;
void tti_text_stream_free(tti_text_stream *s);
/* Begins behind n tokens whose text is known: what comes is written as it goes on from there. */
tt_status tti_text_stream_start(tti_text_stream *s, const int32_t *ids, size_t n);
/* Appends to out the text that id completes: as decoding all tokens at once gives, without special
 * tokens, never a part of a character. */
tt_status tti_text_stream_push(tti_text_stream *s, int32_t id, tti_str *out);
/* Appends what is left: bytes that make no character become U+FFFD. */
tt_status tti_text_stream_finish(tti_text_stream *s, tti_str *out);

/* ---- stop strings ---- */

/* Appends n bytes to what is held and moves what can be no part of a stop string any more to out.
 * Gives the number of the stop string that was found, or -1; then everything before it is in out
 * and the rest is dropped. Of several the one that begins first is taken, then the longest. */
int tti_stop_push(const char *const *stops, size_t nstops, tti_str *held, const char *text,
                  size_t n, tti_str *out);

#endif
