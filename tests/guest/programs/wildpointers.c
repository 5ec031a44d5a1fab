/* Hands every system call addresses that are not there, that may not be written, and that end too early. What the calls
 * return does not matter: the program has to live on, its memory untouched. */
#include "check.h"
#include <OS.h>
#include <sys/mman.h>

/* As many arguments as the longest call takes. */
typedef long (*any_call)(long, long, long, long, long, long, long, long, long, long, long);

#define SYSCALL(number, name) extern long _kern_##name();
#include "syscall_list.h"
#undef SYSCALL

static const struct {
	const char* name;
	long (*call)();
} calls[] = {
#define SYSCALL(number, name) {#name, _kern_##name},
#include "syscall_list.h"
#undef SYSCALL
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* Calls that do with such arguments what they are there for: end, stop or signal threads, wait for ever, close or unmap
 * what the program needs, set the machine's clock. */
static const char* const skipped[] = {
	"shutdown", "exit_team", "exit_thread", "fork", "exec", "kill_team", "kill_thread", "suspend_thread", "send_signal",
	"cancel_thread", "loading_app_failed", "restore_signal_frame", "debugger", "kernel_debugger", "wait_for_debugger",
	"debug_thread", "block_thread", "receive_data", "snooze_etc", "select", "poll", "wait_for_objects", "sigsuspend",
	"sigwait", "close", "close_range", "dup2", "setpgid", "setsid", "change_root", "unmap_memory",
	"set_memory_protection", "unreserve_address_range", "set_real_time_clock", "set_real_time_clock_is_gmt", "set_clock",
	"set_timezone", "sync", "set_signal_mask", "install_default_debugger", "set_cpu_enabled", "setrlimit",
	"system_profiler_start", "image_relocated", "unregister_image", "disable_debugger",
};

static bool is_skipped(const char* name)
{
	for (size_t i = 0; i < sizeof(skipped) / sizeof(skipped[0]); i++) {
		if (strcmp(skipped[i], name) == 0)
			return true;
	}
	return false;
}

/* For these a small number may be the id of an area that the program lives in. */
static bool takes_area(const char* name)
{
	return strcmp(name, "delete_area") == 0 || strcmp(name, "resize_area") == 0
		|| strcmp(name, "set_area_protection") == 0 || strcmp(name, "transfer_area") == 0;
}

static const char constant_text[4096] = "text that may not be written";
static unsigned char witness[4096];

int main(int argc, char** argv)
{
	char* pages = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(pages != MAP_FAILED && munmap(pages + 4096, 4096) == 0);
	memset(pages, 'x', 4096);
	for (unsigned i = 0; i < sizeof(witness); i++)
		witness[i] = (unsigned char)(i * 31);

	/* A descriptor that is valid and at its end. */
	int fds[2];
	CHECK(pipe(fds) == 0 && close(fds[1]) == 0);

	const long wild[] = {0, 0x1230, -16, (long)constant_text, (long)(pages + 4093), (long)(pages + 4096)};
	const size_t wilds = sizeof(wild) / sizeof(wild[0]);
	unsigned made = 0;
	for (size_t i = 0; i < CALLS; i++) {
		if (is_skipped(calls[i].name) || (argc > 1 && strcmp(argv[1], calls[i].name) != 0))
			continue;
		for (size_t w = 0; w < wilds; w++) {
			long p = wild[w];
			if (!takes_area(calls[i].name) || p > 0x10000) {
				((any_call)calls[i].call)(p, p, p, p, p, p, p, p, p, p, p);
				made++;
			}
			if (!takes_area(calls[i].name)) {
				((any_call)calls[i].call)(fds[0], p, p, p, p, p, p, p, p, p, p);
				made++;
			}
		}
		for (unsigned j = 0; j < sizeof(witness); j++)
			CHECK(witness[j] == (unsigned char)(j * 31));
		CHECK(strcmp(constant_text, "text that may not be written") == 0);
	}
	printf("wildpointers: %u calls of %u kinds\nok\n", made, (unsigned)CALLS);
	return 0;
}
