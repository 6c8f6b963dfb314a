// SPDX-License-Identifier: GPL-2.0
/* KSM and penumbra_mem behind one interface. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "sharing.h"

#define KSM_DIR		"/sys/kernel/mm/ksm"
#define KSM_PAUSE_MS	20			/* KSM's default between two batches */

static void write_value(const char *dir, const char *name, uint64_t value)
{
	char path[2 * SHARING_PATH_BYTES];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "w");
	if (!file)
		qemu_die(path);
	fprintf(file, "%lu\n", value);
	if (fclose(file))
		qemu_die(path);
}

static uint64_t read_value(const char *dir, const char *name)
{
	char path[2 * SHARING_PATH_BYTES];
	uint64_t value;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%lu", &value) != 1)
		qemu_die(path);
	fclose(file);
	return value;
}

/* --- KSM ----------------------------------------------------------------- */

static pid_t find_thread(const char *wanted)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	char path[300], name[32];
	pid_t found = 0;
	FILE *file;

	while (!found && (entry = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fscanf(file, "%31s", name) == 1 && !strcmp(name, wanted))
			found = (pid_t)atoi(entry->d_name);
		fclose(file);
	}
	closedir(proc);
	errno = ESRCH;
	if (!found)
		qemu_die(wanted);
	return found;
}

static void ksm_run(const struct scanner *scanner, uint64_t pages_per_second)
{
	write_value(scanner->sysfs, "sleep_millisecs", KSM_PAUSE_MS);
	write_value(scanner->sysfs, "pages_to_scan", pages_per_second * KSM_PAUSE_MS / 1000);
	write_value(scanner->sysfs, "run", 1);
}

static void ksm_stop(const struct scanner *scanner)
{
	write_value(scanner->sysfs, "run", 0);
}

/* pages_sharing: mappings of shared pages beyond each one's first, so what is saved. */
static void ksm_read(const struct scanner *scanner, struct scan_state *state)
{
	state->cpu_ns = process_cpu_ns(scanner->thread);
	state->saved = read_value(scanner->sysfs, "pages_sharing");
	state->rounds = read_value(scanner->sysfs, "full_scans");
	state->visited = 0;
}

/* --- penumbra_mem -------------------------------------------------------- */

static void penumbra_run(const struct scanner *scanner, uint64_t pages_per_second)
{
	write_value(scanner->sysfs, "scan/pages_per_second", pages_per_second);
	write_value(scanner->sysfs, "scan/cpu_percent", 100);
	write_value(scanner->sysfs, "scan/run", 1);
}

static void penumbra_stop(const struct scanner *scanner)
{
	write_value(scanner->sysfs, "scan/run", 0);
}

static void penumbra_read(const struct scanner *scanner, struct scan_state *state)
{
	state->cpu_ns = read_value(scanner->sysfs, "scan/cpu_ns");
	state->saved = read_value(scanner->sysfs, "saved_pages");
	state->rounds = read_value(scanner->sysfs, "scan/rounds");
	state->visited = read_value(scanner->sysfs, "scan/visited_pages");
}

void scanner_init(struct scanner *scanner, const char *dir)
{
	struct stat st;

	memset(scanner, 0, sizeof(*scanner));
	if (!*dir) {
		scanner->name = "ksm";
		scanner->run = ksm_run;
		scanner->stop = ksm_stop;
		scanner->read = ksm_read;
		scanner->thread = find_thread("ksmd");
		snprintf(scanner->sysfs, sizeof(scanner->sysfs), "%s", KSM_DIR);
		write_value(KSM_DIR, "run", 2);	/* forget guests that have ended */
		return;
	}
	if (stat(dir, &st))
		qemu_die(dir);
	scanner->name = "penumbra";
	scanner->run = penumbra_run;
	scanner->stop = penumbra_stop;
	scanner->read = penumbra_read;
	snprintf(scanner->dir, sizeof(scanner->dir), "%s", dir);
	snprintf(scanner->sysfs, sizeof(scanner->sysfs), "/sys/fs/penumbra/%u:%u",
		 major(st.st_dev), minor(st.st_dev));
}
