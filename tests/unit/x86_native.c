// SPDX-License-Identifier: GPL-2.0
/*
 * The emulator against the processor: random instructions of every form are
 * executed natively and by x86_emulate() from the same state; registers, flags,
 * memory, vector registers and faults must be the same. Flags that the
 * architecture leaves undefined are not compared, unless asked for (the
 * emulator sets them as Zen 5 does).
 *
 * Arguments: cases for each form, seed, "undefined" to compare undefined flags
 * as well, or the name of one form.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>
#include "tests/unit/x86_gen.h"

#define MEM_ADDRESS	0x10002000ULL
#define CODE_ADDRESS	0x18000000ULL
#define TARGET_OFFSET	90

/* ---- one instruction on the processor ---- */

/* State in front of and behind the instruction; used by the assembly below. */
struct native_state {
	u64 gpr[16], rflags;
	u8 ymm[16][32];
	u8 mmx[8][8];
};

struct native_state native_in, native_out;
u64 native_code, native_host_rsp, native_branched;

void native_run(void);
void native_landing(void);
void native_landing_branch(void);

#define EACH_GPR(op) \
	op("rax", "0") op("rcx", "8") op("rdx", "16") op("rbx", "24") op("rbp", "40") \
	op("rsi", "48") op("rdi", "56") op("r8", "64") op("r9", "72") op("r10", "80") \
	op("r11", "88") op("r12", "96") op("r13", "104") op("r14", "112") op("r15", "120")
#define EACH_YMM(op) \
	op("0") op("1") op("2") op("3") op("4") op("5") op("6") op("7") op("8") op("9") op("10") \
	op("11") op("12") op("13") op("14") op("15")
#define EACH_MMX(op) op("0") op("1") op("2") op("3") op("4") op("5") op("6") op("7")
#define LOAD_GPR(r, o)	"mov native_in + " o "(%rip), %" r "\n"
#define STORE_GPR(r, o)	"mov %" r ", native_out + " o "(%rip)\n"
#define LOAD_YMM(n)	"vmovdqu native_in + 136 + 32 * " n "(%rip), %ymm" n "\n"
#define STORE_YMM(n)	"vmovdqu %ymm" n ", native_out + 136 + 32 * " n "(%rip)\n"
#define LOAD_MMX(n)	"movq native_in + 648 + 8 * " n "(%rip), %mm" n "\n"
#define STORE_MMX(n)	"movq %mm" n ", native_out + 648 + 8 * " n "(%rip)\n"
static_assert(offsetof(struct native_state, ymm) == 136 &&
	      offsetof(struct native_state, mmx) == 648, "offsets in the assembly");

__asm__(
	".text\n"
	".globl native_run, native_landing, native_landing_branch\n"
	"native_run:\n"
	"push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
	"mov %rsp, native_host_rsp(%rip)\n"
	"movq $0, native_branched(%rip)\n"
	EACH_YMM(LOAD_YMM) EACH_MMX(LOAD_MMX)
	"pushq native_in + 128(%rip)\n"
	"popfq\n"
	EACH_GPR(LOAD_GPR)
	"mov native_in + 32(%rip), %rsp\n"
	"jmp *native_code(%rip)\n"
	"native_landing_branch:\n"
	"movq $1, native_branched(%rip)\n"
	"native_landing:\n"
	EACH_GPR(STORE_GPR)
	"mov %rsp, native_out + 32(%rip)\n"
	"mov native_host_rsp(%rip), %rsp\n"
	"pushfq\n"
	"popq native_out + 128(%rip)\n"
	"pushq $0x202\n"
	"popfq\n"
	EACH_YMM(STORE_YMM) EACH_MMX(STORE_MMX)
	"emms\n"
	"vzeroupper\n"
	"pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\n"
	"ret\n");

static sigjmp_buf fault_return;
static ucontext_t fault_context;
static volatile int fault_signal;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	__asm__ volatile("pushq $0x202; popfq" : : : "cc", "memory");	/* AC off */
	fault_signal = sig;
	/* The vector registers of the context live on the signal stack: general ones suffice. */
	memcpy(fault_context.uc_mcontext.gregs, ((ucontext_t *)context)->uc_mcontext.gregs,
	       sizeof(fault_context.uc_mcontext.gregs));
	__asm__ volatile("emms; vzeroupper");
	siglongjmp(fault_return, 1);
}

static u8 signal_stack[1 << 16] __aligned(64);

static void catch_faults(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t stack = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };
	unsigned int i;

	sigaltstack(&stack, NULL);
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &sa, NULL);
}

/*
 * The code page: the instruction, a jump home behind it, another one at the branch target. The
 * addresses they jump to are aligned, for RFLAGS.AC is theirs too.
 */
#define HOME_OFFSET	256

static void write_jump(u8 *code, unsigned int at, unsigned int slot)
{
	s32 disp = slot - (at + 6);

	code[at] = 0xff;
	code[at + 1] = 0x25;
	memcpy(code + at + 2, &disp, 4);
}

