// SPDX-License-Identifier: GPL-2.0
/*
 * What was where and when, and the outcomes an access may have.
 *
 *	time ──►   w0      w1   flush    w2          now
 *	entry:  a  |   b   |      c      |     d
 *	                         └── c and d may be used; d only, if nobody cached c
 */
#include <stdio.h>

#include "tests/model/shadow_machine.h"

static u32 *bucket_of(struct sm *m, u64 word)
{
	return &m->bucket[(word >> 3) * 0x9e3779b1u % SM_BUCKETS];
}

/* The word changes now; what it was becomes history. */
static void remember(struct sm *m, u64 word, u64 old)
{
	u32 *bucket = bucket_of(m, word);
	struct sm_write *w;

	if (m->writes + 1 >= SM_WRITES)
		return;
	w = &m->write[++m->writes];
	*w = (struct sm_write){ word, old, ++m->now, *bucket };
	*bucket = m->writes;
}

u64 sm_load(struct sm *m, gpa_t gpa, int size)
{
	u64 v = 0;

	memcpy(&v, m->byte + gpa, size);
	return v;
}

void sm_store(struct sm *m, gpa_t gpa, u64 value, int size)
{
	u64 word = gpa & ~7ull, old = sm_load(m, word, 8);

	memcpy(m->byte + gpa, &value, size);
	if (sm_load(m, word, 8) == old)
		return;
	remember(m, word, old);
	memcpy(m->mirror + word, m->byte + word, 8);
}

void sm_emulated_store(struct sm *m, gpa_t gpa, u64 value, int size)
{
	mmu_guest_write_begin(&m->vm, gpa, size);
	sm_store(m, gpa, value, size);
	mmu_guest_write_end(&m->vm);
}

void sm_note_bits(struct sm *m, u64 at, u64 old, u64 new)
{
	struct sm_bits *b = &m->ad;

	if (b->nr == ARRAY_SIZE(b->at))
		return;
	b->at[b->nr] = at;
	b->old[b->nr] = old;
	b->new[b->nr++] = new;
}

/* A word that mmu/ has changed by itself: of 4-byte entries, which? */
static void note_word(struct sm *m, u64 word, u64 old, u64 new)
{
	if ((old ^ new) >> 32 && !(u32)(old ^ new))
		sm_note_bits(m, word + 4, old >> 32, new >> 32);
	else
		sm_note_bits(m, word, old, new);
}

/*
 * mmu/ has written gfn through an address we gave out: it may where the guest may, and as it tells nobody,
 * no dirty log will have it.
 */
static void written_directly(struct sm *m, gfn_t gfn)
{
	struct sm_slot *slot = sm_slot_of(m, gfn);

	if (!slot || slot->readonly || !sm_truth(m, gfn).writable)
		sm_violation(m, "bits set in a table that is not to be written", gfn);
	else if (m->logging[slot - m->slot])
		m->must[gfn] = true;
}

/* Find what was written through an address we gave out. Called before anything changes of who may write where. */
void sm_sync_history(struct sm *m)
{
	gfn_t gfn;
	u64 at;

	for (gfn = 0; gfn < SM_SMALL; gfn++) {
		if (!m->watched[gfn] ||
		    !memcmp(m->byte + gfn * PAGE_SIZE, m->mirror + gfn * PAGE_SIZE, PAGE_SIZE))
			continue;
		written_directly(m, gfn);
		for (at = gfn * PAGE_SIZE; at < (gfn + 1) * PAGE_SIZE; at += 8) {
			u64 old;

			memcpy(&old, m->mirror + at, 8);
			if (old == sm_load(m, at, 8))
				continue;
			note_word(m, at, old, sm_load(m, at, 8));
			remember(m, at, old);
			memcpy(m->mirror + at, m->byte + at, 8);
		}
	}
}

/* The vCPU relies on nothing older than time, or on nothing older of that kind. */
void sm_note_flush(struct sm_vcpu *v, enum sm_flush_kind kind, gva_t gva, u64 time)
{
	if (v->flushes == SM_FLUSHES)	/* forgetting makes the check weaker, not wrong */
		return;
	if (kind == SM_FLUSH_ALL) {
		v->flushes = 0;
		v->root[0] = v->root[v->roots - 1];
		v->roots = 1;
	}
	v->flush[v->flushes++] = (struct sm_flush){ time, kind, gva };
}

