// SPDX-License-Identifier: GPL-2.0
/*
 * General, segment and control registers as user space reads and writes them:
 * KVM_GET/SET_REGS, SREGS and SREGS2, and the copies in struct kvm_run that save
 * those ioctls (KVM_CAP_SYNC_REGS).
 */
#include <linux/uaccess.h>
#include "kvm/state.h"
#include "x86/msr.h"

/* ---- general registers ---- */

static void regs_get(struct pn_vcpu *vcpu, struct kvm_regs *r)
{
	const u64 *g = vcpu->regs.gpr;

	*r = (struct kvm_regs) {
		.rax = g[X86_RAX], .rbx = g[X86_RBX], .rcx = g[X86_RCX], .rdx = g[X86_RDX],
		.rsi = g[X86_RSI], .rdi = g[X86_RDI], .rsp = g[X86_RSP], .rbp = g[X86_RBP],
		.r8 = g[X86_R8], .r9 = g[X86_R9], .r10 = g[X86_R10], .r11 = g[X86_R11],
		.r12 = g[X86_R12], .r13 = g[X86_R13], .r14 = g[X86_R14], .r15 = g[X86_R15],
		.rip = vcpu->regs.rip, .rflags = vcpu->regs.rflags,
	};
}

static void regs_set(struct pn_vcpu *vcpu, const struct kvm_regs *r)
{
	vcpu->regs = (struct x86_regs) {
		.gpr = {
			[X86_RAX] = r->rax, [X86_RCX] = r->rcx,
			[X86_RDX] = r->rdx, [X86_RBX] = r->rbx,
			[X86_RSP] = r->rsp, [X86_RBP] = r->rbp,
			[X86_RSI] = r->rsi, [X86_RDI] = r->rdi,
			[X86_R8] = r->r8, [X86_R9] = r->r9,
			[X86_R10] = r->r10, [X86_R11] = r->r11,
			[X86_R12] = r->r12, [X86_R13] = r->r13,
			[X86_R14] = r->r14, [X86_R15] = r->r15,
		},
		.rip = r->rip,
		.rflags = r->rflags | X86_EFLAGS_FIXED,
	};
	/* An exception not yet delivered belonged to what was there before. */
	vcpu->events.exception.pending = false;
}

long pn_vcpu_get_regs(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_regs r;

	regs_get(vcpu, &r);
	return copy_to_user(argp, &r, sizeof(r)) ? -EFAULT : 0;
}

long pn_vcpu_set_regs(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_regs r;

	if (copy_from_user(&r, argp, sizeof(r)))
		return -EFAULT;
	regs_set(vcpu, &r);
	return 0;
}

/* ---- segments ---- */

/*
 * AMD has no "unusable" flag: a segment that is not present is. What the hardware
 * leaves undefined or does not keep is given the value an Intel processor would
 * show, as the stock module does, so that state can be moved between the two.
 */
static void seg_get(const struct x86_seg *seg, enum x86_seg_index i, struct kvm_segment *s)
{
	*s = (struct kvm_segment) {
		.base = seg->base,
		.limit = seg->limit,
		.selector = seg->selector,
		.type = seg->attrib & X86_SEG_TYPE,
		.s = !!(seg->attrib & X86_SEG_S),
		.dpl = (seg->attrib & X86_SEG_DPL) >> X86_SEG_DPL_SHIFT,
		.present = !!(seg->attrib & X86_SEG_P),
		.avl = !!(seg->attrib & X86_SEG_AVL),
		.l = !!(seg->attrib & X86_SEG_L),
		.db = !!(seg->attrib & X86_SEG_DB),
		.g = seg->limit > 0xfffff,
		.unusable = !(seg->attrib & X86_SEG_P),
	};
	switch (i) {
	case X86_SEG_TR:
		s->type |= 2;		/* busy */
		break;
	case X86_SEG_DS:
	case X86_SEG_ES:
	case X86_SEG_FS:
	case X86_SEG_GS:
		if (!s->unusable)
			s->type |= 1;	/* accessed */
		break;
	case X86_SEG_SS:
		if (s->unusable)
			s->db = 0;
		break;
	default:
		break;
	}
}

static void seg_set(struct pn_vcpu *vcpu, enum x86_seg_index i, const struct kvm_segment *s)
{
	bool present = (s->present & 1) && !s->unusable;
	struct x86_seg seg = {
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.attrib = (s->type & X86_SEG_TYPE) | (s->s & 1 ? X86_SEG_S : 0) |
			(s->dpl & 3) << X86_SEG_DPL_SHIFT | (present ? X86_SEG_P : 0) |
			(s->avl & 1 ? X86_SEG_AVL : 0) | (s->l & 1 ? X86_SEG_L : 0) |
			(s->db & 1 ? X86_SEG_DB : 0) | (s->g & 1 ? X86_SEG_G : 0),
	};

	cpu->set_seg(vcpu, i, &seg);
}

