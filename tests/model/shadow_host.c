// SPDX-License-Identifier: GPL-2.0
/*
 * The host of shadow_machine.h: its truth changes only between mmu_invalidate_begin and
 * _end. What a gfn contains stays where it is (byte[]); a pfn is only a name for the page
 * that the host has there now, and a name that is used up never comes again.
 */
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

#include "kapi_test.h"
#include "tests/model/shadow_machine.h"

#define FIRST_PFN	0x1000
#define NAMES		(1 << 20)

static u32 gfn_of_name[NAMES];	/* gfn + 1 of small pages: [pfn - FIRST_PFN] */

static struct sm *sm_of(struct mmu_vm *vm)
{
	return container_of(vm, struct sm, vm);
}

void sm_seed(struct sm *m, u64 seed)
{
	m->rng = (seed + 1) * 0x9e3779b97f4a7c15ULL | 1;
	sm_random(m, 2);
	sm_random(m, 2);
}

u32 sm_random(struct sm *m, u32 below)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 7;
	m->rng ^= m->rng << 17;
	return (u32)(m->rng >> 24) % below;
}

bool sm_chance(struct sm *m, unsigned int pct)
{
	return pct && sm_random(m, 100) < pct;
}

void sm_violation(struct sm *m, const char *what, u64 address)
{
	if (!m->violations++)
		snprintf(m->first, sizeof(m->first), "%s (%#llx)", what, address);
	sm_trace(m, "VIOLATION: %s (%#llx)", what, address);
}

void sm_trace(struct sm *m, const char *fmt, ...)
{
	va_list ap;

	if (!m->trace)
		return;
	va_start(ap, fmt);
	printf("# %lu%s ", m->step, m->in_event ? " (event)" : m->in_flush ? " (flush)" : "");
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
}

struct sm_slot *sm_slot_of(struct sm *m, gfn_t gfn)
{
	int i;

	for (i = 0; i < SM_SLOTS; i++)
		if (gfn >= m->slot[i].start && gfn < m->slot[i].end)
			return m->slot[i].exists ? &m->slot[i] : NULL;
	return NULL;
}

static bool in_giant(gfn_t gfn)
{
	return gfn >= SM_GIANT && gfn < SM_GIANT + SM_GIANT_GFNS;
}

struct sm_page sm_truth(struct sm *m, gfn_t gfn)
{
	struct sm_page p = { 0 };

	if (gfn < SM_SMALL)
		return m->page[gfn];
	if (in_giant(gfn)) {
		p = m->giant;
		p.pfn += gfn - SM_GIANT;
	}
	return p;
}

bool sm_broken(struct sm *m, gfn_t gfn)
{
	return gfn < SM_SMALL && m->page[gfn].broken;
}

bool sm_is_ram(struct sm *m, gpa_t gpa)
{
	gfn_t gfn = gpa >> PAGE_SHIFT;

	return gfn < SM_GFNS && sm_slot_of(m, gfn) && !sm_broken(m, gfn);
}

/* Somebody but the hardware wrote guest memory. */
void sm_wrote(struct sm *m, gfn_t gfn)
{
	struct sm_slot *slot = sm_slot_of(m, gfn);

	if (!slot || !slot->log)
		return;
	if (m->logging[slot - m->slot])
		m->must[gfn] = true;
	set_bit(gfn - slot->start, m->live[slot - m->slot]);
}

static u64 fresh_pfn(struct sm *m, u64 pages)
{
	u64 *next = pages == SM_GIANT_GFNS ? &m->next_giant : &m->next_pfn;
	u64 pfn = ALIGN(*next, pages);

	*next = pfn + pages;
	return pfn;
}

static void name_page(struct sm *m, gfn_t gfn, u64 pfn)
{
	m->page[gfn].pfn = pfn;
	if (pfn - FIRST_PFN < NAMES)
		gfn_of_name[pfn - FIRST_PFN] = gfn + 1;
}

/* ---------------------------------------------------------------- answers -- */

static u8 host_level(struct sm *m, const struct sm_slot *slot, gfn_t gfn)
{
	int level = in_giant(gfn) ? m->giant_level : m->huge[gfn / SM_CHUNK] ? 2 : 1;

	for (; level > 1; level--) {
		u64 size = 1ULL << (9 * (level - 1));
		gfn_t base = gfn & ~(size - 1);

		if (base >= slot->start && base + size <= slot->end)
			break;
	}
	return level;
}

