/* Writes code and runs it, rewrites it while it may have been translated, and changes an instruction in a loop. */
#include "check.h"
#include <OS.h>
#include <signal.h>
#include <sys/mman.h>

typedef int (*function)(void);

/* mov $value, %eax; ret */
static void write_constant(unsigned char* code, int value)
{
	code[0] = 0xb8;
	memcpy(code + 1, &value, 4);
	code[5] = 0xc3;
}

static unsigned char* map_code(void)
{
	unsigned char* code = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(code != MAP_FAILED);
	return code;
}

static void check_rewriting(unsigned char* code)
{
	for (int value = 0; value < 2000; value++) {
		write_constant(code, value);
		CHECK(((function)(void*)code)() == value);
	}
	/* Code across a page boundary, then only its second page changes. */
	unsigned char* across = code + 4096 - 3;
	write_constant(across, 0x11223344);
	CHECK(((function)(void*)across)() == 0x11223344);
	for (int value = 0; value < 200; value++) {
		across[4] = (unsigned char)value;
		CHECK(((function)(void*)across)() == (0x00223344 | value << 24));
	}
}

/* A routine that writes into itself before it gets there: the very next instruction is the changed one. */
static void check_own_instruction(unsigned char* code)
{
#if defined(__x86_64__)
	static const unsigned char routine[] = {
		0x40, 0x88, 0x3d, 0x01, 0x00, 0x00, 0x00, /* mov %dil, 1(%rip): the byte after b8 */
		0xb8, 0, 0, 0, 0, /* mov $0, %eax */
		0xc3,
	};
	memcpy(code, routine, sizeof(routine));
	for (int value = 1; value < 100; value++)
		CHECK(((int (*)(int))(void*)code)(value) == value);
#else
	unsigned char routine[] = {
		0x8a, 0x44, 0x24, 0x04, /* mov 4(%esp), %al */
		0xa2, 0, 0, 0, 0, /* mov %al, the byte after b8 */
		0xb8, 0, 0, 0, 0, /* mov $0, %eax */
		0xc3,
	};
	unsigned target = (unsigned)(code + 10);
	memcpy(routine + 5, &target, 4);
	memcpy(code, routine, sizeof(routine));
	for (int value = 1; value < 100; value++)
		CHECK(((int (*)(int))(void*)code)(value) == value);
#endif
}

/* The same memory twice: written through one mapping, run through the other. */
static void check_two_mappings(void)
{
	unsigned char *writable = NULL, *executable = NULL;
	area_id area = create_area("code", (void**)&writable, B_ANY_ADDRESS, 4096, B_NO_LOCK, B_READ_AREA | B_WRITE_AREA);
	CHECK(area > 0);
	area_id clone = clone_area("code, to run", (void**)&executable, B_ANY_ADDRESS, B_READ_AREA | B_EXECUTE_AREA, area);
	CHECK(clone > 0);
	for (int value = 0; value < 100; value++) {
		write_constant(writable + 64, value);
		CHECK(((function)(void*)(executable + 64))() == value);
	}
	CHECK(delete_area(clone) == B_OK && delete_area(area) == B_OK);
}

/* Unmapped code is gone: other code may come to its place. */
static void check_remapping(void)
{
	unsigned char* code = map_code();
	for (int value = 0; value < 50; value++) {
		write_constant(code, value);
		CHECK(((function)(void*)code)() == value);
		CHECK(munmap(code, 2 * 4096) == 0);
		unsigned char* again = mmap(code, 2 * 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		CHECK(again == code);
	}
	write_constant(code, 7);
	CHECK(mprotect(code, 2 * 4096, PROT_READ | PROT_EXEC) == 0 && ((function)(void*)code)() == 7);
	CHECK(mprotect(code, 2 * 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
	write_constant(code, 8);
	CHECK(((function)(void*)code)() == 8 && munmap(code, 2 * 4096) == 0);
}

static unsigned char* missing;
static int missing_value, missed;

static void provide(int signal)
{
	(void)signal;
	missed++;
	int protection = PROT_READ | PROT_WRITE | PROT_EXEC;
	unsigned char* page = missing + 4096;
	CHECK(mmap(page, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page);
	memcpy(page, (unsigned char*)&missing_value + 1, 3);
	page[3] = 0xc3;
	write_constant(page + 128, missing_value);
}

/* Code that is missing when it is reached, and is there when it is reached again: all of it, or the end of an instruction. */
static void check_missing(void)
{
	missing = map_code();
	CHECK(signal(SIGSEGV, provide) != SIG_ERR);
	for (missing_value = 70000; missing_value < 70005; missing_value++) {
		write_constant(missing + 4096 - 2, missing_value);
		for (int offset = -2; offset <= 128; offset += 130) {
			CHECK(munmap(missing + 4096, 4096) == 0);
			CHECK(((function)(void*)(missing + 4096 + offset))() == missing_value);
		}
	}
	CHECK(missed == 10 && signal(SIGSEGV, SIG_DFL) != SIG_ERR && munmap(missing, 2 * 4096) == 0);
}

int main(int argc, char** argv)
{
	unsigned char* code = map_code();
	check_rewriting(code);
	check_own_instruction(code);
	CHECK(munmap(code, 2 * 4096) == 0);
	if (argc < 2 || strcmp(argv[1], "--no-clone") != 0)
		check_two_mappings();
	check_remapping();
	check_missing();
	printf("smc: rewriting, own instruction, two mappings, remapping, missing code\nok\n");
	return 0;
}
