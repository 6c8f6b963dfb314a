// SPDX-License-Identifier: GPL-2.0
/* Who has RAM files open, and the way to a file's contents; see ramfiles.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "libpenumbra/ramfiles.h"
#include "libpenumbra/text.h"

/* Folders in folders that are searched for a file's name. */
#define MAX_DEPTH	8

static bool is_ram(const struct ram_list *list, const struct stat *st)
{
	for (size_t i = 0; S_ISREG(st->st_mode) && i < list->nr; i++)
		if (list->mount[i].dev == st->st_dev)
			return true;
	return false;
}

static int add_user(struct ram_users *users, const struct ram_user *user)
{
	size_t room = users->room ? users->room * 2 : 16;
	struct ram_user *bigger;

	if (ram_user_of(users, user->dev, user->inode))
		return 0;
	if (users->nr == users->room) {
		bigger = realloc(users->user, room * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		users->user = bigger;
		users->room = room;
	}
	users->user[users->nr++] = *user;
	return 0;
}

/* The RAM files that one VM has open. */
static int read_descriptors(const struct hostfs *fs, const struct ram_list *list,
			    struct ram_users *users, struct ram_user *user)
{
	struct hostfs_names names;
	struct stat st;
	uint64_t fd;
	int ret = hostfs_list(fs, &names, "/proc/%d/fd", (int)user->pid);

	if (ret)
		return ret == -ENOMEM ? ret : 0;	/* gone, or not to be looked into */
	for (size_t i = 0; !ret && i < names.nr; i++) {
		if (text_parse_u64(names.name[i], &fd) || fd > INT_MAX ||
		    hostfs_stat(fs, &st, "/proc/%d/fd/%s", (int)user->pid, names.name[i]) ||
		    !is_ram(list, &st))
			continue;
		user->fd = fd;
		user->dev = st.st_dev;
		user->inode = st.st_ino;
		ret = add_user(users, user);
	}
	hostfs_names_free(&names);
	return ret;
}

static bool read_name(const struct hostfs *fs, struct ram_user *user)
{
	size_t len;
	char *text = hostfs_read_all(fs, &len, "/proc/%d/cmdline", (int)user->pid);
	bool named = text && text_name_of_cmdline(text, len, user->name, sizeof(user->name));

	free(text);
	return named;
}

int ram_users_read(const struct hostfs *fs, const struct ram_list *list, struct ram_users *users)
{
	struct hostfs_names names;
	struct ram_user user;
	uint64_t pid;
	int ret;

	*users = (struct ram_users){};
	ret = hostfs_list(fs, &names, "/proc");
	if (ret)
		return ret == -ENOMEM ? ret : 0;
	for (size_t i = 0; !ret && i < names.nr; i++) {
		if (text_parse_u64(names.name[i], &pid) || pid > INT32_MAX)
			continue;
		user = (struct ram_user){ .pid = pid };
		if (read_name(fs, &user))
			ret = read_descriptors(fs, list, users, &user);
	}
	hostfs_names_free(&names);
	if (ret)
		ram_users_free(users);
	return ret;
}

void ram_users_free(struct ram_users *users)
{
	free(users->user);
	*users = (struct ram_users){};
}

const struct ram_user *ram_user_of(const struct ram_users *users, dev_t dev, uint64_t inode)
{
	for (size_t i = 0; i < users->nr; i++)
		if (users->user[i].dev == dev && users->user[i].inode == inode)
			return &users->user[i];
	return NULL;
}

/* ---- opening ---- */

/* @fd if it is the file that is wanted, else it is closed: -ENOENT. */
static int only_if(int fd, dev_t dev, uint64_t inode)
{
	struct stat st;

	if (fd < 0)
		return fd;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_dev == dev && st.st_ino == inode)
		return fd;
	close(fd);
	return -ENOENT;
}

/* Searches the folder @dir, which it closes, and those below it on the same filesystem. */
static int open_below(int dir, dev_t dev, uint64_t inode, int depth)
{
	DIR *stream = dir < 0 ? NULL : fdopendir(dir);
	struct dirent *entry;
	int fd = -ENOENT;
	struct stat st;

	if (!stream && dir >= 0)
		close(dir);
	while (stream && fd == -ENOENT && (entry = readdir(stream))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
		    fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    st.st_dev != dev)
			continue;
		if (S_ISDIR(st.st_mode) && depth) {
			fd = open_below(openat(dirfd(stream), entry->d_name,
					       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
					dev, inode, depth - 1);
		} else if (S_ISREG(st.st_mode) && st.st_ino == inode) {
			fd = openat(dirfd(stream), entry->d_name,
				    O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
			fd = fd < 0 ? -errno : only_if(fd, dev, inode);
		}
	}
	if (stream)
		closedir(stream);
	return fd;
}

int ram_file_open(const struct hostfs *fs, const struct ram_mount *mount,
		  const struct ram_file *file, const struct ram_users *users)
{
	const struct ram_user *user = ram_user_of(users, mount->dev, file->inode);
	int fd = -ENOENT;

	if (user)
		fd = only_if(hostfs_open_file(fs, O_RDONLY, "/proc/%d/fd/%d", (int)user->pid,
					      user->fd), mount->dev, file->inode);
	if (fd < 0 && mount->path[0])
		fd = open_below(hostfs_open_file(fs, O_RDONLY | O_DIRECTORY, "%s", mount->path),
				mount->dev, file->inode, MAX_DEPTH);
	return fd;
}
