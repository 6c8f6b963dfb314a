// SPDX-License-Identifier: GPL-2.0
/* The model machine of nested_machine.h. */
#include <stdio.h>

#include "tests/model/nested_machine.h"

static struct nm *nm_of(struct mmu_vm *vm)
{
	return container_of(vm, struct nm, vm);
}

u32 nm_random(struct nm *m, u32 below)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 7;
	m->rng ^= m->rng << 17;
	return (u32)(m->rng >> 11) % below;
}

static bool chance(struct nm *m, unsigned int pct)
{
	return pct && nm_random(m, 100) < pct;
}

void nm_violation(struct nm *m, const char *what, gfn_t gfn)
{
	if (!m->violations++)
		snprintf(m->first, sizeof(m->first), "%s (gfn %llu)", what, gfn);
}

struct nm_slot *nm_slot_of(struct nm *m, gfn_t gfn)
{
	int i;

	for (i = 0; i < NM_SLOTS; i++)
		if (gfn >= m->slot[i].start && gfn < m->slot[i].end)
			return m->slot[i].exists ? &m->slot[i] : NULL;
	return NULL;
}

static bool in_giant(gfn_t gfn)
{
	return gfn < NM_GIANT + NM_GIANT_GFNS;
}

static bool in_small(gfn_t gfn)
{
	return gfn >= NM_BASE && gfn < NM_END;
}

/* By gfn, which must be in the small area. */
static struct nm_page *page_at(struct nm *m, gfn_t gfn)
{
	return &m->page[gfn - NM_BASE];
}

static bool *huge_at(struct nm *m, gfn_t gfn)
{
	return &m->huge[(gfn - NM_BASE) / NM_CHUNK];
}

struct nm_page nm_truth(struct nm *m, gfn_t gfn)
{
	struct nm_page p = { 0 };

	if (in_small(gfn))
		return *page_at(m, gfn);
	if (in_giant(gfn)) {
		p = m->giant;
		p.pfn += gfn - NM_GIANT;
	}
	return p;
}

/* ----------------------------------------------------------- the hardware -- */

struct bits { u64 present, write, accessed, dirty; };

static struct bits bits_of(enum nm_hw hw)
{
	switch (hw) {
	case NM_NPT:
		return (struct bits){ 0x1, 0x2, 0x20, 0x40 };
	case NM_EPT:
		return (struct bits){ 0x7, 0x2, 0x100, 0x200 };
	default:
		return (struct bits){ 0x7, 0x2, 0, 0 };
	}
}

/* Do the attribute bits say "guest may read and execute, write-back"? */
static bool attributes_ok(enum nm_hw hw, u64 e, bool leaf)
{
	if (hw == NM_NPT)
		return (e & 0x5) == 0x5 && !(e >> 63);
	if (!leaf)
		return (e & 0xff) == 0x7;
	return (e & 0x5) == 0x5 && (e & 0x78) == 0x30;
}

/* A fault's bits as the engine gets them: NPT's EXITINFO1, and the same for EPT. */
static u64 fault_code(bool present, bool write)
{
	return 0x100000004ULL | (present ? 1 : 0) | (write ? 2 : 0);
}

/* Walk from the root or from a cached table; set A and D as the processor does. */
static bool walk(struct nm *m, struct nm_tlb *t, gfn_t gfn, bool write, const u64 *cached, u64 *code)
{
	struct bits b = bits_of(m->hw);
	int level = cached ? 1 : m->vm.levels;
	u64 *table = cached ? (u64 *)cached : phys_to_virt(m->vcpu[0].mmu.root_hpa);

	for (;; level--) {
		u64 *slot = &table[gfn >> (9 * (level - 1)) & 511], e = READ_ONCE(*slot), size;
		bool leaf = level == 1 || (e & 0x80);

		if (!(e & b.present)) {
			*code = fault_code(false, write);
			return false;
		}
		if (!attributes_ok(m->hw, e, leaf))
			nm_violation(m, "entry with wrong attributes", gfn);
		if (write && !(e & b.write)) {
			*code = fault_code(true, true);
			return false;
		}
		if (!leaf) {
			if (b.accessed && m->hw == NM_NPT)
				__atomic_fetch_or(slot, b.accessed, __ATOMIC_SEQ_CST);
			table = phys_to_virt(e & 0xffffffffff000ULL);
			continue;
		}
		e = __atomic_or_fetch(slot, b.accessed | (write ? b.dirty : 0), __ATOMIC_SEQ_CST);
		size = 1ULL << (9 * (level - 1));
		t->valid = true;
		t->gfn = gfn;
		t->pfn = ((e & 0xffffffffff000ULL) >> 12 & ~(size - 1)) + (gfn & (size - 1));
		t->write = e & b.write;
		t->dirty = b.dirty ? (e & b.dirty) : t->write;
		t->pde_table = level == 1 ? table : NULL;
		return true;
	}
}

