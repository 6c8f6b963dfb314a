// SPDX-License-Identifier: GPL-2.0
/* KVM_SET_GUEST_DEBUG: single step, software and hardware breakpoints; KVM_TRANSLATE. */
#include <stdio.h>

#include "abi.h"

#define DB	1
#define BP	3
#define DR6_BS	(1ull << 14)

static void guest_debug(struct vmm *v, uint32_t control)
{
	struct kvm_guest_debug d = { .control = control };

	if (ioctl(v->vcpu[0], KVM_SET_GUEST_DEBUG, &d))
		tap_bail("KVM_SET_GUEST_DEBUG %#x", control);
}

static void stops_at(struct vmm *v, uint64_t rip, uint32_t vector, const char *name)
{
	struct kvm_run *run = v->run[0];

	if (!RUNS_TO(v, KVM_EXIT_DEBUG, "%s: debug exit", name))
		return;
	tap_ok(run->debug.arch.pc == rip && vmm_regs(v, 0).rip == rip && run->debug.arch.exception == vector,
	       "%s: stops at %#llx with vector %u", name, run->debug.arch.pc, run->debug.arch.exception);
	if (run->debug.arch.pc != rip)
		tap_note("expected rip %#llx, got %#llx", (unsigned long long)rip, run->debug.arch.pc);
}

/*
 * As QEMU does it, the step is asked for anew each time: the stock module
 * forgets it over an instruction it emulates.
 */
static void steps_to(struct vmm *v, uint64_t rip, const char *name)
{
	guest_debug(v, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
	stops_at(v, rip, DB, name);
}

/* Every step ends after one instruction, emulated or not. */
static void single_step(struct vmm *v)
{
	struct kvm_regs r;

	/* nop; cpuid; inc %rax; mov (%rdi),%ebx [MMIO]; in $0x70,%al; rdtsc; push %rax; nop; hlt */
	LOAD(v, 0x90, 0x0f, 0xa2, 0x48, 0xff, 0xc0, 0x8b, 0x1f, 0xe4, 0x70, 0x0f, 0x31, 0x50, 0x90, 0xf4);
	vmm_mode(v, 0, VMM_LONG);
	r = vmm_regs(v, 0);
	r.rdi = VMM_HOLE;
	vmm_set_regs(v, 0, &r);
	steps_to(v, VMM_CODE + 1, "step over NOP");
	tap_ok(v->run[0]->debug.arch.dr6 & DR6_BS, "DR6.BS is set");
	steps_to(v, VMM_CODE + 3, "step over CPUID");
	steps_to(v, VMM_CODE + 6, "step over INC");
	guest_debug(v, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
	RUNS_TO(v, KVM_EXIT_MMIO, "step into an MMIO read");
	steps_to(v, VMM_CODE + 8, "step over MMIO");
	guest_debug(v, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
	RUNS_TO(v, KVM_EXIT_IO, "step into IN");
	steps_to(v, VMM_CODE + 10, "step over IN");
	steps_to(v, VMM_CODE + 12, "step over RDTSC");
	steps_to(v, VMM_CODE + 13, "step over PUSH");
	tap_ok(!(vmm_regs(v, 0).rflags & 0x100), "TF is not visible in the registers");
	guest_debug(v, 0);
	RUNS_TO(v, KVM_EXIT_HLT, "without stepping it runs on");
}

/* PUSHF under a stepping VMM must not show its TF to the guest. */
static void hidden_tf(struct vmm *v)
{
	LOAD(v, 0x9c, 0x58, 0xf4);		/* pushf; pop %rax; hlt */
	vmm_mode(v, 0, VMM_LONG);
	steps_to(v, VMM_CODE + 1, "step over PUSHF");
	steps_to(v, VMM_CODE + 2, "step over POP");
	guest_debug(v, 0);
	if (vmm_regs(v, 0).rax & 0x100)
		tap_note("PUSHF shows the VMM's TF, as the stock module on AMD does");
	RUNS_TO(v, KVM_EXIT_HLT, "runs on");
}

static void software_breakpoint(struct vmm *v)
{
	LOAD(v, 0x90, 0xcc, 0x90, 0xf4);
	vmm_mode(v, 0, VMM_LONG);
	guest_debug(v, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP);
	if (vmm_under_tcg() && vmm_on_stock())
		tap_skip("INT3", "QEMU's emulated SVM does not intercept the #BP of INT3");
	else
		stops_at(v, VMM_CODE + 1, BP, "INT3");
	v->ram[VMM_CODE + 1] = 0x90;
	RUNS_TO(v, KVM_EXIT_HLT, "with the breakpoint taken out it runs on");
	LOAD(v, 0x90, 0xcc, 0x90, 0xf4);
	vmm_mode(v, 0, VMM_LONG);
	guest_debug(v, 0);
	RUNS_TO(v, KVM_EXIT_HLT, "INT3 without a debugger");
	tap_eq(vmm_vector(v, 0), BP, "is the guest's #BP");
	tap_eq(*(uint64_t *)(v->ram + vmm_regs(v, 0).rsp), VMM_CODE + 2, "after the INT3");
}

static void hardware_breakpoint(struct vmm *v)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP };
	struct kvm_regs r;
	struct kvm_debugregs g;

	if (vmm_under_tcg()) {
		tap_skip("hardware breakpoints", "QEMU's emulated VMRUN does not load DR7");
		return;
	}
	/* nop; nop; mov %rax,(%rdi); nop; hlt */
	LOAD(v, 0x90, 0x90, 0x48, 0x89, 0x07, 0x90, 0xf4);
	vmm_mode(v, 0, VMM_LONG);
	r = vmm_regs(v, 0);
	r.rdi = VMM_DATA;
	vmm_set_regs(v, 0, &r);
	d.arch.debugreg[0] = VMM_CODE + 1;
	d.arch.debugreg[1] = VMM_DATA;
	d.arch.debugreg[7] = 0x400 | 1 << 1 | 1 << 3 | 0xdull << 20;	/* G0 execute, G1 write 4 */
	if (ioctl(v->vcpu[0], KVM_SET_GUEST_DEBUG, &d))
		tap_bail("KVM_SET_GUEST_DEBUG");
	stops_at(v, VMM_CODE + 1, DB, "execution breakpoint");
	tap_eq(v->run[0]->debug.arch.dr6 & 0xf, 1, "DR6 names it");
	ioctl(v->vcpu[0], KVM_GET_DEBUGREGS, &g);
	tap_ok(!g.db[0] && !(g.dr7 & 0xff), "the guest's own debug registers are untouched");
	d.arch.debugreg[7] &= ~3ull;
	ioctl(v->vcpu[0], KVM_SET_GUEST_DEBUG, &d);
	stops_at(v, VMM_CODE + 5, DB, "write watchpoint");
	tap_eq(v->run[0]->debug.arch.dr6 & 0xf, 2, "DR6 names it");
	guest_debug(v, 0);
	RUNS_TO(v, KVM_EXIT_HLT, "runs on");
}

static void guest_tf(struct vmm *v)
{
	struct kvm_regs r;

	LOAD(v, 0x90, 0x90, 0xf4);
	vmm_mode(v, 0, VMM_LONG);
	r = vmm_regs(v, 0);
	r.rflags |= 0x100;
	vmm_set_regs(v, 0, &r);
	RUNS_TO(v, KVM_EXIT_HLT, "the guest's own TF");
	tap_eq(vmm_vector(v, 0), DB, "is the guest's #DB");
	tap_eq(*(uint64_t *)(v->ram + vmm_regs(v, 0).rsp), VMM_CODE + 1, "after one instruction");
}

static void inject(struct vmm *v)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_BP };

	LOAD(v, 0x90, 0xf4);
	vmm_mode(v, 0, VMM_LONG);
	CALL(0, v->vcpu[0], KVM_SET_GUEST_DEBUG, &d, "KVM_SET_GUEST_DEBUG that injects #BP");
	RUNS_TO(v, KVM_EXIT_HLT, "guest runs");
	if (vmm_under_tcg() && vmm_on_stock())
		tap_skip("and takes it", "the stock module loses it without NRIP save");
	else
		tap_eq(vmm_vector(v, 0), BP, "and takes it");
	vmm_mode(v, 0, VMM_LONG);
	d.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB;
	CALL(0, v->vcpu[0], KVM_SET_GUEST_DEBUG, &d, "KVM_SET_GUEST_DEBUG that injects #DB");
	RUNS_TO(v, KVM_EXIT_HLT, "guest runs");
	tap_eq(vmm_vector(v, 0), DB, "and takes it");
	guest_debug(v, 0);
	CALL(EFAULT, v->vcpu[0], KVM_SET_GUEST_DEBUG, BAD_POINTER, "KVM_SET_GUEST_DEBUG at a bad pointer");
}

