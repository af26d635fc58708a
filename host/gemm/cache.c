// SPDX-License-Identifier: Apache-2.0
/* cache.c - choices kept per user and device: <cache>/gemm/<hash of the device's key>.txt
 *   tokentune gemm 3
 *   device <key>
 *   ...choices (text.c)...
 *   end <hash of all before> */
#include "host/gemm/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>
#include "host/core/file.h"

#define MAX_FILE ((size_t)1 << 20)

static uint64_t hash_of(const char *p, size_t n) { /* FNV-1a */
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)p[i]) * 0x100000001b3u;
    return h;
}

tt_status tti_gemm_cache_path(char **path, const tti_device *d) {
    *path = NULL;
    char *root = NULL, *dir = NULL;
    tti_str name = {0};
    tt_status s = tti_cache_dir(&root);
    if (s == TT_E_NOMEM) return s;
    if (s != TT_OK) {
        tti_debug("choices of matrix products are not kept: %s", tt_error());
        return TT_OK;
    }
    dir = tti_path_join(root, "gemm");
    TT_GO(dir ? TT_OK : TT_E_NOMEM);
    if (tti_mkdirs(dir) != TT_OK) {
        tti_debug("choices of matrix products are not kept: %s", tt_error());
        goto done;
    }
    const char *key = tti_device_key(d);
    tti_str_printf(&name, "%016" PRIx64 ".txt", hash_of(key, strlen(key)));
    TT_GO(name.status);
    *path = tti_path_join(dir, name.p);
    TT_GO(*path ? TT_OK : TT_E_NOMEM);
done:
    tti_str_free(&name);
    tti_free(dir);
    tti_free(root);
    return s;
}

/* Another process measures for seconds at most; one that hangs must not hang us. */
int tti_gemm_cache_lock(const char *path) {
    enum { WAIT_MS = 60000, STEP_MS = 20 };
    if (!path) return -1;
    tti_str name = {0};
    tti_str_printf(&name, "%s.lock", path);
    if (name.status != TT_OK) return -1;
    int fd = open(name.p, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (int waited = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0; waited += STEP_MS) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || waited >= WAIT_MS) {
            tti_warn("%s: cannot lock it (%s); this run measures for itself", name.p,
                     strerror(errno));
            close(fd);
            fd = -1;
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
    }
    tti_str_free(&name);
    return fd;
}

void tti_gemm_cache_unlock(int fd) {
    if (fd >= 0) close(fd);
}

static void header(tti_str *s, const char *key) {
    tti_str_printf(s, "tokentune gemm 3\ndevice %s\n", key);
}

/* Finds the choices between header and end line and cuts the text after them; NULL when the file is
 * not what was written for this device. */
static const char *body(char *text, size_t size, const char *key) {
    const char *found = NULL;
    tti_str head = {0}, end = {0};
    header(&head, key);
    if (head.status == TT_OK && size >= head.len && memcmp(text, head.p, head.len) == 0 &&
        strlen(text) == size) {
        char *last = NULL;
        for (char *p = text + head.len; (p = strstr(p, "end ")); p++)
            if (p[-1] == '\n') last = p;
        if (last) {
            tti_str_printf(&end, "end %016" PRIx64 "\n", hash_of(text, (size_t)(last - text)));
            if (end.status == TT_OK && strcmp(last, end.p) == 0) {
                *last = 0;
                found = text + head.len;
            }
        }
    }
    tti_str_free(&head);
    tti_str_free(&end);
    return found;
}

void tti_gemm_cache_read(tti_gemm_choices *c, const char *path, const char *device_key) {
    if (!path || !tti_file_exists(path)) return;
    char *text;
    size_t size;
    if (tti_file_read(&text, &size, path, MAX_FILE) != TT_OK) {
        tti_debug("%s: %s", path, tt_error());
        return;
    }
    tti_gemm_choices read = {0};
    const char *lines = body(text, size, device_key);
    bool good = lines && tti_gemm_text_read(&read, lines) == TT_OK;
    for (size_t i = 0; good && i < read.n; i++) good = tti_gemm_choices_put(c, &read.p[i]) == TT_OK;
    if (good)
        for (int i = 0; i < TTI_GEMM_PROVIDERS; i++) c->out[i] |= read.out[i];
    else
        tti_debug("%s: not valid for this device or program; measuring again", path);
    tti_gemm_choices_clear(&read);
    tti_free(text);
}

void tti_gemm_cache_write(const tti_gemm_choices *c, const char *path, const char *device_key) {
    if (!path) return;
    tti_str s = {0};
    header(&s, device_key);
    tti_gemm_text_write(&s, c, true);
    if (s.status == TT_OK) {
        uint64_t h = hash_of(s.p, s.len);
        tti_str_printf(&s, "end %016" PRIx64 "\n", h);
    }
    if (s.status != TT_OK || tti_file_write(path, s.p, s.len) != TT_OK)
        tti_debug("%s is not written: %s", path, tt_error());
    tti_str_free(&s);
}
