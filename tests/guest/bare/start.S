/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Entry of a bare-metal guest: multiboot gives flat 32-bit protected mode; this
 * makes identity tables of the first 4 GiB (2 MiB pages) and enters long mode.
 * Other processors start here too, through ap_start copied to AP_PAGE.
 */
#define AP_PAGE		0x8000
#define STACK_SIZE	0x4000
#define MAX_CPUS	4

	.section .multiboot, "a"
	.align 4
	.long 0x1badb002, 0, -0x1badb002

	.text
	.code32
	.globl start
start:
	cli
	mov %ebx, multiboot_info
	mov $stacks + STACK_SIZE, %esp
	/* four directories of 2 MiB pages */
	mov $pd, %edi
	mov $0x87, %eax
	mov $2048, %ecx
1:	mov %eax, (%edi)
	movl $0, 4(%edi)
	add $0x200000, %eax
	add $8, %edi
	loop 1b
	mov $pdpt, %edi
	mov $pd + 7, %eax
	mov $4, %ecx
1:	mov %eax, (%edi)
	add $0x1000, %eax
	add $8, %edi
	loop 1b
	movl $pdpt + 7, pml4
	lgdt gdt_pointer
	call enter_long
	.code64
	call guest_setup
	call guest_main
	call done
	.globl halt
halt:	cli
	hlt
	jmp halt

	.code32
/* Comes back in 64-bit mode at the caller's return address. */
enter_long:
	mov %cr4, %eax
	or $0x620, %eax			/* PAE, OSFXSR, OSXMMEXCPT */
	mov %eax, %cr4
	mov $pml4, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	rdmsr
	or $0x901, %eax			/* SCE, LME, NXE */
	wrmsr
	mov %cr0, %eax
	and $~4, %eax			/* EM */
	or $0x80010022, %eax		/* PG, WP, NE, MP */
	mov %eax, %cr0
	pop %eax
	push $0x08
	push %eax
	lret

/* Real mode at AP_PAGE: to protected mode, a stack by ticket, long mode, ap_main. */
	.code16
	.globl ap_start, ap_end
ap_start:
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl AP_PAGE + ap_gdt_pointer - ap_start
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $0x18, $ap_start32
	.align 4
ap_gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt
ap_end:
	.code32
ap_start32:
	mov $0x10, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $1, %eax
	lock xadd %eax, ap_ticket
	mov %eax, %ebx
	imul $STACK_SIZE, %eax
	lea stacks + 2 * STACK_SIZE(%eax), %esp
	call enter_long
	.code64
	lea 1(%rbx), %edi
	call ap_main
	jmp halt

	.data
	.align 16
	.globl gdt, gdt_tss, gdt_pointer
gdt:	.quad 0
	.quad 0x00af9b000000ffff	/* 08 code, 64-bit */
	.quad 0x00cf93000000ffff	/* 10 data */
	.quad 0x00cf9b000000ffff	/* 18 code, 32-bit */
	.quad 0x00cffb000000ffff	/* 20 user code, 32-bit: base for SYSRET */
	.quad 0x00cff3000000ffff	/* 28 user data */
	.quad 0x00affb000000ffff	/* 30 user code, 64-bit */
	.quad 0x00cf13000000ffff	/* 38 data, not present */
gdt_tss:
	.quad 0, 0			/* 40 TSS */
	.quad 0x00009b000000ffff	/* 50 code, 16-bit */
	.quad 0x000093000000ffff	/* 58 data, 16-bit */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad gdt
	.globl ap_ticket, multiboot_info
ap_ticket: .long 0
multiboot_info: .long 0

	.bss
	.align 4096
	.globl pml4, pdpt, pd
pml4:	.skip 4096
pdpt:	.skip 4096
pd:	.skip 4 * 4096
stacks:	.skip (MAX_CPUS + 1) * STACK_SIZE

/* Exception and interrupt entry: a table of stubs that push the vector. */
	.text
	.globl trap_stubs
	.align 16
trap_stubs:
	.set vector, 0
	.rept 256
	.align 16
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
	push $0
	.endif
	push $vector
	jmp trap_entry
	.set vector, vector + 1
	.endr
trap_entry:
	push %rax
	push %rbx
	push %rcx
	push %rdx
	push %rsi
	push %rdi
	push %rbp
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	cld
	mov %rsp, %rdi
	mov %rsp, %rbp
	and $-16, %rsp
	call trap_c
	mov %rbp, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rbp
	pop %rdi
	pop %rsi
	pop %rdx
	pop %rcx
	pop %rbx
	pop %rax
	add $16, %rsp
	iretq
	.section .note.GNU-stack, "", @progbits
