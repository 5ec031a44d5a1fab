/* Indirect calls everywhere: 256 functions that call each other through a table in an order that looks random. */
#include "kernel.h"

typedef uint32_t (*step)(uint32_t state, uint32_t depth);
static const step steps[256];

#define CALL(state, depth) ((depth) == 0 ? (state) : steps[((state) >> 13) & 255]((state), (depth) - 1))
#define STEP(n)                                                \
	static uint32_t step_##n(uint32_t state, uint32_t depth)   \
	{                                                          \
		state = state * (0x10d + 8 * n) + 0x##n##1u;           \
		return CALL(state ^ state >> 15, depth) + n;           \
	}
#define ROW(d) STEP(d##0) STEP(d##1) STEP(d##2) STEP(d##3) STEP(d##4) STEP(d##5) STEP(d##6) STEP(d##7)
#define EIGHT(d) ROW(d##0) ROW(d##1) ROW(d##2) ROW(d##3)
EIGHT(1) EIGHT(2) EIGHT(3) EIGHT(4) EIGHT(5) EIGHT(6) EIGHT(7) EIGHT(8)

#define NAME_ROW(d) step_##d##0, step_##d##1, step_##d##2, step_##d##3, step_##d##4, step_##d##5, step_##d##6, step_##d##7,
#define NAME_EIGHT(d) NAME_ROW(d##0) NAME_ROW(d##1) NAME_ROW(d##2) NAME_ROW(d##3)
static const step steps[256] = {
	NAME_EIGHT(1) NAME_EIGHT(2) NAME_EIGHT(3) NAME_EIGHT(4) NAME_EIGHT(5) NAME_EIGHT(6) NAME_EIGHT(7) NAME_EIGHT(8)
};

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 400);
	uint32_t sum = 12345;
	for (unsigned round = 0; round < scale; round++) {
		for (unsigned n = 0; n < 1000; n++)
			sum = steps[sum & 255](sum ^ n, 60);
	}
	printf("indirect %08x\n", sum);
	return 0;
}
