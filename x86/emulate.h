/* SPDX-License-Identifier: GPL-2.0 */
/*
 * x86 emulator: executes one decoded instruction on registers given by the
 * caller and on memory, ports and vector registers behind a table of operations.
 *
 *      bytes --x86_decode--> emu.insn --x86_emulate--> emu.regs
 *                                          |  ^
 *               linear addresses, one page |  | values, faults
 *                                          v  |
 *                                     emu.ops (caller)
 *
 * Restarting. Registers change only when everything an instruction (or one
 * iteration of a string instruction) does has succeeded. When an operation
 * returns X86_EMU_IO, x86_emulate() returns it; the caller gets the answer and
 * calls again with the same insn and the unchanged registers. The emulator then
 * calls the same operations in the same order with the same arguments, and the
 * caller gives the remembered answers. All reads of an iteration are made before its
 * writes. A caller whose write() can return X86_EMU_IO after another write of the same
 * iteration succeeded must remember answers of reads from RAM as well (an operand
 * across two pages); one that accepts device writes and performs them later need not.
 */
#ifndef PN_X86_EMULATE_H
#define PN_X86_EMULATE_H

#include "x86/decode.h"

enum x86_emu_rc {
	X86_EMU_OK,		/* done: see retired and rip */
	X86_EMU_FAULT,		/* emu->fault is to be injected; rip is the instruction's */
	X86_EMU_IO,		/* an operation cannot finish now */
	X86_EMU_RETRY,		/* memory changed underneath: enter the guest again */
	X86_EMU_UNHANDLED,	/* not emulated; nothing was changed */
};

/* Exception vectors the emulator raises. */
enum x86_vector {
	X86_VECTOR_DE = 0, X86_VECTOR_DB = 1, X86_VECTOR_BR = 5, X86_VECTOR_UD = 6,
	X86_VECTOR_NM = 7, X86_VECTOR_SS = 12, X86_VECTOR_GP = 13, X86_VECTOR_PF = 14,
	X86_VECTOR_AC = 17,
};

struct x86_fault {
	u8 vector;
	bool has_error;
	u32 error;
	u64 cr2;		/* #PF only */
};

/* What a memory operation is for. The privilege is emu->cpl's. */
enum x86_emu_access {
	X86_EMU_READ,
	X86_EMU_READ_FOR_WRITE,	/* first half of read-modify-write: permissions are those of a write */
	X86_EMU_WRITE,
};

/* Vector register files of fpu_read and fpu_write. */
enum x86_emu_file {
	X86_EMU_XMM,		/* 16 bytes; a write leaves the bits above alone */
	X86_EMU_YMM,		/* 32 bytes; a write clears the bits above */
	X86_EMU_MMX,		/* 8 bytes; a write or read enters MMX state (TOS 0, all tags valid) */
};

struct x86_emu;

/*
 * Addresses are linear. No call crosses a page boundary. A call that detects a fault fills
 * emu->fault and returns X86_EMU_FAULT. Any may return any enum x86_emu_rc, which
 * then is the result of x86_emulate(). Members marked optional may be NULL: instructions
 * that need them are X86_EMU_UNHANDLED.
 */
struct x86_emu_ops {
	/* len: 1 .. 32, or up to emu->io_bytes for INS and OUTS. */
	enum x86_emu_rc (*read)(struct x86_emu *emu, u64 gva, void *val, unsigned int len,
				enum x86_emu_access access);
	enum x86_emu_rc (*write)(struct x86_emu *emu, u64 gva, const void *val, unsigned int len);
	/* Could write() be done? Same faults, no effect. */
	enum x86_emu_rc (*probe_write)(struct x86_emu *emu, u64 gva, unsigned int len);
	/*
	 * Second half of a LOCKed read-modify-write whose first half was read(...,
	 * X86_EMU_READ_FOR_WRITE): stores new if memory still equals old, atomically with respect
	 * to the other vCPUs, else returns X86_EMU_RETRY. On a device: an ordinary write.
	 * len: 1, 2, 4, 8 or 16; may be unaligned.
	 */
	enum x86_emu_rc (*cmpxchg)(struct x86_emu *emu, u64 gva, const void *old,
				   const void *val, unsigned int len);
	/* Instruction bytes, for x86_emu_fetch(); optional. */
	enum x86_emu_rc (*fetch)(struct x86_emu *emu, u64 gva, void *bytes, unsigned int len);

