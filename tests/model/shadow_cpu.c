// SPDX-License-Identifier: GPL-2.0
/*
 * A processor on our tables, and one access of the guest from start to end: tried on the
 * hardware, its faults given to mmu/, its end compared with what the oracle allows.
 */
#include <stdio.h>

#include "tests/model/shadow_machine.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define freed(p)	__asan_address_is_poisoned(p)
#else
#define freed(p)	false
#endif

#define HOST_PHYS_BITS	48
#define ARENA_START	(1ull << 40)	/* machine addresses of tables: kapi/user/kapi.c */
#define ARENA_END	(ARENA_START + (256ull << 20))

enum { P = 1, RW = 2, US = 4, A = 0x20, D = 0x40, PS = 0x80 };

/* ----------------------------------------------------------- the hardware -- */

static bool long_mode(const struct sm_vcpu *v)
{
	return v->paging.efer & EFER_LMA;
}

/* CR4 bits that the caller keeps in the hardware: the guest's, while it has paging on. */
static u64 hw_cr4(const struct sm_vcpu *v)
{
	return v->paging.cr0 & X86_CR0_PG ? v->paging.cr4 : 0;
}

void sm_hw_flush(struct sm_vcpu *v)
{
	memset(v->tlb, 0, sizeof(v->tlb));
	memset(v->psc, 0, sizeof(v->psc));
}

static struct sm_tlb *tlb_at(struct sm_vcpu *v, gva_t gva)
{
	u64 vpn = gva >> PAGE_SHIFT;

	return &v->tlb[(vpn ^ vpn >> 9 ^ vpn >> 18) % SM_TLB];
}

static struct sm_psc *psc_at(struct sm_vcpu *v, gva_t gva, int level)
{
	u64 tag = gva >> (PAGE_SHIFT + 9 * level);

	return &v->psc[level - 1][(tag ^ tag >> 9) % SM_PSC];
}

void sm_hw_flush_page(struct sm_vcpu *v, gva_t gva)
{
	struct sm_tlb *t;

	for (t = v->tlb; t < v->tlb + SM_TLB; t++)
		if (t->valid && !((t->vpn ^ gva >> PAGE_SHIFT) >> (9 * (t->level - 1))))
			t->valid = false;
	memset(v->psc, 0, sizeof(v->psc));
}

/* Rights of all levels together; CR0.WP and EFER.NXE are set whatever the guest has. */
static bool hw_may(const struct sm_vcpu *v, const struct sm_access *x, const struct sm_tlb *t,
		   u64 *code)
{
	bool user = x->a.user && !x->a.implicit, key = false, ok = true;
	u64 cr4 = hw_cr4(v);

	if (long_mode(v) && (cr4 & X86_CR4_PKE) && t->user && !x->a.fetch)
		key = (v->pkru >> (2 * t->key) & 1) ||
		      (x->a.write && (v->pkru >> (2 * t->key) & 2));
	if (user && !t->user)
		ok = false;
	if (x->a.fetch && (t->nx || (!user && t->user && (cr4 & X86_CR4_SMEP))))
		ok = false;
	if (!x->a.fetch && !user && t->user && (cr4 & X86_CR4_SMAP) && (x->a.implicit || !x->ac))
		ok = false;
	if (x->a.write && !t->write)
		ok = false;
	if (key)
		*code |= MMU_PF_PK;
	return ok && !key;
}

static u64 hw_reserved(const struct sm_vcpu *v, u64 e, int level, bool leaf)
{
	u64 bits = e & GENMASK_ULL(51, HOST_PHYS_BITS);

	if (!long_mode(v))
		bits |= e & GENMASK_ULL(62, 52);
	if (level > 3 || (level == 3 && !long_mode(v)))
		bits |= e & PS;
	if (leaf && level > 1)
		bits |= e & GENMASK_ULL(12 + 9 * (level - 1) - 1, 13);
	return bits;
}

