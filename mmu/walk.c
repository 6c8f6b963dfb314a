// SPDX-License-Identifier: GPL-2.0
/*
 * The guest page-table walk, in every paging mode by one loop over a const
 * description.
 *
 *   gva:   … | index of level 3 | index of level 2 | index of level 1 | offset
 *   cr3 ──► entry ──► entry ──► entry (a leaf at any level that may hold one)
 *
 * At each level: present? reserved bits? Then, with the rights of all levels
 * together: may this access be made? Only an access that may be made sets
 * accessed and dirty bits, each by compare-exchange; one that is lost means the
 * table changed under us, and the walk starts over.
 *
 * AMD APM vol. 2: 5.2 (legacy formats), 5.3 (long mode), 5.6 (rights, SMEP, SMAP,
 * keys), 8.4.2 (error code).
 */
#include "mmu/walk.h"

#define PT_PRESENT	BIT_ULL(0)
#define PT_WRITE	BIT_ULL(1)
#define PT_USER		BIT_ULL(2)
#define PT_ACCESSED	BIT_ULL(5)
#define PT_DIRTY	BIT_ULL(6)
#define PT_LARGE	BIT_ULL(7)
#define PT_NX		BIT_ULL(63)

/* A lost compare-exchange this many times in a row: other processors keep writing the tables. */
#define RESTARTS_MAX	16

struct guest_format {
	u8 root_level;
	u8 entry_bytes;
	u8 index_bits;
	bool nx;		/* entries have 64 bits, with NX on top */
	bool keys;		/* protection keys in leaves */
	u64 root_mask;		/* of CR3 */
	u64 always_rsvd;	/* at every level, with the physical address limit on top */
};

static const struct guest_format format_32 = {
	.root_level = 2, .entry_bytes = 4, .index_bits = 10,
	.root_mask = GENMASK_ULL(31, 12),
};

static const struct guest_format format_pae = {
	.root_level = 3, .entry_bytes = 8, .index_bits = 9, .nx = true,
	.root_mask = GENMASK_ULL(31, 5), .always_rsvd = GENMASK_ULL(62, 52),
};

static const struct guest_format format_4level = {
	.root_level = 4, .entry_bytes = 8, .index_bits = 9, .nx = true, .keys = true,
	.root_mask = GENMASK_ULL(51, 12),
};

static const struct guest_format format_5level = {
	.root_level = 5, .entry_bytes = 8, .index_bits = 9, .nx = true, .keys = true,
	.root_mask = GENMASK_ULL(51, 12),
};

static const struct guest_format *guest_format(const struct mmu_walk_env *env)
{
	if (env->efer & EFER_LMA)
		return env->cr4 & X86_CR4_LA57 ? &format_5level : &format_4level;
	return env->cr4 & X86_CR4_PAE ? &format_pae : &format_32;
}

/* Bits of physical address that the guest's processor does not have. */
static u64 address_rsvd(const struct mmu_walk_env *env)
{
	return env->maxphyaddr < 52 ? GENMASK_ULL(51, env->maxphyaddr) : 0;
}

/* Is a present entry of this level a leaf? */
static bool is_leaf(const struct mmu_walk_env *env, const struct guest_format *f, int level, u64 entry)
{
	if (level == 1)
		return true;
	if (!(entry & PT_LARGE))
		return false;
	if (level == 2)
		return f->nx || (env->cr4 & X86_CR4_PSE);
	return level == 3 && f->root_level > 3 && env->pages_1g;
}

/* PSE-36: bits 20:13 of a 4 MiB entry are address bits 39:32 (APM vol. 2, 5.2.2). */
static u64 rsvd_4m(const struct mmu_walk_env *env)
{
	u64 above = env->maxphyaddr >= 40 ? 0 : GENMASK_ULL(39, max_t(int, env->maxphyaddr, 32));

	return BIT_ULL(21) | above >> 32 << 13;
}

/* Bits that must be zero in a present entry of any level. */
static u64 reserved_anywhere(const struct mmu_walk_env *env, const struct guest_format *f)
{
	if (!f->nx)
		return 0;
	return f->always_rsvd | address_rsvd(env) | (env->efer & EFER_NX ? 0 : PT_NX);
}

/* Bits that must be zero in this present entry. rsvd: reserved_anywhere(). */
static u64 reserved_bits(const struct mmu_walk_env *env, const struct guest_format *f, int level, bool leaf,
			 u64 rsvd)
{
	if (!f->nx)
		return leaf && level == 2 ? rsvd_4m(env) : 0;
	if (f->root_level == 3 && level == 3)	/* a PDPTE of PAE has no rights and no NX */
		return rsvd | PT_NX | GENMASK_ULL(8, 5) | PT_WRITE | PT_USER;
	if (leaf)
		return level == 1 ? rsvd : rsvd | GENMASK_ULL(12 + 9 * (level - 1) - 1, 13);
	if (level >= 3) {
		rsvd |= PT_LARGE;
		if (env->amd && level <= 4)
			rsvd |= BIT_ULL(8);
	}
	return rsvd;
}

