// SPDX-License-Identifier: Apache-2.0
/* test_verify_storage.c - the tolerances that storage adds: none where nothing is rounded, more for
 * coarser types, and never so much that a result that is zero would do. */
#include <criterion/criterion.h>
#include <math.h>
#include "host/train/verify_storage.h"

static tti_dials f32(void) {
    tti_dials d = tti_dials_defaults();
    d.head = TTI_F32;
    return d;
}

static double sum(const tti_tolerances *t) {
    return t->loss + t->logits + t->grad + t->whole + t->zero + t->losses + t->moved;
}

static bool below_one(const tti_tolerances *t) {
    const double v[] = {t->loss, t->logits, t->grad, t->whole, t->zero, t->losses, t->moved};
    for (size_t i = 0; i < TT_COUNT(v); i++)
        if (!(v[i] >= 0 && v[i] <= 0.95)) return false;
    return true;
}

Test(verify_storage, nothing_rounded_adds_nothing) {
    tti_dials d = f32();
    d.recompute = TTI_RECOMPUTE_BLOCK;
    d.recompute_keys = true;
    tti_tolerances t = tti_dials_tolerances(&d);
    cr_expect_eq(sum(&t), 0);
    d.method = TTI_CONFIG_LORA;
    d.gradients = TTI_BF16; /* adapters have theirs in f32 */
    t = tti_dials_tolerances(&d);
    cr_expect_eq(sum(&t), 0);
}

Test(verify_storage, coarser_types_add_more) {
    static const tti_dtype types[] = {TTI_F16, TTI_BF16, TTI_Q8, TTI_NF4};
    double last[2] = {0, 0};
    for (size_t i = 0; i < TT_COUNT(types); i++) {
        tti_dials d[2] = {f32(), f32()};
        d[0].weights = d[1].head = (int)types[i];
        for (size_t k = 0; k < 2; k++) {
            const tti_tolerances t = tti_dials_tolerances(&d[k]);
            cr_expect(below_one(&t), "%s", tti_dtype_name(types[i]));
            cr_expect_gt(sum(&t), last[k], "%s", tti_dtype_name(types[i]));
            last[k] = sum(&t);
        }
    }
}

Test(verify_storage, several_types_add_up_as_squares) {
    tti_dials a = f32(), b = f32();
    a.weights = a.head = a.keys = TTI_F16;
    a.kept = TTI_F16; /* keys as kept count once */
    b.weights = TTI_F16;
    const tti_tolerances t = tti_dials_tolerances(&a), one = tti_dials_tolerances(&b);
    cr_expect_float_eq(t.grad, sqrt(3) * one.grad, 1e-9);
    a.weights = a.head = a.keys = TTI_NF4;
    const tti_tolerances most = tti_dials_tolerances(&a);
    cr_expect(below_one(&most));
}

Test(verify_storage, gradients_in_fewer_bits_leave_the_forward_pass) {
    tti_dials d = f32();
    d.gradients = TTI_F16;
    const tti_tolerances t = tti_dials_tolerances(&d);
    cr_expect_eq(t.loss + t.logits + t.zero + t.losses, 0);
    cr_expect(t.grad > 0 && t.whole > 0 && t.moved > 0 && below_one(&t));
}
