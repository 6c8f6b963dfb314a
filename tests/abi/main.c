// SPDX-License-Identifier: GPL-2.0
/*
 * abi [GROUP...]: all groups of API tests, or those named. TAP on stdout.
 */
#include "abi.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{ "system", abi_system },
	{ "vm", abi_vm },
	{ "slots", abi_slots },
	{ "regs", abi_regs },
	{ "sregs", abi_sregs },
	{ "fpu", abi_fpu },
	{ "msrs", abi_msrs },
	{ "cpuid", abi_cpuid },
	{ "run", abi_run },
	{ "events", abi_events },
	{ "signal", abi_signal },
	{ "debug", abi_debug },
	{ "dirty", abi_dirty },
	{ "eventfd", abi_eventfd },
	{ "coalesced", abi_coalesced },
	{ "stats", abi_stats },
	{ "state", abi_state },
	{ "notifier", abi_notifier },
	{ "mode", abi_mode },
};

bool abi_runs_to(struct vmm *v, uint32_t reason, const char *fmt, ...)
{
	char name[256];
	int ret = vmm_run(v, 0), err = errno;
	uint32_t got = v->run[0]->exit_reason;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	if (tap_ok(!ret && got == reason, "%s", name))
		return true;
	tap_note("expected exit %s (%u), got %s (%u), KVM_RUN returned %d errno %d, rip %#llx",
		 vmm_exit_name(reason), reason, vmm_exit_name(got), got, ret, ret ? err : 0,
		 (unsigned long long)vmm_regs(v, 0).rip);
	return false;
}

static bool wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(name, argv[i]))
			return true;
	return argc < 2;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (!wanted(groups[i].name, argc, argv))
			continue;
		tap_note("group %s", groups[i].name);
		alarm(60);
		groups[i].run();
		alarm(0);
	}
	return tap_done();
}
