// SPDX-License-Identifier: GPL-2.0
/* Random guests: what they do with their tables (shadow_tables.c), address spaces and modes. */
#include <stdio.h>

#include "tests/model/shadow_tables.h"

/* ---------------------------------------------------------------- the modes -- */

static void random_controls(struct sm *m, struct mmu_paging *p)
{
	u64 may = X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PGE;

	p->cr0 &= ~(u64)X86_CR0_WP;
	p->cr0 |= sm_random(m, 4) ? X86_CR0_WP : 0;
	p->efer &= ~(u64)EFER_NX;
	p->efer |= sm_random(m, 8) ? EFER_NX : 0;
	if (p->efer & EFER_LMA)
		may |= X86_CR4_PKE;
	p->cr4 &= ~may;
	p->cr4 |= sm_random(m, 3) ? X86_CR4_PGE : 0;
	p->cr4 |= sm_random(m, 3) ? 0 : X86_CR4_SMEP;
	p->cr4 |= sm_random(m, 3) ? 0 : X86_CR4_SMAP;
	p->cr4 |= sm_random(m, 3) ? 0 : (may & X86_CR4_PKE);
}

static void mode_registers(struct mmu_paging *p, enum sm_mode mode)
{
	p->cr0 = X86_CR0_PE | (mode == SM_OFF ? 0 : X86_CR0_PG);
	p->cr4 = mode == SM_PSE ? X86_CR4_PSE : mode >= SM_PAE ? X86_CR4_PAE : 0;
	p->cr4 |= mode == SM_LA57 ? X86_CR4_LA57 : 0;
	p->efer = mode >= SM_LONG ? EFER_LME | EFER_LMA : 0;
	p->maxphyaddr = SM_MAXPHYADDR;
}

/* All processors of a machine have the same memory types. */
static void change_types(struct sm *m)
{
	int i;

	for (i = 0; i < SM_VCPUS; i++)
		if (m->vcpu[i].in_core)
			return;
	m->pat ^= 0x0407010000000000ull;
	for (i = 0; i < SM_VCPUS; i++) {
		m->vcpu[i].paging.pat = m->pat;
		sm_guest_flush(m, &m->vcpu[i], MMU_LOAD_ALL);
	}
}

/* A new mode, all translations gone. */
void sm_guest_mode(struct sm *m, struct sm_vcpu *v, enum sm_mode mode)
{
	struct mmu_paging *p = &v->paging;
	u64 cr3;

	if (mode == SM_LA57 && m->config.levels < 5)
		mode = SM_LONG;
	if (mode != m->config.mode || sm_random(m, 4) == 0)
		sm_build_tables(m, mode);
	v->mode = mode;
	mode_registers(p, mode);
	p->pages_1g = m->config.max_leaf == 3;
	if (m->unlike && v == &m->vcpu[SM_VCPUS - 1]) {
		p->maxphyaddr = SM_UNLIKE_BITS;
		p->pages_1g = !p->pages_1g;
	}
	p->pat = m->pat;
	p->amd = true;
	random_controls(m, p);
	cr3 = m->space[mode][sm_random(m, SM_SPACES)];
	v->roots = 0;
	memset(v->root, 0, sizeof(v->root[0]));
	v->roots = 1;
	if (!sm_guest_cr3(m, v, cr3)) {
		/* Edits have spoilt the PDPTEs, or their page is broken. The TLB is of the mode before: it is not used. */
		v->in_core = true;
		sm_break(m, cr3 >> PAGE_SHIFT, false);
		v->in_core = false;
		sm_build_tables(m, mode);
		if (!sm_guest_cr3(m, v, cr3))
			sm_violation(m, "the model's own tables", cr3);
	}
	v->pkru = sm_random(m, 3) ? 0 : sm_random(m, 1u << 31);
	sm_guest_flush(m, v, MMU_LOAD_ALL);
}

