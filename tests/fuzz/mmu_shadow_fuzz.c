// SPDX-License-Identifier: GPL-2.0
/*
 * Any sequence of operations in shadow mode: the model machine must find nothing.
 *
 * With clang's libFuzzer: make fuzz-shadow, then build/tests/fuzz/mmu_shadow_fuzz_clang CORPUS.
 * As a test: mmu_shadow_fuzz [number of inputs] [seed], inputs from a generator.
 */
#include <stdio.h>
#include <stdlib.h>

#include "kapi_test.h"
#include "tests/model/shadow_machine.h"

#define MAX_OPS	64

/* How an input is read. */
struct input {
	u8 mode, host, limit, events;
	u32 seed;
	struct sm_op ops[MAX_OPS];
};

static struct sm machine;

static void fail(const char *what)
{
	fprintf(stderr, "# %s\n", what);
	abort();
}

static struct sm_config config_of(const struct input *in)
{
	return (struct sm_config){
		.name = "fuzz", .mode = in->mode % SM_MODES,
		.levels = in->mode % SM_MODES == SM_LA57 || (in->host & 1) ? 5 : 4,
		.max_leaf = in->host & 2 ? 2 : 3, .pages_max = in->limit & 1 ? 10 + in->limit / 8 : 0,
		.mode_pct = in->host >> 4, .races = in->events & 1, .flush_races = in->events & 2,
		.yields = in->events & 4, .switches = in->events & 8,
		.parts = in->events & 16, .sync_some = in->events & 32 ? 8 : 0,
	};
}

static bool ask_resched(void)
{
	return sm_random(&machine, 3) == 0;
}

static void others_run(void)
{
	sm_others_run(&machine);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct sm *m = &machine;
	struct input in = { 0 };
	struct sm_config config;
	size_t i, nr;

	if (size < offsetof(struct input, ops))
		return 0;
	size = min(size, sizeof(in));
	memcpy(&in, data, size);
	nr = (size - offsetof(struct input, ops)) / sizeof(in.ops[0]);
	config = config_of(&in);
	if (sm_init(m, &config, in.seed))
		return 0;
	if (config.yields)
		kapi_set_resched(ask_resched, others_run);
	for (i = 0; i < nr && !m->violations; i++)
		sm_op_do(m, &in.ops[i]);
	kapi_set_resched(NULL, NULL);
	if (m->violations)
		fail(m->first);
	sm_fini(m);
	if (kapi_live() || kapi_warnings())
		fail("allocations are left, or a warning came");
	return 0;
}

#ifndef SHADOW_FUZZ_CLANG
int main(int argc, char **argv)
{
	unsigned long nr = getenv("TEST_LONG") ? 20000 : 150, i;
	u64 rng = argc > 2 ? strtoull(argv[2], NULL, 0) : 88172645463325252ULL;
	static struct input in;
	unsigned int j;

	if (argc > 1)
		nr = strtoul(argv[1], NULL, 0);
	printf("1..1\n");
	for (i = 0; i < nr; i++) {
		for (j = 0; j < MAX_OPS; j++)
			sm_op_random(&in.ops[j], &rng);
		in.seed = rng >> 32;
		in.mode = rng;
		in.host = rng >> 8;
		in.limit = rng >> 16;
		in.events = rng >> 24;
		LLVMFuzzerTestOneInput((const u8 *)&in, sizeof(in));
	}
	printf("ok 1 - %lu random lives of a VM\n", nr);
	return 0;
}
#endif
