// SPDX-License-Identifier: GPL-2.0
/* penumbra mem - the numbers of RAM files, with the VMs that use them. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "builtin.h"
#include "figures.h"

struct view {
	struct ram_list list;
	struct ram_users users;
	const char *which;	/* VM, name, inode or path of a file; NULL: all */
	bool by_path;		/* what is asked for is a path, and it is this file: */
	dev_t dev;
	uint64_t inode;
};

/* ---- what is asked for ---- */

/* The kernel's name of a file is its path in the mount, "//deleted" after it when it has gone. */
static bool is_name(const char *name, const char *asked)
{
	return name && (!strcmp(name, asked) || (*name == '/' && !strcmp(name + 1, asked)));
}

static bool is_wanted(const struct view *v, const struct ram_mount *m, const struct ram_file *f)
{
	const struct ram_user *user;
	uint64_t inode;

	if (!v->which)
		return true;
	if (v->by_path)
		return m->dev == v->dev && f->inode == v->inode;
	user = ram_user_of(&v->users, m->dev, f->inode);
	return (user && !strcmp(user->name, v->which)) || is_name(f->name, v->which) ||
	       (!text_parse_u64(v->which, &inode) && inode == f->inode);
}

static size_t count_wanted(const struct view *v)
{
	size_t n = 0;

	for (size_t i = 0; i < v->list.nr; i++)
		for (size_t k = 0; k < v->list.mount[i].nr; k++)
			n += is_wanted(v, &v->list.mount[i], &v->list.mount[i].file[k]);
	return n;
}

/* Files whose numbers are not for this user. */
static size_t count_hidden(const struct ram_mount *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->nr; i++)
		n += m->file[i].hidden;
	return n;
}

/* ---- text ---- */

static const char *or_dash(const char *text)
{
	return *text ? text : "-";
}

static void add_row(struct text_table *t, const struct view *v, const struct ram_mount *m,
		    const struct ram_file *f)
{
	const struct ram_user *user = ram_user_of(&v->users, m->dev, f->inode);

	text_table_add(t, "%s", user ? user->name : "-");
	text_table_add(t, "%s", ram_file_label(f));
	text_table_add(t, "%s", strcmp(f->share, "never") ? or_dash(f->group) : "never");
	figure_add_size(t, f->size_pages);
	figure_add_size(t, f->resident_pages);
	figure_add_size(t, f->private_pages);
	figure_add_size(t, f->shared_pages);
	figure_add_size(t, f->proportional_pages);
	figure_add_size(t, f->zero_pages);
	figure_add_count(t, f->cow_breaks);
}

static void print_mount(const struct ram_mount *m)
{
	char frames[TEXT_SIZE_BYTES], saved[TEXT_SIZE_BYTES], limit[TEXT_SIZE_BYTES];

	printf("%s: %zu file%s, frames %s", m->path[0] ? m->path : m->id, m->nr,
	       m->nr == 1 ? "" : "s", figure_size(frames, m->frame_pages));
	if (m->size_pages)
		printf(" of %s", figure_size(limit, m->size_pages));
	printf(", saved %s, reserve %s\n", figure_size(saved, m->saved_pages),
	       or_dash(m->reserve.state));
}

static void print_hidden(const struct ram_mount *m)
{
	size_t hidden = count_hidden(m);

	if (hidden)
		printf("  (\"-\": numbers of %zu file%s cannot be read%s)\n", hidden, hidden == 1 ? "" : "s",
		       geteuid() ? ": be root" : "");
}

static void print_all(const struct view *v)
{
	static const char *const heads[] = {
		"VM", "FILE", "GROUP", "SIZE", "RESIDENT", "PRIVATE", "SHARED", "PROPORTIONAL", "ZERO",
		"COW BREAKS",
	};
	struct text_table t;

	for (size_t i = 0; i < v->list.nr; i++) {
		const struct ram_mount *m = &v->list.mount[i];

		print_mount(m);
		if (!m->nr)
			continue;
		text_table_init(&t, "lllrrrrrrr");
		for (size_t k = 0; k < sizeof(heads) / sizeof(*heads); k++)
			text_table_add(&t, "%s", heads[k]);
		for (size_t k = 0; k < m->nr; k++)
			add_row(&t, v, m, &m->file[k]);
		text_table_print(&t, "  ");
		print_hidden(m);
	}
}

static void print_file(const struct view *v, const struct ram_mount *m, const struct ram_file *f)
{
	const struct ram_user *user = ram_user_of(&v->users, m->dev, f->inode);
	struct text_table t;

	printf("%s: inode %" PRIu64 " of %s, group %s, share %s\n", ram_file_label(f), f->inode,
	       m->path[0] ? m->path : m->id, or_dash(f->group), or_dash(f->share));
	if (user)
		printf("memory of %s, process %d\n", user->name, (int)user->pid);
	text_table_init(&t, "lr");
	figure_add_size_row(&t, "size", f->size_pages);
	figure_add_size_row(&t, "resident", f->resident_pages);
	figure_add_size_row(&t, "private", f->private_pages);
	figure_add_size_row(&t, "shared", f->shared_pages);
	figure_add_size_row(&t, "proportional", f->proportional_pages);
	figure_add_size_row(&t, "found zero", f->zero_pages);
	figure_add_size_row(&t, "punched, ever", f->punched_pages);
	figure_add_size_row(&t, "merged, ever", f->merged_pages);
	figure_add_size_row(&t, "swapped", f->swapped_pages);
	figure_add_count_row(&t, "2 MiB frames", f->huge_frames);
	figure_add_count_row(&t, "copies for writers", f->cow_breaks);
	figure_add_count_row(&t, "of zero pages", f->zero_breaks);
	figure_add_count_row(&t, "pinned when merging", f->pinned_pages);
	text_table_print(&t, "  ");
}