static void fill_around(struct sm *m, const struct sm_slot *slot, gfn_t gfn,
			struct mmu_host_page *out)
{
	unsigned int i;

	out->around_gfn = gfn & ~(gfn_t)(MMU_AROUND_MAX - 1);
	if (out->around_gfn < slot->start || out->around_gfn + MMU_AROUND_MAX > slot->end)
		return;
	out->around_nr = MMU_AROUND_MAX;
	for (i = 0; i < MMU_AROUND_MAX; i++) {
		struct sm_page p = sm_truth(m, out->around_gfn + i);

		out->around[i] = p.present ? MMU_AROUND(p.pfn, p.writable && !slot->readonly) : 0;
	}
}

/* Bring the page in as asked. False: would sleep. */
static bool fault_in(struct sm *m, gfn_t gfn, bool write, bool atomic)
{
	bool small = gfn < SM_SMALL;
	struct sm_page *p = small ? &m->page[gfn] : &m->giant;

	if (p->present && (!write || p->writable))
		return true;
	if (atomic)
		return false;
	if (!p->present) {
		p->present = true;
		p->writable = write || sm_chance(m, 50);
		if (small)
			name_page(m, gfn, fresh_pfn(m, 1));
		else
			p->pfn = fresh_pfn(m, SM_GIANT_GFNS);
		return true;
	}
	if (small && !m->huge[gfn / SM_CHUNK] && sm_chance(m, 50)) {	/* copy-on-write */
		mmu_invalidate_begin(&m->vm, gfn, gfn + 1);
		name_page(m, gfn, fresh_pfn(m, 1));
		mmu_invalidate_end(&m->vm);
	}
	p->writable = true;
	return true;
}

void sm_others_run(struct sm *m)
{
	struct sm_bits ad;

	if (m->in_event)
		return;
	m->in_event = true;
	sm_sync_history(m);
	ad = m->ad;
	sm_event(m);
	m->ad = ad;
	m->in_event = false;
}

static void let_others(struct sm *m, unsigned int pct, bool atomic)
{
	if (m->config.races && !atomic && !m->in_event && sm_chance(m, pct))
		sm_others_run(m);
}

static void gfn_to_page(struct mmu_vm *vm, gfn_t gfn, unsigned int flags, struct mmu_host_page *out)
{
	struct sm *m = sm_of(vm);
	struct sm_slot *slot = sm_slot_of(m, gfn);
	bool atomic = flags & MMU_HOST_ATOMIC, write = flags & MMU_HOST_WRITE;
	struct sm_page p;

	out->around_nr = 0;
	out->kind = MMU_HOST_NO_SLOT;
	if (!slot)
		return;
	out->kind = MMU_HOST_READONLY_SLOT;
	if (write && slot->readonly)
		return;
	out->kind = MMU_HOST_ERROR;
	out->error = -EHWPOISON;
	if (sm_broken(m, gfn))
		return;
	out->kind = MMU_HOST_SLEEP;
	if (!fault_in(m, gfn, write, atomic))
		return;
	p = sm_truth(m, gfn);
	out->kind = MMU_HOST_RAM;
	out->pfn = p.pfn;
	out->writable = p.writable && !slot->readonly;
	out->max_level = host_level(m, slot, gfn);
	out->dirty_log = slot->log;
	if ((flags & MMU_HOST_AROUND) && sm_chance(m, 60))
		fill_around(m, slot, gfn, out);
	let_others(m, 20, atomic);
}

static int read_guest(struct mmu_vcpu *vcpu, gpa_t gpa, void *buf, unsigned int len,
		      unsigned int flags)
{
	struct sm *m = sm_of(vcpu->vm);
	gfn_t gfn = gpa >> PAGE_SHIFT;
	bool atomic = flags & MMU_GUEST_ATOMIC;

	if (!sm_is_ram(m, gpa))
		return -EFAULT;
	if (!fault_in(m, gfn, false, atomic))
		return -EAGAIN;
	if (((gpa + len - 1) ^ gpa) & PAGE_MASK)
		sm_violation(m, "guest memory read across a page", gpa);
	memcpy(buf, m->byte + gpa, len);
	let_others(m, 6, false);
	return 0;
}

