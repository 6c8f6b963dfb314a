// SPDX-License-Identifier: GPL-2.0
/* See console.h. A line is put together first: it is one exit then. */
#include <stdint.h>
#include "console.h"

#define DEBUG_PORT	0xe9
#define EXIT_PORT	0xf4

extern uint32_t multiboot_info;

static unsigned int points;
static char line[256];
static size_t line_len;

static void put(const char *s)
{
	while (*s && line_len < sizeof(line) - 2)
		line[line_len++] = *s++;
}

static void put_number(unsigned long n, unsigned int base)
{
	char buf[24], *p = buf + sizeof(buf) - 1;

	*p = 0;
	do
		*--p = "0123456789abcdef"[n % base];
	while (n /= base);
	put(p);
}

static void end_line(void)
{
	const char *p = line;
	size_t n;

	line[line_len++] = '\n';
	n = line_len;
	asm volatile("rep outsb" : "+S"(p), "+c"(n) : "d"(DEBUG_PORT) : "memory");
	line_len = 0;
}

void ok(bool pass, const char *name)
{
	put(pass ? "ok " : "not ok ");
	put_number(++points, 10);
	put(" - ");
	put(name);
	end_line();
}

void note(const char *text, unsigned long number)
{
	put("# ");
	put(text);
	put(" 0x");
	put_number(number, 16);
	end_line();
}

void is(const char *name, unsigned long got, unsigned long want)
{
	ok(got == want, name);
	if (got != want) {
		note("wanted", want);
		note("got   ", got);
	}
}

void skip(const char *name, const char *why)
{
	put("ok ");
	put_number(++points, 10);
	put(" - ");
	put(name);
	put(" # SKIP ");
	put(why);
	end_line();
}

static __attribute__((noreturn)) void end_guest(int status)
{
	asm volatile("outl %0, %1" : : "a"(status), "Nd"(EXIT_PORT));
	for (;;)
		asm volatile("cli; hlt");
}

void bail_out(unsigned long vector, unsigned long at, unsigned long error, unsigned long cr2)
{
	put("Bail out! vector ");
	put_number(vector, 10);
	put(" at 0x");
	put_number(at, 16);
	put(" error 0x");
	put_number(error, 16);
	put(" cr2 0x");
	put_number(cr2, 16);
	end_line();
	end_guest(1);
}

void done(void)
{
	put("1..");
	put_number(points, 10);
	end_line();
	end_guest(0);
}

bool told(const char *word)
{
	const char *p = (const char *)(unsigned long)*(uint32_t *)((unsigned long)multiboot_info + 16);
	const char *q, *w;

	for (; *p; p++) {
		for (q = p, w = word; *w && *q == *w; q++, w++)
			;
		if (!*w)
			return true;
	}
	return false;
}
