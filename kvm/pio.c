// SPDX-License-Identifier: GPL-2.0
/*
 * Port I/O. Every port is user space's, except for writes that an event
 * descriptor or a coalesced zone takes. The data goes through the page that the
 * vCPU shares with user space behind struct kvm_run.
 */
#include "kvm/iobus.h"
#include "kvm/trace.h"
#include "kvm/vcpu.h"

static void pn_pio_fill_run(struct pn_vcpu *vcpu, u16 port, unsigned int size,
			    unsigned int count, bool in)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = size;
	run->io.port = port;
	run->io.count = count;
	run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
}

/* Go on behind the instruction, unless user space has sent the vCPU elsewhere meanwhile. */
static int pn_pio_done(struct pn_vcpu *vcpu)
{
	if (vcpu->regs.rip != vcpu->pio.rip)
		return 1;
	return pn_skip(vcpu, vcpu->pio.next_rip - vcpu->pio.rip);
}

static int pn_pio_complete_in(struct pn_vcpu *vcpu)
{
	u64 *rax = &vcpu->regs.gpr[X86_RAX];
	u32 val = *(u32 *)vcpu->pio_data;

	if (vcpu->regs.rip != vcpu->pio.rip)
		return 1;
	trace_kvm_pio(KVM_PIO_IN, vcpu->pio.port, vcpu->pio.size, 1, vcpu->pio_data);
	switch (vcpu->pio.size) {
	case 1:
		*rax = (*rax & ~0xffULL) | (u8)val;
		break;
	case 2:
		*rax = (*rax & ~0xffffULL) | (u16)val;
		break;
	default:
		*rax = val;
	}
	return pn_pio_done(vcpu);
}

/* The port at which old user space resets the machine and expects RIP behind the OUT. */
#define PN_PIO_RIP_FIRST	0x7e

int pn_pio(struct pn_vcpu *vcpu, u16 port, unsigned int size, bool in)
{
	u32 val = vcpu->regs.gpr[X86_RAX];

	vcpu->pio.rip = vcpu->regs.rip;
	vcpu->pio.port = port;
	vcpu->pio.size = size;
	if (in) {
		pn_pio_fill_run(vcpu, port, size, 1, true);
		vcpu->complete_io = pn_pio_complete_in;
		return 0;
	}
	trace_kvm_pio(KVM_PIO_OUT, port, size, 1, &val);
	if (pn_iobus_write(vcpu, PN_BUS_PIO, port, size, &val))
		return pn_pio_done(vcpu);
	memcpy(vcpu->pio_data, &val, size);
	pn_pio_fill_run(vcpu, port, size, 1, false);
	if (port == PN_PIO_RIP_FIRST && !(vcpu->vm->disabled_quirks & KVM_X86_QUIRK_OUT_7E_INC_RIP)) {
		vcpu->regs.rip = vcpu->pio.next_rip;
		return 0;
	}
	vcpu->complete_io = pn_pio_done;
	return 0;
}

static int pn_pio_complete_string_in(struct pn_vcpu *vcpu)
{
	if (vcpu->regs.rip != vcpu->emu_rip)
		return 1;
	vcpu->pio.answered = true;
	return pn_emulate_again(vcpu);
}

/* @buf is the data page itself, see pn_emulate_begin. */
enum x86_emu_rc pn_pio_in_string(struct x86_emu *emu, u16 port, unsigned int size,
				 unsigned int count, void *buf)
{
	struct pn_vcpu *vcpu = container_of(emu, struct pn_vcpu, emu);

	if (vcpu->pio.answered) {
		vcpu->pio.answered = false;
		/* One batch an exit: a second one would find the first one's data. */
		emu->budget = 1;
		if (buf != vcpu->pio_data)
			memcpy(buf, vcpu->pio_data, size * count);
		trace_kvm_pio(KVM_PIO_IN, port, size, count, buf);
		return X86_EMU_OK;
	}
	pn_pio_fill_run(vcpu, port, size, count, true);
	vcpu->complete_io = pn_pio_complete_string_in;
	return X86_EMU_IO;
}

enum x86_emu_rc pn_pio_out_string(struct x86_emu *emu, u16 port, unsigned int size,
				  unsigned int count, const void *buf)
{
	struct pn_vcpu *vcpu = container_of(emu, struct pn_vcpu, emu);

	trace_kvm_pio(KVM_PIO_OUT, port, size, count, buf);
	for (; count && pn_iobus_write(vcpu, PN_BUS_PIO, port, size, buf); count--)
		buf += size;
	if (!count)
		return X86_EMU_OK;
	if (buf != vcpu->pio_data)
		memmove(vcpu->pio_data, buf, size * count);
	pn_pio_fill_run(vcpu, port, size, count, false);
	vcpu->complete_io = pn_emulate_finish;
	/* The data page is taken until user space has seen it. */
	emu->budget = 1;
	return X86_EMU_OK;
}
