// SPDX-License-Identifier: GPL-2.0
/*
 * Any sequence of operations on RAM files: the model machine must find nothing.
 *
 * With clang's libFuzzer: make fuzz-mem, then build/tests/fuzz/mem_fuzz_clang CORPUS.
 * As a test: mem_fuzz [number of inputs] [seed], inputs from a generator.
 */
#include <stdio.h>
#include <stdlib.h>

#include "kapi_test.h"
#include "tests/model/mem_ops.h"

#define MAX_OPS	48

/* How an input is read. */
struct input {
	u8 huge, others, refuse, limit;
	struct mm_op ops[MAX_OPS];
};

static struct mm machine;

static void fail(const char *what)
{
	fprintf(stderr, "# %s\n", what);
	abort();
}

static void config_of(struct mm_config *c, const struct input *in)
{
	*c = (struct mm_config){
		.name = "fuzz", .huge = in->huge & 1, .reserve = in->huge >> 1 & 15,
		.max_pages = in->limit & 1 ? 600 + in->limit * 8 : 0,
		.refuse_pct = in->refuse % 64, .others_pct = in->others % 64,
	};
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct mm *m = &machine;
	struct mm_config config;
	struct input in = { 0 };
	size_t i, nr;

	if (size < 4)
		return 0;
	size = min(size, sizeof(in));
	memcpy(&in, data, size);
	nr = (size - offsetof(struct input, ops)) / sizeof(in.ops[0]);
	config_of(&config, &in);
	if (mm_init(m, &config))
		return 0;
	mm_file_new(m, 0, 0, MM_PAGES, false);
	mm_file_new(m, 1, 0, 700, false);
	mm_vma_new(m, 0, 0, 0, MM_PAGES, true, true);
	mm_vma_new(m, 1, 1, 0, MM_PAGES, true, false);
	for (i = 0; i < nr && !m->violations; i++) {
		mm_op_do(m, &in.ops[i]);
		mm_check(m);
	}
	if (!m->violations)
		mm_check_all(m);
	if (!m->violations)
		mm_fini(m);
	if (m->violations)
		fail(m->first);
	if (kapi_live() || kapi_warnings())
		fail("allocations are left, or a warning came");
	return 0;
}

#ifndef MEM_FUZZ_CLANG
int main(int argc, char **argv)
{
	unsigned long nr = getenv("TEST_LONG") ? 20000 : 300, i;
	u64 seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 88172645463325252ULL;
	static struct input in;
	unsigned int j;

	if (argc > 1)
		nr = strtoul(argv[1], NULL, 0);
	printf("1..1\n");
	for (i = 0; i < nr; i++) {
		u64 rng = seed + i * 0x9e3779b97f4a7c15ull;

		for (j = 0; j < MAX_OPS; j++)
			mm_op_random(&in.ops[j], &rng);
		in.huge = in.ops[0].seed;
		in.others = in.ops[1].seed;
		in.refuse = in.ops[2].seed;
		in.limit = in.ops[3].seed;
		LLVMFuzzerTestOneInput((const u8 *)&in, sizeof(in));
	}
	printf("ok 1 - %lu random lives of a pool\n", nr);
	return 0;
}
#endif