static int cmpxchg_guest(struct mmu_vcpu *vcpu, gpa_t gpa, u64 old, u64 new, unsigned int size,
			 unsigned int flags)
{
	struct sm *m = sm_of(vcpu->vm);
	gfn_t gfn = gpa >> PAGE_SHIFT;
	struct sm_slot *slot = gfn < SM_GFNS ? sm_slot_of(m, gfn) : NULL;

	if (!slot || slot->readonly || sm_broken(m, gfn))
		return -EFAULT;
	if (!fault_in(m, gfn, true, flags & MMU_GUEST_ATOMIC))
		return -EAGAIN;
	let_others(m, 6, false);
	if (sm_load(m, gpa, size) != old)
		return 1;
	sm_note_bits(m, gpa, old, new);
	sm_store(m, gpa, new, size);
	sm_wrote(m, gfn);
	return 0;
}

static void gfn_written(struct mmu_vm *vm, gfn_t gfn, u64 nr)
{
	struct sm *m = sm_of(vm);

	for (; nr--; gfn++) {
		struct sm_slot *slot = gfn < SM_GFNS ? sm_slot_of(m, gfn) : NULL;

		if (slot && slot->log)
			set_bit(gfn - slot->start, m->live[slot - m->slot]);
	}
}

static void *pfn_to_virt(struct mmu_vm *vm, u64 pfn)
{
	static u8 nobody[PAGE_SIZE];
	struct sm *m = sm_of(vm);
	gfn_t gfn;

	if (m->giant.present && pfn - m->giant.pfn < SM_GIANT_GFNS)
		return m->byte + ((SM_GIANT + pfn - m->giant.pfn) << PAGE_SHIFT);
	gfn = pfn - FIRST_PFN < NAMES ? gfn_of_name[pfn - FIRST_PFN] : 0;
	if (!gfn || !m->page[gfn - 1].present || m->page[gfn - 1].pfn != pfn) {
		sm_violation(m, "address asked of a page that is not the guest's any more", pfn);
		return nobody;
	}
	gfn--;
	if (gfn >= 310 && gfn < 320)	/* device memory: a slot, and no address */
		return NULL;
	m->watched[gfn] = true;
	return m->byte + gfn * PAGE_SIZE;
}

/* Until the flush is through, other processors go on with what they hold. */
static void others_until_flush(struct sm *m)
{
	int i;

	m->in_flush = true;
	for (i = 0; i < 24; i++) {
		struct sm_vcpu *v = &m->vcpu[sm_random(m, SM_VCPUS)];
		struct sm_tlb *t = &v->tlb[sm_random(m, SM_TLB)];
		struct sm_access x = { .gva = t->vpn << PAGE_SHIFT };
		u64 pfn, code;

		x.a.write = sm_random(m, 2);
		x.a.user = sm_random(m, 2);
		if (!v->in_core && v->loaded && t->valid)
			sm_hw_access(m, v, &x, &pfn, &code);
	}
	m->in_flush = false;
}

static void flush(struct mmu_vm *vm)
{
	struct sm *m = sm_of(vm);
	int i;

	if (m->config.flush_races && !m->in_flush && mmu_is_shadow(vm))
		others_until_flush(m);
	for (i = 0; i < SM_VCPUS; i++)
		sm_hw_flush(&m->vcpu[i]);
}

static const struct mmu_host_ops host_ops = {
	.gfn_to_page	= gfn_to_page,
	.read_guest	= read_guest,
	.cmpxchg_guest	= cmpxchg_guest,
	.flush		= flush,
	.gfn_written	= gfn_written,
	.pfn_to_virt	= pfn_to_virt,
};

/* ----------------------------------------------------------------- events -- */

static void break_page(struct sm *m, gfn_t gfn, bool broken)
{
	struct sm_page *p = &m->page[gfn];

	if (broken == p->broken)
		return;
	p->broken = broken;
	if (broken)
		p->present = m->huge[gfn / SM_CHUNK] = false;
	*(broken ? &p->gone : &p->came) = ++m->now;
}

