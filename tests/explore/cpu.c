// SPDX-License-Identifier: GPL-2.0
/*
 * Processors that run the guest: they use what their TLBs have, walk our tables, fault into mmu/, load CR3, flush. Each
 * access must end as the oracle allows, in a page that the host still has there.
 */
#include "tests/explore/machine.h"
#include "tests/explore/steps.h"

#define TRIES		60
#define TRIES_AT_ONCE	10		/* then others go on: what it waits for may be theirs */

static bool lets(u64 entry, const struct access *a)
{
	return (entry & PT_PRESENT) && (!a->write || (entry & PT_WRITE)) && (!a->user || (entry & PT_USER));
}

/* A fault empties what it came from. */
static bool faults(struct cpu *cpu, unsigned int place)
{
	cpu->tlb[place].valid = false;
	cpu->leaf_table[place] = NULL;
	return false;
}

/* Where the leaf entry is in our tables; *entry, *level: it. NULL: some entry on the way does not let the access through. */
static u64 *walk(struct machine *m, struct cpu *cpu, const struct access *a, u64 *entry, int *level)
{
	gva_t gva = m->place[a->place];
	u64 *table = phys_to_virt(mmu_root(&cpu->mmu)), *slot;

	*level = 4;
	if (m->structure_cache && cpu->leaf_table[a->place]) {
		table = cpu->leaf_table[a->place];
		*level = 1;
	}
	for (;; --*level) {
		if (*level == 1)
			cpu->leaf_table[a->place] = table;
		slot = &table[index_of(gva, *level)];
		*entry = READ_ONCE(*slot);
		if (*entry == 0xdbdbdbdbdbdbdbdb)
			wrong(m, "walks a table that is free", gva, *level);
		if (!lets(*entry, a))
			return NULL;
		if (*level == 1 || (*level == 2 && (*entry & PT_LARGE)))
			return slot;
		table = phys_to_virt(*entry & PT_ADDR);
	}
}

static u64 pfn_of(u64 entry, int level, gva_t gva)
{
	u64 pfn = (entry & PT_ADDR) >> PAGE_SHIFT;

	return level == 2 ? round_down(pfn, MMU_ENTRIES) + index_of(gva, 1) : pfn;
}

/* By the TLB or our tables, whose accessed and dirty bits it sets. False: a fault. */
static bool translate(struct machine *m, struct cpu *cpu, const struct access *a, u64 *pfn)
{
	struct tlb_entry *t = &cpu->tlb[a->place];
	u64 *slot, entry;
	int level;

	if (t->valid && (!a->write || (t->write && t->dirty)) && (!a->user || t->user)) {
		*pfn = t->pfn;
		return true;
	}
	if (t->valid && !(a->write && t->write && !t->dirty))
		return faults(cpu, a->place);
	do {
		slot = walk(m, cpu, a, &entry, &level);
		if (!slot)
			return faults(cpu, a->place);
	} while (!try_cmpxchg(slot, &entry, entry | PT_ACCESSED | (a->write ? PT_DIRTY : 0)));
	*t = (struct tlb_entry){
		.valid = true, .large = level == 2, .write = entry & PT_WRITE, .user = entry & PT_USER,
		.dirty = a->write || (entry & PT_DIRTY), .pfn = pfn_of(entry, level, m->place[a->place]),
	};
	*pfn = t->pfn;
	return true;
}

/* What the guest does between two exits. False: a fault. */
static bool runs(struct machine *m, unsigned int c, const struct access *a)
{
	struct outcome o = { .access = a };
	struct cpu *cpu = &m->cpu[c];
	u64 pfn;

	if (!translate(m, cpu, a, &pfn))
		return false;
	o.gfn = pfn % FRAMES;
	kapi_step();
	trace(m, "cpu %u reaches %llu", c, o.gfn);
	if (m->host.pfn[o.gfn] != pfn)
		wrong(m, "reaches a page that is not the host's any more", m->place[a->place], pfn);
	if (!oracle_allows(m, c, &o))
		wrong(m, "reaches what the guest's tables do not say", m->place[a->place], o.gfn);
	if (!a->write)
		return true;
	if (a->edit && a->edit->gfn == o.gfn)
		machine_store(m, a->edit);
	else
		m->host.version[o.gfn]++;
	return true;
}

