#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs in the test host: what a clone of a guest's RAM costs (bench/clone.c), and what comes
# back when a guest frees memory (bench/freed.c).
#
#	ramfile-in-host.sh DIR RESULT MEASUREMENT...
#
# A measurement is clone:MIB:HUGE or freed:MIB:HUGE[:ORDER[:HOW]], HUGE being never or always and
# ORDER the smallest block that the guest reports (its kernel's own choice is 9). HOW the guest is
# told:
#
#	      in sysfs, when the driver is there, which sets it
#	boot  on the command line, which 6.1 does not heed: the guest runs 6.12
#	zero  not at all; but it clears what it frees, and the scanner finds zero pages
set -eu

dir=$1 result=$2
shift 2
work=/tmp/bench
ram=/tmp/ram
mkdir -p $work $ram
cp "$dir"/bench-* $work/

# with_guest INITRD PROGRAM ARGUMENT...
with_guest() {
	initrd=$1
	shift
	"$@" qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
		-accel kvm -cpu host -smp 1 -kernel /boot/guest/vmlinuz-$kernel \
		-initrd "/boot/guest/$initrd" -append "console=ttyS0 quiet panic=-1 $words" \
		-device virtio-balloon-pci,free-page-reporting=on
}

for what in "$@"; do
	mib=$(echo "$what" | cut -d : -f 2) huge=$(echo "$what" | cut -d : -f 3)
	order=$(echo "$what" | cut -d : -f 4) how=$(echo "$what" | cut -d : -f 5)
	label="$mib MiB, huge=$huge${order:+, order $order}${how:+, $how}"
	echo "ramfile: $what" >&2
	mount -t "${RAM_FS:-penumbra}" -o "size=90%,huge=$huge" none $ram
	kernel=6.1-cloud words=
	case $how in
	boot) kernel=6.12-cloud words=page_reporting.page_reporting_order=$order order= ;;
	zero)
		words=init_on_free=1
		scan=/sys/fs/penumbra/$(awk -v at=$ram '$5 == at { dev = $3 } END { print dev }' /proc/self/mountinfo)/scan
		echo 50000 >"$scan/pages_per_second"
		echo 1 >"$scan/run"
		;;
	esac
	case $what in
	clone:*) with_guest initrd.gz $work/bench-clone "$result" "$label" $ram "$mib" -- ;;
	freed:*) with_guest initrd-$kernel.gz $work/bench-freed "$result" "$label" $ram "$mib" \
		"$order" -- ;;
	*) echo "ramfile: unknown measurement $what" >&2; exit 1 ;;
	esac
	umount $ram
done
