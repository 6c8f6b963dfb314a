// SPDX-License-Identifier: GPL-2.0
/*
 * Entry bits x control bits x accesses, in each paging mode the processor has: at each level of
 * the path by itself all of them, each single bit changed, at two levels at once a part. Whatever
 * the processor does (the value it finds, the error code, CR2, accessed and dirty bits) is
 * compared with the model.
 */
#include "perm.h"

#define COMBOS		258	/* of an entry: 256 that are present, two that are not */
#define PAIRS		2500	/* of entries at two levels, in each mode */
#define DATA		0x128
#define CODE		0x140
#define DESCRIPTOR	0x160
#define WRITTEN		0x77777777u

struct gw_cpu cpu;
struct gw_memory memory = { .byte = NULL, .size = 64ull << 20 };
bool emulated_walk, stock_shadow;
static unsigned int available, tried, wrong;
static unsigned int stride = 1;	/* every so-many-th combination: "part" on the command line */
static unsigned int current;	/* what controls() was last called with */

const struct access accesses[] = {
	{ "supervisor read", { false, false, false, false }, false },
	{ "supervisor write", { true, false, false, false }, false },
	{ "supervisor fetch", { false, true, false, false }, false },
	{ "user read", { false, false, true, false }, false },
	{ "user write", { true, false, true, false }, false },
	{ "user fetch", { false, true, true, false }, false },
	{ "supervisor read with AC", { false, false, false, false }, true },
	{ "supervisor write with AC", { true, false, false, false }, true },
	{ "user read with AC", { false, false, true, false }, true },
	{ "descriptor read for the user", { false, false, true, true }, true },
};
const unsigned int accesses_nr = sizeof(accesses) / sizeof(accesses[0]);

/* Snippets of 16 bytes: read, write, descriptor. The same bytes mean the same in 32 and 64 bits. */
u8 perm_code[PAGE_SIZE] __attribute__((aligned(4096))) = {
	[0x00] = 0x8b, 0x07, 0xcd, 0x80,		/* mov (%rdi),%eax; int $0x80 */
	[0x10] = 0x89, 0x37, 0xcd, 0x80,		/* mov %esi,(%rdi); int $0x80 */
	[0x20] = 0x0f, 0x03, 0xc6, 0xcd, 0x80,		/* lsl %esi,%eax; int $0x80 */
};

static u32 tag(u64 gpa)
{
	return 0x50000 | (u32)(gpa >> 12);
}

/* Each page says which it is: as data, as code, as the limit of a segment. */
static void fill_pages(void)
{
	for (unsigned long at = LARGE_PAGES; at < SMALL_PAGES + (4 << 20); at += PAGE_SIZE) {
		volatile u32 *descriptor = (volatile u32 *)(at + DESCRIPTOR);
		volatile u8 *code = (volatile u8 *)(at + CODE);

		*(volatile u32 *)(at + DATA) = tag(at);
		code[0] = 0xb8;				/* mov $tag,%eax; int $0x80 */
		*(volatile u32 *)(code + 1) = tag(at);
		code[5] = 0xcd;
		code[6] = 0x80;
		descriptor[0] = tag(at) & 0xffff;
		descriptor[1] = 0x0040f300 | (tag(at) & 0xf0000);
	}
}

void __attribute__((noreturn)) unexpected(unsigned long ip)
{
	bail_out(hit.vector, ip, hit.error, hit.cr2);
}

/* ---- control bits ---- */

static void cpuid(u32 leaf, u32 r[4])
{
	asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
}

static bool has_keys(void)
{
	u32 r[4];

	cpuid(7, r);
	return r[2] >> 3 & 1;
}

static void look_at_processor(void)
{
	u32 r[4];

	cpuid(0, r);
	emulated_walk = told("tcg") && !told("shadow");
	stock_shadow = told("stock") && told("shadow");
	cpu.amd = r[1] == 0x68747541 && !emulated_walk;
	cpuid(7, r);
	available = 3 | (r[1] >> 7 & 1) << 2 | (r[1] >> 20 & 1) << 3;
	cpuid(0x80000001, r);
	cpu.pages_1g = r[3] >> 26 & 1;
	cpuid(0x80000008, r);
	cpu.maxphyaddr = r[0] & 0xff;
}

static void write_efer(u32 clear, u32 set)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(EFER));
	asm volatile("wrmsr" : : "a"((lo & ~clear) | set), "d"(hi), "c"(EFER) : "memory");
}

