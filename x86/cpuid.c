// SPDX-License-Identifier: GPL-2.0
/*
 * CPUID for guests: feature tables, the list of leaves, state area sizes.
 * Leaves and bits: AMD APM vol. 3, appendix E; Intel SDM vol. 2A, CPUID.
 */
#include "x86/cpuid.h"

#define B(n)	BIT(n)

struct word_rule {
	struct x86_cpuid_place place;
	u32 offered;		/* when the host has it */
	u32 forced;		/* always: carried out in software */
};

static const struct word_rule words[X86_NR_CPUID_WORDS] = {
	/*
	 * Not in these tables: MONITOR (exits are not worth it), VMX and SVM
	 * (no nesting), PDCM and the performance counters (no virtual PMU),
	 * x2APIC and the TSC deadline timer (the local APIC is user space's),
	 * MPX, AMX, PT, CET, LAM, bus lock detection (their state is not switched).
	 */
	[X86_CPUID_1_ECX] = {
		.place = { 1, 0, 2 },
		.offered = B(0) | B(1) |		/* SSE3 PCLMULQDQ */
			B(9) | B(12) | B(13) |		/* SSSE3 FMA CX16 */
			B(17) | B(19) | B(20) |		/* PCID SSE4.1 SSE4.2 */
			B(22) | B(23) | B(25) |		/* MOVBE POPCNT AES */
			B(26) | B(28) | B(29) | B(30),	/* XSAVE AVX F16C RDRAND */
		.forced = B(31),			/* a hypervisor is present */
	},
	[X86_CPUID_1_EDX] = {
		.place = { 1, 0, 3 },
		.offered = 0x0fffffff &			/* all up to self-snoop but: */
			~(B(10) | B(18) | B(20) | B(21) | B(22)),	/* PSN, DS, ACPI */
	},
	[X86_CPUID_7_0_EBX] = {
		.place = { 7, 0, 1 },
		.offered = B(0) | B(3) | B(4) | B(5) |	/* FSGSBASE BMI1 HLE AVX2 */
			B(6) | B(7) | B(8) | B(9) |	/* FDP SMEP BMI2 ERMS */
			B(10) | B(11) | B(13) |		/* INVPCID RTM ZERO_FCS_FDS */
			B(16) | B(17) | B(18) | B(19) |	/* AVX512F DQ RDSEED ADX */
			B(20) | B(21) | B(23) | B(24) |	/* SMAP IFMA CLFLUSHOPT CLWB */
			B(26) | B(27) | B(28) |		/* AVX512PF ER CD */
			B(29) | B(30) | B(31),		/* SHA AVX512BW VL */
		.forced = B(1),				/* TSC_ADJUST */
	},
	[X86_CPUID_7_0_ECX] = {
		.place = { 7, 0, 2 },
		.offered = B(1) | B(2) | B(3) | B(6) |	/* VBMI UMIP PKU VBMI2 */
			B(8) | B(9) | B(10) | B(11) |	/* GFNI VAES VPCLMUL VNNI */
			B(12) | B(14) | B(16) | B(22) |	/* BITALG VPOPCNT LA57 RDPID */
			B(25) | B(27) | B(28),		/* CLDEMOTE MOVDIRI MOVDIR64B */
	},
	[X86_CPUID_7_0_EDX] = {
		.place = { 7, 0, 3 },
		.offered = B(2) | B(3) | B(4) | B(8) |	/* 4VNNIW 4FMAPS FSRM VP2INTERSECT */
			B(10) | B(14) | B(16) | B(23) |	/* MD_CLEAR SERIALIZE TSXLDTRK FP16 */
			B(26) | B(27) | B(28) | B(31),	/* SPEC_CTRL STIBP L1D SSBD */
		.forced = B(29),			/* ARCH_CAPABILITIES */
	},
	[X86_CPUID_7_1_EAX] = {
		.place = { 7, 1, 0 },
		.offered = B(4) | B(5) | B(7) |		/* AVX_VNNI BF16 CMPCCXADD */
			B(10) | B(11) | B(12) | B(23),	/* FZRM FSRS FSRC AVX_IFMA */
	},
	[X86_CPUID_D_1_EAX] = {
		.place = { 0xd, 1, 0 },
		.offered = B(0) | B(1) | B(2) | B(3),	/* XSAVEOPT XSAVEC XGETBV1 XSAVES */
	},
	[X86_CPUID_80000001_ECX] = {
		.place = { 0x80000001, 0, 2 },
		.offered = B(0) | B(1) | B(4) | B(5) |	/* LAHF CMP_LEGACY CR8 ABM */
			B(6) | B(7) | B(8) | B(9) |	/* SSE4A MISALIGN 3DNOWPF OSVW */
			B(11) | B(16) | B(21) | B(22),	/* XOP FMA4 TBM TOPOEXT */
	},
	[X86_CPUID_80000001_EDX] = {
		.place = { 0x80000001, 0, 3 },
		.offered = 0xffffffff &			/* all but: */
			~(B(10) | B(18) | B(19) | B(21) | B(28)),	/* reserved, MP */
	},
	[X86_CPUID_80000007_EDX] = {
		.place = { 0x80000007, 0, 3 },
		.offered = B(8),			/* invariant TSC */
	},
	[X86_CPUID_80000008_EBX] = {
		.place = { 0x80000008, 0, 1 },
		.offered = B(0) | B(2) | B(9) | B(12) |	/* CLZERO XSAVEERPTR WBNOINVD IBPB */
			B(14) | B(15) | B(17) | B(24) |	/* IBRS STIBP ALWAYS_ON SSBD */
			B(26) | B(28) | B(29),		/* SSB_NO PSFD BTC_NO */
	},
	[X86_CPUID_80000021_EAX] = {
		.place = { 0x80000021, 0, 0 },
		.offered = B(0) | B(2) | B(6),		/* NESTED_DATA_BP LFENCE NULL_SEL */
		.forced = B(9),				/* no SMM_CTL register */
	},
};

