// SPDX-License-Identifier: GPL-2.0
/* Options that several of run, clone, save and restore have; see vmoptions.h. */
#include <stdlib.h>
#include <string.h>
#include "launch.h"
#include "vmoptions.h"

static error_t parse_ram_file(const char *arg, struct argp_state *state, struct vm_options *o)
{
	o->ram_file = arg;
	if (*arg && (o->may_be_none || strcmp(arg, "none")))
		return 0;
	return cmdline_refuse(state, "--ram-file: give a file or a folder on a penumbra mount%s",
			      o->may_be_none ? ", or none" : "");
}

error_t vm_options_parse(int key, char *arg, struct argp_state *state, struct vm_options *o)
{
	switch (key) {
	case 'p':
		o->paused = true;
		return 0;
	case KEY_OVERLAY:
		o->overlay = arg;
		return 0;
	case KEY_RAM_FILE:
		return parse_ram_file(arg, state, o);
	case KEY_REPLACE:
		o->replace = true;
		return 0;
	case ARGP_KEY_END:
		if (o->replace && !o->ram_file)
			return cmdline_refuse(state, "--replace is of --ram-file FILE");
		return 0;
	default:
		return cmdline_default(key, arg, state);
	}
}

int vm_options_resolve(const char *verb, struct vm_options *o)
{
	return o->overlay ? launch_check_folder(verb, "--disk-overlay", o->overlay, &o->overlay_dir) : 0;
}

void vm_options_free(struct vm_options *o)
{
	free(o->overlay_dir);
	o->overlay_dir = NULL;
}