static void make_change(struct sm *m, struct sm_change *c)
{
	u64 pfn = c->kind == SM_COLLAPSE ? fresh_pfn(m, SM_CHUNK) : 0;
	gfn_t gfn;

	sm_sync_history(m);
	c->made = true;
	if (c->kind == SM_NEW_GIANT) {
		m->giant = (struct sm_page){ .pfn = fresh_pfn(m, SM_GIANT_GFNS), .present = c->level,
					     .writable = true };
		m->giant_level = c->level ? c->level : 2;
		return;
	}
	for (gfn = c->start; gfn < c->end; gfn++) {
		struct sm_page *p = &m->page[gfn];

		if (c->kind == SM_BREAK || c->kind == SM_MEND) {
			break_page(m, gfn, c->kind == SM_BREAK);
			continue;
		}
		if (c->kind == SM_MOVE && m->huge[gfn / SM_CHUNK])
			continue;
		m->huge[gfn / SM_CHUNK] = c->kind == SM_COLLAPSE;
		if (c->kind == SM_DROP)
			p->present = false;
		else if (c->kind == SM_MOVE)
			name_page(m, gfn, fresh_pfn(m, 1));
		else if (c->kind == SM_PROTECT)
			p->writable = false;
		if (c->kind == SM_COLLAPSE) {
			break_page(m, gfn, false);
			p->present = p->writable = true;
			name_page(m, gfn, pfn++);
		}
	}
}

void sm_host_end(struct sm *m, bool all)
{
	while (m->pending && (all || !sm_random(m, 3))) {
		struct sm_change *c = &m->change[--m->pending];

		if (!c->made)
			make_change(m, c);
		mmu_invalidate_end(&m->vm);
	}
}

static void host_change(struct sm *m, struct sm_change c)
{
	sm_trace(m, "host: kind %d of gfns [%#llx, %#llx) level %d", c.kind, c.start, c.end, c.level);
	if (m->pending == SM_PENDING)
		sm_host_end(m, true);
	mmu_invalidate_begin(&m->vm, c.start, c.end);
	if (sm_random(m, 2))
		make_change(m, &c);
	m->change[m->pending++] = c;
	sm_host_end(m, false);
}

void sm_break(struct sm *m, gfn_t gfn, bool broken)
{
	mmu_invalidate_begin(&m->vm, gfn, gfn + 1);
	sm_sync_history(m);
	break_page(m, gfn, broken);
	mmu_invalidate_end(&m->vm);
}

static void log_stop(struct sm *m, int i);

static void slot_set(struct sm *m, int i, bool exists)
{
	struct sm_slot *slot = &m->slot[i];

	if (slot->exists && slot->log)
		log_stop(m, i);
	sm_trace(m, "slot %d %s", i, exists ? "comes" : "goes");
	sm_sync_history(m);
	if (slot->exists && !exists)
		slot->gone = ++m->now;
	if (exists && !slot->exists)
		slot->came = ++m->now;
	slot->exists = exists;
	m->in_slot_change++;
	mmu_unmap_gfns(&m->vm, slot->start, slot->end);
	m->in_slot_change--;
}

static void log_start(struct sm *m, int i)
{
	struct sm_slot *slot = &m->slot[i];

	if (!slot->exists || slot->log)
		return;
	sm_trace(m, "log of slot %d starts", i);
	sm_sync_history(m);
	memset(m->live[i], 0, sizeof(m->live[i]));
	slot->log = true;
	mmu_dirty_log_start(&m->vm, slot->start, slot->end);
	memset(&m->must[slot->start], 0, slot->end - slot->start);
	m->logging[i] = true;
}

/* What was written before a take must be in it. */
static void check_shown(struct sm *m, int i, const bool *before, const unsigned long *shown)
{
	struct sm_slot *slot = &m->slot[i];
	gfn_t gfn;

	for (gfn = slot->start; gfn < slot->end; gfn++)
		if (before[gfn] && !test_bit(gfn - slot->start, shown))
			sm_violation(m, "write missing in the dirty log", gfn);
}

static void forget_shown(struct sm *m, int i, const unsigned long *shown)
{
	struct sm_slot *slot = &m->slot[i];
	gfn_t gfn;

	for (gfn = slot->start; gfn < slot->end; gfn++)
		if (test_bit(gfn - slot->start, shown))
			m->must[gfn] = false;
}

static void log_take(struct sm *m, int i)
{
	struct sm_slot *slot = &m->slot[i];
	unsigned long taken[SM_SMALL / 64];
	bool before[SM_SMALL];

	if (!m->logging[i])
		return;
	sm_trace(m, "log of slot %d is taken", i);
	memcpy(before, m->must, sizeof(before));
	mmu_dirty_take(&m->vm, slot->start, slot->end, m->live[i], taken);
	check_shown(m, i, before, taken);
	forget_shown(m, i, taken);
}