u64 mmu_leaf_reserved(const struct mmu_walk_env *env, int level)
{
	const struct guest_format *f = guest_format(env);

	return reserved_bits(env, f, level, true, reserved_anywhere(env, f));
}

static gpa_t leaf_gpa(const struct guest_format *f, struct mmu_walk *w, gva_t gva, u64 entry)
{
	u64 offset = (1ULL << w->page_shift) - 1;
	u64 base = entry & (f->nx ? GENMASK_ULL(51, 12) : GENMASK_ULL(31, 12)) & ~offset;

	if (w->page_shift == 22)
		base |= (entry & GENMASK_ULL(20, 13)) << (32 - 13);
	return base | (gva & offset);
}

static enum mmu_walk_result from_error(struct mmu_walk *w, int error, gpa_t gpa)
{
	w->fail_gpa = gpa;
	return error == -EAGAIN ? MMU_WALK_SLEEP : MMU_WALK_NO_MEMORY;
}

static enum mmu_walk_result page_fault(struct mmu_walk *w, u64 code)
{
	w->error_code = code;
	return MMU_WALK_FAULT;
}

/* Read the entry of w->level. PDPTEs of PAE may be cached in the processor. */
static int read_entry(const struct mmu_walk_env *env, const struct guest_format *f, struct mmu_walk *w,
		      gpa_t table, gva_t gva, unsigned int flags)
{
	unsigned int shift = PAGE_SHIFT + f->index_bits * (w->level - 1);
	unsigned int index = gva >> shift & ((1u << f->index_bits) - 1);
	gpa_t gpa = table + index * f->entry_bytes;
	u64 *entry = &w->entry[w->level - 1];

	w->table_gpa[w->level - 1] = gpa;
	w->page_shift = shift;
	if (env->pdptrs && f->root_level == 3 && w->level == 3) {
		*entry = env->pdptrs[index];
		return 0;
	}
	*entry = 0;
	return env->vcpu->vm->host->read_guest(env->vcpu, gpa, entry, f->entry_bytes,
					       flags & MMU_WALK_ATOMIC ? MMU_GUEST_ATOMIC : 0);
}

/* Down to the leaf: fills gpa and the rights. code: the error code bits of this access. */
static enum mmu_walk_result descend(const struct mmu_walk_env *env, const struct guest_format *f,
				    struct mmu_walk *w, gva_t gva, u64 code, unsigned int flags)
{
	u64 rights = PT_WRITE | PT_USER | PT_ACCESSED, nx = 0;
	u64 rsvd = reserved_anywhere(env, f);
	gpa_t table = env->cr3 & f->root_mask;

	for (w->level = f->root_level;; w->level--) {
		bool leaf, pdpte = f->root_level == 3 && w->level == 3;
		int r = read_entry(env, f, w, table, gva, flags);
		u64 entry = w->entry[w->level - 1];

		if (unlikely(r))
			return from_error(w, r, w->table_gpa[w->level - 1]);
		if (!(entry & PT_PRESENT))
			return page_fault(w, code);
		leaf = is_leaf(env, f, w->level, entry);
		if (unlikely(entry & reserved_bits(env, f, w->level, leaf, rsvd)))
			return page_fault(w, code | MMU_PF_PRESENT | MMU_PF_RSVD);
		if (!pdpte) {
			rights &= entry;
			nx |= entry;
		}
		if (leaf) {
			w->write = rights & PT_WRITE;
			w->user = rights & PT_USER;
			w->accessed = rights & PT_ACCESSED;
			w->exec = !(f->nx && (nx & PT_NX));
			w->gpa = leaf_gpa(f, w, gva, entry);
			return MMU_WALK_OK;
		}
		table = entry & (f->nx ? GENMASK_ULL(51, 12) : GENMASK_ULL(31, 12));
	}
}

/* Do the keys of PKRU forbid a data access to this user page? APM vol. 2, 5.6.7. */
static bool key_forbids(const struct mmu_walk_env *env, const struct guest_format *f,
			const struct mmu_walk *w, u64 access, bool user)
{
	unsigned int key;
	bool ad, wd;

	if (!f->keys || !(env->cr4 & X86_CR4_PKE) || !w->user || (access & MMU_ACC_FETCH))
		return false;
	key = w->entry[w->level - 1] >> 59 & 15;
	ad = env->pkru >> (2 * key) & 1;
	wd = env->pkru >> (2 * key + 1) & 1;
	return ad || (wd && (access & MMU_ACC_WRITE) && (user || (env->cr0 & X86_CR0_WP)));
}

