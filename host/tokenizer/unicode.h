// SPDX-License-Identifier: Apache-2.0
/* unicode.h - UTF-8, and what each code point is to the `tokenizers` package. */
#ifndef TT_HOST_TOKENIZER_UNICODE_H
#define TT_HOST_TOKENIZER_UNICODE_H

#include "host/core/core.h"

/* Bits of a code point's class. */
enum {
    TTI_UC_SPACE = 1,
    TTI_UC_CONTROL = 2, /* what BERT's cleaning removes */
    TTI_UC_PUNCT = 4,
    TTI_UC_NONSPACING = 8, /* what BERT's accent stripping removes */
    TTI_UC_MARK = 16,      /* what the StripAccents normalizer removes */
    TTI_UC_NUMERIC = 32,
    TTI_UC_WORD = 64,
    TTI_UC_INERT = 128, /* not decomposed, composed or reordered */
};

/* The tables of unicode_tables.c: alternating gap and length of runs; one a class bit. */
typedef struct {
    const uint16_t *step;
    size_t n;
} tti_uc_steps;
extern const tti_uc_steps tti_uc_classes[8];

/* count code points from first, stride apart, have their lower case delta away. */
typedef struct {
    uint32_t first;
    uint16_t count;
    uint8_t stride;
    int32_t delta;
} tti_uc_lower_run;
extern const tti_uc_lower_run tti_uc_lower_runs[];
extern const size_t tti_uc_n_lower_runs;

/* To a regular expression first..last look like `as`, which is as many bytes long. */
typedef struct {
    uint32_t first, last, as;
} tti_uc_stand_in;
extern const tti_uc_stand_in tti_uc_stand_ins[];
extern const size_t tti_uc_n_stand_ins;

/* Runs of characters that belong to the grapheme cluster before them, younger than Unicode 14. */
extern const uint32_t tti_uc_young_marks[][2];
extern const size_t tti_uc_n_young_marks;

void tti_uc_init(void); /* fills the class table; once a process is enough, more do no harm */
extern uint8_t tti_uc_table[0x110000];
static inline bool tti_uc_is(uint32_t cp, unsigned classes) { return tti_uc_table[cp] & classes; }

/* The lower case of a code point but U+0130, whose lower case is two. */
uint32_t tti_uc_lower(uint32_t cp);

/* Decodes one code point of valid UTF-8 at p, of *n bytes. */
static inline uint32_t tti_utf8_get(const uint8_t *p, size_t *n) {
    if (p[0] < 0x80) return *n = 1, p[0];
    if (p[0] < 0xE0) return *n = 2, (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
    if (p[0] < 0xF0) return *n = 3, (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    *n = 4;
    return (p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
}
/* The code point that ends just before p (p is past the start of the text). */
uint32_t tti_utf8_before(const uint8_t *p, size_t *n);
/* Encodes into p (room for 4) and returns the length. */
size_t tti_utf8_put(uint8_t *p, uint32_t cp);
static inline size_t tti_utf8_len(uint8_t lead) {
    return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}
/* The length of the longest valid code point at p, or 0 where it is not valid; *bad is then how
 * many bytes make one replacement character (the maximal subpart, as Python's errors="replace"). */
size_t tti_utf8_check(const uint8_t *p, size_t n, size_t *bad);
/* Whether all of it is valid; else *where is the first offending byte. */
bool tti_utf8_valid(const void *p, size_t n, size_t *where);
/* Appends bytes with U+FFFD for what is not valid. */
void tti_utf8_repair(tti_str *out, const void *p, size_t n);

#endif
