// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the adversary guest, part by part, mostly with as few shadow pages as
 * KVM_SET_NR_MMU_PAGES lets one ask for; meanwhile another thread sees how long it has to wait for the processor
 * and for a page of the guest to be taken away.
 *
 * Runs in the test host on any KVM. usage: adversary [LONGEST_DELAY_US]: with a number
 * that is a point of its own, for a test host whose time counts instructions.
 */
#include <errno.h>
#include <glob.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include "tap.h"
#include "vmm.h"
#include "adversary.h"

#define FEW		64	/* shadow pages asked for: the fewest there are */
#define MANY		8000
#define MMIO_MAX	64	/* in a row, where the guest's tables lead nowhere */

__asm__(".pushsection .rodata\n"
	".global guest, guest_end\n"
	"guest:\n"
	".incbin \"" ADV_BINARY "\"\n"
	"guest_end:\n"
	".popsection\n");
extern const char guest[], guest_end[];

static const struct {
	const char *name;
	unsigned int cpus, pages;
} parts[] = {
	[ADV_CYCLE] = { "a cycle of tables larger than the limit", 1, FEW },
	[ADV_RECURSION] = { "a root all of whose entries point to itself", 1, FEW },
	[ADV_LEVELS] = { "one table at several levels", 1, FEW },
	[ADV_IN_ROM] = { "tables in read-only memory", 1, FEW },
	[ADV_BY_DMA] = { "tables at rest, written by a device", 1, FEW },
	[ADV_ONE_PAGE] = { "one page and one table, pointed to by thousands of entries", 1, FEW },
	[ADV_MANY] = { "thousands of tables, changed and out of use all at once", 1, MANY },
	[ADV_WATCHED] = { "tables changed by another vCPU", 2, FEW },
};

static uint8_t *mem, *rom;
static unsigned int rom_writes;

static uint64_t *word_at(uint64_t gpa)
{
	return (uint64_t *)(mem + (gpa - ADV_BASE));
}

static void fill_memory(void)
{
	uint64_t *leaf = (uint64_t *)rom, *dir = (uint64_t *)(rom + ADV_PAGE);

	memcpy(mem, guest, guest_end - guest);
	for (unsigned int i = 0; i < ADV_NR_DATA; i++)
		*word_at(ADV_DATA + i * ADV_PAGE) = ADV_WORD(ADV_DATA + i * ADV_PAGE);
	for (unsigned int i = 0; i < ADV_NR_ROM; i++)
		leaf[i] = (ADV_DATA + i * ADV_PAGE) | PTE_OPEN;
	dir[0] = ADV_ROM | PTE_OPEN;
	*(uint64_t *)(rom + 2 * ADV_PAGE) = ADV_WORD(ADV_ROM + 2 * ADV_PAGE);
}

static void *new_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		tap_bail("memory");
	return p;
}

static struct vmm *new_vm(void)
{
	struct vmm *v = vmm_new();

	mem = new_memory(ADV_SIZE);
	rom = new_memory(ADV_ROM_PAGES * ADV_PAGE);
	fill_memory();
	if (vmm_slot(v, 1, 0, ADV_BASE, ADV_SIZE, mem) ||
	    vmm_slot(v, 2, KVM_MEM_READONLY, ADV_ROM, ADV_ROM_PAGES * ADV_PAGE, rom))
		tap_bail("slots");
	vmm_add_vcpu(v);
	vmm_add_vcpu(v);
	return v;
}

static void start(struct vmm *v, unsigned int cpu, unsigned int part)
{
	struct kvm_regs r;

	vmm_mode(v, cpu, VMM_LONG);
	r = vmm_regs(v, cpu);
	r.rip = ADV_CODE;
	r.rsp = ADV_STACK(cpu);
	r.rdi = part;
	r.rsi = cpu;
	vmm_set_regs(v, cpu, &r);
}

static void port(uint16_t nr)
{
	struct adv_shared *s = (struct adv_shared *)word_at(ADV_SHARED);

	if (nr == ADV_PORT_YIELD)
		sched_yield();
	for (unsigned int i = 0; nr == ADV_PORT_DMA && i < ADV_NR_DMA; i++)
		*word_at(s->dma_at[i]) = s->dma[i];
}

/* Until it halts, or is at an end otherwise. */
static void run(struct vmm *v, unsigned int cpu)
{
	struct kvm_run *run = v->run[cpu];
	unsigned int mmio = 0;

	while (!vmm_run(v, cpu)) {
		if (run->exit_reason == KVM_EXIT_IO) {
			port(run->io.port);
		} else if (run->exit_reason == KVM_EXIT_MMIO && mmio++ < MMIO_MAX) {
			rom_writes += run->mmio.is_write && run->mmio.phys_addr - ADV_ROM < 3 * ADV_PAGE;
			memset(run->mmio.data, 0, sizeof(run->mmio.data));
		} else {
			return;
		}
	}
}

static void say_state(struct vmm *v, unsigned int cpu)
{
	struct kvm_regs r = vmm_regs(v, cpu);

	tap_note("vCPU %u: %s at %#llx, rax %lld (line), rbx %#llx, cr2 %#llx", cpu,
		 vmm_exit_name(v->run[cpu]->exit_reason), (long long)r.rip, (long long)r.rax,
		 (long long)r.rbx, (long long)vmm_sregs(v, cpu).cr2);
}

struct other {
	struct vmm *v;
	pthread_t thread;
};

static void *other_cpu(void *arg)
{
	run(((struct other *)arg)->v, 1);
	return arg;
}

