// SPDX-License-Identifier: Apache-2.0
/* gemm.h - matrix products on a device: one call, several providers, a measured choice.
 *   C[m,n] = act(alpha * op(A)[m,k] op(B)[k,n] + bias[n] + residual[m,n])       (accumulate false)
 *   C[m,n] += alpha * op(A) op(B)                                               (accumulate true)
 * Row-major f32. op(A) is A[m,k] with leading dimension lda, or, when ta, A stored [k,m]; op(B) is
 * B[k,n], or, when tb, B stored [n,k] (a linear layer's weight [out,in] in the forward pass).
 * B may be stored in another type (shape.bt): f16, bf16, or quantised as storage.h lays it out. It
 * is read tile by tile and multiplied as f32: never is there a copy of more than a panel of it
 * (TTI_GEMM_PANEL bytes of workspace), and the result has the bits of the same provider on B
 * dequantised (clblast multiplies fewer columns at a time then, and may choose another kernel).
 * The provider `tile` adds the k products of an element in order, one fma after another, whatever
 * the tile, the number of rows or the chunking: its bits depend on the operands alone. The provider
 * `vec`, for few rows, keeps several sums an element: a row's bits then depend on the operands and
 * on the device's vectors, not on the number of rows. */
#ifndef TT_HOST_GEMM_GEMM_H
#define TT_HOST_GEMM_GEMM_H

#include "host/device/device.h"
#include "host/storage/storage.h"

enum { TTI_GEMM_PANEL = 4 << 20 };

typedef enum {
    TTI_ACT_NONE,
    TTI_ACT_GELU,
    TTI_ACT_GELU_TANH,
    TTI_ACT_RELU,
    TTI_ACT_SILU,
    TTI_ACT_TANH
} tti_act;

typedef struct {
    bool ta, tb;
    size_t m, n, k;
    tti_dtype bt; /* of B; F32 is 0 */
} tti_gemm_shape;

typedef struct {
    tti_gemm_shape shape; /* any of m, n, k may be 0 or 1; k = 0 gives act(bias + residual) */
    size_t lda, ldb, ldc; /* in elements; ldc is also the residual's */
    float alpha;
    bool accumulate; /* then bias and residual are NULL and act is none */
    tti_act act;
    cl_mem a, b, c, bias, residual; /* bias and residual may be NULL; residual may be c itself */
    /* First elements of the operands within their buffers (c_at: the residual's too): columns of a
     * wider matrix, rows of a longer one. b_at: of a B that is f32, else 0. */
    size_t a_at, b_at, c_at, bias_at;
    const tti_layout *b_layout; /* of a B that is not f32: the whole of b, rows of ldb elements */
} tti_gemm_call;

typedef struct tti_gemm tti_gemm; /* the service of one device */

/* force: NULL or "auto" for the measured choice, else "clblast" or "tile" (other names: TT_E_ARG
 * with the list). TT_GEMM in the environment is read when force is NULL. Borrows d. Gives *out. */
tt_status tti_gemm_new(tti_gemm **out, tti_device *d, const char *force);
void tti_gemm_free(tti_gemm *g);

/* What a call site will use for all its calls: chosen once from its largest shape, so that a
 * varying number of rows never changes the way of computing (and so the bits). */
typedef struct {
    int provider, variant;
    size_t
        workspace; /* bytes of scratch that any call up to the planned shape may need; may be 0 */
    tti_gemm_shape largest;
} tti_gemm_plan;

/* Chooses for shape (the largest m, n, k of the call site). With the choice unknown for this
 * device and shape class: measures candidates (comparing their outputs first) within about a second
 * a class and keeps the result in the per-user cache, under a lock shared by processes. */
tt_status tti_gemm_choose(tti_gemm *g, const tti_gemm_shape *largest, tti_gemm_plan *plan);

/* Enqueues. workspace may be NULL when plan->workspace is 0. Shapes over the planned one: TT_E_ARG.
 */
tt_status tti_gemm_run(tti_gemm *g, const tti_gemm_plan *plan, const tti_gemm_call *call,
                       cl_mem workspace);

/* Measures every class again for the shapes given (n may be 0: a standard set), writes the cache,
 * prints a line each to `report` when not NULL. */
tt_status tti_gemm_tune(tti_gemm *g, const tti_gemm_shape *shapes, size_t n, FILE *report);

/* What measuring a shape's class found. */
typedef struct {
    char name[32];   /* as tti_gemm_plan_name */
    double gflops;   /* 0: not usable here, or not pursued */
    const char *why; /* static; when gflops is 0 or the measurement was cut short, else "" */
    bool chosen;
} tti_gemm_result;
#define TTI_GEMM_RESULTS 16
/* Measures the class of one shape again, keeps the choice in the cache, fills r[0..*n). */
tt_status tti_gemm_tune_one(tti_gemm *g, const tti_gemm_shape *shape,
                            tti_gemm_result r[TTI_GEMM_RESULTS], size_t *n);
/* The standard set that tti_gemm_tune measures without shapes; sets *n. Static. */
const tti_gemm_shape *tti_gemm_standard_shapes(size_t *n);
/* "nt 1024x512x512": op(A), op(B) (and its type: "nt-nf4 ...") and the class's m, n, k, each up to
 * the power of two named. */
void tti_gemm_class_name(char out[64], const tti_gemm_shape *shape);

/* "tile 6x2x16" or "clblast": for reports; static or owned by g. */
const char *tti_gemm_plan_name(const tti_gemm *g, const tti_gemm_plan *plan);

/* The choices of this run as one text (class per line), and their restoring: a resumed run computes
 * with the choices of the run that wrote the checkpoint. Gives *text (tti_free). */
tt_status tti_gemm_choices_save(const tti_gemm *g, char **text);
tt_status tti_gemm_choices_load(tti_gemm *g, const char *text);

#endif
