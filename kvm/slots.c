// SPDX-License-Identifier: GPL-2.0
/*
 * Memory slots, and KVM_SET_USER_MEMORY_REGION.
 *
 *    user space ──► checks ──► the new set (a sorted array of slots)
 *                                   │
 *      slot goes or moves:          │        slot appears, flags change:
 *      mmu: unmap, keep out         │
 *      publish ◄────────────────────┴──────► publish
 *      mmu: let in again                     (nothing was built from it yet)
 *      wait for readers ──► free             wait for readers where one may
 *                                            still act on the old flags
 *
 * Between "keep out" and "let in again" no entry of the range exists in any table
 * or TLB and none can be made, and a fault that looked the slot up before starts
 * over afterwards. So there is no moment at which an entry exists for memory of a
 * slot that the mmu notifiers no longer find: invariant 1 of the design.
 */
#include <linux/kvm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/processor.h>
#include "kvm/slots.h"
#include "kvm/stats.h"
#include "kvm/vcpu.h"

#define PN_MAX_RETIRED	16	/* before somebody waits for their readers */
#define SLOT_FLAGS	(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)

static_assert(offsetof(struct pn_slots, retired) == 0);

static struct pn_slots *slots_new(unsigned int nr)
{
	struct pn_slots *slots = kvzalloc(struct_size(slots, slot, nr), GFP_KERNEL_ACCOUNT);

	if (slots)
		slots->nr = nr;
	return slots;
}

static void slot_free(struct pn_slot *slot)
{
	pn_dirty_free(slot);
	kfree(slot);
}

int pn_slots_init(struct pn_vm *vm)
{
	struct pn_slots *slots = slots_new(0);

	if (!slots)
		return -ENOMEM;
	RCU_INIT_POINTER(vm->slots, slots);
	init_waitqueue_head(&vm->readers_wait);
	INIT_LIST_HEAD(&vm->retired);
	return 0;
}

static void free_retired(struct pn_vm *vm)
{
	struct pn_retired *r, *tmp;

	list_for_each_entry_safe(r, tmp, &vm->retired, link)
		kvfree(r);
	INIT_LIST_HEAD(&vm->retired);
	vm->nr_retired = 0;
}

void pn_slots_fini(struct pn_vm *vm)
{
	struct pn_slots *slots = rcu_dereference_protected(vm->slots, true);
	unsigned int i;

	if (!slots)
		return;
	free_retired(vm);
	for (i = 0; i < slots->nr; i++) {
		slot_free(slots->slot[i]);
		atomic_long_dec(&pn_counts.slots);
	}
	RCU_INIT_POINTER(vm->slots, NULL);
	kvfree(slots);
}

/*
 * A vCPU that only left vm->srcu and entered it again might do so just before the
 * grace period begins to count, go back to the guest, and hold it up for as long as the guest
 * does not exit. So readers stay out until it is over.
 */
void pn_vm_drop_readers(struct pn_vm *vm)
{
	lockdep_assert_held(&vm->slots_lock);
	WRITE_ONCE(vm->readers_kept_out, true);
	pn_vm_request_all(vm, PN_REQ_SLOTS);	/* whoever sees the request sees the above */
	synchronize_srcu_expedited(&vm->srcu);
	WRITE_ONCE(vm->readers_kept_out, false);
	wake_up_all(&vm->readers_wait);
	free_retired(vm);
}

/*
 * Not call_srcu(): the grace period that it begins takes its time, and the next
 * expedited one would have to wait for its end, milliseconds for each of the dozens
 * of slots that firmware adds and removes.
 */
void pn_vm_retire(struct pn_vm *vm, struct pn_retired *r)
{
	lockdep_assert_held(&vm->slots_lock);
	list_add(&r->link, &vm->retired);
	if (++vm->nr_retired > PN_MAX_RETIRED)
		pn_vm_drop_readers(vm);
}

void pn_vcpu_drop_slots(struct pn_vcpu *vcpu)
{
	struct pn_vm *vm = vcpu->vm;

	srcu_read_unlock(&vm->srcu, vcpu->srcu_index);
	wait_event(vm->readers_wait, !READ_ONCE(vm->readers_kept_out));
	vcpu->srcu_index = pn_vm_enter(vm);
}

