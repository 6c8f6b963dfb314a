// SPDX-License-Identifier: GPL-2.0
/*
 * Guest time: the TSC as the guest reads it, and the kvmclock pages.
 *
 *   guest TSC  = host TSC + tsc_offset                    (no scaling)
 *   guest time = base + kvmclock_offset                   base: ns since host boot
 *
 * A guest computes its time from a page of ours and its TSC:
 *
 *   time = system_time + (TSC - tsc_timestamp) * mult >> 32, after a shift
 *
 * While the host's own clock runs on the TSC, all pages of a VM are made from one
 * pair (host TSC, base) taken once, so that all vCPUs compute the same line
 * and never see time go back between them; the pages then carry the "stable" flag. The
 * base is the raw monotonic clock, which goes at the TSC's nominal rate: the
 * pair does not age. When the host leaves the TSC, every page gets a pair of its
 * own, is renewed as the vCPU moves, and the flag is off.
 *
 * Locking: vm->clock_lock, a leaf, guards the pair, the offset and the last TSC
 * write. A page is written by its own vCPU's thread only.
 */
#include <linux/ktime.h>
#include <linux/uaccess.h>
#include <asm/msr.h>
#include <asm/pvclock-abi.h>
#include <asm/tsc.h>
#include "kvm/slots.h"
#include "kvm/state.h"

