/* The printf family: d i u o x X c s p f F e E g G %, flags, width, precision, and the lengths hh h l ll j z t L. */
#include "libroot.h"
#include "printf.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void sink_put(struct sink* sink, const char* text, size_t length)
{
	if (length > 0)
		sink->put(sink, text, length);
	sink->total += length;
}

void sink_pad(struct sink* sink, char c, int count)
{
	char run[16];
	memset(run, c, sizeof(run));
	for (; count > 0; count -= (int)sizeof(run))
		sink_put(sink, run, count < (int)sizeof(run) ? (size_t)count : sizeof(run));
}

void put_number(struct sink* sink, const struct conversion* conversion, const char* prefix, const char* body,
	size_t length, int zeroes)
{
	size_t prefix_length = strlen(prefix);
	int padding = conversion->width - (int)(prefix_length + length) - zeroes;
	bool left = (conversion->flags & FLAG_LEFT) != 0;
	if (!left && (conversion->flags & FLAG_ZERO) != 0 && padding > 0) {
		zeroes += padding;
		padding = 0;
	}
	if (!left)
		sink_pad(sink, ' ', padding);
	sink_put(sink, prefix, prefix_length);
	sink_pad(sink, '0', zeroes);
	sink_put(sink, body, length);
	if (left)
		sink_pad(sink, ' ', padding);
}

static void put_integer(struct sink* sink, struct conversion* conversion, unsigned long long value, bool isNegative)
{
	char digits[24];
	char* at = digits + sizeof(digits);
	unsigned base = conversion->letter == 'o' ? 8 : tolower(conversion->letter) == 'x' ? 16 : 10;
	char letter_base = conversion->letter == 'X' ? 'A' : 'a';
	const char* prefix = isNegative ? "-" : "";
	if (!isNegative && (conversion->letter == 'd' || conversion->letter == 'i'))
		prefix = (conversion->flags & FLAG_PLUS) != 0 ? "+" : (conversion->flags & FLAG_SPACE) != 0 ? " " : "";
	if (base == 16 && value != 0 && (conversion->flags & FLAG_ALTERNATE) != 0)
		prefix = conversion->letter == 'X' ? "0X" : "0x";
	for (; value > 0; value /= base) {
		unsigned digit = value % base;
		*--at = digit < 10 ? '0' + digit : letter_base + digit - 10;
	}
	int length = digits + sizeof(digits) - at;
	int least = conversion->precision >= 0 ? conversion->precision : 1;
	if (base == 8 && (conversion->flags & FLAG_ALTERNATE) != 0 && least <= length)
		least = length + 1;
	if (conversion->precision >= 0)
		conversion->flags &= ~FLAG_ZERO;
	put_number(sink, conversion, prefix, at, length, least > length ? least - length : 0);
}

static void put_string(struct sink* sink, const struct conversion* conversion, const char* string)
{
	if (string == NULL)
		string = "(null)";
	size_t length = conversion->precision >= 0 ? strnlen(string, conversion->precision) : strlen(string);
	int padding = conversion->width - (int)length;
	if ((conversion->flags & FLAG_LEFT) == 0)
		sink_pad(sink, ' ', padding);
	sink_put(sink, string, length);
	if ((conversion->flags & FLAG_LEFT) != 0)
		sink_pad(sink, ' ', padding);
}

static int parse_count(const char** format, va_list* args)
{
	int count = 0;
	if (**format == '*') {
		(*format)++;
		return va_arg(*args, int);
	}
	for (; isdigit(**format); (*format)++)
		count = count * 10 + (**format - '0');
	return count;
}

static struct conversion parse_conversion(const char** format, va_list* args)
{
	struct conversion conversion = {0, 0, -1, 0};
	static const char flags[] = "-+ #0";
	const char* flag;
	while (**format != '\0' && (flag = strchr(flags, **format)) != NULL) {
		conversion.flags |= 1 << (flag - flags);
		(*format)++;
	}
	conversion.width = parse_count(format, args);
	if (conversion.width < 0) {
		conversion.flags |= FLAG_LEFT;
		conversion.width = -conversion.width;
	}
	if (**format == '.') {
		(*format)++;
		conversion.precision = parse_count(format, args);
	}
	return conversion;
}

enum length { LENGTH_CHAR, LENGTH_SHORT, LENGTH_INT, LENGTH_LONG, LENGTH_LONG_LONG, LENGTH_LONG_DOUBLE };

static enum length parse_length(const char** format)
{
	switch (*(*format)++) {
		case 'h':
			if (**format != 'h')
				return LENGTH_SHORT;
			(*format)++;
			return LENGTH_CHAR;
		case 'l':
			if (**format != 'l')
				return LENGTH_LONG;
			(*format)++;
			return LENGTH_LONG_LONG;
		case 'j':
			return LENGTH_LONG_LONG;
		case 'z':
		case 't':
			return LENGTH_LONG;
		case 'L':
			return LENGTH_LONG_DOUBLE;
		default:
			(*format)--;
			return LENGTH_INT;
	}
}