/* Since when a translation of a page of that size was not flushed. */
static u64 flushed_at(const struct sm_vcpu *v, gva_t gva, u64 size, bool global)
{
	u64 time = 0;
	unsigned int i;

	for (i = 0; i < v->flushes; i++) {
		const struct sm_flush *f = &v->flush[i];

		if (f->kind == SM_FLUSH_CR3 && global)
			continue;
		if (f->kind == SM_FLUSH_PAGE && (f->gva ^ gva) & ~(size - 1))
			continue;
		time = f->time;
	}
	return time;
}

struct gw_cpu sm_gw_cpu(const struct sm_vcpu *v, bool ac)
{
	const struct mmu_paging *p = &v->paging;

	return (struct gw_cpu){
		.pg = p->cr0 & X86_CR0_PG, .wp = p->cr0 & X86_CR0_WP,
		.pse = p->cr4 & X86_CR4_PSE, .pae = p->cr4 & X86_CR4_PAE,
		.lma = p->efer & EFER_LMA, .la57 = p->cr4 & X86_CR4_LA57,
		.nxe = p->efer & EFER_NX, .smep = p->cr4 & X86_CR4_SMEP,
		.smap = p->cr4 & X86_CR4_SMAP, .pke = p->cr4 & X86_CR4_PKE, .ac = ac,
		.pages_1g = p->pages_1g, .amd = p->amd, .maxphyaddr = p->maxphyaddr,
		.pkru = v->pkru, .cr3 = p->cr3, .pdptrs = p->pdptrs,
	};
}

/* A walk in which each entry takes one of the values it had since a time, or is not there any more. */
struct choice {
	struct gw_memory memory;
	struct sm *m;
	u64 since;
	unsigned int pick[5], nr[5];
	u64 until[5], value[5];
	int depth;
};

/* The n-th newest value; *until: when it ended. False: there are fewer since c->since. */
static bool value_since(struct choice *c, u64 at, int width, unsigned int n, u64 *value, u64 *until)
{
	u64 word = at & ~7ull, all = sm_load(c->m, word, 8);
	u32 i = *bucket_of(c->m, word);

	*until = U64_MAX;
	for (; n; n--) {
		while (i && c->m->write[i].at != word)
			i = c->m->write[i].next;
		if (!i || c->m->write[i].time <= c->since)
			return false;
		all = c->m->write[i].old;
		*until = c->m->write[i].time;
		i = c->m->write[i].next;
	}
	*value = width == 8 ? all : (u32)(all >> (at & 4) * 8);
	return true;
}

/* When what is not there any more went (0: never was any), and when it was not there last. */
static void absence(struct sm *m, u64 at, u64 *gone, u64 *absent)
{
	gfn_t gfn = at >> PAGE_SHIFT;
	const struct sm_slot *slot = NULL;
	int i;

	for (i = 0; i < SM_SLOTS; i++)
		if (gfn >= m->slot[i].start && gfn < m->slot[i].end)
			slot = &m->slot[i];
	*gone = slot ? U64_MAX : 0;
	*absent = slot ? slot->came : 0;
	if (slot && !slot->exists)
		*gone = *absent = slot->gone;
	if (gfn >= SM_SMALL)
		return;
	if (m->page[gfn].broken)
		*gone = min(*gone, m->page[gfn].gone);
	*absent = max(*absent, max(m->page[gfn].gone, m->page[gfn].came));
}

static bool choose(const struct gw_memory *memory, uint64_t at, int width, uint64_t *value)
{
	struct choice *c = container_of(memory, struct choice, memory);
	u64 v, until, gone, absent;
	int i = c->depth++;
	unsigned int n = c->pick[i];

	absence(c->m, at, &gone, &absent);
	if (gone <= c->since || ((gone != U64_MAX || absent > c->since) && n-- == 0)) {
		c->nr[i] = gone <= c->since ? 1 : 2;
		c->until[i] = U64_MAX;
		return false;
	}
	if (!value_since(c, at, width, n, &v, &until))
		return false;
	c->nr[i] = c->pick[i] + 1 + value_since(c, at, width, n + 1, &(u64){ 0 }, &(u64){ 0 });
	c->until[i] = min(until, gone);
	c->value[i] = *value = v;
	return true;
}

/* The next combination; false when all have been. */
static bool next_choice(struct choice *c)
{
	int i;

	for (i = c->depth - 1; i >= 0; i--) {
		if (++c->pick[i] < c->nr[i])
			return true;
		c->pick[i] = 0;
	}
	return false;
}

static bool load_now(const struct gw_memory *memory, uint64_t at, int width, uint64_t *value)
{
	struct choice *c = container_of(memory, struct choice, memory);

	if (!sm_is_ram(c->m, at))
		return false;
	*value = sm_load(c->m, at, width);
	return true;
}