/* The table an entry points to: must be one of ours, and alive. */
static u64 *hw_table(struct sm *m, u64 e, gva_t gva)
{
	u64 pa = e & GENMASK_ULL(51, 12);

	if (pa < ARENA_START || pa >= ARENA_END) {
		sm_violation(m, "the hardware walks a page that is no table of ours", gva);
		return NULL;
	}
	if (freed(phys_to_virt(pa))) {
		sm_violation(m, "the hardware walks a freed table", gva);
		return NULL;
	}
	return phys_to_virt(pa);
}

/* Where a walk begins: the deepest cached table, or the root. False: not present. */
static bool hw_start(struct sm *m, struct sm_vcpu *v, gva_t gva, u64 **table, int *level,
		     struct sm_tlb *t)
{
	int levels = mmu_shadow_levels(&v->mmu), l;

	t->write = t->user = true;
	for (l = 1; l < min(levels, 4); l++) {
		struct sm_psc *c = psc_at(v, gva, l);

		if (!c->valid || c->tag != gva >> (PAGE_SHIFT + 9 * l) || sm_random(m, 2))
			continue;
		*table = c->table;
		*level = l;
		t->write = c->write;
		t->user = c->user;
		t->nx = c->nx;
		return true;
	}
	*level = levels;
	if (levels == 3) {
		u64 e = v->pdpte[gva >> 30 & 3];

		*level = 2;
		*table = e & P ? hw_table(m, e, gva) : NULL;
	} else {
		*table = hw_table(m, mmu_root(&v->mmu), gva);
	}
	return *table;
}

static void hw_cache_table(struct sm_vcpu *v, gva_t gva, int level, u64 *table,
			   const struct sm_tlb *t)
{
	if (level > 3)
		return;
	*psc_at(v, gva, level) = (struct sm_psc){
		.valid = true, .write = t->write, .user = t->user, .nx = t->nx,
		.tag = gva >> (PAGE_SHIFT + 9 * level), .table = table,
	};
}

/* Set accessed and dirty bits in a leaf that was read as e; false: it has changed. */
static bool hw_set_bits(u64 *slot, u64 e, bool write)
{
	return try_cmpxchg64(slot, &e, e | A | (write ? D : 0));
}

static void hw_fill(struct sm *m, struct sm_vcpu *v, gva_t gva, u64 e, int level, bool write,
		    const struct sm_tlb *rights)
{
	u64 size = 1ULL << (9 * (level - 1));
	struct sm_tlb *t = tlb_at(v, gva);

	*t = *rights;
	t->valid = true;
	t->level = level;
	t->vpn = gva >> PAGE_SHIFT;
	t->pfn = ((e & GENMASK_ULL(51, 12)) >> 12 & ~(size - 1)) + (t->vpn & (size - 1));
	t->dirty = write || (e & D);
	t->type = SM_HOST_PAT >> 8 * ((e >> 3 & 3) | (level == 1 ? e >> 7 & 1 : e >> 12 & 1) << 2);
	if (t->pfn >= ARENA_START >> 12 && t->pfn < ARENA_END >> 12)
		sm_violation(m, "a table of ours is mapped for the guest", gva);
}

