/* SPDX-License-Identifier: GPL-2.0 */
/* Memory functions that compilers expect to be there, for 32-bit and 64-bit guests. */
#ifndef TESTS_GUEST_BARE_BYTES_H
#define TESTS_GUEST_BARE_BYTES_H

#include <stddef.h>

void *memset(void *p, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#endif
