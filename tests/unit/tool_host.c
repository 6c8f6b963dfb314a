// SPDX-License-Identifier: GPL-2.0
/* libpenumbra/{hostfs,cpu,platform,vms} on fake /proc, /sys and /dev. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>
#include "tool_tree.h"
#include "libpenumbra/cpu.h"
#include "libpenumbra/platform.h"
#include "libpenumbra/vms.h"

static void test_files(void **state)
{
	struct tree *t = *state;
	uint64_t v;
	char buf[4];

	tree_text(t, "/sys/a", "12\n");
	tree_text(t, "/sys/b", "12 pages\n");
	tree_text(t, "/sys/c", "");
	assert_int_equal(hostfs_read_u64(&t->fs, &v, "/sys/%s", "a"), 0);
	assert_int_equal(v, 12);
	assert_int_equal(hostfs_read_u64(&t->fs, &v, "/sys/b"), -EINVAL);
	assert_int_equal(hostfs_read_u64(&t->fs, &v, "/sys/c"), -EINVAL);
	assert_int_equal(hostfs_read_u64(&t->fs, &v, "/sys/d"), -ENOENT);
	assert_int_equal(hostfs_read_u64(&t->fs, &v, "/sys"), -EISDIR);
	assert_int_equal(hostfs_read(&t->fs, buf, sizeof(buf), "/sys/b"), 3);
	assert_string_equal(buf, "12 ");
	assert_true(hostfs_exists(&t->fs, "/sys/c"));
	assert_false(hostfs_exists(&t->fs, "/sys/d"));
}

static void test_long_file(void **state)
{
	struct tree *t = *state;
	size_t len = 0, size = HOSTFS_MAX_BYTES + 5000;
	char *big = malloc(size), *got;

	assert_non_null(big);
	memset(big, 'x', size);
	tree_write(t, "/proc/big", big, size, 0);
	got = hostfs_read_all(&t->fs, &len, "/proc/big");
	assert_non_null(got);
	assert_int_equal(len, HOSTFS_MAX_BYTES);
	assert_int_equal(got[len], 0);
	free(got);
	tree_write(t, "/proc/some", big, 4096, 0);
	got = hostfs_read_all(&t->fs, &len, "/proc/some");
	assert_int_equal(len, 4096);
	free(got);
	free(big);
	assert_null(hostfs_read_all(&t->fs, &len, "/proc/none"));
	assert_int_equal(errno, ENOENT);
}

static void test_list(void **state)
{
	struct tree *t = *state;
	struct hostfs_names names;

	tree_text(t, "/d/10", "");
	tree_text(t, "/d/9", "");
	tree_text(t, "/d/.hidden", "");
	assert_int_equal(hostfs_list(&t->fs, &names, "/d"), 0);
	assert_int_equal(names.nr, 2);
	assert_string_equal(names.name[0], "9");
	assert_string_equal(names.name[1], "10");
	hostfs_names_free(&names);
	assert_int_equal(hostfs_list(&t->fs, &names, "/none"), -ENOENT);
	assert_int_equal(hostfs_list(&t->fs, &names, "/d/9"), -ENOTDIR);
}

static void test_cpu(void **state)
{
	struct tree *t = *state;
	struct cpu_info cpu;

	assert_int_equal(cpu_info_read(&t->fs, &cpu), -ENOENT);
	tree_text(t, "/proc/cpuinfo",
		  "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 23\n"
		  "model name\t: AMD EPYC\nflags\t\t: fpu svm npt nrip_save hypervisor\n\n"
		  "processor\t: 1\nvendor_id\t: Other\nflags\t\t: fpu vmx\n");
	assert_int_equal(cpu_info_read(&t->fs, &cpu), 0);
	assert_string_equal(cpu.vendor, "AuthenticAMD");
	assert_string_equal(cpu.model, "AMD EPYC");
	assert_int_equal(cpu.nr, 2);
	assert_true(cpu.svm && cpu.npt && cpu.nrip_save && cpu.hypervisor && cpu_is_amd(&cpu));
	assert_false(cpu.vmx || cpu.ept || cpu.flush_by_asid || cpu.decode_assists);

	assert_true(cpu_info_parse("processor : 0\nvendor_id : GenuineIntel\nvmx flags : ept ept_ad",
				   &cpu));
	assert_false(cpu_is_amd(&cpu));
	assert_false(cpu_info_parse("", &cpu));
	assert_false(cpu_info_parse("Features : fp asimd\n", &cpu));
	assert_false(cpu_info_parse("processor : 0\nvendor_id\n", &cpu));
}

static void test_vm_cr(void **state)
{
	struct tree *t = *state;
	uint64_t vm_cr = 0;

	assert_int_equal(cpu_svm_disabled(&t->fs), -ENOENT);
	tree_write(t, "/dev/cpu/0/msr", &vm_cr, sizeof(vm_cr), 0xc0010114);
	assert_int_equal(cpu_svm_disabled(&t->fs), 0);
	vm_cr = 0x18;	/* locked, disabled */
	tree_write(t, "/dev/cpu/0/msr", &vm_cr, sizeof(vm_cr), 0xc0010114);
	assert_int_equal(cpu_svm_disabled(&t->fs), 1);
	vm_cr = 0x8;	/* locked, enabled */
	tree_write(t, "/dev/cpu/0/msr", &vm_cr, sizeof(vm_cr), 0xc0010114);
	assert_int_equal(cpu_svm_disabled(&t->fs), 0);
}

