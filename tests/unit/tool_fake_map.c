// SPDX-License-Identifier: GPL-2.0
/*
 * For the command on fake machines (tests/unit/run-tool): a RAM file there is a file that holds its page
 * map, 8 bytes an entry, and PENUMBRA_MEM_MAP reads it. All other ioctls are the real ones.
 */
#include <errno.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "uapi/penumbra.h"

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	const struct penumbra_mem_map *map;
	va_list args;
	void *arg;
	ssize_t n;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (request != PENUMBRA_MEM_MAP)
		return __real_ioctl(fd, request, arg);
	map = arg;
	/* few at a time, as when it is interrupted */
	n = pread(fd, (void *)map->entries, (map->pages < 3 ? map->pages : 3) * 8, map->first * 8);
	return n < 0 ? -1 : n / 8;
}
