// SPDX-License-Identifier: GPL-2.0
/*
 * Runs in the test host: does memory come back that a guest has freed?
 *
 *	bench-freed RESULT LABEL DIR MIB ORDER -- qemu-system-x86_64 ARGUMENT...
 *
 * Boots a guest with a RAM file in DIR and free page reporting, lets it fill half of its
 * free memory and free it again, and waits until the file's resident size no longer falls. ORDER
 * is the smallest block that the guest shall report, "" what it has already (2 MiB by default).
 * The line appended to RESULT, separated by tabs, in pages; used is the guest's RAM less its
 * MemFree, held what is free and not reported, in the end:
 *
 *	freed LABEL RESIDENT USED PEAK_RESIDENT PEAK_USED END_RESIDENT END_USED WAITED_MS HELD
 *
 * A guest does not report smaller blocks, nor anything of a zone (the first 16 MiB are one)
 * that has less free than 32 blocks of that size.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sharing.h"

#define SECOND_NS	1000000000ull
#define ANSWER_NS	(120 * SECOND_NS)
#define QUIET_SECONDS	6u			/* the guest reports every 2 s */
#define MAX_SECONDS	120u
#define ORDER_FILE	"/sys/module/page_reporting/parameters/page_reporting_order"

struct memory {
	uint64_t resident, used;
};

static uint64_t resident_pages(const char *dir)
{
	char path[SHARING_PATH_BYTES];
	struct stat st;

	snprintf(path, sizeof(path), "%.200s/guest0", dir);
	if (stat(path, &st))
		qemu_die(path);
	return (uint64_t)st.st_blocks / 8;
}

/* A number between "@=" and ";". */
static bool has_number(const char *text, void *value)
{
	const char *at;

	for (at = text; (at = strstr(at, "@=")); at++)
		if (sscanf(at, "@=%lu;", (uint64_t *)value) == 1 && strchr(at, ';'))
			return true;
	return false;
}

/* Type @command; the number behind "@=" in what the guest prints (in the echo there is none). */
static uint64_t ask(struct guests *guests, const char *command)
{
	struct qemu *qemu = &guests->qemu[0];
	char text[8192];
	uint64_t value;

	if (write(qemu->serial, command, strlen(command)) < 0)
		qemu_die("serial");
	if (guest_listen(qemu, ANSWER_NS, text, sizeof(text), has_number, &value))
		return value;
	fprintf(stderr, "bench-freed: no answer to %s", command);
	exit(1);
}

static struct memory look(struct guests *guests, const char *dir)
{
	uint64_t free_kib = ask(guests, "echo \"@=$(awk '/MemFree/ { print $2 }' /proc/meminfo);\"\n");

	return (struct memory){ resident_pages(dir), guests->mib * 256ul - free_kib / 4 };
}

/* Free pages that the guest keeps to itself. */
static uint64_t held_pages(struct guests *guests)
{
	unsigned int order = (unsigned int)ask(guests, "echo \"@=$(cat " ORDER_FILE ");\"\n");
	char command[400];

	snprintf(command, sizeof(command), "echo \"@=$(awk '{ size = 1; all = small = 0; "
		 "for (i = 5; i <= NF; i++) { all += $i * size; if (i < %u) small += $i * size; size *= 2 } "
		 "held += all > %u ? small : all } END { print held }' /proc/buddyinfo);\"\n", 5 + order,
		 32u << order);
	return ask(guests, command);
}

/* Until it has not fallen for a while; milliseconds until the last time it fell. */
static uint64_t wait_until_back(struct guests *guests, const char *dir)
{
	uint64_t start = now_ns(), fell = start, least = resident_pages(dir), now;

	for (unsigned int i = 0; i < 10 * MAX_SECONDS; i++) {
		guests_wait_ns(guests, SECOND_NS / 10);
		now = resident_pages(dir);
		if (now < least) {
			least = now;
			fell = now_ns();
		}
		if (now_ns() > fell + QUIET_SECONDS * SECOND_NS)
			break;
	}
	return (fell - start) / 1000000;
}

static void measure(FILE *result, const char *label, const char *dir, struct guests *guests,
		    const char *order)
{
	struct memory start, peak, end;
	char command[200];
	uint64_t waited;

	if (*order) {
		snprintf(command, sizeof(command), "echo %s >" ORDER_FILE "; echo \"@=$?;\"\n", order);
		if (ask(guests, command))
			fprintf(stderr, "bench-freed: the guest does not take the order\n");
	}
	/* until reporting at boot is over, too */
	wait_until_back(guests, dir);
	start = look(guests, dir);
	snprintf(command, sizeof(command), "mount -t tmpfs -o size=100%% none /tmp; "
		 "tr '\\0' x </dev/zero | head -c %lu >/tmp/x; echo \"@=$?;\"\n",
		 ((guests->mib - start.used / 256) / 2) << 20);
	if (ask(guests, command))
		fprintf(stderr, "bench-freed: the guest could not fill its memory\n");
	peak = look(guests, dir);
	ask(guests, "rm /tmp/x; echo \"@=$?;\"\n");
	waited = wait_until_back(guests, dir);
	end = look(guests, dir);
	fprintf(result, "freed\t%s\t%lu\t%lu\t%lu\t%lu\t%lu\t%lu\t%lu\t%lu\n", label,
		start.resident, start.used, peak.resident, peak.used, end.resident, end.used, waited,
		held_pages(guests));
}

int main(int argc, char **argv)
{
	struct guests *guests = calloc(1, sizeof(*guests));
	struct scanner scanner = { .name = "none" };
	FILE *result;

	if (argc < 8 || !guests || strcmp(argv[6], "--")) {
		fprintf(stderr, "usage: bench-freed RESULT LABEL DIR MIB ORDER -- QEMU ARGUMENT...\n");
		return 2;
	}
	result = fopen(argv[1], "a");
	if (!result)
		qemu_die(argv[1]);
	snprintf(scanner.dir, sizeof(scanner.dir), "%s", argv[3]);
	guests->mib = (unsigned int)atoi(argv[4]);
	guests_add(guests, &scanner, argv + 7);
	measure(result, argv[2], argv[3], guests, argv[5]);
	guests_end(guests, &scanner);
	if (fclose(result))
		qemu_die(argv[1]);
	return 0;
}
