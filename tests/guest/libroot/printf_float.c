/*
 * Floating point numbers as decimal text, exactly rounded.
 *
 * A binary number m * 2^e has a finite decimal form: m * 2^e for e >= 0, and m * 5^-e shifted by -e decimal places
 * for e < 0. That integer is computed in full, in limbs of nine decimal digits, and rounded half to even on its digits.
 */
#include "printf.h"
#include "libroot.h"
#include <ctype.h>
#include <math.h>
#include <string.h>

#define LIMB_BASE 1000000000u
#define LIMB_DIGITS 9
#define MAX_LIMBS 1290 /* the smallest 80-bit number has 11500 digits */
#define MAX_DIGITS (MAX_LIMBS * LIMB_DIGITS)

struct decimal {
	int count;    /* of digits, without leading zeroes; 0 for zero */
	int exponent; /* the value is 0.d1 d2 d3... * 10^exponent */
	char digits[MAX_DIGITS + 1];
};

struct big {
	int count;
	uint32 limbs[MAX_LIMBS]; /* least significant first */
};

static void multiply(struct big* number, uint32 factor)
{
	uint64 carry = 0;
	for (int i = 0; i < number->count; i++) {
		carry += (uint64)number->limbs[i] * factor;
		number->limbs[i] = carry % LIMB_BASE;
		carry /= LIMB_BASE;
	}
	if (carry > 0)
		number->limbs[number->count++] = carry;
}

static void multiply_power(struct big* number, uint32 base, uint32 chunk, int chunk_exponent, int exponent)
{
	for (; exponent >= chunk_exponent; exponent -= chunk_exponent)
		multiply(number, chunk);
	for (; exponent > 0; exponent--)
		multiply(number, base);
}

static void to_decimal(struct decimal* result, uint64 mantissa, int exponent)
{
	struct big number = {.count = 0};
	for (; mantissa > 0; mantissa /= LIMB_BASE)
		number.limbs[number.count++] = mantissa % LIMB_BASE;
	if (exponent >= 0)
		multiply_power(&number, 2, 1u << 28, 28, exponent);
	else
		multiply_power(&number, 5, 1220703125u, 13, -exponent);

	result->count = 0;
	for (int i = number.count - 1; i >= 0; i--) {
		uint32 limb = number.limbs[i];
		for (uint32 place = LIMB_BASE / 10; place > 0; place /= 10) {
			char digit = limb / place % 10;
			if (result->count > 0 || digit > 0)
				result->digits[result->count++] = digit;
		}
	}
	result->exponent = result->count + (exponent < 0 ? exponent : 0);
}

/* Keeps `keep` digits, rounded half to even; `keep` may be zero or negative. */
static void round_digits(struct decimal* number, int keep)
{
	if (keep >= number->count)
		return;
	if (keep < 0) {
		number->count = 0;
		return;
	}
	bool above_half = number->digits[keep] > 5;
	if (number->digits[keep] == 5) {
		for (int i = keep + 1; i < number->count && !above_half; i++)
			above_half = number->digits[i] != 0;
		if (!above_half)
			above_half = keep > 0 && number->digits[keep - 1] % 2 == 1;
	}
	number->count = keep;
	if (!above_half)
		return;
	while (keep > 0 && number->digits[keep - 1] == 9)
		number->digits[--keep] = 0;
	if (keep > 0) {
		number->digits[keep - 1]++;
		return;
	}
	/* 9.99 became 10.00: one digit more in front */
	number->digits[0] = 1;
	for (int i = 1; i < number->count; i++)
		number->digits[i] = 0;
	if (number->count == 0)
		number->count = 1;
	number->exponent++;
}

static char digit_at(const struct decimal* number, int index)
{
	return index >= 0 && index < number->count ? '0' + number->digits[index] : '0';
}

/* Text is gathered in pieces: the digits of a large number may be thousands. */
static void put_fixed(struct sink* sink, const struct conversion* conversion, const char* sign,
	const struct decimal* number, int places)
{
	int whole = number->count > 0 && number->exponent > 0 ? number->exponent : 1;
	bool point = places > 0 || (conversion->flags & FLAG_ALTERNATE) != 0;
	int length = whole + point + places;
	int padding = conversion->width - length - (int)strlen(sign);
	bool left = (conversion->flags & FLAG_LEFT) != 0, zero = (conversion->flags & FLAG_ZERO) != 0;
	if (!left && !zero)
		sink_pad(sink, ' ', padding);
	sink_put(sink, sign, strlen(sign));
	if (!left && zero)
		sink_pad(sink, '0', padding);
	int first = number->count > 0 ? number->exponent - whole : 0;
	for (int i = 0; i < whole + places; i++) {
		if (i == whole && point)
			sink_put(sink, ".", 1);
		char digit = digit_at(number, first + i);
		sink_put(sink, &digit, 1);
	}
	if (places == 0 && point)
		sink_put(sink, ".", 1);
	if (left)
		sink_pad(sink, ' ', padding);
}

