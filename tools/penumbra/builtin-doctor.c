// SPDX-License-Identifier: GPL-2.0
/*
 * penumbra doctor - can this machine run Penumbra, and if not, why?
 *
 * A list of checks, each a function that fills one finding: its state, what is
 * so, and, unless all is well, what to do. Only "fail" stands in the way.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "builtin.h"
#include "figures.h"
#include "libpenumbra/cpu.h"
#include "libpenumbra/platform.h"

enum state { OK, WARN, FAIL, NR_STATES };

static const char *const state_names[] = { "ok", "warn", "fail" };

struct finding {
	enum state state;
	char detail[160];
	char advice[200];	/* "" when nothing is to do */
};

/* What several checks need, gathered once. */
struct machine {
	const struct hostfs *fs;
	struct utsname uts;
	int cpu_err;
	struct cpu_info cpu;
	enum module_state penumbra, ram, kvm_amd, kvm_intel;
};

/* What can be done: VMs on penumbra_kvm; or, with RAM files, on the stock module; or neither. */
enum verdict { RUNS, RUNS_ON_STOCK, RUNS_NOT };

struct check {
	const char *name;	/* in JSON too: keep */
	void (*look)(const struct machine *m, struct finding *f);
};

__attribute__((format(printf, 3, 4)))
static void found(struct finding *f, enum state state, const char *fmt, ...)
{
	va_list args;

	f->state = state;
	va_start(args, fmt);
	vsnprintf(f->detail, sizeof(f->detail), fmt, args);
	va_end(args);
}

__attribute__((format(printf, 2, 3)))
static void advise(struct finding *f, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(f->advice, sizeof(f->advice), fmt, args);
	va_end(args);
}

/* ---- processor ---- */

static void look_cpu(const struct machine *m, struct finding *f)
{
	if (strcmp(m->uts.machine, "x86_64")) {
		found(f, FAIL, "%s kernel", m->uts.machine);
		advise(f, "use a machine and a kernel of the x86_64 architecture");
	} else if (m->cpu_err) {
		found(f, FAIL, "cannot read /proc/cpuinfo");
		advise(f, "mount /proc");
	} else if (cpu_is_amd(&m->cpu)) {
		found(f, OK, "%s, %u processor%s", m->cpu.model[0] ? m->cpu.model : m->cpu.vendor,
		      m->cpu.nr, m->cpu.nr == 1 ? "" : "s");
	} else {
		found(f, FAIL, "%s", m->cpu.model[0] ? m->cpu.model : m->cpu.vendor);
		advise(f, "use a machine with an AMD processor: Intel VMX is not supported yet");
	}
}

static void look_svm(const struct machine *m, struct finding *f)
{
	int disabled = cpu_svm_disabled(m->fs);

	if (disabled == 1) {
		found(f, FAIL, "AMD-V is switched off by the firmware (VM_CR.SVMDIS)");
		advise(f, "enable \"SVM Mode\" in the firmware's setup");
	} else if (m->cpu.svm && disabled == 0) {
		found(f, OK, "AMD-V is there, and the firmware lets it be used");
	} else if (m->cpu.svm) {
		found(f, OK, "AMD-V is there (to see the firmware's switch: root, modprobe msr)");
	} else if (m->cpu.hypervisor) {
		found(f, FAIL, "no svm flag in this virtual machine");
		advise(f, "allow nested virtualization in the outer host (QEMU: -cpu ...,+svm,+npt)");
	} else {
		found(f, FAIL, "no svm flag");
		advise(f, "enable \"SVM Mode\" in the firmware's setup; if it has none, use another machine");
	}
}

static void look_npt(const struct machine *m, struct finding *f)
{
	if (m->cpu.npt) {
		found(f, OK, "nested paging is there");
	} else {
		found(f, WARN, "no nested paging (npt flag): VMs run in shadow mode");
	}
}

