/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Trace points. Names and fields are the ones that perf kvm stat and people's scripts
 * know from the stock module, where the meaning is equal.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm

#if !defined(PN_KVM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define PN_KVM_TRACE_H

#include <linux/kvm.h>
#include <linux/tracepoint.h>
#include <uapi/asm/svm.h>
#include "kvm/vcpu.h"

/* The events, to tracefs and perf; once, after which a failing module load must fail whole. */
int pn_trace_register(void);

/* The isa field says whose exit codes they are: 1 is VMX, 2 SVM. */
#define PN_ISA_SVM	2

/* Values of kvm_pio's rw, and of kvm_mmio's type. */
#define KVM_PIO_IN	0
#define KVM_PIO_OUT	1
#define KVM_TRACE_MMIO_READ_UNSATISFIED	0
#define KVM_TRACE_MMIO_READ		1
#define KVM_TRACE_MMIO_WRITE		2

#define pn_trace_userspace_exits					\
	{ KVM_EXIT_UNKNOWN, "KVM_EXIT_UNKNOWN" },			\
	{ KVM_EXIT_EXCEPTION, "KVM_EXIT_EXCEPTION" },			\
	{ KVM_EXIT_IO, "KVM_EXIT_IO" },					\
	{ KVM_EXIT_HYPERCALL, "KVM_EXIT_HYPERCALL" },			\
	{ KVM_EXIT_DEBUG, "KVM_EXIT_DEBUG" },				\
	{ KVM_EXIT_HLT, "KVM_EXIT_HLT" },				\
	{ KVM_EXIT_MMIO, "KVM_EXIT_MMIO" },				\
	{ KVM_EXIT_IRQ_WINDOW_OPEN, "KVM_EXIT_IRQ_WINDOW_OPEN" },	\
	{ KVM_EXIT_SHUTDOWN, "KVM_EXIT_SHUTDOWN" },			\
	{ KVM_EXIT_FAIL_ENTRY, "KVM_EXIT_FAIL_ENTRY" },			\
	{ KVM_EXIT_INTR, "KVM_EXIT_INTR" },				\
	{ KVM_EXIT_SET_TPR, "KVM_EXIT_SET_TPR" },			\
	{ KVM_EXIT_INTERNAL_ERROR, "KVM_EXIT_INTERNAL_ERROR" }

TRACE_EVENT(kvm_entry,
	TP_PROTO(struct pn_vcpu *vcpu),
	TP_ARGS(vcpu),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(unsigned long, rip)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu->id;
		__entry->rip = vcpu->regs.rip;
	),
	TP_printk("vcpu %u, rip 0x%lx", __entry->vcpu_id, __entry->rip)
);

TRACE_EVENT(kvm_exit,
	TP_PROTO(struct pn_vcpu *vcpu, u32 exit_reason, u64 info1, u64 info2, u64 intr_info),
	TP_ARGS(vcpu, exit_reason, info1, info2, intr_info),
	TP_STRUCT__entry(
		__field(unsigned int, exit_reason)
		__field(unsigned long, guest_rip)
		__field(u32, isa)
		__field(u64, info1)
		__field(u64, info2)
		__field(u32, intr_info)
		__field(u32, error_code)
		__field(unsigned int, vcpu_id)
	),
	TP_fast_assign(
		__entry->exit_reason = exit_reason;
		__entry->guest_rip = vcpu->regs.rip;
		__entry->isa = PN_ISA_SVM;
		__entry->info1 = info1;
		__entry->info2 = info2;
		__entry->intr_info = intr_info;
		__entry->error_code = intr_info >> 32;
		__entry->vcpu_id = vcpu->id;
	),
	TP_printk("vcpu %u reason %s rip 0x%lx info1 0x%016llx info2 0x%016llx intr_info 0x%08x error_code 0x%08x",
		  __entry->vcpu_id, __print_symbolic(__entry->exit_reason, SVM_EXIT_REASONS),
		  __entry->guest_rip, __entry->info1, __entry->info2,
		  __entry->intr_info, __entry->error_code)
);

TRACE_EVENT(kvm_userspace_exit,
	TP_PROTO(u32 reason, int errno),
	TP_ARGS(reason, errno),
	TP_STRUCT__entry(
		__field(u32, reason)
		__field(int, errno)
	),
	TP_fast_assign(
		__entry->reason = reason;
		__entry->errno = errno;
	),
	TP_printk("reason %s (%d)",
		  __entry->errno < 0 ?
		  (__entry->errno == -EINTR ? "restart" : "error") :
		  __print_symbolic(__entry->reason, pn_trace_userspace_exits),
		  __entry->errno < 0 ? -__entry->errno : __entry->reason)
);