static void check_access(struct nm *m, const struct nm_tlb *t, bool write)
{
	struct nm_page truth = nm_truth(m, t->gfn);
	struct nm_slot *slot = nm_slot_of(m, t->gfn);

	if (!truth.present || truth.pfn != t->pfn)
		nm_violation(m, "access reaches a page that is not the guest's", t->gfn);
	else if (write && !truth.writable)
		nm_violation(m, "write reaches a page the host protects", t->gfn);
	if (m->in_slot_change)
		return;
	if (!slot)
		nm_violation(m, "access goes through where no slot is", t->gfn);
	else if (write && slot->readonly)
		nm_violation(m, "write goes through in a read-only slot", t->gfn);
}

bool nm_touch(struct nm *m, int cpu, gfn_t gfn, bool write, u64 *error_code)
{
	struct nm_vcpu *v = &m->vcpu[cpu];
	struct nm_tlb *t = &v->tlb[(gfn ^ gfn >> 9) % NM_TLB];
	const u64 *cached = NULL;
	struct nm_slot *slot;

	if (write && in_small(gfn))
		m->maybe[gfn - NM_BASE] = true;
	if (!t->valid || t->gfn != gfn || (write && !(t->write && t->dirty))) {
		/* A translation of a neighbour lets the walk start at their common leaf table. */
		struct nm_tlb *n = &v->tlb[((gfn ^ 1) ^ gfn >> 9) % NM_TLB];

		if (n->valid && n->gfn == (gfn ^ 1))
			cached = n->pde_table;
		if (!walk(m, t, gfn, write, cached, error_code)) {
			t->valid = false;	/* a fault drops the entry (APM vol. 2, 5.5.2) */
			if (cached)
				n->valid = false;
			return false;
		}
	}
	check_access(m, t, write);
	slot = nm_slot_of(m, gfn);
	if (write && slot && m->logging[slot - m->slot])
		m->must[gfn - NM_BASE] = true;
	return true;
}

static void flush(struct mmu_vm *vm)
{
	struct nm *m = nm_of(vm);
	u64 code;
	int i, j;

	m->flushes++;
	if (m->guest_runs_in_flush && !m->in_flush) {
		/* Until the flush is through, other processors go on with what they hold. */
		m->in_flush = true;
		for (i = 0; i < 24; i++) {
			int cpu = nm_random(m, NM_VCPUS);
			struct nm_tlb *t = &m->vcpu[cpu].tlb[nm_random(m, NM_TLB)];

			if (t->valid)
				nm_touch(m, cpu, t->gfn ^ nm_random(m, 2), nm_random(m, 2), &code);
		}
		m->in_flush = false;
	}
	for (i = 0; i < NM_VCPUS; i++)
		for (j = 0; j < NM_TLB; j++)
			m->vcpu[i].tlb[j].valid = false;
}

/* --------------------------------------------------------------- the host -- */

static u64 fresh_pfn(struct nm *m, u64 pages)
{
	u64 pfn = ALIGN(m->next_pfn, pages);

	m->next_pfn = pfn + pages;
	return pfn;
}