/* The protocol with manual protection: look, then clear some of it, then copy those. */
static void log_peek_clear(struct sm *m, int i)
{
	struct sm_slot *slot = &m->slot[i];
	unsigned long seen[SM_SMALL / 64];
	bool before[SM_SMALL];
	unsigned int w;

	if (!m->logging[i])
		return;
	sm_trace(m, "log of slot %d: peek and clear", i);
	memcpy(before, m->must, sizeof(before));
	mmu_dirty_peek(&m->vm, slot->start, slot->end, m->live[i]);
	memcpy(seen, m->live[i], sizeof(seen));
	check_shown(m, i, before, seen);
	for (w = 0; w < SM_SMALL / 64; w++)
		seen[w] &= sm_random(m, 2) ? ~0ul : 0xf0f0f0f00f0f0f0ful;
	mmu_dirty_clear(&m->vm, slot->start, slot->end, m->live[i], seen);
	forget_shown(m, i, seen);
}

static void log_stop(struct sm *m, int i)
{
	struct sm_slot *slot = &m->slot[i];

	if (!m->logging[i])
		return;
	log_take(m, i);
	sm_trace(m, "log of slot %d stops", i);
	m->logging[i] = false;
	slot->log = false;
	mmu_dirty_log_stop(&m->vm, slot->start, slot->end);
}

static struct sm_change whole_chunk(struct sm *m, int kind)
{
	gfn_t start = sm_random(m, SM_CHUNKS) * SM_CHUNK;

	return (struct sm_change){ kind, start, start + SM_CHUNK, 0, false };
}

static gfn_t random_gfn(struct sm *m)
{
	switch (sm_random(m, 6)) {
	case 0:
		return sm_random(m, SM_SMALL);
	case 1:
		return 256 + sm_random(m, 64);
	case 2:
		return 512 + sm_random(m, 2) * SM_CHUNK + sm_random(m, 16);
	default:	/* tables and a little data */
		return sm_random(m, SM_TABLES + 8);
	}
}

/* Slots and logs are one at a time, as under the kernel's lock for them. */
static void log_event(struct sm *m, int slot)
{
	if (m->slots_locked)
		return;
	m->slots_locked = true;
	switch (sm_random(m, 4)) {
	case 0:
		log_start(m, slot);
		break;
	case 1: case 2:
		log_take(m, slot);
		break;
	default:
		log_peek_clear(m, slot);
	}
	m->slots_locked = false;
}

void sm_host_event(struct sm *m)
{
	static const int loggable[] = { 0, 2, 3 };
	gfn_t start = random_gfn(m), end = start + 1 + sm_random(m, sm_random(m, 3) ? 8 : 600);
	int slot = loggable[sm_random(m, 3)];

	end = min_t(gfn_t, end, SM_SMALL);
	switch (sm_random(m, 17)) {
	case 15:
		return host_change(m, (struct sm_change){ SM_BREAK, start, start + 1, 0, false });
	case 16:
		return host_change(m, (struct sm_change){ SM_MEND, 0, SM_SMALL, 0, false });
	case 0: case 1:
		return host_change(m, (struct sm_change){ SM_DROP, start, end, 0, false });
	case 2: case 3:
		return host_change(m, (struct sm_change){ SM_MOVE, start, start + 1, 0, false });
	case 4:
		return host_change(m, (struct sm_change){ SM_PROTECT, start, end, 0, false });
	case 5:
		return host_change(m, whole_chunk(m, SM_COLLAPSE));
	case 6:
		return host_change(m, whole_chunk(m, SM_SPLIT));
	case 7:
		return host_change(m, (struct sm_change){ SM_NEW_GIANT, SM_GIANT, SM_GFNS,
							  sm_random(m, 3) ? 2 + sm_random(m, 2) : 0, false });
	case 8:
		mmu_age_gfns(&m->vm, start, end, sm_random(m, 2));
		return;
	case 9: case 10:
		sm_trace(m, "reclaim");
		mmu_reclaim(&m->vm, 1 + sm_random(m, 4));
		return;
	default:
		return log_event(m, slot);
	}
}