#define ENABLED			1ULL
#define STABLE_INTERVAL		(10 * HZ)	/* to look whether the host has left the TSC */
#define UNSTABLE_INTERVAL	HZ
#define TSC_TOLERANCE_PPM	250	/* of a wanted frequency, as the stock module */
#define CLOCK_VALID_FLAGS \
	(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

struct host_time {
	u64 tsc;
	s64 base_ns;		/* raw monotonic, counting suspend */
	s64 real_ns;
	bool stable;		/* base_ns is a function of the TSC */
};

/* One moment in all the host's clocks. */
static void read_host_time(struct host_time *t)
{
	struct system_time_snapshot s;
	u64 before, after;
	unsigned long flags;

	local_irq_save(flags);
	before = rdtsc_ordered();
	ktime_get_snapshot(&s);
	after = rdtsc_ordered();
	local_irq_restore(flags);
	t->base_ns = ktime_to_ns(ktime_add(s.raw, ktime_mono_to_any(0, TK_OFFS_BOOT)));
	t->real_ns = ktime_to_ns(s.real);
	/* If the clock's own counter reads between two of ours, it is the TSC. */
	t->stable = s.cycles - before <= after - before && !check_tsc_unstable();
	t->tsc = t->stable ? s.cycles : after;
}

/* The factor of the formula above for the host's TSC: mult in [2^31, 2^32). */
static void tsc_scale(u32 *mult, s8 *shift)
{
	u64 hz = tsc_khz * 1000ULL, scaled = hz;

	*shift = 0;
	for (; scaled >= 2ULL * NSEC_PER_SEC; scaled >>= 1)
		--*shift;
	for (; scaled <= NSEC_PER_SEC; scaled <<= 1)
		++*shift;
	if (*shift < 0)
		*mult = div64_u64((u64)NSEC_PER_SEC << (32 - *shift), hz);
	else
		*mult = div64_u64((u64)NSEC_PER_SEC << 32, hz << *shift);
}

/* As guests do it, so that we get what they get. */
static u64 cycles_to_ns(u64 cycles)
{
	u32 mult;
	s8 shift;

	tsc_scale(&mult, &shift);
	cycles = shift < 0 ? cycles >> -shift : cycles << shift;
	return mul_u64_u32_shr(cycles, mult, 32);
}

static u64 ns_to_cycles(u64 ns)
{
	return mul_u64_u64_div_u64(ns, tsc_khz, NSEC_PER_MSEC);
}

static void request_all(struct pn_vm *vm)
{
	unsigned int i, nr = READ_ONCE(vm->nr_vcpus);

	for (i = 0; i < nr; i++) {
		struct pn_vcpu *v = READ_ONCE(vm->vcpus[i]);

		if (!v)
			continue;
		pn_vcpu_request(v, PN_REQ_CLOCK);
		pn_vcpu_kick(v);
	}
}

/* ---- TSC ---- */

u64 pn_guest_tsc(struct pn_vcpu *vcpu)
{
	return rdtsc_ordered() + vcpu->tsc_offset;
}

/* Guests read the first vCPU's page for all of them when it says "stable". */
static bool tscs_match(struct pn_vm *vm)
{
	unsigned int i, nr = READ_ONCE(vm->nr_vcpus);
	struct pn_vcpu *first = READ_ONCE(vm->vcpus[0]);

	for (i = 1; i < nr; i++) {
		struct pn_vcpu *v = READ_ONCE(vm->vcpus[i]);

		if (v && READ_ONCE(v->tsc_offset) != READ_ONCE(first->tsc_offset))
			return false;
	}
	return true;
}

static void set_offset(struct pn_vcpu *vcpu, u64 offset)
{
	if (vcpu->tsc_offset == offset)
		return;
	WRITE_ONCE(vcpu->tsc_offset, offset);
	cpu->update(vcpu, CPU_UPDATE_TSC);
	request_all(vcpu->vm);
}

void pn_adjust_tsc_offset(struct pn_vcpu *vcpu, u64 delta)
{
	set_offset(vcpu, vcpu->tsc_offset + delta);
}

/*
 * User space writes the TSCs of several vCPUs one after the other and means the same
 * moment: a value within a second of what an earlier one has become by now, or
 * 0 (a vCPU joins), gets that one's offset.
 */
static u64 choose_offset(struct pn_vm *vm, u64 tsc, bool by_user)
{
	u64 hz = tsc_khz * 1000ULL, expected, offset;
	struct host_time now;
	bool joins = false;

	read_host_time(&now);
	spin_lock(&vm->clock_lock);
	if (vm->tsc_last_ns) {
		expected = vm->tsc_last_write + ns_to_cycles(now.base_ns - vm->tsc_last_ns);
		joins = !tsc || (vm->tsc_user_set && tsc < expected + hz && tsc + hz > expected);
	}
	if (by_user)
		vm->tsc_user_set = true;
	if (!joins)
		offset = tsc - now.tsc;
	else if (!check_tsc_unstable())		/* whatever clock the host itself runs on */
		offset = vm->tsc_last_offset;
	else
		offset = expected - now.tsc;
	vm->tsc_last_offset = offset;
	vm->tsc_last_write = now.tsc + offset;
	vm->tsc_last_ns = now.base_ns;
	spin_unlock(&vm->clock_lock);
	return offset;
}

void pn_set_guest_tsc(struct pn_vcpu *vcpu, u64 tsc, bool host)
{
	u64 delta;

	if (host) {
		set_offset(vcpu, choose_offset(vcpu->vm, tsc, true));
		return;
	}
	/* The guest's own write is as if it had written TSC_ADJUST (SDM vol. 3, 18.17.3). */
	delta = tsc - pn_guest_tsc(vcpu);
	vcpu->tsc_adjust += delta;
	pn_adjust_tsc_offset(vcpu, delta);
}

static bool khz_is_ours(unsigned long khz)
{
	unsigned long slack = div_u64((u64)tsc_khz * TSC_TOLERANCE_PPM, 1000000);

	return khz >= tsc_khz - slack && khz <= tsc_khz + slack;
}

long pn_vm_set_tsc_khz(struct pn_vm *vm, unsigned long khz)
{
	khz = (u32)khz ?: tsc_khz;
	if (!khz_is_ours(khz))
		return -EINVAL;
	WRITE_ONCE(vm->default_tsc_khz, khz);
	return 0;
}

long pn_vcpu_set_tsc_khz(struct pn_vcpu *vcpu, unsigned long khz)
{
	khz = (u32)khz ?: tsc_khz;
	if (!khz_is_ours(khz))
		return -EINVAL;
	vcpu->tsc_khz = khz;
	return 0;
}

long pn_vcpu_get_tsc_khz(struct pn_vcpu *vcpu, void __user *argp)
{
	return vcpu->tsc_khz;
}

/* ---- the VM's pair ---- */

/* clock_lock held: start a new line at @t. */
static void take_pair(struct pn_vm *vm, const struct host_time *t)
{
	vm->clock_tsc = t->tsc;
	vm->clock_ns = t->base_ns;
	vm->clock_stable = t->stable;
}

/* clock_lock held: guest time at @t, on the line if there is one. */
static u64 guest_ns(struct pn_vm *vm, const struct host_time *t)
{
	s64 base = t->base_ns;

	if (vm->clock_stable && t->stable)
		base = vm->clock_ns + cycles_to_ns(t->tsc - vm->clock_tsc);
	return base + vm->kvmclock_offset;
}

int pn_clock_init(struct pn_vm *vm)
{
	struct host_time now;

	spin_lock_init(&vm->clock_lock);
	read_host_time(&now);
	take_pair(vm, &now);
	vm->kvmclock_offset = -now.base_ns;
	vm->default_tsc_khz = tsc_khz;
	return 0;
}

/* Before the vendor's reset, which loads the offset. */
void pn_clock_vcpu_init(struct pn_vcpu *vcpu)
{
	vcpu->tsc_khz = READ_ONCE(vcpu->vm->default_tsc_khz) ?: tsc_khz;
	vcpu->tsc_offset = choose_offset(vcpu->vm, 0, false);
	vcpu->tsc_adjust = 0;
	vcpu->pvclock = (struct pn_pvclock) { .cpu = -1, .due = jiffies };
}

/* See pn_clock_load(): the page may be old, or made for another processor. */
void pn_clock_refresh(struct pn_vcpu *vcpu, int cpu_nr)
{
	struct pn_pvclock *pv = &vcpu->pvclock;

	pv->cpu = cpu_nr;
	pv->due = jiffies + (READ_ONCE(vcpu->vm->clock_stable) ? STABLE_INTERVAL : UNSTABLE_INTERVAL);
	if (pv->system_time_msr & ENABLED)
		pn_vcpu_request(vcpu, PN_REQ_CLOCK);
}

/* Has the host come to, or left, the TSC as its clock? */
static void recheck(struct pn_vm *vm, const struct host_time *now)
{
	bool changed;

	spin_lock(&vm->clock_lock);
	changed = vm->clock_stable != now->stable;
	if (changed)
		take_pair(vm, now);
	spin_unlock(&vm->clock_lock);
	if (changed)
		request_all(vm);
}

/* ---- the guest's pages ---- */

/*
 * The version is odd while the rest is written. Called with vm->srcu held; a page that
 * is not there is the guest's loss.
 */
static void write_page(struct pn_vcpu *vcpu, u64 gpa, struct pvclock_vcpu_time_info *page)
{
	const size_t skip = offsetofend(struct pvclock_vcpu_time_info, version);
	struct pvclock_vcpu_time_info old;

	if (pn_guest_read(vcpu, gpa, &old, sizeof(old), false))
		return;
	page->version = (old.version + 1) | 1;
	page->flags |= old.flags & PVCLOCK_GUEST_STOPPED;
	if (pn_guest_write(vcpu, gpa, &page->version, sizeof(page->version), false))
		return;
	smp_wmb();
	if (pn_guest_write(vcpu, gpa + skip, (u8 *)page + skip, sizeof(*page) - skip, false))
		return;
	smp_wmb();
	page->version++;
	pn_guest_write(vcpu, gpa, &page->version, sizeof(page->version), false);
}

void pn_clock_update(struct pn_vcpu *vcpu)
{
	struct pvclock_vcpu_time_info page = {};
	struct pn_pvclock *pv = &vcpu->pvclock;
	struct pn_vm *vm = vcpu->vm;
	struct host_time now;
	int idx;

	if (!(pv->system_time_msr & ENABLED))
		return;
	read_host_time(&now);
	if (unlikely(READ_ONCE(vm->clock_stable) != now.stable))
		recheck(vm, &now);
	spin_lock(&vm->clock_lock);
	if (vm->clock_stable) {
		page.tsc_timestamp = vm->clock_tsc;
		page.system_time = vm->clock_ns + vm->kvmclock_offset;
		page.flags = tscs_match(vm) ? PVCLOCK_TSC_STABLE_BIT : 0;
	} else {
		page.tsc_timestamp = now.tsc;
		page.system_time = now.base_ns + vm->kvmclock_offset;
	}
	spin_unlock(&vm->clock_lock);
	page.tsc_timestamp += vcpu->tsc_offset;
	tsc_scale(&page.tsc_to_system_mul, &page.tsc_shift);
	if (pv->guest_stopped) {
		page.flags |= PVCLOCK_GUEST_STOPPED;
		pv->guest_stopped = false;
	}
	idx = srcu_read_lock(&vm->srcu);
	write_page(vcpu, pv->system_time_msr & ~ENABLED, &page);
	srcu_read_unlock(&vm->srcu, idx);
}

int pn_set_system_time_msr(struct pn_vcpu *vcpu, u64 val)
{
	vcpu->pvclock.system_time_msr = val;
	if (val & ENABLED)
		pn_vcpu_request(vcpu, PN_REQ_CLOCK);
	return 0;
}

/* The time of day at guest time 0, written once for each write of the register. */
int pn_set_wall_clock_msr(struct pn_vcpu *vcpu, u64 val)
{
	struct pvclock_wall_clock wall = {};
	struct pn_vm *vm = vcpu->vm;
	struct host_time now;
	u32 ns, version;
	int idx;

	vcpu->pvclock.wall_clock_msr = val;
	if (!val)
		return 0;
	read_host_time(&now);
	spin_lock(&vm->clock_lock);
	wall.sec = div_u64_rem(now.real_ns - guest_ns(vm, &now), NSEC_PER_SEC, &ns);
	wall.nsec = ns;
	spin_unlock(&vm->clock_lock);
	idx = srcu_read_lock(&vm->srcu);
	if (pn_guest_read(vcpu, val, &version, sizeof(version), false))
		goto out;
	wall.version = (version + 1) | 1;
	if (pn_guest_write(vcpu, val, &wall.version, sizeof(wall.version), false))
		goto out;
	smp_wmb();
	pn_guest_write(vcpu, val, &wall, sizeof(wall), false);
	smp_wmb();
	wall.version++;
	pn_guest_write(vcpu, val, &wall.version, sizeof(wall.version), false);
out:
	srcu_read_unlock(&vm->srcu, idx);
	return 0;
}

/* ---- ioctls ---- */

long pn_vm_get_clock(struct pn_vm *vm, void __user *argp)
{
	struct kvm_clock_data data = {};
	struct host_time now;

	read_host_time(&now);
	spin_lock(&vm->clock_lock);
	data.clock = guest_ns(vm, &now);
	if (vm->clock_stable && now.stable) {
		data.flags = KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
		if (tscs_match(vm))
			data.flags |= KVM_CLOCK_TSC_STABLE;
		data.realtime = now.real_ns;
		data.host_tsc = now.tsc;
	}
	spin_unlock(&vm->clock_lock);
	return copy_to_user(argp, &data, sizeof(data)) ? -EFAULT : 0;
}

long pn_vm_set_clock(struct pn_vm *vm, void __user *argp)
{
	struct kvm_clock_data data;
	struct host_time now;

	if (copy_from_user(&data, argp, sizeof(data)))
		return -EFAULT;
	if (data.flags & ~CLOCK_VALID_FLAGS)
		return -EINVAL;
	read_host_time(&now);
	/* The time that passed since, but never back. */
	if ((data.flags & KVM_CLOCK_REALTIME) && now.real_ns > (s64)data.realtime)
		data.clock += now.real_ns - data.realtime;
	spin_lock(&vm->clock_lock);
	take_pair(vm, &now);
	vm->kvmclock_offset = data.clock - now.base_ns;
	spin_unlock(&vm->clock_lock);
	request_all(vm);
	return 0;
}

/* User space had stopped the guest: its watchdogs shall not mind. */
long pn_vcpu_kvmclock_ctrl(struct pn_vcpu *vcpu, void __user *argp)
{
	if (!(vcpu->pvclock.system_time_msr & ENABLED))
		return -EINVAL;
	vcpu->pvclock.guest_stopped = true;
	pn_vcpu_request(vcpu, PN_REQ_CLOCK);
	return 0;
}
