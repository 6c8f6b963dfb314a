/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Entry of the guest that stays in legacy modes: 32-bit protected mode, from
 * where legacy.c goes to real mode, 16-bit protected mode, virtual-8086 mode and
 * through a task switch, each by a routine here.
 */
#define LOW	0x9000		/* where what runs below 1 MiB is copied to */
#define REAL(x) (LOW + x - low_start)

	.section .multiboot, "a"
	.align 4
	.long 0x1badb002, 0, -0x1badb002

	.text
	.code32
	.globl start
start:
	cli
	mov %ebx, multiboot_info
	mov $stack_top, %esp
	lgdt gdt_pointer
	ljmp $0x08, $1f
1:	mov $0x10, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %fs
	mov %ax, %gs
	mov %ax, %ss
	call guest_main
	call done
1:	hlt
	jmp 1b

/*
 * u32 real_mode(u16 ax): real mode, INT 0x60 there (its vector points at
 * real_int, which adds 1 to AX), a far call, and back; AX.
 */
	.globl real_mode
real_mode:
	push %ebp
	push %ebx
	push %esi
	push %edi
	mov 20(%esp), %eax
	mov %esp, saved_esp
	sidt saved_idt
	ljmp $0x18, $REAL(real16_protected)
	.globl low_start, low_end
low_start:
	.code16
real16_protected:
	mov $0x20, %bx
	mov %bx, %ds
	mov %bx, %es
	mov %bx, %ss
	mov %cr0, %ebx
	and $~1, %bl
	mov %ebx, %cr0
	ljmp $0, $REAL(real16)
real16:
	xor %bx, %bx
	mov %bx, %ds
	mov %bx, %es
	mov %bx, %ss
	mov $0x7000, %sp
	lidtl REAL(real_idt)
	movw $REAL(real_int), 0x60 * 4
	movw $0, 0x60 * 4 + 2
	int $0x60
	lcall $0, $REAL(real_far)
	/* segments beyond 64 KiB: 0xffff:0x10 is the byte at 1 MiB */
	mov $0xffff, %bx
	mov %bx, %es
	mov %es:0x10, %cx
	/* a string, backwards and forwards */
	xor %bx, %bx
	mov %bx, %es
	mov $0x6000, %di
	mov $16, %cx
	rep stosw
	cmp %ax, 0x601e
	jne 1f
	add $0x100, %ax
1:	mov %cr0, %ebx
	or $1, %bl
	mov %ebx, %cr0
	ljmpl $0x08, $real_back
real_int:
	inc %ax
	iret
real_far:
	add $0x10, %ax
	lret
	.align 4
real_idt:
	.word 0x3ff
	.long 0
/* Runs in virtual-8086 mode: counts, makes a software interrupt, ends with HLT, which faults. */
	.globl v86_code
v86_code:
	mov $0x1234, %ax
	mov %ax, 0x6100
	push %ax
	pop %bx
	mov %bx, 0x6102
	hlt
low_end:
	.code32
real_back:
	mov $0x10, %bx
	mov %bx, %ds
	mov %bx, %es
	mov %bx, %ss
	mov saved_esp, %esp
	lidt saved_idt
	movzwl %ax, %eax
	pop %edi
	pop %esi
	pop %ebx
	pop %ebp
	ret

/* u32 prot16(u32 a): a far call into a 16-bit code segment, which adds 3 to AX and pushes and pops. */
	.globl prot16
prot16:
	mov 4(%esp), %eax
	lcall $0x28, $0
	ret
	.code16
	.globl prot16_code
prot16_code:
	push %eax
	add $3, %ax
	mov %ax, %cx
	pop %edx
	mov %cx, %ax
	data32 lret
	.code32

/* The other task: notes that it ran, switches back by IRET; comes round again. */
	.globl other_task
other_task:
	incl task_ran
	pushf
	pop task_flags
	iret
	jmp other_task

	.data
	.align 16
	.globl gdt, gdt_pointer, multiboot_info, task_ran, task_flags
gdt:	.quad 0
	.quad 0x00cf9b000000ffff	/* 08 code, 32-bit */
	.quad 0x00cf93000000ffff	/* 10 data */
	.quad 0x00009b000000ffff	/* 18 code, 16-bit, base 0 */
	.quad 0x000093000000ffff	/* 20 data, 16-bit */
	.quad 0				/* 28 code, 16-bit, base of prot16_code */
	.quad 0				/* 30 TSS of this task */
	.quad 0				/* 38 TSS of the other */
	.quad 0				/* 40 task gate */
	.quad 0x00cffb000000ffff	/* 48 user code */
	.quad 0x00cff3000000ffff	/* 50 user data */
	.quad 0x0040930010000fff	/* 58 data, limit 0xfff, base 0x1000 */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt
multiboot_info: .long 0
saved_esp: .long 0
saved_idt: .long 0, 0
task_ran: .long 0
task_flags: .long 0

	.bss
	.align 16
	.skip 0x4000
stack_top:

	.text
	.globl trap_stubs
	.align 16
trap_stubs:
	.set vector, 0
	.rept 256
	.align 16
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
	push $0
	.endif
	push $vector
	jmp trap_entry
	.set vector, vector + 1
	.endr
trap_entry:
	pusha
	push %ds
	push %es
	mov $0x10, %eax
	mov %ax, %ds
	mov %ax, %es
	mov %esp, %eax
	push %eax
	call trap_c
	add $4, %esp
	pop %es
	pop %ds
	popa
	add $8, %esp
	iret
	.section .note.GNU-stack, "", @progbits
