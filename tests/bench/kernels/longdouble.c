/* Arithmetic in 80 bits: a logistic map, a continued fraction and a polynomial, all x87. */
#include "kernel.h"

static __attribute__((noinline)) long double polynomial(long double x)
{
	static const long double coefficients[] = {1.0L, -0.5L, 0.25L, -0.125L, 1.0L / 3, -1.0L / 7, 1.0L / 11, -1.0L / 13};
	long double value = 0;
	for (int i = 0; i < 8; i++)
		value = value * x + coefficients[i];
	return value;
}

static __attribute__((noinline)) long double fraction(int depth)
{
	long double value = 1;
	for (int i = depth; i > 0; i--)
		value = 1 + i / value;
	return value;
}

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 5000000);
	union {
		long double value;
		uint32_t words[3];
	} result = {0};
	long double x = 0.3L, sum = 0;
	uint32_t check = 0;
	for (unsigned round = 0; round < scale; round++) {
		x = 3.75L * x * (1 - x);
		sum += polynomial(x) - fraction(16 + (int)(round % 8)) / (round + 1);
		if (sum > 1000)
			sum -= 1000;
	}
	result.value = sum;
	for (int i = 0; i < 2; i++)
		check = mix(check, result.words[i]);
	check = mix(check, result.words[2] & 0xffff);
	printf("longdouble %08x\n", check);
	return 0;
}
