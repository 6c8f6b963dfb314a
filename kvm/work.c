// SPDX-License-Identifier: GPL-2.0
/*
 * The host's pending work (signals, rescheduling, task work) before a guest is
 * entered. The kernel's helper for it counts a signal in the stock module's
 * vCPU object and writes the exit reason there; this file alone knows that object,
 * and offers one that nobody reads.
 */
#include <linux/entry-kvm.h>
#include <linux/kvm_host.h>

int pn_handle_work(void);	/* kvm/vcpu.h, which cannot be included beside kvm_host.h */

static struct kvm_run unread_run;
static struct kvm_vcpu unread_vcpu = { .run = &unread_run };

int pn_handle_work(void)
{
	return xfer_to_guest_mode_handle_work(&unread_vcpu);
}