bool controls(unsigned int c)
{
	unsigned long cr4 = READ(cr4) & ~(CR4_SMEP | CR4_SMAP);

	if (c & ~available)
		return false;
	current = c;
	cpu.wp = c & 1;
	cpu.nxe = c & 2;
	cpu.smep = c & 4;
	cpu.smap = c & 8;
	WRITE(cr0, (READ(cr0) & ~CR0_WP) | (cpu.wp ? CR0_WP : 0));
	write_efer(EFER_NXE, cpu.nxe ? EFER_NXE : 0);
	WRITE(cr4, cr4 | (cpu.smep ? CR4_SMEP : 0) | (cpu.smap ? CR4_SMAP : 0));
	return true;
}

/* ---- one access ---- */

struct attempt {
	const struct access *access;
	unsigned long gva;
	struct gw_result want;
	u64 before[5];
};

static u64 load_entry(u64 at)
{
	if (mode->width == 4)
		return *(volatile u32 *)(unsigned long)at;
	return *(volatile u64 *)(unsigned long)at;
}

static void carry_out(const struct attempt *t)
{
	const struct access *a = t->access;
	unsigned long code = a->a.user ? mode->user : (unsigned long)perm_code;

	if (a->a.implicit)
		local_table(t->gva);
	if (a->a.fetch)
		enter(t->gva, 0, 0, a->a.user, cpu.ac);
	else
		enter(code + (a->a.implicit ? 0x20 : a->a.write ? 0x10 : 0), t->gva,
		      a->a.implicit ? 7 : WRITTEN, a->a.user, cpu.ac);
}

/* Did it end as the model says, in the page the model says? */
static bool outcome_right(const struct attempt *t)
{
	volatile u32 *word = (volatile u32 *)(unsigned long)t->want.gpa;
	bool right;

	if (t->want.what != GW_OK)
		return hit.vector == 14 && hit.error == t->want.error_code && hit.cr2 == t->gva;
	if (hit.vector != 0x80)
		return false;
	if (!t->access->a.write)
		return hit.value == tag(t->want.gpa);
	right = *word == WRITTEN;
	*word = tag(t->want.gpa);
	return right;
}

/*
 * Accessed and dirty bits: exactly those if the access was allowed. If not, the last entry is as it
 * was; the processor may have noted that it went through those above.
 */
static bool bits_right(const struct attempt *t)
{
	bool allowed = t->want.what == GW_OK, refused = !allowed && (t->want.error_code & 9);

	if (emulated_walk && t->want.n == mode->levels - 2)
		refused = false;

	for (int i = 0; i < t->want.n; i++) {
		bool last = i == t->want.n - 1;
		u64 now = load_entry(t->want.at[i]), then = t->before[i];

		if (allowed && now != (then | A | (last && t->access->a.write ? D : 0)))
			return false;
		if (!allowed && now != then && (now != (then | A) || (last && refused)))
			return false;
	}
	return true;
}

static void show(const struct attempt *t, const char *what)
{
	note(what, t->gva);
	note(t->access->name, current);
	if (t->want.what == GW_OK)
		note("wanted in page", t->want.gpa);
	else
		note("wanted error", t->want.error_code);
	note("got vector, error", hit.vector << 16 | hit.error);
	note("got value", hit.value);
	note("got cr2", hit.cr2);
	for (int i = 0; i < t->want.n; i++) {
		note("entry was, upper half", t->before[i] >> 32);
		note("           lower half", (u32)t->before[i]);
		note("    is now            ", (u32)load_entry(t->want.at[i]));
	}
}

static struct attempt begin(const struct access *a, unsigned long offset)
{
	struct attempt t = { .access = a };

	t.gva = mode->gva + offset + (a->a.fetch ? CODE : a->a.implicit ? DESCRIPTOR : DATA);
	cpu.ac = a->ac && !(a->a.implicit && stock_shadow);
	return t;
}

void fault_once(const struct access *a)
{
	struct attempt t = begin(a, 0);

	carry_out(&t);
	t.want = gw_walk(&cpu, &memory, t.gva, a->a, false);
	if (hit.vector == 0x80 && !outcome_right(&t) && wrong++ < 2)
		show(&t, "without a fault, address");
}

bool try_access(const struct access *a, unsigned long offset)
{
	struct attempt t = begin(a, offset);

	t.want = gw_walk(&cpu, &memory, t.gva, a->a, false);
	if (emulated_walk && (t.want.error_code & 8))
		t.want.error_code &= ~1;
	if (stock_shadow && a->a.fetch && cpu.nxe && t.want.what != GW_OK)
		t.want.error_code |= 16;
	for (int i = 0; i < t.want.n; i++)
		t.before[i] = load_entry(t.want.at[i]);
	carry_out(&t);
	tried++;
	if (outcome_right(&t) && bits_right(&t))
		return true;
	if (wrong++ < 2)
		show(&t, "address");
	return false;
}

