/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The seam between pure code and its surroundings, kernel side: the kernel's
 * own primitives under their own names. kapi/user/kapi.h offers the same names
 * in plain C. Only primitives belong here (memory, lists, locks, atomics,
 * warnings), never policy; a name is added when pure code needs it, on both sides.
 */
#ifndef PENUMBRA_KAPI_H
#define PENUMBRA_KAPI_H

#include <linux/types.h>
#include <linux/version.h>
#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/bug.h>
#include <linux/compiler.h>
#include <linux/container_of.h>
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/printk.h>
#include <linux/rbtree.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/xarray.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

#endif
