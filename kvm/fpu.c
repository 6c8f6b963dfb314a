// SPDX-License-Identifier: GPL-2.0
/*
 * x87, SSE, AVX and AVX-512 state, XCR0 and the protection key register.
 *
 *              pn_fpu_load                       pn_fpu_put
 *   fpu.area ──XRSTOR──► registers, XCR0 ══guest══► XSAVE ──► fpu.area
 *
 * The area is in the standard XSAVE format, which is also the one user space
 * gets, and always whole: plain XSAVE writes every component, and what
 * user space leaves out is filled in with its initial value on the way in. PKRU is
 * kept apart, because the kernel's own accesses to user memory obey it: it is
 * exchanged right at the world switch. The kernel's helpers for guest FPU
 * state are not used; newer kernels keep them to themselves.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include <asm/special_insns.h>
#include "kvm/state.h"
#include "x86/msr.h"

/* The FXSAVE image (APM vol. 2, 11.4.4) and the XSAVE header (11.5.9). */
struct fpu_image {
	u16 fcw, fsw;
	u8 ftw, pad;
	u16 fop;
	u64 fip, fdp;
	u32 mxcsr, mxcsr_mask;
	u8 st[8][16];
	u8 xmm[16][16];
	u8 unused[96];
	u64 xstate_bv, xcomp_bv;
	u8 reserved[48];
	u8 extended[];
};
static_assert(offsetof(struct fpu_image, xstate_bv) == X86_XSAVE_LEGACY);
static_assert(offsetof(struct fpu_image, extended) == X86_XSAVE_LEGACY + X86_XSAVE_HEADER);

#define FCW_RESET	0x37f
#define MXCSR_RESET	0x1f80
#define XSAVE_YMM	2
#define XSAVE_ZMM	6
#define XSAVE_ZMM_HIGH	7
#define XSAVE_PKRU	9

unsigned int pn_fpu_size;
u64 pn_host_xcr0;
struct x86_xsave_layout pn_xsave_layout;

static u64 switched;		/* components saved and restored; 0: FXSAVE */
static u64 host_xss;
static u32 mxcsr_mask;

static struct fpu_image *image(struct pn_vcpu *vcpu)
{
	return vcpu->fpu.area;
}

static u32 read_mxcsr_mask(void)
{
	struct fpu_image *fx = kzalloc(X86_XSAVE_LEGACY, GFP_KERNEL);
	u32 mask;

	if (!fx)
		return 0;
	kernel_fpu_begin();
	asm volatile("fxsaveq %0" : "+m"(*(u8 (*)[X86_XSAVE_LEGACY])fx));
	kernel_fpu_end();
	mask = fx->mxcsr_mask ?: 0xffbf;
	kfree(fx);
	return mask;
}

int pn_fpu_setup(void)
{
	struct x86_cpuid_host host = { .cpuid = pn_host_cpuid };

	mxcsr_mask = read_mxcsr_mask();
	if (!mxcsr_mask)
		return -ENOMEM;
	switched = 0;
	host_xss = 0;
	pn_host_xcr0 = 0;
	if (boot_cpu_has(X86_FEATURE_XSAVE) && (native_read_cr4() & X86_CR4_OSXSAVE))
		pn_host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	host.xcr0 = pn_host_xcr0;
	x86_xsave_layout(&pn_xsave_layout, &host);
	pn_fpu_size = x86_xsave_size(&pn_xsave_layout, x86_xcr0_offered(&host));
	switched = x86_xcr0_offered(&host) & ~X86_XCR0_PKRU;
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		rdmsrl_safe(X86_MSR_XSS, &host_xss);
	return 0;
}

int pn_fpu_init(struct pn_vcpu *vcpu)
{
	/* A power of two is aligned to itself, and XSAVE wants 64. */
	vcpu->fpu.area = kzalloc(roundup_pow_of_two(pn_fpu_size), GFP_KERNEL_ACCOUNT);
	if (!vcpu->fpu.area)
		return -ENOMEM;
	pn_fpu_reset(vcpu);
	return 0;
}

void pn_fpu_fini(struct pn_vcpu *vcpu)
{
	kfree(vcpu->fpu.area);
	vcpu->fpu.area = NULL;
}

void pn_fpu_reset(struct pn_vcpu *vcpu)
{
	struct fpu_image *fx = image(vcpu);

	memset(fx, 0, pn_fpu_size);
	fx->fcw = FCW_RESET;
	fx->mxcsr = MXCSR_RESET;
	fx->mxcsr_mask = mxcsr_mask;
	vcpu->fpu.pkru = 0;
	vcpu->fpu.xss = 0;
	pn_fpu_set_xcr0(vcpu, X86_XCR0_FP);
}