/* Walk, fill the TLB. False: fault with *code. */
static bool hw_walk(struct sm *m, struct sm_vcpu *v, const struct sm_access *x, u64 *code)
{
	struct sm_tlb t = { 0 };
	u64 *table, *slot, e;
	int level;

	if (!hw_start(m, v, x->gva, &table, &level, &t))
		return false;
	for (;; level--) {
		bool leaf;

		if (freed(table)) {
			sm_violation(m, "a freed table is cached by the hardware", x->gva);
			return false;
		}
		hw_cache_table(v, x->gva, level, table, &t);
		slot = &table[x->gva >> (12 + 9 * (level - 1)) & 511];
		e = READ_ONCE(*slot);
		if (!(e & P))
			return false;
		leaf = level == 1 || ((e & PS) && level <= 3);
		if (hw_reserved(v, e, level, leaf)) {
			*code |= MMU_PF_PRESENT | MMU_PF_RSVD;
			return false;
		}
		t.write &= !!(e & RW);
		t.user &= !!(e & US);
		t.nx |= e >> 63;
		if (leaf)
			break;
		__atomic_fetch_or(slot, (u64)A, __ATOMIC_SEQ_CST);
		table = hw_table(m, e, x->gva);
		if (!table)
			return false;
	}
	t.key = e >> 59 & 15;
	if (!hw_may(v, x, &t, code)) {
		*code |= MMU_PF_PRESENT;
		return false;
	}
	if (!hw_set_bits(slot, e, x->a.write))
		return false;
	hw_fill(m, v, x->gva, e, level, x->a.write, &t);
	return true;
}

static gva_t linear(const struct sm_vcpu *v, gva_t gva)
{
	return long_mode(v) ? gva : (u32)gva;
}

static void check_reached(struct sm *m, struct sm_vcpu *v, const struct sm_access *x, u64 pfn,
			  u8 type);

/* The access itself. False: #PF with *code. */
bool sm_hw_access(struct sm *m, struct sm_vcpu *v, const struct sm_access *x, u64 *pfn, u64 *code)
{
	struct sm_tlb *t = tlb_at(v, x->gva);
	bool hit = t->valid && t->vpn == x->gva >> PAGE_SHIFT;

	*code = (x->a.write ? MMU_PF_WRITE : 0) | (x->a.user && !x->a.implicit ? MMU_PF_USER : 0) |
		(x->a.fetch ? MMU_PF_FETCH : 0);
	if (!hit || !hw_may(v, x, t, &(u64){ 0 }) || (x->a.write && !t->dirty)) {
		if (!hw_walk(m, v, x, code)) {
			sm_hw_flush_page(v, x->gva);
			return false;
		}
	}
	*pfn = t->pfn;
	sm_trace(m, "  cpu %ld reaches %#lx: pfn %#llx%s%s%s%s level %d%s", (long)(v - m->vcpu), x->gva,
		 t->pfn, t->write ? " w" : "", t->user ? " u" : "", t->nx ? "" : " x",
		 t->dirty ? " d" : "", t->level, hit ? " (TLB before)" : "");
	check_reached(m, v, x, *pfn, t->type);
	return true;
}

/* ------------------------------------------------------------- the checks -- */

static gfn_t gfn_of_pfn(struct sm *m, u64 pfn)
{
	gfn_t gfn;

	if (m->giant.present && pfn - m->giant.pfn < SM_GIANT_GFNS)
		return SM_GIANT + pfn - m->giant.pfn;
	for (gfn = 0; gfn < SM_SMALL; gfn++)
		if (m->page[gfn].present && m->page[gfn].pfn == pfn)
			return gfn;
	return SM_GFNS;
}

static void check_reached(struct sm *m, struct sm_vcpu *v, const struct sm_access *x, u64 pfn,
			  u8 type)
{
	gfn_t gfn = gfn_of_pfn(m, pfn);
	struct sm_slot *slot = gfn < SM_GFNS ? sm_slot_of(m, gfn) : NULL;

	sm_sync_history(m);
	if (gfn >= SM_GFNS)
		sm_violation(m, "access reaches a page that is not the guest's", x->gva);
	else if (x->a.write && !sm_truth(m, gfn).writable)
		sm_violation(m, "write reaches a page the host protects", x->gva);
	else if (!sm_may_reach(m, v, x->gva, x->a, x->ac, pfn, type))
		sm_violation(m, "access the guest's tables do not allow, or without A/D", x->gva);
	if (gfn >= SM_GFNS || m->in_slot_change)
		return;
	if (!slot)
		sm_violation(m, "access goes through where no slot is", x->gva);
	else if (x->a.write && slot->readonly)
		sm_violation(m, "write goes through in a read-only slot", x->gva);
	else if (x->a.write && m->logging[slot - m->slot])
		m->must[gfn] = true;
}

