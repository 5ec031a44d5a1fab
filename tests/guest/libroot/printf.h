/* Formatting text, apart from where it goes. */
#pragma once
#include <stdarg.h>
#include <stddef.h>

/* Takes text piece by piece; `total` counts what it was given. */
struct sink {
	void (*put)(struct sink* sink, const char* text, size_t length);
	size_t total;
};

void sink_put(struct sink* sink, const char* text, size_t length);
void sink_pad(struct sink* sink, char c, int count);

void format_text(struct sink* sink, const char* format, va_list args);

enum {
	FLAG_LEFT = 1,
	FLAG_PLUS = 2,
	FLAG_SPACE = 4,
	FLAG_ALTERNATE = 8,
	FLAG_ZERO = 16,
};

/* What stands between % and the conversion letter. */
struct conversion {
	int flags;
	int width;
	int precision; /* negative for none */
	char letter;
};

/* Writes sign or prefix and body in the conversion's width; zeroes go between the two. */
void put_number(struct sink* sink, const struct conversion* conversion, const char* prefix, const char* body,
	size_t length, int zeroes);

/* printf_float.c */
void put_float(struct sink* sink, const struct conversion* conversion, long double value);
