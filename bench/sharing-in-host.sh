#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs in the test host: measures sets of guests, first with KSM, then with penumbra_mem, all in
# one boot (bench/sharing.c says how).
#
#	sharing-in-host.sh DIR RESULT CASE...
#
# A case is NAME:GUESTS[:KERNELS[:LOAD[:WORDS]]]: how many guests, which kernels they run in turn,
# what they do (idle, web, build), and words for their command line. From the environment:
# SCANNERS (ksm penumbra; exact only compares the first 1, 2, 5 and 10), MIB of each guest, HUGE
# (never or always: 2 MiB pages on both sides), OPTIONS for bench-sharing.
set -eu

dir=$1 result=$2
shift 2
work=/tmp/bench
ram=/tmp/ram
mkdir -p $work $ram
cp "$dir"/bench-* $work/

# Typed into each guest. A web server and its client: 16 requests a second of 64 pages of
# 64 KiB, half of them the same in all guests, half each guest's own.
web='cd /tmp; mkdir www
for f in $(seq 32); do
	dd if=/bin/busybox of=www/$f bs=64k count=1 skip=$f
	dd if=/dev/urandom of=www/$((f + 32)) bs=64k count=1
done 2>/dev/null
ip link set lo up; httpd -p 127.0.0.1:80 -h www
while :; do
	for f in $(seq 64); do
		wget -q -O /dev/null http://127.0.0.1/$f
		[ $((f % 16)) != 0 ] || sleep 1
	done
done &'
# A stand-in for a compiler, which the guests have not: once a second a pipeline of short
# processes that reads a part of a program, transforms it and writes a file.
build='cd /tmp
while :; do
	for f in $(seq 16); do
		dd if=/bin/busybox bs=128k count=1 skip=$f 2>/dev/null | strings |
		awk -v f=$f "{ n[\$1 \" \" f]++ } END { for (k in n) print n[k], k }" |
		sort | gzip >$f.o
		sleep 1
	done
	cat *.o >all
done &'

load() {
	case $1 in
	idle) ;;
	# to a shell with line editing a tab is something else
	web) echo "$web" | tr '\t' ' ' ;;
	build) echo "$build" | tr '\t' ' ' ;;
	*) echo "sharing: unknown load $1" >&2; return 1 ;;
	esac
}

field() {
	value=$(echo "$1" | cut -d : -f "$2")
	echo "${value:-$3}"
}

set_of_guests() {
	scanner=$1 case=$2 name=$(field "$2" 1 "")
	input=$(load "$(field "$case" 4 idle)")
	echo "sharing: $scanner, $name" >&2
	case $scanner in
	ksm) how= ;;
	penumbra) how="--files $ram" ;;
	exact) how="--compare 1,2,5,10" ;;
	esac
	# shellcheck disable=SC2086
	$work/bench-sharing "$result" "$scanner-$name" $how --guests "$(field "$case" 2 1)" \
		--mib "${MIB:-96}" --kernels "$(field "$case" 3 6.1-cloud)" ${input:+--type "$input
"} ${OPTIONS:-} -- \
		qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
		-accel kvm -cpu host -smp 1 -initrd /boot/guest/initrd.gz \
		-append "console=ttyS0 quiet panic=-1 $(field "$case" 5 "")"
}

# The same size of pages on both sides, whatever the kernel's default is.
echo "${HUGE:-never}" >/sys/kernel/mm/transparent_hugepage/enabled
scanners=${SCANNERS:-ksm penumbra}
case $scanners in
*penumbra*) mount -t penumbra -o "group=bench,size=75%,huge=${HUGE:-never}" none $ram ;;
esac
# Read what every set needs once, so that the first does not pay for the others.
cat "$(command -v qemu-system-x86_64)" /boot/guest/vmlinuz-* >/dev/null

{
	printf 'meta\thost_kernel\t%s\n' "$(uname -r)"
	printf 'meta\tqemu\t%s\n' "$(qemu-system-x86_64 --version | head -n 1)"
	printf 'meta\tengine\t%s\n' "$(cat /payload/engine)"
	printf 'meta\thuge\t%s\n' "${HUGE:-never}"
} >>"$result"

for case in "$@"; do
	for scanner in $scanners; do
		set_of_guests "$scanner" "$case"
	done
done
