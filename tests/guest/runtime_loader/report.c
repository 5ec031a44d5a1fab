/* Error messages: to the parent's error port if it gave one, else to standard error. */
#include "loader.h"
#include <stdarg.h>

#define ERROR_PORT_MESSAGE 0x726c6445 /* 'rldE' */

void report(const char* first, ...)
{
	char text[1024];
	size_t length = string_copy(text, "runtime_loader: ", sizeof(text));
	va_list parts;
	va_start(parts, first);
	for (const char* part = first; part != NULL; part = va_arg(parts, const char*)) {
		string_copy(text + length, part, sizeof(text) - 1 - length);
		length += string_length(text + length);
	}
	va_end(parts);
	text[length++] = '\n';

	if (program_args != NULL && program_args->error_port >= 0) {
		_kern_write_port_etc(program_args->error_port, ERROR_PORT_MESSAGE, text, length, B_RELATIVE_TIMEOUT, 0);
		return;
	}
	_kern_write(2, -1, text, length);
}
