// SPDX-License-Identifier: GPL-2.0
/* Exits of KVM_RUN: port I/O, MMIO, HLT, shutdown, emulation failure, and the run structure's own fields. */
#include <stdio.h>

#include "abi.h"

static struct kvm_regs start(struct vmm *v, uint64_t rax, uint64_t rdx, uint64_t rdi)
{
	struct kvm_regs r;

	vmm_mode(v, 0, VMM_LONG);
	r = vmm_regs(v, 0);
	r.rax = rax;
	r.rdx = rdx;
	r.rdi = rdi;
	r.rsi = VMM_DATA;
	vmm_set_regs(v, 0, &r);
	return r;
}

static uint8_t *io_data(struct vmm *v)
{
	return (uint8_t *)v->run[0] + v->run[0]->io.data_offset;
}

static void is_io(struct vmm *v, uint8_t dir, uint8_t size, uint16_t port, uint32_t count, const char *name)
{
	struct kvm_run *run = v->run[0];

	if (!RUNS_TO(v, KVM_EXIT_IO, "%s exits", name))
		return;
	tap_ok(run->io.direction == dir && run->io.size == size && run->io.port == port &&
	       run->io.count == count, "%s: direction %d size %d port %#x count %d", name,
	       run->io.direction, run->io.size, run->io.port, run->io.count);
}

static void pio_out(struct vmm *v)
{
	LOAD(v, 0xe6, 0x10, 0xee, 0x66, 0xef, 0xef, 0x66, 0xe7, 0x12, 0xe7, 0xff, 0xf4);
	start(v, 0x11223344aabbccdd, 0xffff1234, 0);
	is_io(v, KVM_EXIT_IO_OUT, 1, 0x10, 1, "out %al,$0x10");
	tap_eq(*io_data(v), 0xdd, "its data");
	is_io(v, KVM_EXIT_IO_OUT, 1, 0x1234, 1, "out %al,(%dx)");
	is_io(v, KVM_EXIT_IO_OUT, 2, 0x1234, 1, "out %ax,(%dx)");
	tap_eq(*(uint16_t *)io_data(v), 0xccdd, "its data");
	is_io(v, KVM_EXIT_IO_OUT, 4, 0x1234, 1, "out %eax,(%dx)");
	tap_eq(*(uint32_t *)io_data(v), 0xaabbccdd, "its data");
	is_io(v, KVM_EXIT_IO_OUT, 2, 0x12, 1, "out %ax,$0x12");
	is_io(v, KVM_EXIT_IO_OUT, 4, 0xff, 1, "out %eax,$0xff");
	RUNS_TO(v, KVM_EXIT_HLT, "then HLT");
	tap_eq(vmm_regs(v, 0).rip, VMM_CODE + 12, "with rip behind it");
}

static void pio_in(struct vmm *v)
{
	static const uint64_t want[] = { 0x11223344aabbcc99, 0x11223344aabb8899, 0x66778899 };

	LOAD(v, 0xec, 0x66, 0xed, 0xed, 0xf4);
	start(v, 0x11223344aabbccdd, 0x70, 0);
	for (unsigned int i = 0; i < 3; i++) {
		is_io(v, KVM_EXIT_IO_IN, 1 << i, 0x70, 1, "in (%dx)");
		*(uint32_t *)io_data(v) = 0x66778899;
		v->run[0]->immediate_exit = 1;
		tap_ok(vmm_run(v, 0) == -1 && errno == EINTR, "in completes under immediate_exit");
		v->run[0]->immediate_exit = 0;
		tap_eq(vmm_regs(v, 0).rax, want[i], "rax after an IN of %d", 1 << i);
	}
	RUNS_TO(v, KVM_EXIT_HLT, "then HLT");
}

