// SPDX-License-Identifier: GPL-2.0
/*
 * The bitmaps that say which MSRs (APM vol. 2, 15.11) and ports (15.10.1) exit.
 *
 * Every port exits: the devices are in user space. Of the MSRs those pass whose
 * guest values the hardware itself holds in the VMCB.
 */
#include <linux/gfp.h>
#include <asm/msr-index.h>
#include "cpu/svm/svm.h"

#define SVM_IOPM_ORDER	2	/* three pages, the last for ports that wrap */
#define SVM_MSRPM_ORDER	1

static struct page *svm_iopm;

int svm_permissions_setup(void)
{
	svm_iopm = alloc_pages(GFP_KERNEL, SVM_IOPM_ORDER);
	if (!svm_iopm)
		return -ENOMEM;
	memset(page_address(svm_iopm), 0xff, PAGE_SIZE << SVM_IOPM_ORDER);
	return 0;
}

void svm_permissions_teardown(void)
{
	__free_pages(svm_iopm, SVM_IOPM_ORDER);
	svm_iopm = NULL;
}

u64 svm_iopm_pa(void)
{
	return page_to_phys(svm_iopm);
}

/* Two bits an MSR, read below write, in three ranges of 8192. */
static int svm_msrpm_bit(u32 msr)
{
	if (msr < 0x2000)
		return msr * 2;
	if (msr >= 0xc0000000 && msr < 0xc0002000)
		return (0x2000 + msr - 0xc0000000) * 2;
	if (msr >= 0xc0010000 && msr < 0xc0012000)
		return (0x4000 + msr - 0xc0010000) * 2;
	return -1;
}

static void svm_msr_pass(struct svm_vcpu *svm, u32 msr, bool pass)
{
	int bit = svm_msrpm_bit(msr);

	if (WARN_ON_ONCE(bit < 0))
		return;
	if (pass) {
		__clear_bit(bit, svm->msrpm);
		__clear_bit(bit + 1, svm->msrpm);
	} else {
		__set_bit(bit, svm->msrpm);
		__set_bit(bit + 1, svm->msrpm);
	}
	svm_dirty(svm, SVM_CLEAN_PERMISSIONS);
}

void svm_msrpm_update(struct svm_vcpu *svm)
{
	static const u32 held[] = {
		MSR_FS_BASE, MSR_GS_BASE, MSR_IA32_SYSENTER_CS,
		MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	};
	static const u32 held_lm[] = {
		MSR_KERNEL_GS_BASE, MSR_STAR, MSR_LSTAR, MSR_CSTAR,
		MSR_SYSCALL_MASK,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(held); i++)
		svm_msr_pass(svm, held[i], true);
	for (i = 0; i < ARRAY_SIZE(held_lm); i++)
		svm_msr_pass(svm, held_lm[i], svm->vcpu.has_lm);
}

int svm_msrpm_init(struct svm_vcpu *svm)
{
	struct page *page = alloc_pages(GFP_KERNEL_ACCOUNT, SVM_MSRPM_ORDER);

	if (!page)
		return -ENOMEM;
	svm->msrpm = page_address(page);
	memset(svm->msrpm, 0xff, PAGE_SIZE << SVM_MSRPM_ORDER);
	return 0;
}

void svm_msrpm_fini(struct svm_vcpu *svm)
{
	free_pages((unsigned long)svm->msrpm, SVM_MSRPM_ORDER);
}
