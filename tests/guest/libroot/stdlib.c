/* Numbers from text, sorting, searching, random numbers, assertions. */
#include "libroot.h"
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int digit_value(char c)
{
	if (isdigit(c))
		return c - '0';
	if (isalpha(c))
		return tolower(c) - 'a' + 10;
	return INT_MAX;
}

struct parsed {
	unsigned long long magnitude;
	bool is_negative, overflows;
};

/* What the strto* functions share: white space, sign, prefix, digits. */
static struct parsed parse_integer(const char* string, char** end, int base)
{
	struct parsed result = {0, false, false};
	const char* at = string;
	while (isspace(*at))
		at++;
	if (*at == '+' || *at == '-')
		result.is_negative = *at++ == '-';
	if ((base == 0 || base == 16) && at[0] == '0' && tolower(at[1]) == 'x' && isxdigit(at[2])) {
		at += 2;
		base = 16;
	}
	if (base == 0)
		base = *at == '0' ? 8 : 10;
	bool has_digits = false;
	for (; digit_value(*at) < base; at++) {
		has_digits = true;
		if (__builtin_mul_overflow(result.magnitude, (unsigned long long)base, &result.magnitude)
			|| __builtin_add_overflow(result.magnitude, (unsigned long long)digit_value(*at), &result.magnitude))
			result.overflows = true;
	}
	if (end != NULL)
		*end = (char*)(has_digits ? at : string);
	return result;
}

static long long clamp_signed(struct parsed parsed, long long min, long long max)
{
	unsigned long long limit = parsed.is_negative ? 0 - (unsigned long long)min : (unsigned long long)max;
	if (parsed.overflows || parsed.magnitude > limit) {
		errno = ERANGE;
		return parsed.is_negative ? min : max;
	}
	return parsed.is_negative ? (long long)(0 - parsed.magnitude) : (long long)parsed.magnitude;
}

static unsigned long long clamp_unsigned(struct parsed parsed, unsigned long long max)
{
	if (parsed.overflows || parsed.magnitude > max) {
		errno = ERANGE;
		return max;
	}
	return parsed.is_negative ? 0 - parsed.magnitude : parsed.magnitude;
}

EXPORT long strtol(const char* restrict string, char** restrict end, int base)
{
	return clamp_signed(parse_integer(string, end, base), LONG_MIN, LONG_MAX);
}

EXPORT long long strtoll(const char* restrict string, char** restrict end, int base)
{
	return clamp_signed(parse_integer(string, end, base), LLONG_MIN, LLONG_MAX);
}

EXPORT unsigned long strtoul(const char* restrict string, char** restrict end, int base)
{
	return clamp_unsigned(parse_integer(string, end, base), ULONG_MAX);
}

EXPORT unsigned long long strtoull(const char* restrict string, char** restrict end, int base)
{
	return clamp_unsigned(parse_integer(string, end, base), ULLONG_MAX);
}

EXPORT int atoi(const char* string)
{
	return strtol(string, NULL, 10);
}

EXPORT long atol(const char* string)
{
	return strtol(string, NULL, 10);
}

static long double scale_by_ten(long double value, int exponent)
{
	long double power = 10;
	bool down = exponent < 0;
	for (unsigned n = down ? -exponent : exponent; n > 0; n >>= 1) {
		if (n & 1)
			value = down ? value / power : value * power;
		power *= power;
	}
	return value;
}

