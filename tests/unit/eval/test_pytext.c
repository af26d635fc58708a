// SPDX-License-Identifier: Apache-2.0
/* Python's string methods; expected values are Python's own. */
#include <criterion/criterion.h>
#include <string.h>
#include "host/eval/pytext.h"

Test(pytext, methods) {
    static const struct {
        void (*apply)(tti_str *out, const char *s);
        const char *in, *out;
    } cases[] = {
        {tti_py_strip, " \t\xc2\xa0 a b\xe3\x80\x80\n", "a b"},
        {tti_py_strip, " \n", ""},
        {tti_py_capitalize, "\xc3\xa9\x43OLE De", "\xc3\x89\x63ole de"},
        {tti_py_capitalize, "", ""},
        {tti_py_without_brackets, "a [x] b [] c [[y] z] ]", "a  b  c  z] ]"},
        {tti_py_without_brackets, "a [x\ny] [z", "a [x\ny] [z"},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        tti_str s = {0};
        cases[i].apply(&s, cases[i].in);
        cr_expect_str_eq(s.p ? s.p : "", cases[i].out, "%s", cases[i].in);
        tti_str_free(&s);
    }
    tti_str s = {0};
    tti_py_replace(&s, "a   b    c", "  ", " ");
    cr_expect_str_eq(s.p, "a  b  c");
    tti_str_free(&s);
}

Test(pytext, counts) {
    cr_expect_eq(tti_py_len("na\xc3\xafve \xe4\xbd\xa0", 10), 7);
    cr_expect_eq(tti_py_words(" a  b ", 6), 4);
    cr_expect_eq(tti_py_words("", 0), 1);
    cr_expect_eq(tti_py_rstrip("a \xc2\xa0\n", 5), 1);
    cr_expect_eq(tti_py_lstrip("\n a", 3), 2);
}
