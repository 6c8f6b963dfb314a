// SPDX-License-Identifier: GPL-2.0
/* General, debug and control registers: round trips and refusals. */
#include <stdio.h>

#include "abi.h"

#define RFLAGS_ALL	0x8d5	/* the arithmetic flags */

static void general(struct vmm *v)
{
	struct kvm_regs in = { 0 }, out;
	uint64_t *w = (uint64_t *)&in;

	for (size_t i = 0; i < sizeof(in) / 8; i++)
		w[i] = 0x0123456789abcdefull * (i + 1);
	in.rflags = 0x2 | RFLAGS_ALL;
	CALL(0, v->vcpu[0], KVM_SET_REGS, &in, "KVM_SET_REGS");
	CALL(0, v->vcpu[0], KVM_GET_REGS, &out, "KVM_GET_REGS");
	tap_ok(!memcmp(&in, &out, sizeof(in)), "general registers round trip");
	CALL(EFAULT, v->vcpu[0], KVM_SET_REGS, BAD_POINTER, "KVM_SET_REGS at a bad pointer");
	CALL(EFAULT, v->vcpu[0], KVM_GET_REGS, BAD_POINTER, "KVM_GET_REGS at a bad pointer");
	in.rflags = RFLAGS_ALL;
	CALL(0, v->vcpu[0], KVM_SET_REGS, &in, "KVM_SET_REGS without rflags bit 1");
	CALL(0, v->vcpu[0], KVM_GET_REGS, &out, "KVM_GET_REGS");
	tap_eq(out.rflags, RFLAGS_ALL | 2, "rflags bit 1 is set all the same");
}

/* The guest sees what was set and the VMM what the guest left. */
static void seen_by_guest(struct vmm *v)
{
	struct kvm_regs r = { .rip = VMM_CODE, .rsp = VMM_STACK, .rflags = 2, .rax = 5, .rbx = 7,
			      .r8 = 8, .r15 = 15 };

	/* add %rbx,%rax; xchg %r8,%r15; push %rax; pop %r12; hlt */
	LOAD(v, 0x48, 0x01, 0xd8, 0x4d, 0x87, 0xc7, 0x50, 0x41, 0x5c, 0xf4);
	vmm_mode(v, 0, VMM_LONG);
	vmm_set_regs(v, 0, &r);
	RUNS_TO(v, KVM_EXIT_HLT, "guest runs on them");
	r = vmm_regs(v, 0);
	tap_ok(r.rax == 12 && r.rbx == 7 && r.r8 == 15 && r.r15 == 8 && r.r12 == 12 &&
	       r.rsp == VMM_STACK && r.rip == VMM_CODE + 10, "and leaves them right");
}

static void debug_registers(struct vmm *v)
{
	struct kvm_debugregs in = { .db = { 0x1000, 0x2000, 0x3000, 0x4000 },
				    .dr6 = 0xffff0ff0 | 5, .dr7 = 0x400 | 3 };
	struct kvm_debugregs out;

	CALL(0, v->vcpu[0], KVM_SET_DEBUGREGS, &in, "KVM_SET_DEBUGREGS");
	CALL(0, v->vcpu[0], KVM_GET_DEBUGREGS, &out, "KVM_GET_DEBUGREGS");
	tap_ok(!memcmp(in.db, out.db, sizeof(in.db)) && in.dr6 == out.dr6 && in.dr7 == out.dr7,
	       "debug registers round trip");
	CALL(EFAULT, v->vcpu[0], KVM_SET_DEBUGREGS, BAD_POINTER, "KVM_SET_DEBUGREGS at a bad pointer");
	in.flags = 1;
	CALL(EINVAL, v->vcpu[0], KVM_SET_DEBUGREGS, &in, "KVM_SET_DEBUGREGS with flags");
	in.flags = 0;
	in.dr6 = 1ull << 32;
	CALL(EINVAL, v->vcpu[0], KVM_SET_DEBUGREGS, &in, "KVM_SET_DEBUGREGS with a wide DR6");
	in.dr6 = 0xffff0ff0;
	in.dr7 = 1ull << 32;
	CALL(EINVAL, v->vcpu[0], KVM_SET_DEBUGREGS, &in, "KVM_SET_DEBUGREGS with a wide DR7");
	in.dr7 = 0x400;
	CALL(0, v->vcpu[0], KVM_SET_DEBUGREGS, &in, "KVM_SET_DEBUGREGS without breakpoints");

	/* mov %db0,%rax; mov %rbx,%db3; mov %db7,%rcx; hlt */
	LOAD(v, 0x0f, 0x21, 0xc0, 0x0f, 0x23, 0xdb, 0x0f, 0x21, 0xf9, 0xf4);
	vmm_mode(v, 0, VMM_LONG);
	struct kvm_regs r = vmm_regs(v, 0);
	r.rbx = 0x5555;
	vmm_set_regs(v, 0, &r);
	RUNS_TO(v, KVM_EXIT_HLT, "guest reads and writes debug registers");
	r = vmm_regs(v, 0);
	tap_eq(r.rax, 0x1000, "guest reads DR0");
	tap_eq(r.rcx, 0x400, "guest reads DR7");
	ioctl(v->vcpu[0], KVM_GET_DEBUGREGS, &out);
	tap_eq(out.db[3], 0x5555, "guest wrote DR3");
}

