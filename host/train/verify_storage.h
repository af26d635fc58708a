// SPDX-License-Identifier: Apache-2.0
/* verify_storage.h - parity cases in other storage types than f32: which a case can have, and how
 * far they may take its results.
 *
 * The unit of a type is how far rounding to it takes a number: bf16 2^-8 and f16 2^-11 of itself;
 * q8 1/127, a step of its code, and nf4 0.152, half of its code's widest gap, of the largest of its
 * block. Let s be the root of the sum of squares of the units of weights, head, kept and keys
 * (where they differ from kept), and g the unit of gradients (0 but for full training: adapters
 * have theirs in f32); f32 and what lies as the case has it count 0. What is added to the case's
 * tolerances:
 *
 *   loss                          2 s
 *   logits                       10 s          of the largest
 *   gradients                    30 s + 2 g    of the tensor's largest
 *   all gradients                 8 s + g      root mean square, of theirs
 *   gradients that should be 0  0.2 s          of the largest of all tensors
 *   losses of the steps         0.02 + 10 s    of the largest; nothing where s is 0
 *   parameters after them       0.3 + 5 sqrt(s) + g, without the 0.3 where s is 0
 *                                              root mean square, of that of the tensor's movement
 *
 * No term is above 0.95: a result that is zero, or stays where it was, is off by 1 and fails. The
 * factors leave about three times the worst error of the cases in tests/cases, for parameters
 * twice. nf4 takes single tensors far, to 0.86 of the movement, whatever its arithmetic: its test
 * is rather that the case over the same numbers in f32 agrees as in f32
 * (tests/cli/verify_storage.sh). Recomputation adds nothing. */
#ifndef TT_HOST_TRAIN_VERIFY_STORAGE_H
#define TT_HOST_TRAIN_VERIFY_STORAGE_H

#include "host/train/budget.h"
#include "host/train/verify_case.h"

typedef struct {
    double loss, logits, grad, whole, zero, losses, moved; /* in the order of the table */
} tti_tolerances;
/* What d's types add; head must not be TTI_AS_STORED; weights that are count as the case's. */
tti_tolerances tti_dials_tolerances(const tti_dials *d);

/* Sets c's model options as d says, and d's method as c has it. model: the case's checkpoint.
 * *skipped: the case cannot have what d asks for (TT_E_ARG with the reason). */
tt_status tti_case_take_dials(tti_case *c, tti_dials *d, const char *model, bool *skipped);

#endif