static void look_assists(const struct machine *m, struct finding *f)
{
	const struct cpu_info *c = &m->cpu;

	if (c->nrip_save && c->decode_assists && c->flush_by_asid) {
		found(f, OK, "nrip_save, decodeassists and flushbyasid are there");
		return;
	}
	found(f, OK, "without%s%s%s: done in software, somewhat slower",
	      c->nrip_save ? "" : " nrip_save", c->decode_assists ? "" : " decodeassists",
	      c->flush_by_asid ? "" : " flushbyasid");
}

static void look_nesting(const struct machine *m, struct finding *f)
{
	if (!m->cpu.hypervisor) {
		found(f, OK, "a real machine");
		return;
	}
	found(f, WARN, "this is a virtual machine: exits cost much more than on a real one");
	advise(f, "fine for trying things out; measure on a real machine");
}

/* ---- kernel ---- */

/* Kernels that the module is built and tested for; docs/testing.md. */
static bool kernel_is_tested(const char *release)
{
	return !strncmp(release, "6.1.", 4) || !strncmp(release, "6.12.", 5);
}

static void look_kernel(const struct machine *m, struct finding *f)
{
	if (kernel_is_tested(m->uts.release)) {
		found(f, OK, "Linux %s", m->uts.release);
		return;
	}
	found(f, WARN, "Linux %s: not tried", m->uts.release);
	advise(f, "use Linux 6.1 or 6.12 (Debian 12 has both), or see whether the module builds");
}

static void look_module(const struct machine *m, struct finding *f)
{
	if (m->penumbra != MODULE_ABSENT) {
		found(f, OK, "penumbra_kvm is loaded");
	} else if (platform_module_installed(m->fs, m->uts.release, "penumbra_kvm")) {
		found(f, WARN, "penumbra_kvm is installed, not loaded");
		advise(f, "modprobe penumbra_kvm");
	} else {
		found(f, WARN, "penumbra_kvm is not loaded");
		advise(f, "in the sources: make modules KVERS=running && insmod build/kmod/running/penumbra_kvm.ko");
	}
}

/* The stock module, with a device to use it by. */
static bool has_stock(const struct machine *m)
{
	return (m->kvm_amd != MODULE_ABSENT || m->kvm_intel != MODULE_ABSENT) &&
	       hostfs_exists(m->fs, "/dev/kvm");
}

static void look_stock(const struct machine *m, struct finding *f)
{
	enum module_state state = m->kvm_amd != MODULE_ABSENT ? m->kvm_amd : m->kvm_intel;
	const char *name = m->kvm_amd != MODULE_ABSENT ? "kvm_amd" : "kvm_intel";

	if (state == MODULE_ABSENT && m->penumbra == MODULE_ABSENT &&
	    hostfs_exists(m->fs, "/dev/kvm")) {
		found(f, FAIL, "another hypervisor module has /dev/kvm");
		advise(f, "find it among 'lsmod | grep kvm' and unload it");
	} else if (state == MODULE_ABSENT) {
		found(f, OK, "no other kvm module has the processor's extension");
	} else if (state == MODULE_LOADED) {
		found(f, FAIL, "%s is loaded and has the processor's extension and /dev/kvm", name);
		advise(f, "stop its VMs, then: modprobe -r %s", name);
	} else {
		found(f, FAIL, "%s is built into this kernel and cannot be unloaded", name);
		advise(f, "use a kernel that has it as a module, as Debian's have");
	}
}

static void look_dev_kvm(const struct machine *m, struct finding *f)
{
	const char *owner = m->penumbra != MODULE_ABSENT ? "penumbra_kvm" :
			    m->kvm_amd != MODULE_ABSENT || m->kvm_intel != MODULE_ABSENT ?
			    "the stock kvm module" : "another module";
	int err;

	if (!hostfs_exists(m->fs, "/dev/kvm")) {
		if (m->penumbra == MODULE_ABSENT) {
			found(f, OK, "not there yet: comes with penumbra_kvm");
			return;
		}
		found(f, FAIL, "penumbra_kvm is loaded, but /dev/kvm is missing");
		advise(f, "mount devtmpfs on /dev, or make the node: see /sys/class/misc/kvm/dev");
		return;
	}
	err = hostfs_access(m->fs, R_OK | W_OK, "/dev/kvm");
	found(f, err ? WARN : OK, "/dev/kvm belongs to %s%s", owner,
	      err ? "; you may not open it" : "");
	if (err)
		advise(f, "usermod -aG kvm <you>, then log in again; or be root");
}

