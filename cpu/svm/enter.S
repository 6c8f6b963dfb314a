/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The world switch.
 *
 *   void svm_world_switch(struct x86_regs *regs, u64 vmcb_pa, u64 host_vmcb_pa)
 *                                 rdi                rsi          rdx
 *
 *   host stack during VMRUN:   [rsp]    regs
 *                              [rsp+8]  host_vmcb_pa
 *                              callee-saved registers, return address
 *
 * VMRUN itself exchanges RAX, RSP, RIP, RFLAGS, CS-DS-ES-SS, the control
 * registers and EFER; VMLOAD and VMSAVE the rest of the segment state and the
 * SYSCALL and SYSENTER registers (AMD APM vol. 2, 15.5); the general registers are
 * exchanged here. Between VMLOAD of the guest and VMLOAD of the host GS is the
 * guest's: no per-CPU access. GIF is off around it, so that neither an
 * interrupt nor an NMI sees that; IF is on, so that a host interrupt ends the
 * guest (V_INTR_MASKING, 15.21.1).
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/nospec-branch.h>

#define RCX	0x08
#define RDX	0x10
#define RBX	0x18
#define RBP	0x28
#define RSI	0x30
#define RDI	0x38
#define R8	0x40
#define R9	0x48
#define R10	0x50
#define R11	0x58
#define R12	0x60
#define R13	0x68
#define R14	0x70
#define R15	0x78

.section .noinstr.text, "ax"

SYM_FUNC_START(svm_world_switch)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdx
	push	%rdi

	clgi
	sti
	mov	%rsi, %rax
	vmload	%rax

	mov	RCX(%rdi), %rcx
	mov	RDX(%rdi), %rdx
	mov	RBX(%rdi), %rbx
	mov	RBP(%rdi), %rbp
	mov	RSI(%rdi), %rsi
	mov	R8(%rdi), %r8
	mov	R9(%rdi), %r9
	mov	R10(%rdi), %r10
	mov	R11(%rdi), %r11
	mov	R12(%rdi), %r12
	mov	R13(%rdi), %r13
	mov	R14(%rdi), %r14
	mov	R15(%rdi), %r15
	mov	RDI(%rdi), %rdi

	/* Buffers that leak between contexts are cleared last (no-op where not needed). */
	VM_CLEAR_CPU_BUFFERS

	vmrun	%rax
	/* RAX is the VMCB's address again. */
	vmsave	%rax

	xchg	%rdi, (%rsp)		/* regs; the guest's RDI on the stack */
	mov	%rcx, RCX(%rdi)
	mov	%rdx, RDX(%rdi)
	mov	%rbx, RBX(%rdi)
	mov	%rbp, RBP(%rdi)
	mov	%rsi, RSI(%rdi)
	mov	%r8, R8(%rdi)
	mov	%r9, R9(%rdi)
	mov	%r10, R10(%rdi)
	mov	%r11, R11(%rdi)
	mov	%r12, R12(%rdi)
	mov	%r13, R13(%rdi)
	mov	%r14, R14(%rdi)
	mov	%r15, R15(%rdi)
	pop	%rax
	mov	%rax, RDI(%rdi)

	pop	%rax
	vmload	%rax

	/* The guest trained the return predictors: make them ours before the first RET. */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT
#ifdef UNTRAIN_RET_VM
	UNTRAIN_RET_VM
#else
	UNTRAIN_RET
#endif

	/* No guest value stays in a register that speculation could use. */
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d

	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp

	cli
	stgi
	RET
SYM_FUNC_END(svm_world_switch)
