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

/* Folders in folders that are searched for files: each takes a descriptor. */
#define MAX_DEPTH	500

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

static int compare_files(const struct ram_user *a, const struct ram_user *b)
{
	if (a->dev != b->dev)
		return a->dev < b->dev ? -1 : 1;
	return a->inode < b->inode ? -1 : a->inode > b->inode;
}

static int compare_users(const void *x, const void *y)
{
	const struct ram_user *a = x, *b = y;
	int diff = compare_files(a, b);

	if (diff)
		return diff;
	return a->pid != b->pid ? (a->pid < b->pid ? -1 : 1) : a->fd < b->fd ? -1 : a->fd > b->fd;
}

/* Sorts them, and leaves one for each file. */
static void keep_first(struct ram_users *users)
{
	size_t nr = 0;

	if (users->nr)
		qsort(users->user, users->nr, sizeof(*users->user), compare_users);
	for (size_t i = 0; i < users->nr; i++)
		if (!nr || compare_files(&users->user[nr - 1], &users->user[i]))
			users->user[nr++] = users->user[i];
	users->nr = nr;
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
	keep_first(users);
	return ret;
}

void ram_users_free(struct ram_users *users)
{
	free(users->user);
	*users = (struct ram_users){};
}

const struct ram_user *ram_user_of(const struct ram_users *users, dev_t dev, uint64_t inode)
{
	struct ram_user wanted = { .dev = dev, .inode = inode };
	size_t low = 0, high = users->nr, mid;
	int diff;

	while (low < high) {
		mid = (low + high) / 2;
		diff = compare_files(&users->user[mid], &wanted);
		if (!diff)
			return &users->user[mid];
		if (diff < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* ---- reaching files ---- */

struct walk {
	const struct ram_mount *mount;
	int (*each)(size_t file, int fd, void *arg);
	void *arg;
	bool *reached;		/* by file */
	size_t left;		/* files that are not */
	int ret;
};

static bool goes_on(const struct walk *w)
{
	return w->left && !w->ret;
}

/* @fd, which it closes: what was to be file @i of the mount, if it could be opened. */
static void reach(struct walk *w, size_t i, int fd)
{
	struct stat st;

	if (fd < 0)
		return;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_dev == w->mount->dev &&
	    st.st_ino == w->mount->file[i].inode) {
		w->reached[i] = true;
		w->left--;
		w->ret = w->each(i, fd, w->arg);
	}
	close(fd);
}

static int compare_inodes(const void *x, const void *y)
{
	const struct ram_file *a = x, *b = y;

	return a->inode < b->inode ? -1 : a->inode > b->inode;
}

/* One more name of a regular file. */
static void look_at(struct walk *w, int dir, const char *name, uint64_t inode)
{
	const struct ram_mount *m = w->mount;
	const struct ram_file key = { .inode = inode };
	const struct ram_file *file = bsearch(&key, m->file, m->nr, sizeof(key), compare_inodes);

	if (file && !w->reached[file - m->file])
		reach(w, file - m->file, openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
}

/* The folder @dir, which it closes, and those below it on the same filesystem. */
static void walk_below(struct walk *w, int dir, int depth)
{
	DIR *stream = dir < 0 ? NULL : fdopendir(dir);
	struct dirent *entry;
	struct stat st;

	if (!stream && dir >= 0)
		close(dir);
	while (stream && goes_on(w) && (entry = readdir(stream))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
		    fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    st.st_dev != w->mount->dev)
			continue;
		if (S_ISREG(st.st_mode))
			look_at(w, dirfd(stream), entry->d_name, st.st_ino);
		else if (S_ISDIR(st.st_mode) && depth)
			walk_below(w, openat(dirfd(stream), entry->d_name,
					     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), depth - 1);
	}
	if (stream)
		closedir(stream);
}

int ram_files_each(const struct hostfs *fs, const struct ram_mount *mount,
		   const struct ram_users *users, int (*each)(size_t file, int fd, void *arg),
		   void *arg)
{
	struct walk w = { .mount = mount, .each = each, .arg = arg, .left = mount->nr };
	const struct ram_user *user;

	w.reached = calloc(mount->nr + 1, sizeof(*w.reached));
	if (!w.reached)
		return -ENOMEM;
	for (size_t i = 0; i < mount->nr && goes_on(&w); i++) {
		user = ram_user_of(users, mount->dev, mount->file[i].inode);
		if (user)
			reach(&w, i, hostfs_open_file(fs, O_RDONLY, "/proc/%d/fd/%d", (int)user->pid,
						      user->fd));
	}
	if (goes_on(&w) && mount->path[0])
		walk_below(&w, hostfs_open_file(fs, O_RDONLY | O_DIRECTORY, "%s", mount->path),
			   MAX_DEPTH);
	free(w.reached);
	return w.ret;
}
