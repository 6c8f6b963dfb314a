/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The virtualization extension, on and off: kvm/power.c.
 */
#ifndef PN_KVM_POWER_H
#define PN_KVM_POWER_H

#include <linux/percpu.h>

/*
 * The extension is on here. Interrupts off: what is read stays true until they are on
 * again.
 */
DECLARE_PER_CPU(bool, pn_cpu_on);

/*
 * init: turns it on everywhere, now and whenever a processor comes or the machine wakes up;
 * 0 or -errno, with nothing left on. fini: off everywhere; no vCPU is left.
 */
int pn_power_init(void);
void pn_power_fini(void);

#endif
