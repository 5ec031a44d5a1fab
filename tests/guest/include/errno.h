/* errno: slot 2 of the thread's local storage. */
#pragma once
#include <Errors.h>

int* _errnop(void);
#define errno (*_errnop())