static u8 host_level(struct nm *m, const struct nm_slot *slot, gfn_t gfn)
{
	int level = in_giant(gfn) ? m->giant_level : *huge_at(m, gfn) ? 2 : 1;

	for (; level > 1; level--) {
		u64 size = 1ULL << (9 * (level - 1));
		gfn_t base = gfn & ~(size - 1);

		if (base >= slot->start && base + size <= slot->end)
			break;
	}
	return level;
}

static void fill_around(struct nm *m, const struct nm_slot *slot, gfn_t gfn, struct mmu_host_page *out)
{
	unsigned int i;

	out->around_gfn = gfn & ~(gfn_t)(MMU_AROUND_MAX - 1);
	if (out->around_gfn < slot->start || out->around_gfn + MMU_AROUND_MAX > slot->end)
		return;
	out->around_nr = MMU_AROUND_MAX;
	for (i = 0; i < MMU_AROUND_MAX; i++) {
		struct nm_page p = nm_truth(m, out->around_gfn + i);

		out->around[i] = p.present && !p.missing ?
			MMU_AROUND(p.pfn, p.writable && !slot->readonly) : 0;
	}
}

/* Bring the page in as asked. False: would sleep. */
static bool fault_in(struct nm *m, gfn_t gfn, bool write, bool atomic)
{
	bool small = in_small(gfn);
	struct nm_page *p = small ? page_at(m, gfn) : &m->giant;

	if (p->present && (!write || p->writable))
		return true;
	if (atomic)
		return false;
	if (!p->present) {
		p->present = true;
		p->writable = write || chance(m, 50);
		p->pfn = small ? fresh_pfn(m, 1) : fresh_pfn(m, NM_GIANT_GFNS);
		return true;
	}
	if (small && !*huge_at(m, gfn) && chance(m, 50)) {	/* copy-on-write, with its notifier */
		mmu_invalidate_begin(&m->vm, gfn, gfn + 1);
		p->pfn = fresh_pfn(m, 1);
		mmu_invalidate_end(&m->vm);
	}
	p->writable = true;
	return true;
}

static void gfn_to_page(struct mmu_vm *vm, gfn_t gfn, unsigned int flags, struct mmu_host_page *out)
{
	struct nm *m = nm_of(vm);
	struct nm_slot *slot = nm_slot_of(m, gfn);
	bool atomic = flags & MMU_HOST_ATOMIC, write = flags & MMU_HOST_WRITE;
	struct nm_page p;

	m->asked++;
	out->around_nr = 0;
	out->kind = MMU_HOST_NO_SLOT;
	if (!slot)
		return;
	out->kind = MMU_HOST_READONLY_SLOT;
	if (write && slot->readonly)
		return;
	out->kind = MMU_HOST_ERROR;
	out->error = -EFAULT;
	if (nm_truth(m, gfn).missing)
		return;
	out->kind = MMU_HOST_SLEEP;
	if (!fault_in(m, gfn, write, atomic))
		return;
	p = nm_truth(m, gfn);
	out->kind = MMU_HOST_RAM;
	out->pfn = p.pfn;
	out->writable = p.writable && !slot->readonly;
	out->max_level = host_level(m, slot, gfn);
	out->dirty_log = slot->log;
	if ((flags & MMU_HOST_AROUND) && chance(m, m->around_pct))
		fill_around(m, slot, gfn, out);
	if (!(flags & MMU_HOST_ATOMIC) && !m->in_event && m->event && chance(m, m->race_pct)) {
		m->in_event = true;
		m->event(m);
		m->in_event = false;
	}
}

static void gfn_written(struct mmu_vm *vm, gfn_t gfn, u64 nr)
{
	struct nm *m = nm_of(vm);

	lockdep_assert_held_write(&vm->lock);
	for (; nr--; gfn++) {
		struct nm_slot *slot = nm_slot_of(m, gfn);

		if (slot && slot->log)
			set_bit(gfn - slot->start, m->live[slot - m->slot]);
	}
}

static int no_guest_memory(struct mmu_vcpu *vcpu, gpa_t gpa, void *buf, unsigned int len,
			   unsigned int flags)
{
	return -EFAULT;
}

