// SPDX-License-Identifier: GPL-2.0
/*
 * penumbra share - what RAM files share, worked out from their page maps; the scanner's switches
 *
 * The figures are exact for the moment each map was read (libpenumbra/sharing.h defines
 * them); what changes between the first map and the last makes them that much less so.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "builtin.h"
#include "figures.h"
#include "libpenumbra/sharing.h"

struct options {
	struct show_options show;	/* of a mount, by its path or id */
	bool pairs;
	/* what to write to the scanner, NULL: leave it */
	const char *run, *rate, *cpu, *order;
};

/* A mount's report. */
struct report {
	const struct ram_mount *mount;
	const struct ram_users *users;
	struct sharing s;
	bool *read;		/* by file: its page map was to be had */
	uint32_t unread;	/* files of which it was not */
};

static const char *path_of(const struct ram_mount *m)
{
	return m->path[0] ? m->path : m->id;
}

static const struct ram_user *user_of(const struct report *r, uint32_t file)
{
	return ram_user_of(r->users, r->mount->dev, r->mount->file[file].inode);
}

/* ---- gathering ---- */

static int add_map(size_t file, int fd, void *arg)
{
	struct report *r = arg;
	int ret = sharing_add_fd(&r->s, file, fd);

	if (ret)
		return ret == -ENOMEM ? ret : 0;
	r->read[file] = true;
	r->unread--;
	return 0;
}

static int gather(const struct hostfs *fs, const struct options *o, struct report *r)
{
	int ret = sharing_init(&r->s, r->mount->nr);

	if (ret)
		return ret;
	r->unread = r->s.nr;
	r->read = calloc(r->s.nr + 1, sizeof(*r->read));
	ret = r->read ? ram_files_each(fs, r->mount, r->users, add_map, r) : -ENOMEM;
	if (ret)
		return ret;
	sharing_finish(&r->s);
	return o->pairs ? sharing_find_pairs(&r->s) : 0;
}

/* A figure of file @i, or of all that could be read: nobody knows it if that is none. */
static uint64_t of_file(const struct report *r, uint32_t i, uint64_t n)
{
	return r->read[i] ? n : RAM_UNKNOWN;
}

static uint64_t of_all(const struct report *r, uint64_t n)
{
	return r->s.nr && r->unread == r->s.nr ? RAM_UNKNOWN : n;
}

/* ---- text ---- */

static void print_scanner(const struct ram_mount *m)
{
	char rate[TEXT_COUNT_BYTES], cpu[TEXT_COUNT_BYTES], rounds[TEXT_COUNT_BYTES];

	printf("scanner of %s: %s, ", path_of(m), m->scan.run == RAM_UNKNOWN ? "-" :
	       m->scan.run ? "on" : "off");
	if (m->scan.pages_per_second)
		printf("at most %s pages/s", figure_count(rate, m->scan.pages_per_second));
	else
		fputs("any number of pages/s", stdout);
	printf(", %s %% of a processor, order %s, %s rounds\n", figure_count(cpu, m->scan.cpu_percent),
	       m->scan.order[0] ? m->scan.order : "-", figure_count(rounds, m->scan.rounds));
}

static void print_total(const struct report *r)
{
	const struct sharing_total *total = &r->s.total;
	uint64_t saved = total->inside_pages + total->between_pages + total->zero_pages;
	char present[TEXT_SIZE_BYTES], frames[TEXT_SIZE_BYTES];
	struct text_table t;

	printf("%s: %u file%s, %s of pages in %s of frames\n", path_of(r->mount), r->s.nr,
	       r->s.nr == 1 ? "" : "s",
	       figure_size(present, of_all(r, total->present_pages + total->zero_pages)),
	       figure_size(frames, of_all(r, total->frame_pages)));
	text_table_init(&t, "lr");
	figure_add_size_row(&t, "saved", of_all(r, saved));
	figure_add_size_row(&t, "  equal pages inside a file", of_all(r, total->inside_pages));
	figure_add_size_row(&t, "  equal pages of several files", of_all(r, total->between_pages));
	figure_add_size_row(&t, "  zero pages", of_all(r, total->zero_pages));
	figure_add_size_row(&t, "scanning on would save, about", r->mount->scan.estimate_pages);
	text_table_print(&t, "  ");
	if (r->unread)
		printf("  (without %u file%s that cannot be read%s)\n", r->unread,
		       r->unread == 1 ? "" : "s", geteuid() ? ": be root" : "");
}