void sm_guest_setup(struct sm *m)
{
	gfn_t gfn;
	int i, level;

	m->pat = 0x0007040600070406ull;
	sm_build_tables(m, m->config.mode);
	/* Tables in ROM. */
	for (gfn = 128; gfn < 144; gfn++)
		for (i = 0; i < 4; i++) {
			level = 1 + gfn % sm_shape_of(m->config.mode).levels;
			sm_store(m, (gfn << PAGE_SHIFT) + i * 8,
				 sm_random_entry(m, m->config.mode, level), 8);
		}
	for (i = 0; i < SM_VCPUS; i++) {
		m->vcpu[i].roots = 1;
		sm_guest_mode(m, &m->vcpu[i], m->config.mode);
	}
}

/* ---------------------------------------------------------- what it does -- */

static struct gw_access random_access(struct sm *m)
{
	struct gw_access a = { .user = sm_random(m, 2) };

	switch (sm_random(m, 8)) {
	case 0: case 1:
		a.fetch = true;
		break;
	case 2: case 3: case 4:
		a.write = true;
		break;
	case 5:
		a.user = a.implicit = true;
		break;
	default:
		break;
	}
	return a;
}

static void touch(struct sm *m, struct sm_vcpu *v, gva_t gva)
{
	struct sm_access x = { .gva = gva, .a = random_access(m), .ac = sm_random(m, 3) == 0, .size = 4 };

	x.value = sm_random(m, 1u << 31);
	sm_access(m, v, &x);
}

/* The vCPU writes a table entry at gpa, in one of the ways there are. */
static void guest_write(struct sm *m, struct sm_vcpu *v, gpa_t gpa, u64 value, int width)
{
	struct sm_access x = { .a.write = true, .ac = true, .value = value, .size = width };
	unsigned int how = sm_random(m, 10);

	if (how == 0 && !sm_broken(m, gpa >> PAGE_SHIFT)) {	/* a device, by way of user space */
		sm_trace(m, "DMA: %#llx = %#llx", gpa, value);
		sm_store(m, gpa, value, width);
		sm_wrote(m, gpa >> PAGE_SHIFT);
		mmu_devices_ran(&m->vm);
		return;
	}
	if (how > 1 && gpa < 2 << 20) {
		x.gva = sm_direct_gva(m, v->mode, gpa);
		if (sm_access(m, v, &x) == SM_DONE && x.gpa == gpa)
			return;
	}
	sm_trace(m, "emulator: %#llx = %#llx", gpa, value);
	sm_host_write(m, gpa, value, width);
}

static u64 tweak(struct sm *m, u64 e, int width)
{
	static const int bits[] = { 0, 1, 1, 2, 2, 5, 5, 6, 6, 7, 8, 63, 63, 59, 60, 3, 45, 14 };

	e ^= 1ull << bits[sm_random(m, ARRAY_SIZE(bits))];
	return width == 4 ? (u32)e : e;
}

static u64 new_entry(struct sm *m, enum sm_mode mode, u64 old, int level)
{
	int width = sm_shape_of(mode).width;

	u64 good = P | US | RW | A | D;

	if (mode == SM_PAE && level == 3)
		good = P;
	switch (sm_random(m, 16)) {
	case 0: case 1: case 2: case 3:
		return tweak(m, old, width);
	case 10: case 11:
		return (old & GENMASK_ULL(SM_MAXPHYADDR - 1, 0)) | good;
	case 12: case 13: case 14:
		return (sm_random_entry(m, mode, level) & GENMASK_ULL(SM_MAXPHYADDR - 1, 0)) | good;
	case 4:
		return tweak(m, tweak(m, old, width), width);
	case 5:
		return old & ~(u64)(A | D);
	case 6:
		return sm_random(m, 2) ? old ^ P : 0;
	default:
		return sm_random_entry(m, mode, level);
	}
}

