/* Planets under gravity: doubles, square roots and divisions. */
#include "kernel.h"

#define BODIES 5

static struct {
	double x[3], v[3], mass;
} bodies[BODIES] = {
	{{0, 0, 0}, {0, 0, 0}, 39.47841760435743},
	{{4.84143144246472, -1.16032004402742, -0.10362204447112}, {0.60632639299586, 2.81198684491626, -0.02521836165988}, 0.03769367487038},
	{{8.34336671824458, 4.12479856412430, -0.40352341711433}, {-1.01077434617879, 1.82566237123042, 0.00841576137658}, 0.01128632613197},
	{{12.8943695621391, -15.1111514016986, -0.22330757889266}, {1.08279100644154, 0.86871301816961, -0.01083263740137}, 0.00172372405705},
	{{15.3796971148509, -25.9193146099880, 0.17925877295037}, {0.97909073224390, 0.59469899864767, -0.03475595558174}, 0.00203368686992},
};

static inline double square_root(double x)
{
#if defined(__SSE2__)
	__asm__("sqrtsd %0, %0" : "+x"(x));
#elif defined(__i386__)
	__asm__("fsqrt" : "+t"(x));
#else
	x = __builtin_sqrt(x);
#endif
	return x;
}

static __attribute__((noinline)) void advance(double step)
{
	for (int i = 0; i < BODIES; i++) {
		for (int j = i + 1; j < BODIES; j++) {
			double d[3], squared = 0;
			for (int k = 0; k < 3; k++) {
				d[k] = bodies[i].x[k] - bodies[j].x[k];
				squared += d[k] * d[k];
			}
			double magnitude = step / (squared * square_root(squared));
			for (int k = 0; k < 3; k++) {
				bodies[i].v[k] -= d[k] * bodies[j].mass * magnitude;
				bodies[j].v[k] += d[k] * bodies[i].mass * magnitude;
			}
		}
	}
	for (int i = 0; i < BODIES; i++) {
		for (int k = 0; k < 3; k++)
			bodies[i].x[k] += step * bodies[i].v[k];
	}
}

static double energy(void)
{
	double sum = 0;
	for (int i = 0; i < BODIES; i++) {
		for (int k = 0; k < 3; k++)
			sum += bodies[i].mass * bodies[i].v[k] * bodies[i].v[k] / 2;
		for (int j = i + 1; j < BODIES; j++) {
			double squared = 0;
			for (int k = 0; k < 3; k++)
				squared += (bodies[i].x[k] - bodies[j].x[k]) * (bodies[i].x[k] - bodies[j].x[k]);
			sum -= bodies[i].mass * bodies[j].mass / square_root(squared);
		}
	}
	return sum;
}

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 5000000);
	for (unsigned round = 0; round < scale; round++)
		advance(0.001);
	printf("nbody %.6f\n", energy());
	return 0;
}