/* Do the rights of the pages allow the access? APM vol. 2, 5.6.1 to 5.6.6. */
static bool rights_allow(const struct mmu_walk_env *env, const struct mmu_walk *w, u64 access, bool user)
{
	if (access & MMU_ACC_FETCH) {
		if (!w->exec)
			return false;
		return user ? w->user : !(w->user && (env->cr4 & X86_CR4_SMEP));
	}
	if (user)
		return w->user && (w->write || !(access & MMU_ACC_WRITE));
	if (w->user && (env->cr4 & X86_CR4_SMAP) &&
	    !((env->rflags & X86_EFLAGS_AC) && !(access & MMU_ACC_IMPLICIT)))
		return false;
	return w->write || !(access & MMU_ACC_WRITE) || !(env->cr0 & X86_CR0_WP);
}

/* The bits of the error code that the access alone decides. APM vol. 2, 8.4.2. */
static u64 access_code(const struct mmu_walk_env *env, u64 access, bool user)
{
	u64 code = access & MMU_ACC_WRITE;

	if (user)
		code |= MMU_PF_USER;
	if ((access & MMU_ACC_FETCH) &&
	    ((env->cr4 & X86_CR4_SMEP) || ((env->cr4 & X86_CR4_PAE) && (env->efer & EFER_NX))))
		code |= MMU_PF_FETCH;
	return code;
}

/*
 * Set accessed and dirty bits, root first. 0, 1 (lost: walk again), -EAGAIN. Tables
 * in ROM stay as they are, as they would on a machine.
 */
static int set_accessed_dirty(const struct mmu_walk_env *env, const struct guest_format *f,
			      struct mmu_walk *w, u64 access, unsigned int flags)
{
	unsigned int atomic = flags & MMU_WALK_ATOMIC ? MMU_GUEST_ATOMIC : 0;
	int level, r;

	if (w->accessed && (!(access & MMU_ACC_WRITE) || (w->entry[w->level - 1] & PT_DIRTY)))
		return 0;
	for (level = f->root_level; level >= w->level; level--) {
		u64 old = w->entry[level - 1], new = old | PT_ACCESSED;

		if (f->root_level == 3 && level == 3)
			continue;
		if (level == w->level && (access & MMU_ACC_WRITE))
			new |= PT_DIRTY;
		if (new == old)
			continue;
		r = env->vcpu->vm->host->cmpxchg_guest(env->vcpu, w->table_gpa[level - 1], old, new,
						       f->entry_bytes, atomic);
		if (r == -EFAULT)
			continue;
		if (r)
			return r;
		w->entry[level - 1] = new;
	}
	return 0;
}

static enum mmu_walk_result walk_tables(struct mmu_walk *w, const struct mmu_walk_env *env,
					gva_t gva, u64 access, unsigned int flags)
{
	const struct guest_format *f = guest_format(env);
	bool user = (access & MMU_ACC_USER) && !(access & MMU_ACC_IMPLICIT);
	u64 code = access_code(env, access, user);
	int restarts, r;

	w->root_level = f->root_level;
	if (f->root_level <= 3)
		gva = (u32)gva;
	else if ((gva_t)sign_extend64(gva, f->root_level == 5 ? 56 : 47) != gva)
		return MMU_WALK_NONCANONICAL;

	for (restarts = 0; restarts < RESTARTS_MAX; restarts++) {
		enum mmu_walk_result result = descend(env, f, w, gva, code, flags);

		if (result != MMU_WALK_OK)
			return result;
		if (!(flags & MMU_WALK_NO_CHECK)) {
			bool key = key_forbids(env, f, w, access, user);

			if (key || !rights_allow(env, w, access, user))
				return page_fault(w, code | MMU_PF_PRESENT | (key ? MMU_PF_PK : 0));
		}
		if (!(flags & MMU_WALK_SET_AD))
			return MMU_WALK_OK;
		r = set_accessed_dirty(env, f, w, access, flags);
		if (r <= 0)
			return r ? MMU_WALK_SLEEP : MMU_WALK_OK;
	}
	return MMU_WALK_AGAIN;
}

enum mmu_walk_result mmu_walk(struct mmu_walk *out, const struct mmu_walk_env *env,
			      gva_t gva, u64 access, unsigned int flags)
{
	if (env->cr0 & X86_CR0_PG) {
		out->result = walk_tables(out, env, gva, access, flags);
		return out->result;
	}
	out->gpa = (u32)gva;
	out->level = 0;
	out->root_level = 0;
	out->page_shift = PAGE_SHIFT;
	out->write = out->user = out->exec = out->accessed = true;
	return out->result = MMU_WALK_OK;
}