static int no_guest_cmpxchg(struct mmu_vcpu *vcpu, gpa_t gpa, u64 old, u64 new, unsigned int size,
			    unsigned int flags)
{
	return -EFAULT;
}

static const struct mmu_host_ops host_ops = {
	.gfn_to_page	= gfn_to_page,
	.read_guest	= no_guest_memory,
	.cmpxchg_guest	= no_guest_cmpxchg,
	.flush		= flush,
	.gfn_written	= gfn_written,
};

/* Where a change of the host takes effect. */
static void make_change(struct nm *m, struct nm_change *c)
{
	u64 pfn = c->kind == NM_COLLAPSE ? fresh_pfn(m, NM_CHUNK) : 0;
	gfn_t gfn;

	c->made = true;
	if (c->kind == NM_GIANT_NEW) {
		m->giant = (struct nm_page){ fresh_pfn(m, NM_GIANT_GFNS), c->level, true, false };
		m->giant_level = c->level ? c->level : 2;
		return;
	}
	for (gfn = c->start; gfn < c->end; gfn++) {
		struct nm_page *p = page_at(m, gfn);

		if (c->kind == NM_MOVE && *huge_at(m, gfn))
			continue;
		*huge_at(m, gfn) = c->kind == NM_COLLAPSE;
		switch (c->kind) {
		case NM_DROP:
			p->present = false;
			break;
		case NM_MOVE:
			p->pfn = fresh_pfn(m, 1);
			break;
		case NM_PROTECT:
			p->writable = false;
			break;
		case NM_COLLAPSE:
			*p = (struct nm_page){ pfn++, true, true, false };
			break;
		default:
			break;
		}
	}
}

/* Make and end pending changes: some, or all. */
void nm_host_end(struct nm *m, bool all)
{
	while (m->pending && (all || !nm_random(m, 3))) {
		struct nm_change *c = &m->change[--m->pending];

		if (!c->made)
			make_change(m, c);
		mmu_invalidate_end(&m->vm);
	}
}

static void host_change(struct nm *m, struct nm_change c)
{
	if (m->pending == NM_PENDING)
		nm_host_end(m, true);
	mmu_invalidate_begin(&m->vm, c.start, c.end);
	if (nm_random(m, 2))
		make_change(m, &c);
	m->change[m->pending++] = c;
	nm_host_end(m, false);
}

void nm_host_drop(struct nm *m, gfn_t start, gfn_t end)
{
	host_change(m, (struct nm_change){ NM_DROP, start, end, 0, false });
}

void nm_host_move(struct nm *m, gfn_t gfn)
{
	host_change(m, (struct nm_change){ NM_MOVE, gfn, gfn + 1, 0, false });
}

void nm_host_protect(struct nm *m, gfn_t start, gfn_t end)
{
	host_change(m, (struct nm_change){ NM_PROTECT, start, end, 0, false });
}

static struct nm_change whole_chunk(int kind, int chunk)
{
	gfn_t start = NM_BASE + chunk * NM_CHUNK;

	return (struct nm_change){ kind, start, start + NM_CHUNK, 0, false };
}

void nm_host_collapse(struct nm *m, int chunk)
{
	host_change(m, whole_chunk(NM_COLLAPSE, chunk));
}

void nm_host_split(struct nm *m, int chunk)
{
	host_change(m, whole_chunk(NM_SPLIT, chunk));
}

void nm_host_giant(struct nm *m, int level)
{
	host_change(m, (struct nm_change){ NM_GIANT_NEW, NM_GIANT, NM_GIANT + NM_GIANT_GFNS, level, false });
}

void nm_slot_set(struct nm *m, int i, bool exists)
{
	struct nm_slot *slot = &m->slot[i];

	if (slot->exists && slot->log)
		nm_log_stop(m, i);
	slot->exists = exists;
	m->in_slot_change = true;
	mmu_unmap_gfns(&m->vm, slot->start, slot->end);
	m->in_slot_change = false;
}

/* ---------------------------------------------------------- dirty logging -- */

