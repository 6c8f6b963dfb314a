// SPDX-License-Identifier: GPL-2.0
/* FPU and extended state: round trips, and that guest and VMM see the same. */
#include "abi.h"

#define CR4_OSXSAVE	(1ull << 18)
#define XSTATE_BV	512		/* offset in the XSAVE image */

static void fpu(struct vmm *v)
{
	struct kvm_fpu in, out;

	CALL(0, v->vcpu[0], KVM_GET_FPU, &in, "KVM_GET_FPU");
	tap_eq(in.fcw, 0x37f, "a new vCPU has the FPU's control word of FNINIT");
	for (unsigned int i = 0; i < 8; i++)
		for (unsigned int j = 0; j < 10; j++)
			in.fpr[i][j] = i * 16 + j;
	for (unsigned int i = 0; i < 16; i++)
		memset(in.xmm[i], 0xa0 + i, 16);
	in.fcw = 0x27f;
	in.fsw = 0x3800;
	in.ftwx = 0xff;
	in.last_opcode = 0x123;
	CALL(0, v->vcpu[0], KVM_SET_FPU, &in, "KVM_SET_FPU");
	CALL(0, v->vcpu[0], KVM_GET_FPU, &out, "KVM_GET_FPU");
	tap_ok(!memcmp(in.fpr, out.fpr, sizeof(in.fpr)), "x87 registers round trip");
	tap_ok(!memcmp(in.xmm, out.xmm, sizeof(in.xmm)), "XMM registers round trip");
	tap_ok(in.fcw == out.fcw && in.fsw == out.fsw && in.ftwx == out.ftwx &&
	       in.last_opcode == out.last_opcode, "FPU control registers round trip");
	CALL(EFAULT, v->vcpu[0], KVM_SET_FPU, BAD_POINTER, "KVM_SET_FPU at a bad pointer");
}

/*
 * Guest adds XMM0 to XMM1 as integers and stores what it has. The stock module
 * takes XMM registers of KVM_SET_FPU only once the guest has used them, and
 * leaves out MXCSR: they are first made used through KVM_SET_XSAVE.
 */
static void guest_sse(struct vmm *v)
{
	struct kvm_fpu f;
	struct kvm_xsave x = { 0 };

	ioctl(v->vcpu[0], KVM_GET_XSAVE, &x);
	x.region[XSTATE_BV / 4] = 3;
	x.region[24 / 4] = 0x1f80;
	ioctl(v->vcpu[0], KVM_SET_XSAVE, &x);
	ioctl(v->vcpu[0], KVM_GET_FPU, &f);
	for (unsigned int i = 0; i < 16; i++)
		memset(f.xmm[i], i + 1, 16);
	ioctl(v->vcpu[0], KVM_SET_FPU, &f);
	/* paddb %xmm0,%xmm1; movdqu %xmm15,(%rdi); hlt */
	LOAD(v, 0x66, 0x0f, 0xfc, 0xc8, 0xf3, 0x44, 0x0f, 0x7f, 0x3f, 0xf4);
	vmm_mode(v, 0, VMM_LONG);
	struct kvm_regs r = vmm_regs(v, 0);
	r.rdi = VMM_DATA;
	vmm_set_regs(v, 0, &r);
	RUNS_TO(v, KVM_EXIT_HLT, "guest uses SSE");
	ioctl(v->vcpu[0], KVM_GET_FPU, &f);
	tap_ok(f.xmm[1][0] == 3 && f.xmm[1][15] == 3 && f.xmm[0][0] == 1, "VMM sees what it computed");
	tap_ok(v->ram[VMM_DATA] == 16 && v->ram[VMM_DATA + 15] == 16, "guest saw what the VMM set");
}

static uint32_t xsave_size(struct vmm *v)
{
	int size = vmm_cap(v, KVM_CAP_XSAVE2);

	return size > 4096 ? size : 4096;
}

