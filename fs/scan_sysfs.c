// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/fs/penumbra/<mount>/scan: the scanner's settings, which take effect at once, and what it did.
 */
#include <linux/kernel.h>
#include "fs/sysfs.h"
#include "mem/scan.h"

static ssize_t run_get(struct pfs_mount *m, char *buf)
{
	return sysfs_emit(buf, "%d\n", READ_ONCE(m->pool.scan->run));
}

static int run_set(struct pfs_mount *m, const char *text)
{
	bool run;
	int ret = kstrtobool(text, &run);

	if (ret)
		return ret;
	WRITE_ONCE(m->pool.scan->run, run);
	pfs_scand_settings_changed(m);
	return 0;
}
PFS_MOUNT_RW(run);

/* A number in [least, most]. */
static int set_number(struct pfs_mount *m, u32 *word, const char *text, u32 least, u32 most)
{
	u32 value;
	int ret = kstrtou32(text, 0, &value);

	if (ret)
		return ret;
	if (value < least || value > most)
		return -EINVAL;
	WRITE_ONCE(*word, value);
	pfs_scand_settings_changed(m);
	return 0;
}

static ssize_t pages_per_second_get(struct pfs_mount *m, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(m->pool.scan->pages_per_second));
}

static int pages_per_second_set(struct pfs_mount *m, const char *text)
{
	return set_number(m, &m->pool.scan->pages_per_second, text, 0, U32_MAX);
}
PFS_MOUNT_RW(pages_per_second);

static ssize_t cpu_percent_get(struct pfs_mount *m, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(m->pool.scan->cpu_percent));
}

static int cpu_percent_set(struct pfs_mount *m, const char *text)
{
	return set_number(m, &m->pool.scan->cpu_percent, text, 1, 100);
}
PFS_MOUNT_RW(cpu_percent);

static const char * const orders[] = {
	[MEM_SCAN_SEQUENTIAL] = "sequential",
	[MEM_SCAN_RANDOM] = "random",
	[MEM_SCAN_VOLATILE] = "volatile",
};

static ssize_t order_get(struct pfs_mount *m, char *buf)
{
	return sysfs_emit(buf, "%s\n", orders[READ_ONCE(m->pool.scan->order)]);
}

static int order_set(struct pfs_mount *m, const char *text)
{
	int order = __sysfs_match_string(orders, ARRAY_SIZE(orders), text);

	if (order < 0)
		return order;
	WRITE_ONCE(m->pool.scan->order, order);
	pfs_scand_settings_changed(m);
	return 0;
}
PFS_MOUNT_RW(order);

static ssize_t dissolve_pages_get(struct pfs_mount *m, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(m->pool.scan->dissolve_pages));
}

static int dissolve_pages_set(struct pfs_mount *m, const char *text)
{
	return set_number(m, &m->pool.scan->dissolve_pages, text, 0, MEM_HUGE_PAGES);
}
PFS_MOUNT_RW(dissolve_pages);

#define SCAN_STAT(_name, _field)							\
static ssize_t _name##_get(struct pfs_mount *m, char *buf)			\
{										\
	return sysfs_emit(buf, "%lld\n",					\
			  (long long)atomic64_read(&m->pool.scan->stat._field));	\
}										\
PFS_MOUNT_RO(_name)

SCAN_STAT(rounds, rounds);
SCAN_STAT(visited_pages, visited);
SCAN_STAT(hashed_pages, hashed);
SCAN_STAT(merged_pages, merged);
SCAN_STAT(zero_pages, zero);
SCAN_STAT(protected_pages, protected);
SCAN_STAT(skipped_pages, skipped);
SCAN_STAT(dissolved_frames, dissolved);
SCAN_STAT(gathered_frames, gathered);
SCAN_STAT(cpu_ns, cpu_ns);

static ssize_t boost_get(struct pfs_mount *m, char *buf)
{
	return sysfs_emit(buf, "%u\n", mem_scan_boost(m->pool.scan));
}
PFS_MOUNT_RO(boost);

static ssize_t estimate_pages_get(struct pfs_mount *m, char *buf)
{
	return sysfs_emit(buf, "%llu\n", mem_scan_estimate(&m->pool));
}
PFS_MOUNT_RO(estimate_pages);

static struct attribute *scan_attrs[] = {
	&mount_run_attr.attr, &mount_pages_per_second_attr.attr, &mount_cpu_percent_attr.attr,
	&mount_order_attr.attr, &mount_dissolve_pages_attr.attr,
	&mount_dissolved_frames_attr.attr, &mount_gathered_frames_attr.attr,
	&mount_rounds_attr.attr, &mount_visited_pages_attr.attr,
	&mount_hashed_pages_attr.attr, &mount_merged_pages_attr.attr, &mount_zero_pages_attr.attr,
	&mount_protected_pages_attr.attr, &mount_skipped_pages_attr.attr, &mount_cpu_ns_attr.attr,
	&mount_boost_attr.attr, &mount_estimate_pages_attr.attr, NULL,
};
const struct attribute_group pfs_scan_group = { .name = "scan", .attrs = scan_attrs };
