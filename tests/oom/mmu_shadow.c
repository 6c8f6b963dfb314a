// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation of a VM's life in shadow mode refused in turn: what must fails with
 * -ENOMEM and nothing else, nothing leaks, the tables stay sound, and the next try succeeds.
 */
#include <stdio.h>

#include "kapi_test.h"
#include "tests/model/shadow_machine.h"

#define STEPS	40

static const struct sm_config configs[] = {
	{ .name = "4 levels", .mode = SM_LONG, .levels = 4, .max_leaf = 3, .mode_pct = 5, .switches = true },
	{ .name = "32-bit", .mode = SM_PSE, .levels = 4, .max_leaf = 3, .pages_max = 10, .mode_pct = 10,
	  .switches = true },
};

static struct sm m;

/* A short life. False when it could not begin. */
static bool live(const struct sm_config *c)
{
	u64 rng = 12345;
	struct sm_op op;
	int i;

	if (sm_init(&m, c, 1))
		return false;
	for (i = 0; i < STEPS && !m.violations; i++) {
		sm_op_random(&op, &rng);
		if (i == STEPS / 2)
			op.what = 255;		/* the other mode, for a while */
		sm_op_do(&m, &op);
	}
	sm_set_mode(&m, true);
	/* User space may try again when memory is back. */
	for (i = 0; i < SM_VCPUS && !m.violations; i++) {
		struct sm_access x = { .gva = 0x1000 };

		if (sm_access(&m, &m.vcpu[i], &x) == SM_ERROR && !kapi_failed())
			sm_violation(&m, "access failed although memory is back", i);
	}
	sm_fini(&m);
	return true;
}

static bool refuse_each(const struct sm_config *c, unsigned long *total)
{
	unsigned long n, before = kapi_allocs();

	if (!live(c) || m.violations)
		return false;
	*total = kapi_allocs() - before;
	for (n = 1; n <= *total; n++) {
		kapi_fail_nth(n);
		live(c);
		if (!m.violations && !kapi_live() && !kapi_warnings())
			continue;
		printf("# allocation %lu: %s, %lu alive\n", n, m.first, kapi_live());
		return false;
	}
	kapi_fail_nth(0);
	return true;
}

int main(void)
{
	unsigned long total = 0;
	unsigned int i;
	bool ok;

	printf("1..%zu\n", ARRAY_SIZE(configs));
	for (i = 0; i < ARRAY_SIZE(configs); i++) {
		ok = refuse_each(&configs[i], &total) && live(&configs[i]) && !m.violations &&
		     !kapi_live();
		printf("%sok %u - %s: each of %lu allocations refused\n", ok ? "" : "not ", i + 1,
		       configs[i].name, total);
	}
	return 0;
}
