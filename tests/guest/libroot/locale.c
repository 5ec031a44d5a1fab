/* The "C" locale. */
#include "libroot.h"
#include <locale.h>

EXPORT struct lconv* localeconv(void)
{
	static struct lconv conventions = {.decimal_point = ".", .thousands_sep = "", .grouping = ""};
	return &conventions;
}