/* Counts arrive in one exit or several, in order; data and registers end right. */
static void string_io(struct vmm *v, uint8_t size, bool in)
{
	const uint32_t total = 40;
	struct kvm_run *run = v->run[0];
	uint8_t *mem = v->ram + VMM_DATA, seen[256];
	uint32_t done = 0;
	struct kvm_regs r = start(v, 0, 0x3f0, VMM_DATA);
	uint8_t code[] = { 0xf3, 0x66, in ? 0x6d : 0x6f, 0xf4 };

	if (size != 2)
		code[1] = 0xf3;
	if (size == 1)
		code[2] -= 1;
	vmm_load(v, code, sizeof(code));
	r.rcx = total;
	vmm_set_regs(v, 0, &r);
	for (uint32_t i = 0; i < total * size; i++)
		mem[i] = in ? 0 : i + 7;
	while (!vmm_run(v, 0) && run->exit_reason == KVM_EXIT_IO && done < total) {
		uint32_t n = run->io.count;

		if (run->io.size != size || run->io.port != 0x3f0 || done + n > total ||
		    run->io.direction != (in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT))
			break;
		for (uint32_t i = 0; i < n * size; i++) {
			seen[done * size + i] = io_data(v)[i];
			io_data(v)[i] = done * size + i + 7;
		}
		done += n;
	}
	r = vmm_regs(v, 0);
	tap_ok(run->exit_reason == KVM_EXIT_HLT && done == total && r.rcx == 0,
	       "rep %s of %d: %u elements, rcx %llu", in ? "ins" : "outs", size, done, r.rcx);
	tap_eq(in ? r.rdi : r.rsi, VMM_DATA + total * size, "its pointer");
	for (uint32_t i = 0; i < total * size; i++)
		if ((in ? mem[i] : seen[i]) != (uint8_t)(i + 7)) {
			tap_ok(false, "its data (byte %u)", i);
			return;
		}
	tap_ok(true, "its data");
}

static void is_mmio(struct vmm *v, uint64_t gpa, uint32_t len, bool write, const char *name)
{
	struct kvm_run *run = v->run[0];

	if (!RUNS_TO(v, KVM_EXIT_MMIO, "%s exits", name))
		return;
	tap_ok(run->mmio.phys_addr == gpa && run->mmio.len == len && run->mmio.is_write == write,
	       "%s: at %#llx length %u %s", name, run->mmio.phys_addr, run->mmio.len,
	       run->mmio.is_write ? "write" : "read");
}

static void mmio(struct vmm *v)
{
	static const uint64_t want[] = { 0x11223344aabbcc99, 0x11223344aabb8899, 0x66778899,
					 0x2233445566778899 };
	uint64_t data = 0x2233445566778899;

	/* mov (%rdi),%al %ax %eax %rax */
	LOAD(v, 0x8a, 0x07, 0x66, 0x8b, 0x07, 0x8b, 0x07, 0x48, 0x8b, 0x07, 0xf4);
	start(v, 0x11223344aabbccdd, 0, VMM_HOLE + 0x123);
	for (unsigned int i = 0; i < 4; i++) {
		is_mmio(v, VMM_HOLE + 0x123, 1 << i, false, "MMIO read");
		memcpy(v->run[0]->mmio.data, &data, 8);
		v->run[0]->immediate_exit = 1;
		tap_ok(vmm_run(v, 0) == -1 && errno == EINTR, "it completes under immediate_exit");
		v->run[0]->immediate_exit = 0;
		tap_eq(vmm_regs(v, 0).rax, want[i], "rax after a read of %d", 1 << i);
	}
	RUNS_TO(v, KVM_EXIT_HLT, "then HLT");

	/* mov %al %ax %eax %rax,(%rdi) */
	LOAD(v, 0x88, 0x07, 0x66, 0x89, 0x07, 0x89, 0x07, 0x48, 0x89, 0x07, 0xf4);
	start(v, data, 0, VMM_HOLE + 0x400);
	for (unsigned int i = 0; i < 4; i++) {
		is_mmio(v, VMM_HOLE + 0x400, 1 << i, true, "MMIO write");
		tap_ok(!memcmp(v->run[0]->mmio.data, &data, 1 << i), "its data");
	}
	RUNS_TO(v, KVM_EXIT_HLT, "then HLT");
}