const struct x86_cpuid_place *x86_cpuid_place(unsigned int feature)
{
	return &words[feature / 32].place;
}

u32 *x86_cpuid_reg(struct x86_cpuid_regs *r, unsigned int reg)
{
	switch (reg) {
	case 0:
		return &r->eax;
	case 1:
		return &r->ebx;
	case 2:
		return &r->ecx;
	default:
		return &r->edx;
	}
}

static u32 host_max(const struct x86_cpuid_host *host, u32 function)
{
	struct x86_cpuid_regs r;

	host->cpuid(host, function & 0x80000000, 0, &r);
	/* A processor without extended leaves answers with something else. */
	return (r.eax & 0x80000000) == (function & 0x80000000) ? r.eax : 0;
}

/* The host's own bits of a word; 0 when it has no such leaf. */
static u32 host_word(const struct x86_cpuid_host *host, enum x86_cpuid_word word)
{
	const struct x86_cpuid_place *p = &words[word].place;
	struct x86_cpuid_regs r;

	if (host_max(host, p->function) < p->function)
		return 0;
	if (p->index) {
		host->cpuid(host, p->function, 0, &r);
		if (p->function == 7 && r.eax < p->index)
			return 0;
	}
	host->cpuid(host, p->function, p->index, &r);
	return *x86_cpuid_reg(&r, p->reg);
}

static bool host_has(const struct x86_cpuid_host *host, enum x86_cpu_feature feature)
{
	return host_word(host, feature / 32) & BIT(feature % 32);
}

u64 x86_xcr0_offered(const struct x86_cpuid_host *host)
{
	u64 xcr0 = host->xcr0 & X86_XCR0_OFFERED;

	if (!host_has(host, X86_CPU_OSPKE))
		xcr0 &= ~X86_XCR0_PKRU;
	if ((xcr0 & X86_XCR0_AVX512) != X86_XCR0_AVX512)
		xcr0 &= ~X86_XCR0_AVX512;
	return xcr0;
}

/* The names Intel gives to AMD's speculation controls: one MSR, two sets of CPUID bits. */
static u32 spec_ctrl_aliases(const struct x86_cpuid_host *host)
{
	u32 amd = host_word(host, X86_CPUID_80000008_EBX);
	u32 bits = 0;

	if ((amd & B(12)) && (amd & B(14)))
		bits |= B(26);
	if (amd & B(15))
		bits |= B(27);
	if (amd & B(24))
		bits |= B(31);
	return bits;
}

