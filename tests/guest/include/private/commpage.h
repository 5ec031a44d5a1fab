/* The page of kernel code and data that every team sees. Entries of its table are offsets from its base. */
#pragma once
#include <SupportDefs.h>

#define COMMPAGE_ENTRY_MAGIC 0
#define COMMPAGE_ENTRY_VERSION 1
#define COMMPAGE_ENTRY_REAL_TIME_DATA 2
#define COMMPAGE_MAGIC 0x4d4d4f43 /* "COMM" */
#if !defined(__x86_64__)
#define COMMPAGE_ENTRY_SYSCALL 3
#define COMMPAGE_ENTRY_MEMCPY 4
#define COMMPAGE_ENTRY_MEMSET 5
#endif

struct real_time_data {
	int64 system_time_offset;         /* microseconds: real time = system time + this */
	uint32 system_time_conversion_factor; /* 2^32 * 10^6 / TSC frequency */
};

extern addr_t* __gCommPageAddress;

static inline void* commpage_entry(int index)
{
	return (char*)__gCommPageAddress + __gCommPageAddress[index];
}