void count_begin(void)
{
	tried = wrong = 0;
}

/* The name of the mode and of what was tried are one TAP line. */
void count_end(const char *what)
{
	static char name[100];
	unsigned int n = 0;

	for (const char *s = mode->name; *s; s++)
		name[n++] = *s;
	name[n++] = ':';
	name[n++] = ' ';
	for (const char *s = what; *s && n < sizeof(name) - 1; s++)
		name[n++] = *s;
	name[n] = 0;
	is(name, wrong, 0);
	note("accesses", tried);
}

/* ---- permutations ---- */

/*
 * Combination n: the bits W, U, PS, NX, a reserved one, G, A and D. The last two are not present:
 * one without a bit, one with all of them.
 */
static u64 combination(int level, unsigned int n)
{
	u64 v = n < 256 ? P : 0, e;

	if (mode->levels == 3 && level == 3)
		return toward(3, 0, v);
	if (n == 256)
		return 0;
	if (n == 257)
		return toward(level, 0, mode->width == 4 ? 0xffe : NX | 1ull << 45 | 0xffe);
	v |= (n & 1 ? W : 0) | (n & 2 ? U : 0) | (n & 4 ? PS : 0) | (n & 32 ? G : 0) |
	     (n & 64 ? A : 0) | (n & 128 ? D : 0);
	if (stock_shadow && (level == 3 || level == 5) && !(v & PS))
		v &= ~(u64)G;
	e = toward(level, 0, v);
	if (mode->width == 8 && (n & 8))
		e |= NX;
	if (n & 16) {
		if (mode->width == 4)
			e |= (v & PS) && leaf_level(level) && level > 1 ? 1 << 21 : 0;
		else
			e |= (v & PS) && (n & 128) && level > 1 ? 1ull << 13 : 1ull << 45;
	}
	return e;
}

static bool differs(int level, unsigned int n)
{
	return mode->levels != 3 || level != 3 || n == 0 || n == 256;
}

/* Each access once, and one of them, with whom it begins, just after the flush. */
static void all_accesses(unsigned int first)
{
	for (unsigned int i = 0; i < accesses_nr; i++)
		try_access(&accesses[(first + i) % accesses_nr], 0);
}

static void test_level(int level)
{
	static const char *const names[] = {
		"entries of level 1", "entries of level 2", "entries of level 3",
		"entries of level 4", "entries of level 5",
	};

	count_begin();
	for (unsigned int c = 0; c < 16; c++) {
		if (!controls(c))
			continue;
		for (unsigned int n = c % stride; n < COMBOS; n += stride) {
			if (!differs(level, n))
				continue;
			put_open();
			put(level, combination(level, n));
			flush_path(level);
			all_accesses(n + 3 * c);
		}
	}
	count_end(names[level - 1]);
}

static u32 random(void)
{
	static u32 state = 1;

	state = state * 1664525 + 1013904223;
	return state >> 8;
}

/* Each entry used, one of its bits changed, flushed, used again. */
static void test_bits(void)
{
	count_begin();
	for (int level = mode->levels; level >= 1; level--)
		for (unsigned int n = 0; n < 256 * 8; n += stride) {
			if (!differs(level, n / 8) || (n % 16 == 0 && !controls(random() % 16)))
				continue;
			put_open();
			put(level, combination(level, n / 8));
			flush_path(mode->levels);
			all_accesses(n);
			put(level, combination(level, n / 8 ^ 1u << n % 8));
			flush_path(level);
			all_accesses(n / 8);
		}
	count_end("single bits that change");
}

static void test_pairs(void)
{
	count_begin();
	for (unsigned int i = 0; i < PAIRS / stride; i++) {
		int upper = 2 + random() % (mode->levels - 1), lower = 1 + random() % (upper - 1);

		if (i % 50 == 0 && !controls(random() % 16))
			continue;
		put_open();
		put(upper, combination(upper, random() % COMBOS));
		put(lower, combination(lower, random() % COMBOS));
		flush_path(mode->levels);
		all_accesses(i);
	}
	count_end("entries of two levels at once");
}

void guest_main(void)
{
	if (told("part"))
		stride = 11;
	look_at_processor();
	fill_pages();
	for (unsigned int m = 0; m < modes_nr; m++) {
		if (!mode_offered(&modes[m])) {
			skip(modes[m].name, "the processor has no such mode");
			continue;
		}
		tables_begin(&modes[m]);
		for (int level = 1; level <= mode->levels; level++)
			test_level(level);
		test_bits();
		test_pairs();
		test_flushes();
		if (mode->levels < 4)
			continue;
		if (has_keys())
			test_keys();
		else
			skip("protection keys", "the processor has none");
	}
}