static void mmio_wide(struct vmm *v)
{
	struct kvm_fpu f;

	LOAD(v, 0xf3, 0x0f, 0x6f, 0x07, 0xf4);	/* movdqu (%rdi),%xmm0 */
	start(v, 0, 0, VMM_HOLE + 0x200);
	is_mmio(v, VMM_HOLE + 0x200, 8, false, "first half of a 16-byte read");
	memset(v->run[0]->mmio.data, 0x31, 8);
	is_mmio(v, VMM_HOLE + 0x208, 8, false, "second half");
	memset(v->run[0]->mmio.data, 0x32, 8);
	RUNS_TO(v, KVM_EXIT_HLT, "then HLT");
	ioctl(v->vcpu[0], KVM_GET_FPU, &f);
	tap_ok(f.xmm[0][0] == 0x31 && f.xmm[0][7] == 0x31 && f.xmm[0][8] == 0x32 && f.xmm[0][15] == 0x32,
	       "XMM0 has both halves");

	LOAD(v, 0x48, 0x89, 0x07, 0xf4);	/* across a page of MMIO */
	start(v, 0x8877665544332211, 0, VMM_HOLE + 0xffd);
	is_mmio(v, VMM_HOLE + 0xffd, 3, true, "first part of a write across pages");
	tap_ok(!memcmp(v->run[0]->mmio.data, "\x11\x22\x33", 3), "its data");
	is_mmio(v, VMM_HOLE + 0x1000, 5, true, "second part");
	tap_ok(!memcmp(v->run[0]->mmio.data, "\x44\x55\x66\x77\x88", 5), "its data");
	RUNS_TO(v, KVM_EXIT_HLT, "then HLT");

	start(v, 0x8877665544332211, 0, VMM_RAM - 2);	/* from RAM into MMIO */
	is_mmio(v, VMM_RAM, 6, true, "the part of a write behind the end of RAM");
	RUNS_TO(v, KVM_EXIT_HLT, "then HLT");
	tap_ok(v->ram[VMM_RAM - 2] == 0x11 && v->ram[VMM_RAM - 1] == 0x22, "RAM has its part");
}

/* A triple fault ends in KVM_EXIT_SHUTDOWN; the vCPU can be used again. */
static void shutdown(struct vmm *v)
{
	struct kvm_sregs s;

	LOAD(v, 0x0f, 0x0b);
	vmm_mode(v, 0, VMM_LONG);
	s = vmm_sregs(v, 0);
	s.idt.limit = 0;
	vmm_set_sregs(v, 0, &s);
	RUNS_TO(v, KVM_EXIT_SHUTDOWN, "a triple fault");
	LOAD(v, 0x90, 0xf4);
	vmm_mode(v, 0, VMM_LONG);
	RUNS_TO(v, KVM_EXIT_HLT, "the vCPU runs again after a shutdown");
}

static void emulation_failure(struct vmm *v)
{
	static const uint8_t fbld[] = { 0xdf, 0x27 };	/* fbld (%rdi): no emulator has it */
	struct kvm_run *run = v->run[0];

	LOAD(v, 0xdf, 0x27, 0xf4);
	start(v, 0, 0, VMM_HOLE);
	if (RUNS_TO(v, KVM_EXIT_INTERNAL_ERROR, "an instruction the emulator does not know")) {
		tap_eq(run->emulation_failure.suberror, KVM_INTERNAL_ERROR_EMULATION, "suberror");
		tap_ok(run->emulation_failure.ndata >= 3 &&
		       run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES,
		       "it says that it carries the instruction");
		tap_ok(run->emulation_failure.insn_size >= 2 &&
		       !memcmp(run->emulation_failure.insn_bytes, fbld, 2), "it carries the instruction");
		tap_eq(vmm_regs(v, 0).rip, VMM_CODE, "rip is at the instruction");
	}
	vmm_mode(v, 0, VMM_LONG);
	struct kvm_regs r = vmm_regs(v, 0);
	r.rip = VMM_HOLE;
	vmm_set_regs(v, 0, &r);
	RUNS_TO(v, KVM_EXIT_INTERNAL_ERROR, "code fetched from nothing");
}

