// SPDX-License-Identifier: GPL-2.0
/* What the running kernel and its firmware allow; see platform.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "libpenumbra/platform.h"
#include "libpenumbra/text.h"

/* UEFI's global variable SecureBoot: four bytes of attributes, then the value. */
#define SECURE_BOOT_VARIABLE \
	"/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

enum module_state platform_module(const struct hostfs *fs, const char *name)
{
	if (!hostfs_exists(fs, "/sys/module/%s", name))
		return MODULE_ABSENT;
	/* only what can be unloaded has a state */
	return hostfs_exists(fs, "/sys/module/%s/initstate", name) ? MODULE_LOADED : MODULE_BUILTIN;
}

int platform_secure_boot(const struct hostfs *fs)
{
	unsigned char variable[5];
	int ret;

	if (!hostfs_exists(fs, "/sys/firmware/efi"))
		return -ENOENT;
	ret = hostfs_pread(fs, variable, sizeof(variable), 0, SECURE_BOOT_VARIABLE);
	/* firmware without the variable knows no Secure Boot */
	if (ret == -ENOENT && hostfs_exists(fs, "/sys/firmware/efi/efivars"))
		return 0;
	return ret ? (ret == -ENOENT ? -EACCES : ret) : variable[4] == 1;
}

bool platform_signatures_enforced(const struct hostfs *fs)
{
	char text[128], mode[32];

	if (hostfs_read(fs, text, sizeof(text), "/sys/module/module/parameters/sig_enforce") > 0 &&
	    text[0] == 'Y')
		return true;
	return hostfs_read(fs, text, sizeof(text), "/sys/kernel/security/lockdown") > 0 &&
	       !platform_choice(text, mode, sizeof(mode)) && strcmp(mode, "none");
}

bool platform_module_installed(const struct hostfs *fs, const char *release, const char *name)
{
	static const char *const folders[] = { "extra", "updates", "updates/dkms" };
	static const char *const suffixes[] = { "", ".xz", ".zst", ".gz" };

	for (size_t f = 0; f < sizeof(folders) / sizeof(*folders); f++)
		for (size_t s = 0; s < sizeof(suffixes) / sizeof(*suffixes); s++)
			if (hostfs_exists(fs, "/lib/modules/%s/%s/%s.ko%s", release, folders[f],
					  name, suffixes[s]))
				return true;
	return false;
}

int platform_kib_line(const char *text, const char *key, uint64_t *bytes)
{
	size_t len = strlen(key);
	char digits[24];
	uint64_t kib;

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, len) || line[len] != ':')
			continue;
		if (sscanf(line + len + 1, " %23[0-9] kB", digits) != 1 ||
		    text_parse_u64(digits, &kib) || __builtin_mul_overflow(kib, 1024u, bytes))
			return -EINVAL;
		return 0;
	}
	return -ENOENT;
}

int platform_memory(const struct hostfs *fs, uint64_t *total, uint64_t *available)
{
	size_t len;
	char *text = hostfs_read_all(fs, &len, "/proc/meminfo");
	int ret;

	if (!text)
		return -errno;
	ret = platform_kib_line(text, "MemTotal", total);
	if (!ret)
		ret = platform_kib_line(text, "MemAvailable", available);
	free(text);
	return ret;
}

int platform_ksm(const struct hostfs *fs, struct platform_ksm *ksm)
{
	uint64_t run, sharing;
	int ret = hostfs_read_u64(fs, &run, "/sys/kernel/mm/ksm/run");

	if (ret)
		return ret;
	ret = hostfs_read_u64(fs, &sharing, "/sys/kernel/mm/ksm/pages_sharing");
	if (ret)
		return ret;
	ksm->running = run == 1;
	ksm->saved_bytes = sharing * sysconf(_SC_PAGESIZE);
	return 0;
}

int platform_choice(const char *line, char *word, size_t size)
{
	const char *open = strchr(line, '['), *close = open ? strchr(open, ']') : NULL;
	size_t len;

	if (!close)
		return -EINVAL;
	len = close - open - 1;
	if (!len || len >= size)
		return -EINVAL;
	memcpy(word, open + 1, len);
	word[len] = 0;
	return 0;
}

/* Behind the blanks at @p, or NULL if @c does not follow them. */
static const char *behind(const char *p, char c)
{
	p += strspn(p, " \t");
	return *p == c ? p + 1 : NULL;
}

bool platform_conf_string(const char *text, const char *key, char *value, size_t size)
{
	bool found = false;
	const char *p;
	size_t len;

	for (; *text; text += *text == '\n') {
		p = text + strspn(text, " \t");
		text += strcspn(text, "\n");
		if (strncmp(p, key, strlen(key)))
			continue;
		p = behind(p + strlen(key), '=');
		p = p ? behind(p, '"') : NULL;
		len = p ? strcspn(p, "\"\n") : 0;
		if (!p || p[len] != '"')
			continue;
		found = len < size;
		if (found)
			snprintf(value, size, "%.*s", (int)len, p);
	}
	return found;
}

int platform_libvirt_ram_dir(const struct hostfs *fs, char *dir, size_t size)
{
	size_t len;
	char *text = hostfs_read_all(fs, &len, "/etc/libvirt/qemu.conf");

	if (!text)
		return -errno;
	if (!platform_conf_string(text, "memory_backing_dir", dir, size))
		*dir = 0;
	free(text);
	return 0;
}

bool platform_find_program(const char *name, char *path, size_t size)
{
	const char *dirs = getenv("PATH"), *end;

	for (; dirs && *dirs; dirs = *end ? end + 1 : end) {
		end = strchrnul(dirs, ':');
		if (end == dirs || (size_t)snprintf(path, size, "%.*s/%s", (int)(end - dirs), dirs,
						    name) >= size)
			continue;
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

/* The child: @path --version into @out, all else to nowhere. */
static _Noreturn void exec_version(const char *path, int out)
{
	int null = open("/dev/null", O_RDWR);

	if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDERR_FILENO) >= 0 &&
	    dup2(out, STDOUT_FILENO) >= 0)
		execl(path, path, "--version", NULL);
	_exit(127);
}

bool platform_program_version(const char *path, char *line, size_t size)
{
	int pipe_fds[2];
	pid_t pid;
	FILE *f;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return false;
	pid = fork();
	if (!pid)
		exec_version(path, pipe_fds[1]);
	close(pipe_fds[1]);
	*line = 0;
	f = fdopen(pipe_fds[0], "r");
	if (!f)
		close(pipe_fds[0]);
	else if (pid < 0 || !fgets(line, size, f))
		*line = 0;
	/* read all, so that it does not die of a closed pipe */
	while (f && fgetc(f) != EOF)
		;
	if (f)
		fclose(f);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	line[strcspn(line, "\n")] = 0;
	return *line;
}

bool platform_qemu_hangs_smp(const char *version)
{
	static const char package[] = "1:7.2+dfsg-7+deb12u";
	const char *p = strstr(version, package);

	return p && strtoul(p + sizeof(package) - 1, NULL, 10) >= 16 &&
	       strtoul(p + sizeof(package) - 1, NULL, 10) <= 18;
}