TRACE_EVENT(kvm_page_fault,
	TP_PROTO(struct pn_vcpu *vcpu, u64 fault_address, u64 error_code),
	TP_ARGS(vcpu, fault_address, error_code),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(unsigned long, guest_rip)
		__field(u64, fault_address)
		__field(u64, error_code)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu->id;
		__entry->guest_rip = vcpu->regs.rip;
		__entry->fault_address = fault_address;
		__entry->error_code = error_code;
	),
	TP_printk("vcpu %u rip 0x%lx address 0x%016llx error_code 0x%llx",
		  __entry->vcpu_id, __entry->guest_rip, __entry->fault_address,
		  __entry->error_code)
);

TRACE_EVENT(kvm_mmio,
	TP_PROTO(int type, int len, u64 gpa, const void *val),
	TP_ARGS(type, len, gpa, val),
	TP_STRUCT__entry(
		__field(u32, type)
		__field(u32, len)
		__field(u64, gpa)
		__field(u64, val)
	),
	TP_fast_assign(
		__entry->type = type;
		__entry->len = len;
		__entry->gpa = gpa;
		__entry->val = 0;
		if (val)
			memcpy(&__entry->val, val, min_t(u32, sizeof(__entry->val), len));
	),
	TP_printk("mmio %s len %u gpa 0x%llx val 0x%llx",
		  __print_symbolic(__entry->type,
				   { KVM_TRACE_MMIO_READ_UNSATISFIED, "unsatisfied-read" },
				   { KVM_TRACE_MMIO_READ, "read" },
				   { KVM_TRACE_MMIO_WRITE, "write" }),
		  __entry->len, __entry->gpa, __entry->val)
);

TRACE_EVENT(kvm_pio,
	TP_PROTO(unsigned int rw, unsigned int port, unsigned int size, unsigned int count,
		 const void *data),
	TP_ARGS(rw, port, size, count, data),
	TP_STRUCT__entry(
		__field(unsigned int, rw)
		__field(unsigned int, port)
		__field(unsigned int, size)
		__field(unsigned int, count)
		__field(unsigned int, val)
	),
	TP_fast_assign(
		__entry->rw = rw;
		__entry->port = port;
		__entry->size = size;
		__entry->count = count;
		__entry->val = 0;
		if (data)
			memcpy(&__entry->val, data, min_t(u32, sizeof(__entry->val), size));
	),
	TP_printk("pio_%s at 0x%x size %d count %d val 0x%x %s",
		  __entry->rw ? "write" : "read", __entry->port, __entry->size,
		  __entry->count, __entry->val, __entry->count > 1 ? "(...)" : "")
);

TRACE_EVENT(kvm_msr,
	TP_PROTO(unsigned int write, u32 ecx, u64 data, bool exception),
	TP_ARGS(write, ecx, data, exception),
	TP_STRUCT__entry(
		__field(unsigned int, write)
		__field(u32, ecx)
		__field(u64, data)
		__field(u8, exception)
	),
	TP_fast_assign(
		__entry->write = write;
		__entry->ecx = ecx;
		__entry->data = data;
		__entry->exception = exception;
	),
	TP_printk("msr_%s %x = 0x%llx%s", __entry->write ? "write" : "read",
		  __entry->ecx, __entry->data, __entry->exception ? " (#GP)" : "")
);

TRACE_EVENT(kvm_cpuid,
	TP_PROTO(u32 function, u32 index, u32 rax, u32 rbx, u32 rcx, u32 rdx),
	TP_ARGS(function, index, rax, rbx, rcx, rdx),
	TP_STRUCT__entry(
		__field(unsigned int, function)
		__field(unsigned int, index)
		__field(unsigned long, rax)
		__field(unsigned long, rbx)
		__field(unsigned long, rcx)
		__field(unsigned long, rdx)
	),
	TP_fast_assign(
		__entry->function = function;
		__entry->index = index;
		__entry->rax = rax;
		__entry->rbx = rbx;
		__entry->rcx = rcx;
		__entry->rdx = rdx;
	),
	TP_printk("func %x idx %x rax %lx rbx %lx rcx %lx rdx %lx",
		  __entry->function, __entry->index, __entry->rax, __entry->rbx,
		  __entry->rcx, __entry->rdx)
);

