// SPDX-License-Identifier: Apache-2.0
/* fuzz_file.h - bytes as a file, for readers that take a path. */
#ifndef TT_TESTS_FUZZ_FUZZ_FILE_H
#define TT_TESTS_FUZZ_FUZZ_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Gives a file in memory, to be closed, and its name; -1 where the system has none. */
static inline int fuzz_file(char path[64], const uint8_t *data, size_t size) {
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0) return -1;
    if (write(fd, data, size) != (ssize_t)size) {
        close(fd);
        return -1;
    }
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

#endif
