// SPDX-License-Identifier: Apache-2.0
/* byte_level.c - GPT-2's way to write any byte as a printable character. */
#include "host/tokenizer/normalize.h"

/* Printable bytes stand for themselves; the others, in order, for U+0100 and on. */
uint32_t tti_byte_char(uint8_t b) {
    if (b <= 0x20) return 0x100u + b;
    if (b >= 0x7F && b <= 0xA0) return 0x121u + (b - 0x7Fu);
    return b == 0xAD ? 0x143u : b;
}

int tti_char_byte(uint32_t cp) {
    if (cp > 0x143) return -1;
    if (cp == 0x143) return 0xAD;
    if (cp >= 0x121) return (int)(cp - 0x121 + 0x7F);
    if (cp >= 0x100) return (int)(cp - 0x100);
    return tti_byte_char((uint8_t)cp) == cp ? (int)cp : -1;
}

void tti_byte_level(tti_text *to, const tti_text *from, size_t begin, size_t end) {
    if (!tti_text_room(to, 2 * (end - begin))) return;
    for (size_t i = begin; i < end; i++) {
        uint8_t b = from->p[i];
        tti_span at = from->at[i];
        if (b > 0x20 && b < 0x7F) {
            to->p[to->n] = b;
            to->at[to->n++] = at;
        } else {
            tti_text_put(to, tti_byte_char(b), at);
        }
    }
}
