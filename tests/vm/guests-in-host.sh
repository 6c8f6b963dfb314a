# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# Whole machines in the test host, for the scripts tests/vm/*-in-host; busybox sh.
#
#   guest NAME ARGUMENTS...     starts QEMU, its console on $run/NAME.in and .out
#   expect NAME TEXT SECONDS    waits for TEXT on the console
#   tell NAME COMMAND           types a line
#   ended NAME SECONDS          waits for the end; its status
#   finish NAME                 kills what is left of it
#   load NAME                   begins a mixed load;  sound NAME  ends it: it must have gone well
#   ok NAME COMMAND...          one TAP point;  plan  ends the TAP
#
# TIME scales every wait (percent, 100): an emulated host on a busy machine is slow.

run=/tmp/guests
mkdir -p "$run"
points=0
boot=/boot/guest

ok() {
	points=$((points + 1))
	name=$1
	shift
	if output=$("$@" 2>&1); then
		echo "ok $points - $name"
	else
		echo "not ok $points - $name"
		echo "# failed: $*"
		echo "$output" | tail -n 30 | sed 's/^/#   /'
	fi
}

skip() {
	points=$((points + 1))
	echo "ok $points - $1 # SKIP $2"
}

plan() {
	echo "1..$points"
}

guest() {
	guest=$1
	shift
	rm -f "$run/$guest".*
	mkfifo "$run/$guest.in"
	(
		qemu-system-x86_64 -accel kvm -cpu host -nographic "$@" \
			<"$run/$guest.in" >"$run/$guest.out" 2>"$run/$guest.err" &
		pid=$!
		echo $pid >"$run/$guest.pid"
		wait $pid
		echo $? >"$run/$guest.status"
	) >/dev/null 2>&1 &	# holds no output open that somebody waits for the end of
	# Held open for as long as this script lives, so that the console has no end.
	eval "exec $(fd_of "$guest")>\"$run/$guest.in\""
	while [ ! -s "$run/$guest.pid" ]; do usleep 10000; done
}

# Guests are called by digits: 3 and 4 would clash with nothing.
fd_of() {
	echo $((4 + $1))
}

# When a wait of so many seconds ends.
deadline() {
	echo $(($(date +%s) + $1 * ${TIME:-100} / 100))
}

# Is it not that late yet?
before() {
	[ "$(date +%s)" -lt "$1" ]
}

expect() {
	until=$(deadline "$3")
	while before "$until"; do
		grep -aqF -e "$2" "$run/$1.out" && return 0
		if [ -e "$run/$1.status" ]; then
			grep -aqF -e "$2" "$run/$1.out" && return 0
			echo "ended with status $(cat "$run/$1.status") before '$2'"
			show "$1"
			return 1
		fi
		usleep 100000
	done
	echo "no '$2' within $3 s"
	show "$1"
	return 1
}

tell() {
	echo "$2" >&"$(fd_of "$1")"
}

ended() {
	until=$(deadline "$2")
	while [ ! -s "$run/$1.status" ]; do
		before "$until" || { echo "still running after $2 s"; show "$1"; return 1; }
		usleep 100000
	done
	status=$(cat "$run/$1.status")
	[ "$status" = 0 ] || { echo "status $status"; show "$1"; }
	return "$status"
}

show() {
	tail -n 15 "$run/$1.out" | tr -d '\000-\010\013-\037'
	tail -n 5 "$run/$1.err"
}

finish() {
	[ -e "$run/$1.status" ] || kill -9 "$(cat "$run/$1.pid")" 2>/dev/null
	eval "exec $(fd_of "$1")>&-"
	ended "$1" 20 >/dev/null
	return 0
}

load() {
	tell "$1" 'busy() { while [ ! -e /stop ]; do dd if=/dev/zero bs=1M count=16 2>/dev/null | md5sum >>/sums; done; }'
	tell "$1" 'forks() { while [ ! -e /stop ]; do i=0; while [ $i -lt 50 ]; do true | cat; i=$((i+1)); done; echo x >>/forks; done; }'
	tell "$1" 'files() { while [ ! -e /stop ]; do dd if=/dev/urandom of=/file bs=64k count=32 2>/dev/null; cp /file /copy; cmp /file /copy || echo BA""D; echo x >>/files; done; }'
	tell "$1" 'busy & forks & files & busy &'
}

# All kinds of work went on, no checksum differs, and the guest saw no stall.
sound() {
	tell "$1" 'touch /stop; wait; echo "sums $(sort -u /sums | wc -l)" forks $(( $(wc -l </forks) > 0 )) files $(( $(wc -l </files) > 0 )) end of load'
	expect "$1" "sums 1 forks 1 files 1 end of load" 120 || return 1
	! grep -aE "BAD|soft lockup|rcu.*(stall|detected)|hung task|BUG|Oops|general protection|segfault" "$run/$1.out"
}

# kernel VERSION: the arguments that boot it to "guest up" and a shell, or off with ONCE=once
kernel() {
	initrd=$boot/initrd.gz
	[ ! -e "$boot/initrd-$1.gz" ] || initrd=$boot/initrd-$1.gz
	echo "-kernel $boot/vmlinuz-$1 -initrd $initrd"
}

# No VM is left, as the module counts.
counters_zero() {
	[ -d /sys/kernel/penumbra ] || return 0
	for tries in 1 2 3 4 5 6 7 8 9 10; do
		left=$(grep -v '^0$' /sys/kernel/penumbra/counters/* /dev/null)
		[ -n "$left" ] || return 0
		usleep 200000
	done
	echo "$left"
	return 1
}
