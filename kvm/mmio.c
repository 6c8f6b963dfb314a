// SPDX-License-Identifier: GPL-2.0
/*
 * Device memory that user space emulates.
 *
 * The emulator is restartable (x86/emulate.h), which makes this simple:
 *
 *   read    the answer is not there: note the fragment, stop the instruction,
 *           let user space answer, run the instruction again; this time the
 *           read finds its answer.
 *   write   noted only; the instruction goes on and is finished, then the noted
 *           writes are handed over one by one.
 *
 * fragment[0 .. used) are answered reads of the attempt that is running. Reads
 * and writes keep their order: a read that is not answered waits until the writes
 * noted before it are done.
 */
#include "kvm/iobus.h"
#include "kvm/trace.h"
#include "kvm/vcpu.h"

static struct pn_mmio_fragment *pn_mmio_note(struct pn_vcpu *vcpu, u64 gpa,
					     unsigned int len, bool write)
{
	struct pn_mmio_fragment *f = &vcpu->mmio.fragment[vcpu->mmio.nr++];

	f->gpa = gpa;
	f->len = len;
	f->write = write;
	f->done = false;
	return f;
}

static enum x86_emu_rc pn_mmio_read_one(struct pn_vcpu *vcpu, u64 gpa, void *val,
					unsigned int len)
{
	struct pn_mmio_fragment *f;

	if (vcpu->mmio.used < vcpu->mmio.nr) {
		f = &vcpu->mmio.fragment[vcpu->mmio.used];
		if (!f->write && f->done && f->gpa == gpa && f->len == len) {
			memcpy(val, f->data, len);
			vcpu->mmio.used++;
			return X86_EMU_OK;
		}
		/* Writes not done yet go first. The answer of another access is void. */
		if (f->write)
			return X86_EMU_IO;
		vcpu->mmio.nr = vcpu->mmio.used;
	}
	/* Answers used by iterations that are committed must not stand in front of this one. */
	if (vcpu->emu.iterations) {
		vcpu->mmio.used = 0;
		vcpu->mmio.nr = 0;
	}
	if (vcpu->mmio.nr == PN_MAX_MMIO_FRAGMENTS)
		return X86_EMU_UNHANDLED;
	pn_mmio_note(vcpu, gpa, len, false);
	return X86_EMU_IO;
}

enum x86_emu_rc pn_mmio_read(struct pn_vcpu *vcpu, u64 gpa, void *val, unsigned int len)
{
	enum x86_emu_rc rc;

	for (; len > 8; len -= 8, gpa += 8, val += 8) {
		rc = pn_mmio_read_one(vcpu, gpa, val, 8);
		if (rc)
			return rc;
	}
	return pn_mmio_read_one(vcpu, gpa, val, len);
}

static enum x86_emu_rc pn_mmio_write_one(struct pn_vcpu *vcpu, u64 gpa, const void *val,
					 unsigned int len)
{
	/* Reads of this instruction are all answered now, and no longer needed. */
	if (vcpu->mmio.used) {
		vcpu->mmio.used = 0;
		vcpu->mmio.nr = 0;
	}
	/* Without writes before it in the queue, the kernel's own regions may take it. */
	if (!vcpu->mmio.nr && pn_iobus_write(vcpu, PN_BUS_MMIO, gpa, len, val))
		return X86_EMU_OK;
	if (vcpu->mmio.nr == PN_MAX_MMIO_FRAGMENTS)
		return X86_EMU_UNHANDLED;
	memcpy(pn_mmio_note(vcpu, gpa, len, true)->data, val, len);
	/* Room for one more element, of up to 32 bytes, or the batch ends here. */
	if (vcpu->mmio.nr > PN_MAX_MMIO_FRAGMENTS - 5)
		vcpu->emu.budget = 1;
	return X86_EMU_OK;
}

enum x86_emu_rc pn_mmio_write(struct pn_vcpu *vcpu, u64 gpa, const void *val, unsigned int len)
{
	enum x86_emu_rc rc;

	for (; len > 8; len -= 8, gpa += 8, val += 8) {
		rc = pn_mmio_write_one(vcpu, gpa, val, 8);
		if (rc)
			return rc;
	}
	return pn_mmio_write_one(vcpu, gpa, val, len);
}

bool pn_mmio_pending(struct pn_vcpu *vcpu)
{
	u8 nr = vcpu->mmio.nr;

	return nr && !vcpu->mmio.fragment[nr - 1].done;
}

static int pn_mmio_complete(struct pn_vcpu *vcpu);

int pn_mmio_exit(struct pn_vcpu *vcpu)
{
	struct pn_mmio_fragment *f = vcpu->mmio.fragment;
	struct kvm_run *run = vcpu->run;

	while (f->done)
		f++;
	vcpu->mmio.cur = f - vcpu->mmio.fragment;
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = f->gpa;
	run->mmio.len = f->len;
	run->mmio.is_write = f->write;
	if (f->write)
		memcpy(run->mmio.data, f->data, 8);
	vcpu->stat.mmio_exits++;
	trace_kvm_mmio(f->write ? KVM_TRACE_MMIO_WRITE : KVM_TRACE_MMIO_READ_UNSATISFIED,
		       f->len, f->gpa, f->write ? f->data : NULL);
	vcpu->complete_io = pn_mmio_complete;
	return 0;
}

/* User space is back with an answer, or has taken a write. */
static int pn_mmio_complete(struct pn_vcpu *vcpu)
{
	struct pn_mmio_fragment *f = &vcpu->mmio.fragment[vcpu->mmio.cur];

	f->done = true;
	if (f->write) {
		if (pn_mmio_pending(vcpu))
			return pn_mmio_exit(vcpu);
		vcpu->mmio.nr = 0;
		return pn_emulate_finish(vcpu);
	}
	memcpy(f->data, vcpu->run->mmio.data, f->len);
	trace_kvm_mmio(KVM_TRACE_MMIO_READ, f->len, f->gpa, f->data);
	/* A reset while user space had it: the instruction is no more. */
	if (vcpu->regs.rip != vcpu->emu_rip) {
		vcpu->mmio.nr = 0;
		return 1;
	}
	return pn_emulate_again(vcpu);
}
