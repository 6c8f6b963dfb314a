// SPDX-License-Identifier: GPL-2.0
/*
 * CPUID: what user space is offered, what it has chosen for a vCPU, what the
 * guest reads, and what follows from the choice (reserved bits, widths).
 *
 * The entries are kept as user space gave them. The few bits that follow the
 * vCPU's state (OSXSAVE, OSPKE, APIC, sizes of the extended state) are put
 * in whenever an entry leaves this file, so nothing has to be kept in step.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/processor.h>
#include "kvm/state.h"
#include "x86/msr.h"

/* Leaf 4000_0001h EAX: what guests' paravirtual drivers may rely on. */
#define PV_CLOCKSOURCE		BIT(0)
#define PV_NOP_IO_DELAY		BIT(1)
#define PV_CLOCKSOURCE2		BIT(3)
#define PV_CLOCKSOURCE_STABLE	BIT(24)

#define MAXPHYADDR_DEFAULT	36

/* What this host offers, fixed after pn_cpuid_init(). */
static struct {
	u32 word[X86_NR_CPUID_WORDS];
	u64 xcr0;
	struct x86_cpuid_entry entry[PN_MAX_CPUID];
	unsigned int nr;
} offer;

void pn_host_cpuid(const struct x86_cpuid_host *host, u32 function, u32 index,
		   struct x86_cpuid_regs *out)
{
	cpuid_count(function, index, &out->eax, &out->ebx, &out->ecx, &out->edx);
}

/* What the kernel knows of the processor that CPUID may not say: leaf 8000_0021h EAX. */
static u32 known_properties(void)
{
	u32 bits = 0;

	if (boot_cpu_has(X86_FEATURE_LFENCE_RDTSC))
		bits |= BIT(2);
	if (!boot_cpu_has_bug(X86_BUG_NULL_SEG))
		bits |= BIT(6);
	return bits;
}

int pn_cpuid_init(void)
{
	struct x86_cpuid_host host = {
		.cpuid = pn_host_cpuid,
		.xcr0 = pn_host_xcr0,
		.known_80000021 = known_properties(),
		.pv_features = PV_CLOCKSOURCE | PV_NOP_IO_DELAY | PV_CLOCKSOURCE2 |
			       PV_CLOCKSOURCE_STABLE,
	};
	int i, nr;

	for (i = 0; i < X86_NR_CPUID_WORDS; i++)
		offer.word[i] = x86_cpuid_offered(&host, i);
	offer.xcr0 = x86_xcr0_offered(&host);
	nr = x86_cpuid_list(&host, offer.entry, ARRAY_SIZE(offer.entry));
	if (nr < 0)
		return nr;
	offer.nr = nr;
	return 0;
}

bool pn_cpuid_offers(unsigned int feature)
{
	return offer.word[feature / 32] & BIT(feature % 32);
}

/* ---- the guest's view ---- */

static bool entry_is(const struct kvm_cpuid_entry2 *e, u32 function, u32 index)
{
	return e->function == function &&
	       (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index);
}

struct kvm_cpuid_entry2 *pn_cpuid_find(struct pn_vcpu *vcpu, u32 function, u32 index)
{
	unsigned int i;

	for (i = 0; i < vcpu->nr_cpuid; i++)
		if (entry_is(&vcpu->cpuid[i], function, index))
			return &vcpu->cpuid[i];
	return NULL;
}

static struct x86_cpuid_regs entry_regs(const struct kvm_cpuid_entry2 *e)
{
	return (struct x86_cpuid_regs) {
		.eax = e->eax, .ebx = e->ebx, .ecx = e->ecx, .edx = e->edx,
	};
}

bool pn_cpuid_has(struct pn_vcpu *vcpu, unsigned int feature)
{
	const struct x86_cpuid_place *place = x86_cpuid_place(feature);
	struct kvm_cpuid_entry2 *e = pn_cpuid_find(vcpu, place->function, place->index);
	struct x86_cpuid_regs r;

	if (!e)
		return false;
	r = entry_regs(e);
	return *x86_cpuid_reg(&r, place->reg) & BIT(feature % 32);
}

static void set_bit_if(u32 *reg, unsigned int feature, bool on)
{
	u32 bit = BIT(feature % 32);

	*reg = on ? *reg | bit : *reg & ~bit;
}

