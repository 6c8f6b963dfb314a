/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The virtual machine control block: AMD APM vol. 2, appendix B (layout),
 * appendix C (exit codes), 15.5 - 15.25 (meaning).
 */
#ifndef PN_CPU_SVM_VMCB_H
#define PN_CPU_SVM_VMCB_H

#include "x86/state.h"

/* Intercepts: word number * 32 + bit. */
enum svm_intercept {
	SVM_CR_READ = 0,		/* + number of the register */
	SVM_CR_WRITE = 16,
	SVM_DR_READ = 32,
	SVM_DR_WRITE = 48,
	SVM_EXCEPTION = 64,		/* + vector */
	SVM_INTR = 96, SVM_NMI, SVM_SMI, SVM_INIT, SVM_VINTR, SVM_CR0_SELECTIVE,
	SVM_IDTR_READ, SVM_GDTR_READ, SVM_LDTR_READ, SVM_TR_READ,
	SVM_IDTR_WRITE, SVM_GDTR_WRITE, SVM_LDTR_WRITE, SVM_TR_WRITE,
	SVM_RDTSC, SVM_RDPMC, SVM_PUSHF, SVM_POPF, SVM_CPUID, SVM_RSM, SVM_IRET,
	SVM_INTN, SVM_INVD, SVM_PAUSE, SVM_HLT, SVM_INVLPG, SVM_INVLPGA,
	SVM_IOIO, SVM_MSR, SVM_TASK_SWITCH, SVM_FERR_FREEZE, SVM_SHUTDOWN,
	SVM_VMRUN = 128, SVM_VMMCALL, SVM_VMLOAD, SVM_VMSAVE, SVM_STGI, SVM_CLGI,
	SVM_SKINIT, SVM_RDTSCP, SVM_ICEBP, SVM_WBINVD, SVM_MONITOR, SVM_MWAIT,
	SVM_MWAIT_ARMED, SVM_XSETBV, SVM_RDPRU,
	SVM_INVLPGB = 160, SVM_INVLPGB_ILLEGAL, SVM_INVPCID, SVM_MCOMMIT, SVM_TLBSYNC,
};

#define SVM_NR_INTERCEPT_WORDS	6

struct svm_control {
	u32 intercepts[SVM_NR_INTERCEPT_WORDS];	/* 000 */
	u8 reserved_018[0x3c - 0x18];
	u16 pause_threshold;			/* 03c */
	u16 pause_count;
	u64 iopm_pa;				/* 040 */
	u64 msrpm_pa;
	u64 tsc_offset;				/* 050 */
	u32 asid;
	u8 tlb_control;				/* 05c */
	u8 reserved_05d[3];
	u64 vintr;				/* 060 */
	u64 int_state;				/* 068 */
	u64 exit_code;				/* 070 */
	u64 exit_info_1;
	u64 exit_info_2;			/* 080 */
	u64 exit_int_info;
	u64 nested_ctl;				/* 090 */
	u64 avic_bar;
	u64 ghcb_pa;				/* 0a0 */
	u64 event_inj;
	u64 ncr3;				/* 0b0 */
	u64 virt_ext;
	u32 clean;				/* 0c0 */
	u32 reserved_0c4;
	u64 next_rip;				/* 0c8 */
	u8 nr_insn_bytes;			/* 0d0 */
	u8 insn_bytes[15];
	u8 reserved_0e0[0x400 - 0xe0];
} __packed;

struct svm_save {
	struct x86_seg es, cs, ss, ds, fs, gs;	/* 000: in the order of enum x86_seg_index */
	struct x86_seg gdtr, ldtr, idtr, tr;	/* 060 */
	u8 reserved_0a0[0xcb - 0xa0];
	u8 cpl;					/* 0cb */
	u32 reserved_0cc;
	u64 efer;				/* 0d0 */
	u8 reserved_0d8[0x148 - 0xd8];
	u64 cr4;				/* 148 */
	u64 cr3;
	u64 cr0;
	u64 dr7;				/* 160 */
	u64 dr6;
	u64 rflags;
	u64 rip;
	u8 reserved_180[0x1d8 - 0x180];
	u64 rsp;				/* 1d8 */
	u64 s_cet, ssp, isst;
	u64 rax;				/* 1f8 */
	u64 star, lstar, cstar, sfmask;		/* 200 */
	u64 kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 cr2;				/* 240 */
	u8 reserved_248[0x268 - 0x248];
	u64 pat;				/* 268 */
	u64 dbgctl, br_from, br_to, last_excp_from, last_excp_to;
	u8 reserved_298[0x2e0 - 0x298];
	u64 spec_ctrl;				/* 2e0 */
	u8 reserved_2e8[0xc00 - 0x2e8];
} __packed;

struct vmcb {
	struct svm_control control;
	struct svm_save save;
} __packed;

static_assert(sizeof(struct vmcb) == 4096);
static_assert(offsetof(struct vmcb, control.event_inj) == 0x0a8);
static_assert(offsetof(struct vmcb, control.insn_bytes) == 0x0d1);
static_assert(offsetof(struct vmcb, save.cpl) == 0x4cb);
static_assert(offsetof(struct vmcb, save.rax) == 0x5f8);
static_assert(offsetof(struct vmcb, save.pat) == 0x668);
static_assert(offsetof(struct vmcb, save.spec_ctrl) == 0x6e0);

/* tlb_control */
#define SVM_TLB_KEEP		0
#define SVM_TLB_FLUSH_ALL	1
#define SVM_TLB_FLUSH_ASID	3