static bool is_fault(struct sm *m, const struct gw_result *r, u64 code)
{
	return r->what == GW_FAULT && r->error_code == code;
}

/* No slot, or a write to a read-only one. */
static bool is_mmio(struct sm *m, const struct gw_result *r, u64 gpa)
{
	return r->what == GW_OK && r->gpa == gpa;
}

static bool is_table_mmio(struct sm *m, const struct gw_result *r, u64 gpa)
{
	return r->what == GW_NO_MEMORY && r->nowhere >> PAGE_SHIFT == gpa >> PAGE_SHIFT;
}

static void check_reflected(struct sm *m, struct sm_vcpu *v, const struct sm_access *x, u64 since)
{
	const struct mmu_fault_info *f = &v->mmu.fault;

	if (f->exception_addr != x->gva)
		sm_violation(m, "CR2 of a reflected fault", f->exception_addr);
	if (!sm_may_end(m, v, x->gva, x->a, x->ac, since, is_fault, f->exception_error))
		sm_violation(m, "reflected fault is not the guest's", x->gva);
	if (m->ad.nr && !m->config.races)
		sm_violation(m, "accessed or dirty bits set by a refused access", m->ad.at[0]);
}

static void check_mmio(struct sm *m, struct sm_vcpu *v, const struct sm_access *x, u64 since)
{
	const struct mmu_fault_info *f = &v->mmu.fault;
	gfn_t gfn = f->gpa >> PAGE_SHIFT;
	struct sm_slot *slot = gfn < SM_GFNS ? sm_slot_of(m, gfn) : NULL;

	if (!sm_may_end(m, v, x->gva, x->a, x->ac, since, f->table ? is_table_mmio : is_mmio, f->gpa))
		sm_violation(m, "MMIO where the guest's tables do not lead", x->gva);
	if (m->config.races)
		return;		/* slots may have changed in a race after the answer */
	if (slot && !(x->a.write && slot->readonly && !f->table) && !(f->table && sm_broken(m, gfn)))
		sm_violation(m, "MMIO verdict for RAM", f->gpa);
	if (!f->table && f->readonly != (slot != NULL))
		sm_violation(m, "MMIO verdict of the wrong kind", f->gpa);
}

/* Bits set by a call: only A, D in the leaf of a write, on the way of this access. */
static void check_bits(struct sm *m, struct sm_vcpu *v, const struct sm_access *x,
		       const struct gw_result *before)
{
	unsigned int i;
	int j;

	for (i = 0; i < m->ad.nr; i++) {
		u64 bits = m->ad.old[i] ^ m->ad.new[i];
		bool leaf = false, found = false;

		if ((m->ad.new[i] & bits) != bits || (bits & ~(u64)(A | D)))
			sm_violation(m, "changed more than accessed and dirty bits", m->ad.at[i]);
		for (j = 0; j < before->n; j++) {
			found |= before->at[j] == m->ad.at[i];
			leaf |= before->at[j] == m->ad.at[i] && j == before->n - 1;
		}
		if (m->config.races)
			continue;
		if (!found || before->what != GW_OK)
			sm_violation(m, "accessed or dirty bit off the access's way", m->ad.at[i]);
		else if ((bits & D) && !(leaf && x->a.write))
			sm_violation(m, "dirty bit that no write set", m->ad.at[i]);
	}
}

/* ------------------------------------------------------------- the caller -- */

/* VMRUN: the four pointers of PAE are loaded with CR3. */
static void hw_enter(struct sm *m, struct sm_vcpu *v)
{
	u64 *root;
	int i;

	root = hw_table(m, mmu_root(&v->mmu), 0);
	if (!root || mmu_shadow_levels(&v->mmu) != 3)
		return;
	for (i = 0; i < 4; i++) {
		v->pdpte[i] = READ_ONCE(root[i]);
		if ((v->pdpte[i] & P) && (v->pdpte[i] & (GENMASK_ULL(63, HOST_PHYS_BITS) | 0x1e6)))
			sm_violation(m, "PDPTE with reserved bits", v->pdpte[i]);
	}
}