static void print_files(const struct report *r)
{
	static const char *const heads[] = {
		"VM", "FILE", "GROUP", "PRIVATE", "SHARED", "INSIDE", "WITH OTHERS", "PROPORTIONAL", "ZERO",
	};
	struct text_table t;

	if (!r->s.nr)
		return;
	text_table_init(&t, "lllrrrrrr");
	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++)
		text_table_add(&t, "%s", heads[i]);
	for (uint32_t i = 0; i < r->s.nr; i++) {
		const struct sharing_file *f = &r->s.file[i];
		const struct ram_file *file = &r->mount->file[i];
		const struct ram_user *user = user_of(r, i);
		const char *group = file->group[0] ? file->group : "-";

		text_table_add(&t, "%s", user ? user->name : "-");
		text_table_add(&t, "%s", ram_file_label(file));
		text_table_add(&t, "%s", strcmp(file->share, "never") ? group : "never");
		figure_add_size(&t, of_file(r, i, f->private_pages));
		figure_add_size(&t, of_file(r, i, f->shared_pages));
		figure_add_size(&t, of_file(r, i, f->inside_pages));
		figure_add_size(&t, of_file(r, i, f->others_pages));
		figure_add_size(&t, of_file(r, i, f->proportional_pages + 0.5));
		figure_add_size(&t, of_file(r, i, f->zero_pages));
	}
	text_table_print(&t, "  ");
}

static const char *label(const struct report *r, uint32_t file)
{
	const struct ram_user *user = user_of(r, file);

	return user ? user->name : ram_file_label(&r->mount->file[file]);
}

static void print_pairs(const struct report *r)
{
	struct text_table t;

	if (!r->s.nr_pairs) {
		puts("  no two files have a frame in common");
		return;
	}
	text_table_init(&t, "llr");
	text_table_add(&t, "ONE");
	text_table_add(&t, "OTHER");
	text_table_add(&t, "IN COMMON");
	for (size_t i = 0; i < r->s.nr_pairs; i++) {
		text_table_add(&t, "%s", label(r, r->s.pair[i].a));
		text_table_add(&t, "%s", label(r, r->s.pair[i].b));
		figure_add_size(&t, r->s.pair[i].frame_pages);
	}
	text_table_print(&t, "  ");
}

/* ---- JSON ---- */

static struct json_object *scan_to_json(const struct ram_scan *scan)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "order", json_object_new_string(scan->order));
#define ADD(name) figure_add_number(o, #name, scan->name);
	RAM_SCAN_NUMBERS(ADD)
#undef ADD
	return o;
}

static struct json_object *file_to_json(const struct report *r, uint32_t i)
{
	const struct sharing_file *f = &r->s.file[i];
	const struct ram_file *file = &r->mount->file[i];
	const struct ram_user *user = user_of(r, i);
	struct json_object *o = json_object_new_object();

	figure_add_number(o, "inode", file->inode);
	figure_add_text(o, "name", file->name ? file->name : "");
	figure_add_text(o, "vm", user ? user->name : "");
	figure_add_text(o, "group", file->group);
	figure_add_text(o, "share", file->share);
	figure_add_bytes(o, "resident_bytes", of_file(r, i, f->private_pages + f->shared_pages));
	figure_add_bytes(o, "private_bytes", of_file(r, i, f->private_pages));
	figure_add_bytes(o, "shared_bytes", of_file(r, i, f->shared_pages));
	figure_add_bytes(o, "inside_bytes", of_file(r, i, f->inside_pages));
	figure_add_bytes(o, "others_bytes", of_file(r, i, f->others_pages));
	figure_add_number(o, "proportional_bytes",
			  of_file(r, i, f->proportional_pages * RAM_PAGE_BYTES + 0.5));
	figure_add_bytes(o, "zero_bytes", of_file(r, i, f->zero_pages));
	figure_add_bytes(o, "huge_bytes", of_file(r, i, f->huge_pages));
	return o;
}

static struct json_object *pairs_to_json(const struct report *r)
{
	struct json_object *list = json_object_new_array(), *o;