/* The first slot that ends above @gfn. */
static unsigned int slot_lower_bound(const struct pn_slots *slots, u64 gfn)
{
	unsigned int lo = 0, hi = slots->nr;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;
		const struct pn_slot *slot = slots->slot[mid];

		if (slot->base_gfn + slot->nr_pages <= gfn)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct pn_slot *pn_slot_find(struct pn_vm *vm, u64 gfn, unsigned int *hint)
{
	struct pn_slots *slots = pn_slots_get(vm);
	struct pn_slot *slot;
	unsigned int i;

	if (hint && likely(*hint < slots->nr)) {
		slot = slots->slot[*hint];
		if (likely(gfn - slot->base_gfn < slot->nr_pages))
			return slot;
	}
	i = slot_lower_bound(slots, gfn);
	if (i == slots->nr || gfn < slots->slot[i]->base_gfn)
		return NULL;
	if (hint)
		*hint = i;
	return slots->slot[i];
}

struct pn_slot *pn_slot_by_id(struct pn_slots *slots, unsigned int id)
{
	unsigned int i;

	for (i = 0; i < slots->nr; i++)
		if (slots->slot[i]->id == id)
			return slots->slot[i];
	return NULL;
}

/* ---- one change ---- */

/*
 * From @old (NULL: it appears) to @new (NULL: it goes). @next is the whole set
 * after the change.
 */
struct slot_change {
	struct pn_slot *old, *new;
	struct pn_slots *next;
};

static bool slot_overlaps(const struct pn_slots *slots, const struct kvm_userspace_memory_region *m)
{
	u64 start = m->guest_phys_addr >> PAGE_SHIFT;
	u64 end = start + (m->memory_size >> PAGE_SHIFT);
	unsigned int i;

	for (i = slot_lower_bound(slots, start); i < slots->nr; i++) {
		if (slots->slot[i]->base_gfn >= end)
			break;
		if (slots->slot[i]->id != m->slot)
			return true;
	}
	return false;
}

/* The set of slots after @c. */
static int change_build_next(struct slot_change *c, const struct pn_slots *now)
{
	unsigned int i, n = 0;
	bool placed = !c->new;

	c->next = slots_new(now->nr + !!c->new - !!c->old);
	if (!c->next)
		return -ENOMEM;
	for (i = 0; i < now->nr; i++) {
		struct pn_slot *slot = now->slot[i];

		if (slot == c->old)
			continue;
		if (!placed && slot->base_gfn > c->new->base_gfn) {
			c->next->slot[n++] = c->new;
			placed = true;
		}
		c->next->slot[n++] = slot;
	}
	if (!placed)
		c->next->slot[n++] = c->new;
	return 0;
}

/* A slot object as @m asks. The dirty bitmap is taken over from @old while both log. */
static struct pn_slot *slot_new(struct pn_vm *vm, const struct kvm_userspace_memory_region *m,
				const struct pn_slot *old)
{
	struct pn_slot *slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);

	if (!slot)
		return NULL;
	slot->base_gfn = m->guest_phys_addr >> PAGE_SHIFT;
	slot->nr_pages = m->memory_size >> PAGE_SHIFT;
	slot->hva = m->userspace_addr;
	slot->flags = m->flags;
	slot->id = m->slot;
	if (!(slot->flags & KVM_MEM_LOG_DIRTY_PAGES))
		return slot;
	if (old && old->dirty) {
		slot->dirty = old->dirty;
		slot->taken = old->taken;
	} else if (pn_dirty_alloc(vm, slot)) {
		kfree(slot);
		return NULL;
	}
	return slot;
}

static inline u64 slot_end(const struct pn_slot *slot)
{
	return slot->base_gfn + slot->nr_pages;
}

/* Publish, with the old range's entries gone before and new ones kept out meanwhile. */
static struct pn_slots *publish_without_old(struct pn_vm *vm, struct slot_change *c)
{
	struct pn_slots *old;

	/* The bulk of it in chunks that let others run; vCPUs may undo some. */
	mmu_unmap_gfns(&vm->mmu, c->old->base_gfn, slot_end(c->old));
	mmu_invalidate_begin(&vm->mmu, c->old->base_gfn, slot_end(c->old));
	old = pn_notifier_swap_slots(vm, c->next);
	mmu_invalidate_end(&vm->mmu);
	return old;
}

