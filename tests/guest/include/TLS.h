/* Thread-local slots that a program allocates by number. */
#pragma once
#include <SupportDefs.h>

#define TLS_MAX_KEYS 64

int32 tls_allocate(void);
void* tls_get(int32 index);
void tls_set(int32 index, void* value);
