/* Product of double matrices, in the order that reads rows. */
#include "kernel.h"

#define SIDE 96

static double a[SIDE][SIDE], b[SIDE][SIDE], c[SIDE][SIDE];

static __attribute__((noinline)) void multiply(void)
{
	memset(c, 0, sizeof(c));
	for (int i = 0; i < SIDE; i++) {
		for (int k = 0; k < SIDE; k++) {
			double factor = a[i][k];
			for (int j = 0; j < SIDE; j++)
				c[i][j] += factor * b[k][j];
		}
	}
}

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 1200);
	uint32_t state = 5;
	double trace = 0;
	/* Small integers: the products are exact, in any precision and order. */
	for (int i = 0; i < SIDE; i++) {
		for (int j = 0; j < SIDE; j++) {
			a[i][j] = (double)(next_random(&state) % 64);
			b[i][j] = (double)(next_random(&state) % 64);
		}
	}
	for (unsigned round = 0; round < scale; round++) {
		multiply();
		trace += c[round % SIDE][(round * 7) % SIDE];
		a[round % SIDE][(round * 3) % SIDE] = (double)(round % 64);
	}
	printf("matmul %.0f\n", trace);
	return 0;
}
