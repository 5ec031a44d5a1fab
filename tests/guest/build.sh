#!/usr/bin/env bash
# Builds the small Haiku root of this folder: runtime_loader, libroot.so, the programs and the benchmark kernels, for
# x86_64 and x86. Needs bash, gcc and binutils; no 32-bit libraries.
#
#   build.sh              builds into prebuilt/ beside this script
#   build.sh --out DIR    builds into DIR instead, so that the result can be compared
#
# The same gcc and binutils give the same bytes, wherever the source lies; toolchain.txt says which they were.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kernels=$(cd "$here/../bench/kernels" && pwd)
out=$here/prebuilt
if [[ ${1:-} == --out ]]; then
	[[ $# == 2 ]] || { echo "usage: build.sh [--out DIR]" >&2; exit 2; }
	mkdir -p "$2"
	out=$(cd "$2" && pwd)
elif [[ $# != 0 ]]; then
	echo "usage: build.sh [--out DIR]" >&2
	exit 2
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C
shopt -s nullglob

common=(-std=gnu11 -O2 -Wall -Wextra -Werror -nostdinc -I "$here/include" -isystem "$(gcc -print-file-name=include)"
	"-ffile-prefix-map=$here=guest" "-ffile-prefix-map=$kernels=kernels" "-ffile-prefix-map=$work=work"
	-fno-ident -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -fPIC -fvisibility=hidden)
# libroot and the loader implement what the compiler would otherwise assume to be there.
system=(-ffreestanding -fno-builtin -fno-tree-loop-distribute-patterns -fno-strict-aliasing)
link=(-nostdlib -nostartfiles -shared -Wl,--hash-style=sysv -Wl,--build-id=none -Wl,--discard-all
	-Wl,-z,max-page-size=4096 -Wl,-z,noseparate-code -Wl,-z,norelro -Wl,-z,noexecstack -Wl,-z,notext
	-Wl,--no-warn-rwx-segments)

# Writes the system call stubs for word size $1 to file $2. The bytes are those of Haiku's own stubs, out of which the
# translator reads the numbers.
make_stubs() {
	local number name count _
	echo $'\t.text'
	while IFS=$'\t' read -r number name count _; do
		[[ $number == \#* ]] && continue
		printf '\t.globl _kern_%s\n\t.type _kern_%s, @function\n_kern_%s:\n' "$name" "$name" "$name"
		if [[ $1 == x86_64 ]]; then
			((count < 4)) || printf '\tmovq %%rcx, %%r10\n'
			printf '\tmovq $%d, %%rax\n\tsyscall\n\tret\n' "$number"
		else
			printf '\tmovl $%d, %%eax\n\tmovl __gCommPageAddress, %%edx\n\taddl 12(%%edx), %%edx\n\tjmp *%%edx\n' "$number"
		fi
		printf '\t.size _kern_%s, . - _kern_%s\n' "$name" "$name"
	done < "$here/syscalls.tsv"
	echo $'\t.section .note.GNU-stack,"",@progbits'
}

# A list of all calls for programs: SYSCALL(number, name).
make_list() {
	local number name _
	while IFS=$'\t' read -r number name _; do
		[[ $number == \#* ]] || printf 'SYSCALL(%d, %s)\n' "$number" "$name"
	done < "$here/syscalls.tsv"
}

# compile OBJECT SOURCE FLAGS...
compile() {
	local object=$1 source=$2
	shift 2
	gcc "${common[@]}" "$@" -I "$work" -c -o "$object" "$source"
}

build_root() {
	local arch=$1 objects=() object source name
	local root=$out/$arch/boot/system temporary=$work/$arch
	local machine=(-m64) kinds=(bench)
	if [[ $arch == x86 ]]; then
		machine=(-m32 -march=i586 -mfpmath=387)
		kinds=(bench-sse2 bench-x87)
	fi
	rm -rf "$root"
	mkdir -p "$temporary" "$root/lib" "$root/bin"
	make_stubs "$arch" > "$temporary/stubs.S"
	compile "$temporary/stubs.o" "$temporary/stubs.S" "${machine[@]}"
	compile "$temporary/start_dyn.o" "$here/glue/start_dyn.c" "${machine[@]}"
	compile "$temporary/wide_math.o" "$here/glue/wide_math.c" "${machine[@]}" "${system[@]}"

	objects=("$temporary/stubs.o" "$temporary/wide_math.o")
	for source in "$here"/runtime_loader/*.c; do
		object=$temporary/loader-$(basename "$source" .c).o
		compile "$object" "$source" "${machine[@]}" "${system[@]}"
		objects+=("$object")
	done
	gcc "${machine[@]}" "${link[@]}" -Wl,-soname,runtime_loader -Wl,-e,runtime_loader -Wl,-Bsymbolic -Wl,--no-undefined \
		-o "$root/runtime_loader" "${objects[@]}"

	objects=("$temporary/stubs.o" "$temporary/wide_math.o")
	for source in "$here"/libroot/*.c "$here"/libroot/*_"$arch".S; do
		object=$temporary/libroot-$(basename "$source").o
		compile "$object" "$source" "${machine[@]}" "${system[@]}"
		objects+=("$object")
	done
	gcc "${machine[@]}" "${link[@]}" -Wl,-soname,libroot.so -Wl,--no-undefined -o "$root/lib/libroot.so" "${objects[@]}"

	for source in "$here"/programs/lib*.c; do
		name=$(basename "$source" .c)
		compile "$temporary/$name.o" "$source" "${machine[@]}"
		gcc "${machine[@]}" "${link[@]}" -Wl,-soname,"$name.so" -Wl,--no-undefined -o "$root/lib/$name.so" \
			"$temporary/$name.o" "$temporary/wide_math.o" "$root/lib/libroot.so"
	done
	for source in "$here"/programs/*.c; do
		name=$(basename "$source" .c)
		[[ $name == lib* ]] || build_program "$root/bin/$name" "$source" "${machine[@]}"
	done
	for kind in "${kinds[@]}"; do
		local options=("${machine[@]}")
		[[ $kind != bench-sse2 ]] || options=(-m32 -march=i686 -msse2 -mfpmath=sse)
		mkdir -p "$root/$kind"
		for source in "$kernels"/*.c; do
			name=$(basename "$source" .c)
			[[ $name == sse2_* && $kind == bench-x87 ]] && continue
			build_program "$root/$kind/$name" "$source" "${options[@]}"
		done
	done
}

# build_program RESULT SOURCE MACHINE_FLAGS...; a line `/* needs: lib... */` in the source names more libraries.
build_program() {
	local result=$1 source=$2 library libraries=()
	shift 2
	compile "$temporary/program.o" "$source" "$@"
	for library in $(sed -n 's|^/\* needs: \(.*\) \*/$|\1|p' "$source"); do
		libraries+=("$root/lib/$library.so")
	done
	gcc "$@" "${link[@]}" -Wl,-soname,_APP_ -Wl,-e,_start -Wl,--no-undefined -Wl,--gc-sections -o "$result" \
		"$temporary/start_dyn.o" "$temporary/program.o" "$temporary/wide_math.o" ${libraries[@]+"${libraries[@]}"} \
		"$root/lib/libroot.so"
}

make_list > "$work/syscall_list.h"
build_root x86_64
build_root x86
{ echo "gcc $(gcc -dumpfullversion)"; ld --version | head -n 1; } > "$out/toolchain.txt"
