// SPDX-License-Identifier: GPL-2.0
/*
 * What one exit of each kind costs: a small KVM client with a bare guest in
 * long mode, whose loops do nothing but leave.  Each line is the
 * guest's TSC ticks per iteration, the loop itself taken off, so it counts the
 * module's work and, where the exit goes there, the way through user space
 * and back (this client does nothing there).
 *
 *	bench-exits ENGINE RESULT [KINDS]
 *
 * appends to RESULT lines "exit ENGINE KIND TICKS ITERATIONS", separated by
 * tabs, TICKS in hundredths, the least of several rounds. KINDS, a list separated
 * by commas, chooses; "all" or nothing means all.
 *
 *   guest memory:   0x1000 code   0x2000 results   0x3000 IDT, handler, GDT
 *                   0x8000 stack top   0x10000 page tables: 4 GiB, one to one, by 2 MiB
 *                   1 MiB.. pages touched once each
 *   no memory:      0xd0000000 device
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CODE_GPA	0x1000u
#define RESULT_GPA	0x2000u
#define IDT_GPA		0x3000u
#define HANDLER_GPA	0x3800u
#define GDT_GPA		0x3c00u
#define STACK_GPA	0x8000u
#define TABLES_GPA	0x10000u
#define TABLE_ENTRIES	512u
#define FRESH_GPA	0x100000u
#define FRESH_BYTES	0x400000u
#define MEMORY_BYTES	(FRESH_GPA + FRESH_BYTES)
#define TSS_ADDR	0xfffbd000ul
#define ROUNDS		5
#define ITERATIONS	1000u
#define IRQ_VECTOR	0x20
#define DONE_PORT	0xf4
#define WORK_PORT	0x80

#define STR(x)		#x
#define XSTR(x)		STR(x)

/*
 * A loop: %ebp iterations of `body`, the TSC before and after left at
 * RESULT_GPA, then an OUT to DONE_PORT.  Bodies may use all but %ebp and %esp;
 * %edi, %esi and the rest are set from GUEST_INIT once.
 */
#define GUEST_INIT						\
	"mov $0xd0000000, %edi\n mov $" XSTR(FRESH_GPA) ", %esi\n"
