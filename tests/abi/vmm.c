// SPDX-License-Identifier: GPL-2.0
/* A very small VMM for the tests; see vmm.h for the guest's layout. */
#include "vmm.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tap.h"

#define CR0_PE		(1ull << 0)
#define CR0_MP		(1ull << 1)
#define CR0_ET		(1ull << 4)
#define CR0_NE		(1ull << 5)
#define CR0_WP		(1ull << 16)
#define CR0_PG		(1ull << 31)
#define CR4_PSE		(1ull << 4)
#define CR4_PAE		(1ull << 5)
#define CR4_OSFXSR	(1ull << 9)
#define CR4_OSXMMEXCPT	(1ull << 10)
#define EFER_SCE	(1ull << 0)
#define EFER_LME	(1ull << 8)
#define EFER_LMA	(1ull << 10)
#define EFER_NXE	(1ull << 11)

#define PTE_P		1ull
#define PTE_W		2ull
#define PTE_U		4ull
#define PTE_PS		0x80ull

/* Roots inside VMM_TABLES. */
#define PML4		(VMM_TABLES)
#define PDPT		(VMM_TABLES + 0x1000)
#define PD64		(VMM_TABLES + 0x2000)	/* four pages */
#define PD32		(VMM_TABLES + 0x6000)
#define PDPT_PAE	(VMM_TABLES + 0x7000)

static void put64(struct vmm *v, uint32_t gpa, uint64_t val)
{
	memcpy(v->ram + gpa, &val, sizeof(val));
}

static void put32(struct vmm *v, uint32_t gpa, uint32_t val)
{
	memcpy(v->ram + gpa, &val, sizeof(val));
}

static void fill_tables(struct vmm *v)
{
	put64(v, PML4, PDPT | PTE_P | PTE_W | PTE_U);
	for (uint64_t i = 0; i < 4; i++) {
		put64(v, PDPT + 8 * i, (PD64 + i * 0x1000) | PTE_P | PTE_W | PTE_U);
		put64(v, PDPT_PAE + 8 * i, (PD64 + i * 0x1000) | PTE_P);
	}
	for (uint64_t i = 0; i < 2048; i++)
		put64(v, PD64 + 8 * i, i << 21 | PTE_P | PTE_W | PTE_U | PTE_PS);
	for (uint32_t i = 0; i < 1024; i++)
		put32(v, PD32 + 4 * i, i << 22 | PTE_P | PTE_W | PTE_U | PTE_PS);
}

static void fill_gdt(struct vmm *v)
{
	static const uint64_t gdt[] = {
		0,
		0x00af9b000000ffff,	/* SEL_CODE64 */
		0x00cf93000000ffff,	/* SEL_DATA */
		0x00cf9b000000ffff,	/* SEL_CODE32 */
		0x00009b000000ffff,	/* SEL_CODE16 */
		0x000093000000ffff,	/* SEL_DATA16 */
		0x00affb000000ffff,	/* SEL_UCODE64 */
		0x00cff3000000ffff,	/* SEL_UDATA */
		0x00cffb000000ffff,	/* SEL_UCODE32 */
		0x00008b0000000067 | (uint64_t)VMM_TSS << 16,	/* SEL_TSS */
		0,
	};

	memcpy(v->ram + VMM_GDT, gdt, sizeof(gdt));
	put32(v, VMM_TSS + 4, VMM_STACK);	/* RSP0 in 64-bit form, ESP0 in 32-bit form */
	put32(v, VMM_TSS + 8, SEL_DATA);	/* SS0; high half of RSP0 must stay 0 below */
}

static void fill_stubs(struct vmm *v)
{
	for (uint32_t i = 0; i < 256; i++) {
		memset(v->ram + VMM_STUBS + 16 * i, 0x90, 16);
		v->ram[VMM_STUBS + 16 * i] = 0xf4;	/* hlt */
		put32(v, 4 * i, VMM_STUBS + 16 * i);	/* 0000:offset */
	}
}

/* Gates for the mode: 16 bytes each in long mode, 8 otherwise. */
static void fill_idt(struct vmm *v, bool is_long)
{
	memset(v->ram + VMM_IDT, 0, 0x1000);
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t off = VMM_STUBS + 16 * i;
		uint64_t sel = is_long ? SEL_CODE64 : SEL_CODE32;

		put64(v, VMM_IDT + (is_long ? 16 : 8) * i,
		      off | sel << 16 | 0xee00ull << 32);
	}
}