/* An entry on the way to gva, or any; its level. */
static gpa_t pick_entry(struct sm *m, struct sm_vcpu *v, gva_t gva, int *level)
{
	struct gw_access read = { 0 };
	struct gw_result r = sm_truth_walk(m, v, gva, read, true, false);
	struct sm_shape s = sm_shape_of(v->mode);

	*level = 1 + sm_random(m, sm_random(m, 2) ? s.levels : 2);
	if (r.n && sm_random(m, 3)) {
		int i = sm_random(m, 3) ? r.n - 1 : (int)sm_random(m, r.n);

		*level = v->mode == SM_PAE ? 2 - i : s.levels - i;
		return r.at[i];
	}
	if (v->mode == SM_PAE && *level == 3)
		return ((sm_pool_of(m, v->mode) + 24) << PAGE_SHIFT) + sm_random(m, 12) * 8;
	return (sm_table_of(m, v->mode, *level) << PAGE_SHIFT) +
	       sm_random_index(m, v->mode, *level) * s.width;
}

static void flush_somehow(struct sm *m, struct sm_vcpu *v, gva_t gva)
{
	switch (sm_random(m, 12)) {
	case 0: case 1: case 2: case 3:
		return;
	case 4: case 5: case 6: case 7:
		return sm_guest_invlpg(m, v, gva);
	case 8:
		return sm_guest_invlpg(m, v, gva ^ (gva_t)(1 + sm_random(m, 3)) <<
					     (sm_random(m, 3) ? PAGE_SHIFT : 20));
	case 9:
		return sm_guest_flush(m, v, MMU_LOAD_ALL);
	default:
		if (sm_guest_cr3(m, v, v->paging.cr3))
			sm_guest_flush(m, v, MMU_LOAD_CR3);
	}
}

static void edit(struct sm *m, struct sm_vcpu *v)
{
	gva_t gva = sm_random_gva(m, v->mode);
	struct sm_vcpu *other = &m->vcpu[sm_random(m, SM_VCPUS)];
	int width = sm_shape_of(v->mode).width, level, i;
	gpa_t gpa;

	if (sm_random(m, 2))
		touch(m, v, gva);
	gpa = pick_entry(m, v, gva, &level);
	if (gpa >> PAGE_SHIFT >= SM_GFNS)
		return;
	guest_write(m, v, gpa, new_entry(m, v->mode, sm_load(m, gpa, width), level), width);
	if (!other->in_core && !sm_random(m, 4))
		touch(m, other, gva);
	flush_somehow(m, v, gva);
	if (!other->in_core && sm_random(m, 2))
		flush_somehow(m, other, gva);
	for (i = sm_random(m, 3); i > 0; i--)
		touch(m, v, gva);
	if (!other->in_core)
		touch(m, other, gva);
}

static void switch_space(struct sm *m, struct sm_vcpu *v)
{
	u64 cr3 = m->space[v->mode][sm_random(m, SM_SPACES)];

	if (sm_random(m, 4) == 0)	/* any page may be a root */
		cr3 = sm_random_table(m, v->mode, sm_shape_of(v->mode).levels) << PAGE_SHIFT;
	if (sm_guest_cr3(m, v, cr3))
		sm_guest_flush(m, v, MMU_LOAD_CR3);
}

/* The first tables of all levels make sense: 128 pages from address 0 in each space. */
static void tidy(struct sm *m, enum sm_mode mode)
{
	struct sm_shape s = sm_shape_of(mode);
	gfn_t pool = sm_pool_of(m, mode);
	u64 good = P | RW | US | A | D;
	unsigned int i, j;
	int level;

	for (i = 0; i < 4; i++)
		for (j = 0; j < 32; j++)
			sm_put(m, pool + 1 + i, j, sm_random_page(m) << PAGE_SHIFT | good, s.width);
	for (level = 2; level <= s.levels; level++) {
		if (mode == SM_PAE && level == 3) {
			for (j = 0; j < SM_SPACES; j++)
				sm_put(m, pool + 24, j * 4, (pool + 6) << PAGE_SHIFT | P, 8);
			continue;
		}
		for (i = 0; i < 3; i++)
			for (j = 0; j < 4; j++)
				sm_put(m, pool + 1 + (level - 1) * 5 + i, j,
				    (pool + 1 + (level - 2) * 5 + (level == 2 ? j : j % 3)) << PAGE_SHIFT | good,
				    s.width);
	}
}

