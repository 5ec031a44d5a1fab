/* The one locale there is: "C". */
#pragma once

struct lconv {
	char* decimal_point;
	char* thousands_sep;
	char* grouping;
};

struct lconv* localeconv(void);