static void look_headers(const struct machine *m, struct finding *f)
{
	if (hostfs_exists(m->fs, "/lib/modules/%s/build/Makefile", m->uts.release)) {
		found(f, OK, "there for %s", m->uts.release);
	} else if (m->penumbra != MODULE_ABSENT) {
		found(f, OK, "none for %s; not needed, the module is loaded", m->uts.release);
	} else {
		found(f, WARN, "none for %s: the module cannot be built here", m->uts.release);
		advise(f, "apt-get install linux-headers-%s", m->uts.release);
	}
}

static void look_signatures(const struct machine *m, struct finding *f)
{
	int secure_boot = platform_secure_boot(m->fs);
	const char *boot = secure_boot == 1 ? "Secure Boot is on" :
			   secure_boot == 0 ? "Secure Boot is off" :
			   secure_boot == -ENOENT ? "no UEFI, so no Secure Boot" :
			   "Secure Boot's state cannot be read";

	if (!platform_signatures_enforced(m->fs)) {
		found(f, OK, "%s; modules need no signature", boot);
	} else if (m->penumbra != MODULE_ABSENT) {
		found(f, OK, "%s; modules need a signature, and ours was accepted", boot);
	} else {
		found(f, FAIL, "%s; this kernel takes signed modules only", boot);
		advise(f, "sign penumbra_kvm.ko with a key enrolled by mokutil, or switch Secure Boot off");
	}
}

/* ---- programs and memory ---- */

static void look_qemu(const struct machine *m, struct finding *f)
{
	char path[100], version[100];

	if (!platform_find_program("qemu-system-x86_64", path, sizeof(path))) {
		found(f, WARN, "no qemu-system-x86_64 in PATH");
		advise(f, "apt-get install qemu-system-x86");
	} else if (!platform_program_version(path, version, sizeof(version))) {
		found(f, WARN, "%s does not start", path);
		advise(f, "see what '%s --version' says", path);
	} else if (platform_qemu_hangs_smp(version)) {
		found(f, WARN, "%s: with this one guests of several vCPUs hang", version);
		advise(f, "apt-get install --allow-downgrades qemu-system-{x86,common}=1:7.2+dfsg-7+deb12u15, "
			"or give guests one vCPU");
	} else {
		found(f, OK, "%s", version);
	}
}

static void look_memory(const struct machine *m, struct finding *f)
{
	char total_text[TEXT_SIZE_BYTES], available_text[TEXT_SIZE_BYTES];
	uint64_t total, available;

	if (platform_memory(m->fs, &total, &available)) {
		found(f, WARN, "cannot read /proc/meminfo");
		advise(f, "mount /proc");
		return;
	}
	found(f, available < (UINT64_C(256) << 20) ? WARN : OK, "%s, of which %s available",
	      text_size(total_text, total), text_size(available_text, available));
	if (f->state == WARN)
		advise(f, "free some memory, or give guests little");
}

static void look_ksm(const struct machine *m, struct finding *f)
{
	struct platform_ksm ksm;
	char saved[TEXT_SIZE_BYTES];

	if (platform_ksm(m->fs, &ksm))
		found(f, OK, "this kernel has none");
	else if (ksm.running)
		found(f, OK, "on, saving %s", text_size(saved, ksm.saved_bytes));
	else
		found(f, OK, "off: equal pages of guests are not shared");
}

