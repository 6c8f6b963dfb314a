#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs in the test host, as root, with no hypervisor loaded: measures each
# engine in turn, loading and unloading its modules, all in one boot.
#
#	in-host.sh ops|reasons|exits|scale=N,N DIR RESULT ENGINES BOOTS [OPS [APPEND]]
#
# ops measures the operations, reasons counts exits by reason meanwhile, exits
# measures single exits, scale=N,N the operations by N processes at once (a guest has
# as many processors as the last N says).  DIR holds what bench.mk put there: the programs, bench.cpio
# and the module penumbra_kvm.ko for this host's kernel.  OPS (operations, or kinds
# of exits) is a list separated by commas, "" for all; APPEND goes to the guest's command line.  Each engine boots a guest
# once for the operations and BOOTS-1 times more for the boot figures alone.
# ENGINE+file is the engine with the guest's RAM in a file of penumbra_mem, 2 MiB
# frames allowed, as anonymous memory is with the kernel's defaults.
# penumbra:shadow-PART,PART is shadow mode without these parts (docs/abi.md, shadow_without).
set -eu

mode=$1 dir=$2 result=$3 engines=$4 boots=$5 ops=${6:-all} append=${7:-}
reasons=
[ "$mode" = reasons ] && reasons=--reasons
scale='' guest_processors=1
case $mode in scale=*)
	scale=${mode#*=} guest_processors=${mode##*[=,]} boots=1
	;;
esac
work=/tmp/bench
mkdir -p "$work"
# What is executed comes from memory, not from a shared folder whose cost would be measured too.
cp "$dir"/bench-* "$dir"/bench.cpio "$work"/
for module in kvm mem; do
	[ ! -f "$dir/penumbra_$module.ko" ] || cp "$dir/penumbra_$module.ko" "$work"/
done
ram=/tmp/ram

load() {
	case $1 in
	kvm:nested*)	modprobe kvm_amd npt=1 ;;
	kvm:shadow*)	modprobe kvm_amd npt=0 ;;
	penumbra:shadow-*)
			insmod "$work/penumbra_kvm.ko" mmu=shadow "shadow_without=${1#*-}" ;;
	penumbra:*)	engine_mode=${1#penumbra:}
			insmod "$work/penumbra_kvm.ko" "mmu=${engine_mode%+file}" ;;
	native)		;;
	*)		echo "bench: unknown engine $1" >&2; return 1 ;;
	esac
	case $1 in
	*+file)		insmod "$work/penumbra_mem.ko" && mkdir -p $ram &&
			mount -t penumbra -o size=90%,huge=always none $ram ;;
	esac
}

unload() {
	case $1 in
	*+file)		umount $ram && rmmod penumbra_mem ;;
	esac
	case $1 in
	kvm:*)		modprobe -r kvm_amd ;;
	penumbra:*)	rmmod penumbra_kvm ;;
	esac
}

# The stock module is kept to what Penumbra offers: interrupt controllers in user space.
engine_flags() {
	case $1 in
	kvm:*)		echo "-machine pc,kernel_irqchip=off -cpu host,-kvm-asyncpf-int" ;;
	penumbra:*)	echo "-machine pc -cpu host" ;;
	esac
	case $1 in
	*+file)		echo "-machine memory-backend=ram -object" \
			"memory-backend-file,id=ram,size=1024M,mem-path=$ram,share=on,align=2M" ;;
	esac
}

guest() {
	engine=$1 guest_ops=$2
	# shellcheck disable=SC2046,SC2086
	"$work/bench-runner" "$engine" "$result" $reasons -- \
		qemu-system-x86_64 -nodefaults -no-user-config -display none \
		-no-reboot -accel kvm $(engine_flags "$engine") -smp "$guest_processors" -m 1024 \
		-kernel /boot/guest/vmlinuz -initrd "$work/bench.cpio" \
		-append "console=ttyS0 quiet nokaslr panic=-1 bench_ops=$guest_ops${scale:+ bench_scale=$scale}${append:+ $append}"
}

measure() {
	echo "bench: $1" >&2
	load "$1" || return 1
	if [ "$mode" = exits ]; then
		[ "$1" = native ] || "$work/bench-exits" "$1" "$result" "$ops" || return 1
	elif [ "$1" = native ]; then
		env bench_ops="$ops" ${scale:+bench_scale="$scale"} \
			"$work/bench-runner" native "$result" -- "$work/bench-workload"
	else
		guest "$1" "$ops" || return 1
		i=1
		while [ "$i" -lt "$boots" ]; do
			guest "$1" none || return 1
			i=$((i + 1))
		done
	fi
	unload "$1"
}

# Read what every engine needs once, so that the first does not pay for the others.
cat "$(command -v qemu-system-x86_64)" /boot/guest/vmlinuz >/dev/null

{
	printf 'meta\tprocessors\t%s\n' "$(nproc)"
	printf 'meta\thost_kernel\t%s\n' "$(uname -r)"
	printf 'meta\tqemu\t%s\n' "$(qemu-system-x86_64 --version | head -n 1)"
	printf 'meta\tclocksource\t%s\n' \
		"$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
	for e in $engines; do
		printf 'flags\t%s\t%s\n' "$e" "$(engine_flags "$e")"
	done
} >> "$result"

status=0
for e in $engines; do
	if ! measure "$e"; then
		printf 'failed\t%s\n' "$e" >> "$result"
		unload "$e" || true
		status=1
	fi
done
exit "$status"
