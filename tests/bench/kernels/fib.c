/* Recursive Fibonacci numbers: calls and returns, and nothing else. */
#include "kernel.h"

/* Kept a plain double recursion: the optimiser would otherwise unroll it by inlining into itself. */
__attribute__((noinline, optimize("no-optimize-sibling-calls", "no-inline-functions", "no-partial-inlining", "no-ipa-cp")))
static unsigned fib(unsigned n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 28), sum = 0;
	for (unsigned round = 0; round < scale; round++)
		sum = mix(sum, fib(32 + (round & 1)));
	printf("fib %08x\n", sum);
	return 0;
}
