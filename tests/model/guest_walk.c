// SPDX-License-Identifier: GPL-2.0
/* The model of guest_walk.h. Section numbers: AMD APM vol. 2. Bare-metal guests use it too: no libc. */
#include "tests/model/guest_walk.h"

enum { P = 1, RW = 2, US = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };

struct page {
	uint64_t base, size;
	bool write, user, nx, global;
	unsigned int key;
};

/* Entries passed on the way, for A and D, and the one that is not in memory. */
struct trail {
	int n;
	uint64_t at[5];
	uint64_t last;
};

/* An entry; false when there is no memory. */
static bool load(const struct gw_memory *m, struct trail *t, uint64_t at, int width, uint64_t *v)
{
	*v = 0;
	t->last = at;
	if (m->load)
		return m->load(m, at, width, v);
	if (at + width > m->size)
		return false;
	__builtin_memcpy(v, m->byte + at, width);
	return true;
}

static void pass(struct trail *t, uint64_t at)
{
	t->at[t->n++] = at;
}

static bool bit(uint64_t v, int n)
{
	return v >> n & 1;
}

/* Any of bits hi..lo set? */
static bool any(uint64_t v, int hi, int lo)
{
	int i;

	for (i = lo; i <= hi; i++)
		if (bit(v, i))
			return true;
	return false;
}

enum stop { FOUND, ABSENT, RESERVED, NOWHERE };

/* 5.2.2, 5.2.3: two levels of 1024 entries of 4 bytes. */
static enum stop walk_32(const struct gw_cpu *c, const struct gw_memory *m, uint32_t va, struct page *pg, struct trail *t)
{
	uint64_t pde_at = (c->cr3 & 0xfffff000) + (va >> 22) * 4, pte_at, pde, pte;

	if (!load(m, t, pde_at, 4, &pde))
		return NOWHERE;
	if (!(pde & P))
		return ABSENT;
	pass(t, pde_at);
	if (c->pse && (pde & PS)) {
		uint64_t high = pde >> 13 & 0xff;

		if (bit(pde, 21))
			return RESERVED;
		if (c->maxphyaddr < 40 && (c->maxphyaddr <= 32 ? high : high >> (c->maxphyaddr - 32)))
			return RESERVED;
		*pg = (struct page){ (uint64_t)(pde >> 22) << 22 | high << 32, 1 << 22,
				     pde & RW, pde & US, false, pde & G, 0 };
		return FOUND;
	}
	pte_at = (pde & 0xfffff000) + (va >> 12 & 0x3ff) * 4;
	if (!load(m, t, pte_at, 4, &pte))
		return NOWHERE;
	if (!(pte & P))
		return ABSENT;
	pass(t, pte_at);
	*pg = (struct page){ pte & 0xfffff000, 4096, (pde & pte) & RW, (pde & pte) & US, false,
			     pte & G, 0 };
	return FOUND;
}

static bool high_reserved(const struct gw_cpu *c, uint64_t e, bool legacy)
{
	if (c->maxphyaddr < 52 && any(e, 51, c->maxphyaddr))
		return true;
	if (legacy && any(e, 62, 52))
		return true;
	return !c->nxe && bit(e, 63);
}

/* The last two levels, alike in PAE and long mode (5.2.4, 5.3.3). */
static enum stop walk_pd(const struct gw_cpu *c, const struct gw_memory *m, uint64_t pd, uint64_t va, bool legacy,
			 struct page *pg, struct trail *t)
{
	uint64_t pde_at = pd + (va >> 21 & 0x1ff) * 8, pte_at, pde, pte;

	if (!load(m, t, pde_at, 8, &pde))
		return NOWHERE;
	if (!(pde & P))
		return ABSENT;
	pass(t, pde_at);
	if (high_reserved(c, pde, legacy))
		return RESERVED;
	if (pde & PS) {
		if (any(pde, 20, 13))
			return RESERVED;
		*pg = (struct page){ pde & 0xfffffffe00000, 1 << 21, pg->write && (pde & RW),
				     pg->user && (pde & US), pg->nx || bit(pde, 63), pde & G,
				     pde >> 59 & 15 };
		return FOUND;
	}
	pte_at = (pde & 0xffffffffff000) + (va >> 12 & 0x1ff) * 8;
	if (!load(m, t, pte_at, 8, &pte))
		return NOWHERE;
	if (!(pte & P))
		return ABSENT;
	pass(t, pte_at);
	if (high_reserved(c, pte, legacy))
		return RESERVED;
	*pg = (struct page){ pte & 0xffffffffff000, 4096, pg->write && (pde & pte & RW),
			     pg->user && (pde & pte & US), pg->nx || bit(pde | pte, 63), pte & G,
			     pte >> 59 & 15 };
	return FOUND;
}

/* 5.2.4: four pointers, which carry no rights, then as in long mode. */
static enum stop walk_pae(const struct gw_cpu *c, const struct gw_memory *m, uint32_t va, struct page *pg, struct trail *t)
{
	uint64_t at = (c->cr3 & 0xffffffe0) + (va >> 30) * 8, pdpe;