/* Decimal only. Computed in 80 bits: the last bit of a double may be off for long inputs or large exponents. */
EXPORT double strtod(const char* restrict string, char** restrict end)
{
	const char* at = string;
	while (isspace(*at))
		at++;
	bool is_negative = *at == '-';
	if (*at == '+' || *at == '-')
		at++;
	uint64 digits = 0;
	int exponent = 0;
	bool has_digits = false, in_fraction = false;
	for (;; at++) {
		if (*at == '.' && !in_fraction) {
			in_fraction = true;
			continue;
		}
		if (!isdigit(*at))
			break;
		has_digits = true;
		if (digits <= (UINT64_MAX - 9) / 10) {
			digits = digits * 10 + (*at - '0');
			exponent -= in_fraction;
		} else
			exponent += !in_fraction;
	}
	if (has_digits && (*at == 'e' || *at == 'E')) {
		char* after;
		long written = strtol(at + 1, &after, 10);
		if (after != at + 1 && !isspace(at[1])) {
			exponent += written > 10000 ? 10000 : written < -10000 ? -10000 : written;
			at = after;
		}
	}
	if (end != NULL)
		*end = (char*)(has_digits ? at : string);
	long double value = digits != 0 ? scale_by_ten((long double)digits, exponent) : 0;
	return is_negative ? -value : value;
}

EXPORT double atof(const char* string)
{
	return strtod(string, NULL);
}

static void swap(char* a, char* b, size_t size)
{
	for (; size > 0; a++, b++, size--) {
		char c = *a;
		*a = *b;
		*b = c;
	}
}

static void sift_down(char* base, size_t root, size_t count, size_t size, int (*compare)(const void*, const void*))
{
	for (;;) {
		size_t child = 2 * root + 1;
		if (child >= count)
			return;
		if (child + 1 < count && compare(base + child * size, base + (child + 1) * size) < 0)
			child++;
		if (compare(base + root * size, base + child * size) >= 0)
			return;
		swap(base + root * size, base + child * size, size);
		root = child;
	}
}

static void heap_sort(char* base, size_t count, size_t size, int (*compare)(const void*, const void*))
{
	for (size_t root = count / 2; root-- > 0;)
		sift_down(base, root, count, size, compare);
	for (size_t last = count; last-- > 1;) {
		swap(base, base + last * size, size);
		sift_down(base, 0, last, size, compare);
	}
}

/* Quicksort with the middle element as pivot; heap sort once the recursion is deeper than it should be. */
static void sort(char* base, size_t count, size_t size, int (*compare)(const void*, const void*), int depth)
{
	while (count > 8) {
		if (depth-- == 0) {
			heap_sort(base, count, size, compare);
			return;
		}
		swap(base, base + count / 2 * size, size);
		size_t low = 1, high = count - 1;
		for (;;) {
			while (low <= high && compare(base + low * size, base) < 0)
				low++;
			while (low <= high && compare(base + high * size, base) > 0)
				high--;
			if (low >= high)
				break;
			swap(base + low++ * size, base + high-- * size, size);
		}
		swap(base, base + high * size, size);
		size_t right = high + 1;
		if (high < count - right) {
			sort(base, high, size, compare, depth);
			base += right * size;
			count -= right;
		} else {
			sort(base + right * size, count - right, size, compare, depth);
			count = high;
		}
	}
	for (size_t i = 1; i < count; i++) {
		for (size_t j = i; j > 0 && compare(base + (j - 1) * size, base + j * size) > 0; j--)
			swap(base + (j - 1) * size, base + j * size, size);
	}
}

EXPORT void qsort(void* base, size_t count, size_t size, int (*compare)(const void*, const void*))
{
	int depth = 2;
	for (size_t n = count; n > 0; n >>= 1)
		depth += 2;
	sort(base, count, size, compare, depth);
}

EXPORT void* bsearch(const void* key, const void* base, size_t count, size_t size,
	int (*compare)(const void*, const void*))
{
	const char* low = base;
	while (count > 0) {
		const char* middle = low + count / 2 * size;
		int order = compare(key, middle);
		if (order == 0)
			return (void*)middle;
		if (order > 0) {
			low = middle + size;
			count -= count / 2 + 1;
		} else
			count /= 2;
	}
	return NULL;
}

static uint32 random_state = 1;

EXPORT void srand(unsigned seed)
{
	random_state = seed;
}

EXPORT int rand(void)
{
	random_state = random_state * 1103515245 + 12345;
	return random_state >> 1;
}

EXPORT void __assert_fail(const char* condition, const char* file, int line)
{
	fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
	abort();
}
