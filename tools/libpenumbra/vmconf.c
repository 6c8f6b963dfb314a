// SPDX-License-Identifier: GPL-2.0
/* What a VM is made of, to and from JSON; see vmconf.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "libpenumbra/vmconf.h"

#define VERSION_NR	1	/* of the file; another one is refused */
#define MAX_TEXT	(1 << 20)

static const char *const formats[] = {
	[ARGS_DISK_GUESSED_RAW] = "raw", [ARGS_DISK_RAW] = "raw", [ARGS_DISK_QCOW2] = "qcow2",
};

/* ---- to JSON ---- */

/* As seen from anywhere; false: no memory. */
static bool add_path(struct json_object *o, const char *key, const char *path)
{
	char *folder = NULL, *full = NULL;
	bool ok = true;

	if (!path)
		return true;
	if (*path != '/')
		folder = getcwd(NULL, 0);
	if (folder)
		ok = asprintf(&full, "%s/%s", folder, path) >= 0;
	if (ok)
		json_object_object_add(o, key, json_object_new_string(folder ? full : path));
	if (folder && ok)
		free(full);
	free(folder);
	return ok;
}

static void add_text(struct json_object *o, const char *key, const char *text)
{
	if (text)
		json_object_object_add(o, key, json_object_new_string(text));
}

static bool add_disks(struct json_object *root, const struct vm_conf *c)
{
	struct json_object *list = json_object_new_array(), *disk;
	bool ok = true;

	for (unsigned int i = 0; i < c->nr_disks; i++) {
		disk = json_object_new_object();
		ok = ok && add_path(disk, "path", c->disk[i].path);
		add_text(disk, "format", formats[c->disk[i].format]);
		json_object_array_add(list, disk);
	}
	json_object_object_add(root, "disks", list);
	return ok;
}

static bool add_ram(struct json_object *root, const struct vm_ram *ram)
{
	struct json_object *o;
	bool ok;

	if (!ram->path && !ram->dir)
		return true;
	o = json_object_new_object();
	ok = add_path(o, "path", ram->path) && add_path(o, "dir", ram->dir);
	add_text(o, "group", ram->group);
	json_object_object_add(o, "never_share", json_object_new_boolean(ram->never_share));
	json_object_object_add(root, "ram", o);
	return ok;
}

struct json_object *vmconf_to_json(const struct vm_conf *c)
{
	struct json_object *root = json_object_new_object(), *extra = json_object_new_array();
	bool ok = true;

	json_object_object_add(root, "version", json_object_new_int(VERSION_NR));
	add_text(root, "name", c->name);
	json_object_object_add(root, "memory_bytes", json_object_new_uint64(c->memory_bytes));
	json_object_object_add(root, "vcpus", json_object_new_uint64(c->vcpus));
	if (strchr(c->qemu, '/'))
		ok = add_path(root, "qemu", c->qemu);
	else
		add_text(root, "qemu", c->qemu);
	ok = ok && add_path(root, "kernel", c->kernel) && add_path(root, "initrd", c->initrd) &&
	     add_path(root, "cdrom", c->cdrom);
	add_text(root, "append", c->append);
	ok = add_disks(root, c) && add_ram(root, &c->ram) && ok;
	for (char **arg = c->extra; *arg; arg++)
		json_object_array_add(extra, json_object_new_string(*arg));
	json_object_object_add(root, "extra", extra);
	if (!ok) {
		json_object_put(root);
		return NULL;
	}
	return root;
}

int vmconf_write(const struct vm_conf *conf, const char *path)
{
	struct json_object *object = vmconf_to_json(conf);
	char temporary[PATH_MAX];
	int ret = 0;

	if (!object)
		return -ENOMEM;
	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.new", path) >= sizeof(temporary))
		ret = -ENAMETOOLONG;
	else if (json_object_to_file_ext(temporary, object, JSON_C_TO_STRING_PRETTY |
					 JSON_C_TO_STRING_NOSLASHESCAPE) ||
		 rename(temporary, path))
		ret = errno ? -errno : -EIO;
	json_object_put(object);
	return ret;
}

/* ---- from JSON ---- */

/* A member that may be missing: true, and NULL; false: it is not text. */
static bool get_text(struct json_object *o, const char *key, const char **text)
{
	struct json_object *value;

	*text = NULL;
	if (!json_object_object_get_ex(o, key, &value))
		return true;
	if (!json_object_is_type(value, json_type_string))
		return false;
	*text = json_object_get_string(value);
	return strlen(*text) == (size_t)json_object_get_string_len(value);
}

static bool get_number(struct json_object *o, const char *key, uint64_t *n)
{
	struct json_object *value;

	if (!json_object_object_get_ex(o, key, &value) ||
	    !json_object_is_type(value, json_type_int))
		return false;
	*n = json_object_get_uint64(value);
	return *n;
}

