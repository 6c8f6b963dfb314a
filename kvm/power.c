// SPDX-License-Identifier: GPL-2.0
/*
 * When the virtualization extension is on, processor by processor:
 *
 *   the module is loaded, a processor comes, the machine wakes up          on
 *   the module goes, a processor goes, the machine sleeps or restarts      off
 *
 * vCPU threads may still be scheduled on a processor that is about to go, and no
 * thread is stopped before a restart. They see that pn_cpu_on is not set and do not
 * enter the guest there: until they are moved or killed they go round in the run loop.
 */
#include <linux/cpuhotplug.h>
#include <linux/platform_device.h>
#include <linux/pm.h>
#include <linux/reboot.h>
#include <linux/smp.h>
#include "cpu/cpu.h"
#include "kvm/power.h"

DEFINE_PER_CPU(bool, pn_cpu_on);

static enum cpuhp_state hotplug_state;
static struct platform_device *device;

/* Interrupts off. */
static int turn_on(void)
{
	int r = __this_cpu_read(pn_cpu_on) ? 0 : cpu->cpu_enable();

	if (!r)
		__this_cpu_write(pn_cpu_on, true);
	return r;
}

static void turn_off(void)
{
	if (!__this_cpu_read(pn_cpu_on))
		return;
	__this_cpu_write(pn_cpu_on, false);
	cpu->cpu_disable();
}

/* ---- processors ---- */

static int processor_comes(unsigned int nr)
{
	unsigned long flags;
	int r;

	local_irq_save(flags);
	r = turn_on();
	local_irq_restore(flags);
	return r;
}

static int processor_goes(unsigned int nr)
{
	unsigned long flags;

	local_irq_save(flags);
	turn_off();
	local_irq_restore(flags);
	return 0;
}

/* ---- the machine ---- */

static void turn_on_here(void *unused)
{
	WARN_ON_ONCE(turn_on());
}

static void turn_off_here(void *unused)
{
	turn_off();
}

/* Sleeping forgets the registers. All tasks are frozen, so none is between load and put. */
static int machine_sleeps(struct device *dev)
{
	on_each_cpu(turn_off_here, NULL, 1);
	return 0;
}

static int machine_wakes(struct device *dev)
{
	on_each_cpu(turn_on_here, NULL, 1);
	return 0;
}

static const struct dev_pm_ops pm_ops = {
	NOIRQ_SYSTEM_SLEEP_PM_OPS(machine_sleeps, machine_wakes)
};

/* A device for the sake of its sleep callbacks; there is nothing else to it. */
static struct platform_driver driver = {
	.driver = { .name = "penumbra_kvm", .pm = pm_sleep_ptr(&pm_ops) },
};

/* A new kernel (kexec) or the firmware must not find the extension on. */
static int machine_restarts(struct notifier_block *nb, unsigned long event, void *unused)
{
	on_each_cpu(turn_off_here, NULL, 1);
	return NOTIFY_OK;
}

static struct notifier_block reboot_nb = {
	.notifier_call = machine_restarts,
};

/* ---- module life ---- */

int pn_power_init(void)
{
	int r = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "penumbra/kvm:online",
				  processor_comes, processor_goes);

	if (r < 0)
		return r;
	hotplug_state = r;
	r = platform_driver_register(&driver);
	if (r)
		goto remove_state;
	device = platform_device_register_simple(driver.driver.name, PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(device)) {
		r = PTR_ERR(device);
		goto unregister_driver;
	}
	register_reboot_notifier(&reboot_nb);
	return 0;

unregister_driver:
	platform_driver_unregister(&driver);
remove_state:
	cpuhp_remove_state(hotplug_state);
	return r;
}

void pn_power_fini(void)
{
	unregister_reboot_notifier(&reboot_nb);
	platform_device_unregister(device);
	platform_driver_unregister(&driver);
	cpuhp_remove_state(hotplug_state);
}
