// SPDX-License-Identifier: GPL-2.0
/* The machine of a run: its beginning and end, the guest's memory and its history, what is reported. */
#include <stdarg.h>
#include <stdio.h>

#include "kapi_test.h"
#include "tests/explore/machine.h"
#include "tests/explore/steps.h"

void machine_init(struct machine *m, u64 seed)
{
	static const struct mmu_vm_config config = {
		.host = &host_ops, .format = &mmu_format_npt, .levels = 4, .max_leaf = 3,
	};
	bool traces = m->traces;

	memset(m, 0, sizeof(*m));
	m->traces = traces;
	m->random = seed;
	m->now = 1;
	m->host.next_pfn = 1 << 20;
	mmu_vm_init(&m->vm, &config);
}

void machine_fini(struct machine *m)
{
	unsigned int c;

	for (c = 0; c < CPUS; c++)
		mmu_vcpu_fini(&m->cpu[c].mmu);
	mmu_vm_fini(&m->vm);
	if (kapi_live())
		wrong(m, "allocations not freed", kapi_live(), 0);
}

void trace(const struct machine *m, const char *fmt, ...)
{
	va_list ap;

	if (!m->traces)
		return;
	printf("# actor %d, step %lu: ", steps_me(), steps_done());
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

void wrong(struct machine *m, const char *what, u64 a, u64 b)
{
	trace(m, "WRONG: %s: %#llx, %#llx", what, a, b);
	if (m->failed)
		return;
	m->failed = true;
	snprintf(m->why, sizeof(m->why), "%s: %#llx, %#llx (actor %d, step %lu)",
		 what, a, b, steps_me(), steps_done());
}

void machine_store(struct machine *m, const struct edit *e)
{
	u64 *entry = &m->memory[e->gfn][e->index];

	if (m->nr_changes == CHANGES)
		abort();
	m->change[m->nr_changes++] = (struct change){ e->gfn, e->index, *entry, ++m->now };
	*entry = e->value;
	m->host.version[e->gfn]++;
	trace(m, "table %llu [%u] = %#llx", e->gfn, e->index, e->value);
}

static void report(void *ctx, const char *what, gfn_t gfn, u64 entry)
{
	wrong(ctx, what, gfn, entry);
}

void machine_audit(struct machine *m)
{
	mmu_audit(&m->vm, report, m);
}