/* An array that may be missing; false: it is something else. */
static bool get_list(struct json_object *o, const char *key, struct json_object **list, size_t *nr)
{
	*nr = 0;
	if (!json_object_object_get_ex(o, key, list))
		return true;
	if (!json_object_is_type(*list, json_type_array))
		return false;
	*nr = json_object_array_length(*list);
	return true;
}

static bool get_disks(struct vm_conf *c, struct json_object *o)
{
	struct json_object *list;
	const char *path, *format;
	size_t nr;

	if (!get_list(o, "disks", &list, &nr) || nr > VM_MAX_DISKS)
		return false;
	for (size_t i = 0; i < nr; i++) {
		struct json_object *disk = json_object_array_get_idx(list, i);

		if (!get_text(disk, "path", &path) || !get_text(disk, "format", &format) || !path ||
		    !format || strlen(path) >= sizeof(c->disk[i].path))
			return false;
		strcpy(c->disk[i].path, path);
		if (!strcmp(format, "qcow2"))
			c->disk[i].format = ARGS_DISK_QCOW2;
		else if (!strcmp(format, "raw"))
			c->disk[i].format = ARGS_DISK_RAW;
		else
			return false;
	}
	c->nr_disks = nr;
	return true;
}

static bool get_ram(struct vm_conf *c, struct json_object *o)
{
	struct json_object *ram, *never;

	if (!json_object_object_get_ex(o, "ram", &ram))
		return true;
	if (json_object_object_get_ex(ram, "never_share", &never))
		c->ram.never_share = json_object_get_boolean(never);
	return json_object_is_type(ram, json_type_object) && get_text(ram, "path", &c->ram.path) &&
	       get_text(ram, "dir", &c->ram.dir) && get_text(ram, "group", &c->ram.group) &&
	       (c->ram.path || c->ram.dir);
}

static int get_extra(struct vm_conf *c, struct json_object *o)
{
	struct json_object *list, *text;
	size_t nr;

	if (!get_list(o, "extra", &list, &nr))
		return -EINVAL;
	c->extra = c->extra_space = calloc(nr + 1, sizeof(*c->extra));
	if (!c->extra)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++) {
		text = json_object_array_get_idx(list, i);
		if (!json_object_is_type(text, json_type_string))
			return -EINVAL;
		c->extra[i] = (char *)json_object_get_string(text);
	}
	return 0;
}

/* The member that is wrong, or NULL. */
static const char *get_members(struct vm_conf *c, struct json_object *o)
{
	uint64_t version;

	if (!json_object_is_type(o, json_type_object) || !get_number(o, "version", &version) ||
	    version != VERSION_NR)
		return "version";
	if (!get_text(o, "name", &c->name) || !c->name)
		return "name";
	if (!get_text(o, "qemu", &c->qemu) || !c->qemu)
		return "qemu";
	if (!get_number(o, "memory_bytes", &c->memory_bytes))
		return "memory_bytes";
	if (!get_number(o, "vcpus", &c->vcpus))
		return "vcpus";
	if (!get_text(o, "kernel", &c->kernel))
		return "kernel";
	if (!get_text(o, "initrd", &c->initrd))
		return "initrd";
	if (!get_text(o, "append", &c->append))
		return "append";
	if (!get_text(o, "cdrom", &c->cdrom))
		return "cdrom";
	if (!get_disks(c, o))
		return "disks";
	return get_ram(c, o) ? NULL : "ram";
}

int vmconf_from_json(struct vm_conf *c, struct json_object *object, const char **what)
{
	int ret;

	*c = (struct vm_conf){ .text = json_object_get(object) };
	*what = get_members(c, object);
	if (*what)
		return -EINVAL;
	ret = get_extra(c, object);
	if (ret)
		*what = "extra";
	return ret;
}

void vmconf_free(struct vm_conf *c)
{
	free(c->extra_space);
	json_object_put(c->text);
	*c = (struct vm_conf){};
}

/* The whole text of a file, NULL with errno. */
static char *read_text(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = fd < 0 ? NULL : malloc(MAX_TEXT + 1);
	ssize_t n = text ? read(fd, text, MAX_TEXT) : -1;
	int err = fd >= 0 && !text ? ENOMEM : errno;

	if (text && n >= 0)
		text[n] = 0;
	if (n < 0) {
		free(text);
		text = NULL;
	}
	if (fd >= 0)
		close(fd);
	errno = err;
	return text;
}

int vmconf_read(struct vm_conf *conf, const char *path, const char **what)
{
	struct json_object *object;
	char *text = read_text(path);
	int ret;

	*conf = (struct vm_conf){};
	*what = "";
	if (!text)
		return -errno;
	object = json_tokener_parse(text);
	free(text);
	if (!object)
		return -EINVAL;
	ret = vmconf_from_json(conf, object, what);
	json_object_put(object);
	return ret;
}