/* Bits that are the host kernel's decision, not only the processor's. */
static u32 host_refuses(const struct x86_cpuid_host *host, enum x86_cpuid_word word)
{
	u64 xcr0 = x86_xcr0_offered(host);
	u32 no = 0;

	switch (word) {
	case X86_CPUID_1_ECX:
		if (!xcr0)
			no |= B(26);
		if (!(xcr0 & X86_XCR0_YMM))
			no |= B(12) | B(28) | B(29);
		break;
	case X86_CPUID_7_0_EBX:
		if (!(xcr0 & X86_XCR0_YMM))
			no |= B(5);
		if (!(xcr0 & X86_XCR0_AVX512))
			no |= B(16) | B(17) | B(21) | B(26) | B(27) | B(28) | B(30) | B(31);
		break;
	case X86_CPUID_7_0_ECX:
		/* The kernel must have enabled protection keys for PKRU to exist. */
		if (!(xcr0 & X86_XCR0_PKRU))
			no |= B(3);
		break;
	case X86_CPUID_D_1_EAX:
		if (!xcr0)
			no = ~0U;
		break;
	default:
		break;
	}
	return no;
}

u32 x86_cpuid_offered(const struct x86_cpuid_host *host, enum x86_cpuid_word word)
{
	const struct word_rule *rule = &words[word];
	u32 bits = host_word(host, word);

	if (word == X86_CPUID_80000021_EAX)
		return ((bits | host->known_80000021) & rule->offered) | rule->forced;

	if (word == X86_CPUID_7_0_EDX)
		bits |= spec_ctrl_aliases(host);
	bits &= rule->offered & ~host_refuses(host, word);
	if (host_max(host, rule->place.function) >= rule->place.function)
		bits |= rule->forced;
	return bits;
}

bool x86_cpuid_is_indexed(u32 function)
{
	switch (function) {
	case 0x4:
	case 0x7:
	case 0xb:
	case 0xd:
	case 0xf:
	case 0x10:
	case 0x12:
	case 0x14:
	case 0x17:
	case 0x18:
	case 0x1d:
	case 0x1e:
	case 0x1f:
	case 0x8000001d:
		return true;
	default:
		return false;
	}
}

/* ---- the list of leaves ---- */

#define BASIC_MAX	0x1fU
#define EXTENDED_MAX	0x80000021U
#define KVM_BASE	0x40000000U

struct list {
	const struct x86_cpuid_host *host;
	struct x86_cpuid_entry *entry;
	unsigned int nr, max;
	bool full;
};

static struct x86_cpuid_regs *add(struct list *l, u32 function, u32 index)
{
	struct x86_cpuid_entry *e;

	if (l->nr == l->max) {
		l->full = true;
		return NULL;
	}
	e = &l->entry[l->nr++];
	e->function = function;
	e->index = index;
	memset(&e->r, 0, sizeof(e->r));
	return &e->r;
}

static struct x86_cpuid_regs *add_host(struct list *l, u32 function, u32 index)
{
	struct x86_cpuid_regs *r = add(l, function, index);

	if (r)
		l->host->cpuid(l->host, function, index, r);
	return r;
}

static void add_caches(struct list *l, u32 function)
{
	struct x86_cpuid_regs *r;
	u32 i = 0;

	do {
		r = add_host(l, function, i++);
	} while (r && (r->eax & 0x1f));		/* type 0 ends the list */
}

static void add_leaf_7(struct list *l)
{
	struct x86_cpuid_regs *r = add_host(l, 7, 0);
	u32 subleaves;

	if (!r)
		return;
	subleaves = min(r->eax, 1U);
	*r = (struct x86_cpuid_regs) {
		.eax = subleaves,
		.ebx = x86_cpuid_offered(l->host, X86_CPUID_7_0_EBX),
		.ecx = x86_cpuid_offered(l->host, X86_CPUID_7_0_ECX),
		.edx = x86_cpuid_offered(l->host, X86_CPUID_7_0_EDX),
	};
	if (!subleaves)
		return;
	r = add(l, 7, 1);
	if (r)
		r->eax = x86_cpuid_offered(l->host, X86_CPUID_7_1_EAX);
}

