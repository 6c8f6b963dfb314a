// SPDX-License-Identifier: GPL-2.0
/*
 * penumbra - run and watch the VMs of penumbra_kvm
 *
 *   penumbra VERB [OPTION...]
 *
 * A verb is a row in the table below and a file builtin-<verb>.c.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "builtin.h"

static const struct builtin builtins[] = {
	{ "doctor", builtin_doctor, "can this machine run Penumbra, and if not, why" },
	{ "run", builtin_run, "start a VM" },
	{ "ls", builtin_ls, "list the running VMs" },
	{ "stat", builtin_stat, "show exits, faults and memory of VMs" },
	{ "set", builtin_set, "change the mode of a VM while it runs" },
	{ "mem", builtin_mem, "show the memory of VMs that have it in RAM files" },
	{ "share", builtin_share, "show what they share, and control the search for more" },
	{ "clone", builtin_clone, "a second VM from one that runs, all memory shared" },
	{ "save", builtin_save, "a VM, its memory included, into a folder" },
	{ "restore", builtin_restore, "a VM from such a folder" },
};

#define NR_BUILTINS	(sizeof(builtins) / sizeof(*builtins))

static void print_usage(FILE *out)
{
	fputs("usage: penumbra VERB [OPTION...]\n\n", out);
	for (size_t i = 0; i < NR_BUILTINS; i++)
		fprintf(out, "  %-8s %s\n", builtins[i].verb, builtins[i].summary);
	fputs("\n'penumbra VERB --help' tells more; 'penumbra --version' which one this is.\n", out);
}

static const struct builtin *find_builtin(const char *verb)
{
	for (size_t i = 0; i < NR_BUILTINS; i++)
		if (!strcmp(builtins[i].verb, verb))
			return &builtins[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const struct builtin *builtin;
	struct hostfs fs;
	int ret;

	if (argc < 2) {
		print_usage(stderr);
		return STATUS_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		print_usage(stdout);
		return STATUS_OK;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("penumbra " VERSION);	/* tools.mk has it */
		return STATUS_OK;
	}
	builtin = find_builtin(argv[1]);
	if (!builtin) {
		fprintf(stderr, "penumbra: '%s' is not a verb; 'penumbra --help' lists them\n",
			argv[1]);
		return STATUS_USAGE;
	}
	ret = hostfs_open(&fs, NULL);
	if (ret) {
		fprintf(stderr, "penumbra: cannot open the folder PENUMBRA_ROOT names: %s\n",
			strerror(-ret));
		return STATUS_FAILED;
	}
	/* a reader that goes away must show as a failed write */
	signal(SIGPIPE, SIG_IGN);
	ret = builtin->run(&fs, argc - 1, argv + 1);
	hostfs_close(&fs);
	return ret;
}