static void dtable_get(struct pn_vcpu *vcpu, enum cpu_dtable t, struct kvm_dtable *d)
{
	struct x86_dtable table;

	cpu->get_dtable(vcpu, t, &table);
	*d = (struct kvm_dtable) { .base = table.base, .limit = table.limit };
}

static void dtable_set(struct pn_vcpu *vcpu, enum cpu_dtable t, const struct kvm_dtable *d)
{
	struct x86_dtable table = { .base = d->base, .limit = d->limit };

	cpu->set_dtable(vcpu, t, &table);
}

/* ---- sregs: both ioctls begin with the same fields ---- */

static_assert(offsetof(struct kvm_sregs, interrupt_bitmap) == offsetof(struct kvm_sregs2, flags));

static void sregs_get_common(struct pn_vcpu *vcpu, struct kvm_sregs *s)
{
	struct x86_seg cache[X86_NR_SEG];
	const struct x86_seg *seg = cpu->segs(vcpu, cache);

	seg_get(&seg[X86_SEG_CS], X86_SEG_CS, &s->cs);
	seg_get(&seg[X86_SEG_DS], X86_SEG_DS, &s->ds);
	seg_get(&seg[X86_SEG_ES], X86_SEG_ES, &s->es);
	seg_get(&seg[X86_SEG_FS], X86_SEG_FS, &s->fs);
	seg_get(&seg[X86_SEG_GS], X86_SEG_GS, &s->gs);
	seg_get(&seg[X86_SEG_SS], X86_SEG_SS, &s->ss);
	seg_get(&seg[X86_SEG_TR], X86_SEG_TR, &s->tr);
	seg_get(&seg[X86_SEG_LDTR], X86_SEG_LDTR, &s->ldt);
	dtable_get(vcpu, CPU_GDT, &s->gdt);
	dtable_get(vcpu, CPU_IDT, &s->idt);
	s->cr0 = vcpu->cr0;
	s->cr2 = vcpu->cr2;
	s->cr3 = vcpu->cr3;
	s->cr4 = vcpu->cr4;
	s->cr8 = vcpu->cr8;
	s->efer = vcpu->efer;
	s->apic_base = vcpu->apic_base;
}

static bool sregs_are_valid(struct pn_vcpu *vcpu, const struct kvm_sregs *s)
{
	if ((s->efer & X86_EFER_LME) && (s->cr0 & X86_CR0_PG)) {
		/* 64-bit mode, or compatibility mode in it. */
		if (!(s->cr4 & X86_CR4_PAE) || !(s->efer & X86_EFER_LMA))
			return false;
		if (s->cr3 >> vcpu->maxphyaddr)
			return false;
	} else if ((s->efer & X86_EFER_LMA) || s->cs.l) {
		return false;
	}
	return !(s->cr4 & vcpu->cr4_reserved) && pn_cr0_is_valid(s->cr0) &&
	       !(s->efer & ~pn_efer_offered());
}

static int sregs_set_common(struct pn_vcpu *vcpu, const struct kvm_sregs *s)
{
	if (!sregs_are_valid(vcpu, s) || pn_set_apic_base(vcpu, s->apic_base, true))
		return -EINVAL;
	dtable_set(vcpu, CPU_IDT, &s->idt);
	dtable_set(vcpu, CPU_GDT, &s->gdt);
	vcpu->cr0 = s->cr0 | X86_CR0_ET;
	vcpu->cr2 = s->cr2;
	vcpu->cr3 = s->cr3;
	vcpu->cr4 = s->cr4;
	vcpu->efer = s->efer;
	pn_set_cr8(vcpu, s->cr8);	/* one that does not fit is left out */
	seg_set(vcpu, X86_SEG_CS, &s->cs);
	seg_set(vcpu, X86_SEG_DS, &s->ds);
	seg_set(vcpu, X86_SEG_ES, &s->es);
	seg_set(vcpu, X86_SEG_FS, &s->fs);
	seg_set(vcpu, X86_SEG_GS, &s->gs);
	seg_set(vcpu, X86_SEG_SS, &s->ss);
	seg_set(vcpu, X86_SEG_TR, &s->tr);
	seg_set(vcpu, X86_SEG_LDTR, &s->ldt);
	pn_fpu_update_pku(vcpu);
	cpu->update(vcpu, CPU_UPDATE_CR);
	cpu->tlb_flush(vcpu);
	pn_mmu_changed(vcpu, MMU_LOAD_ALL);
	return 0;
}