static void change_commit(struct pn_vm *vm, struct slot_change *c)
{
	bool moved = c->old && (!c->new || c->old->base_gfn != c->new->base_gfn);
	bool logged = c->old && c->old->dirty;
	bool logs = c->new && c->new->dirty;
	struct pn_slots *old;

	if (moved)
		old = publish_without_old(vm, c);
	else
		old = pn_notifier_swap_slots(vm, c->next);
	pn_vm_retire(vm, &old->retired);
	pn_shadow_limit_update(vm);
	atomic_long_add(!!c->new - !!c->old, &pn_counts.slots);

	/* Whoever may still write by the old slot, unlogged or elsewhere, finishes first. */
	if (c->old)
		pn_vm_drop_readers(vm);
	if (logged && (moved || !logs))
		mmu_dirty_log_stop(&vm->mmu, c->old->base_gfn, slot_end(c->old));
	if (logs && (moved || !logged))
		mmu_dirty_log_start(&vm->mmu, c->new->base_gfn, slot_end(c->new));
	if (c->old) {
		if (c->new && c->new->dirty == c->old->dirty)
			c->old->dirty = c->old->taken = NULL;	/* handed on */
		slot_free(c->old);
	}
}

/* ---- KVM_SET_USER_MEMORY_REGION ---- */

static int region_check(const struct kvm_userspace_memory_region *m)
{
	if (m->flags & ~SLOT_FLAGS)
		return -EINVAL;
	if (m->slot >= PN_MAX_SLOTS)	/* the high half names an address space: only 0 */
		return -EINVAL;
	if ((m->memory_size | m->guest_phys_addr | m->userspace_addr) & ~PAGE_MASK)
		return -EINVAL;
	if (!access_ok((void __user *)m->userspace_addr, m->memory_size))
		return -EINVAL;
	if (m->guest_phys_addr + m->memory_size < m->guest_phys_addr)
		return -EINVAL;
	if (m->memory_size >> PAGE_SHIFT > PN_SLOT_MAX_PAGES)
		return -EINVAL;
	return 0;
}

/* What our tables can translate, and addresses may be: MAXPHYADDR of CPUID 8000_0008. */
static u64 max_gfn(struct pn_vm *vm)
{
	unsigned int bits = min(cpuid_eax(0x80000008) & 0xff, PAGE_SHIFT + 9u * vm->mmu.levels);

	return (1ULL << (bits - PAGE_SHIFT)) - 1;
}

static int region_delete(struct pn_vm *vm, struct pn_slot *old)
{
	struct slot_change c = { .old = old };

	if (!old)
		return -EINVAL;
	if (change_build_next(&c, pn_slots_get(vm)))
		return -ENOMEM;
	change_commit(vm, &c);
	return 0;
}

static int region_set(struct pn_vm *vm, const struct kvm_userspace_memory_region *m,
		      struct pn_slot *old)
{
	u64 gfn = m->guest_phys_addr >> PAGE_SHIFT;
	u64 nr_pages = m->memory_size >> PAGE_SHIFT;
	struct slot_change c = { .old = old };

	if (old) {
		if (m->userspace_addr != old->hva || nr_pages != old->nr_pages ||
		    ((m->flags ^ old->flags) & KVM_MEM_READONLY))
			return -EINVAL;
		if (gfn == old->base_gfn && m->flags == old->flags)
			return 0;
	}
	if ((!old || gfn != old->base_gfn) && slot_overlaps(pn_slots_get(vm), m))
		return -EEXIST;
	if (gfn + nr_pages - 1 > max_gfn(vm))
		return -EINVAL;

	c.new = slot_new(vm, m, old);
	if (!c.new)
		return -ENOMEM;
	if (change_build_next(&c, pn_slots_get(vm))) {
		if (old && c.new->dirty == old->dirty)
			c.new->dirty = c.new->taken = NULL;
		slot_free(c.new);
		return -ENOMEM;
	}
	change_commit(vm, &c);
	return 0;
}

long pn_vm_set_user_memory_region(struct pn_vm *vm, void __user *argp)
{
	struct kvm_userspace_memory_region m;
	struct pn_slot *old;
	int ret;

	if (copy_from_user(&m, argp, sizeof(m)))
		return -EFAULT;
	ret = region_check(&m);
	if (ret)
		return ret;

	mutex_lock(&vm->slots_lock);
	old = pn_slot_by_id(pn_slots_get(vm), m.slot);
	ret = m.memory_size ? region_set(vm, &m, old) : region_delete(vm, old);
	mutex_unlock(&vm->slots_lock);
	return ret;
}
