/* Floating point functions. Square roots and transcendental ones are processor instructions. */
#include "libroot.h"
#include <math.h>

#define X87(name, instruction)                                       \
	EXPORT long double name##l(long double x)                        \
	{                                                                \
		__asm__(instruction : "+t"(x));                              \
		return x;                                                    \
	}

X87(sqrt, "fsqrt")
X87(sin, "fsin")
X87(cos, "fcos")

EXPORT double sqrt(double x)
{
#if defined(__SSE2__)
	__asm__("sqrtsd %0, %0" : "+x"(x));
	return x;
#else
	return sqrtl(x);
#endif
}

EXPORT float sqrtf(float x)
{
#if defined(__SSE2__)
	__asm__("sqrtss %0, %0" : "+x"(x));
	return x;
#else
	return sqrtl(x);
#endif
}

EXPORT double sin(double x)
{
	return sinl(x);
}

EXPORT double cos(double x)
{
	return cosl(x);
}

EXPORT double tan(double x)
{
	long double value = x;
	__asm__("fptan; fstp %%st(0)" : "+t"(value) : : "st(7)");
	return value;
}

EXPORT double atan2(double y, double x)
{
	long double result;
	__asm__("fpatan" : "=t"(result) : "0"((long double)x), "u"((long double)y) : "st(1)");
	return result;
}

EXPORT double asin(double x)
{
	return atan2(x, sqrtl((1 + (long double)x) * (1 - (long double)x)));
}

EXPORT double acos(double x)
{
	return atan2(sqrtl((1 + (long double)x) * (1 - (long double)x)), x);
}

EXPORT double atan(double x)
{
	return atan2(x, 1);
}

static long double y_log2_x(long double y, long double x)
{
	long double result;
	__asm__("fyl2x" : "=t"(result) : "0"(x), "u"(y) : "st(1)");
	return result;
}

/* 2^x: a scaled 2^fraction. */
static long double exp2_long(long double x)
{
	if (isinf(x))
		return x > 0 ? x : 0;
	long double whole = x;
	__asm__("frndint" : "+t"(whole));
	long double fraction = x - whole;
	__asm__("f2xm1" : "+t"(fraction));
	fraction += 1;
	__asm__("fscale" : "+t"(fraction) : "u"(whole));
	return fraction;
}

#define LN2 0.693147180559945309417232121458176568L
#define LOG10_2 0.301029995663981195213738894724493027L
#define LOG2_E 1.442695040888963407359924681001892137L

EXPORT long double logl(long double x)
{
	return y_log2_x(LN2, x);
}

EXPORT double log(double x)
{
	return y_log2_x(LN2, x);
}

EXPORT double log2(double x)
{
	return y_log2_x(1, x);
}

EXPORT double log10(double x)
{
	return y_log2_x(LOG10_2, x);
}

EXPORT long double expl(long double x)
{
	return exp2_long(x * LOG2_E);
}

EXPORT double exp(double x)
{
	return exp2_long(x * LOG2_E);
}

EXPORT double pow(double x, double y)
{
	if (y == 0 || x == 1)
		return 1;
	if (isnan(x) || isnan(y))
		return x + y;
	long double magnitude = __builtin_fabsl(x);
	bool is_whole = rint(y) == y;
	bool is_odd = is_whole && __builtin_fabs(y) < 9007199254740992.0 && fmod(y, 2) != 0;
	if (x < 0 && !is_whole && !isinf(x) && !isinf(y))
		return NAN;
	long double result;
	if (magnitude == 0)
		result = y > 0 ? 0 : INFINITY;
	else
		result = exp2_long(y_log2_x(y, magnitude));
	return is_odd && signbit(x) ? -result : result;
}

EXPORT double fmod(double x, double y)
{
	long double rest = x;
	unsigned short status;
	do {
		__asm__("fprem; fnstsw %1" : "+t"(rest), "=a"(status) : "u"((long double)y));
	} while ((status & 0x400) != 0); /* C2: the reduction is not complete */
	return rest;
}

EXPORT double fabs(double x)
{
	return __builtin_fabs(x);
}

EXPORT long double fabsl(long double x)
{
	return __builtin_fabsl(x);
}

EXPORT double rint(double x)
{
	long double value = x;
	__asm__("frndint" : "+t"(value));
	return value;
}

/* Rounds with the rounding control (bits 10 and 11 of the control word) set to `control`. */
static double round_with(double x, unsigned short control)
{
	unsigned short saved, changed;
	__asm__ volatile("fnstcw %0" : "=m"(saved));
	changed = (saved & ~0x0c00) | control;
	long double value = x;
	__asm__ volatile("fldcw %1; frndint; fldcw %2" : "+t"(value) : "m"(changed), "m"(saved));
	return value;
}

EXPORT double floor(double x)
{
	return round_with(x, 0x0400);
}

EXPORT double ceil(double x)
{
	return round_with(x, 0x0800);
}

EXPORT double trunc(double x)
{
	return round_with(x, 0x0c00);
}

EXPORT double ldexp(double x, int exponent)
{
	long double value = x;
	__asm__("fscale" : "+t"(value) : "u"((long double)exponent));
	return value;
}

EXPORT double frexp(double x, int* exponent)
{
	*exponent = 0;
	if (x == 0 || isnan(x) || isinf(x))
		return x;
	long double fraction = x, power;
	__asm__("fxtract" : "=t"(fraction), "=u"(power) : "0"(fraction));
	*exponent = (int)power + 1;
	return fraction / 2;
}

EXPORT void sincos(double x, double* sine, double* cosine)
{
	long double s, c;
	__asm__("fsincos" : "=t"(c), "=u"(s) : "0"((long double)x));
	*sine = s;
	*cosine = c;
}