TRACE_EVENT(kvm_hypercall,
	TP_PROTO(unsigned long nr, unsigned long a0, unsigned long a1, unsigned long a2,
		 unsigned long a3),
	TP_ARGS(nr, a0, a1, a2, a3),
	TP_STRUCT__entry(
		__field(unsigned long, nr)
		__field(unsigned long, a0)
		__field(unsigned long, a1)
		__field(unsigned long, a2)
		__field(unsigned long, a3)
	),
	TP_fast_assign(
		__entry->nr = nr;
		__entry->a0 = a0;
		__entry->a1 = a1;
		__entry->a2 = a2;
		__entry->a3 = a3;
	),
	TP_printk("nr 0x%lx a0 0x%lx a1 0x%lx a2 0x%lx a3 0x%lx", __entry->nr,
		  __entry->a0, __entry->a1, __entry->a2, __entry->a3)
);

TRACE_EVENT(kvm_cr,
	TP_PROTO(unsigned int rw, unsigned int cr, unsigned long val),
	TP_ARGS(rw, cr, val),
	TP_STRUCT__entry(
		__field(unsigned int, rw)
		__field(unsigned int, cr)
		__field(unsigned long, val)
	),
	TP_fast_assign(
		__entry->rw = rw;
		__entry->cr = cr;
		__entry->val = val;
	),
	TP_printk("cr_%s %x = 0x%lx", __entry->rw ? "write" : "read", __entry->cr,
		  __entry->val)
);

TRACE_EVENT(kvm_inj_virq,
	TP_PROTO(unsigned int vector, bool soft, bool reinjected),
	TP_ARGS(vector, soft, reinjected),
	TP_STRUCT__entry(
		__field(unsigned int, vector)
		__field(bool, soft)
		__field(bool, reinjected)
	),
	TP_fast_assign(
		__entry->vector = vector;
		__entry->soft = soft;
		__entry->reinjected = reinjected;
	),
	TP_printk("%s 0x%x%s", __entry->soft ? "soft/INTn" : "IRQ", __entry->vector,
		  __entry->reinjected ? " [reinjected]" : "")
);

TRACE_EVENT(kvm_inj_exception,
	TP_PROTO(unsigned int exception, bool has_error, u32 error_code, bool reinjected),
	TP_ARGS(exception, has_error, error_code, reinjected),
	TP_STRUCT__entry(
		__field(u8, exception)
		__field(u8, has_error)
		__field(u32, error_code)
		__field(bool, reinjected)
	),
	TP_fast_assign(
		__entry->exception = exception;
		__entry->has_error = has_error;
		__entry->error_code = error_code;
		__entry->reinjected = reinjected;
	),
	TP_printk("vector %u (0x%x)%s", __entry->exception,
		  __entry->has_error ? __entry->error_code : 0,
		  __entry->reinjected ? " [reinjected]" : "")
);

TRACE_EVENT(kvm_emulate_insn,
	TP_PROTO(struct pn_vcpu *vcpu, const u8 *bytes, unsigned int len, bool failed),
	TP_ARGS(vcpu, bytes, len, failed),
	TP_STRUCT__entry(
		__field(u64, rip)
		__field(u8, len)
		__array(u8, insn, 15)
		__field(u8, failed)
	),
	TP_fast_assign(
		__entry->rip = vcpu->regs.rip;
		__entry->len = min_t(unsigned int, len, 15);
		memset(__entry->insn, 0, 15);
		memcpy(__entry->insn, bytes, __entry->len);
		__entry->failed = failed;
	),
	TP_printk("%llx: %s%s", __entry->rip, __print_hex(__entry->insn, __entry->len),
		  __entry->failed ? " failed" : "")
);

TRACE_EVENT(kvm_unmap_hva_range,
	TP_PROTO(unsigned long start, unsigned long end),
	TP_ARGS(start, end),
	TP_STRUCT__entry(
		__field(unsigned long, start)
		__field(unsigned long, end)
	),
	TP_fast_assign(
		__entry->start = start;
		__entry->end = end;
	),
	TP_printk("hva %#016lx -- %#016lx", __entry->start, __entry->end)
);

TRACE_EVENT(kvm_age_hva,
	TP_PROTO(unsigned long start, unsigned long end),
	TP_ARGS(start, end),
	TP_STRUCT__entry(
		__field(unsigned long, start)
		__field(unsigned long, end)
	),
	TP_fast_assign(
		__entry->start = start;
		__entry->end = end;
	),
	TP_printk("hva %#016lx -- %#016lx", __entry->start, __entry->end)
);

#endif

/* Found through -I of the module's top folder. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH kvm
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