#define SECURE_BOOT "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

static void test_secure_boot(void **state)
{
	struct tree *t = *state;

	assert_int_equal(platform_secure_boot(&t->fs), -ENOENT);
	tree_text(t, "/sys/firmware/efi/fw_platform_size", "64\n");
	assert_int_equal(platform_secure_boot(&t->fs), -EACCES);
	tree_text(t, "/sys/firmware/efi/efivars/Other", "");
	assert_int_equal(platform_secure_boot(&t->fs), 0);
	tree_write(t, SECURE_BOOT, "\6\0\0\0\0", 5, 0);
	assert_int_equal(platform_secure_boot(&t->fs), 0);
	tree_write(t, SECURE_BOOT, "\6\0\0\0\1", 5, 0);
	assert_int_equal(platform_secure_boot(&t->fs), 1);
	tree_write(t, SECURE_BOOT, "\6\0", 2, 0);
	assert_int_equal(platform_secure_boot(&t->fs), -EIO);
}

static void test_signatures(void **state)
{
	struct tree *t = *state;

	assert_false(platform_signatures_enforced(&t->fs));
	tree_text(t, "/sys/module/module/parameters/sig_enforce", "N\n");
	tree_text(t, "/sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
	assert_false(platform_signatures_enforced(&t->fs));
	tree_text(t, "/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
	assert_true(platform_signatures_enforced(&t->fs));
	tree_text(t, "/sys/kernel/security/lockdown", "\n");
	assert_false(platform_signatures_enforced(&t->fs));
	tree_text(t, "/sys/module/module/parameters/sig_enforce", "Y\n");
	assert_true(platform_signatures_enforced(&t->fs));
}

static void test_modules(void **state)
{
	struct tree *t = *state;

	assert_int_equal(platform_module(&t->fs, "kvm_amd"), MODULE_ABSENT);
	tree_text(t, "/sys/module/kvm_amd/parameters/npt", "1\n");
	assert_int_equal(platform_module(&t->fs, "kvm_amd"), MODULE_BUILTIN);
	tree_text(t, "/sys/module/kvm_amd/initstate", "live\n");
	assert_int_equal(platform_module(&t->fs, "kvm_amd"), MODULE_LOADED);
	assert_false(platform_module_installed(&t->fs, "6.1", "m"));
	tree_text(t, "/lib/modules/6.1/updates/dkms/m.ko.xz", "");
	assert_true(platform_module_installed(&t->fs, "6.1", "m"));
	assert_false(platform_module_installed(&t->fs, "6.12", "m"));
}

static void test_memory(void **state)
{
	struct tree *t = *state;
	struct platform_ksm ksm;
	uint64_t total, available;
	char word[8];

	assert_int_equal(platform_memory(&t->fs, &total, &available), -ENOENT);
	tree_text(t, "/proc/meminfo", "MemTotal:  2048 kB\nMemFree: 1 kB\nMemAvailable:   1024 kB\n");
	assert_int_equal(platform_memory(&t->fs, &total, &available), 0);
	assert_int_equal(total, 2048 << 10);
	assert_int_equal(available, 1024 << 10);
	assert_int_equal(platform_kib_line("VmRSS: x kB", "VmRSS", &total), -EINVAL);
	assert_int_equal(platform_kib_line("VmRSS: 99999999999999999999999 kB", "VmRSS", &total), -EINVAL);
	assert_int_equal(platform_kib_line("XVmRSS: 1 kB", "VmRSS", &total), -ENOENT);

	assert_int_equal(platform_ksm(&t->fs, &ksm), -ENOENT);
	tree_text(t, "/sys/kernel/mm/ksm/run", "1\n");
	tree_text(t, "/sys/kernel/mm/ksm/pages_sharing", "10\n");
	assert_int_equal(platform_ksm(&t->fs, &ksm), 0);
	assert_true(ksm.running);
	assert_int_equal(ksm.saved_bytes, 10 * sysconf(_SC_PAGESIZE));

	assert_int_equal(platform_choice("always [madvise] never", word, sizeof(word)), 0);
	assert_string_equal(word, "madvise");
	for (const char **bad = (const char *[]){ "", "a", "[", "]", "][", "[]", "[too-long]", NULL };
	     *bad; bad++)
		assert_int_equal(platform_choice(*bad, word, sizeof(word)), -EINVAL);
}

static void test_libvirt(void **state)
{
	static const char text[] = "#memory_backing_dir = \"/a\"\nmemory_backing_dirs = \"/b\"\n"
		" memory_backing_dir=\"/c\nmemory_backing_dir = /d\nstdio = \"file\" # \"x\"";
	struct tree *t = *state;
	char value[8];

	assert_int_equal(platform_libvirt_ram_dir(&t->fs, value, sizeof(value)), -ENOENT);
	tree_text(t, "/etc/libvirt/qemu.conf", text);
	assert_int_equal(platform_libvirt_ram_dir(&t->fs, value, sizeof(value)), 0);
	assert_string_equal(value, "");
	assert_true(platform_conf_string(text, "stdio", value, sizeof(value)));
	assert_string_equal(value, "file");
	assert_false(platform_conf_string(text, "stdio", value, 4));
	tree_text(t, "/etc/libvirt/qemu.conf", "memory_backing_dir = \"/a\"\n\tmemory_backing_dir\t=\t\"/b/c\"\n");
	assert_int_equal(platform_libvirt_ram_dir(&t->fs, value, sizeof(value)), 0);
	assert_string_equal(value, "/b/c");
}

static void test_qemu(void **state)
{
	struct tree *t = *state;
	char path[128], line[32];

	assert_true(platform_qemu_hangs_smp("QEMU emulator version 7.2.22 "
					    "(Debian 1:7.2+dfsg-7+deb12u18+b3)"));
	assert_true(platform_qemu_hangs_smp("1:7.2+dfsg-7+deb12u16"));
	assert_false(platform_qemu_hangs_smp("1:7.2+dfsg-7+deb12u15"));
	assert_false(platform_qemu_hangs_smp("1:7.2+dfsg-7+deb12u19"));
	assert_false(platform_qemu_hangs_smp("1:7.2+dfsg-7+deb12u"));
	assert_false(platform_qemu_hangs_smp("QEMU emulator version 10.0"));

	snprintf(path, sizeof(path), "%s/bin", t->dir);
	tree_text(t, "/bin", "#!/bin/sh\necho \"$1 one\"; yes | head -n 100000\n");
	assert_false(platform_program_version(path, line, sizeof(line)));
	chmod(path, 0755);
	assert_true(platform_program_version(path, line, sizeof(line)));
	assert_string_equal(line, "--version one");
	tree_text(t, "/bin", "#!/bin/sh\necho oops >&2\n");
	assert_false(platform_program_version(path, line, sizeof(line)));
}

static void add_vm(struct tree *t, unsigned int id, const char *pid, const char *cmdline, size_t len)
{
	static const char *const files[][2] = {
		{ "mmu", "nested\n" }, { "vcpus", "2\n" }, { "memory_pages", "131072\n" },
		{ "table_pages", "2\n" }, { "pages_4k", "3\n" }, { "pages_2m", "1\n" }, { "stat/exits", "1000\n" }, { "stat/io_exits", "10\n" },
		{ "stat/note", "not a number\n" },
	};
	char path[128], line[32];

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), VMS_DIR "/vms/%u/%s", id, files[i][0]);
		tree_text(t, path, files[i][1]);
	}
	snprintf(path, sizeof(path), VMS_DIR "/vms/%u/pid", id);
	snprintf(line, sizeof(line), "%s\n", pid);
	tree_text(t, path, line);
	if (!cmdline)
		return;
	snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
	tree_write(t, path, cmdline, len, 0);
	snprintf(path, sizeof(path), "/proc/%s/status", pid);
	tree_text(t, path, "Name:\tqemu\nVmRSS:\t  100 kB\n");
}

