// SPDX-License-Identifier: Apache-2.0
/* regex.h - regular expressions in Oniguruma's Ruby syntax, as tokenizer.json has them, run by
 * PCRE2 with the `tokenizers` package's Unicode: categories and Han exactly, other scripts as far
 * as PCRE2 knows their characters. */
#ifndef TT_HOST_TOKENIZER_REGEX_H
#define TT_HOST_TOKENIZER_REGEX_H

#include "host/tokenizer/work.h"

typedef struct tti_regex tti_regex;

/* Gives *out (tti_regex_free). TT_E_UNSUPPORTED for syntax that has no counterpart in PCRE2. */
tt_status tti_regex_new(tti_regex **out, const char *pattern, size_t n);
/* A pattern that is a literal string. */
tt_status tti_regex_literal(tti_regex **out, const char *text, size_t n);
void tti_regex_free(tti_regex *r);
void tti_regex_match_data_free(void *match_data);

/* Replaces w->matches by the matches in n bytes of valid UTF-8 and what lies between them, all
 * positions counted from base. An empty text gives one empty stretch. */
tt_status tti_regex_all(const tti_regex *r, tti_work *w, const uint8_t *p, size_t n, size_t base);

/* Appends the pattern translated to PCRE2's syntax. */
tt_status tti_regex_translate(tti_str *out, const char *pattern, size_t n);

#endif