/* Rarer. */
void sm_slot_event(struct sm *m)
{
	int i = sm_random(m, SM_SLOTS);

	if (m->slots_locked)
		return;
	m->slots_locked = true;
	switch (sm_random(m, 4)) {
	case 0:
		if (i != 0)
			slot_set(m, i, !m->slot[i].exists);
		break;
	case 1:
		log_stop(m, i);
		break;
	case 2:
		sm_trace(m, "unmap all");
		mmu_unmap_all(&m->vm);
		break;
	default:
		slot_set(m, i, true);
	}
	m->slots_locked = false;
}

static void audit_report(void *ctx, const char *what, gfn_t gfn, u64 entry)
{
	struct sm *m = ctx;

	sm_trace(m, "audit: %s gfn %#llx entry %#llx", what, gfn, entry);
	sm_violation(m, what, gfn);
}

/* What the vCPUs have in hand may come on top of the limit. */
static void check_limit(struct sm *m)
{
	s64 pages = atomic64_read(&m->vm.stat.shadow_pages);

	if (m->config.pages_max && pages > m->config.pages_max + SM_VCPUS * (MMU_CACHE_MAX + 1))
		sm_violation(m, "more shadow pages than allowed", pages);
}

void sm_audit(struct sm *m)
{
	mmu_audit(&m->vm, audit_report, m);
	check_limit(m);
}

/* ------------------------------------------------------------------- life -- */

static int init_vcpus(struct sm *m)
{
	int i, r;

	for (i = 0; i < SM_VCPUS; i++) {
		r = mmu_vcpu_init(&m->vcpu[i].mmu, &m->vm);
		if (!r)
			continue;
		while (i--)
			mmu_vcpu_fini(&m->vcpu[i].mmu);
		return r;
	}
	return 0;
}

/* Guest memory: fresh zeroes, touched only as used. */
static u8 *reserve(u8 *old)
{
	size_t size = (size_t)SM_GFNS << PAGE_SHIFT;
	void *p;

	if (old) {
		madvise(old, size, MADV_DONTNEED);
		return old;
	}
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		abort();
	return p;
}

/* First each part alone, then any of them. */
static unsigned long without(u64 seed)
{
	if (seed % (2 * MMU_PARTS) < MMU_PARTS)
		return BIT(seed % MMU_PARTS);
	return (seed * 0x9e3779b97f4a7c15ull) >> (64 - MMU_PARTS);
}

int sm_init(struct sm *m, const struct sm_config *config, u64 seed)
{
	static const struct sm_slot slots[SM_SLOTS] = {
		{ .start = 0, .end = 128, .exists = true },
		{ .start = 128, .end = 144, .exists = true, .readonly = true },
		{ .start = 256, .end = 320, .exists = true },
		{ .start = 512, .end = SM_SMALL, .exists = true },
		{ .start = SM_GIANT, .end = SM_GFNS, .exists = true },
	};
	struct mmu_vm_config c = {
		.host = &host_ops, .format = &mmu_format_npt, .levels = config->levels,
		.max_leaf = config->max_leaf, .host_pat = SM_HOST_PAT,
	};
	u8 *byte = m->byte, *mirror = m->mirror;
	bool trace = m->trace;
	int r;

	memset(m, 0, sizeof(*m));
	m->byte = reserve(byte);
	m->mirror = reserve(mirror);
	m->trace = trace;
	m->config = *config;
	m->next_pfn = FIRST_PFN;
	m->next_giant = 1ull << 30;
	m->giant_level = 2;
	m->unlike = seed % 4 == 3;
	sm_seed(m, seed);
	memcpy(m->slot, slots, sizeof(slots));
	r = mmu_vm_init(&m->vm, &c);
	if (r)
		return r;
	m->vm.shadow_max = config->pages_max;
	m->vm.shadow_without = config->parts ? without(seed) : 0;
	if (config->sync_some)
		m->vm.sync_some = config->sync_some;
	r = init_vcpus(m);
	if (r) {
		mmu_vm_fini(&m->vm);
		return r;
	}
	sm_guest_setup(m);
	r = sm_set_mode(m, true);
	if (r)
		sm_fini(m);
	return r;
}

void sm_fini(struct sm *m)
{
	int i;

	m->config.races = false;
	sm_host_end(m, true);
	for (i = 0; i < SM_VCPUS; i++)
		mmu_vcpu_fini(&m->vcpu[i].mmu);
	mmu_vm_fini(&m->vm);
}