/* A kernel: global pages in the upper half, by tables of its own that all spaces share. */
static void tidy_kernel(struct sm *m, enum sm_mode mode)
{
	struct sm_shape s = sm_shape_of(mode);
	gfn_t pool = sm_pool_of(m, mode);
	u64 good = P | RW | A | D;
	unsigned int i;
	int level;

	for (i = 0; i < 32; i++)
		sm_put(m, pool + 5, i, sm_random_page(m) << PAGE_SHIFT | good | G, 8);
	for (level = 2; level < s.levels; level++)
		sm_put(m, pool + 5 * level, 0, (pool + 5 * (level - 1)) << PAGE_SHIFT | good, 8);
	for (i = 0; i < SM_SPACES; i++)
		sm_put(m, m->space[mode][i] >> PAGE_SHIFT, 511,
		    (pool + 5 * (s.levels - 1)) << PAGE_SHIFT | good, 8);
}

/*
 * Where the upper halves of spaces differ: below one slot each has itself; below another it has a table of its own, as a
 * process has that is kept away from its kernel, and below that the kernel's tables, or others, or nothing.
 */
static void tidy_parted(struct sm *m, enum sm_mode mode)
{
	struct sm_shape s = sm_shape_of(mode);
	gfn_t pool = sm_pool_of(m, mode), top = pool + 1 + 5 * (s.levels - 2), kernel = pool + 5 * (s.levels - 2);
	u64 good = P | RW | A | D;
	unsigned int i;

	for (i = 0; i < SM_SPACES; i++) {
		gfn_t root = m->space[mode][i] >> PAGE_SHIFT;
		unsigned int what = sm_random(m, 4);

		sm_put(m, root, 509, root << PAGE_SHIFT | good, 8);
		sm_put(m, root, 510, (top + i) << PAGE_SHIFT | good, 8);
		sm_put(m, top + i, 511, what ? (what > 1 ? kernel : kernel - 1) << PAGE_SHIFT | good : 0, 8);
	}
}

/* Nothing happens for a while but address spaces taking turns: tables come to rest. */
static void settle(struct sm *m, struct sm_vcpu *v)
{
	struct sm_shape s = sm_shape_of(v->mode);
	int i, j;

	gva_t kernel = s.levels == 5 ? 0xffff000000000000ul : 0xffffff8000000000ul;

	if (sm_random(m, 3))
		tidy(m, v->mode);
	if (s.levels > 3 && sm_random(m, 3))
		tidy_kernel(m, v->mode);
	for (i = 0; i < 24; i++) {
		for (j = 0; j < 4 && i < 12; j++)
			touch(m, v, (gva_t)j << (12 + s.bits) | (gva_t)sm_random(m, 32) << PAGE_SHIFT);
		if (s.levels > 3 && sm_random(m, 2))
			touch(m, v, kernel | (gva_t)sm_random(m, 32) << PAGE_SHIFT);
		for (j = 0; j < SM_VCPUS; j++) {
			struct sm_vcpu *one = &m->vcpu[j];

			if (!one->in_core && sm_guest_cr3(m, one, one->paging.cr3))
				sm_guest_flush(m, one, MMU_LOAD_CR3);
		}
	}
	for (i = sm_random(m, 12); i > 0; i--)
		edit(m, v);
}

