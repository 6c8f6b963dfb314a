// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation of a VM's life refused in turn: it ends in -ENOMEM where it
 * must, nothing leaks, the tables stay sound, and the next try succeeds.
 */
#include <stdio.h>

#include "kapi_test.h"
#include "tests/model/nested_machine.h"

static struct nm m;

/* A short life with faults in many tables. False when it could not begin. */
static bool live(void)
{
	int i;

	if (nm_init(&m, NM_NPT, 5, 7))
		return false;
	for (i = 0; i < 40; i++) {
		/* A fault that gets no table fails; the guest (user space) may run on and try again. */
		gfn_t gfn = NM_BASE + 512 + (i * 300) % 1500;

		nm_access(&m, i % NM_VCPUS, gfn, true, NULL);
		nm_audit(&m);
		if (i % 8 == 7)
			mmu_reclaim(&m.vm, 2);
		if (i == 20)
			nm_log_start(&m, 0);
		if (i == 30)
			nm_log_stop(&m, 0);
	}
	for (i = 0; i < 40; i++)
		if (nm_access(&m, 0, NM_BASE + 512 + i * 30, true, NULL) != NM_DONE && !kapi_failed())
			nm_violation(&m, "access failed although memory is back", i);
	nm_fini(&m);
	return true;
}

int main(void)
{
	unsigned long n, total, before = kapi_allocs();
	bool ok = true;

	live();
	total = kapi_allocs() - before;
	for (n = 1; n <= total && ok; n++) {
		kapi_fail_nth(n);
		live();
		ok = !m.violations && !kapi_live() && !kapi_warnings();
		if (!ok)
			printf("# allocation %lu: %s, %lu alive\n", n, m.first, kapi_live());
	}
	kapi_fail_nth(0);
	printf("1..2\n%sok 1 - each of %lu allocations refused\n", ok ? "" : "not ", total);
	printf("%sok 2 - and then a whole life\n", live() && !m.violations && !kapi_live() ? "" : "not ");
	return 0;
}