	if (c->pdptrs)
		pdpe = c->pdptrs[va >> 30];
	else if (!load(m, t, at, 8, &pdpe))
		return NOWHERE;
	if (!(pdpe & P))
		return ABSENT;
	if (any(pdpe, 2, 1) || any(pdpe, 8, 5) || any(pdpe, 63, 52) || high_reserved(c, pdpe, true))
		return RESERVED;
	*pg = (struct page){ .write = true, .user = true };
	return walk_pd(c, m, pdpe & 0xffffffffff000, va, true, pg, t);
}

/* 5.3: four or five levels. */
static enum stop walk_long(const struct gw_cpu *c, const struct gw_memory *m, uint64_t va, struct page *pg, struct trail *t)
{
	uint64_t table = c->cr3 & 0xffffffffff000, at, e;
	int shift;

	*pg = (struct page){ .write = true, .user = true };
	for (shift = c->la57 ? 48 : 39; shift >= 30; shift -= 9) {
		at = table + (va >> shift & 0x1ff) * 8;
		if (!load(m, t, at, 8, &e))
			return NOWHERE;
		if (!(e & P))
			return ABSENT;
		pass(t, at);
		if (high_reserved(c, e, false))
			return RESERVED;
		if (shift > 30 && (e & PS))
			return RESERVED;
		if (shift == 30 && (e & PS) && !c->pages_1g)
			return RESERVED;
		pg->write = pg->write && (e & RW);
		pg->user = pg->user && (e & US);
		pg->nx = pg->nx || bit(e, 63);
		if (shift == 30 && (e & PS)) {
			if (any(e, 29, 13))
				return RESERVED;
			pg->base = e & 0xfffffc0000000;
			pg->size = 1 << 30;
			pg->key = e >> 59 & 15;
			pg->global = e & G;
			return FOUND;
		}
		if (c->amd && shift <= 39 && bit(e, 8))
			return RESERVED;
		table = e & 0xffffffffff000;
	}
	return walk_pd(c, m, table, va, false, pg, t);
}

/* 5.6: may this access use this page? *key: the protection key is (one of) the reasons why not. */
static bool may(const struct gw_cpu *c, const struct page *pg, struct gw_access a, bool *key)
{
	bool user = a.user && !a.implicit, ok = true;

	*key = false;
	if (c->lma && c->pke && pg->user && !a.fetch) {
		bool access_disable = bit(c->pkru, 2 * pg->key), write_disable = bit(c->pkru, 2 * pg->key + 1);

		if (access_disable)
			*key = true;
		if (a.write && write_disable && (user || c->wp))
			*key = true;
	}
	if (user && !pg->user)
		ok = false;
	if (a.fetch && pg->nx && c->nxe && (c->lma || c->pae))
		ok = false;
	if (a.fetch && !user && pg->user && c->smep)
		ok = false;
	if (!a.fetch && !user && pg->user && c->smap && (a.implicit || !c->ac))
		ok = false;
	if (a.write && !pg->write && (user || c->wp))
		ok = false;
	return ok && !*key;
}

/* 8.4.2 */
static unsigned int code(const struct gw_cpu *c, struct gw_access a, bool present, bool reserved, bool key)
{
	unsigned int e = 0;

	if (present)
		e |= 1;
	if (a.write)
		e |= 2;
	if (a.user && !a.implicit)
		e |= 4;
	if (reserved)
		e |= 8;
	if (a.fetch && ((c->nxe && (c->pae || c->lma)) || c->smep))
		e |= 16;
	if (key)
		e |= 32;
	return e;
}

static bool canonical(uint64_t va, int bits)
{
	uint64_t top = va >> (bits - 1);

	return top == 0 || top == ~0ULL >> (bits - 1);
}

static void set_bits(struct gw_memory *m, const struct trail *t, bool write)
{
	int i;

	for (i = 0; i < t->n; i++) {
		m->byte[t->at[i]] |= A;
		if (write && i == t->n - 1)
			m->byte[t->at[i]] |= D;
	}
}

struct gw_result gw_walk(const struct gw_cpu *c, struct gw_memory *m, uint64_t va,
			 struct gw_access a, bool set_ad)
{
	struct gw_result r = { .what = GW_OK, .size = 4096 };
	struct page pg = { 0 };
	struct trail t = { 0 };
	enum stop stop;
	bool key;

	if (!c->pg) {
		r.gpa = (uint32_t)va;
		return r;
	}
	if (c->lma && !canonical(va, c->la57 ? 57 : 48)) {
		r.what = GW_NONCANONICAL;
		return r;
	}
	if (c->lma)
		stop = walk_long(c, m, va, &pg, &t);
	else if (c->pae)
		stop = walk_pae(c, m, va, &pg, &t);
	else
		stop = walk_32(c, m, va, &pg, &t);
	r.what = GW_FAULT;
	r.n = t.n;
	__builtin_memcpy(r.at, t.at, sizeof(r.at));
	if (stop == NOWHERE) {
		r.what = GW_NO_MEMORY;
		r.nowhere = t.last;
		return r;
	}
	if (stop != FOUND) {
		r.error_code = code(c, a, stop == RESERVED, stop == RESERVED, false);
		return r;
	}
	if (!may(c, &pg, a, &key)) {
		r.error_code = code(c, a, true, false, key);
		return r;
	}
	if (set_ad)
		set_bits(m, &t, a.write);
	r.what = GW_OK;
	r.size = pg.size;
	r.global = pg.global;
	r.gpa = pg.base + (va & (pg.size - 1));
	return r;
}
