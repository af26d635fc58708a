// SPDX-License-Identifier: Apache-2.0
/* pytext.h - what Python's strings do to text, where published scores depend on it. All text is
 * UTF-8. */
#ifndef TT_HOST_EVAL_PYTEXT_H
#define TT_HOST_EVAL_PYTEXT_H

#include "host/core/core.h"

size_t tti_py_len(const char *s, size_t n);    /* len(s): characters */
size_t tti_py_rstrip(const char *s, size_t n); /* bytes of s.rstrip() */
size_t tti_py_lstrip(const char *s, size_t n); /* bytes that s.lstrip() takes away */
/* len(re.split(r"\s+", s)) */
size_t tti_py_words(const char *s, size_t n);
/* Appends s.strip(), s.capitalize(). */
void tti_py_strip(tti_str *out, const char *s);
void tti_py_capitalize(tti_str *out, const char *s);
/* Appends s.replace(from, to). from is not empty. */
void tti_py_replace(tti_str *out, const char *s, const char *from, const char *to);
/* Appends re.sub(r"\[.*?\]", "", s). */
void tti_py_without_brackets(tti_str *out, const char *s);

#endif