void nm_log_start(struct nm *m, int i)
{
	struct nm_slot *slot = &m->slot[i];

	if (!slot->exists || slot->log)
		return;
	memset(m->live[i], 0, sizeof(m->live[i]));
	slot->log = true;
	memset(&m->maybe[slot->start - NM_BASE], 0, slot->end - slot->start);
	mmu_dirty_log_start(&m->vm, slot->start, slot->end);
	memset(&m->must[slot->start - NM_BASE], 0, slot->end - slot->start);
	m->logging[i] = true;
}

/* What was written before a take must be in it; what is in it must at least have been tried. */
static void check_taken(struct nm *m, int i, const bool *before, const unsigned long *taken)
{
	struct nm_slot *slot = &m->slot[i];
	gfn_t gfn;

	for (gfn = slot->start; gfn < slot->end; gfn++) {
		bool shown = test_bit(gfn - slot->start, taken);

		if (before[gfn - NM_BASE] && !shown)
			nm_violation(m, "write missing in the dirty log", gfn);
		if (shown && !m->maybe[gfn - NM_BASE] && !m->concurrent && m->hw != NM_EPT_NOAD)
			nm_violation(m, "clean page in the dirty log", gfn);
		if (shown)
			m->must[gfn - NM_BASE] = false;
	}
}

void nm_log_take(struct nm *m, int i)
{
	struct nm_slot *slot = &m->slot[i];
	unsigned long taken[NM_GFNS / 64];
	bool before[NM_GFNS];
	gfn_t gfn;

	if (!m->logging[i])
		return;
	memcpy(before, m->must, sizeof(before));
	mmu_dirty_take(&m->vm, slot->start, slot->end, m->live[i], taken);
	check_taken(m, i, before, taken);
	/* A write while taking may be shown now and again: no exactness then. */
	for (gfn = slot->start; gfn < slot->end && !m->concurrent; gfn++)
		if (test_bit(gfn - slot->start, taken))
			m->maybe[gfn - NM_BASE] = false;
}

/* The protocol with manual protection: look, then clear some of it, then copy those. */
void nm_log_peek_clear(struct nm *m, int i)
{
	struct nm_slot *slot = &m->slot[i];
	unsigned long seen[NM_GFNS / 64];
	bool before[NM_GFNS];
	unsigned int w, words;
	gfn_t gfn;

	if (!m->logging[i])
		return;
	words = BITS_TO_LONGS(slot->end - slot->start);
	memcpy(before, m->must, sizeof(before));
	mmu_dirty_peek(&m->vm, slot->start, slot->end, m->live[i]);
	for (w = 0; w < words; w++)
		seen[w] = m->live[i][w];
	for (gfn = slot->start; gfn < slot->end; gfn++)
		if (before[gfn - NM_BASE] && !test_bit(gfn - slot->start, seen))
			nm_violation(m, "write missing in the dirty log (peek)", gfn);
	for (w = 0; w < words; w++)
		seen[w] &= nm_random(m, 2) ? ~0ul : 0xf0f0f0f00f0f0f0ful;
	mmu_dirty_clear(&m->vm, slot->start, slot->end, m->live[i], seen);
	for (gfn = slot->start; gfn < slot->end; gfn++)
		if (test_bit(gfn - slot->start, seen))
			m->must[gfn - NM_BASE] = false;
}

void nm_log_stop(struct nm *m, int i)
{
	struct nm_slot *slot = &m->slot[i];

	if (!m->logging[i])
		return;
	nm_log_take(m, i);
	m->logging[i] = false;
	slot->log = false;
	mmu_dirty_log_stop(&m->vm, slot->start, slot->end);
}

void nm_emulator_write(struct nm *m, gfn_t gfn)
{
	struct nm_slot *slot = nm_slot_of(m, gfn);

	if (!slot || !slot->log)
		return;
	m->maybe[gfn - NM_BASE] = true;
	m->must[gfn - NM_BASE] = m->logging[slot - m->slot];
	set_bit(gfn - slot->start, m->live[slot - m->slot]);
}

/* ----------------------------------------------------------------- access -- */

