/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A very small VMM on /dev/kvm for the tests: flat RAM, up to four vCPUs, and
 * processor modes made by writing the registers.
 *
 * Guest-physical layout of every VM made by vmm_new():
 *
 *   0x00000  interrupt vectors of real mode
 *   0x01000  GDT          0x02000  IDT (all 256 gates)     0x03000  TSS
 *   0x04000  one 16-byte stub per vector, each starting with HLT: after an
 *            exception the vCPU halts with rip = VMM_STUBS + 16 * vector + 1
 *   0x10000  page tables (to 0x1ffff), identity for the first 4 GiB
 *   0x20000  stack top
 *   0x30000  code (vmm_load)
 *   0x40000  free for data, up to VMM_RAM
 *   above the end of RAM and at VMM_HOLE: no slot, so MMIO
 */
#ifndef TESTS_ABI_VMM_H
#define TESTS_ABI_VMM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMM_GDT		0x1000
#define VMM_IDT		0x2000
#define VMM_TSS		0x3000
#define VMM_STUBS	0x4000
#define VMM_TABLES	0x10000
#define VMM_STACK	0x20000
#define VMM_CODE	0x30000
#define VMM_DATA	0x40000
#define VMM_RAM		(4u << 20)
#define VMM_HOLE	0x80000000u	/* mapped by the identity tables, backed by nothing */
#define VMM_MAX_VCPUS	4

/* Selectors in VMM_GDT. */
#define SEL_CODE64	0x08
#define SEL_DATA	0x10
#define SEL_CODE32	0x18
#define SEL_CODE16	0x20
#define SEL_DATA16	0x28
#define SEL_UCODE64	0x33
#define SEL_UDATA	0x3b
#define SEL_UCODE32	0x43
#define SEL_TSS		0x48		/* two slots */

enum vmm_mode {
	VMM_REAL,
	VMM_PROT16,	/* 16-bit segments, no paging */
	VMM_PROT32,	/* flat, no paging */
	VMM_PAGED32,	/* flat, two-level tables with 4 MiB pages */
	VMM_PAE,	/* flat, three-level tables */
	VMM_COMPAT,	/* 32-bit code under long mode */
	VMM_LONG,
};

struct vmm {
	int kvm;
	int vm;
	unsigned int vcpus;
	int vcpu[VMM_MAX_VCPUS];
	struct kvm_run *run[VMM_MAX_VCPUS];
	size_t run_size;
	uint8_t *ram;
	size_t ram_size;
};

/* Opens /dev/kvm, makes a VM with VMM_RAM of memory in slot 0, no vCPU. Bails out. */
struct vmm *vmm_new(void);
/* As vmm_new() with one vCPU which has the supported CPUID, in @mode. */
struct vmm *vmm_new_vcpu(enum vmm_mode mode);
void vmm_free(struct vmm *v);
/* Adds the next vCPU with the supported CPUID; returns its index. */
unsigned int vmm_add_vcpu(struct vmm *v);
/* Puts vCPU @i into @mode with rip at VMM_CODE, rsp at VMM_STACK, IF clear. */
void vmm_mode(struct vmm *v, unsigned int i, enum vmm_mode mode);
/* Copies @len bytes of code to VMM_CODE. */
void vmm_load(struct vmm *v, const void *code, size_t len);
/* Sets a memory slot; returns the ioctl's result. */
int vmm_slot(struct vmm *v, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size, void *hva);
/* KVM_RUN; returns its result (errno kept). */
int vmm_run(struct vmm *v, unsigned int i);
/* Runs with a fresh rip at VMM_CODE. */
int vmm_restart(struct vmm *v, unsigned int i);
struct kvm_regs vmm_regs(struct vmm *v, unsigned int i);
void vmm_set_regs(struct vmm *v, unsigned int i, const struct kvm_regs *r);
struct kvm_sregs vmm_sregs(struct vmm *v, unsigned int i);
void vmm_set_sregs(struct vmm *v, unsigned int i, const struct kvm_sregs *s);
/* Vector of the stub in which the vCPU halted, or -1. */
int vmm_vector(struct vmm *v, unsigned int i);
/* KVM_CHECK_EXTENSION on the VM. */
int vmm_cap(struct vmm *v, long cap);
const char *vmm_exit_name(uint32_t reason);
/* What KVM_GET_SUPPORTED_CPUID gives; free() it. */
struct kvm_cpuid2 *vmm_supported_cpuid(int kvm);
/* True when the engine under test is the stock module (environment ENGINE). */
bool vmm_on_stock(void);
/* True when the processor is emulated by QEMU, whose SVM has gaps of its own. */
bool vmm_under_tcg(void);
/* True when ENGINE names @mode ("nested", "shadow"). */
bool vmm_engine_mode(const char *mode);

#endif