/* The parts of an entry that follow the vCPU's registers. */
static void apply_state(struct pn_vcpu *vcpu, struct kvm_cpuid_entry2 *e)
{
	u32 compact = BIT(X86_CPU_XSAVEC % 32) | BIT(X86_CPU_XSAVES % 32);

	switch (e->function) {
	case 1:
		if (pn_cpuid_offers(X86_CPU_XSAVE))
			set_bit_if(&e->ecx, X86_CPU_OSXSAVE, vcpu->cr4 & X86_CR4_OSXSAVE);
		set_bit_if(&e->edx, X86_CPU_APIC, vcpu->apic_base & X86_APIC_BASE_ENABLE);
		break;
	case 7:
		if (e->index == 0 && pn_cpuid_offers(X86_CPU_PKU))
			set_bit_if(&e->ecx, X86_CPU_OSPKE, vcpu->cr4 & X86_CR4_PKE);
		break;
	case 0xd:
		if (e->index == 0)
			e->ebx = x86_xsave_size(&pn_xsave_layout, vcpu->fpu.xcr0);
		else if (e->index == 1 && (e->eax & compact))
			e->ebx = x86_xsave_compact_size(&pn_xsave_layout,
							vcpu->fpu.xcr0 | vcpu->fpu.xss);
		break;
	}
}

/*
 * Leaves past the last one: AMD processors answer zeros; Intel's repeat the
 * last basic leaf, whatever range was asked for (SDM vol. 2A, CPUID).
 */
static struct kvm_cpuid_entry2 *find_out_of_range(struct pn_vcpu *vcpu, u32 *function, u32 index)
{
	struct kvm_cpuid_entry2 *basic = pn_cpuid_find(vcpu, 0, 0);
	struct kvm_cpuid_entry2 *range;

	if (!basic || basic->ebx != 0x756e6547)		/* "Genu" */
		return NULL;
	if (*function >= 0x40000000 && *function < 0x50000000)
		range = pn_cpuid_find(vcpu, *function & 0xffffff00, 0);
	else if (*function >= 0xc0000000)
		range = pn_cpuid_find(vcpu, 0xc0000000, 0);
	else
		range = pn_cpuid_find(vcpu, *function & 0x80000000, 0);
	if (range && *function <= range->eax)
		return NULL;
	*function = basic->eax;
	return pn_cpuid_find(vcpu, *function, index);
}

void pn_cpuid(struct pn_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	u32 function = *eax, index = *ecx;
	struct kvm_cpuid_entry2 *found = pn_cpuid_find(vcpu, function, index);
	struct kvm_cpuid_entry2 e = {};

	if (!found)
		found = find_out_of_range(vcpu, &function, index);
	if (found) {
		e = *found;
		apply_state(vcpu, &e);
	} else if (function == 0xb || function == 0x1f) {
		/* Past the last topology level: its number and the APIC ID remain. */
		found = pn_cpuid_find(vcpu, function, 0);
		if (found) {
			e.ecx = index & 0xff;
			e.edx = found->edx;
		}
	}
	*eax = e.eax;
	*ebx = e.ebx;
	*ecx = e.ecx;
	*edx = e.edx;
}

/* ---- what follows from it ---- */

#define CR4_ALWAYS \
	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | X86_CR4_PAE | \
	 X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)

static const struct { u64 cr4; u16 feature; } cr4_features[] = {
	{ X86_CR4_OSXSAVE, X86_CPU_XSAVE },
	{ X86_CR4_SMEP, X86_CPU_SMEP },
	{ X86_CR4_SMAP, X86_CPU_SMAP },
	{ X86_CR4_FSGSBASE, X86_CPU_FSGSBASE },
	{ X86_CR4_PKE, X86_CPU_PKU },
	{ X86_CR4_LA57, X86_CPU_LA57 },
	{ X86_CR4_UMIP, X86_CPU_UMIP },
	{ X86_CR4_PCIDE, X86_CPU_PCID },
};

