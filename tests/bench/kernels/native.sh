#!/usr/bin/env bash
# Builds the kernels as static Linux programs: native.sh DIR makes DIR/{x86_64,i386-sse2,i386-x87}/KERNEL. They run on the
# processor itself or under qemu-user. The compiler's options are those of the guest builds, so that both run the same
# instructions. Needs bash, gcc and binutils.
set -euo pipefail
shopt -s nullglob

[[ $# == 1 ]] || { echo "usage: native.sh DIR" >&2; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
guest=$(cd "$here/../../guest" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

common=(-std=gnu11 -O2 -Wall -Wextra -nostdinc -I "$guest/include" -isystem "$(gcc -print-file-name=include)"
	-fno-ident -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -fPIC -fvisibility=hidden)
support=(-ffreestanding -fno-builtin -fno-tree-loop-distribute-patterns -fno-strict-aliasing -ffunction-sections)

build_kind() {
	local kind=$1 object source objects=()
	shift
	mkdir -p "$out/$kind" "$work/$kind"
	local sources=("$here/linux_shim.c" "$guest/libroot/printf.c" "$guest/libroot/printf_float.c"
		"$guest/libroot/memory.c" "$guest/glue/wide_math.c")
	[[ $kind != x86_64 ]] || sources+=("$guest/libroot/memory_x86_64.S")
	for source in "${sources[@]}"; do
		object=$work/$kind/$(basename "$source").o
		gcc "${common[@]}" "${support[@]}" "$@" -c -o "$object" "$source"
		objects+=("$object")
	done
	for source in "$here"/*.c; do
		local name
		name=$(basename "$source" .c)
		[[ $name != linux_shim ]] || continue
		[[ $name != sse2_* || $kind != i386-x87 ]] || continue
		gcc "${common[@]}" "$@" -c -o "$work/$kind/kernel.o" "$source"
		gcc "$@" -nostdlib -nostartfiles -static -no-pie -Wl,--gc-sections -Wl,--build-id=none -Wl,-z,noexecstack -s \
			-o "$out/$kind/$name" "$work/$kind/kernel.o" "${objects[@]}"
	done
}

build_kind x86_64 -m64
build_kind i386-sse2 -m32 -march=i686 -msse2 -mfpmath=sse
build_kind i386-x87 -m32 -march=i586 -mfpmath=387