static void check_mmio(struct nm *m, int cpu, gfn_t gfn, bool write)
{
	struct nm_slot *slot = nm_slot_of(m, gfn);

	if (slot && !(write && slot->readonly))
		nm_violation(m, "MMIO verdict for RAM", gfn);
	if (m->vcpu[cpu].mmu.fault.readonly != (slot != NULL))
		nm_violation(m, "MMIO verdict of the wrong kind", gfn);
}

enum nm_outcome nm_access(struct nm *m, int cpu, gfn_t gfn, bool write, int *faults)
{
	struct mmu_vcpu *v = &m->vcpu[cpu].mmu;
	unsigned int flags = chance(m, m->atomic_pct) ? MMU_ATOMIC : 0;
	int tries;
	u64 code;

	for (tries = 0; tries < 64; tries++) {
		if (faults)
			*faults = tries;
		if (nm_touch(m, cpu, gfn, write, &code))
			return NM_DONE;
		switch (mmu_fault(v, gfn << 12 | 0x123, code, flags)) {
		case MMU_RESUME:
			break;
		case MMU_SLEEP:
			if (!flags)
				nm_violation(m, "SLEEP verdict where sleeping is allowed", gfn);
			flags = 0;
			break;
		case MMU_MMIO:
			/* Slots may have changed in a race after the answer. */
			if (!m->event)
				check_mmio(m, cpu, gfn, write);
			return NM_MMIO;
		case MMU_ERROR:
			if (v->fault.error == -EFAULT && !nm_truth(m, gfn).missing)
				nm_violation(m, "EFAULT for memory that is there", gfn);
			return NM_ERROR;
		default:
			nm_violation(m, "a verdict nested mode does not have", gfn);
		}
	}
	if (!m->pending && !m->event)
		nm_violation(m, "an access that never goes through", gfn);
	return NM_BUSY;
}

static void audit_report(void *ctx, const char *what, gfn_t gfn, u64 entry)
{
	nm_violation(ctx, what, gfn);
}

void nm_audit(struct nm *m)
{
	mmu_audit(&m->vm, audit_report, m);
}

/* ------------------------------------------------------------------- life -- */

int nm_init(struct nm *m, enum nm_hw hw, int levels, u64 seed)
{
	static const struct mmu_format *const formats[] = {
		[NM_NPT] = &mmu_format_npt,
		[NM_EPT] = &mmu_format_ept,
		[NM_EPT_NOAD] = &mmu_format_ept_noad,
	};
	static const struct nm_slot slots[NM_SLOTS] = {
		{ NM_BASE + 512, NM_BASE + 2048, true, false, false },
		{ NM_BASE + 2048, NM_BASE + 2560, true, true, false },
		{ NM_BASE + 2570, NM_END, true, false, false },
		{ NM_GIANT, NM_GIANT + NM_GIANT_GFNS, true, false, false },
	};
	struct mmu_vm_config config = {
		.host = &host_ops, .format = formats[hw], .levels = levels, .max_leaf = 3,
	};
	int i, r;

	memset(m, 0, sizeof(*m));
	m->hw = hw;
	m->rng = seed * 0x9e3779b97f4a7c15ULL | 1;
	m->next_pfn = 0x1000;
	m->giant_level = 2;
	memcpy(m->slot, slots, sizeof(slots));
	r = mmu_vm_init(&m->vm, &config);
	if (r)
		return r;
	for (i = 0; i < NM_VCPUS; i++) {
		r = mmu_vcpu_init(&m->vcpu[i].mmu, &m->vm);
		if (r) {
			while (i--)
				mmu_vcpu_fini(&m->vcpu[i].mmu);
			mmu_vm_fini(&m->vm);
			return r;
		}
	}
	return 0;
}

void nm_fini(struct nm *m)
{
	int i;

	m->event = NULL;
	nm_host_end(m, true);
	for (i = 0; i < NM_VCPUS; i++)
		mmu_vcpu_fini(&m->vcpu[i].mmu);
	mmu_vm_fini(&m->vm);
}
