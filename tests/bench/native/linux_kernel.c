/*
 * The few Haiku kernel calls that the benchmarks' parts of libroot make, answered by Linux, without a C library: linked
 * statically with libroot's own sources, so that native programs run the code that the guest runs, and so that they can be
 * built for i386 where no 32-bit libraries are.
 */
#include "libroot.h"
#include <private/commpage.h>
#include <stdio.h>
#include <sys/stat.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
enum { LINUX_WRITE = 1, LINUX_MMAP = 9, LINUX_MPROTECT = 10, LINUX_ARCH_PRCTL = 158, LINUX_EXIT_GROUP = 231 };
#define ARCH_SET_FS 0x1002
__asm__(".globl _start\n_start:\n\tmovq %rsp, %rdi\n\tandq $-16, %rsp\n\tcall start_here\n");
#else
enum { LINUX_WRITE = 4, LINUX_MMAP = 192, LINUX_MPROTECT = 125, LINUX_SET_THREAD_AREA = 243, LINUX_EXIT_GROUP = 252 };
__asm__(".globl _start\n_start:\n\tmovl %esp, %eax\n\tandl $-16, %esp\n\tsubl $12, %esp\n\tpushl %eax\n\tcall start_here\n");
#endif

#define PROT_READ_WRITE 3
#define MAP_PRIVATE_ANONYMOUS_NORESERVE 0x4022
#define LINUX_EINTR (-4)