static void print_wanted(const struct view *v)
{
	for (size_t i = 0; i < v->list.nr; i++)
		for (size_t k = 0; k < v->list.mount[i].nr; k++)
			if (is_wanted(v, &v->list.mount[i], &v->list.mount[i].file[k]))
				print_file(v, &v->list.mount[i], &v->list.mount[i].file[k]);
}

/* ---- JSON ---- */

/* "x_pages" becomes "x_bytes", all else stays. */
static void add_number(struct json_object *o, const char *name, uint64_t n)
{
	size_t len = strlen(name);
	char bytes[40];

	if (len <= 6 || len >= sizeof(bytes) || strcmp(name + len - 6, "_pages")) {
		figure_add_number(o, name, n);
		return;
	}
	snprintf(bytes, sizeof(bytes), "%.*s_bytes", (int)(len - 6), name);
	figure_add_bytes(o, bytes, n);
}

static struct json_object *file_to_json(const struct view *v, const struct ram_mount *m,
					const struct ram_file *f)
{
	const struct ram_user *user = ram_user_of(&v->users, m->dev, f->inode);
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "inode", json_object_new_uint64(f->inode));
	figure_add_text(o, "name", f->name ? f->name : "");
	figure_add_text(o, "vm", user ? user->name : "");
	json_object_object_add(o, "pid", user ? json_object_new_int64(user->pid) : NULL);
	figure_add_text(o, "group", f->group);
	figure_add_text(o, "share", f->share);
#define ADD(name) add_number(o, #name, f->name);
	RAM_FILE_NUMBERS(ADD)
#undef ADD
	return o;
}

static struct json_object *mount_to_json(const struct view *v, const struct ram_mount *m)
{
	struct json_object *o = json_object_new_object(), *files = json_object_new_array();
	struct json_object *reserve = json_object_new_object();

	figure_add_text(o, "id", m->id);
	figure_add_text(o, "path", m->path);
#define ADD(name) add_number(o, #name, m->name);
	RAM_MOUNT_NUMBERS(ADD)
#undef ADD
	figure_add_text(reserve, "state", m->reserve.state);
	add_number(reserve, "target_pages", m->reserve.target_pages);
	figure_add_bytes(reserve, "bytes", m->reserve.pages);
	add_number(reserve, "wait_ms", m->reserve.wait_ms);
	json_object_object_add(o, "reserve", reserve);
	for (size_t i = 0; i < m->nr; i++)
		if (is_wanted(v, m, &m->file[i]))
			json_object_array_add(files, file_to_json(v, m, &m->file[i]));
	figure_add_number(o, "hidden_files", count_hidden(m));
	json_object_object_add(o, "files", files);
	return o;
}

static struct json_object *to_json(const struct view *v)
{
	struct json_object *root = json_object_new_object(), *mounts = json_object_new_array();

	json_object_object_add(root, "schema", json_object_new_int(JSON_SCHEMA));
	for (size_t i = 0; i < v->list.nr; i++)
		json_object_array_add(mounts, mount_to_json(v, &v->list.mount[i]));
	json_object_object_add(root, "mounts", mounts);
	return root;
}

/* ---- all ---- */

static int show(const struct show_options *o, const struct view *v)
{
	size_t hidden = 0;

	for (size_t i = 0; i < v->list.nr; i++)
		hidden += count_hidden(&v->list.mount[i]);
	if (v->which && !count_wanted(v))
		return fail("mem", "no VM and no RAM file '%s' (%s)", v->which, hidden ?
			    "not all names can be read: be root" : "'penumbra mem' lists them");
	if (o->json)
		return output_json("mem", to_json(v), false);
	if (v->which)
		print_wanted(v);
	else
		print_all(v);
	return output_finish("mem");
}

int builtin_mem(const struct hostfs *fs, int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION_JSON("Print JSON", 0), {}
	};
	static const struct argp argp = {
		.options = options,
		.parser = cmdline_show_only,
		.args_doc = "[VM|FILE]",
		.doc = "Show the memory of VMs that have it in RAM files: of all, or of one by the VM's "
		       "name, or the file's name, path or inode number.",
	};
	struct show_options o = { .one = "VM or file" };
	struct view v = {};
	struct stat st;
	int ret = cmdline_parse(&argp, argc, argv, &o);

	if (ret)
		return ret;
	ret = ram_list_read(fs, &v.list);
	if (!ret && !v.list.nr) {
		ram_list_free(&v.list);
		ret = -ENOENT;
	}
	if (ret)
		return fail_no_ram(fs, "mem", ret);
	v.which = o.which;
	if (o.which && strchr(o.which, '/') && !stat(o.which, &st)) {
		v.by_path = true;
		v.dev = st.st_dev;
		v.inode = st.st_ino;
	}
	ret = ram_users_read(fs, &v.list, &v.users);
	ret = ret ? fail("mem", "%s", strerror(-ret)) : show(&o, &v);
	ram_users_free(&v.users);
	ram_list_free(&v.list);
	return ret;
}