/* ---- the registers ---- */

static void restore_image(struct fpu_image *fx)
{
	u32 low = switched, high = switched >> 32;

	if (switched)
		asm volatile("xrstor64 %0" : : "m"(*fx), "a"(low), "d"(high) : "memory");
	else
		asm volatile("fxrstorq %0" : : "m"(*fx) : "memory");
}

static void save_image(struct fpu_image *fx)
{
	u32 low = switched, high = switched >> 32;

	if (switched)
		asm volatile("xsave64 %0" : "+m"(*fx) : "a"(low), "d"(high) : "memory");
	else
		asm volatile("fxsaveq %0" : "+m"(*fx) : : "memory");
}

/*
 * Some processors save and restore the last x87 instruction and operand addresses
 * only while an exception is pending: the host's would shine through. Loading
 * any value replaces them (APM vol. 2, 11.4.4.3).
 */
static void clear_fpu_addresses(const u32 *any)
{
	if (unlikely(boot_cpu_has_bug(X86_BUG_FXSAVE_LEAK)))
		asm volatile("fnclex\n\temms\n\tfildl %0" : : "m"(*any));
}

void pn_fpu_load(struct pn_vcpu *vcpu)
{
	struct pn_fpu *fpu = &vcpu->fpu;

	if (fpu->loaded)
		return;
	clear_fpu_addresses(&fpu->pkru);
	restore_image(fpu->area);
	if (switched && fpu->xcr0 != pn_host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, fpu->xcr0);
	/* The guest's is always 0, or its XSAVES would reach the host's supervisor state. */
	if (unlikely(host_xss))
		wrmsrl(X86_MSR_XSS, 0);
	fpu->loaded = true;
}

void pn_fpu_put(struct pn_vcpu *vcpu)
{
	struct pn_fpu *fpu = &vcpu->fpu;

	if (!fpu->loaded)
		return;
	if (unlikely(host_xss))
		wrmsrl(X86_MSR_XSS, host_xss);
	if (switched) {
		/* Emulated processors let the guest write it without an exit. */
		fpu->xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
		if (fpu->xcr0 != pn_host_xcr0)
			xsetbv(XCR_XFEATURE_ENABLED_MASK, pn_host_xcr0);
	}
	save_image(fpu->area);
	fpu->loaded = false;
}

void pn_fpu_set_xcr0(struct pn_vcpu *vcpu, u64 xcr0)
{
	struct pn_fpu *fpu = &vcpu->fpu;

	if (fpu->loaded && switched && fpu->xcr0 != xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, xcr0);
	fpu->xcr0 = xcr0;
	pn_fpu_update_pku(vcpu);
}

void pn_fpu_update_pku(struct pn_vcpu *vcpu)
{
	vcpu->fpu.swap_pkru = vcpu->has_pku &&
		((vcpu->cr4 & X86_CR4_PKE) || (vcpu->fpu.xcr0 & X86_XCR0_PKRU));
}

void pn_fpu_swap_pkru_in(struct pn_fpu *fpu)
{
	fpu->host_pkru = rdpkru();
	if (fpu->pkru != fpu->host_pkru)
		wrpkru(fpu->pkru);
}

void pn_fpu_swap_pkru_out(struct pn_fpu *fpu)
{
	fpu->pkru = rdpkru();
	if (fpu->pkru != fpu->host_pkru)
		wrpkru(fpu->host_pkru);
}

/* ---- single registers, for the emulator ---- */

static u8 *component(struct pn_vcpu *vcpu, int i)
{
	return pn_xsave_layout.size[i] ? vcpu->fpu.area + pn_xsave_layout.offset[i] : NULL;
}

/*
 * MMX registers are the x87 ones by physical number; the image is ordered from the
 * top of the stack. Using one makes the top 0 and all of them valid (APM vol. 1, 5.4).
 */
static void enter_mmx(struct fpu_image *fx)
{
	u8 old[8][16];
	int i, top = fx->fsw >> 11 & 7;

	if (top) {
		memcpy(old, fx->st, sizeof(old));
		for (i = 0; i < 8; i++)
			memcpy(fx->st[i], old[(i - top) & 7], sizeof(old[0]));
	}
	fx->fsw &= ~(7 << 11);
	fx->ftw = 0xff;
	fx->xstate_bv |= X86_XCR0_FP;
}

