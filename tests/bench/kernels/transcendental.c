/* Divisions, square roots and transcendental functions, which are x87 instructions in both word sizes. */
#include "kernel.h"
#include <math.h>

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 900);
	double sum = 0;
	for (unsigned round = 0; round < scale; round++) {
		for (int n = 1; n <= 10000; n++) {
			double x = n * 0.0007 + round;
			sum += sin(x) / (1.5 + cos(x)) + sqrt(x) - log(x + 1) / x + atan2(x, 2.5);
			sum = sum / 1.0000001 + exp(-x) + pow(x, 0.3) - tan(x * 0.01);
		}
	}
	printf("transcendental %.9g\n", sum);
	return 0;
}
