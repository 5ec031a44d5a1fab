/* Generates more and more code and runs each piece once or twice: whoever keeps translations has to let go of some.
 * Argument: the number of functions. */
#include "check.h"
#include <sys/mman.h>

#define FUNCTION_SIZE 64
#define REGION_SIZE (4 << 20)

/* mov $value, %eax; then some additions; ret. Works for both word sizes. */
static int write_function(unsigned char* code, int value)
{
	unsigned char* at = code;
	int sum = value;
	*at++ = 0xb8;
	memcpy(at, &value, 4);
	at += 4;
	for (int i = 0; i < 10; i++) {
		int addend = value * (i + 3) ^ i;
		*at++ = 0x05; /* add $addend, %eax */
		memcpy(at, &addend, 4);
		at += 4;
		sum = (int)((unsigned)sum + (unsigned)addend);
	}
	*at = 0xc3;
	return sum;
}

int main(int argc, char** argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 300000;
	unsigned char* region = mmap(NULL, REGION_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(region != MAP_FAILED);
	const int slots = REGION_SIZE / FUNCTION_SIZE;
	static int expected[REGION_SIZE / FUNCTION_SIZE];
	for (int made = 0; made < count; made += slots) {
		for (int i = 0; i < slots; i++)
			expected[i] = write_function(region + i * FUNCTION_SIZE, made + i);
		for (int i = 0; i < slots; i++)
			CHECK(((int (*)(void))(void*)(region + i * FUNCTION_SIZE))() == expected[i]);
		for (int i = 0; i < slots; i += 97)
			CHECK(((int (*)(void))(void*)(region + i * FUNCTION_SIZE))() == expected[i]);
	}
	CHECK(munmap(region, REGION_SIZE) == 0);
	printf("codestorm: functions\nok\n");
	return 0;
}
