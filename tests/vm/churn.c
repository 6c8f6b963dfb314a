// SPDX-License-Identifier: GPL-2.0
/*
 * Guests on RAM files that check their own memory, while the host scans and merges it
 * and does everything else to the files that may be done to a running guest's RAM.
 *
 *   VM 0 .. 2    a checker each, the first has two; odd pages are equal, within a VM and between VMs
 *   cloner       parks a VM, clones its file, lets it go on; the clone stays what it was, is
 *                written to, punched and cloned again, and goes
 *   deduper      asks for equal ranges of two VMs' files to become one
 *   puncher      gives pages back that no guest uses, and takes them again
 *   unmapper     drops the VMs' own mappings, maps the files elsewhere, reads them
 *   pinner       holds pages by pipes and reads them through other processes' eyes
 *
 * The script beside it has the scanner run at full speed. In the end the host compares every
 * guest's memory with what the guest says it wrote.
 * usage: churn FOLDER SECONDS
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "checker.h"

#define VMS		3
#define SPARE		(4 * MIB)		/* behind what the guest uses */
#define FILE_SIZE	(RAM_SIZE + SPARE)

static const char *folder;
static struct vm vms[VMS];
static int files[VMS];
static volatile bool stopping;

static struct {
	unsigned long clones, clone_pages_wrong, same, differ, punches, not_zero, unmaps, pins;
} count;

/* The VMs' files stay, for the check of everything when the filesystem is unmounted. */
static int open_file(const char *name, int n, bool keep)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s%d", folder, name, n);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		die(path);
	if (!keep)
		unlink(path);
	return fd;
}

static uint8_t *map(int fd, size_t size, bool aligned)
{
	uint8_t *at = mmap(NULL, size + 2 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		die("mmap");
	at = (uint8_t *)(((uintptr_t)at + 2 * MIB - 1) & ~(2 * MIB - 1)) + (aligned ? 0 : -PAGE);
	at = mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	if (at == MAP_FAILED)
		die("mapping a RAM file");
	return at;
}

static void new_vm(int kvm, int n)
{
	files[n] = open_file("ram", n, true);
	if (ftruncate(files[n], FILE_SIZE))
		die("ftruncate");
	/* One of them at an address that allows no 2 MiB mappings. */
	vm_new(&vms[n], kvm, map(files[n], FILE_SIZE, n != 2), RAM_SIZE);
	vm_add_checker(&vms[n], kvm);
	if (!n)
		vm_add_checker(&vms[n], kvm);
}

static size_t random_range(unsigned int *seed, size_t limit, size_t *len)
{
	*len = (next_random(seed) % 128 + 1) * PAGE;
	if (next_random(seed) % 4 == 0)
		*len = 2 * MIB;
	return *len == 2 * MIB ? next_random(seed) % (limit / *len) * *len :
				 next_random(seed) % ((limit - *len) / PAGE) * PAGE;
}

/* ---- clones ---- */

static int new_clone(int from, int n)
{
	int fd = open_file("clone", n, false);

	if (ioctl(fd, FICLONE, from))
		die("FICLONE");
	return fd;
}

static void compare_clone(int fd, const uint8_t *copy)
{
	uint8_t page[PAGE];

	for (size_t at = 0; at < RAM_SIZE; at += PAGE) {
		if (pread(fd, page, PAGE, at) != PAGE)
			die("reading a clone");
		count.clone_pages_wrong += !!memcmp(page, copy + at, PAGE);
	}
}

/* What happens to a clone must not be seen in the VM, nor in another clone. */
static void spoil_clone(int fd, unsigned int *seed)
{
	uint8_t junk[PAGE];
	size_t len;

	memset(junk, 0xa5, sizeof(junk));
	for (int i = 0; i < 40; i++) {
		size_t at = random_range(seed, RAM_SIZE, &len);

		if (i % 4 == 0)
			fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, len);
		else if (pwrite(fd, junk, PAGE, at) != PAGE)
			die("writing to a clone");
	}
}

static void *clone_thread(void *arg)
{
	uint8_t *copy = malloc(RAM_SIZE);
	unsigned int seed = 11;

	for (int n = 0; !stopping; n = (n + 1) % VMS) {
		int fd, second;

		vm_park(&vms[n]);
		fd = new_clone(files[n], n);
		memcpy(copy, vms[n].ram, RAM_SIZE);
		vm_unpark(&vms[n]);
		second = new_clone(fd, VMS + n);
		nap(20000);
		spoil_clone(second, &seed);
		compare_clone(fd, copy);
		close(second);
		if (next_random(&seed) % 2 && ftruncate(fd, next_random(&seed) % FILE_SIZE))
			die("truncating a clone");
		close(fd);
		count.clones++;
	}
	free(copy);
	return arg;
}

/* ---- deduplication, holes, mappings, pins ---- */