static void xsave(struct vmm *v)
{
	uint32_t size = xsave_size(v);
	uint8_t *in = calloc(1, size), *out = calloc(1, size);
	uint64_t bv = 3;

	CALL(0, v->vcpu[0], KVM_GET_XSAVE, in, "KVM_GET_XSAVE");
	CALL(0, v->vcpu[0], KVM_SET_XSAVE, in, "KVM_SET_XSAVE");
	for (unsigned int i = 0; i < 256; i++)
		in[160 + i] = i;
	memcpy(in + XSTATE_BV, &bv, 8);
	CALL(0, v->vcpu[0], KVM_SET_XSAVE, in, "KVM_SET_XSAVE with XMM registers");
	CALL(0, v->vcpu[0], KVM_GET_XSAVE, out, "KVM_GET_XSAVE again");
	tap_ok(!memcmp(in + 160, out + 160, 256), "XMM registers round trip through XSAVE");
	tap_ok(out[XSTATE_BV] & 2, "XSTATE_BV says so");
	CALL(EFAULT, v->vcpu[0], KVM_GET_XSAVE, BAD_POINTER, "KVM_GET_XSAVE at a bad pointer");
	CALL(EFAULT, v->vcpu[0], KVM_SET_XSAVE, BAD_POINTER, "KVM_SET_XSAVE at a bad pointer");
	bv = 1ull << 62;
	memcpy(in + XSTATE_BV, &bv, 8);
	CALL(EINVAL, v->vcpu[0], KVM_SET_XSAVE, in, "KVM_SET_XSAVE of an unknown component");
	bv = 3;
	memcpy(in + XSTATE_BV, &bv, 8);
	memset(in + 24, 0xff, 4);
	CALL(EINVAL, v->vcpu[0], KVM_SET_XSAVE, in, "KVM_SET_XSAVE with reserved MXCSR bits");
	if (vmm_cap(v, KVM_CAP_XSAVE2)) {
		CALL(0, v->vcpu[0], KVM_GET_XSAVE2, out, "KVM_GET_XSAVE2");
		tap_ok(!memcmp(out + 160, in + 160, 256), "KVM_GET_XSAVE2 gives the same registers");
	} else {
		CALL(EINVAL, v->vcpu[0], KVM_GET_XSAVE2, out, "KVM_GET_XSAVE2, not claimed");
	}
	free(in);
	free(out);
}

/* Guest turns AVX on with XSETBV; the upper halves survive exits. */
static void guest_avx(struct vmm *v)
{
	struct kvm_cpuid2 *c = vmm_supported_cpuid(v->kvm);
	struct kvm_sregs s;
	struct kvm_xcrs x;
	uint8_t *area = calloc(1, xsave_size(v));
	bool avx = false;

	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function == 1)
			avx = (c->entries[i].ecx >> 28 & 1) && (c->entries[i].ecx >> 26 & 1);
	free(c);
	if (!avx || (vmm_under_tcg() && vmm_on_stock())) {
		tap_skip("AVX in the guest", avx ? "QEMU's emulated SVM does not intercept XSETBV" :
						   "the processor has no AVX");
		free(area);
		return;
	}
	/*
	 * xor %ecx,%ecx; xor %edx,%edx; mov $7,%eax; xsetbv; vmovdqu (%rdi),%ymm7;
	 * out %al,$0x80; vmovdqu %ymm7,0x40(%rdi); hlt
	 */
	LOAD(v, 0x31, 0xc9, 0x31, 0xd2, 0xb8, 7, 0, 0, 0, 0x0f, 0x01, 0xd1,
	     0xc5, 0xfe, 0x6f, 0x3f, 0xe6, 0x80, 0xc5, 0xfe, 0x7f, 0x7f, 0x40, 0xf4);
	vmm_mode(v, 0, VMM_LONG);
	s = vmm_sregs(v, 0);
	s.cr4 |= CR4_OSXSAVE;
	vmm_set_sregs(v, 0, &s);
	struct kvm_regs r = vmm_regs(v, 0);
	r.rdi = VMM_DATA;
	vmm_set_regs(v, 0, &r);
	for (unsigned int i = 0; i < 32; i++)
		v->ram[VMM_DATA + i] = 0x60 + i;
	RUNS_TO(v, KVM_EXIT_IO, "guest sets XCR0 and loads a YMM register");
	ioctl(v->vcpu[0], KVM_GET_XCRS, &x);
	tap_eq(x.xcrs[0].value, 7, "XCR0 is what the guest set");
	ioctl(v->vcpu[0], KVM_GET_XSAVE, area);
	tap_ok(area[576 + 7 * 16] == 0x70 && area[576 + 7 * 16 + 15] == 0x7f,
	       "the upper half of YMM7 is in KVM_GET_XSAVE");
	memset(area + 576 + 7 * 16, 0x55, 16);
	CALL(0, v->vcpu[0], KVM_SET_XSAVE, area, "KVM_SET_XSAVE with another upper half");
	RUNS_TO(v, KVM_EXIT_HLT, "guest goes on");
	tap_ok(v->ram[VMM_DATA + 0x40] == 0x60 && v->ram[VMM_DATA + 0x5f] == 0x55,
	       "guest has the upper half the VMM set and its own lower half");
	free(area);
}

void abi_fpu(void)
{
	struct vmm *v = vmm_new_vcpu(VMM_LONG);

	fpu(v);
	guest_sse(v);
	xsave(v);
	vmm_free(v);
	v = vmm_new_vcpu(VMM_LONG);
	guest_avx(v);
	vmm_free(v);
}
