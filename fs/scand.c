// SPDX-License-Identifier: GPL-2.0
/*
 * A mount's thread: fills the reserve, and scans when told to. It runs below ordinary
 * processes, and stops for suspend.
 */
#include <linux/freezer.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include "fs/fs.h"
#include "mem/scan.h"

#define SCAND_NICE	5
#define REFILL_RETRY	(HZ / 10)	/* while memory is short */

void pfs_scand_wake(struct pfs_mount *m)
{
	WRITE_ONCE(m->scand_kick, true);
	wake_up(&m->scand_wait);
}

void pfs_scand_settings_changed(struct pfs_mount *m)
{
	WRITE_ONCE(m->scand_settings, true);
	wake_up(&m->scand_wait);
}

/* False: there is not enough memory for it; try again. Those who wait for a frame try when some came. */
static bool refill(struct pfs_mount *m)
{
	u32 before = READ_ONCE(m->pool.reserve.nr);
	bool full = mem_pool_refill(&m->pool);

	if (READ_ONCE(m->pool.reserve.nr) > before)
		pfs_frames_arrived(m);
	pfs_sysfs_reserve_changed(m);
	return full;
}

/* 0 while a fifth of the memory is available, 100 when a twentieth is. */
static u32 pressure_percent(void)
{
	u64 percent = div64_u64(100ULL * max(si_mem_available(), 0L), totalram_pages());

	return percent >= 20 ? 0 : percent <= 5 ? 100 : (20 - percent) * 100 / 15;
}

/* Jiffies until the next step. */
static long scan_step(struct pfs_mount *m)
{
	struct mem_scan *scan = m->pool.scan;
	struct mem_scan_step step;

	WRITE_ONCE(m->scand_settings, false);
	if (READ_ONCE(scan->run) && time_after_eq(jiffies, m->scand_pressure_next)) {
		WRITE_ONCE(scan->pressure_percent, pressure_percent());
		m->scand_pressure_next = jiffies + HZ;
	}
	step = mem_scan_step(&m->pool);
	if (step.sleep_ns == U64_MAX)
		return MAX_SCHEDULE_TIMEOUT;
	return min_t(u64, nsecs_to_jiffies64(step.sleep_ns), HZ);
}

static void wait_for_work(struct pfs_mount *m, long timeout)
{
	if (!timeout) {
		cond_resched();
		try_to_freeze();
		return;
	}
	wait_event_freezable_timeout(m->scand_wait,
				     READ_ONCE(m->scand_kick) || READ_ONCE(m->scand_settings) ||
				     kthread_should_stop(), timeout);
}

static int scand(void *data)
{
	struct pfs_mount *m = data;
	bool full = true;

	set_freezable();
	set_user_nice(current, SCAND_NICE);
	while (!kthread_should_stop()) {
		long timeout;

		if (xchg(&m->scand_kick, false) || !full)
			full = refill(m);
		timeout = scan_step(m);
		wait_for_work(m, full ? timeout : min_t(long, timeout, REFILL_RETRY));
	}
	return 0;
}

int pfs_scand_start(struct pfs_mount *m)
{
	struct task_struct *task;

	m->scand_pressure_next = jiffies;
	task = kthread_run(scand, m, "penumbra/%u:%u",
			   MAJOR(m->sb->s_dev), MINOR(m->sb->s_dev));

	if (IS_ERR(task))
		return PTR_ERR(task);
	m->scand = task;
	return 0;
}

void pfs_scand_stop(struct pfs_mount *m)
{
	if (!m->scand)
		return;
	kthread_stop(m->scand);
	m->scand = NULL;
}
