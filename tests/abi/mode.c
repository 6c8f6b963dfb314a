// SPDX-License-Identifier: GPL-2.0
/*
 * What a vCPU is to itself and to user space when its VM's mode changes while it is not running: the
 * four top entries of PAE, which are in the processor in shadow mode and in memory in nested mode.
 */
#include <glob.h>
#include <stdio.h>

#include "abi.h"

#define PDPT_PAE	(VMM_TABLES + 0x7000)	/* the one that vmm.c makes: identity */
#define OTHER_PDPT	VMM_DATA
#define OTHER_PD	(VMM_DATA + 0x1000)
#define TARGET		(VMM_DATA + 0x10000)	/* gpa */
#define WINDOW		0x40000000u		/* shows gpa 0 through the other directory; else a hole */
#define ENTRY_P		1ull
#define LARGE		0x83ull

/* The mode of every VM: those of groups before this one may not be gone yet. False: there is no such thing to set. */
static bool set_mode(const char *mode)
{
	bool done = false;
	glob_t found;

	if (glob("/sys/kernel/penumbra/vms/*/mmu", 0, NULL, &found))
		return false;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		FILE *f = fopen(found.gl_pathv[i], "w");

		if (f && fputs(mode, f) >= 0)
			done = true;
		if (f && fclose(f))
			done = false;
	}
	globfree(&found);
	return done;
}

static void put64(struct vmm *v, uint32_t gpa, uint64_t val)
{
	memcpy(v->ram + gpa, &val, sizeof(val));
}

/* A guest with PAE that has not run, and tables for WINDOW that are not its own yet. */
static struct vmm *pae_machine(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_PAE);
	uint64_t entry;

	for (unsigned int i = 0; i < 4; i++) {
		memcpy(&entry, v->ram + PDPT_PAE + 8 * i, sizeof(entry));
		put64(v, OTHER_PDPT + 8 * i, entry);
	}
	put64(v, OTHER_PDPT + 8, OTHER_PD | ENTRY_P);
	put64(v, OTHER_PD, LARGE);
	return v;
}

/* KVM_SET_SREGS2 before the first run: what is given holds, not what is in memory. */
static void given_entries(void)
{
	struct vmm *v = pae_machine();
	struct kvm_sregs2 s;

	if (vmm_on_stock() ? !vmm_engine_mode("shadow") : !set_mode("shadow")) {
		tap_skip("given PDPTRs", "in nested mode the processor reads them from memory");
		vmm_free(v);
		return;
	}
	v->ram[TARGET] = 0x5a;
	LOAD(v, 0xa0, 0x00, 0x00, 0x05, 0x40, 0xf4);	/* mov 0x40050000, %al; hlt */
	CALL(0, v->vcpu[0], KVM_GET_SREGS2, &s, "KVM_GET_SREGS2 before the first run");
	tap_ok(s.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID, "it has PDPTRs");
	s.pdptrs[1] = OTHER_PD | ENTRY_P;
	CALL(0, v->vcpu[0], KVM_SET_SREGS2, &s, "KVM_SET_SREGS2 with others than in memory");
	RUNS_TO(v, KVM_EXIT_HLT, "the guest runs by them");
	tap_eq((uint8_t)vmm_regs(v, 0).rax, 0x5a, "and reads where they lead");
	memset(&s, 0, sizeof(s));
	CALL(0, v->vcpu[0], KVM_GET_SREGS2, &s, "KVM_GET_SREGS2 afterwards");
	tap_eq(s.pdptrs[1], OTHER_PD | ENTRY_P, "they are still there");
	vmm_free(v);
}

/* The mode changes between two runs: user space sees what the guest loaded in nested mode, and so does the guest. */
static void between_runs(void)
{
	struct kvm_translation tr = { .linear_address = WINDOW + TARGET };
	struct vmm *v = pae_machine();
	struct kvm_sregs2 s;
	struct kvm_regs r;

	if (!set_mode("nested")) {
		tap_skip("a change of mode between two runs", "there are no modes, or not both");
		vmm_free(v);
		return;
	}
	/* mov %eax, %cr3; out %al, $0x80; mov %cl, 0x40050000; hlt: an exit for which nothing is decoded */
	LOAD(v, 0x0f, 0x22, 0xd8, 0xe6, 0x80, 0x88, 0x0d, 0x00, 0x00, 0x05, 0x40, 0xf4);
	r = vmm_regs(v, 0);
	r.rax = OTHER_PDPT;
	r.rcx = 0x5a;
	vmm_set_regs(v, 0, &r);
	RUNS_TO(v, KVM_EXIT_IO, "tables loaded in nested mode");
	tap_ok(set_mode("shadow"), "the mode changes");
	CALL(0, v->vcpu[0], KVM_TRANSLATE, &tr, "KVM_TRANSLATE");
	tap_eq(tr.physical_address, TARGET, "goes by the guest's tables");
	memset(&s, 0, sizeof(s));
	CALL(0, v->vcpu[0], KVM_GET_SREGS2, &s, "KVM_GET_SREGS2");
	tap_eq(s.pdptrs[1], OTHER_PD | ENTRY_P, "has the guest's PDPTRs");
	CALL(0, v->vcpu[0], KVM_SET_SREGS2, &s, "KVM_SET_SREGS2 with what was read");
	RUNS_TO(v, KVM_EXIT_HLT, "the guest goes on");
	tap_eq(v->ram[TARGET], 0x5a, "and writes where its tables lead");
	vmm_free(v);
}

void abi_mode(void)
{
	given_entries();
	between_runs();
}