/* An address in the upper half that tidy_kernel() and tidy_parted() care for. */
static gva_t upper_gva(struct sm *m, enum sm_mode mode)
{
	struct sm_shape s = sm_shape_of(mode);
	int top = 12 + 9 * (s.levels - 1), level;
	gva_t gva = -1ul << (top + 9), page = (gva_t)sm_random(m, 32) << PAGE_SHIFT;

	switch (sm_random(m, 5)) {
	case 0:
		return gva | 511ul << top | page;
	case 1: case 2:
		return gva | 510ul << top | 511ul << (top - 9) | page;
	default:	/* as data: a root, a table below it, … */
		for (level = s.levels; level > 1; level--)
			gva |= (level == s.levels || sm_random(m, 2) ? 509ul : 509ul + sm_random(m, 3)) <<
			       (12 + 9 * (level - 1));
		return gva | (sm_random(m, 2) ? 509ul : sm_random(m, 4)) << 12;
	}
}

static void go_to_space(struct sm *m, struct sm_vcpu *v, unsigned int i)
{
	if (sm_guest_cr3(m, v, m->space[v->mode][i]))
		sm_guest_flush(m, v, MMU_LOAD_CR3);
}

/* An entry of the kernel's leaf table changes; what is flushed is one address of those it may be reached by, if any. */
static void edit_kernel(struct sm *m, struct sm_vcpu *v, gva_t gva)
{
	gfn_t table = sm_pool_of(m, v->mode) + 5;
	u64 entry = sm_random_page(m) << PAGE_SHIFT | P | RW | A | D | (sm_random(m, 4) ? G : 0);

	guest_write(m, v, (table << PAGE_SHIFT) + (gva >> PAGE_SHIFT & 511) * 8, entry, 8);
	flush_somehow(m, v, gva);
}

/* Two address spaces take turns, a process's or what the kernel and the user of one have. */
static void take_turns(struct sm *m, struct sm_vcpu *v)
{
	struct sm_shape s = sm_shape_of(v->mode);
	unsigned int a = sm_random(m, SM_SPACES), b = sm_random(m, SM_SPACES), i, j;
	struct sm_vcpu *other = &m->vcpu[sm_random(m, SM_VCPUS)];

	if (s.levels <= 3)
		return settle(m, v);
	tidy(m, v->mode);
	tidy_kernel(m, v->mode);
	tidy_parted(m, v->mode);
	for (i = 0; i < 12; i++) {
		gva_t gva = upper_gva(m, v->mode);

		go_to_space(m, v, a);
		touch(m, v, gva);
		touch(m, v, gva);
		go_to_space(m, v, b);
		for (j = sm_random(m, 3); j > 0; j--)
			touch(m, v, upper_gva(m, v->mode));
		if (!other->in_core && other->mode == v->mode)
			touch(m, other, upper_gva(m, v->mode));
		edit_kernel(m, v, gva);
		if (sm_random(m, 2))
			go_to_space(m, v, a);
		touch(m, v, gva);
	}
}

static void change_registers(struct sm *m, struct sm_vcpu *v)
{
	if (sm_chance(m, 5))
		return change_types(m);
	if (sm_chance(m, m->config.mode_pct))
		return sm_guest_mode(m, v, sm_random(m, 3) ? m->config.mode : sm_random(m, SM_MODES));
	if (v->mode != m->config.mode && sm_random(m, 2))
		return sm_guest_mode(m, v, m->config.mode);
	random_controls(m, &v->paging);
	sm_guest_flush(m, v, MMU_LOAD_ALL);
}

/* A table is freed and its page reused: data, or another table. */
static void reuse_table(struct sm *m, struct sm_vcpu *v)
{
	enum sm_mode mode = v->mode;
	int width = sm_shape_of(mode).width, level = 1 + sm_random(m, sm_shape_of(mode).levels), i;
	gfn_t gfn = mode == SM_PAE && level == 3 ? 6 : sm_table_of(m, mode, level);
	bool data = sm_random(m, 2);

	for (i = 0; i < 4; i++) {
		u64 value = data ? sm_random(m, 1u << 31) * 0x100000001ull : sm_random_entry(m, mode, level);

		guest_write(m, v, (gfn << PAGE_SHIFT) + i * width, width == 4 ? (u32)value : value, width);
	}
	flush_somehow(m, v, sm_random_gva(m, mode));
}

