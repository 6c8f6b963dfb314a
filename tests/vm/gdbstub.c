// SPDX-License-Identifier: GPL-2.0
/*
 * gdbstub PORT ADDRESS: debugs QEMU's guest as gdb does, by its remote protocol:
 * a breakpoint at ADDRESS (hexadecimal), which the guest passes again and again,
 * single steps from there, memory, and on. TAP on stdout.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"

static int fd;

static void transmit(const char *body)
{
	unsigned char sum = 0;
	char packet[512];

	for (const char *p = body; *p; p++)
		sum += *p;
	snprintf(packet, sizeof(packet), "$%s#%02x", body, sum);
	if (write(fd, packet, strlen(packet)) < 0)
		tap_bail("write to the stub");
}

static char get(void)
{
	char c;

	if (read(fd, &c, 1) != 1)
		tap_bail("the stub is gone");
	return c;
}

/* The next packet's body; acknowledged. */
static char *receive(void)
{
	static char body[65536];
	size_t n = 0;
	char c;

	while (get() != '$')
		;
	while ((c = get()) != '#' && n < sizeof(body) - 1)
		body[n++] = c;
	body[n] = 0;
	get();
	get();
	if (write(fd, "+", 1) != 1)
		tap_bail("write to the stub");
	if (getenv("GDBSTUB_TRACE"))
		tap_note("reply %.120s", body);
	return body;
}

static char *ask(const char *body)
{
	transmit(body);
	return receive();
}

/* Stopping the guest is told once more, for having been asked to by the connection. */
static void drain(void)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;

	while (poll(&p, 1, 500) > 0 && read(fd, &c, 1) == 1)
		;
	if (write(fd, "+", 1) != 1)
		tap_bail("write to the stub");
}

/* RIP is the 17th register of 'g', little-endian. */
static uint64_t rip(void)
{
	char *regs = ask("g");
	uint64_t v = 0;

	if (strlen(regs) < 17 * 16)
		return 0;
	for (int i = 7; i >= 0; i--) {
		char two[3] = { regs[16 * 16 + 2 * i], regs[16 * 16 + 2 * i + 1], 0 };

		v = v << 8 | strtoul(two, NULL, 16);
	}
	return v;
}

static void attach(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	for (int i = 0; i < 100; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (!connect(fd, (struct sockaddr *)&to, sizeof(to)))
			return;
		close(fd);
		usleep(100000);
	}
	tap_bail("no stub at port %d", port);
}

int main(int argc, char **argv)
{
	uint64_t at, last;
	char text[64];
	unsigned int moved = 0;

	if (argc < 3)
		tap_bail("usage: gdbstub PORT ADDRESS");
	at = strtoull(argv[2], NULL, 16);
	alarm(120);
	attach(atoi(argv[1]));
	tap_ok(!strncmp(ask("?"), "T", 1), "the stub stops the guest");
	drain();
	snprintf(text, sizeof(text), "Z0,%llx,1", (unsigned long long)at);
	tap_ok(!strcmp(ask(text), "OK"), "a breakpoint is set");
	tap_ok(!strncmp(ask("c"), "T05", 3), "the guest stops with a trap");
	tap_eq(rip(), at, "at the breakpoint");
	snprintf(text, sizeof(text), "m%llx,4", (unsigned long long)at);
	tap_ok(strlen(ask(text)) == 8, "memory reads");
	snprintf(text, sizeof(text), "z0,%llx,1", (unsigned long long)at);
	tap_ok(!strcmp(ask(text), "OK"), "the breakpoint is taken off");
	tap_ok(!strncmp(ask("s"), "T05", 3) && rip() > at && rip() < at + 16, "a single step goes one instruction on");
	for (unsigned int i = 0; i < 20; i++) {
		last = rip();
		if (strncmp(ask("s"), "T05", 3))
			break;
		moved += rip() != last;
	}
	tap_ok(moved >= 15, "twenty single steps (%u moved)", moved);
	snprintf(text, sizeof(text), "Z0,%llx,1", (unsigned long long)at);
	ask(text);
	tap_ok(!strncmp(ask("c"), "T05", 3) && rip() == at, "continued, it comes round to the breakpoint again");
	ask("D");
	return tap_done();
}