/* mmu_load() as a vCPU's loop calls it. False: it failed. */
static bool load(struct sm *m, struct sm_vcpu *v, unsigned int what)
{
	enum mmu_verdict r;
	unsigned int flags = sm_chance(m, 50) ? MMU_ATOMIC : 0;

	v->in_core = true;
	m->ad.nr = 0;
	m->calls++;
	r = mmu_load(&v->mmu, &v->paging, what, flags);
	if (r == MMU_SLEEP && flags)
		r = mmu_load(&v->mmu, &v->paging, what, 0);
	v->in_core = false;
	sm_sync_history(m);
	if (m->ad.nr)
		sm_violation(m, "accessed or dirty bits set by a load", m->ad.at[0]);
	sm_hw_flush(v);
	v->loaded = r == MMU_RESUME;
	if (r != MMU_RESUME && !(r == MMU_ERROR && v->mmu.fault.error == -ENOMEM))
		sm_violation(m, "mmu_load: verdict", r);
	return v->loaded;
}

/* The instruction at hand, carried out by the emulator on the guest's own tables. */
static enum sm_outcome emulate(struct sm *m, struct sm_vcpu *v, struct sm_access *x)
{
	struct gw_result r = sm_truth_walk(m, v, x->gva, x->a, x->ac, false);
	struct sm_slot *slot;

	m->emulated++;
	if (r.what != GW_OK) {
		if (!m->config.races)
			sm_violation(m, "EMULATE for an access that is not allowed", x->gva);
		return SM_BUSY;
	}
	if (sm_broken(m, r.gpa >> PAGE_SHIFT))
		return SM_ERROR;
	slot = r.gpa >> PAGE_SHIFT < SM_GFNS ? sm_slot_of(m, r.gpa >> PAGE_SHIFT) : NULL;
	if (!slot || (x->a.write && slot->readonly))
		return SM_MMIO;
	r = sm_truth_walk(m, v, x->gva, x->a, x->ac, true);
	x->gpa = r.gpa;
	if (x->a.write) {
		sm_emulated_store(m, r.gpa, x->value, x->size);
		sm_wrote(m, r.gpa >> PAGE_SHIFT);
	}
	return SM_DONE;
}

/* Is one of the tables in device memory, where we cannot compare it? */
static bool nowhere(const struct gw_result *r)
{
	int i;

	for (i = 0; i < r->n; i++)
		if (r->at[i] >> PAGE_SHIFT >= 310 && r->at[i] >> PAGE_SHIFT < 320)
			return true;
	return false;
}

/* An ERROR verdict: memory was refused, or what is needed is broken, or a table nowhere. */
static void check_error(struct sm *m, struct sm_vcpu *v, const struct gw_result *before)
{
	int error = v->mmu.fault.error;
	bool broken = before->what == GW_OK && sm_broken(m, before->gpa >> PAGE_SHIFT);

	if (error == -ENOMEM || (error == -EHWPOISON && (broken || m->config.races)))
		return;
	if (error != -EFAULT || !nowhere(before))
		sm_violation(m, "ERROR verdict", error);
}