	/* size: 1, 2 or 4; count elements packed in buf. Optional. */
	enum x86_emu_rc (*pio_in)(struct x86_emu *emu, u16 port, unsigned int size,
				  unsigned int count, void *buf);
	enum x86_emu_rc (*pio_out)(struct x86_emu *emu, u16 port, unsigned int size,
				   unsigned int count, const void *buf);
	/* I/O permission bitmap, asked only when CPL > IOPL or in virtual-8086 mode. Optional: #GP. */
	enum x86_emu_rc (*pio_allowed)(struct x86_emu *emu, u16 port, unsigned int size);

	/* val: 16, 32 or 8 bytes according to file. Cannot fail. Optional. */
	void (*fpu_read)(struct x86_emu *emu, enum x86_emu_file file, unsigned int reg, void *val);
	void (*fpu_write)(struct x86_emu *emu, enum x86_emu_file file, unsigned int reg,
			  const void *val);

	/* Check the value as the processor would and return X86_EMU_FAULT with #GP(0). Optional. */
	enum x86_emu_rc (*read_cr)(struct x86_emu *emu, unsigned int nr, u64 *val);
	enum x86_emu_rc (*write_cr)(struct x86_emu *emu, unsigned int nr, u64 val);
	enum x86_emu_rc (*read_dr)(struct x86_emu *emu, unsigned int nr, u64 *val);
	enum x86_emu_rc (*write_dr)(struct x86_emu *emu, unsigned int nr, u64 val);
	enum x86_emu_rc (*invlpg)(struct x86_emu *emu, u64 gva);
	/* type 0: gva of pcid; 1: pcid; 2: everything; 3: all but global pages. pcid has 12 bits. Optional. */
	enum x86_emu_rc (*invpcid)(struct x86_emu *emu, unsigned int type, unsigned int pcid, u64 gva);
};

/* What became of the interrupt shadow by the instruction that retired. */
enum x86_emu_shadow {
	X86_EMU_SHADOW_NONE,	/* there is none now */
	X86_EMU_SHADOW_STI,
	X86_EMU_SHADOW_MOV_SS,
};

/*
 * The caller fills the first part (nothing else needs to be cleared) and calls
 * x86_emu_fetch() or x86_decode(&emu->insn, ...), then x86_emulate().
 */
struct x86_emu {
	const struct x86_emu_ops *ops;
	struct x86_regs *regs;		/* updated in place when something was done */
	const struct x86_seg *seg;	/* X86_NR_SEG of them, never written */
	u64 cr0, cr4, efer, xcr0;
	u8 mode;			/* enum x86_mode, as given to x86_decode() */
	u8 cpl;
	/*
	 * Does the processor have TZCNT (BMI1) and LZCNT? Where it has not, the
	 * same encodings are BSF and BSR.
	 */
	bool has_tzcnt, has_lzcnt;
	/*
	 * After how many iterations of a string instruction a call ends, at least 1 (a batch of
	 * INS or OUTS is finished first); an operation may lower it to end after the iteration
	 * in progress. The same in each attempt.
	 */
	u32 budget;
	/* Room for a batch of INS or OUTS; NULL: one element at a time. */
	void *io_buf;
	u32 io_bytes;

	struct x86_insn insn;

	/* Results, set by every x86_emulate(). */
	struct x86_fault fault;		/* X86_EMU_FAULT only */
	/*
	 * String instructions: iterations done and committed to regs. More than 0 is possible
	 * with every result, X86_EMU_FAULT and X86_EMU_IO included: what was remembered for
	 * iterations before this number is used up. Operations may look at it to see which
	 * iteration they are called for.
	 */
	u32 iterations;
	/*
	 * An architectural step (instruction or iteration) was finished: RFLAGS.RF has been
	 * cleared, and the interrupt shadow is to be set to shadow.
	 */
	bool retired;
	bool single_step;		/* RFLAGS.TF was set when the step began: a #DB trap is due */
	u8 shadow;			/* enum x86_emu_shadow */
};

/*
 * Fetches and decodes the instruction at CS:RIP into emu->insn. X86_EMU_OK,
 * X86_EMU_FAULT (#PF from the fetch operation, #GP(0) beyond the limit of CS or longer than
 * 15 bytes, #UD), or what the fetch operation returned.
 */
enum x86_emu_rc x86_emu_fetch(struct x86_emu *emu);

/*
 * Executes emu->insn. X86_EMU_OK with regs->rip unchanged means that a string
 * instruction used up its budget and has iterations left: look for interrupts and signals,
 * then enter the guest or call again.
 */
enum x86_emu_rc x86_emulate(struct x86_emu *emu);

#endif