	for (size_t i = 0; i < r->s.nr_pairs; i++) {
		const struct sharing_pair *p = &r->s.pair[i];

		o = json_object_new_object();
		figure_add_number(o, "a", r->mount->file[p->a].inode);
		figure_add_number(o, "b", r->mount->file[p->b].inode);
		figure_add_bytes(o, "common_bytes", p->frame_pages);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *report_to_json(const struct options *o, const struct report *r)
{
	const struct sharing_total *total = &r->s.total;
	struct json_object *root = json_object_new_object(), *files = json_object_new_array();

	figure_add_text(root, "id", r->mount->id);
	figure_add_text(root, "path", r->mount->path);
	figure_add_number(root, "unread_files", r->unread);
	figure_add_bytes(root, "present_bytes", of_all(r, total->present_pages));
	figure_add_bytes(root, "frame_bytes", of_all(r, total->frame_pages));
	figure_add_bytes(root, "saved_bytes", of_all(r, total->inside_pages + total->between_pages +
						      total->zero_pages));
	figure_add_bytes(root, "inside_bytes", of_all(r, total->inside_pages));
	figure_add_bytes(root, "between_bytes", of_all(r, total->between_pages));
	figure_add_bytes(root, "zero_bytes", of_all(r, total->zero_pages));
	figure_add_bytes(root, "estimate_bytes", r->mount->scan.estimate_pages);
	json_object_object_add(root, "scan", scan_to_json(&r->mount->scan));
	for (uint32_t i = 0; i < r->s.nr; i++)
		json_object_array_add(files, file_to_json(r, i));
	json_object_object_add(root, "files", files);
	json_object_object_add(root, "pairs", o->pairs ? pairs_to_json(r) : NULL);
	return root;
}

/* ---- the scanner's switches ---- */

static int set(const struct hostfs *fs, const struct ram_mount *m, const char *knob,
	       const char *value)
{
	int ret = value ? hostfs_write(fs, value, RAM_DIR "/%s/scan/%s", m->id, knob) : 0;

	if (ret == -EACCES || ret == -EPERM)
		return fail("share", "cannot set scan/%s of %s: be root", knob, path_of(m));
	if (ret == -EINVAL || ret == -ERANGE)
		return fail("share", "%s refuses '%s' as scan/%s", path_of(m), value, knob);
	return ret ? fail("share", "cannot set scan/%s of %s: %s", knob, path_of(m), strerror(-ret)) :
		     0;
}

static bool sets_something(const struct options *o)
{
	return o->run || o->rate || o->cpu || o->order;
}

/* Limits before the switch: it must not start off without them. */
static int set_all(const struct hostfs *fs, const struct options *o, const struct ram_mount *m)
{
	int ret = set(fs, m, "pages_per_second", o->rate);

	if (!ret)
		ret = set(fs, m, "cpu_percent", o->cpu);
	if (!ret)
		ret = set(fs, m, "order", o->order);
	return ret ? ret : set(fs, m, "run", o->run);
}

/* ---- all ---- */

static bool is_wanted(const struct options *o, const struct ram_mount *m)
{
	return !o->show.which || !strcmp(o->show.which, m->path) || !strcmp(o->show.which, m->id);
}

static int report(const struct hostfs *fs, const struct options *o, const struct ram_mount *m,
		  const struct ram_users *users, struct json_object *list)
{
	struct report r = { .mount = m, .users = users };
	int ret = gather(fs, o, &r);

	if (ret == -E2BIG) {
		ret = fail("share", "%s has %zu files: pairs of at most %u can be told", path_of(m), m->nr,
			   SHARING_MAX_PAIRED);
	} else if (ret) {
		ret = fail("share", "%s", strerror(-ret));
	} else if (o->show.json) {
		json_object_array_add(list, report_to_json(o, &r));
	} else {
		print_total(&r);
		fputs("  ", stdout);
		print_scanner(m);
		print_files(&r);
		if (o->pairs)
			print_pairs(&r);
	}
	sharing_free(&r.s);
	free(r.read);
	return ret;
}

static int show(const struct hostfs *fs, const struct options *o, const struct ram_list *list)
{
	struct json_object *root = json_object_new_object(), *mounts = json_object_new_array();
	bool brief = sets_something(o) && !o->show.json;
	struct ram_users users;
	int ret = ram_users_read(fs, list, &users);

	if (ret)
		ret = fail("share", "%s", strerror(-ret));
	for (size_t i = 0; !ret && i < list->nr; i++) {
		if (!is_wanted(o, &list->mount[i]))
			continue;
		if (brief)
			print_scanner(&list->mount[i]);
		else
			ret = report(fs, o, &list->mount[i], &users, mounts);
	}
	ram_users_free(&users);
	json_object_object_add(root, "schema", json_object_new_int(JSON_SCHEMA));
	json_object_object_add(root, "mounts", mounts);
	if (!ret && o->show.json)
		return output_json("share", root, false);
	json_object_put(root);
	return ret ? ret : output_finish("share");
}

/* The list of mounts, with one at least that is wanted. */
static int read_list(const struct hostfs *fs, const struct options *o, struct ram_list *list)
{
	int ret = ram_list_read(fs, list);

	if (!ret && !list->nr) {
		ram_list_free(list);
		ret = -ENOENT;
	}
	if (ret)
		return fail_no_ram(fs, "share", ret);
	for (size_t i = 0; i < list->nr; i++)
		if (is_wanted(o, &list->mount[i]))
			return 0;
	ram_list_free(list);
	return fail("share", "no penumbra filesystem is mounted at '%s' ('penumbra mem' lists them)",
		    o->show.which);
}

static int run(const struct hostfs *fs, const struct options *o)
{
	struct ram_list list;
	int ret = read_list(fs, o, &list);

	if (ret)
		return ret;
	if (sets_something(o)) {
		for (size_t i = 0; !ret && i < list.nr; i++)
			if (is_wanted(o, &list.mount[i]))
				ret = set_all(fs, o, &list.mount[i]);
		ram_list_free(&list);
		/* as it is now */
		if (!ret)
			ret = read_list(fs, o, &list);
		if (ret)
			return ret;
	}
	ret = show(fs, o, &list);
	ram_list_free(&list);
	return ret;
}

enum { KEY_START = 0x100, KEY_STOP, KEY_CPU, KEY_ORDER };

static error_t parse_number(const char *option, const char *arg, struct argp_state *state,
			    uint64_t least, uint64_t most, const char **value)
{
	uint64_t n;

	*value = arg;
	if (!text_parse_u64(arg, &n) && n >= least && n <= most)
		return 0;
	return cmdline_refuse(state, "--%s %s: give a number from %" PRIu64 " to %" PRIu64, option, arg,
			      least, most);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'p':
		o->pairs = true;
		return 0;
	case KEY_START:
	case KEY_STOP:
		if (o->run)
			return cmdline_refuse(state, "--start or --stop, once");
		o->run = key == KEY_START ? "1" : "0";
		return 0;
	case 'r':
		return parse_number("rate", arg, state, 0, UINT32_MAX, &o->rate);
	case KEY_CPU:
		return parse_number("cpu", arg, state, 1, 100, &o->cpu);
	case KEY_ORDER:
		o->order = arg;
		if (!strcmp(arg, "sequential") || !strcmp(arg, "random") || !strcmp(arg, "volatile"))
			return 0;
		return cmdline_refuse(state, "--order %s: give sequential, random or volatile", arg);
	default:
		return cmdline_show(key, arg, state, &o->show);
	}
}

int builtin_share(const struct hostfs *fs, int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION_JSON("Print JSON", 1),
		{ "pairs", 'p', NULL, 0, "Who has how much in common with whom", 2 },
		{ "start", KEY_START, NULL, 0, "Search for equal pages and share them", 3 },
		{ "stop", KEY_STOP, NULL, 0, "Search no more; what is shared stays so", 4 },
		{ "rate", 'r', "N", 0, "At most so many pages of 4 KiB a second; 0: no limit", 5 },
		{ "cpu", KEY_CPU, "PERCENT", 0, "At most so much of one processor", 6 },
		{ "order", KEY_ORDER, "ORDER", 0, "sequential, random or volatile", 7 },
		{}
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "[MOUNT]",
		.doc = "Show what RAM files share, exactly, or set how equal pages are searched for.\v"
		       "MOUNT is a mount point of the penumbra filesystem, or its id in /sys/fs/penumbra; "
		       "without it, all.",
	};
	struct options o = { .show.one = "mount" };
	int ret = cmdline_parse(&argp, argc, argv, &o);

	return ret ? ret : run(fs, &o);
}