/* One fault; false: the access is at its end. */
static bool fault(struct sm *m, struct sm_vcpu *v, struct sm_access *x, u64 code,
		  unsigned int *flags, enum sm_outcome *outcome)
{
	struct gw_result before = sm_truth_walk(m, v, x->gva, x->a, x->ac, false);
	/* Implicit accesses at CPL 3: SMAP does not look at AC. */
	u64 rflags = x->ac && !x->a.implicit ? X86_EFLAGS_AC : 0, since = m->now;
	enum mmu_verdict r;

	m->faults++;
	m->ad.nr = 0;
	v->in_core = true;
	r = mmu_shadow_fault(&v->mmu, x->gva, code, rflags, v->pkru, *flags);
	v->in_core = false;
	sm_sync_history(m);
	sm_trace(m, "  fault %#lx code %#llx: verdict %d (truth %d code %#x gpa %#llx)", x->gva, code, r,
		 before.what, before.error_code, (u64)before.gpa);
	check_bits(m, v, x, &before);
	switch (r) {
	case MMU_RESUME:
		return true;
	case MMU_SLEEP:
		if (!*flags)
			sm_violation(m, "SLEEP verdict where sleeping is allowed", x->gva);
		*flags = 0;
		return true;
	case MMU_REFLECT:
		m->reflected++;
		check_reflected(m, v, x, since);
		*outcome = SM_REFLECTED;
		return false;
	case MMU_MMIO:
		m->mmio++;
		check_mmio(m, v, x, since);
		*outcome = SM_MMIO;
		return false;
	case MMU_EMULATE:
		*outcome = emulate(m, v, x);
		return false;
	default:
		check_error(m, v, &before);
		*outcome = SM_ERROR;
		return false;
	}
}

/* A write went through: memory changes. */
static void done(struct sm *m, struct sm_access *x, u64 pfn)
{
	gfn_t gfn = gfn_of_pfn(m, pfn);

	m->done++;
	x->gpa = gfn << PAGE_SHIFT | (x->gva & ~PAGE_MASK);
	if (x->a.write && gfn < SM_GFNS)
		sm_store(m, x->gpa, x->value, x->size);
}

static enum sm_outcome shadow_access(struct sm *m, struct sm_vcpu *v, struct sm_access *x)
{
	unsigned int flags = sm_chance(m, 50) ? MMU_ATOMIC : 0;
	enum sm_outcome outcome = SM_BUSY;
	u64 pfn, code;
	int tries;

	for (tries = 0; tries < 64 && !m->violations; tries++) {
		if (!v->loaded && !load(m, v, MMU_LOAD_ALL))
			return SM_ERROR;
		hw_enter(m, v);
		if (m->violations)
			break;
		if (sm_hw_access(m, v, x, &pfn, &code)) {
			done(m, x, pfn);
			return SM_DONE;
		}
		if (m->violations || !fault(m, v, x, code, &flags, &outcome))
			return outcome;
	}
	m->busy++;
	if (!m->violations && !m->pending && !m->config.races && !m->in_event)
		sm_violation(m, "an access that never goes through", x->gva);
	return SM_BUSY;
}

/* ------------------------------------------------------------ nested mode -- */

/* The nested tree has gfn, for writing too? NPT bits. */
static bool nested_has(struct sm *m, struct sm_vcpu *v, gfn_t gfn, bool write, u64 *pfn)
{
	u64 *table = phys_to_virt(mmu_root(&v->mmu)), *slot, e, size;
	int level;

	for (level = m->vm.levels;; level--) {
		slot = &table[gfn >> (9 * (level - 1)) & 511];
		e = READ_ONCE(*slot);
		if (!(e & P) || (write && !(e & RW)))
			return false;
		__atomic_fetch_or(slot, (u64)A, __ATOMIC_SEQ_CST);
		if (level == 1 || (e & PS))
			break;
		table = phys_to_virt(e & GENMASK_ULL(51, 12));
	}
	if (write)
		__atomic_fetch_or(slot, (u64)D, __ATOMIC_SEQ_CST);
	size = 1ULL << (9 * (level - 1));
	*pfn = ((e & GENMASK_ULL(51, 12)) >> 12 & ~(size - 1)) + (gfn & (size - 1));
	return true;
}

