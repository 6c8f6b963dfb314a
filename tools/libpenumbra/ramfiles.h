/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RAM files: the mounts of the penumbra filesystem and the files in them, from
 * /sys/fs/penumbra (docs/abi.md), where they are mounted, and who has them open.
 *
 * All counts of pages are of 4 KiB.
 */
#ifndef LIBPENUMBRA_RAMFILES_H
#define LIBPENUMBRA_RAMFILES_H

#include <limits.h>
#include "libpenumbra/hostfs.h"

#define RAM_DIR		"/sys/fs/penumbra"
#define RAM_PAGE_BYTES	4096u
#define RAM_FSTYPE	"penumbra"
/* Where the command looks for a mount when nothing else is said. */
#define RAM_MOUNT	"/dev/penumbra"

/* The numbers of a file; each a file of that name in sysfs. */
#define RAM_FILE_NUMBERS(X) \
	X(size_pages) X(resident_pages) X(private_pages) X(shared_pages) X(proportional_pages) \
	X(zero_pages) X(punched_pages) X(cow_breaks) X(zero_breaks) X(merged_pages) \
	X(pinned_pages) X(huge_frames) X(swapped_pages)

/* Of a mount's scanner, below scan/. */
#define RAM_SCAN_NUMBERS(X) \
	X(run) X(pages_per_second) X(cpu_percent) X(dissolve_pages) X(rounds) X(visited_pages) \
	X(hashed_pages) X(merged_pages) X(zero_pages) X(protected_pages) X(skipped_pages) \
	X(dissolved_frames) X(gathered_frames) X(cpu_ns) X(boost) X(estimate_pages)

/* Of a mount itself. */
#define RAM_MOUNT_NUMBERS(X) \
	X(size_pages) X(frame_pages) X(saved_pages) X(metadata_bytes) X(huge)

#define RAM_RESERVE_NUMBERS(X) X(target_pages) X(pages) X(wait_ms)

#define RAM_MEMBER(name) uint64_t name;

/* A number that could not be read: this user may not, or this version of the module has it not. */
#define RAM_UNKNOWN	UINT64_MAX

struct ram_file {
	uint64_t inode;
	char *name;		/* its path in the mount; NULL: not to be had */
	int name_err;		/* why, -errno */
	bool hidden;		/* this user may not read some of its numbers */
	char group[64];		/* "": none, or not to be read */
	char share[16];		/* "group" or "never" */
	RAM_FILE_NUMBERS(RAM_MEMBER)
};

struct ram_scan {
	char order[16];
	RAM_SCAN_NUMBERS(RAM_MEMBER)
};

struct ram_reserve {
	char state[8];		/* "ok", "low", "gone" */
	RAM_RESERVE_NUMBERS(RAM_MEMBER)
};

struct ram_mount {
	dev_t dev;
	char id[24];		/* "0:42" */
	char path[PATH_MAX];	/* "" when it is not mounted in sight of this process */
	RAM_MOUNT_NUMBERS(RAM_MEMBER)
	struct ram_scan scan;
	struct ram_reserve reserve;
	struct ram_file *file;	/* by inode */
	size_t nr;
};

struct ram_list {
	struct ram_mount *mount;	/* by id */
	size_t nr;
};

/*
 * All mounts with their files. -ENOENT: the module is not loaded. A mount or a file that goes
 * meanwhile is left out; a number that could not be read is RAM_UNKNOWN.
 */
int ram_list_read(const struct hostfs *fs, struct ram_list *list);
void ram_list_free(struct ram_list *list);

/*
 * The device of the penumbra filesystem whose mount point @path is: 0, or -ENOENT if something
 * else, or nothing, is mounted there.
 */
int ram_mount_at(const struct hostfs *fs, const char *path, dev_t *dev);

/* The id of the mount that the file or folder @path is on, or would be: 0 or -ENOENT. */
int ram_mount_of(const struct hostfs *fs, const char *path, char *id, size_t size);

/*
 * Its name for people: without the first "/"; "(no name)" if it has none, or none any more, "(long
 * name)" for one of more characters than the kernel tells, "-" if it is not for this user to read.
 */
const char *ram_file_label(const struct ram_file *file);

/* ---- who has them open ---- */

/* A VM, that is, a process whose command line has a -name, with a RAM file open. */
struct ram_user {
	dev_t dev;
	uint64_t inode;
	pid_t pid;
	int fd;			/* the process's */
	char name[64];		/* of the VM */
};

struct ram_users {
	struct ram_user *user;	/* by file; one for each, that with the lowest pid */
	size_t nr, room;
};

/* -ENOMEM or 0. Processes that this one may not look into are not seen. */
int ram_users_read(const struct hostfs *fs, const struct ram_list *list, struct ram_users *users);
void ram_users_free(struct ram_users *users);

/* Or NULL. */
const struct ram_user *ram_user_of(const struct ram_users *users, dev_t dev, uint64_t inode);

/*
 * Calls @each, in no order, once for every file of @mount that this user can read: its number
 * in the mount's list, and a descriptor that is closed afterwards. Files are reached through those
 * who have them open, and all others by one walk over the names there are. Ends early, and
 * returns what @each returned, if that is not 0. -ENOMEM, or 0.
 */
int ram_files_each(const struct hostfs *fs, const struct ram_mount *mount,
		   const struct ram_users *users, int (*each)(size_t file, int fd, void *arg),
		   void *arg);

#endif