static void write_code(const struct gen_case *c)
{
	u8 *code = (u8 *)CODE_ADDRESS;
	void (*homes[])(void) = { native_landing, native_landing_branch };

	memcpy(code, c->bytes, c->len);
	memcpy(code + HOME_OFFSET, homes, sizeof(homes));
	write_jump(code, c->len, HOME_OFFSET);
	write_jump(code, TARGET_OFFSET, HOME_OFFSET + 8);
}

static void set_gs_base(u64 base)
{
	__asm__ volatile("wrgsbase %0" : : "r"(base));
}

/* Result of one side. */
struct outcome {
	struct x86_regs regs;
	u8 ymm[16][32], mmx[8][8];
	bool faulted;
	u32 vector;
	u32 error;
	u64 cr2;
};

static void take_fault(struct outcome *o)
{
	static const int order[] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI,
				     REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13,
				     REG_R14, REG_R15 };
	const greg_t *g = fault_context.uc_mcontext.gregs;
	unsigned int i;

	for (i = 0; i < 16; i++)
		o->regs.gpr[i] = g[order[i]];
	o->regs.rip = g[REG_RIP];
	o->regs.rflags = g[REG_EFL] & ~(u64)X86_EFLAGS_RF;
	o->faulted = true;
	o->vector = g[REG_TRAPNO];
	if (o->vector == X86_VECTOR_PF) {
		o->error = g[REG_ERR];
		o->cr2 = g[REG_CR2];
		/* Above the end of user space Linux reports every page as present. */
		if (o->cr2 >= 0x7ffffffff000)
			o->error &= ~1u;
	}
}

static void run_native(const struct gen_case *c, struct outcome *o)
{
	memset(o, 0, sizeof(*o));
	memcpy(native_in.gpr, c->regs.gpr, sizeof(native_in.gpr));
	native_in.rflags = c->regs.rflags;
	memcpy(native_in.ymm, c->ymm, sizeof(native_in.ymm));
	memcpy(native_in.mmx, c->mmx, sizeof(native_in.mmx));
	native_code = CODE_ADDRESS;
	write_code(c);
	set_gs_base(c->gs_base);
	if (sigsetjmp(fault_return, 1)) {
		take_fault(o);
		return;
	}
	native_run();
	memcpy(o->regs.gpr, native_out.gpr, sizeof(native_out.gpr));
	o->regs.rflags = native_out.rflags;
	o->regs.rip = CODE_ADDRESS + (native_branched ? TARGET_OFFSET : c->len);
	memcpy(o->ymm, native_out.ymm, sizeof(o->ymm));
	memcpy(o->mmx, native_out.mmx, sizeof(o->mmx));
}

/* ---- the same by the emulator ---- */

static const char *run_emulated(const struct gen_case *c, u8 *mem, u32 budget, struct outcome *o)
{
	static struct machine m;
	enum x86_emu_rc rc;
	int err;

	memset(o, 0, sizeof(*o));
	machine_init(&m, mem, MEM_ADDRESS);
	m.emu.has_tzcnt = __builtin_cpu_supports("bmi");
	m.emu.has_lzcnt = __builtin_cpu_supports("lzcnt");
	m.emu.budget = budget;
	err = gen_load(&m, c);
	if (err == -E2BIG) {
		*o = (struct outcome){ .regs = c->regs, .faulted = true, .vector = X86_VECTOR_GP };
		return NULL;
	}
	if (err)
		return "not decoded";
	if (m.emu.insn.length != c->len)
		return "wrong length";
	rc = machine_run(&m, NULL);
	if (m.error)
		return m.error;
	if (rc != X86_EMU_OK && rc != X86_EMU_FAULT)
		return rc == X86_EMU_UNHANDLED ? "unhandled" : "wrong result code";
	o->regs = m.regs;
	memcpy(o->ymm, m.ymm, sizeof(o->ymm));
	memcpy(o->mmx, m.mmx, sizeof(o->mmx));
	o->faulted = rc == X86_EMU_FAULT;
	if (o->faulted) {
		o->vector = m.emu.fault.vector;
		o->error = m.emu.fault.error;
		o->cr2 = o->vector == X86_VECTOR_PF ? m.emu.fault.cr2 : 0;
	}
	return NULL;
}

/* ---- comparison ---- */

static const char *difference(const struct outcome *a, const struct outcome *b, u64 undefined)
{
	u64 flags = (a->regs.rflags ^ b->regs.rflags) & ~undefined;
	unsigned int i;

	if (a->faulted != b->faulted || a->vector != b->vector)
		return "fault";
	if (a->error != b->error)
		return "error code";
	if (a->cr2 != b->cr2)
		return "cr2";
	for (i = 0; i < 16; i++)
		if (a->regs.gpr[i] != b->regs.gpr[i])
			return "registers";
	if (a->regs.rip != b->regs.rip)
		return "rip";
	if (flags)
		return "flags";
	if (a->faulted)
		return NULL;
	if (memcmp(a->ymm, b->ymm, sizeof(a->ymm)))
		return "ymm";
	return memcmp(a->mmx, b->mmx, sizeof(a->mmx)) ? "mmx" : NULL;
}