/* False: the guest gets the fault. */
static bool handled(struct machine *m, unsigned int c, const struct access *a)
{
	u64 code = (a->write ? MMU_PF_WRITE : 0) | (a->user ? MMU_PF_USER : 0);
	struct outcome o = { .access = a, .fault = true };
	struct mmu_vcpu *vcpu = &m->cpu[c].mmu;
	gva_t gva = m->place[a->place];
	enum mmu_verdict verdict = MMU_SLEEP;

	if (any(m, 2))
		verdict = mmu_shadow_fault(vcpu, gva, code, 0, 0, MMU_ATOMIC);
	if (verdict == MMU_SLEEP)
		verdict = mmu_shadow_fault(vcpu, gva, code, 0, 0, 0);
	if (verdict == MMU_RESUME)
		return true;
	if (verdict != MMU_REFLECT) {
		wrong(m, "an unexpected verdict", verdict, gva);
		return false;
	}
	o.code = vcpu->fault.exception_error;
	trace(m, "cpu %u gets the fault, code %#x", c, o.code);
	if (!oracle_allows(m, c, &o))
		wrong(m, "a fault that the guest's tables do not say", gva, o.code);
	return false;
}

void cpu_access(struct machine *m, unsigned int c, const struct access *a)
{
	unsigned int i;
	bool done;

	for (i = 0; i < TRIES; i++) {
		if (i > TRIES_AT_ONCE)
			steps_give_way();
		trace(m, "cpu %u %s %#lx%s", c, a->write ? "writes" : "reads", m->place[a->place],
		      a->user ? ", user" : "");
		m->cpu[c].inside = true;
		done = runs(m, c, a);
		m->cpu[c].inside = false;
		steps_wake();
		if (done)
			return;
		kapi_step();
		if (!handled(m, c, a))
			return;
	}
	if (steps_me() < 0)
		wrong(m, "never goes through", m->place[a->place], 0);
}

static struct mmu_paging paging_of(const struct cpu *cpu, gfn_t root)
{
	return (struct mmu_paging){
		.cr0 = X86_CR0_PE | X86_CR0_PG | (cpu->wp ? X86_CR0_WP : 0),
		.cr4 = X86_CR4_PAE | (cpu->pge ? X86_CR4_PGE : 0),
		.efer = EFER_LME | EFER_LMA | EFER_NX, .pat = 0x0007040600070406ull,
		.maxphyaddr = 40, .cr3 = root << PAGE_SHIFT,
	};
}

void cpu_load(struct machine *m, unsigned int c, gfn_t root, unsigned int what)
{
	struct cpu *cpu = &m->cpu[c];
	struct mmu_paging p = paging_of(cpu, root);
	enum mmu_verdict verdict = MMU_SLEEP;
	unsigned int begun = m->now;

	kapi_step();
	trace(m, "cpu %u loads %llu%s", c, root, what == MMU_LOAD_ALL ? ", all is flushed" : "");
	if (any(m, 2))
		verdict = mmu_load(&cpu->mmu, &p, what, MMU_ATOMIC);
	if (verdict == MMU_SLEEP)
		verdict = mmu_load(&cpu->mmu, &p, what, 0);
	if (verdict != MMU_RESUME)
		wrong(m, "an unexpected verdict of a load", verdict, root);
	memset(cpu->tlb, 0, sizeof(cpu->tlb));
	memset(cpu->leaf_table, 0, sizeof(cpu->leaf_table));
	if (cpu->nr_before == LOADS)
		abort();
	cpu->before[cpu->nr_before].root = cpu->root;
	cpu->before[cpu->nr_before++].until = ++m->now;
	cpu->root = root;
	cpu->flushed = max(cpu->flushed, begun);
	if (what == MMU_LOAD_ALL || !cpu->pge)
		cpu->flushed_all = max(cpu->flushed_all, begun);
	trace(m, "cpu %u has loaded", c);
}

void cpu_invlpg(struct machine *m, unsigned int c, unsigned int place)
{
	struct cpu *cpu = &m->cpu[c];
	gva_t gva = m->place[place];
	unsigned int begun = m->now, i;

	kapi_step();
	trace(m, "cpu %u INVLPG %#lx", c, gva);
	if (mmu_invlpg(&cpu->mmu, gva))
		memset(cpu->tlb, 0, sizeof(cpu->tlb));
	memset(cpu->leaf_table, 0, sizeof(cpu->leaf_table));
	cpu->tlb[place].valid = false;
	cpu->flushed_page[place] = max(cpu->flushed_page[place], begun);
	for (i = 0; i < m->nr_places; i++) {
		if (m->place[i] >> 21 != gva >> 21)
			continue;
		if (cpu->tlb[i].large)
			cpu->tlb[i].valid = false;
		cpu->flushed_region[i] = max(cpu->flushed_region[i], begun);
	}
}
