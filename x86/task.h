/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Task switches (AMD APM vol. 2, 12.3.3), for where the processor cannot be left to
 * do them: they load CR3, which in shadow mode is not the guest's.
 */
#ifndef PN_X86_TASK_H
#define PN_X86_TASK_H

#include "x86/emulate.h"

enum x86_task_source { X86_TASK_CALL, X86_TASK_JMP, X86_TASK_IRET, X86_TASK_EVENT };

struct x86_task_switch {
	u16 selector;		/* of the new TSS; for IRET the old one's link */
	u8 source;		/* enum x86_task_source */
	bool external;		/* EVENT: not by INT n, INT3 or INTO */
	bool has_error;		/* EVENT: error is pushed */
	u32 error;
	u64 rip;		/* where the old task is to go on */
	struct x86_dtable gdt;

	/* Results. */
	bool done;		/* the new task is there: emu->regs and seg[] are its */
	bool trap;		/* its TSS asks for a debug trap before its first instruction */
	struct x86_seg seg[X86_NR_SEG];
};

/*
 * Switch. The processor has checked privileges, and that the TSS is available (busy for IRET).
 * emu is filled as for x86_emulate() and needs read, write, read_cr and write_cr; emu->seg, cpl and mode are
 * changed. X86_EMU_OK; X86_EMU_FAULT: of the old task while done is false, of the new one
 * otherwise; or what an operation returned.
 */
enum x86_emu_rc x86_task_switch(struct x86_emu *emu, struct x86_task_switch *t);

#endif
