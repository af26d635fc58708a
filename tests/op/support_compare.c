// SPDX-License-Identifier: Apache-2.0
/* support_compare.c - judges a case: values, gradients, repeatability, writes behind the end. */
#include "tests/op/support_run.h"

#include <math.h>
#include <string.h>

enum { MAX_PROBES = 120 }; /* elements of a gradient that are checked by differences */

static void same_bits(const td_run *t, const char *what, const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0) {
            cr_expect(false, "%s (wg %d, vw %d): %s[%zu] is %.9g, then %.9g in a second run",
                      t->c->why, t->wg, t->vw, what, i, (double)a[i], (double)b[i]);
            return;
        }
}

static void close_to(const td_run *t, const char *what, size_t i, double got, double want,
                     double tol) {
    cr_expect(fabs(got - want) <= tol * (1 + fabs(want)),
              "%s (wg %d, vw %d): %s[%zu] is %.9g, must be %.9g", t->c->why, t->wg, t->vw, what, i,
              got, want);
}

static void canary_lives(td_run *t, const char *what, cl_mem m, size_t count) {
    float *p = td_fetch(t, m, count + TD_CANARIES);
    for (size_t i = count; i < count + TD_CANARIES; i++)
        if (p[i] != TD_CANARY) {
            cr_expect(false, "%s (wg %d, vw %d): %s written %zu floats behind its end", t->c->why,
                      t->wg, t->vw, what, i - count + 1);
            break;
        }
    tti_free(p);
}

/* ---- the reference ---- */

typedef struct {
    double *v[TD_MAX_IN], *y;
    size_t count[TD_MAX_IN], ycount;
} reference;

static double scalar(const td_run *t, reference *r) {
    t->c->ref(r->y, (const double *const *)r->v, t->c, &t->f);
    double sum = 0;
    for (size_t i = 0; i < r->ycount; i++) sum += r->y[i] * (t->is_loss ? 1 : (double)t->rhost[i]);
    return sum;
}

static void reference_make(const td_run *t, reference *r) {
    memset(r, 0, sizeof *r);
    r->ycount = t->yrows * t->ycols;
    r->y = tti_calloc(r->ycount + 1, sizeof(double));
    for (int i = 0; i < t->nin; i++) {
        r->count[i] = t->rows[i] * t->c->in[i].cols;
        r->v[i] = tti_calloc(r->count[i] + 1, sizeof(double));
        for (size_t k = 0; k < r->count[i]; k++) r->v[i][k] = t->host[i][k];
    }
    t->c->ref(r->y, (const double *const *)r->v, t->c, &t->f);
}

static void reference_free(const td_run *t, reference *r) {
    tti_free(r->y);
    for (int i = 0; i < t->nin; i++) tti_free(r->v[i]);
}

/* Where element k of the gradient buffer of input i lies in the input. */
static size_t grad_to_input(const td_run *t, int i, size_t k) {
    const size_t cols = t->c->in[i].cols;
    if (!t->c->in[i].sparse) return k;
    return (size_t)t->f.slot_ids[k / cols] * cols + k % cols;
}

static void check_gradient(td_run *t, reference *r, int i, const float *grad, size_t count) {
    char what[16];
    snprintf(what, sizeof what, "d in%d", i);
    const size_t step = count <= MAX_PROBES ? 1 : count / MAX_PROBES | 1;
    for (size_t k = 0; k < count; k += step) {
        const size_t at = grad_to_input(t, i, k);
        const double x = r->v[i][at], h = 1e-5;
        r->v[i][at] = x + h;
        const double up = scalar(t, r);
        r->v[i][at] = x - h;
        const double down = scalar(t, r);
        r->v[i][at] = x;
        close_to(t, what, k, (double)grad[k], (up - down) / (2 * h), t->c->grad_tol);
    }
}

/* ---- one shape of kernels ---- */

typedef struct {
    float *y, *grad[TD_MAX_IN];
    size_t count[TD_MAX_IN];
} result;

static void take(td_run *t, result *out, bool planned) {
    const char *c_why = t->c->why;
    const size_t n = t->yrows * t->ycols;
    if (planned && !t->is_loss) {
        out->y = tti_malloc((n + 1) * sizeof *out->y);
        OK(tti_exec_read(t->e, t->y, out->y, n));
    } else {
        out->y = td_fetch(t, t->ymem, n);
    }
    for (int i = 0; i < t->nin; i++) {
        out->grad[i] = NULL;
        const size_t rows = t->c->in[i].sparse ? t->f.feed.rows.n[TTI_ROWS_STEP_UNIQ] : t->rows[i];
        out->count[i] = rows * t->c->in[i].cols;
        if (t->grad[i]) out->grad[i] = td_fetch(t, t->grad[i], out->count[i]);
    }
}

static void drop(const td_run *t, result *r) {
    tti_free(r->y);
    for (int i = 0; i < t->nin; i++) tti_free(r->grad[i]);
}

void td_compare(td_run *t) {
    result a, b, twice;
    td_run_once(t, 0);
    take(t, &a, true); /* y where the plan put it, perhaps in place of an input */
    if (!t->is_loss) tti_exec_bind(t->e, t->y, t->ymem);
    td_run_once(t, 0);
    take(t, &b, false);
    td_run_once(t, 1);
    take(t, &twice, false);
    const size_t n = t->yrows * t->ycols;
    canary_lives(t, "y", t->ymem, n);
    same_bits(t, "y", a.y, b.y, n);
    reference r;
    reference_make(t, &r);
    for (size_t k = 0; k < n; k++) close_to(t, "y", k, (double)a.y[k], r.y[k], t->c->tol);
    for (int i = 0; i < t->nin; i++) {
        if (!a.grad[i]) continue;
        canary_lives(t, "a gradient", t->grad[i], td_grad_rows(t, i) * t->c->in[i].cols);
        same_bits(t, "a gradient", a.grad[i], b.grad[i], a.count[i]);
        check_gradient(t, &r, i, a.grad[i], a.count[i]);
        const bool adds = t->c->in[i].kind == TTI_ROWS_CONST; /* sources of rows overwrite */
        for (size_t k = 0; adds && k < a.count[i]; k++)
            close_to(t, "a gradient of two batches", k, (double)twice.grad[i][k],
                     2.0 * (double)a.grad[i][k], 1e-5);
    }
    reference_free(t, &r);
    drop(t, &a);
    drop(t, &b);
    drop(t, &twice);
}