void pn_fpu_read(struct pn_vcpu *vcpu, enum x86_emu_file file, unsigned int reg, void *val)
{
	struct fpu_image *fx = image(vcpu);
	u8 *zmm_high = component(vcpu, XSAVE_ZMM_HIGH);
	u8 *ymm = component(vcpu, XSAVE_YMM);
	unsigned int len = file == X86_EMU_YMM ? 32 : 16;

	if (file == X86_EMU_MMX) {
		enter_mmx(fx);
		memcpy(val, fx->st[reg & 7], 8);
		return;
	}
	memset(val, 0, len);
	if (reg >= 16) {
		if (zmm_high)
			memcpy(val, zmm_high + (reg & 15) * 64, len);
		return;
	}
	memcpy(val, fx->xmm[reg], 16);
	if (len == 32 && ymm)
		memcpy((u8 *)val + 16, ymm + reg * 16, 16);
}

void pn_fpu_write(struct pn_vcpu *vcpu, enum x86_emu_file file, unsigned int reg, const void *val)
{
	struct fpu_image *fx = image(vcpu);
	u8 *zmm_high = component(vcpu, XSAVE_ZMM_HIGH);
	u8 *zmm = component(vcpu, XSAVE_ZMM);
	u8 *ymm = component(vcpu, XSAVE_YMM);

	if (file == X86_EMU_MMX) {
		enter_mmx(fx);
		memcpy(fx->st[reg & 7], val, 8);
		memset(fx->st[reg & 7] + 8, 0xff, 2);
		return;
	}
	if (reg >= 16) {
		if (!zmm_high)
			return;
		zmm_high += (reg & 15) * 64;
		memcpy(zmm_high, val, file == X86_EMU_YMM ? 32 : 16);
		if (file == X86_EMU_YMM)
			memset(zmm_high + 32, 0, 32);
		fx->xstate_bv |= BIT_ULL(XSAVE_ZMM_HIGH);
		return;
	}
	memcpy(fx->xmm[reg], val, 16);
	fx->xstate_bv |= X86_XCR0_SSE;
	if (file != X86_EMU_YMM || !ymm)
		return;
	memcpy(ymm + reg * 16, (const u8 *)val + 16, 16);
	fx->xstate_bv |= X86_XCR0_YMM;
	if (zmm)
		memset(zmm + reg * 32, 0, 32);
}

/* ---- ioctls ---- */

long pn_vcpu_get_fpu(struct pn_vcpu *vcpu, void __user *argp)
{
	struct fpu_image *fx = image(vcpu);
	struct kvm_fpu fpu = {
		.fcw = fx->fcw, .fsw = fx->fsw, .ftwx = fx->ftw,
		.last_opcode = fx->fop, .last_ip = fx->fip, .last_dp = fx->fdp,
		.mxcsr = fx->mxcsr,
	};

	memcpy(fpu.fpr, fx->st, sizeof(fpu.fpr));
	memcpy(fpu.xmm, fx->xmm, sizeof(fpu.xmm));
	return copy_to_user(argp, &fpu, sizeof(fpu)) ? -EFAULT : 0;
}

long pn_vcpu_set_fpu(struct pn_vcpu *vcpu, void __user *argp)
{
	struct fpu_image *fx = image(vcpu);
	struct kvm_fpu fpu;

	if (copy_from_user(&fpu, argp, sizeof(fpu)))
		return -EFAULT;
	fx->fcw = fpu.fcw;
	fx->fsw = fpu.fsw;
	fx->ftw = fpu.ftwx;
	fx->fop = fpu.last_opcode;
	fx->fip = fpu.last_ip;
	fx->fdp = fpu.last_dp;
	/* The stock module accepts any value here; one that cannot be loaded is left out. */
	if (!(fpu.mxcsr & ~mxcsr_mask))
		fx->mxcsr = fpu.mxcsr;
	memcpy(fx->st, fpu.fpr, sizeof(fx->st));
	memcpy(fx->xmm, fpu.xmm, sizeof(fx->xmm));
	fx->xstate_bv |= X86_XCR0_FP | X86_XCR0_SSE;
	return 0;
}

/* The image as user space sees it: PKRU is put in, reserved parts are zero. */
static void export_image(struct pn_vcpu *vcpu, struct fpu_image *out)
{
	memcpy(out, vcpu->fpu.area, pn_fpu_size);
	memset(out->unused, 0, sizeof(out->unused));
	out->xcomp_bv = 0;
	memset(out->reserved, 0, sizeof(out->reserved));
	if (!switched) {
		out->xstate_bv = X86_XCR0_FP | X86_XCR0_SSE;
		return;
	}
	if (pn_xsave_layout.size[XSAVE_PKRU] && vcpu->has_pku) {
		memcpy((u8 *)out + pn_xsave_layout.offset[XSAVE_PKRU], &vcpu->fpu.pkru,
		       sizeof(vcpu->fpu.pkru));
		out->xstate_bv |= X86_XCR0_PKRU;
	}
}