static void derive(struct pn_vcpu *vcpu)
{
	struct kvm_cpuid_entry2 *e;
	u64 cr4 = CR4_ALWAYS, efer = X86_EFER_SCE;
	int i;

	for (i = 0; i < ARRAY_SIZE(cr4_features); i++)
		if (pn_cpuid_offers(cr4_features[i].feature) &&
		    (!vcpu->nr_cpuid || pn_cpuid_has(vcpu, cr4_features[i].feature)))
			cr4 |= cr4_features[i].cr4;
	vcpu->cr4_reserved = ~cr4;

	vcpu->has_lm = pn_cpuid_has(vcpu, X86_CPU_LM);
	vcpu->has_nx = pn_cpuid_has(vcpu, X86_CPU_NX);
	vcpu->has_gbpages = pn_cpuid_has(vcpu, X86_CPU_GBPAGES);
	vcpu->has_pku = pn_cpuid_has(vcpu, X86_CPU_PKU) && pn_cpuid_offers(X86_CPU_PKU);
	vcpu->has_rdtscp = (pn_cpuid_has(vcpu, X86_CPU_RDTSCP) ||
			    pn_cpuid_has(vcpu, X86_CPU_RDPID)) &&
			   (pn_cpuid_offers(X86_CPU_RDTSCP) || pn_cpuid_offers(X86_CPU_RDPID));
	if (vcpu->has_lm)
		efer |= X86_EFER_LME | X86_EFER_LMA;
	if (vcpu->has_nx)
		efer |= X86_EFER_NX;
	if (pn_cpuid_has(vcpu, X86_CPU_FXSR_OPT))
		efer |= X86_EFER_FFXSR;
	vcpu->efer_reserved = ~efer | ~pn_efer_offered();

	e = pn_cpuid_find(vcpu, 0xd, 0);
	vcpu->xcr0_supported = e ? (e->eax | (u64)e->edx << 32) & offer.xcr0 : 0;

	vcpu->maxphyaddr = MAXPHYADDR_DEFAULT;
	e = pn_cpuid_find(vcpu, 0x80000000, 0);
	if (e && e->eax >= 0x80000008) {
		e = pn_cpuid_find(vcpu, 0x80000008, 0);
		if (e)
			vcpu->maxphyaddr = clamp_t(u32, e->eax & 0xff, 32, 52);
	}
	pn_fpu_update_pku(vcpu);
}

u64 pn_efer_offered(void)
{
	u64 efer = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA;

	if (pn_cpuid_offers(X86_CPU_NX))
		efer |= X86_EFER_NX;
	if (pn_cpuid_offers(X86_CPU_FXSR_OPT))
		efer |= X86_EFER_FFXSR;
	return efer;
}

void pn_cpuid_vcpu_init(struct pn_vcpu *vcpu)
{
	derive(vcpu);
}

/* ---- ioctls ---- */

/* Linear addresses of other widths than the two that exist are not supported. */
static int check_entries(const struct kvm_cpuid_entry2 *e, unsigned int nr)
{
	unsigned int i, bits;

	for (i = 0; i < nr; i++) {
		if (!entry_is(&e[i], 0x80000008, 0))
			continue;
		bits = e[i].eax >> 8 & 0xff;
		return bits == 0 || bits == 48 || bits == 57 ? 0 : -EINVAL;
	}
	return 0;
}

/* A vCPU that has run keeps its CPUID; setting the same again is harmless. */
static int check_same(struct pn_vcpu *vcpu, const struct kvm_cpuid_entry2 *e, unsigned int nr)
{
	unsigned int i;

	if (nr != vcpu->nr_cpuid)
		return -EINVAL;
	for (i = 0; i < nr; i++) {
		struct kvm_cpuid_entry2 a = vcpu->cpuid[i], b = e[i];

		apply_state(vcpu, &a);
		apply_state(vcpu, &b);
		if (a.function != b.function || a.index != b.index || a.flags != b.flags ||
		    a.eax != b.eax || a.ebx != b.ebx || a.ecx != b.ecx || a.edx != b.edx)
			return -EINVAL;
	}
	return 0;
}

/* Takes over @e. */
static long set_entries(struct pn_vcpu *vcpu, struct kvm_cpuid_entry2 *e, unsigned int nr)
{
	long r;

	if (vcpu->stat.exits) {
		r = check_same(vcpu, e, nr);
		kvfree(e);
		return r;
	}
	r = check_entries(e, nr);
	if (r) {
		kvfree(e);
		return r;
	}
	kvfree(vcpu->cpuid);
	vcpu->cpuid = e;
	vcpu->nr_cpuid = nr;
	derive(vcpu);
	cpu->update(vcpu, CPU_UPDATE_CPUID);
	pn_mmu_changed(vcpu, MMU_LOAD_ALL);
	return 0;
}