struct gw_result sm_truth_walk(struct sm *m, struct sm_vcpu *v, gva_t gva, struct gw_access a,
			       bool ac, bool set_ad)
{
	struct choice c = { .memory.load = load_now, .m = m };
	struct gw_cpu cpu = sm_gw_cpu(v, ac);
	struct gw_result r = gw_walk(&cpu, &c.memory, gva, a, false);
	int i, width = cpu.pae || cpu.lma ? 8 : 4;

	for (i = 0; set_ad && r.what == GW_OK && i < r.n; i++) {
		u64 bits = 0x20 | (a.write && i == r.n - 1 ? 0x40 : 0);
		struct sm_slot *slot = sm_slot_of(m, r.at[i] >> PAGE_SHIFT);

		if (slot->readonly)
			continue;
		sm_store(m, r.at[i], sm_load(m, r.at[i], width) | bits, width);
		sm_wrote(m, r.at[i] >> PAGE_SHIFT);
	}
	return r;
}

static bool in_rom(struct sm *m, u64 at)
{
	gfn_t gfn = at >> PAGE_SHIFT;

	return gfn >= m->slot[1].start && gfn < m->slot[1].end;
}

/* Were accessed and dirty bits set in all values chosen? Tables in ROM have none to set. */
static bool bits_set(struct sm *m, const struct choice *c, const struct gw_result *r, bool write)
{
	int i;

	for (i = 0; i < r->n; i++) {
		if (in_rom(m, r->at[i]))
			continue;
		if (!(c->value[i] & 0x20) || (write && i == r->n - 1 && !(c->value[i] & 0x40)))
			return false;
	}
	return true;
}

static bool reaches(struct sm *m, const struct gw_result *r, u64 pfn)
{
	struct sm_page page = sm_truth(m, r->gpa >> PAGE_SHIFT);

	return r->what == GW_OK && page.present && page.pfn == pfn;
}

/* Is everything chosen newer than what the vCPU has flushed? */
static bool not_flushed(const struct sm_vcpu *v, const struct choice *c, const struct gw_result *r,
			gva_t gva, u64 root_until)
{
	bool global = r->global && (v->paging.cr4 & X86_CR4_PGE);
	u64 time = flushed_at(v, gva, r->size, global);
	int i;

	for (i = 0; i < c->depth; i++)
		if (c->until[i] <= time)
			return false;
	return root_until > time;
}

/* Does the leaf chosen say that memory type? */
static bool same_type(const struct sm_vcpu *v, const struct choice *c, const struct gw_result *r,
		      u8 type)
{
	u64 leaf = r->n ? c->value[r->n - 1] : 0;
	bool large = r->size > PAGE_SIZE;
	unsigned int i = leaf >> 3 & 3;

	if (type == SM_ANY_TYPE || !r->n)
		return true;
	if (large ? leaf & 1 << 12 : leaf & 0x80)
		i |= 4;
	return (u8)(v->paging.pat >> 8 * i) == type;
}

bool sm_may_reach(struct sm *m, struct sm_vcpu *v, gva_t gva, struct gw_access a, bool ac, u64 pfn,
		  u8 type)
{
	struct gw_cpu cpu = sm_gw_cpu(v, ac);
	int i, tries = 0;

	for (i = v->roots - 1; i >= 0; i--) {
		struct choice c = { .memory.load = choose, .m = m };

		c.since = v->flushes ? v->flush[0].time : 0;
		cpu.cr3 = v->root[i].cr3;
		cpu.pdptrs = v->root[i].pdptrs;
		do {
			struct gw_result r;

			c.depth = 0;
			r = gw_walk(&cpu, &c.memory, gva, a, false);
			if (reaches(m, &r, pfn) && bits_set(m, &c, &r, a.write) &&
			    same_type(v, &c, &r, type) &&
			    not_flushed(v, &c, &r, gva, v->root[i].until))
				return true;
		} while (next_choice(&c) && ++tries < 20000);
	}
	return tries >= 20000;
}

bool sm_may_end(struct sm *m, struct sm_vcpu *v, gva_t gva, struct gw_access a, bool ac, u64 since,
		bool (*wanted)(struct sm *m, const struct gw_result *r, u64 arg), u64 arg)
{
	struct gw_cpu cpu = sm_gw_cpu(v, ac);
	struct choice c = { .memory.load = choose, .m = m, .since = since };
	int tries = 0;

	do {
		struct gw_result r;

		c.depth = 0;
		r = gw_walk(&cpu, &c.memory, gva, a, false);
		if (wanted(m, &r, arg))
			return true;
	} while (next_choice(&c) && ++tries < 20000);
	return tries >= 20000;
}
