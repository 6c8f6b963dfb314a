// SPDX-License-Identifier: GPL-2.0
/* The filesystem's tests, all of them or those named. */
#include "fs.h"

#include <string.h>

static const struct {
	const char *name;
	void (*run)(void);
} suites[] = {
	{ "names", test_names },
	{ "data", test_data },
	{ "random", test_random },
	{ "maps", test_maps },
	{ "huge", test_huge },
	{ "clones", test_clones },
	{ "pins", test_pins },
	{ "groups", test_groups },
	{ "reports", test_reports },
	{ "limits", test_limits },
	{ "cgroups", test_cgroups },
	{ "edges", test_edges },
	{ "poison", test_poison },
};

static bool wanted(int argc, char **argv, const char *name)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc == 1;
}

int main(int argc, char **argv)
{
	unsigned int i;

	for (i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		if (!wanted(argc, argv, suites[i].name))
			continue;
		tap_note("%s", suites[i].name);
		suites[i].run();
	}
	tap_eq(fs_counter("files"), 0, "no file is left");
	tap_eq(fs_counter("groups"), 0, "no group is left");
	tap_eq(fs_mount_stat(DIR_PENUMBRA, "frame_pages"), 0, "no frame is left");
	return tap_done();
}