void sm_op_random(struct sm_op *op, u64 *rng)
{
	*rng ^= *rng << 13;
	*rng ^= *rng >> 7;
	*rng ^= *rng << 17;
	op->what = *rng >> 8;
	op->cpu = *rng >> 16;
	op->arg = 0;
	op->seed = *rng >> 32;
}

/* A process maps many pages of one table, uses them, and unmaps most at once. */
static void unmap_many(struct sm *m, struct sm_vcpu *v)
{
	struct sm_shape s = sm_shape_of(v->mode);
	gfn_t table = sm_pool_of(m, v->mode) + 1 + sm_random(m, 4);
	unsigned int i, first = 64 * sm_random(m, 2), left = sm_random(m, 40);

	for (i = 0; i < 64; i++)
		sm_put(m, table, first + i, sm_random_page(m) << PAGE_SHIFT | P | RW | US | A | D, s.width);
	for (i = 0; i < 64; i += 1 + sm_random(m, 8))
		touch(m, v, (first + i) << PAGE_SHIFT);
	for (i = left; i < 64; i++)
		sm_put(m, table, first + i, 0, s.width);
	flush_somehow(m, v, (first + left) << PAGE_SHIFT);
	for (i = sm_random(m, 6); i > 0; i--)
		touch(m, v, (first + sm_random(m, 64)) << PAGE_SHIFT);
}

/* All that is remembered is forgotten: every vCPU flushes everything. */
static void forget_history(struct sm *m)
{
	int i;

	for (i = 0; i < SM_VCPUS; i++)
		sm_guest_flush(m, &m->vcpu[i], MMU_LOAD_ALL);
	m->writes = 0;
	memset(m->bucket, 0, sizeof(m->bucket));
}

static void guest_op(struct sm *m, struct sm_vcpu *v, unsigned int what)
{
	if (what < 90)
		touch(m, v, sm_random_gva(m, v->mode));
	else if (what < 170)
		edit(m, v);
	else if (what < 180)
		sm_guest_invlpg(m, v, sm_random_gva(m, v->mode));
	else if (what < 192)
		switch_space(m, v);
	else if (what < 202)
		change_registers(m, v);
	else if (what < 208)
		reuse_table(m, v);
	else if (what < 210)
		settle(m, v);
	else if (what < 212)
		take_turns(m, v);
	else if (what < 214)
		unmap_many(m, v);
	else
		sm_read_mapped(m, v, sm_random_gva(m, v->mode));
}

void sm_op_do(struct sm *m, const struct sm_op *op)
{
	struct sm_vcpu *v = &m->vcpu[op->cpu % SM_VCPUS];

	m->step++;
	sm_seed(m, op->seed);
	if (m->writes > SM_WRITES - 8192)
		forget_history(m);
	if (op->what < 216)
		guest_op(m, v, op->what);
	else if (op->what < 250)
		sm_host_event(m);
	else if (op->what < 254 || !m->config.switches)
		sm_slot_event(m);
	else
		sm_set_mode(m, !mmu_is_shadow(&m->vm));
	sm_audit(m);
	sm_host_end(m, false);
}

/* What others do while a vCPU's thread holds no lock. */
void sm_event(struct sm *m)
{
	struct sm_vcpu *v = &m->vcpu[sm_random(m, SM_VCPUS)];
	unsigned int what = sm_random(m, 100);

	if (what < 40 || v->in_core) {
		sm_host_event(m);
	} else if (what < 45) {
		sm_slot_event(m);
	} else {
		guest_op(m, v, sm_random(m, 200));
		/* In the middle of a slot's end there may still be something of it. */
		if (!m->in_slot_change)
			sm_audit(m);
	}
}
