/* SPDX-License-Identifier: GPL-2.0 */
/* The verbs of the penumbra command: one builtin-<verb>.c each. */
#ifndef PENUMBRA_BUILTIN_H
#define PENUMBRA_BUILTIN_H

#include <argp.h>
#include <json-c/json.h>
#include <stdbool.h>
#include "libpenumbra/hostfs.h"

/* Exit statuses. */
enum {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
};

/* The version of every --json output; docs/abi.md. */
#define JSON_SCHEMA	1

struct builtin {
	const char *verb;
	int (*run)(const struct hostfs *fs, int argc, char **argv);	/* an exit status */
	const char *summary;
};

int builtin_doctor(const struct hostfs *fs, int argc, char **argv);
int builtin_run(const struct hostfs *fs, int argc, char **argv);
int builtin_ls(const struct hostfs *fs, int argc, char **argv);
int builtin_stat(const struct hostfs *fs, int argc, char **argv);
int builtin_set(const struct hostfs *fs, int argc, char **argv);
int builtin_mem(const struct hostfs *fs, int argc, char **argv);
int builtin_share(const struct hostfs *fs, int argc, char **argv);
int builtin_clone(const struct hostfs *fs, int argc, char **argv);
int builtin_save(const struct hostfs *fs, int argc, char **argv);
int builtin_restore(const struct hostfs *fs, int argc, char **argv);

/* ---- cmdline.c ---- */

/*
 * Parse a verb's arguments; argv[0] is the verb. Returns 0, or STATUS_USAGE
 * after one line on standard error. --help prints and exits.
 */
int cmdline_parse(const struct argp *argp, int argc, char **argv, void *input);

/* What a verb's parser does with the keys it does not know. */
error_t cmdline_default(int key, char *arg, struct argp_state *state);

/* The options of a verb that shows something. */
struct show_options {
	bool json;
	const char *which;	/* its one argument; NULL: all */
	const char *one;	/* what that is, in words; NULL: it takes none */
};

#define OPTION_JSON(doc, group)	{ "json", 'j', NULL, 0, doc, group }

/* For these and the keys that the verb's own parser does not know. */
error_t cmdline_show(int key, char *arg, struct argp_state *state, struct show_options *o);
/* The parser of a verb that has no others: its input is a struct show_options. */
error_t cmdline_show_only(int key, char *arg, struct argp_state *state);

/* Refuse an argument: one line on standard error. Returns what the parser must return. */
error_t cmdline_refuse(struct argp_state *state, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The work itself failed: one line on standard error. Returns STATUS_FAILED. */
int fail(const char *verb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One line on why /sys/kernel/penumbra cannot be read (@err, negative). STATUS_FAILED. */
int fail_no_module(const struct hostfs *fs, const char *verb, int err);

/* One line on why there are no RAM files to be seen (@err, negative). STATUS_FAILED. */
int fail_no_ram(const struct hostfs *fs, const char *verb, int err);

/* Print @object, on one line when @compact, and put it. An exit status. */
int output_json(const char *verb, struct json_object *object, bool compact);

/* Flush standard output and see whether all of it arrived. An exit status. */
int output_finish(const char *verb);

#endif