static void xcrs(struct vmm *v)
{
	struct kvm_xcrs x, y;

	CALL(0, v->vcpu[0], KVM_GET_XCRS, &x, "KVM_GET_XCRS");
	tap_ok(x.nr_xcrs == 1 && x.xcrs[0].xcr == 0 && (x.xcrs[0].value & 1), "one XCR, with x87 on");
	x.xcrs[0].value = 3;
	CALL(0, v->vcpu[0], KVM_SET_XCRS, &x, "KVM_SET_XCRS");
	CALL(0, v->vcpu[0], KVM_GET_XCRS, &y, "KVM_GET_XCRS");
	tap_eq(y.xcrs[0].value, 3, "XCR0 round trip");
	x.xcrs[0].value = 2;
	CALL(EINVAL, v->vcpu[0], KVM_SET_XCRS, &x, "KVM_SET_XCRS without x87");
	x.xcrs[0].value = 5;
	CALL(EINVAL, v->vcpu[0], KVM_SET_XCRS, &x, "KVM_SET_XCRS of AVX without SSE");
	x.xcrs[0].value = 1ull << 62 | 1;
	CALL(EINVAL, v->vcpu[0], KVM_SET_XCRS, &x, "KVM_SET_XCRS of unknown bits");
	x.xcrs[0].value = 1;
	x.nr_xcrs = KVM_MAX_XCRS + 1;
	CALL(EINVAL, v->vcpu[0], KVM_SET_XCRS, &x, "KVM_SET_XCRS of 17");
	x.nr_xcrs = 1;
	x.flags = 1;
	CALL(EINVAL, v->vcpu[0], KVM_SET_XCRS, &x, "KVM_SET_XCRS with flags");
	CALL(EFAULT, v->vcpu[0], KVM_SET_XCRS, BAD_POINTER, "KVM_SET_XCRS at a bad pointer");
}

static void mp_state(struct vmm *v)
{
	struct kvm_mp_state s = { 99 };

	CALL(0, v->vcpu[0], KVM_GET_MP_STATE, &s, "KVM_GET_MP_STATE");
	tap_eq(s.mp_state, KVM_MP_STATE_RUNNABLE, "a vCPU is runnable");
	CALL(0, v->vcpu[0], KVM_SET_MP_STATE, &s, "KVM_SET_MP_STATE");
	CALL(EFAULT, v->vcpu[0], KVM_SET_MP_STATE, BAD_POINTER, "KVM_SET_MP_STATE at a bad pointer");
	s.mp_state = KVM_MP_STATE_SIPI_RECEIVED;
	CALL(EINVAL, v->vcpu[0], KVM_SET_MP_STATE, &s, "KVM_SET_MP_STATE SIPI_RECEIVED without an APIC");
	s.mp_state = KVM_MP_STATE_HALTED;
	CALL(EINVAL, v->vcpu[0], KVM_SET_MP_STATE, &s, "KVM_SET_MP_STATE HALTED without an APIC");
	s.mp_state = KVM_MP_STATE_STOPPED;
	CALL(EINVAL, v->vcpu[0], KVM_SET_MP_STATE, &s, "KVM_SET_MP_STATE STOPPED");
	s.mp_state = 1000;
	CALL(EINVAL, v->vcpu[0], KVM_SET_MP_STATE, &s, "KVM_SET_MP_STATE 1000");
}

static void tsc_khz(struct vmm *v)
{
	long khz = ioctl(v->vcpu[0], KVM_GET_TSC_KHZ, 0);

	tap_ok(khz > 1000, "KVM_GET_TSC_KHZ (%ld)", khz);
	CALL(0, v->vcpu[0], KVM_SET_TSC_KHZ, khz, "KVM_SET_TSC_KHZ to what it is");
	tap_eq(ioctl(v->vcpu[0], KVM_GET_TSC_KHZ, 0), khz, "KVM_GET_TSC_KHZ is the same");
	if (!vmm_cap(v, KVM_CAP_TSC_CONTROL))
		tap_ok(ioctl(v->vcpu[0], KVM_SET_TSC_KHZ, khz / 4) == -1 ||
		       ioctl(v->vcpu[0], KVM_GET_TSC_KHZ, 0) == khz / 4,
		       "KVM_SET_TSC_KHZ to a quarter is refused or taken");
}

void abi_regs(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);

	general(v);
	seen_by_guest(v);
	debug_registers(v);
	xcrs(v);
	mp_state(v);
	tsc_khz(v);
	vmm_free(v);
}
