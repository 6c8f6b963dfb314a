// SPDX-License-Identifier: GPL-2.0
/* setgroup PATH NAME: puts a RAM file, or what will be created in a directory, into a group. */
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	if (setxattr(argv[1], "user.penumbra.group", argv[2], strlen(argv[2]), 0)) {
		perror(argv[1]);
		return 1;
	}
	return 0;
}