static void put_scientific(struct sink* sink, const struct conversion* conversion, const char* sign,
	const struct decimal* number, int places)
{
	int exponent = number->count > 0 ? number->exponent - 1 : 0;
	unsigned magnitude = exponent < 0 ? -exponent : exponent;
	char suffix[8] = {isupper(conversion->letter) ? 'E' : 'e', exponent < 0 ? '-' : '+'};
	int digits = magnitude >= 1000 ? 4 : magnitude >= 100 ? 3 : 2;
	for (int i = digits - 1; i >= 0; i--, magnitude /= 10)
		suffix[2 + i] = '0' + magnitude % 10;
	bool point = places > 0 || (conversion->flags & FLAG_ALTERNATE) != 0;
	int length = 1 + point + places + 2 + digits;
	int padding = conversion->width - length - (int)strlen(sign);
	bool left = (conversion->flags & FLAG_LEFT) != 0, zero = (conversion->flags & FLAG_ZERO) != 0;
	if (!left && !zero)
		sink_pad(sink, ' ', padding);
	sink_put(sink, sign, strlen(sign));
	if (!left && zero)
		sink_pad(sink, '0', padding);
	for (int i = 0; i <= places; i++) {
		char digit = digit_at(number, i);
		sink_put(sink, &digit, 1);
		if (i == 0 && point)
			sink_put(sink, ".", 1);
	}
	sink_put(sink, suffix, 2 + digits);
	if (left)
		sink_pad(sink, ' ', padding);
}

static void put_general(struct sink* sink, const struct conversion* conversion, const char* sign,
	struct decimal* number, int significant)
{
	if (significant == 0)
		significant = 1;
	round_digits(number, significant);
	int exponent = number->count > 0 ? number->exponent - 1 : 0;
	bool scientific = exponent < -4 || exponent >= significant;
	int places = scientific ? significant - 1 : significant - 1 - exponent;
	if ((conversion->flags & FLAG_ALTERNATE) == 0) {
		int last = number->count;
		while (last > 0 && number->digits[last - 1] == 0)
			last--;
		int needed = scientific ? last - 1 : last - 1 - exponent;
		if (needed < 0)
			needed = 0;
		if (places > needed)
			places = needed;
	}
	if (scientific)
		put_scientific(sink, conversion, sign, number, places);
	else
		put_fixed(sink, conversion, sign, number, places);
}

void put_float(struct sink* sink, const struct conversion* conversion, long double value)
{
	union {
		long double value;
		struct {
			uint64 mantissa;
			uint16 exponent;
		};
	} bits = {.value = value};
	bool is_negative = (bits.exponent & 0x8000) != 0;
	int exponent = bits.exponent & 0x7fff;
	const char* sign = is_negative ? "-" : (conversion->flags & FLAG_PLUS) != 0 ? "+"
		: (conversion->flags & FLAG_SPACE) != 0 ? " " : "";
	if (exponent == 0x7fff) {
		bool is_nan = (bits.mantissa << 1) != 0;
		bool upper = isupper(conversion->letter);
		struct conversion plain = *conversion;
		plain.flags &= ~FLAG_ZERO;
		put_number(sink, &plain, sign, is_nan ? (upper ? "NAN" : "nan") : (upper ? "INF" : "inf"), 3, 0);
		return;
	}

	struct decimal number;
	/* The mantissa's 64 bits have their point behind the first. */
	int shift = exponent == 0 ? -16445 : exponent - 16383 - 63;
	uint64 mantissa = bits.mantissa;
	while (mantissa != 0 && (mantissa & 1) == 0 && shift < 0) {
		mantissa >>= 1;
		shift++;
	}
	to_decimal(&number, mantissa, shift);
	int precision = conversion->precision >= 0 ? conversion->precision : 6;
	switch (tolower(conversion->letter)) {
		case 'f':
			if (number.count > 0)
				round_digits(&number, number.exponent + precision);
			put_fixed(sink, conversion, sign, &number, precision);
			break;
		case 'e':
			round_digits(&number, precision + 1);
			put_scientific(sink, conversion, sign, &number, precision);
			break;
		default:
			put_general(sink, conversion, sign, &number, precision);
	}
}