static void show_outcome(const char *who, const struct outcome *o)
{
	unsigned int i;

	printf("#  %s: fault %d vector %u error %x cr2 %llx rip %llx flags %llx", who, o->faulted,
	       o->vector, o->error, o->cr2, o->regs.rip, o->regs.rflags);
	for (i = 0; i < 16; i++)
		printf("%s%llx", i % 8 ? " " : "\n#   ", o->regs.gpr[i]);
	printf("\n");
}

static void show(const struct gen_case *c, const char *what, const struct outcome *native,
		 const struct outcome *emulated)
{
	struct outcome before = { .regs = c->regs };
	unsigned int i;

	printf("# %s: %s differ:", c->form->name, what);
	for (i = 0; i < c->len; i++)
		printf(" %02x", c->bytes[i]);
	printf("\n");
	show_outcome("before", &before);
	show_outcome("processor", native);
	show_outcome("emulator", emulated);
}

static u8 shadow[MACHINE_BYTES];

static bool run_case(const struct gen_case *c, u32 budget, bool undefined)
{
	struct outcome native, emulated;
	const char *what;

	memcpy((void *)MEM_ADDRESS, shadow, MACHINE_RO_OFFSET);
	run_native(c, &native);
	what = run_emulated(c, shadow, budget, &emulated);
	if (what && !strcmp(what, "unhandled") &&
	    (c->form->flags & G_LOCK))
		return true;		/* a lock across pages */
	if (!what)
		what = difference(&native, &emulated, undefined ? 0 : c->undefined);
	if (!what && memcmp((void *)MEM_ADDRESS, shadow, MACHINE_RO_OFFSET))
		what = "memory";
	if (what)
		show(c, what, &native, &emulated);
	return !what;
}

static bool is_supported(const struct gen_form *f)
{
	if ((f->flags & G_VEX_ONLY) && !(__builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")))
		return false;
	return true;
}

/*
 * The emulator follows AMD in what vendors do in different ways: MOVSXD with 16-bit operands, registers
 * after a failed CMPXCHG, alignment of vectors, order of faults.
 */
static bool processor_suffices(void)
{
	/* HWCAP2_FSGSBASE: the kernel lets us set the base of GS. */
	return __builtin_cpu_is("amd") && __builtin_cpu_supports("avx2") &&
	       __builtin_cpu_supports("popcnt") && (getauxval(AT_HWCAP2) & 2);
}

static bool map_memory(void)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	void *mem = mmap((void *)MEM_ADDRESS, MACHINE_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
	void *code = mmap((void *)CODE_ADDRESS, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
			  flags, -1, 0);
	unsigned int i;

	if (mem == MAP_FAILED || code == MAP_FAILED)
		return false;
	for (i = 0; i < MACHINE_BYTES; i++)
		shadow[i] = ((u8 *)mem)[i] = i * 37 + (i >> 8);
	return !mprotect((u8 *)mem + MACHINE_RO_OFFSET, PAGE_SIZE, PROT_READ) &&
	       !mprotect((u8 *)mem + MACHINE_NONE_OFFSET, PAGE_SIZE, PROT_NONE);
}

static bool run_form(const struct gen_form *form, unsigned long nr, u64 seed, bool undefined)
{
	static const struct gen_places at = {
		.mem = MEM_ADDRESS, .code = CODE_ADDRESS, .target = CODE_ADDRESS + TARGET_OFFSET,
	};
	unsigned int bad = 0;
	struct gen_case c;

	while (nr-- && bad < 3) {
		gen_make(&c, form, &at, shadow, &seed);
		if ((undefined || !c.skip) && !run_case(&c, 1 + gen_random(&seed) % 64, undefined))
			bad++;
	}
	return !bad;
}

int main(int argc, char **argv)
{
	unsigned long nr = argc > 1 ? strtoul(argv[1], NULL, 0) : 600;
	u64 seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	bool undefined = argc > 3 && !strcmp(argv[3], "undefined");
	const char *only = argc > 3 && !undefined ? argv[3] : argc > 4 ? argv[4] : NULL;
	unsigned int i, failed = 0;

	printf("1..%u\n", gen_nr_forms);
	if (!processor_suffices() || !map_memory()) {
		for (i = 0; i < gen_nr_forms; i++)
			printf("ok %u - %s # SKIP needs an AMD processor with AVX2 and FSGSBASE\n", i + 1,
			       gen_forms[i].name);
		return 0;
	}
	catch_faults();
	for (i = 0; i < gen_nr_forms; i++) {
		const struct gen_form *f = &gen_forms[i];
		bool ok;

		if ((only && strcmp(only, f->name)) || !is_supported(f)) {
			printf("ok %u - %s # SKIP\n", i + 1, f->name);
			continue;
		}
		ok = run_form(f, nr, seed + i, undefined);
		printf("%sok %u - %s\n", ok ? "" : "not ", i + 1, f->name);
		failed += !ok;
	}
	return failed != 0;
}
