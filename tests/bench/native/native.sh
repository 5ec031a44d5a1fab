#!/usr/bin/env bash
# Builds the kernels as static Linux programs: native.sh DIR makes DIR/{x86_64,i386-sse2,i386-x87}/KERNEL, and beside them
# libsupport.a, which the larger programs are linked with. They run on the processor itself or under qemu-user. The
# compiler's options are those of the guest builds, so that both run the same instructions. Needs bash, gcc and binutils.
set -euo pipefail
shopt -s nullglob

[[ $# == 1 ]] || { echo "usage: native.sh DIR" >&2; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
guest=$(cd "$here/../../guest" && pwd)
kernels=$(cd "$here/../kernels" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

common=(-std=gnu11 -O2 -Wall -Wextra -nostdinc -I "$guest/include" -isystem "$(gcc -print-file-name=include)"
	-fno-ident -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -fPIC -fvisibility=hidden)
support=(-I "$guest/libroot" -ffreestanding -fno-builtin -fno-tree-loop-distribute-patterns -fno-strict-aliasing
	-ffunction-sections)
libroot=(errno file locale malloc math memory printf printf_float setjmp stdio stdlib string)

build_kind() {
	local kind=$1 arch=$2 source part objects=()
	shift 2
	mkdir -p "$out/$kind" "$work/$kind"
	local sources=("$here/linux_kernel.c" "$guest/glue/wide_math.c" "$guest/libroot/memory_$arch.S" "$guest/libroot/setjmp_$arch.S")
	for part in "${libroot[@]}"; do
		sources+=("$guest/libroot/$part.c")
	done
	for source in "${sources[@]}"; do
		objects+=("$work/$kind/$(basename "$source").o")
		gcc "${common[@]}" "${support[@]}" "$@" -c -o "${objects[-1]}" "$source"
	done
	rm -f "$out/$kind/libsupport.a"
	ar rcs "$out/$kind/libsupport.a" "${objects[@]}"
	for source in "$kernels"/*.c; do
		local name
		name=$(basename "$source" .c)
		[[ $name != sse2_* || $kind != i386-x87 ]] || continue
		gcc "${common[@]}" "$@" -c -o "$work/$kind/kernel.o" "$source"
		gcc "$@" -nostdlib -nostartfiles -static -no-pie -Wl,--gc-sections -Wl,--build-id=none -Wl,-z,noexecstack -s \
			-o "$out/$kind/$name" "$work/$kind/kernel.o" -Wl,--start-group -Wl,-u,_start "$out/$kind/libsupport.a" -Wl,--end-group
	done
}

build_kind x86_64 x86_64 -m64
build_kind i386-sse2 x86 -m32 -march=i686 -msse2 -mfpmath=sse
build_kind i386-x87 x86 -m32 -march=i586 -mfpmath=387