/* vintr */
#define SVM_V_TPR_MASK		0x0fULL
#define SVM_V_IRQ		BIT_ULL(8)
#define SVM_V_PRIO_HIGHEST	(15ULL << 16)
#define SVM_V_IGNORE_TPR	BIT_ULL(20)
#define SVM_V_NOW		(SVM_V_IRQ | SVM_V_PRIO_HIGHEST | SVM_V_IGNORE_TPR)
#define SVM_V_INTR_MASKING	BIT_ULL(24)

#define SVM_INT_SHADOW		BIT_ULL(0)
#define SVM_NESTED_ENABLE	BIT_ULL(0)

/* event_inj and exit_int_info */
#define SVM_EVENT_VECTOR	0xffULL
#define SVM_EVENT_TYPE		(7ULL << 8)
#define SVM_EVENT_IRQ		(0ULL << 8)
#define SVM_EVENT_NMI		(2ULL << 8)
#define SVM_EVENT_EXCEPTION	(3ULL << 8)
#define SVM_EVENT_SOFT		(4ULL << 8)
#define SVM_EVENT_HAS_ERROR	BIT_ULL(11)
#define SVM_EVENT_VALID		BIT_ULL(31)

/* exit_info_1 of an I/O exit, 15.10.2 */
#define SVM_IO_IN		BIT(0)
#define SVM_IO_STRING		BIT(2)
#define SVM_IO_REP		BIT(3)
#define SVM_IO_SIZE_SHIFT	4	/* 1, 2, 4: bytes */
#define SVM_IO_PORT_SHIFT	16

/* exit_info_2 of a task switch, 15.14.1; bits 31:0 are the error code */
#define SVM_TASK_IRET		BIT_ULL(36)
#define SVM_TASK_JMP		BIT_ULL(38)
#define SVM_TASK_HAS_ERROR	BIT_ULL(44)

/* exit_info_1 of a control register exit with decode assists, 15.33.1 */
#define SVM_CR_ASSIST_VALID	BIT_ULL(63)
#define SVM_CR_ASSIST_GPR	0xfULL

/* Clean bits, 15.15.3: what is unchanged since the last exit. */
#define SVM_CLEAN_ALL		0x3ffU
#define SVM_CLEAN_INTERCEPTS	BIT(0)	/* also TSC offset, pause filter */
#define SVM_CLEAN_PERMISSIONS	BIT(1)
#define SVM_CLEAN_ASID		BIT(2)
#define SVM_CLEAN_TPR		BIT(3)
#define SVM_CLEAN_NESTED	BIT(4)
#define SVM_CLEAN_CRX		BIT(5)	/* CR0, CR3, CR4, EFER */
#define SVM_CLEAN_DRX		BIT(6)
#define SVM_CLEAN_DT		BIT(7)
#define SVM_CLEAN_SEG		BIT(8)	/* and CPL */
#define SVM_CLEAN_CR2		BIT(9)

enum svm_exit {
	SVM_EXIT_CR_READ = 0x000,
	SVM_EXIT_CR_WRITE = 0x010,
	SVM_EXIT_DR_READ = 0x020,
	SVM_EXIT_DR_WRITE = 0x030,
	SVM_EXIT_EXCEPTION = 0x040,
	SVM_EXIT_INTR = 0x060, SVM_EXIT_NMI, SVM_EXIT_SMI, SVM_EXIT_INIT,
	SVM_EXIT_VINTR, SVM_EXIT_CR0_SELECTIVE, SVM_EXIT_IDTR_READ,
	SVM_EXIT_GDTR_READ, SVM_EXIT_LDTR_READ, SVM_EXIT_TR_READ,
	SVM_EXIT_IDTR_WRITE, SVM_EXIT_GDTR_WRITE, SVM_EXIT_LDTR_WRITE,
	SVM_EXIT_TR_WRITE, SVM_EXIT_RDTSC, SVM_EXIT_RDPMC, SVM_EXIT_PUSHF,
	SVM_EXIT_POPF, SVM_EXIT_CPUID, SVM_EXIT_RSM, SVM_EXIT_IRET,
	SVM_EXIT_INTN, SVM_EXIT_INVD, SVM_EXIT_PAUSE, SVM_EXIT_HLT,
	SVM_EXIT_INVLPG, SVM_EXIT_INVLPGA, SVM_EXIT_IOIO, SVM_EXIT_MSR,
	SVM_EXIT_TASK_SWITCH, SVM_EXIT_FERR_FREEZE, SVM_EXIT_SHUTDOWN,
	SVM_EXIT_VMRUN = 0x080, SVM_EXIT_VMMCALL, SVM_EXIT_VMLOAD,
	SVM_EXIT_VMSAVE, SVM_EXIT_STGI, SVM_EXIT_CLGI, SVM_EXIT_SKINIT,
	SVM_EXIT_RDTSCP, SVM_EXIT_ICEBP, SVM_EXIT_WBINVD, SVM_EXIT_MONITOR,
	SVM_EXIT_MWAIT, SVM_EXIT_MWAIT_ARMED, SVM_EXIT_XSETBV, SVM_EXIT_RDPRU,
	SVM_EXIT_INVLPGB = 0x0a0, SVM_EXIT_INVLPGB_ILLEGAL, SVM_EXIT_INVPCID,
	SVM_NR_EXITS = 0x0a8,
	SVM_EXIT_NPF = 0x400,
};
#define SVM_EXIT_INVALID	(~0ULL)

#endif