static long linux_call(long number, long a, long b, long c, long d, long e)
{
	long result;
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = 0;
	__asm__ volatile("syscall" : "=a"(result)
		: "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
#else
	/* ebx is the pointer of position-independent code, ebp that of the frame: both are lent to the call. */
	long words[] = {number, a, b, c, d, e};
	__asm__ volatile(
		"pushl %%ebx\n\tpushl %%ebp\n\t"
		"movl (%%eax), %%ebp\n\tmovl 4(%%eax), %%ebx\n\tmovl 8(%%eax), %%ecx\n\tmovl 12(%%eax), %%edx\n\t"
		"movl 16(%%eax), %%esi\n\tmovl 20(%%eax), %%edi\n\tmovl %%ebp, %%eax\n\txorl %%ebp, %%ebp\n\tint $0x80\n\t"
		"popl %%ebp\n\tpopl %%ebx"
		: "=a"(result) : "0"(words) : "ecx", "edx", "esi", "edi", "memory");
#endif
	return result;
}

void _kern_exit_team(status_t status)
{
	for (;;)
		linux_call(LINUX_EXIT_GROUP, status, 0, 0, 0, 0);
}

ssize_t _kern_write(int fd, off_t position, const void* buffer, size_t size)
{
	(void)position;
	long written = linux_call(LINUX_WRITE, fd, (long)buffer, size, 0, 0);
	return written == LINUX_EINTR ? B_INTERRUPTED : written < 0 ? B_IO_ERROR : written;
}

/* There are no other files than the standard ones. */

status_t _kern_ioctl(int fd, uint32 operation, void* buffer, size_t size)
{
	(void)fd, (void)operation, (void)buffer, (void)size;
	return B_NOT_ALLOWED;
}

status_t _kern_read_stat(int fd, const char* path, bool traverse, struct stat* status, size_t size)
{
	(void)fd, (void)path, (void)traverse, (void)status, (void)size;
	return B_NOT_ALLOWED;
}

off_t _kern_seek(int fd, off_t position, int kind)
{
	(void)fd, (void)position, (void)kind;
	return B_NOT_ALLOWED;
}

int _kern_open(int directory, const char* path, int flags, int mode)
{
	(void)directory, (void)path, (void)flags, (void)mode;
	return B_ENTRY_NOT_FOUND;
}

status_t _kern_close(int fd)
{
	(void)fd;
	return B_OK;
}

ssize_t _kern_read(int fd, off_t position, void* buffer, size_t size)
{
	(void)fd, (void)position, (void)buffer, (void)size;
	return 0;
}

/* The heap: a range of addresses, of which an area at its start is used and grows. */

status_t _kern_reserve_address_range(addr_t* address, uint32 kind, addr_t size)
{
	(void)kind;
	long mapped = linux_call(LINUX_MMAP, 0, size, 0, MAP_PRIVATE_ANONYMOUS_NORESERVE, -1);
	if (mapped < 0 && mapped > -4096)
		return B_NO_MEMORY;
	*address = mapped;
	return B_OK;
}

static void* heap;

area_id _kern_create_area(const char* name, void** address, uint32 kind, size_t size, uint32 lock, uint32 protection)
{
	(void)name, (void)kind, (void)lock, (void)protection;
	heap = *address;
	return linux_call(LINUX_MPROTECT, (long)heap, size, PROT_READ_WRITE, 0, 0) < 0 ? B_NO_MEMORY : 1;
}

status_t _kern_resize_area(area_id area, size_t size)
{
	(void)area;
	return linux_call(LINUX_MPROTECT, (long)heap, size, PROT_READ_WRITE, 0, 0) < 0 ? B_NO_MEMORY : B_OK;
}

area_id _kern_area_for(void* address)
{
	(void)address;
	return 1;
}

/* What a program prints must not depend on the time. */

EXPORT clock_t clock(void)
{
	return 0;
}

EXPORT time_t time(time_t* result)
{
	if (result != NULL)
		*result = 0;
	return 0;
}

/* One thread: locks are never contended, and signals not masked. */

status_t _kern_mutex_lock(int32* mutex, const char* name, uint32 flags, bigtime_t timeout)
{
	(void)mutex, (void)name, (void)flags, (void)timeout;
	return B_NOT_ALLOWED;
}

status_t _kern_mutex_unblock(int32* mutex, uint32 flags)
{
	(void)mutex, (void)flags;
	return B_NOT_ALLOWED;
}

int _kern_set_signal_mask(int how, const sigset_t* set, sigset_t* before)
{
	(void)how, (void)set;
	if (before != NULL)
		*before = 0;
	return B_OK;
}

void abort(void)
{
	_kern_exit_team(134);
	__builtin_unreachable();
}

void exit(int status)
{
	stdio_flush_all();
	_kern_exit_team(status);
	__builtin_unreachable();
}

#if !defined(__x86_64__)

/* What the commpage has on x86. */

static void* commpage_memcpy(void* dest, const void* source, size_t count)
{
	void* to = dest;
	size_t words = count / 4, rest = count % 4;
	__asm__ volatile("rep movsl\n\tmovl %3, %%ecx\n\trep movsb"
		: "+D"(to), "+S"(source), "+c"(words) : "r"(rest) : "memory");
	return dest;
}

static void* commpage_memset(void* dest, int value, size_t count)
{
	void* to = dest;
	size_t words = count / 4, rest = count % 4;
	__asm__ volatile("rep stosl\n\tmovl %3, %%ecx\n\trep stosb"
		: "+D"(to), "+c"(words) : "a"((value & 0xff) * 0x01010101), "r"(rest) : "memory");
	return dest;
}

static addr_t commpage[COMMPAGE_ENTRY_MEMSET + 1];
EXPORT addr_t* __gCommPageAddress = commpage;

#endif

static void* local_storage[TLS_FIRST_FREE_SLOT];

static void set_up_thread(void)
{
	local_storage[TLS_BASE_ADDRESS_SLOT] = local_storage;
#if defined(__x86_64__)
	linux_call(LINUX_ARCH_PRCTL, ARCH_SET_FS, (long)local_storage, 0, 0, 0);
#else
	commpage[COMMPAGE_ENTRY_MEMCPY] = (addr_t)commpage_memcpy - (addr_t)commpage;
	commpage[COMMPAGE_ENTRY_MEMSET] = (addr_t)commpage_memset - (addr_t)commpage;
	/* A 32-bit data segment of 4 GiB, counted in pages, that programs may use. */
	struct { uint32 entry, base, limit, flags; } segment = {-1, (uint32)local_storage, 0xfffff, 0x51};
	linux_call(LINUX_SET_THREAD_AREA, (long)&segment, 0, 0, 0, 0);
	__asm__ volatile("movw %w0, %%fs" : : "r"(segment.entry * 8 + 3));
#endif
}

int main(int argc, char** argv);

__attribute__((used)) void start_here(long* stack)
{
	set_up_thread();
	heap_init();
	exit(main((int)stack[0], (char**)(stack + 1)));
}