static void put_pte(struct vmm *v, uint32_t table, unsigned int index, uint64_t pte)
{
	memcpy(v->ram + table + 8 * index, &pte, 8);
}

static void translates(struct vmm *v, uint64_t gva, bool valid, uint64_t gpa, const char *name)
{
	struct kvm_translation t = { .linear_address = gva };

	CALL(0, v->vcpu[0], KVM_TRANSLATE, &t, "KVM_TRANSLATE: %s", name);
	tap_ok(t.valid == valid && (!valid || t.physical_address == gpa),
	       "%s: valid %d physical %#llx", name, t.valid, t.physical_address);
}

static void translate(struct vmm *v)
{
	const uint32_t pd = VMM_DATA + 0x1000, pt = VMM_DATA + 0x2000;

	CALL(EFAULT, v->vcpu[0], KVM_TRANSLATE, BAD_POINTER, "KVM_TRANSLATE at a bad pointer");
	vmm_mode(v, 0, VMM_REAL);
	translates(v, 0x12345, true, 0x12345, "without paging");
	vmm_mode(v, 0, VMM_PAGED32);
	translates(v, 0x80012345, true, 0x80012345, "two levels, 4 MiB page");
	vmm_mode(v, 0, VMM_PAE);
	translates(v, 0x80012345, true, 0x80012345, "PAE, 2 MiB page");
	vmm_mode(v, 0, VMM_LONG);
	translates(v, 0x80012345, true, 0x80012345, "long mode, 2 MiB page");
	translates(v, 0x8000000000, false, 0, "not mapped");
	/* A directory of its own for gva 0x140000000: a 4 KiB page, and a hole. */
	put_pte(v, VMM_TABLES + 0x1000, 5, pd | 3);
	put_pte(v, pd, 0, pt | 3);
	put_pte(v, pt, 7, 0x123000 | 3);
	put_pte(v, pt, 8, 0x123000);
	put_pte(v, VMM_TABLES + 0x1000, 6, 0x40000000 | 0x83);
	translates(v, 0x140007abc, true, 0x123abc, "long mode, 4 KiB page");
	translates(v, 0x140008abc, false, 0, "an absent 4 KiB page");
	translates(v, 0x180abcdef, true, 0x40abcdef, "long mode, 1 GiB page");
}

void abi_debug(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);

	single_step(v);
	hidden_tf(v);
	software_breakpoint(v);
	hardware_breakpoint(v);
	guest_tf(v);
	inject(v);
	translate(v);
	vmm_free(v);
}