static void look_thp(const struct machine *m, struct finding *f)
{
	char line[128], word[32];

	if (hostfs_read(m->fs, line, sizeof(line), "/sys/kernel/mm/transparent_hugepage/enabled") < 0 ||
	    platform_choice(line, word, sizeof(word))) {
		found(f, WARN, "this kernel has no transparent huge pages: guests get 4 KiB pages only");
		advise(f, "give guests hugetlbfs memory, or accept slower page walks");
	} else if (!strcmp(word, "never")) {
		found(f, WARN, "never: guests get 4 KiB pages only");
		advise(f, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
	} else {
		found(f, OK, "%s", word);
	}
}

/* Optional: without it all works, so this is never in the way. */
static void look_ram_files(const struct machine *m, struct finding *f)
{
	char frames[TEXT_SIZE_BYTES], saved[TEXT_SIZE_BYTES];
	const struct ram_mount *mount = NULL;
	struct ram_list list = {};

	if (m->ram == MODULE_ABSENT) {
		found(f, OK, "penumbra_mem is not loaded (optional): guests' memory is not in files");
		return;
	}
	if (ram_list_read(m->fs, &list)) {
		found(f, WARN, "penumbra_mem is loaded, but " RAM_DIR " cannot be read");
		advise(f, "mount /sys");
		return;
	}
	for (size_t i = 0; i < list.nr; i++)
		if (!mount || !strcmp(list.mount[i].path, RAM_MOUNT))
			mount = &list.mount[i];
	if (mount) {
		found(f, OK, "penumbra_mem, mounted at %.60s, %zu file%s, %s in frames, %s saved",
		      mount->path[0] ? mount->path : mount->id, mount->nr, mount->nr == 1 ? "" : "s",
		      figure_size(frames, mount->frame_pages), figure_size(saved, mount->saved_pages));
	} else {
		found(f, OK, "penumbra_mem is loaded and not mounted: guests' memory is not in files");
		advise(f, "mkdir -p " RAM_MOUNT " && mount -t penumbra none " RAM_MOUNT);
	}
	ram_list_free(&list);
}

static bool is_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return len && !strncmp(path, folder, len) && (path[len] == '/' || !path[len]);
}

static bool on_ram_mount(const struct hostfs *fs, const char *path)
{
	struct ram_list list = {};
	bool found = false;

	if (ram_list_read(fs, &list))
		return false;
	for (size_t i = 0; i < list.nr && !found; i++)
		found = is_below(path, list.mount[i].path);
	ram_list_free(&list);
	return found;
}

/* Optional, too. libvirt makes its folder, for its QEMU's user, when its daemon starts. */
static void look_libvirt(const struct machine *m, struct finding *f)
{
	struct stat st;
	char dir[100];
	int err = platform_libvirt_ram_dir(m->fs, dir, sizeof(dir));

	if (err == -ENOENT) {
		found(f, OK, "not there (optional)");
	} else if (err) {
		found(f, OK, "its qemu.conf cannot be read: %s", strerror(-err));
		advise(f, "as root doctor sees where domains have their memory");
	} else if (!on_ram_mount(m->fs, dir)) {
		found(f, OK, "its domains' memory is not in RAM files");
		advise(f, "memory_backing_dir = \"" RAM_MOUNT "\" in /etc/libvirt/qemu.conf, mount, restart libvirtd");
	} else if (hostfs_stat(m->fs, &st, "%s/libvirt", dir) || !(st.st_mode & S_IXOTH)) {
		found(f, WARN, "%s was mounted after libvirtd had started: domains cannot make files there", dir);
		advise(f, "systemctl restart libvirtd");
	} else {
		found(f, OK, "domains with file-backed memory have it in %s", dir);
	}
}

static const struct check checks[] = {
	{ "cpu", look_cpu },
	{ "svm", look_svm },
	{ "npt", look_npt },
	{ "assists", look_assists },
	{ "nesting", look_nesting },
	{ "kernel", look_kernel },
	{ "headers", look_headers },
	{ "signatures", look_signatures },
	{ "stock-kvm", look_stock },
	{ "module", look_module },
	{ "dev-kvm", look_dev_kvm },
	{ "qemu", look_qemu },
	{ "memory", look_memory },
	{ "ksm", look_ksm },
	{ "thp", look_thp },
	{ "ram-files", look_ram_files },
	{ "libvirt", look_libvirt },
};

#define NR_CHECKS	(sizeof(checks) / sizeof(*checks))

/* ---- output ---- */