static void add_leaf_d(struct list *l)
{
	u64 xcr0 = x86_xcr0_offered(l->host);
	struct x86_xsave_layout layout;
	struct x86_cpuid_regs *r;
	u32 i;

	r = add(l, 0xd, 0);
	if (!r || !xcr0)
		return;
	x86_xsave_layout(&layout, l->host);
	r->eax = (u32)xcr0;
	r->ebx = r->ecx = x86_xsave_size(&layout, xcr0);
	r->edx = (u32)(xcr0 >> 32);
	r = add(l, 0xd, 1);
	if (!r)
		return;
	r->eax = x86_cpuid_offered(l->host, X86_CPUID_D_1_EAX);
	if (r->eax & (BIT(X86_CPU_XSAVEC % 32) | BIT(X86_CPU_XSAVES % 32)))
		r->ebx = x86_xsave_compact_size(&layout, xcr0);
	for (i = 2; i < X86_XSAVE_COMPONENTS; i++) {
		if (!(xcr0 & BIT_ULL(i)))
			continue;
		r = add_host(l, 0xd, i);
		if (!r)
			return;
		r->ecx &= B(1);
		r->edx = 0;
	}
}

static void add_basic(struct list *l, u32 function, u32 last)
{
	struct x86_cpuid_regs *r;

	switch (function) {
	case 0:
		r = add_host(l, 0, 0);
		if (r)
			r->eax = last;
		break;
	case 1:
		r = add_host(l, 1, 0);
		if (r) {
			r->ecx = x86_cpuid_offered(l->host, X86_CPUID_1_ECX);
			r->edx = x86_cpuid_offered(l->host, X86_CPUID_1_EDX);
		}
		break;
	case 2:
		add_host(l, 2, 0);
		break;
	case 4:
		add_caches(l, 4);
		break;
	case 6:
		r = add(l, 6, 0);
		if (r)
			r->eax = B(2);	/* the APIC timer does not stop in C states */
		break;
	case 7:
		add_leaf_7(l);
		break;
	case 0xd:
		add_leaf_d(l);
		break;
	default:
		add(l, function, 0);
		break;
	}
}

/* Address widths; user space shrinks them as it likes. APM vol. 3, E.4.7. */
static void add_widths(struct list *l)
{
	struct x86_cpuid_regs *r = add_host(l, 0x80000008, 0);
	u32 guest_physical, physical, virtual;

	if (!r)
		return;
	guest_physical = r->eax >> 16 & 0xff;
	physical = r->eax & 0xff;
	virtual = max(r->eax >> 8 & 0xff, 48U);
	r->eax = (guest_physical ?: physical) | virtual << 8;
	r->ebx = x86_cpuid_offered(l->host, X86_CPUID_80000008_EBX);
	r->ecx &= ~((u32)GENMASK(31, 16) | (u32)GENMASK(11, 8));
	r->edx = 0;
}

static void add_extended(struct list *l, u32 function, u32 last)
{
	struct x86_cpuid_regs *r;

	switch (function) {
	case 0x80000000:
		r = add_host(l, function, 0);
		if (r)
			r->eax = last;
		break;
	case 0x80000001:
		r = add_host(l, function, 0);
		if (r) {
			r->ebx &= ~(u32)GENMASK(27, 16);
			r->ecx = x86_cpuid_offered(l->host, X86_CPUID_80000001_ECX);
			r->edx = x86_cpuid_offered(l->host, X86_CPUID_80000001_EDX);
		}
		break;
	case 0x80000002 ... 0x80000005:
		add_host(l, function, 0);
		break;
	case 0x80000006:
		r = add_host(l, function, 0);
		if (r)
			r->edx &= ~(u32)GENMASK(17, 16);
		break;
	case 0x80000007:
		r = add(l, function, 0);
		if (r)
			r->edx = x86_cpuid_offered(l->host, X86_CPUID_80000007_EDX);
		break;
	case 0x80000008:
		add_widths(l);
		break;
	case 0x80000019:	/* TLB for 1 GiB pages */
		r = add_host(l, function, 0);
		if (r)
			r->ecx = r->edx = 0;
		break;
	case 0x8000001a:	/* performance hints */
		r = add_host(l, function, 0);
		if (r)
			*r = (struct x86_cpuid_regs) { .eax = r->eax & 7 };
		break;
	case 0x8000001d:
		add_caches(l, function);
		break;
	case 0x80000021:
		r = add(l, function, 0);
		if (r)
			r->eax = x86_cpuid_offered(l->host, X86_CPUID_80000021_EAX);
		break;
	default:
		add(l, function, 0);
		break;
	}
}

