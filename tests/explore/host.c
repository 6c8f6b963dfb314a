// SPDX-License-Identifier: GPL-2.0
/*
 * The host of a run: what mmu/ asks of it, pages that move and go, and its dirty log. Every page it ever gave a frame has a
 * number of its own, so a use of an old one shows.
 */
#include "tests/explore/machine.h"
#include "tests/explore/steps.h"

static void give_page(struct machine *m, gfn_t gfn)
{
	struct host *h = &m->host;
	gfn_t i;

	if (!h->large) {
		h->pfn[gfn] = h->next_pfn + gfn;
		h->next_pfn += FRAMES;
		return;
	}
	h->next_pfn += MMU_ENTRIES;
	for (i = 0; i < FRAMES; i++)
		h->pfn[i] = h->next_pfn + i;
}

static void gfn_to_page(struct mmu_vm *vm, gfn_t gfn, unsigned int flags, struct mmu_host_page *out)
{
	struct machine *m = container_of(vm, struct machine, vm);

	kapi_step();
	out->around_nr = 0;
	out->kind = gfn < FRAMES ? MMU_HOST_RAM : MMU_HOST_NO_SLOT;
	if (gfn >= FRAMES)
		return;
	if (!m->host.pfn[gfn])
		give_page(m, gfn);
	out->pfn = m->host.pfn[gfn];
	out->writable = true;
	out->dirty_log = m->host.logs;
	out->max_level = m->host.large ? 2 : 1;
}

static u64 *guest_word(struct mmu_vm *vm, gpa_t gpa)
{
	struct machine *m = container_of(vm, struct machine, vm);

	kapi_step();
	return gpa >> PAGE_SHIFT < FRAMES ? &m->memory[gpa >> PAGE_SHIFT][gpa / 8 % MMU_ENTRIES] : NULL;
}

static int read_guest(struct mmu_vcpu *vcpu, gpa_t gpa, void *buf, unsigned int len, unsigned int flags)
{
	u64 *word = guest_word(vcpu->vm, gpa);

	if (!word || len != sizeof(*word))
		return -EFAULT;
	memcpy(buf, word, sizeof(*word));
	return 0;
}

static int cmpxchg_guest(struct mmu_vcpu *vcpu, gpa_t gpa, u64 old, u64 new, unsigned int size,
			 unsigned int flags)
{
	u64 *word = guest_word(vcpu->vm, gpa);

	if (!word)
		return -EFAULT;
	if (*word != old)
		return 1;
	*word = new;
	return 0;
}

static bool somebody_inside(const struct machine *m)
{
	unsigned int c;

	for (c = 0; c < CPUS; c++)
		if (m->cpu[c].inside)
			return true;
	return false;
}

/* Processors leave the guest, and come back with nothing. */
static void flush(struct mmu_vm *vm)
{
	struct machine *m = container_of(vm, struct machine, vm);
	unsigned int c;

	kapi_step();
	while (somebody_inside(m))
		steps_wait();
	for (c = 0; c < CPUS; c++) {
		memset(m->cpu[c].tlb, 0, sizeof(m->cpu[c].tlb));
		memset(m->cpu[c].leaf_table, 0, sizeof(m->cpu[c].leaf_table));
	}
	trace(m, "the host has flushed");
	kapi_step();
}

static void gfn_written(struct mmu_vm *vm, gfn_t gfn, u64 nr)
{
	struct machine *m = container_of(vm, struct machine, vm);

	for (; nr--; gfn++)
		if (gfn < FRAMES)
			m->host.written |= BIT(gfn);
}

static void *pfn_to_virt(struct mmu_vm *vm, u64 pfn)
{
	struct machine *m = container_of(vm, struct machine, vm);

	if (m->host.pfn[pfn % FRAMES] != pfn)
		wrong(m, "mmu/ reads a page that is not the host's any more", pfn, m->host.pfn[pfn % FRAMES]);
	return m->memory[pfn % FRAMES];
}

const struct mmu_host_ops host_ops = {
	.gfn_to_page = gfn_to_page, .read_guest = read_guest, .cmpxchg_guest = cmpxchg_guest,
	.flush = flush, .gfn_written = gfn_written, .pfn_to_virt = pfn_to_virt,
};

void host_move(struct machine *m, gfn_t gfn, bool drop)
{
	struct host *h = &m->host;
	gfn_t first = h->large ? 0 : gfn, end = h->large ? MMU_ENTRIES : gfn + 1;

	trace(m, "the host %s %llu", drop ? "drops" : "moves", gfn);
	mmu_invalidate_begin(&m->vm, first, end);
	kapi_step();
	if (!drop)
		give_page(m, gfn);
	else if (h->large)
		memset(h->pfn, 0, sizeof(h->pfn));
	else
		h->pfn[gfn] = 0;
	kapi_step();
	mmu_invalidate_end(&m->vm);
}

void host_write(struct machine *m, const struct edit *e)
{
	mmu_guest_write_begin(&m->vm, (e->gfn << PAGE_SHIFT) + e->index * sizeof(u64), sizeof(u64));
	kapi_step();
	machine_store(m, e);
	kapi_step();
	m->host.written |= BIT(e->gfn);
	mmu_guest_write_end(&m->vm);
}

void host_copy_dirty(struct machine *m)
{
	struct host *h = &m->host;
	unsigned long taken[BITS_TO_LONGS(FRAMES)];
	unsigned int i;

	mmu_dirty_take(&m->vm, 0, FRAMES, &h->written, taken);
	for_each_set_bit(i, taken, FRAMES)
		h->copied[i] = h->version[i];
	trace(m, "the host has copied %#lx", taken[0]);
}

void host_restart_log(struct machine *m)
{
	struct host *h = &m->host;

	if (!h->logs)
		return;
	h->logs = false;
	mmu_dirty_log_stop(&m->vm, 0, FRAMES);
	kapi_step();
	h->logs = true;
	mmu_dirty_log_start(&m->vm, 0, FRAMES);
	memcpy(h->copied, h->version, sizeof(h->copied));
}

void host_check_log(struct machine *m)
{
	const struct host *h = &m->host;
	gfn_t gfn;

	if (!h->logs)
		return;
	host_copy_dirty(m);
	for (gfn = 0; gfn < FRAMES; gfn++)
		if (h->copied[gfn] != h->version[gfn])
			wrong(m, "a write that the dirty log does not know of", gfn, h->version[gfn] - h->copied[gfn]);
}
