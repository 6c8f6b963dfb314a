/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The processor state that more than one part speaks of: registers in hardware
 * numbering, segments in the layout AMD's VMCB keeps them (APM vol. 2,
 * appendix B).
 */
#ifndef PN_X86_STATE_H
#define PN_X86_STATE_H

#include "kapi.h"

enum x86_gpr {
	X86_RAX, X86_RCX, X86_RDX, X86_RBX, X86_RSP, X86_RBP, X86_RSI, X86_RDI,
	X86_R8, X86_R9, X86_R10, X86_R11, X86_R12, X86_R13, X86_R14, X86_R15,
	X86_NR_GPR,
};

struct x86_regs {
	u64 gpr[X86_NR_GPR];
	u64 rip;
	u64 rflags;
};

enum x86_seg_index {
	X86_SEG_ES, X86_SEG_CS, X86_SEG_SS, X86_SEG_DS, X86_SEG_FS, X86_SEG_GS,
	X86_SEG_LDTR, X86_SEG_TR,
	X86_NR_SEG,
};

/* attrib: descriptor bits 40-47 in bits 0-7, descriptor bits 52-55 in bits 8-11. */
#define X86_SEG_TYPE	0x000f
#define X86_SEG_WRITABLE	0x0002	/* data; of code: readable */
#define X86_SEG_EXPAND_DOWN	0x0004	/* data; of code: conforming */
#define X86_SEG_CODE	0x0008
#define X86_SEG_S	0x0010
#define X86_SEG_DPL	0x0060
#define X86_SEG_P	0x0080
#define X86_SEG_AVL	0x0100
#define X86_SEG_L	0x0200
#define X86_SEG_DB	0x0400
#define X86_SEG_G	0x0800
#define X86_SEG_DPL_SHIFT	5

struct x86_seg {
	u16 selector;
	u16 attrib;
	u32 limit;		/* in bytes, already scaled by G */
	u64 base;
};

struct x86_dtable {
	u64 base;
	u16 limit;
};

/* Of the code segment; compatibility mode is PROT16 or PROT32. */
enum x86_mode {
	X86_MODE_REAL, X86_MODE_VM86, X86_MODE_PROT16, X86_MODE_PROT32, X86_MODE_LONG,
};

#endif
