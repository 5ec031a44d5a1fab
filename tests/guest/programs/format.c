/* printf and the mathematical functions, against texts known to be right. */
#include "check.h"
#include <limits.h>
#include <math.h>

static void check_text(int line, const char* expected, const char* format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	int length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (strcmp(text, expected) != 0 || length != (int)strlen(expected)) {
		printf("format.c:%d: \"%s\" gave \"%s\", not \"%s\"\n", line, format, text, expected);
		exit(1);
	}
}
#define TEXT(expected, ...) check_text(__LINE__, expected, __VA_ARGS__)

static void check_integers(void)
{
	TEXT("0 -1 2147483647 -2147483648", "%d %d %d %d", 0, -1, INT_MAX, INT_MIN);
	TEXT("4294967295 ffffffff FFFFFFFF 37777777777", "%u %x %X %o", UINT_MAX, UINT_MAX, UINT_MAX, UINT_MAX);
	TEXT("-9223372036854775808 18446744073709551615", "%lld %llu", LLONG_MIN, ULLONG_MAX);
	TEXT("-1 255 -1 65535", "%hhd %hhu %hd %hu", 255, 255, 65535, 65535);
	TEXT("[   42] [42   ] [00042] [+42] [ 42]", "[%5d] [%-5d] [%05d] [%+d] [% d]", 42, 42, 42, 42, 42);
	TEXT("[  042] [  -042] [] [0x2a] [052]", "[%5.3d] [%6.3d] [%.0d] [%#x] [%#o]", 42, -42, 0, 42, 42);
	TEXT("[   42] [42   ]", "[%*d] [%*d]", 5, 42, -5, 42);
	TEXT("123 456 0x7b", "%zu %jd %p", (size_t)123, (intmax_t)456, (void*)123);
	TEXT("a%b c [  x] [abc] [  ab]", "a%%b %c [%3c] [%s] [%4.2s]", 'c', 'x', "abc", "abc");
}

static void check_floats(void)
{
	TEXT("0.000000 1.500000 -2.250000", "%f %f %f", 0.0, 1.5, -2.25);
	TEXT("0 2 2 4 -0", "%.0f %.0f %.0f %.0f %.0f", 0.5, 1.5, 2.5, 3.5, -0.25);
	TEXT("0.1000000000000000055511151231257827021181583404541015625", "%.55f", 0.1);
	TEXT("1000000000000000000000", "%.0f", 1e21);
	TEXT("1.797693e+308 4.940656e-324 2.225074e-308", "%e %e %e", 1.7976931348623157e308, 4.9406564584124654e-324,
		2.2250738585072014e-308);
	TEXT("9.9999999999999992e+22 1.0000000000000001e+23", "%.16e %.16e", 1e23, 1.0000000000000001e23);
	TEXT("10.00 9.99e+00 1.0e+01", "%.2f %.2e %.1e", 9.999, 9.99, 9.99);
	TEXT("100000 1e+06 0.0001 1e-05 1.5 0", "%g %g %g %g %g %g", 100000.0, 1000000.0, 0.0001, 0.00001, 1.5, 0.0);
	TEXT("0.1 0.10000000000000001 3.14159", "%g %.17g %g", 0.1, 0.1, M_PI);
	TEXT("inf -inf nan INF [  inf]", "%f %f %f %F [%5f]", INFINITY, -INFINITY, NAN, INFINITY, INFINITY);
	TEXT("[    1.50] [1.50    ] [00001.50] [+1.50] [-0001.50]", "[%8.2f] [%-8.2f] [%08.2f] [%+.2f] [%08.2f]", 1.5, 1.5, 1.5,
		1.5, -1.5);
	TEXT("3.1415926535897932385 1e+4932", "%.19Lf %.0Le", 3.14159265358979323846L, 1e4932L);
	TEXT("1. 1.00000", "%#.0f %#g", 1.0, 1.0);
}

static int near(double a, double b)
{
	return fabs(a - b) <= 1e-15 * fabs(b);
}

/* x87 code may carry more bits than a double has. */
static double rounded(double x)
{
	volatile double result = x;
	return result;
}

static void check_math(void)
{
	volatile double two = 2, half = 0.5, three = 3;
	volatile float single = sqrtf(2.0f);
	CHECK(rounded(sqrt(two)) == 1.4142135623730951 && single == 1.41421354f && sqrt(0.0) == 0);
	CHECK(near(sin(half), 0.47942553860420301) && near(cos(half), 0.87758256189037276));
	CHECK(near(tan(half), 0.54630248984379048) && near(atan(half), 0.46364760900080609));
	CHECK(near(atan2(1, -1), 2.3561944901923448) && near(exp(1), 2.7182818284590451));
	CHECK(near(log(three), 1.0986122886681098) && rounded(log2(8)) == 3 && near(log10(1000), 3));
	CHECK(pow(two, 10) == 1024 && near(pow(two, half), 1.4142135623730951) && pow(-2, 3) == -8 && pow(0, 0) == 1);
	CHECK(isnan(pow(-2, half)) && pow(0, -1) == INFINITY && exp(-INFINITY) == 0);
	CHECK(floor(-1.5) == -2 && ceil(-1.5) == -1 && trunc(-1.5) == -1 && rint(2.5) == 2 && rounded(floor(1e300)) == 1e300);
	CHECK(fmod(10, 3) == 1 && fmod(-10, 3) == -1 && fmod(1e18, 7) == 1 && ldexp(0.75, 4) == 12);
	long double third = 1.0L / 3;
	CHECK(third * 3 == 1.0L && (double)third != third);
}

int main(void)
{
	check_integers();
	check_floats();
	check_math();
	printf("format: integers, floats, mathematics\nok\n");
	return 0;
}