static void test_vms(void **state)
{
	struct tree *t = *state;
	struct vms_list list;
	bool many;

	assert_int_equal(vms_read(&t->fs, &list), -ENOENT);
	add_vm(t, 2, "77", "q\0-name\0guest=b\0", 15);
	add_vm(t, 10, "78", "q\0-name\0b\0", 9);
	add_vm(t, 1, "76", "q\0-name\0web\0", 11);
	add_vm(t, 11, "79", NULL, 0);	/* its process is gone */
	/* In shadow mode: one of the two tables is a shadow page, and those take more. */
	tree_text(t, VMS_DIR "/vms/10/stat/shadow_pages", "1\n");
	tree_text(t, VMS_DIR "/vms/10/shadow_bytes", "9000\n");
	tree_text(t, VMS_DIR "/vms/junk", "");
	tree_text(t, VMS_DIR "/vms/12/pid", "x\n");
	assert_int_equal(vms_read(&t->fs, &list), 0);
	assert_int_equal(list.nr, 4);
	assert_int_equal(list.vm[0].id, 1);
	assert_int_equal(list.vm[0].pid, 76);
	assert_string_equal(list.vm[0].name, "web");
	assert_string_equal(list.vm[0].mode, "nested");
	assert_int_equal(list.vm[0].vcpus, 2);
	assert_int_equal(list.vm[0].memory_bytes, 512 << 20);
	assert_int_equal(list.vm[0].table_bytes, 8192);
	assert_int_equal(list.vm[2].table_bytes, 4096 + 9000);
	assert_int_equal(list.vm[0].mapped_bytes, (3 + 512) * 4096);
	assert_int_equal(list.vm[0].resident_bytes, 100 << 10);
	assert_int_equal(list.vm[0].stat.nr, 2);
	assert_int_equal(vms_counter(&list.vm[0].stat, "exits"), 1000);
	assert_int_equal(vms_counter(&list.vm[0].stat, "nothing"), 0);
	assert_string_equal(list.vm[3].name, "");

	assert_ptr_equal(vms_find(&list, "web", &many), &list.vm[0]);
	assert_false(many);
	assert_ptr_equal(vms_find(&list, "10", &many), &list.vm[2]);
	assert_non_null(vms_find(&list, "b", &many));
	assert_true(many);
	assert_null(vms_find(&list, "", &many) ? NULL : vms_find(&list, "none", &many));
	vms_free(&list);
}

#define ON_TREE(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_TREE(test_files), ON_TREE(test_long_file), ON_TREE(test_list),
		ON_TREE(test_cpu), ON_TREE(test_vm_cr), ON_TREE(test_secure_boot),
		ON_TREE(test_signatures), ON_TREE(test_modules), ON_TREE(test_memory),
		ON_TREE(test_libvirt), ON_TREE(test_qemu),
		ON_TREE(test_vms),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("tool_host", tests, NULL, NULL);
}
