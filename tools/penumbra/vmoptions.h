/* SPDX-License-Identifier: GPL-2.0 */
/* Options that several of run, clone, save and restore have. */
#ifndef PENUMBRA_VMOPTIONS_H
#define PENUMBRA_VMOPTIONS_H

#include "builtin.h"

struct vm_options {
	const char *ram_file;	/* a file, a folder or, where @may_be_none, "none"; NULL: not given */
	bool may_be_none;
	bool replace;		/* ... even if there is one with something in it */
	bool paused;
	const char *overlay;	/* as it was given */
	char *overlay_dir;	/* from the root: vm_options_resolve() */
};

enum { KEY_RAM_FILE = 0x400, KEY_REPLACE, KEY_OVERLAY };

/* Rows of a verb's table. What they do there, in the verb's words, and their place in --help. */
#define OPTION_PAUSED(doc, group)	{ "paused", 'p', NULL, 0, doc, group }
#define OPTION_OVERLAY(doc, group)	{ "disk-overlay", KEY_OVERLAY, "FOLDER", 0, doc, group }
#define OPTION_RAM_FILE(arg, doc, group) { "ram-file", KEY_RAM_FILE, arg, 0, doc, group }
#define OPTION_REPLACE(group) \
	{ "replace", KEY_REPLACE, NULL, 0, "... and what an old FILE holds is lost", group }

/* For these keys and those that the verb's own parser does not know. */
error_t vm_options_parse(int key, char *arg, struct argp_state *state, struct vm_options *o);

/* Where overlays go. 0, or an exit status after one line; vm_options_free() either way. */
int vm_options_resolve(const char *verb, struct vm_options *o);
void vm_options_free(struct vm_options *o);

#endif
