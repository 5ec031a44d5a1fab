/* Floating point functions; the transcendental ones are x87 instructions on both word sizes. */
#pragma once

#define M_PI 3.14159265358979323846
#define M_E 2.7182818284590452354
#define HUGE_VAL __builtin_huge_val()
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#define isnan(x) __builtin_isnan(x)
#define isinf(x) __builtin_isinf(x)
#define isfinite(x) __builtin_isfinite(x)
#define signbit(x) __builtin_signbit(x)

double sqrt(double x);
float sqrtf(float x);
long double sqrtl(long double x);
double fabs(double x);
long double fabsl(long double x);
double floor(double x);
double ceil(double x);
double trunc(double x);
double rint(double x);
double fmod(double x, double y);
double ldexp(double x, int exponent);
double frexp(double x, int* exponent);
double sin(double x);
double cos(double x);
double tan(double x);
void sincos(double x, double* sine, double* cosine);
double asin(double x);
double acos(double x);
double atan(double x);
double atan2(double y, double x);
double exp(double x);
double log(double x);
double log2(double x);
double log10(double x);
double pow(double x, double y);
long double sinl(long double x);
long double cosl(long double x);
long double expl(long double x);
long double logl(long double x);