static bool halted_well(struct vmm *v, unsigned int cpu)
{
	bool good = v->run[cpu]->exit_reason == KVM_EXIT_HLT && vmm_vector(v, cpu) < 0 && !vmm_regs(v, cpu).rax;

	if (!good)
		say_state(v, cpu);
	return good;
}

/* A file of the only VM, opened as mode says, or NULL. */
static FILE *file_of_vm(const char *name, const char *mode)
{
	char pattern[128];
	FILE *f = NULL;
	glob_t found;

	snprintf(pattern, sizeof(pattern), "/sys/kernel/penumbra/vms/*/%s", name);
	if (!glob(pattern, 0, NULL, &found))
		f = fopen(found.gl_pathv[0], mode);
	globfree(&found);
	return f;
}

static long number_of_vm(const char *name)
{
	FILE *f = file_of_vm(name, "r");
	long n = -1;

	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

/* What the two vCPUs have in hand, 8 each, and their roots may come on top. */
static void check_limit(void)
{
	const long limit = FEW + 32;	/* for the second vCPU */
	const long memory = ADV_SIZE / ADV_PAGE + ADV_ROM_PAGES + VMM_RAM / ADV_PAGE;
	/* In this order: reclaim may take some meanwhile. */
	long bytes = number_of_vm("shadow_bytes"), pages = number_of_vm("stat/shadow_pages");
	FILE *f;

	tap_eq(number_of_vm("shadow_max_pages"), limit, "the limit is what was asked for");
	tap_ok(pages > 0 && pages <= limit + 2 * 9, "it is kept (%ld pages)", pages);
	tap_ok(number_of_vm("stat/shadow_dropped") > 1000, "others were given up");
	tap_ok(bytes > 8192 * pages, "what they take is told");
	f = file_of_vm("shadow_max_pages", "w");
	tap_ok(f && fputs("0", f) >= 0 && !fclose(f), "no limit is asked for any more");
	tap_eq(number_of_vm("shadow_max_pages"), memory * 40 / 1000 / 2, "it is a fraction of the memory");
	f = fopen("/sys/module/penumbra_kvm/parameters/shadow_permille", "w");
	tap_ok(f && fputs("1001", f) >= 0 && fclose(f) && errno == EINVAL, "of which there is no more than all");
}

static void run_part(struct vmm *v, unsigned int part)
{
	struct other other = { .v = v };
	bool good;

	if (part == ADV_BY_DMA && vmm_on_stock() && vmm_engine_mode("shadow")) {
		tap_skip(parts[part].name, "the stock module does not see what devices write into tables");
		return;
	}
	if (ioctl(v->vm, KVM_SET_NR_MMU_PAGES, parts[part].pages))
		tap_bail("KVM_SET_NR_MMU_PAGES");
	memset(word_at(ADV_SHARED), 0, sizeof(struct adv_shared));
	start(v, 0, part);
	if (parts[part].cpus > 1) {
		start(v, 1, part + 1);
		pthread_create(&other.thread, NULL, other_cpu, &other);
	}
	run(v, 0);
	if (parts[part].cpus > 1)
		pthread_join(other.thread, NULL);
	good = halted_well(v, 0);
	if (parts[part].cpus > 1)
		good &= halted_well(v, 1);
	tap_ok(good, "%s", parts[part].name);
}

/* ---- another thread of the host ---- */

#define PERIOD_NS	1000000

static volatile bool stopping;
static long longest_ns, longest_take_ns;

static long ns_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - then->tv_sec) * 1000000000l + now.tv_nsec - then->tv_nsec;
}

static void take_page(void)
{
	/* One that the guest does not mind losing; that it is the guest's is all that counts. */
	uint8_t *page = mem + 0x80000;
	struct timespec then;
	long ns;

	*(volatile uint8_t *)page = 1;
	clock_gettime(CLOCK_MONOTONIC, &then);
	madvise(page, ADV_PAGE, MADV_DONTNEED);
	ns = ns_since(&then);
	if (ns > longest_take_ns)
		longest_take_ns = ns;
}

static void *bystander(void *arg)
{
	struct sched_param first = { .sched_priority = 50 };
	struct timespec next;

	if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &first))
		tap_note("no real-time priority: delays are those of an ordinary thread");
	clock_gettime(CLOCK_MONOTONIC, &next);
	while (!stopping) {
		long late;

		next.tv_nsec += PERIOD_NS;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
		late = ns_since(&next);
		if (late > longest_ns)
			longest_ns = late;
		take_page();
		if (late > PERIOD_NS)
			clock_gettime(CLOCK_MONOTONIC, &next);
	}
	return arg;
}

int main(int argc, char **argv)
{
	long most_us = argc > 1 ? atol(argv[1]) : 0;
	struct vmm *v = new_vm();
	pthread_t thread;

	pthread_create(&thread, NULL, bystander, NULL);
	for (unsigned int i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		longest_ns = longest_take_ns = 0;
		run_part(v, i);
		tap_note("longest wait for the processor %ld us, for a page %ld us", longest_ns / 1000,
			 longest_take_ns / 1000);
		if (i == ADV_CYCLE && vmm_engine_mode("shadow") && !vmm_on_stock())
			check_limit();
		if (most_us)
			tap_ok(longest_ns < most_us * 1000 && longest_take_ns < most_us * 1000,
			       "meanwhile others wait for less than %ld us", most_us);
	}
	stopping = true;
	pthread_join(thread, NULL);
	tap_eq(rom_writes, 5, "writes to read-only memory went to the VMM");
	start(v, 0, ADV_IN_HOLE);
	run(v, 0);
	tap_ok(true, "tables where there is no memory: it ended (%s)", vmm_exit_name(v->run[0]->exit_reason));
	run_part(v, ADV_LEVELS);
	vmm_free(v);
	return tap_done();
}