static void *copy_entries(void __user *from, unsigned int nr, size_t size)
{
	return nr ? vmemdup_user(from, array_size(nr, size)) : NULL;
}

long pn_vcpu_set_cpuid2(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_cpuid2 __user *user = argp;
	struct kvm_cpuid_entry2 *e;
	struct kvm_cpuid2 head;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.nent > PN_MAX_CPUID)
		return -E2BIG;
	e = copy_entries(user->entries, head.nent, sizeof(*e));
	if (IS_ERR(e))
		return PTR_ERR(e);
	return set_entries(vcpu, e, head.nent);
}

/* The old form, without subleaves. */
long pn_vcpu_set_cpuid(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_cpuid __user *user = argp;
	struct kvm_cpuid_entry2 *e = NULL;
	struct kvm_cpuid_entry *old;
	struct kvm_cpuid head;
	unsigned int i;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.nent > PN_MAX_CPUID)
		return -E2BIG;
	old = copy_entries(user->entries, head.nent, sizeof(*old));
	if (IS_ERR(old))
		return PTR_ERR(old);
	if (head.nent) {
		e = kvcalloc(head.nent, sizeof(*e), GFP_KERNEL_ACCOUNT);
		if (!e) {
			kvfree(old);
			return -ENOMEM;
		}
	}
	for (i = 0; i < head.nent; i++)
		e[i] = (struct kvm_cpuid_entry2) {
			.function = old[i].function,
			.eax = old[i].eax, .ebx = old[i].ebx,
			.ecx = old[i].ecx, .edx = old[i].edx,
		};
	kvfree(old);
	return set_entries(vcpu, e, head.nent);
}

long pn_vcpu_get_cpuid2(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_cpuid2 __user *user = argp;
	struct kvm_cpuid_entry2 e;
	struct kvm_cpuid2 head;
	unsigned int i;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.nent < vcpu->nr_cpuid)
		return -E2BIG;
	for (i = 0; i < vcpu->nr_cpuid; i++) {
		e = vcpu->cpuid[i];
		apply_state(vcpu, &e);
		if (copy_to_user(&user->entries[i], &e, sizeof(e)))
			return -EFAULT;
	}
	head.nent = vcpu->nr_cpuid;
	return copy_to_user(user, &head, sizeof(head)) ? -EFAULT : 0;
}

/* Nothing is emulated that the processor lacks; the leaves are there and empty. */
static unsigned int emulated_entries(struct x86_cpuid_entry *e)
{
	e[0] = (struct x86_cpuid_entry) { .function = 0, .r.eax = 7 };
	e[1] = (struct x86_cpuid_entry) { .function = 1 };
	e[2] = (struct x86_cpuid_entry) { .function = 7 };
	return 3;
}

/* The stock module insists on zeroed padding for the emulated list. */
static long check_padding(const struct kvm_cpuid2 __user *user, unsigned int nr)
{
	u32 pad[3];
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (copy_from_user(pad, user->entries[i].padding, sizeof(pad)))
			return -EFAULT;
		if (pad[0] || pad[1] || pad[2])
			return -EINVAL;
	}
	return 0;
}

long pn_sys_get_supported_cpuid(void __user *argp, bool emulated)
{
	struct kvm_cpuid2 __user *user = argp;
	struct x86_cpuid_entry some[3];
	const struct x86_cpuid_entry *e = offer.entry;
	unsigned int i, nr = offer.nr;
	struct kvm_cpuid2 head;
	long r;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.nent < 1)
		return -E2BIG;
	head.nent = min_t(u32, head.nent, PN_MAX_CPUID);
	if (emulated) {
		r = check_padding(user, head.nent);
		if (r)
			return r;
		nr = emulated_entries(some);
		e = some;
	}
	if (head.nent < nr)
		return -E2BIG;
	for (i = 0; i < nr; i++) {
		struct kvm_cpuid_entry2 out = {
			.function = e[i].function, .index = e[i].index,
			.flags = x86_cpuid_is_indexed(e[i].function) ?
				 KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
			.eax = e[i].r.eax, .ebx = e[i].r.ebx,
			.ecx = e[i].r.ecx, .edx = e[i].r.edx,
		};

		if (copy_to_user(&user->entries[i], &out, sizeof(out)))
			return -EFAULT;
	}
	head.nent = nr;
	return copy_to_user(user, &head, sizeof(head)) ? -EFAULT : 0;
}