/* The leaves by which guests find kvmclock. */
static void add_hypervisor(struct list *l)
{
	struct x86_cpuid_regs *r;

	r = add(l, KVM_BASE, 0);
	if (r) {
		r->eax = KVM_BASE + 1;
		memcpy(&r->ebx, "KVMK", 4);
		memcpy(&r->ecx, "VMKV", 4);
		memcpy(&r->edx, "M\0\0\0", 4);
	}
	r = add(l, KVM_BASE + 1, 0);
	if (r)
		r->eax = l->host->pv_features;
}

int x86_cpuid_list(const struct x86_cpuid_host *host, struct x86_cpuid_entry *entry,
		   unsigned int max)
{
	struct list l = { .host = host, .entry = entry, .max = max };
	u32 last = min(host_max(host, 0), BASIC_MAX);
	u32 f;

	for (f = 0; f <= last && !l.full; f++)
		add_basic(&l, f, last);
	last = min(host_max(host, 0x80000000), EXTENDED_MAX);
	/* Processors from before that leaf whose properties it names. */
	if (last >= 0x8000001d && host->known_80000021)
		last = max(last, 0x80000021U);
	for (f = 0x80000000; f <= last && !l.full; f++)
		add_extended(&l, f, last);
	if (!l.full)
		add_hypervisor(&l);
	return l.full ? -E2BIG : (int)l.nr;
}

/* ---- the extended state area ---- */

void x86_xsave_layout(struct x86_xsave_layout *layout, const struct x86_cpuid_host *host)
{
	struct x86_cpuid_regs r;
	u64 xcr0 = x86_xcr0_offered(host);
	u32 i;

	memset(layout, 0, sizeof(*layout));
	for (i = 2; i < X86_XSAVE_COMPONENTS; i++) {
		if (!(xcr0 & BIT_ULL(i)))
			continue;
		host->cpuid(host, 0xd, i, &r);
		layout->size[i] = r.eax;
		layout->offset[i] = r.ebx;
		if (r.ecx & B(1))
			layout->aligned |= BIT_ULL(i);
	}
}

u32 x86_xsave_size(const struct x86_xsave_layout *layout, u64 xcr0)
{
	u32 i, size = X86_XSAVE_LEGACY + X86_XSAVE_HEADER;

	for (i = 2; i < X86_XSAVE_COMPONENTS; i++)
		if ((xcr0 & BIT_ULL(i)) && layout->size[i])
			size = max(size, layout->offset[i] + layout->size[i]);
	return size;
}

u32 x86_xsave_compact_size(const struct x86_xsave_layout *layout, u64 components)
{
	u32 i, size = X86_XSAVE_LEGACY + X86_XSAVE_HEADER;

	for (i = 2; i < X86_XSAVE_COMPONENTS; i++) {
		if (!(components & BIT_ULL(i)) || !layout->size[i])
			continue;
		if (layout->aligned & BIT_ULL(i))
			size = ALIGN(size, 64U);
		size += layout->size[i];
	}
	return size;
}

bool x86_xcr0_is_valid(u64 value, u64 supported)
{
	if (!(value & X86_XCR0_FP))
		return false;
	if ((value & X86_XCR0_YMM) && !(value & X86_XCR0_SSE))
		return false;
	if (value & ~(supported | X86_XCR0_FP))
		return false;
	if ((value & X86_XCR0_AVX512) &&
	    ((value & X86_XCR0_AVX512) != X86_XCR0_AVX512 || !(value & X86_XCR0_YMM)))
		return false;
	return true;
}
