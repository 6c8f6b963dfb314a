// SPDX-License-Identifier: GPL-2.0
/* What the verbs share at their edges: arguments, complaints, JSON. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "builtin.h"
#include "libpenumbra/platform.h"
#include "libpenumbra/ramfiles.h"
#include "libpenumbra/vms.h"

__attribute__((format(printf, 2, 0)))
static void complain(const char *who, const char *fmt, va_list args)
{
	fflush(stdout);
	fprintf(stderr, "%s: ", who);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
}

error_t cmdline_refuse(struct argp_state *state, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	complain(state->name, fmt, args);
	va_end(args);
	state->hook = state;	/* told: see cmdline_default() */
	return EINVAL;
}

/* Is @arg an option of the verb that takes a value, given without one? */
static bool lacks_value(const struct argp *argp, const char *arg)
{
	const struct argp_option *o = argp->options;

	for (; o && (o->name || o->key || o->doc); o++) {
		if (!o->arg || (o->flags & OPTION_ARG_OPTIONAL))
			continue;
		if (o->name && !strncmp(arg, "--", 2) && !strcmp(arg + 2, o->name))
			return true;
		if (arg[0] == '-' && arg[1] == o->key && !arg[2])
			return true;
	}
	return false;
}

error_t cmdline_default(int key, char *arg, struct argp_state *state)
{
	const char *bad;

	switch (key) {
	case ARGP_KEY_ARG:
		return cmdline_refuse(state, "'%s': unexpected argument; see '%s --help'",
				      arg, state->name);
	case ARGP_KEY_ERROR:
		if (state->hook)
			return 0;
		/* getopt has stepped over what it could not use */
		bad = state->argv[state->next > 1 ? state->next - 1 : 0];
		if (lacks_value(state->root_argp, bad))
			cmdline_refuse(state, "%s needs a value; see '%s --help'", bad,
				       state->name);
		else
			cmdline_refuse(state, "'%s': unknown option; see '%s --help'", bad,
				       state->name);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

error_t cmdline_show(int key, char *arg, struct argp_state *state, struct show_options *o)
{
	if (key == 'j') {
		o->json = true;
		return 0;
	}
	if (key != ARGP_KEY_ARG || !o->one)
		return cmdline_default(key, arg, state);
	if (o->which)
		return cmdline_refuse(state, "'%s': one %s, or none for all", arg, o->one);
	o->which = arg;
	return 0;
}

error_t cmdline_show_only(int key, char *arg, struct argp_state *state)
{
	return cmdline_show(key, arg, state, state->input);
}

int cmdline_parse(const struct argp *argp, int argc, char **argv, void *input)
{
	char name[32], *verb = argv[0];
	error_t err;

	snprintf(name, sizeof(name), "penumbra %s", verb);
	/* argp, told to leave the complaining to us, would not print its help either */
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			argp_help(argp, stdout, ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC, name);
			exit(output_finish(verb));
		}
	argv[0] = name;		/* for cmdline_refuse() */
	err = argp_parse(argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, input);
	argv[0] = verb;
	return err ? STATUS_USAGE : 0;
}

int fail(const char *verb, const char *fmt, ...)
{
	char who[32];
	va_list args;

	snprintf(who, sizeof(who), "penumbra %s", verb);
	va_start(args, fmt);
	complain(who, fmt, args);
	va_end(args);
	return STATUS_FAILED;
}

int fail_no_module(const struct hostfs *fs, const char *verb, int err)
{
	if (err != -ENOENT)
		return fail(verb, "cannot read " VMS_DIR ": %s", strerror(-err));
	if (platform_module(fs, "penumbra_kvm") != MODULE_ABSENT)
		return fail(verb, "penumbra_kvm is loaded but " VMS_DIR
			    " is missing: is /sys mounted?");
	if (platform_module(fs, "kvm_amd") != MODULE_ABSENT ||
	    platform_module(fs, "kvm_intel") != MODULE_ABSENT)
		return fail(verb, "the stock kvm module is loaded, which has no " VMS_DIR
			    ": unload it and load penumbra_kvm");
	return fail(verb, "penumbra_kvm is not loaded: load it first ('penumbra doctor' tells how)");
}

int fail_no_ram(const struct hostfs *fs, const char *verb, int err)
{
	if (err != -ENOENT)
		return fail(verb, "cannot read " RAM_DIR ": %s", strerror(-err));
	if (platform_module(fs, "penumbra_mem") == MODULE_ABSENT)
		return fail(verb, "penumbra_mem is not loaded: modprobe penumbra_mem, then mount -t "
			    "penumbra none " RAM_MOUNT);
	return fail(verb, "no penumbra filesystem is mounted: mount -t penumbra none " RAM_MOUNT);
}

int output_finish(const char *verb)
{
	if (fflush(stdout) || ferror(stdout))
		return fail(verb, "cannot write the output: %s", strerror(errno));
	return STATUS_OK;
}

int output_json(const char *verb, struct json_object *object, bool compact)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE;
	const char *text;

	flags |= compact ? JSON_C_TO_STRING_PLAIN : JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED;
	text = object ? json_object_to_json_string_ext(object, flags) : NULL;
	if (!text)
		return fail(verb, "out of memory");
	puts(text);
	json_object_put(object);
	return output_finish(verb);
}