static int setup(struct vmm *v)
{
	v->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (v->kvm < 0)
		tap_bail("open /dev/kvm");
	v->vm = ioctl(v->kvm, KVM_CREATE_VM, 0);
	if (v->vm < 0)
		tap_bail("KVM_CREATE_VM");
	v->run_size = ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	v->ram_size = VMM_RAM;
	v->ram = mmap(NULL, v->ram_size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (v->ram == MAP_FAILED)
		tap_bail("mmap of guest RAM");
	ioctl(v->vm, KVM_SET_TSS_ADDR, 0xfffbd000);
	return vmm_slot(v, 0, 0, 0, v->ram_size, v->ram);
}

struct vmm *vmm_new(void)
{
	struct vmm *v = calloc(1, sizeof(*v));

	if (!v || setup(v))
		tap_bail("setting up a VM");
	fill_tables(v);
	fill_gdt(v);
	fill_stubs(v);
	return v;
}

struct vmm *vmm_new_vcpu(enum vmm_mode mode)
{
	struct vmm *v = vmm_new();

	vmm_mode(v, vmm_add_vcpu(v), mode);
	return v;
}

void vmm_free(struct vmm *v)
{
	for (unsigned int i = 0; i < v->vcpus; i++) {
		munmap(v->run[i], v->run_size);
		close(v->vcpu[i]);
	}
	close(v->vm);
	close(v->kvm);
	munmap(v->ram, v->ram_size);
	free(v);
}

struct kvm_cpuid2 *vmm_supported_cpuid(int kvm)
{
	const unsigned int max = 256;
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + max * sizeof(c->entries[0]));

	if (!c)
		tap_bail("memory");
	c->nent = max;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, c))
		tap_bail("KVM_GET_SUPPORTED_CPUID");
	return c;
}

unsigned int vmm_add_vcpu(struct vmm *v)
{
	unsigned int i = v->vcpus;
	struct kvm_cpuid2 *c = vmm_supported_cpuid(v->kvm);

	v->vcpu[i] = ioctl(v->vm, KVM_CREATE_VCPU, i);
	if (v->vcpu[i] < 0)
		tap_bail("KVM_CREATE_VCPU");
	v->run[i] = mmap(NULL, v->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->vcpu[i], 0);
	if (v->run[i] == MAP_FAILED)
		tap_bail("mmap of kvm_run");
	if (ioctl(v->vcpu[i], KVM_SET_CPUID2, c))
		tap_bail("KVM_SET_CPUID2");
	free(c);
	v->vcpus++;
	return i;
}

static struct kvm_segment segment(uint16_t sel, uint32_t limit, uint8_t type, bool db, bool l)
{
	struct kvm_segment s = {
		.selector = sel, .limit = limit, .type = type, .present = 1,
		.dpl = 0, .db = db, .s = 1, .l = l, .g = limit > 0xffff,
	};

	return s;
}

static void set_segments(struct kvm_sregs *s, enum vmm_mode mode)
{
	bool is16 = mode == VMM_REAL || mode == VMM_PROT16;
	uint32_t limit = is16 ? 0xffff : 0xffffffff;
	uint16_t code = SEL_CODE32, data = is16 ? SEL_DATA16 : SEL_DATA;

	if (mode == VMM_LONG)
		code = SEL_CODE64;
	else if (mode == VMM_PROT16)
		code = SEL_CODE16;
	s->cs = segment(mode == VMM_REAL ? 0 : code, limit, 11,
			!is16 && mode != VMM_LONG, mode == VMM_LONG);
	s->ds = segment(mode == VMM_REAL ? 0 : data, limit, 3, !is16, false);
	s->es = s->fs = s->gs = s->ss = s->ds;
	s->tr = segment(mode == VMM_REAL ? 0 : SEL_TSS, 0x67, 11, false, false);
	s->tr.s = 0;
	s->tr.base = VMM_TSS;
	memset(&s->ldt, 0, sizeof(s->ldt));
	s->ldt.type = 2;
	s->ldt.unusable = 1;
	s->gdt.base = VMM_GDT;
	s->gdt.limit = 0x57;
	s->idt.base = mode == VMM_REAL ? 0 : VMM_IDT;
	s->idt.limit = mode == VMM_REAL ? 0x3ff : mode >= VMM_COMPAT ? 0xfff : 0x7ff;
}

static void set_control(struct kvm_sregs *s, enum vmm_mode mode)
{
	bool is_long = mode == VMM_LONG || mode == VMM_COMPAT;

	s->cr0 = CR0_ET | CR0_NE | CR0_MP;
	if (mode != VMM_REAL)
		s->cr0 |= CR0_PE;
	if (mode >= VMM_PAGED32)
		s->cr0 |= CR0_PG | CR0_WP;
	s->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
	s->cr3 = 0;
	if (mode == VMM_PAGED32) {
		s->cr3 = PD32;
		s->cr4 |= CR4_PSE;
	} else if (mode > VMM_PAGED32) {
		s->cr3 = is_long ? PML4 : PDPT_PAE;
		s->cr4 |= CR4_PAE;
	}
	s->efer = is_long ? EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE : 0;
}

