/* SPDX-License-Identifier: GPL-2.0 */
/* Making RAM files, and filling them from others. */
#ifndef LIBPENUMBRA_RAMCOPY_H
#define LIBPENUMBRA_RAMCOPY_H

#include <stdbool.h>
#include <stdint.h>
#include "libpenumbra/vmconf.h"

/*
 * A new, empty RAM file as @ram says: a descriptor, that programs started from here get as well, or
 * -errno. Its file stays if @ram->path names it; else it has no name and goes with its
 * last user. While the descriptor is open in some process a file with a name is locked.
 *
 * A file there was with the name is removed first, but -EDEADLK: it is the file open at @source
 * (-1: none), from which the new one is to be filled; -EBUSY: a VM uses it; -EEXIST: it has
 * contents, and not @replace. *@step: what went wrong, in words for the user ("create", "set the
 * group of", ...).
 */
int ram_create(const struct vm_ram *ram, const char *vm_name, int source, bool replace,
	       const char **step);
/* Of no use after all: closes it, and removes its name. */
void ram_discard(const struct vm_ram *ram, int fd);

/* "/proc/self/fd/N", what a program that got the descriptor can open. @buf of 32 bytes. */
char *ram_fd_path(char *buf, int fd);

/*
 * All of @from into the empty file @to: by reference where both lie on one filesystem that can (*@cloned),
 * else its data are copied and what is zero is left out. 0 or -errno.
 */
int ram_copy(int to, int from, bool *cloned);

/* By reference, the whole file: -EOPNOTSUPP and so on; -ENOSPC, and @to may have a part of it. */
int ram_clone(int to, int from);
/* Would that succeed? @to, an empty file, is empty afterwards. */
int ram_can_clone(int to, int from);

bool ram_same_size(int a, int b);

#endif
