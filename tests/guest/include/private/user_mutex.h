/* Bits of the words behind mutexes and condition variables, and flags of the calls on them. */
#pragma once

#define B_USER_MUTEX_LOCKED 0x01
#define B_USER_MUTEX_WAITING 0x02
#define B_USER_MUTEX_DISABLED 0x04

#define B_USER_MUTEX_SHARED 0x40000000u
#define B_USER_MUTEX_UNBLOCK_ALL 0x80000000u