static void *dedupe_thread(void *arg)
{
	struct {
		struct file_dedupe_range range;
		struct file_dedupe_range_info info;
	} d;
	unsigned int seed = 12;
	size_t len;

	while (!stopping) {
		int a = next_random(&seed) % VMS, b = next_random(&seed) % VMS;

		memset(&d, 0, sizeof(d));
		d.range.src_offset = random_range(&seed, FILE_SIZE, &len) / PAGE * PAGE;
		d.range.src_length = len;
		d.range.dest_count = 1;
		d.info.dest_fd = files[b];
		d.info.dest_offset = a == b ? random_range(&seed, FILE_SIZE - len, &len) : d.range.src_offset;
		if (!ioctl(files[a], FIDEDUPERANGE, &d)) {
			count.same += d.info.status == FILE_DEDUPE_RANGE_SAME;
			count.differ += d.info.status == FILE_DEDUPE_RANGE_DIFFERS;
		}
		nap(3000);
	}
	return arg;
}

static void *punch_thread(void *arg)
{
	unsigned int seed = 13;
	size_t len;

	while (!stopping) {
		int n = next_random(&seed) % VMS;
		size_t at = random_range(&seed, SPARE, &len);
		uint8_t *p = vms[n].ram + RAM_SIZE + at;

		memset(p, next_random(&seed), len);
		if (next_random(&seed) % 2)
			nap(2000);
		if (next_random(&seed) % 2 ? madvise(p, len, MADV_REMOVE) :
		    fallocate(files[n], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, RAM_SIZE + at, len))
			die("punching");
		for (size_t i = 0; i < len; i += PAGE / 2)
			count.not_zero += p[i] != 0;
		count.punches++;
		nap(1000);
	}
	return arg;
}

static void *unmap_thread(void *arg)
{
	unsigned int seed = 14, sum = 0;
	size_t len;

	while (!stopping) {
		int n = next_random(&seed) % VMS;
		size_t at = random_range(&seed, RAM_SIZE, &len);
		uint8_t *p;

		madvise(vms[n].ram + at, len, MADV_DONTNEED);
		p = mmap(NULL, len, PROT_READ, next_random(&seed) % 2 ? MAP_SHARED : MAP_PRIVATE, files[n], at);
		if (p == MAP_FAILED)
			die("mapping part of a file");
		for (size_t i = 0; i < len; i += PAGE)
			sum += p[i];
		munmap(p, len);
		count.unmaps++;
		nap(2000);
	}
	return sum ? arg : NULL;
}

static void *pin_thread(void *arg)
{
	unsigned int seed = 15;
	static uint8_t sink[16 * PAGE];
	int ends[2];

	if (pipe(ends))
		die("pipe");
	while (!stopping) {
		int n = next_random(&seed) % VMS;
		size_t at = next_random(&seed) % (RAM_SIZE / PAGE - 8) * PAGE;
		struct iovec part = { vms[n].ram + at, 8 * PAGE }, to = { sink, 8 * PAGE };
		ssize_t held = vmsplice(ends[1], &part, 1, SPLICE_F_NONBLOCK);

		if (process_vm_readv(getpid(), &to, 1, &part, 1, 0) < 0)
			die("process_vm_readv");
		nap(5000);
		while (held > 0)
			held -= read(ends[0], sink, held);
		count.pins++;
	}
	return arg;
}

/* ---- */

static bool all_good(void)
{
	bool good = true;

	for (int n = 0; n < VMS; n++)
		good &= vm_stop(&vms[n]);
	return good;
}

static bool all_hold(void)
{
	bool good = true;

	for (int n = 0; n < VMS; n++)
		for (int i = 0; i < vms[n].nr_cpus; i++)
			good &= vm_holds_what_it_wrote(&vms[n], i);
	return good;
}

static unsigned long least_passes(void)
{
	unsigned long least = ~0ul;

	for (int n = 0; n < VMS; n++)
		for (int i = 0; i < vms[n].nr_cpus; i++)
			if (vms[n].cpus[i].passes < least)
				least = vms[n].cpus[i].passes;
	return least;
}

int main(int argc, char **argv)
{
	void *(*const work[])(void *) = { clone_thread, dedupe_thread, punch_thread, unmap_thread,
					  pin_thread };
	pthread_t workers[sizeof(work) / sizeof(*work)];
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	bool good;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (kvm < 0 || argc < 3)
		die("usage: churn FOLDER SECONDS, with /dev/kvm");
	folder = argv[1];
	for (int n = 0; n < VMS; n++)
		new_vm(kvm, n);
	for (int n = 0; n < VMS; n++)
		vm_start(&vms[n]);
	for (size_t i = 0; i < sizeof(work) / sizeof(*work); i++)
		pthread_create(&workers[i], NULL, work[i], NULL);
	/* Longer where the machine is slow: everybody is to get round at least once. */
	for (long i = 0, enough = atol(argv[2]); i < enough || (i < 4 * enough && !least_passes()); i++)
		nap(1000000);
	stopping = true;
	for (size_t i = 0; i < sizeof(work) / sizeof(*work); i++)
		pthread_join(workers[i], NULL);
	good = all_good();
	printf("# passes %lu at least, clones %lu, dedupe same %lu differ %lu, punches %lu, unmaps %lu, pins %lu\n",
	       least_passes(), count.clones, count.same, count.differ, count.punches, count.unmaps,
	       count.pins);
	point(good, "the guests find their memory as they left it");
	point(all_hold(), "and so does the host");
	point(least_passes() > 0, "all get somewhere");
	point(count.clones && !count.clone_pages_wrong, "a clone stays what it was");
	point(count.same, "equal ranges became one");
	point(count.punches && !count.not_zero, "what was given back is zero");
	return points_done();
}
