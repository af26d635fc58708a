// SPDX-License-Identifier: Apache-2.0
/* tokentune/status.h - result codes and the message that explains the last failure.
 * Every call that can fail returns TT_OK (0) or a negative tt_status. */
#ifndef TOKENTUNE_STATUS_H
#define TOKENTUNE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TT_API __attribute__((visibility("default")))
#define TT_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define TT_API
#define TT_PRINTF(f, a)
#endif

/* X(name, value, text) */
#define TT_STATUS_MAP(X)                                       \
    X(OK, 0, "ok")                                             \
    X(E_ARG, -1, "invalid argument")                           \
    X(E_IO, -2, "file or system error")                        \
    X(E_FORMAT, -3, "malformed input")                         \
    X(E_SHAPE, -4, "shapes do not fit")                        \
    X(E_UNSUPPORTED, -5, "not supported")                      \
    X(E_NOMEM, -6, "out of host memory")                       \
    X(E_MEMORY, -7, "not enough device memory")                \
    X(E_DEVICE, -8, "no usable device or OpenCL failure")      \
    X(E_BUILD, -9, "kernel does not build")                    \
    X(E_DATA, -10, "unusable data")                            \
    X(E_NUMERIC, -11, "not a finite number")                   \
    X(E_INTERRUPTED, -12, "interrupted")                       \
    X(E_MISMATCH, -13, "results differ from what is expected") \
    X(E_INTERNAL, -14, "defect in tokentune")

typedef enum tt_status {
#define TT_STATUS_ENUM(name, value, text) TT_##name = value,
    TT_STATUS_MAP(TT_STATUS_ENUM)
#undef TT_STATUS_ENUM
} tt_status;

/* A constant English phrase for a code; never NULL. */
TT_API const char *tt_status_text(tt_status s);

/* The message of this thread's last failed call: names the thing, the value and the way out.
 * Never NULL; valid until this thread's next failing call. */
TT_API const char *tt_error(void);

#ifdef __cplusplus
}
#endif
#endif
