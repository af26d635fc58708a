// SPDX-License-Identifier: Apache-2.0
/* template_jinja.h - the part of the Jinja language that chat templates are written in, run as
 * transformers runs it: blocks trimmed, one newline at the end of the source dropped.
 *
 * Strings remember which of their bytes come from an assistant's message, through joining, cutting
 * and stripping; so the places of answers in the result are known, whatever the template is. */
#ifndef TT_HOST_DATA_TEMPLATE_JINJA_H
#define TT_HOST_DATA_TEMPLATE_JINJA_H

#include "host/data/template.h"

typedef struct tti_jinja tti_jinja;

/* Reads the source (copied); name stands for it in messages: "name:line: ..". Gives *out.
 * TT_E_FORMAT: not Jinja. TT_E_UNSUPPORTED: a statement that is not known. */
tt_status tti_jinja_parse(tti_jinja **out, const char *source, size_t n, const char *name);
void tti_jinja_free(tti_jinja *j); /* NULL is a no-op */

/* Appends the text, and in out->answer what of it comes from assistant messages. TT_E_DATA: the
 * template raised an exception; TT_E_UNSUPPORTED: something in it that is not known; TT_E_FORMAT:
 * any other failure, among them results beyond bounds of size and work. */
tt_status tti_jinja_render(const tti_jinja *j, const tti_message *m, size_t n, bool prompt,
                           const char *bos, const char *eos, tti_rendered *out);

#endif
