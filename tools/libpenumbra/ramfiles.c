// SPDX-License-Identifier: GPL-2.0
/* Mounts and files of the penumbra filesystem; see ramfiles.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include "libpenumbra/ramfiles.h"
#include "libpenumbra/text.h"

/* As long as the kernel's files get. */
#define NAME_BYTES	4097

/* One of a set of files that hold a number each, and where the number goes. */
struct number {
	const char *name;
	size_t offset;
};

#define FILE_NUMBER(name)	{ #name, offsetof(struct ram_file, name) },
#define SCAN_NUMBER(name)	{ "scan/" #name, offsetof(struct ram_mount, scan.name) },
#define MOUNT_NUMBER(name)	{ #name, offsetof(struct ram_mount, name) },
#define RESERVE_NUMBER(name)	{ "reserve/" #name, offsetof(struct ram_mount, reserve.name) },

static const struct number file_numbers[] = { RAM_FILE_NUMBERS(FILE_NUMBER) {} };
static const struct number mount_numbers[] = {
	RAM_MOUNT_NUMBERS(MOUNT_NUMBER) RAM_SCAN_NUMBERS(SCAN_NUMBER)
	RAM_RESERVE_NUMBERS(RESERVE_NUMBER) {}
};

/* True: some of them are not for this user. */
static bool read_numbers(const struct hostfs *fs, const char *dir, const struct number *numbers,
			 void *object)
{
	bool hidden = false;
	int err;

	for (; numbers->name; numbers++) {
		uint64_t *value = (uint64_t *)((char *)object + numbers->offset);

		err = hostfs_read_u64(fs, value, "%s/%s", dir, numbers->name);
		if (err)
			*value = RAM_UNKNOWN;
		hidden |= err == -EACCES || err == -EPERM;
	}
	return hidden;
}

/* Names come from users: no control characters to a terminal. 0 or -errno. */
static int read_word(const struct hostfs *fs, char *word, size_t size, const char *dir,
		     const char *name)
{
	ssize_t len = hostfs_read(fs, word, size, "%s/%s", dir, name);

	if (len < 0)
		*word = 0;
	for (; *word; word++)
		if ((unsigned char)*word < ' ' || *word == 0x7f)
			*word = '?';
	return len < 0 ? len : 0;
}

static int read_name(const struct hostfs *fs, const char *dir, struct ram_file *file)
{
	char name[NAME_BYTES];

	file->name_err = read_word(fs, name, sizeof(name), dir, "name");
	if (file->name_err)
		return 0;
	file->name = strdup(name);
	return file->name ? 0 : -ENOMEM;
}

/* 0; -ENOENT: it is gone, or no file; -ENOMEM. */
static int read_file(const struct hostfs *fs, const char *mount, const char *inode,
		     struct ram_file *file)
{
	char dir[128];

	*file = (struct ram_file){};
	if (text_parse_u64(inode, &file->inode))
		return -ENOENT;
	snprintf(dir, sizeof(dir), RAM_DIR "/%s/files/%s", mount, inode);
	if (read_name(fs, dir, file))
		return -ENOMEM;
	(void)read_word(fs, file->group, sizeof(file->group), dir, "group");
	(void)read_word(fs, file->share, sizeof(file->share), dir, "share");
	file->hidden = read_numbers(fs, dir, file_numbers, file);
	/* what vanished halfway could not be read from then on */
	if (hostfs_exists(fs, "%s", dir))
		return 0;
	free(file->name);
	return -ENOENT;
}

static void free_files(struct ram_mount *mount)
{
	for (size_t i = 0; i < mount->nr; i++)
		free(mount->file[i].name);
	free(mount->file);
}

static int read_files(const struct hostfs *fs, struct ram_mount *mount)
{
	struct hostfs_names names;
	int ret = hostfs_list(fs, &names, RAM_DIR "/%s/files", mount->id);

	if (ret)
		return ret == -ENOMEM ? ret : 0;
	mount->file = calloc(names.nr + 1, sizeof(*mount->file));
	if (!mount->file)
		ret = -ENOMEM;
	for (size_t i = 0; !ret && i < names.nr; i++) {
		ret = read_file(fs, mount->id, names.name[i], &mount->file[mount->nr]);
		if (!ret)
			mount->nr++;
		else if (ret == -ENOENT)
			ret = 0;
	}
	hostfs_names_free(&names);
	return ret;
}

/* "0:42" */
static bool parse_id(const char *id, dev_t *dev)
{
	char major_text[12];
	const char *colon = strchr(id, ':');
	uint64_t ma, mi;

	if (!colon || (size_t)(colon - id) >= sizeof(major_text))
		return false;
	memcpy(major_text, id, colon - id);
	major_text[colon - id] = 0;
	if (text_parse_u64(major_text, &ma) || text_parse_u64(colon + 1, &mi) ||
	    ma > UINT32_MAX || mi > UINT32_MAX)
		return false;
	*dev = makedev(ma, mi);
	return true;
}

/* 0, -ENOENT: not a mount, or gone; -ENOMEM. */
static int read_mount(const struct hostfs *fs, const char *id, struct ram_mount *mount)
{
	char dir[64];
	int ret;

	*mount = (struct ram_mount){};
	if (strlen(id) >= sizeof(mount->id) || !parse_id(id, &mount->dev))
		return -ENOENT;
	strcpy(mount->id, id);
	snprintf(dir, sizeof(dir), RAM_DIR "/%s", id);
	(void)read_numbers(fs, dir, mount_numbers, mount);
	(void)read_word(fs, mount->scan.order, sizeof(mount->scan.order), dir, "scan/order");
	(void)read_word(fs, mount->reserve.state, sizeof(mount->reserve.state), dir, "reserve/state");
	ret = read_files(fs, mount);
	if (!ret && !hostfs_exists(fs, "%s", dir))
		ret = -ENOENT;
	if (ret)
		free_files(mount);
	return ret;
}

