/* The Mandelbrot set in doubles: a loop of multiplications and additions that ends when a sum passes 4. */
#include "kernel.h"

static __attribute__((noinline)) int iterations(double cr, double ci, int limit)
{
	double zr = 0, zi = 0;
	int i = 0;
	for (; i < limit; i++) {
		double rr = zr * zr, ii = zi * zi;
		if (rr + ii > 4)
			break;
		zi = 2 * zr * zi + ci;
		zr = rr - ii + cr;
	}
	return i;
}

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 150);
	uint32_t sum = 0;
	for (unsigned round = 0; round < scale; round++) {
		for (int y = 0; y < 64; y++) {
			for (int x = 0; x < 96; x++)
				sum = mix(sum, (uint32_t)iterations(x / 32.0 - 2.25, y / 32.0 - 1.0 + round / 4096.0, 500));
		}
	}
	printf("mandelbrot %08x\n", sum);
	return 0;
}