/* Bring the gfn in. False: no RAM takes it. */
static bool nested_page(struct sm *m, struct sm_vcpu *v, gfn_t gfn, bool write, u64 *pfn)
{
	enum mmu_verdict r;
	int tries;

	for (tries = 0; tries < 64; tries++) {
		if (nested_has(m, v, gfn, write, pfn))
			return true;
		v->in_core = true;
		r = mmu_fault(&v->mmu, gfn << PAGE_SHIFT, write ? 6 : 4, 0);
		v->in_core = false;
		if (r != MMU_RESUME)
			return false;
	}
	return false;
}

/* A processor that caches nothing, on the guest's tables and the nested tree. */
static enum sm_outcome nested_access(struct sm *m, struct sm_vcpu *v, struct sm_access *x)
{
	struct gw_result r = sm_truth_walk(m, v, x->gva, x->a, x->ac, false);
	u64 pfn;
	int i;

	if (!v->loaded && !load(m, v, MMU_LOAD_ALL))
		return SM_ERROR;
	for (i = 0; i < r.n; i++)
		nested_page(m, v, r.at[i] >> PAGE_SHIFT, true, &pfn);
	r = sm_truth_walk(m, v, x->gva, x->a, x->ac, true);
	if (r.what == GW_FAULT)
		return SM_REFLECTED;
	if (r.what != GW_OK || r.gpa >> PAGE_SHIFT >= SM_GFNS)
		return SM_MMIO;
	if (!nested_page(m, v, r.gpa >> PAGE_SHIFT, x->a.write, &pfn))
		return SM_MMIO;
	check_reached(m, v, x, pfn, SM_ANY_TYPE);
	done(m, x, pfn);
	return SM_DONE;
}

static bool noncanonical(const struct sm_vcpu *v, gva_t gva)
{
	int shift = v->paging.cr4 & X86_CR4_LA57 ? 7 : 16;

	return long_mode(v) && (gva_t)((long)(gva << shift) >> shift) != gva;
}

enum sm_outcome sm_access(struct sm *m, struct sm_vcpu *v, struct sm_access *x)
{
	enum sm_outcome outcome;

	x->gva = linear(v, x->gva);
	if (noncanonical(v, x->gva))
		return SM_GP;
	m->accesses++;
	outcome = mmu_is_shadow(&m->vm) ? shadow_access(m, v, x) : nested_access(m, v, x);
	sm_trace(m, "cpu %ld %s%s%s%s%s %#lx value %#llx: outcome %d gpa %#llx", (long)(v - m->vcpu),
		 x->a.user ? "user " : "", x->a.implicit ? "implicit " : "", x->ac ? "ac " : "",
		 x->a.fetch ? "fetch" : "", x->a.write ? "write" : "", x->gva, x->value, outcome,
		 outcome == SM_DONE ? x->gpa : 0);
	return outcome;
}

/* ------------------------------------------------- what the guest flushes -- */

/* The guest's registers have changed as what says (MMU_LOAD_*). */
void sm_guest_flush(struct sm *m, struct sm_vcpu *v, unsigned int what)
{
	u64 begin = ++m->now;	/* what others write from now on may be seen, or not yet */

	sm_trace(m, "cpu %ld load %#x: cr0 %#llx cr3 %#llx cr4 %#llx efer %#llx",
		 (long)(v - m->vcpu), what, v->paging.cr0, v->paging.cr3, v->paging.cr4,
		 v->paging.efer);
	load(m, v, what);
	if (what & (MMU_LOAD_ALL | MMU_LOAD_CR3))
		sm_note_flush(v, what & MMU_LOAD_ALL ? SM_FLUSH_ALL : SM_FLUSH_CR3, 0, begin);
}

static bool pae(const struct sm_vcpu *v)
{
	return (v->paging.cr0 & X86_CR0_PG) && (v->paging.cr4 & X86_CR4_PAE) && !long_mode(v);
}