/* Has it one, or had it one when it was read? */
static bool has_name(const struct ram_file *file)
{
	static const char gone[] = "//deleted";	/* the kernel's mark */
	size_t len = file->name ? strlen(file->name) : 0, tail = sizeof(gone) - 1;

	return len && (len < tail || strcmp(file->name + len - tail, gone));
}

const char *ram_file_label(const struct ram_file *file)
{
	if (has_name(file))
		return file->name + (*file->name == '/');
	if (file->name_err == -ENAMETOOLONG)
		return "(long name)";
	return file->name_err == -EACCES || file->name_err == -EPERM ? "-" : "(no name)";
}

/* ---- where they are mounted ---- */

/* A field of mountinfo, with blanks and the like as \ooo. */
static void unescape(const char *field, size_t len, char *out, size_t size)
{
	const char *end = field + len;
	size_t n = 0;

	while (field < end && n + 1 < size) {
		if (*field == '\\' && end - field >= 4) {
			out[n++] = (field[1] & 7) << 6 | (field[2] & 7) << 3 | (field[3] & 7);
			field += 4;
		} else {
			out[n++] = *field++;
		}
	}
	out[n] = 0;
}

struct mounted {
	dev_t dev;
	bool whole;		/* its root, not a folder of it */
	char path[PATH_MAX];
};

/* A line "36 35 0:42 / /dev/penumbra rw,... shared:1 - penumbra none rw". False: another type. */
static bool parse_mounted(const char *line, size_t len, struct mounted *m)
{
	static const char mark[] = " - " RAM_FSTYPE " ";
	const char *end = line + len, *field[5], *p = line;
	char id[24];
	size_t n;

	if (!memmem(line, len, mark, sizeof(mark) - 1))
		return false;
	for (int i = 0; i < 5; i++) {
		field[i] = p;
		p = memchr(p, ' ', end - p);
		if (!p++)
			return false;
	}
	n = field[3] - field[2] - 1;
	if (n >= sizeof(id))
		return false;
	memcpy(id, field[2], n);
	id[n] = 0;
	m->whole = field[4] - field[3] == 2;
	unescape(field[4], p - field[4] - 1, m->path, sizeof(m->path));
	return parse_id(id, &m->dev);
}

/* Calls @each with every mount of the type, in order. */
static int walk_mounted(const struct hostfs *fs, void (*each)(const struct mounted *, void *),
			void *arg)
{
	size_t len;
	char *text = hostfs_read_all(fs, &len, "/proc/self/mountinfo");
	struct mounted m;

	if (!text)
		return -errno;
	for (char *line = text, *end; line < text + len; line = end + 1) {
		end = strchrnul(line, '\n');
		if (parse_mounted(line, end - line, &m))
			each(&m, arg);
	}
	free(text);
	return 0;
}

static void note_path(const struct mounted *m, void *arg)
{
	struct ram_list *list = arg;

	for (size_t i = 0; i < list->nr; i++)
		if (list->mount[i].dev == m->dev && m->whole && !list->mount[i].path[0])
			strcpy(list->mount[i].path, m->path);
}

struct wanted {
	const char *path;
	dev_t dev;
	bool found;
};

static void compare_path(const struct mounted *m, void *arg)
{
	struct wanted *w = arg;

	if (strcmp(m->path, w->path))
		return;
	w->dev = m->dev;
	w->found = true;
}

int ram_mount_at(const struct hostfs *fs, const char *path, dev_t *dev)
{
	struct wanted w = { .path = path };
	int ret = walk_mounted(fs, compare_path, &w);

	*dev = w.dev;
	return ret ? ret : w.found ? 0 : -ENOENT;
}

int ram_mount_of(const struct hostfs *fs, const char *path, char *id, size_t size)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	struct stat st;

	if (stat(path, &st)) {
		snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path + 1) : 1,
			 slash ? path : ".");
		if (stat(folder, &st))
			return -ENOENT;
	}
	snprintf(id, size, "%u:%u", major(st.st_dev), minor(st.st_dev));
	return hostfs_exists(fs, RAM_DIR "/%s", id) ? 0 : -ENOENT;
}

int ram_list_read(const struct hostfs *fs, struct ram_list *list)
{
	struct hostfs_names names;
	int ret;

	*list = (struct ram_list){};
	ret = hostfs_list(fs, &names, RAM_DIR);
	if (ret)
		return ret;
	list->mount = calloc(names.nr + 1, sizeof(*list->mount));
	if (!list->mount)
		ret = -ENOMEM;
	for (size_t i = 0; !ret && i < names.nr; i++) {
		ret = read_mount(fs, names.name[i], &list->mount[list->nr]);
		if (!ret)
			list->nr++;
		else if (ret == -ENOENT)
			ret = 0;
	}
	hostfs_names_free(&names);
	if (!ret && walk_mounted(fs, note_path, list) == -ENOMEM)
		ret = -ENOMEM;
	if (ret)
		ram_list_free(list);
	return ret;
}

void ram_list_free(struct ram_list *list)
{
	for (size_t i = 0; i < list->nr; i++)
		free_files(&list->mount[i]);
	free(list->mount);
	*list = (struct ram_list){};
}