static void print_finding(const struct check *check, const struct finding *f, bool colours)
{
	static const char *const colour[NR_STATES] = { "\033[32m", "\033[33m", "\033[31m" };

	printf("%s%-4s%s  %-10s  %s", colours ? colour[f->state] : "", state_names[f->state],
	       colours ? "\033[0m" : "", check->name, f->detail);
	if (f->advice[0])
		printf(" -> %s", f->advice);
	putchar('\n');
}

static void print_text(const struct finding *findings, const struct machine *m,
		       enum verdict verdict)
{
	static const char *const words[] = {
		"This machine can run Penumbra.",
		"RAM files work here under the stock kvm module: penumbra run --stock, mem, share, clone, "
		"save and restore.\nFor penumbra_kvm see the lines with \"fail\".",
		"This machine cannot run Penumbra as it is: see the lines with \"fail\".",
	};
	bool colours = isatty(STDOUT_FILENO);

	for (size_t i = 0; i < NR_CHECKS; i++)
		print_finding(&checks[i], &findings[i], colours);
	printf("\n%s\n", words[verdict]);
	if (verdict == RUNS_NOT && has_stock(m))
		puts("RAM files work under the stock kvm module, too: load penumbra_mem for them.");
}

static struct json_object *to_json(const struct finding *findings, enum verdict verdict)
{
	struct json_object *root = json_object_new_object(), *list = json_object_new_array();
	struct json_object *item;

	json_object_object_add(root, "schema", json_object_new_int(JSON_SCHEMA));
	json_object_object_add(root, "runnable", json_object_new_boolean(verdict == RUNS));
	json_object_object_add(root, "stock_runnable",
			       json_object_new_boolean(verdict == RUNS_ON_STOCK));
	for (size_t i = 0; i < NR_CHECKS; i++) {
		const struct finding *f = &findings[i];

		item = json_object_new_object();
		json_object_object_add(item, "name", json_object_new_string(checks[i].name));
		json_object_object_add(item, "status", json_object_new_string(state_names[f->state]));
		json_object_object_add(item, "detail", json_object_new_string(f->detail));
		json_object_object_add(item, "advice",
				       f->advice[0] ? json_object_new_string(f->advice) : NULL);
		json_object_array_add(list, item);
	}
	json_object_object_add(root, "checks", list);
	return root;
}

static void gather(struct machine *m)
{
	uname(&m->uts);
	m->cpu_err = cpu_info_read(m->fs, &m->cpu);
	m->penumbra = platform_module(m->fs, "penumbra_kvm");
	m->ram = platform_module(m->fs, "penumbra_mem");
	m->kvm_amd = platform_module(m->fs, "kvm_amd");
	m->kvm_intel = platform_module(m->fs, "kvm_intel");
}

int builtin_doctor(const struct hostfs *fs, int argc, char **argv)
{
	static const struct argp_option options[] = {
		OPTION_JSON("Print JSON", 0), {}
	};
	static const struct argp argp = {
		.options = options,
		.parser = cmdline_show_only,
		.doc = "Tell whether this machine can run Penumbra, and if not, why.\v"
		       "Exit status: 0 it can, if only RAM files under the stock module; 1 it cannot; 2 bad "
		       "arguments.",
	};
	struct finding findings[NR_CHECKS] = {};
	struct machine m = { .fs = fs };
	enum verdict verdict = RUNS;
	struct show_options o = {};
	int ret;

	ret = cmdline_parse(&argp, argc, argv, &o);
	if (ret)
		return ret;
	gather(&m);
	for (size_t i = 0; i < NR_CHECKS; i++) {
		checks[i].look(&m, &findings[i]);
		if (findings[i].state == FAIL)
			verdict = RUNS_NOT;
	}
	if (verdict == RUNS_NOT && has_stock(&m) && m.ram != MODULE_ABSENT)
		verdict = RUNS_ON_STOCK;
	if (o.json) {
		ret = output_json("doctor", to_json(findings, verdict), false);
	} else {
		print_text(findings, &m, verdict);
		ret = output_finish("doctor");
	}
	return ret ? ret : verdict == RUNS_NOT ? STATUS_FAILED : STATUS_OK;
}