/* Run-structure fields a VMM with its own interrupt controllers relies on. */
static void fields(struct vmm *v)
{
	struct kvm_run *run = v->run[0];
	struct kvm_sregs s;

	/* mov %cr8,%rax; mov $9,%ebx; mov %rbx,%cr8; sti; nop; out; cli; out; hlt */
	LOAD(v, 0x44, 0x0f, 0x20, 0xc0, 0xbb, 9, 0, 0, 0, 0x44, 0x0f, 0x22, 0xc3,
	     0xfb, 0x90, 0xe6, 0x80, 0xfa, 0xe6, 0x81, 0xf4);
	start(v, 0, 0, 0);
	run->cr8 = 5;
	s = vmm_sregs(v, 0);
	RUNS_TO(v, KVM_EXIT_IO, "guest reads and writes CR8");
	tap_eq(vmm_regs(v, 0).rax, 5, "guest reads the CR8 of the run structure");
	tap_eq(run->cr8, 9, "the run structure has the CR8 the guest wrote");
	tap_eq(vmm_sregs(v, 0).cr8, 9, "so has KVM_GET_SREGS");
	tap_eq(run->if_flag, 1, "if_flag with interrupts on");
	tap_eq(run->ready_for_interrupt_injection, 1, "ready_for_interrupt_injection with interrupts on");
	tap_eq(run->apic_base, s.apic_base, "apic_base");
	RUNS_TO(v, KVM_EXIT_IO, "guest clears IF");
	tap_eq(run->if_flag, 0, "if_flag with interrupts off");
	tap_eq(run->ready_for_interrupt_injection, 0, "ready_for_interrupt_injection with interrupts off");
	RUNS_TO(v, KVM_EXIT_HLT, "HLT with interrupts off");
	run->cr8 = 0;
}

static void sync_regs(struct vmm *v)
{
	uint64_t have = vmm_cap(v, KVM_CAP_SYNC_REGS);
	struct kvm_run *run = v->run[0];

	LOAD(v, 0x48, 0xff, 0xc0, 0xf4);	/* inc %rax; hlt */
	start(v, 41, 0, 0);
	if (!have) {
		tap_skip("synchronised registers", "not claimed");
		return;
	}
	run->kvm_valid_regs = ~0ull;
	CALL(EINVAL, v->vcpu[0], KVM_RUN, 0, "KVM_RUN with unknown kvm_valid_regs");
	run->kvm_valid_regs = have;
	run->kvm_dirty_regs = ~0ull;
	CALL(EINVAL, v->vcpu[0], KVM_RUN, 0, "KVM_RUN with unknown kvm_dirty_regs");
	run->kvm_dirty_regs = 0;
	RUNS_TO(v, KVM_EXIT_HLT, "KVM_RUN with kvm_valid_regs");
	tap_eq(run->s.regs.regs.rax, 42, "the run structure has the registers");
	run->s.regs.regs.rip = VMM_CODE;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	RUNS_TO(v, KVM_EXIT_HLT, "KVM_RUN with kvm_dirty_regs");
	tap_eq(run->s.regs.regs.rax, 43, "guest ran with the registers of the run structure");
	run->kvm_valid_regs = 0;
}

/* Garbage and runaways end by themselves. */
static void garbage(struct vmm *v)
{
	unsigned int ended = 0;
	uint32_t seed = 12345;

	for (unsigned int n = 0; n < 64; n++) {
		uint8_t code[64];

		for (unsigned int i = 0; i < sizeof(code); i++) {
			seed = seed * 1103515245 + 12345;
			code[i] = seed >> 16;
		}
		/* Loops would not end: stop with the next HLT or fault, or after 3000 exits. */
		vmm_load(v, code, sizeof(code));
		memset(v->ram + VMM_CODE + sizeof(code), 0xf4, 256);
		start(v, n, n, VMM_DATA);
		for (unsigned int i = 0; i < 3000; i++) {
			if (vmm_run(v, 0))
				break;
			if (v->run[0]->exit_reason != KVM_EXIT_IO && v->run[0]->exit_reason != KVM_EXIT_MMIO)
				break;
		}
		ended++;
	}
	tap_eq(ended, 64, "random code ends or gets its fault");
}

void abi_run(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);

	pio_out(v);
	pio_in(v);
	for (uint8_t size = 1; size <= 4; size *= 2) {
		string_io(v, size, false);
		string_io(v, size, true);
	}
	mmio(v);
	mmio_wide(v);
	shutdown(v);
	emulation_failure(v);
	vmm_free(v);
	v = vmm_new_vcpu(VMM_LONG);
	fields(v);
	sync_regs(v);
	garbage(v);
	vmm_free(v);
}
