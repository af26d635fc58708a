// SPDX-License-Identifier: Apache-2.0
/* support_run.h - one case with one shape of kernels, as the files of the harness share it. */
#ifndef TT_TESTS_OP_SUPPORT_RUN_H
#define TT_TESTS_OP_SUPPORT_RUN_H

#include "tests/op/support_op.h"

#define TD_CANARY (-12345.678f)
enum { TD_CANARIES = 64 };

typedef struct {
    td_env *env;
    const td_case *c;
    td_feed f;
    int nin, wg, vw;
    tti_graph *g;
    tti_plan *plan;
    tti_exec *e;
    tti_val param[TD_MAX_IN], source[TD_MAX_IN], y, r;
    cl_mem mem[TD_MAX_IN], grad[TD_MAX_IN], ymem, rmem;
    float *host[TD_MAX_IN], *rhost; /* values, weights of y in the scalar that is differentiated */
    size_t rows[TD_MAX_IN], yrows, ycols;
    bool is_loss;
} td_run;

#define OK(expr) cr_assert_eq((expr), TT_OK, "%s: %s", c_why, tt_error())

/* Poisons what the graph is to write, runs it, waits. */
void td_run_once(td_run *t, unsigned micro);
/* The first count floats of m (tti_free). */
float *td_fetch(td_run *t, cl_mem m, size_t count);
/* Rows of the gradient buffer of input i. */
size_t td_grad_rows(const td_run *t, int i);
/* Runs and judges. */
void td_compare(td_run *t);

#endif