static void sregs_get(struct pn_vcpu *vcpu, struct kvm_sregs *s)
{
	memset(s, 0, sizeof(*s));
	sregs_get_common(vcpu, s);
	if (vcpu->events.irq.injected && !vcpu->events.irq.soft)
		s->interrupt_bitmap[vcpu->events.irq.vector / 64] |=
			BIT_ULL(vcpu->events.irq.vector % 64);
}

static int sregs_set(struct pn_vcpu *vcpu, const struct kvm_sregs *s)
{
	int i, r = sregs_set_common(vcpu, s);

	if (r)
		return r;
	if (pn_uses_pdptrs(vcpu->cr0, vcpu->cr4, vcpu->efer))
		pn_load_pdptrs(vcpu, vcpu->cr3);
	for (i = 0; i < ARRAY_SIZE(s->interrupt_bitmap); i++) {
		if (!s->interrupt_bitmap[i])
			continue;
		vcpu->events.irq.injected = true;
		vcpu->events.irq.soft = false;
		vcpu->events.irq.vector = i * 64 + __ffs(s->interrupt_bitmap[i]);
		break;
	}
	return 0;
}

long pn_vcpu_get_sregs(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_sregs s;

	sregs_get(vcpu, &s);
	return copy_to_user(argp, &s, sizeof(s)) ? -EFAULT : 0;
}

long pn_vcpu_set_sregs(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_sregs s;

	if (copy_from_user(&s, argp, sizeof(s)))
		return -EFAULT;
	return sregs_set(vcpu, &s);
}

/* sregs2: no interrupt bitmap, but the four PAE entries. */
union sregs_any {
	struct kvm_sregs old;
	struct kvm_sregs2 new;
};

long pn_vcpu_get_sregs2(struct pn_vcpu *vcpu, void __user *argp)
{
	union sregs_any s = {};

	sregs_get_common(vcpu, &s.old);
	if (pn_current_pdptrs(vcpu)) {
		memcpy(s.new.pdptrs, vcpu->pdptrs, sizeof(s.new.pdptrs));
		s.new.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	}
	return copy_to_user(argp, &s.new, sizeof(s.new)) ? -EFAULT : 0;
}

long pn_vcpu_set_sregs2(struct pn_vcpu *vcpu, void __user *argp)
{
	union sregs_any s = {};
	bool pae, given;
	int r;

	if (copy_from_user(&s.new, argp, sizeof(s.new)))
		return -EFAULT;
	given = s.new.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
	pae = pn_uses_pdptrs(s.new.cr0, s.new.cr4, s.new.efer);
	if ((s.new.flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID) || (given && !pae))
		return -EINVAL;
	r = sregs_set_common(vcpu, &s.old);
	if (r)
		return r;
	if (given)
		pn_give_pdptrs(vcpu, s.new.pdptrs);
	else if (pae)
		pn_load_pdptrs(vcpu, vcpu->cr3);
	return 0;
}

/* ---- KVM_CAP_SYNC_REGS ---- */

void pn_sync_regs_store(struct pn_vcpu *vcpu)
{
	struct kvm_sync_regs *to = &vcpu->run->s.regs;
	u64 wanted = READ_ONCE(vcpu->run->kvm_valid_regs);

	if (wanted & KVM_SYNC_X86_REGS)
		regs_get(vcpu, &to->regs);
	if (wanted & KVM_SYNC_X86_SREGS)
		sregs_get(vcpu, &to->sregs);
	if (wanted & KVM_SYNC_X86_EVENTS)
		pn_events_get(vcpu, &to->events);
}

/* The page is user space's and may change while we look: everything is copied first. */
int pn_sync_regs_load(struct pn_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 dirty = READ_ONCE(run->kvm_dirty_regs);

	if (dirty & KVM_SYNC_X86_REGS) {
		struct kvm_regs r = run->s.regs.regs;

		regs_set(vcpu, &r);
		run->kvm_dirty_regs &= ~KVM_SYNC_X86_REGS;
	}
	if (dirty & KVM_SYNC_X86_SREGS) {
		struct kvm_sregs s = run->s.regs.sregs;

		if (sregs_set(vcpu, &s))
			return -EINVAL;
		run->kvm_dirty_regs &= ~KVM_SYNC_X86_SREGS;
	}
	if (dirty & KVM_SYNC_X86_EVENTS) {
		struct kvm_vcpu_events e = run->s.regs.events;

		if (pn_events_set(vcpu, &e))
			return -EINVAL;
		run->kvm_dirty_regs &= ~KVM_SYNC_X86_EVENTS;
	}
	return 0;
}