static long long signed_argument(enum length length, va_list* args)
{
	switch (length) {
		case LENGTH_CHAR:
			return (signed char)va_arg(*args, int);
		case LENGTH_SHORT:
			return (short)va_arg(*args, int);
		case LENGTH_LONG:
			return va_arg(*args, long);
		case LENGTH_LONG_LONG:
			return va_arg(*args, long long);
		default:
			return va_arg(*args, int);
	}
}

static unsigned long long unsigned_argument(enum length length, va_list* args)
{
	switch (length) {
		case LENGTH_CHAR:
			return (unsigned char)va_arg(*args, int);
		case LENGTH_SHORT:
			return (unsigned short)va_arg(*args, int);
		case LENGTH_LONG:
			return va_arg(*args, unsigned long);
		case LENGTH_LONG_LONG:
			return va_arg(*args, unsigned long long);
		default:
			return va_arg(*args, unsigned);
	}
}

static void put_conversion(struct sink* sink, struct conversion* conversion, enum length length, va_list* args)
{
	switch (conversion->letter) {
		case 'd':
		case 'i': {
			long long value = signed_argument(length, args);
			put_integer(sink, conversion, value < 0 ? 0 - (unsigned long long)value : (unsigned long long)value, value < 0);
			break;
		}
		case 'u':
		case 'o':
		case 'x':
		case 'X':
			put_integer(sink, conversion, unsigned_argument(length, args), false);
			break;
		case 'p':
			conversion->letter = 'x';
			conversion->flags |= FLAG_ALTERNATE;
			put_integer(sink, conversion, (addr_t)va_arg(*args, void*), false);
			break;
		case 'c': {
			char c[2] = {va_arg(*args, int), '\0'};
			put_number(sink, conversion, "", c, 1, 0);
			break;
		}
		case 's':
			put_string(sink, conversion, va_arg(*args, const char*));
			break;
		case 'e':
		case 'E':
		case 'f':
		case 'F':
		case 'g':
		case 'G':
			if (length == LENGTH_LONG_DOUBLE)
				put_float(sink, conversion, va_arg(*args, long double));
			else
				put_float(sink, conversion, va_arg(*args, double));
			break;
		default:
			sink_put(sink, &conversion->letter, 1);
	}
}

void format_text(struct sink* sink, const char* format, va_list _args)
{
	va_list args;
	va_copy(args, _args);
	while (*format != '\0') {
		const char* text = format;
		while (*format != '\0' && *format != '%')
			format++;
		sink_put(sink, text, format - text);
		if (*format == '\0')
			break;
		format++;
		struct conversion conversion = parse_conversion(&format, &args);
		enum length length = parse_length(&format);
		conversion.letter = *format;
		if (*format == '\0')
			break;
		format++;
		put_conversion(sink, &conversion, length, &args);
	}
	va_end(args);
}

struct buffer_sink {
	struct sink sink;
	char* at;
	size_t room;
};

static void put_to_buffer(struct sink* sink, const char* text, size_t length)
{
	struct buffer_sink* to = (struct buffer_sink*)sink;
	if (length > to->room)
		length = to->room;
	memcpy(to->at, text, length);
	to->at += length;
	to->room -= length;
}

EXPORT int vsnprintf(char* restrict buffer, size_t size, const char* restrict format, va_list args)
{
	struct buffer_sink sink = {{put_to_buffer, 0}, buffer, size > 0 ? size - 1 : 0};
	format_text(&sink.sink, format, args);
	if (size > 0)
		*sink.at = '\0';
	return sink.sink.total;
}

EXPORT int snprintf(char* restrict buffer, size_t size, const char* restrict format, ...)
{
	va_list args;
	va_start(args, format);
	int result = vsnprintf(buffer, size, format, args);
	va_end(args);
	return result;
}

EXPORT int sprintf(char* restrict buffer, const char* restrict format, ...)
{
	va_list args;
	va_start(args, format);
	int result = vsnprintf(buffer, (size_t)INT_MAX, format, args);
	va_end(args);
	return result;
}

/* Unbuffered: also for signal handlers. */
struct fd_sink {
	struct sink sink;
	int fd;
};

static void put_to_fd(struct sink* sink, const char* text, size_t length)
{
	write(((struct fd_sink*)sink)->fd, text, length);
}

EXPORT int dprintf(int fd, const char* restrict format, ...)
{
	struct fd_sink sink = {{put_to_fd, 0}, fd};
	va_list args;
	va_start(args, format);
	format_text(&sink.sink, format, args);
	va_end(args);
	return sink.sink.total;
}
