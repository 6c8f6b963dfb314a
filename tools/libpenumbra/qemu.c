// SPDX-License-Identifier: GPL-2.0
/* QEMU's command line for a VM; see qemu.h. */
#include <limits.h>
#include <string.h>
#include "libpenumbra/instance.h"
#include "libpenumbra/qemu.h"

static unsigned long long mib(const struct vm_conf *c)
{
	return c->memory_bytes >> 20;
}

static void add_machine(struct args *a, const struct vm_conf *c, const struct qemu_start *s)
{
	char pid[PATH_MAX], sock[PATH_MAX];

	instance_path(pid, sizeof(pid), c->name, "pid");
	instance_path(sock, sizeof(sock), c->name, "sock");
	args_add(a, "%s", c->qemu);
	args_option(a, "-name", "guest=%s,debug-threads=on", c->name);
	args_add(a, "-no-user-config");
	args_add(a, "-nodefaults");
	/* without graphics the firmware, too, talks on the serial port */
	args_option(a, "-machine", "pc,graphics=off%s", s->ram_path ? ",memory-backend=ram" : "");
	args_option(a, "-accel", "kvm");
	args_option(a, "-cpu", "host");
	args_option(a, "-smp", "%u", (unsigned int)c->vcpus);
	args_option(a, "-m", "%lluM", mib(c));
	args_option(a, "-display", "none");
	args_option(a, "-pidfile", "%s", pid);
	args_option_path(a, "-qmp", "unix:", sock, ",server=on,wait=off");
}

/* 2 MiB pages need an address to match. */
static void add_ram(struct args *a, const struct vm_conf *c, const struct qemu_start *s)
{
	char head[120];

	if (!s->ram_path)
		return;
	snprintf(head, sizeof(head), "memory-backend-file,id=ram,size=%lluM,share=on,align=2M,mem-path=",
		 mib(c));
	args_option_path(a, "-object", head, s->ram_path, "");
}

static void add_console(struct args *a, const struct vm_conf *c, const struct qemu_start *s)
{
	char console[PATH_MAX], log[PATH_MAX];

	if (s->detach) {
		instance_path(console, sizeof(console), c->name, "console");
		instance_path(log, sizeof(log), c->name, "log");
		args_add(a, "-daemonize");
		args_option_path(a, "-chardev", "socket,id=console,server=on,wait=off,path=", console,
				 ",logfile=");
		args_append_path(a, log);
	} else {
		args_option(a, "-chardev", "stdio,id=console,mux=on,signal=off");
		args_option(a, "-mon", "chardev=console,mode=readline");
	}
	args_option(a, "-serial", "chardev:console");
}

static void add_devices(struct args *a, const struct vm_conf *c)
{
	for (unsigned int i = 0; i < c->nr_disks; i++) {
		const struct args_disk *d = &c->disk[i];
		char head[80];

		snprintf(head, sizeof(head), "if=none,id=disk%u,format=%s,discard=unmap,file=", i,
			 d->format == ARGS_DISK_QCOW2 ? "qcow2" : "raw");
		args_option_path(a, "-drive", head, d->path, "");
		args_option(a, "-device", "virtio-blk-pci,drive=disk%u,bootindex=%u", i, i + 1);
	}
	if (c->cdrom) {
		args_option_path(a, "-drive",
				 "if=none,id=cdrom,media=cdrom,readonly=on,format=raw,file=",
				 c->cdrom, "");
		args_option(a, "-device", "ide-cd,drive=cdrom,bootindex=0");
	}
	args_option(a, "-netdev", "user,id=net0");
	/* no option ROM: nothing here boots from the network */
	args_option(a, "-device", "virtio-net-pci,netdev=net0,romfile=");
	/* what the guest frees goes back to the host */
	args_option(a, "-device", "virtio-balloon-pci,free-page-reporting=on");
	args_option(a, "-device", "virtio-rng-pci");
}

static void add_kernel(struct args *a, const struct vm_conf *c)
{
	const char *append = c->append ? c->append : "";

	if (!c->kernel)
		return;
	args_option(a, "-kernel", "%s", c->kernel);
	if (c->initrd)
		args_option(a, "-initrd", "%s", c->initrd);
	if (strstr(append, "console="))
		args_option(a, "-append", "%s", append);
	else
		args_option(a, "-append", "console=ttyS0%s%s", *append ? " " : "", append);
}

void qemu_command(struct args *a, const struct vm_conf *c, const struct qemu_start *s)
{
	add_machine(a, c, s);
	add_ram(a, c, s);
	add_console(a, c, s);
	add_devices(a, c);
	add_kernel(a, c);
	if (s->incoming)
		args_option(a, "-incoming", "defer");
	for (char **extra = c->extra; *extra; extra++)
		args_add(a, "%s", *extra);
}
