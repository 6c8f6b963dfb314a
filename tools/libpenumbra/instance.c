// SPDX-License-Identifier: GPL-2.0
/* The files of a VM that "penumbra run" started; see instance.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "libpenumbra/instance.h"

const char *instance_dir(void)
{
	const char *dir = getenv("PENUMBRA_RUN_DIR");

	return dir && *dir ? dir : "/run/penumbra";
}

int instance_path(char *buf, size_t size, const char *name, const char *suffix)
{
	int n = snprintf(buf, size, "%s/%s.%s", instance_dir(), name, suffix);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* The lock is the truth: the number in the file may be of a process long gone. */
pid_t instance_pid(const char *name)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[PATH_MAX];
	pid_t pid = 0;
	int fd;

	if (instance_path(path, sizeof(path), name, "pid"))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return 0;
	if (!fcntl(fd, F_GETLK, &lock) && lock.l_type != F_UNLCK)
		pid = lock.l_pid;
	close(fd);
	return pid;
}