#define GUEST_LOOP(name, init, body)				\
	asm(".pushsection .rodata\n"				\
	    ".global guest_" #name ", guest_" #name "_end\n"	\
	    "guest_" #name ":\n"				\
	    GUEST_INIT						\
	    "rdtsc\n mov %eax, " XSTR(RESULT_GPA) "\n"		\
	    "mov %edx, " XSTR(RESULT_GPA) "+4\n" init "\n"	\
	    "1:\n" body "\n dec %ebp\n jnz 1b\n"		\
	    "rdtsc\n mov %eax, " XSTR(RESULT_GPA) "+8\n"	\
	    "mov %edx, " XSTR(RESULT_GPA) "+12\n"		\
	    "out %al, $" XSTR(DONE_PORT) "\n hlt\n"		\
	    "guest_" #name "_end:\n .popsection\n");		\
	extern const char guest_##name[], guest_##name##_end[];

GUEST_LOOP(empty, "", "nop")
GUEST_LOOP(cpuid, "", "xor %eax, %eax\n cpuid")
GUEST_LOOP(rdmsr, "mov $0xc0000080, %ecx", "rdmsr")
GUEST_LOOP(wrmsr, "mov $0xc0000080, %ecx\n rdmsr", "wrmsr")
GUEST_LOOP(cr4, "mov %cr4, %rax", "xor $0x80, %eax\n mov %rax, %cr4")
GUEST_LOOP(cr3, "mov %cr3, %rax", "mov %rax, %cr3")
GUEST_LOOP(invlpg, "", "invlpg (%rsi)")
GUEST_LOOP(vmmcall, "", "mov $999, %eax\n vmmcall")
GUEST_LOOP(fresh, "", "mov %eax, (%rsi)\n add $4096, %rsi")
GUEST_LOOP(in, "", "in $" XSTR(WORK_PORT) ", %al")
GUEST_LOOP(out, "", "out %al, $" XSTR(WORK_PORT))
GUEST_LOOP(mmio_read, "", "mov (%rdi), %eax")
GUEST_LOOP(mmio_write, "", "mov %eax, (%rdi)")
GUEST_LOOP(hlt, "", "hlt")
GUEST_LOOP(irq, "", "out %al, $" XSTR(WORK_PORT) "\n sti\n nop\n cli")

struct kind {
	const char *name;
	const char *code, *end;
	bool wants_irq;
};

#define KIND(n)	{ #n, guest_##n, guest_##n##_end, false }
static const struct kind kinds[] = {
	KIND(empty), KIND(cpuid), KIND(rdmsr), KIND(wrmsr), KIND(cr4), KIND(cr3), KIND(invlpg),
	KIND(vmmcall), KIND(fresh), KIND(in), KIND(out), KIND(mmio_read), KIND(mmio_write), KIND(hlt),
	{ "irq", guest_irq, guest_irq_end, true },
};

static void die(const char *what)
{
	fprintf(stderr, "bench-exits: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int must(int value, const char *what)
{
	if (value < 0)
		die(what);
	return value;
}

struct vm {
	int kvm, vm, vcpu;
	char *memory;
	struct kvm_run *run;
};

static void flat_segment(struct kvm_segment *seg, bool code)
{
	*seg = (struct kvm_segment){
		.limit = 0xffffffff, .selector = code ? 8 : 16, .type = code ? 11 : 3,
		.present = 1, .db = !code, .l = code, .s = 1, .g = 1,
	};
}

/* An interrupt gate for IRQ_VECTOR, its handler (a lone IRETQ), and the GDT that its selector needs. */
static void write_idt(struct vm *vm)
{
	static const uint64_t gdt[] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff };
	static const unsigned char handler[] = { 0x48, 0xcf };
	uint64_t gate[2] = { HANDLER_GPA | 8ull << 16 | 0x8eull << 40, 0 };

	memcpy(vm->memory + IDT_GPA + IRQ_VECTOR * sizeof(gate), gate, sizeof(gate));
	memcpy(vm->memory + HANDLER_GPA, handler, sizeof(handler));
	memcpy(vm->memory + GDT_GPA, gdt, sizeof(gdt));
}

/* One level-4 table, one level-3 table, four level-2 tables with large pages. */
static void write_tables(struct vm *vm)
{
	uint64_t (*table)[TABLE_ENTRIES] = (void *)(vm->memory + TABLES_GPA);
	const uint64_t link = 7, large = 0xe7;

	table[0][0] = (TABLES_GPA + 0x1000) | link;
	for (uint64_t i = 0; i < 4; i++) {
		table[1][i] = (TABLES_GPA + 0x2000 + (i << 12)) | link;
		for (uint64_t k = 0; k < TABLE_ENTRIES; k++)
			table[2 + i][k] = (i * TABLE_ENTRIES + k) << 21 | large;
	}
}

static void set_up_vcpu(struct vm *vm)
{
	struct kvm_sregs sregs;
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[128];
	} cpuid = { .head.nent = 128 };

	must(ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, &cpuid), "KVM_GET_SUPPORTED_CPUID");
	must(ioctl(vm->vcpu, KVM_SET_CPUID2, &cpuid), "KVM_SET_CPUID2");
	must(ioctl(vm->vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	flat_segment(&sregs.cs, true);
	flat_segment(&sregs.ds, false);
	sregs.es = sregs.ss = sregs.fs = sregs.gs = sregs.ds;
	sregs.cr0 |= 0x80000001;	/* PG, PE */
	sregs.cr3 = TABLES_GPA;
	sregs.cr4 |= 0x20;		/* PAE */
	sregs.efer |= 0x500;		/* LMA, LME */
	sregs.idt.base = IDT_GPA;
	sregs.idt.limit = 0x7ff;
	sregs.gdt.base = GDT_GPA;
	sregs.gdt.limit = 23;
	must(ioctl(vm->vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
}

static void vm_open(struct vm *vm)
{
	struct kvm_userspace_memory_region slot = { .memory_size = MEMORY_BYTES };
	int size;

	vm->kvm = must(open("/dev/kvm", O_RDWR), "/dev/kvm");
	vm->vm = must(ioctl(vm->kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	must(ioctl(vm->vm, KVM_SET_TSS_ADDR, TSS_ADDR), "KVM_SET_TSS_ADDR");
	vm->memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vm->memory == MAP_FAILED)
		die("mmap");
	/* One exit for each page, not for each 2 MiB. */
	if (madvise(vm->memory, MEMORY_BYTES, MADV_NOHUGEPAGE))
		die("madvise");
	memset(vm->memory, 0, MEMORY_BYTES);
	slot.userspace_addr = (uintptr_t)vm->memory;
	must(ioctl(vm->vm, KVM_SET_USER_MEMORY_REGION, &slot), "KVM_SET_USER_MEMORY_REGION");
	vm->vcpu = must(ioctl(vm->vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	size = must(ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	vm->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
	if (vm->run == MAP_FAILED)
		die("mmap vcpu");
	write_idt(vm);
	write_tables(vm);
	set_up_vcpu(vm);
}

static void vm_close(struct vm *vm)
{
	close(vm->vcpu);
	close(vm->vm);
	close(vm->kvm);
	munmap(vm->memory, MEMORY_BYTES);
}

/* Enter until the guest is done; nothing is done for its exits but, if wanted, an interrupt. */
static void drive(struct vm *vm, const struct kind *kind)
{
	struct kvm_interrupt irq = { .irq = IRQ_VECTOR };

	for (;;) {
		must(ioctl(vm->vcpu, KVM_RUN, 0), "KVM_RUN");
		switch (vm->run->exit_reason) {
		case KVM_EXIT_IO:
			if (vm->run->io.port == DONE_PORT)
				return;
			vm->run->request_interrupt_window = kind->wants_irq;
			break;
		case KVM_EXIT_IRQ_WINDOW_OPEN:
			vm->run->request_interrupt_window = 0;
			must(ioctl(vm->vcpu, KVM_INTERRUPT, &irq), "KVM_INTERRUPT");
			break;
		case KVM_EXIT_MMIO:
		case KVM_EXIT_HLT:
			break;
		default:
			fprintf(stderr, "bench-exits: %s: exit reason %u\n", kind->name,
				vm->run->exit_reason);
			exit(1);
		}
	}
}

static uint64_t round_ticks(const struct kind *kind)
{
	struct kvm_regs regs = {
		.rip = CODE_GPA, .rflags = 2, .rsp = STACK_GPA, .rbp = ITERATIONS,
	};
	struct vm vm;
	uint64_t tsc[2];

	vm_open(&vm);
	memcpy(vm.memory + CODE_GPA, kind->code, (size_t)(kind->end - kind->code));
	must(ioctl(vm.vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	drive(&vm, kind);
	memcpy(tsc, vm.memory + RESULT_GPA, sizeof(tsc));
	vm_close(&vm);
	return tsc[1] - tsc[0];
}

static uint64_t least_ticks(const struct kind *kind)
{
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t ticks = round_ticks(kind);

		if (ticks < least)
			least = ticks;
	}
	return least;
}

static bool chosen(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = list; *p; p += *p != 0) {
		size_t word = strcspn(p, ",");

		if (word == len && !strncmp(p, name, len))
			return true;
		p += word;
	}
	return !strcmp(list, "all");
}

int main(int argc, char **argv)
{
	const char *list = argc > 3 ? argv[3] : "all";
	uint64_t empty;
	FILE *result;

	if (argc < 3) {
		fprintf(stderr, "usage: bench-exits ENGINE RESULT [KINDS]\n");
		return 2;
	}
	result = fopen(argv[2], "a");
	if (!result)
		die(argv[2]);
	empty = least_ticks(&kinds[0]);
	for (size_t k = 1; k < sizeof(kinds) / sizeof(*kinds); k++) {
		if (!chosen(list, kinds[k].name))
			continue;
		fprintf(result, "exit\t%s\t%s\t%lu\t%u\n", argv[1], kinds[k].name,
			(least_ticks(&kinds[k]) - empty) * 100 / ITERATIONS, ITERATIONS);
		fflush(result);
	}
	return 0;
}
