// SPDX-License-Identifier: Apache-2.0
/* test_schedule.c - learning rates against those of transformers' schedulers (5.x), step by step.
 */
#include <criterion/criterion.h>
#include <math.h>
#include "host/train/schedule.h"

Test(schedule, equals_transformers) {
    static const struct {
        tti_schedule_kind kind;
        uint64_t warmup, total;
        double rate[12];
    } cases[] = {
        {TTI_SCHEDULE_LINEAR,
         3,
         10,
         {0, 0.33333333333333331, 0.66666666666666663, 1, 0.8571428571428571, 0.7142857142857143,
          0.5714285714285714, 0.42857142857142855, 0.2857142857142857, 0.14285714285714285, 0, 0}},
        {TTI_SCHEDULE_COSINE,
         3,
         10,
         {0, 0.33333333333333331, 0.66666666666666663, 1, 0.95048443395120952, 0.8117449009293668,
          0.61126046697815717, 0.38873953302184283, 0.18825509907063326, 0.049515566048790483, 0,
          0.049515566048790427}},
        {TTI_SCHEDULE_CONSTANT,
         3,
         10,
         {0, 0.33333333333333331, 0.66666666666666663, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
        {TTI_SCHEDULE_LINEAR, 0, 4, {1, 0.75, 0.5, 0.25, 0, 0, 0, 0, 0, 0, 0, 0}},
        {TTI_SCHEDULE_COSINE,
         0,
         4,
         {1, 0.85355339059327373, 0.5, 0.14644660940672627, 0, 0.14644660940672616, 0.5,
          0.85355339059327373, 1, 0.85355339059327384, 0.5, 0.14644660940672666}},
        {TTI_SCHEDULE_LINEAR,
         12,
         10,
         {0, 0.083333333333333329, 0.16666666666666666, 0.25, 0.33333333333333331,
          0.41666666666666669, 0.5, 0.58333333333333337, 0.66666666666666663, 0.75,
          0.83333333333333337, 0.91666666666666663}},
        {TTI_SCHEDULE_LINEAR, 1, 1, {0}},
    };
    for (size_t i = 0; i < TT_COUNT(cases); i++) {
        tti_schedule s = {cases[i].kind, 2e-3, cases[i].warmup, cases[i].total};
        for (uint64_t step = 1; step <= 12; step++)
            cr_expect(fabs(tti_schedule_lr(&s, step) - 2e-3 * cases[i].rate[step - 1]) < 1e-17,
                      "case %zu, step %u: %g", i, (unsigned)step, tti_schedule_lr(&s, step));
    }
}

Test(schedule, warmup_is_a_count_or_a_share) {
    cr_expect_eq(tti_schedule_warmup(0, 100), 0);
    cr_expect_eq(tti_schedule_warmup(0.06, 48), 3, "2.88 is rounded up");
    cr_expect_eq(tti_schedule_warmup(0.5, 3), 2);
    cr_expect_eq(tti_schedule_warmup(1, 100), 1);
    cr_expect_eq(tti_schedule_warmup(17, 10), 17);
}