/* What XSTATE_BV leaves out has its initial value (11.5.9). */
static void fill_initial(struct fpu_image *fx)
{
	u64 bv = fx->xstate_bv;
	int i;

	if (!(bv & X86_XCR0_FP)) {
		memset(fx, 0, offsetof(struct fpu_image, mxcsr));
		fx->fcw = FCW_RESET;
		memset(fx->st, 0, sizeof(fx->st));
	}
	if (!(bv & X86_XCR0_SSE))
		memset(fx->xmm, 0, sizeof(fx->xmm));
	if (!(bv & (X86_XCR0_SSE | X86_XCR0_YMM)))
		fx->mxcsr = MXCSR_RESET;
	fx->mxcsr_mask = mxcsr_mask;
	for (i = 2; i < X86_XSAVE_COMPONENTS; i++)
		if (pn_xsave_layout.size[i] && !(bv & BIT_ULL(i)))
			memset((u8 *)fx + pn_xsave_layout.offset[i], 0, pn_xsave_layout.size[i]);
}

static long import_image(struct pn_vcpu *vcpu, struct fpu_image *in)
{
	u64 supported = switched ?: X86_XCR0_FP | X86_XCR0_SSE;

	if (pn_xsave_layout.size[XSAVE_PKRU])
		supported |= X86_XCR0_PKRU;
	if (in->xstate_bv & ~supported)
		return -EINVAL;
	if (switched && (in->xcomp_bv || memchr_inv(in->reserved, 0, sizeof(in->reserved))))
		return -EINVAL;
	if (((in->xstate_bv & (X86_XCR0_SSE | X86_XCR0_YMM)) || !switched) &&
	    (in->mxcsr & ~mxcsr_mask))
		return -EINVAL;
	if (switched)
		fill_initial(in);
	vcpu->fpu.pkru = 0;
	if (in->xstate_bv & X86_XCR0_PKRU)
		memcpy(&vcpu->fpu.pkru, (u8 *)in + pn_xsave_layout.offset[XSAVE_PKRU],
		       sizeof(vcpu->fpu.pkru));
	in->xstate_bv &= ~X86_XCR0_PKRU;
	in->xcomp_bv = 0;
	memset(in->reserved, 0, sizeof(in->reserved));
	memcpy(vcpu->fpu.area, in, pn_fpu_size);
	return 0;
}

static_assert(sizeof(struct kvm_xsave) == 4096);

long pn_vcpu_get_xsave(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_xsave *buf = kzalloc(sizeof(*buf), GFP_KERNEL_ACCOUNT);
	long r = 0;

	if (!buf)
		return -ENOMEM;
	export_image(vcpu, (struct fpu_image *)buf);
	if (copy_to_user(argp, buf, sizeof(*buf)))
		r = -EFAULT;
	kfree(buf);
	return r;
}

/* KVM_CAP_XSAVE2 answers 4096: without AMX the area never needs more. */
long pn_vcpu_get_xsave2(struct pn_vcpu *vcpu, void __user *argp)
{
	return pn_vcpu_get_xsave(vcpu, argp);
}

long pn_vcpu_set_xsave(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_xsave *buf = memdup_user(argp, sizeof(*buf));
	long r;

	if (IS_ERR(buf))
		return PTR_ERR(buf);
	r = import_image(vcpu, (struct fpu_image *)buf);
	kfree(buf);
	return r;
}

long pn_vcpu_get_xcrs(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_xcrs *xcrs = kzalloc(sizeof(*xcrs), GFP_KERNEL_ACCOUNT);
	long r = 0;

	if (!xcrs)
		return -ENOMEM;
	if (switched) {
		xcrs->nr_xcrs = 1;
		xcrs->xcrs[0].value = vcpu->fpu.xcr0;
	}
	if (copy_to_user(argp, xcrs, sizeof(*xcrs)))
		r = -EFAULT;
	kfree(xcrs);
	return r;
}

long pn_vcpu_set_xcrs(struct pn_vcpu *vcpu, void __user *argp)
{
	struct kvm_xcrs *xcrs = memdup_user(argp, sizeof(*xcrs));
	long r = 0;
	u32 i;

	if (IS_ERR(xcrs))
		return PTR_ERR(xcrs);
	if (!switched || xcrs->nr_xcrs > KVM_MAX_XCRS || xcrs->flags)
		r = -EINVAL;
	for (i = 0; !r && i < xcrs->nr_xcrs; i++) {
		if (xcrs->xcrs[i].xcr != XCR_XFEATURE_ENABLED_MASK)
			continue;
		if (pn_set_xcr0(vcpu, xcrs->xcrs[i].value))
			r = -EINVAL;
		break;
	}
	kfree(xcrs);
	return r;
}
