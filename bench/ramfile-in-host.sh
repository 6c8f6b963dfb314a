#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs in the test host: what a clone of a guest's RAM costs (bench/clone.c), and what comes
# back when a guest frees memory (bench/freed.c).
#
#	ramfile-in-host.sh DIR RESULT MEASUREMENT...
#
# A measurement is clone:MIB:HUGE or freed:MIB:HUGE[:ORDER], HUGE being never or always and
# ORDER the smallest block that the guest reports (its kernel's own choice is 9).
set -eu

dir=$1 result=$2
shift 2
work=/tmp/bench
ram=/tmp/ram
kernel=6.1-cloud
mkdir -p $work $ram
cp "$dir"/bench-* $work/

# with_guest INITRD PROGRAM ARGUMENT...
with_guest() {
	initrd=$1
	shift
	"$@" qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
		-accel kvm -cpu host -smp 1 -kernel /boot/guest/vmlinuz-$kernel \
		-initrd "/boot/guest/$initrd" -append "console=ttyS0 quiet panic=-1" \
		-device virtio-balloon-pci,free-page-reporting=on
}

for what in "$@"; do
	mib=$(echo "$what" | cut -d : -f 2) huge=$(echo "$what" | cut -d : -f 3)
	order=$(echo "$what" | cut -d : -f 4)
	label="$mib MiB, huge=$huge${order:+, order $order}"
	echo "ramfile: $what" >&2
	mount -t "${RAM_FS:-penumbra}" -o "size=90%,huge=$huge" none $ram
	case $what in
	clone:*) with_guest initrd.gz $work/bench-clone "$result" "$label" $ram "$mib" -- ;;
	freed:*) with_guest initrd-$kernel.gz $work/bench-freed "$result" "$label" $ram "$mib" \
		"$order" -- ;;
	*) echo "ramfile: unknown measurement $what" >&2; exit 1 ;;
	esac
	umount $ram
done