/* MOV to CR3. False: #GP, nothing happened. */
bool sm_guest_cr3(struct sm *m, struct sm_vcpu *v, u64 cr3)
{
	struct sm_root *old = &v->root[v->roots - 1];
	u64 pdptrs[4] = { 0 };
	int i;

	for (i = 0; i < 4 && pae(v); i++) {
		u64 gpa = (cr3 & 0xffffffe0) + i * 8;

		if (!sm_is_ram(m, gpa))
			return false;
		pdptrs[i] = sm_load(m, gpa, 8);
		if ((pdptrs[i] & 1) && (pdptrs[i] & (~0ull << v->paging.maxphyaddr | 0x1e6)))
			return false;
	}
	if (v->roots == SM_ROOTS)
		sm_guest_flush(m, v, MMU_LOAD_ALL);
	old = &v->root[v->roots - 1];
	old->until = ++m->now;
	v->root[v->roots] = (struct sm_root){ .cr3 = cr3, .until = U64_MAX };
	memcpy(v->root[v->roots++].pdptrs, pdptrs, sizeof(pdptrs));
	v->paging.cr3 = cr3;
	memcpy(v->paging.pdptrs, pdptrs, sizeof(pdptrs));
	return true;
}

void sm_guest_invlpg(struct sm *m, struct sm_vcpu *v, gva_t gva)
{
	u64 begin = ++m->now;
	bool all;

	gva = linear(v, gva);
	if (!mmu_is_shadow(&m->vm) || !v->loaded || noncanonical(v, gva))
		return;
	sm_trace(m, "cpu %ld invlpg %#lx", (long)(v - m->vcpu), gva);
	v->in_core = true;
	m->ad.nr = 0;
	m->calls++;
	all = mmu_invlpg(&v->mmu, gva);
	v->in_core = false;
	sm_sync_history(m);
	if (m->ad.nr)
		sm_violation(m, "accessed or dirty bits set by INVLPG", m->ad.at[0]);
	if (all)
		sm_hw_flush(v);
	else
		sm_hw_flush_page(v, gva);
	sm_note_flush(v, SM_FLUSH_PAGE, gva, begin);
}

struct bytes { const u8 *buf; unsigned int len; };

static bool is_content(struct sm *m, const struct gw_result *r, u64 arg)
{
	const struct bytes *b = (const void *)(uintptr_t)arg;

	return r->what == GW_OK && r->gpa + b->len <= (u64)SM_GFNS << PAGE_SHIFT &&
	       !memcmp(m->byte + r->gpa, b->buf, b->len);
}

void sm_read_mapped(struct sm *m, struct sm_vcpu *v, gva_t gva)
{
	struct gw_access read = { 0 };
	struct bytes b;
	u8 buf[16];
	u64 since = v->flushes ? v->flush[0].time : 0;

	u32 pkru = v->pkru;

	gva = linear(v, gva);
	if (!mmu_is_shadow(&m->vm) || !v->loaded || noncanonical(v, gva))
		return;
	v->pkru = 0;
	b = (struct bytes){ buf, mmu_read_mapped(&v->mmu, gva, buf, sizeof(buf)) };
	sm_sync_history(m);
	if (b.len > sizeof(buf) || b.len > PAGE_SIZE - (gva & ~PAGE_MASK))
		sm_violation(m, "read of mapped bytes is too long", gva);
	else if (b.len && !sm_may_end(m, v, gva, read, true, since, is_content, (uintptr_t)&b))
		sm_violation(m, "mapped bytes that are not there", gva);
	v->pkru = pkru;
}

int sm_set_mode(struct sm *m, bool shadow)
{
	int i, r;

	sm_trace(m, "mode %s", shadow ? "shadow" : "nested");
	r = mmu_vm_set_mode(&m->vm, shadow ? MMU_SHADOW : MMU_NESTED);
	for (i = 0; i < SM_VCPUS; i++) {
		sm_hw_flush(&m->vcpu[i]);
		m->vcpu[i].loaded = false;
	}
	for (i = 0; i < SM_VCPUS; i++)
		sm_guest_flush(m, &m->vcpu[i], MMU_LOAD_ALL);
	return r;
}