void vmm_mode(struct vmm *v, unsigned int i, enum vmm_mode mode)
{
	struct kvm_sregs s = vmm_sregs(v, i);
	struct kvm_regs r = { .rip = VMM_CODE, .rsp = VMM_STACK, .rflags = 2 };

	set_segments(&s, mode);
	set_control(&s, mode);
	memset(s.interrupt_bitmap, 0, sizeof(s.interrupt_bitmap));
	if (mode != VMM_REAL)
		fill_idt(v, mode >= VMM_COMPAT);
	if (mode >= VMM_COMPAT)
		put32(v, VMM_TSS + 8, 0);
	if (mode == VMM_REAL || mode == VMM_PROT16) {
		/* Code and stack are reached with 16-bit offsets. */
		s.cs.base = VMM_CODE;
		s.cs.selector = mode == VMM_REAL ? VMM_CODE >> 4 : SEL_CODE16;
		r.rip = 0;
		r.rsp = 0xfff0;
		s.ss.base = mode == VMM_REAL ? 0x10000 : 0;
		s.ss.selector = mode == VMM_REAL ? 0x1000 : SEL_DATA16;
	}
	vmm_set_sregs(v, i, &s);
	vmm_set_regs(v, i, &r);
}

void vmm_load(struct vmm *v, const void *code, size_t len)
{
	memcpy(v->ram + VMM_CODE, code, len);
}

int vmm_slot(struct vmm *v, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size, void *hva)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa,
		.memory_size = size, .userspace_addr = (uintptr_t)hva,
	};

	return ioctl(v->vm, KVM_SET_USER_MEMORY_REGION, &r);
}

int vmm_run(struct vmm *v, unsigned int i)
{
	return ioctl(v->vcpu[i], KVM_RUN, 0);
}

int vmm_restart(struct vmm *v, unsigned int i)
{
	struct kvm_regs r = vmm_regs(v, i);
	struct kvm_sregs s = vmm_sregs(v, i);

	r.rip = VMM_CODE - s.cs.base;
	vmm_set_regs(v, i, &r);
	return vmm_run(v, i);
}

struct kvm_regs vmm_regs(struct vmm *v, unsigned int i)
{
	struct kvm_regs r;

	if (ioctl(v->vcpu[i], KVM_GET_REGS, &r))
		tap_bail("KVM_GET_REGS");
	return r;
}

void vmm_set_regs(struct vmm *v, unsigned int i, const struct kvm_regs *r)
{
	if (ioctl(v->vcpu[i], KVM_SET_REGS, r))
		tap_bail("KVM_SET_REGS");
}

struct kvm_sregs vmm_sregs(struct vmm *v, unsigned int i)
{
	struct kvm_sregs s;

	if (ioctl(v->vcpu[i], KVM_GET_SREGS, &s))
		tap_bail("KVM_GET_SREGS");
	return s;
}

void vmm_set_sregs(struct vmm *v, unsigned int i, const struct kvm_sregs *s)
{
	if (ioctl(v->vcpu[i], KVM_SET_SREGS, s))
		tap_bail("KVM_SET_SREGS");
}

int vmm_vector(struct vmm *v, unsigned int i)
{
	uint64_t rip;

	if (v->run[i]->exit_reason != KVM_EXIT_HLT)
		return -1;
	rip = vmm_regs(v, i).rip - 1 - VMM_STUBS;
	return rip < 256 * 16 && rip % 16 == 0 ? (int)(rip / 16) : -1;
}

int vmm_cap(struct vmm *v, long cap)
{
	return ioctl(v->vm, KVM_CHECK_EXTENSION, cap);
}

const char *vmm_exit_name(uint32_t reason)
{
	static const char *const name[] = {
		[KVM_EXIT_UNKNOWN] = "UNKNOWN", [KVM_EXIT_EXCEPTION] = "EXCEPTION",
		[KVM_EXIT_IO] = "IO", [KVM_EXIT_HYPERCALL] = "HYPERCALL",
		[KVM_EXIT_DEBUG] = "DEBUG", [KVM_EXIT_HLT] = "HLT",
		[KVM_EXIT_MMIO] = "MMIO", [KVM_EXIT_IRQ_WINDOW_OPEN] = "IRQ_WINDOW_OPEN",
		[KVM_EXIT_SHUTDOWN] = "SHUTDOWN", [KVM_EXIT_FAIL_ENTRY] = "FAIL_ENTRY",
		[KVM_EXIT_INTR] = "INTR", [KVM_EXIT_INTERNAL_ERROR] = "INTERNAL_ERROR",
	};

	return reason < sizeof(name) / sizeof(name[0]) && name[reason] ? name[reason] : "other";
}

bool vmm_on_stock(void)
{
	const char *e = getenv("ENGINE");

	return e && !strncmp(e, "kvm", 3);
}

bool vmm_under_tcg(void)
{
	unsigned int a, b, c, d;

	__cpuid(0x40000000, a, b, c, d);
	return b == 0x54474354 && c == 0x43544743 && d == 0x47435447;	/* "TCGTCGTCGTCG" */
}

bool vmm_engine_mode(const char *mode)
{
	const char *e = getenv("ENGINE");

	return e && strstr(e, mode);
}
