/* Haiku's kernel kit: areas, ports, semaphores, threads, time, system information. */
#pragma once
#include <SupportDefs.h>

#define B_OS_NAME_LENGTH 32
#define B_PAGE_SIZE 4096
#define B_INFINITE_TIMEOUT INT64_MAX

#define B_RELATIVE_TIMEOUT 0x08
#define B_ABSOLUTE_TIMEOUT 0x10
#define B_TIMEOUT_REAL_TIME_BASE 0x40
#define B_ABSOLUTE_REAL_TIME_TIMEOUT (B_ABSOLUTE_TIMEOUT | B_TIMEOUT_REAL_TIME_BASE)

typedef int32 area_id;
typedef int32 port_id;
typedef int32 sem_id;
typedef int32 team_id;
typedef int32 thread_id;

/* Areas */
#define B_ANY_ADDRESS 0
#define B_EXACT_ADDRESS 1
#define B_BASE_ADDRESS 2
#define B_CLONE_ADDRESS 3
#define B_RANDOMIZED_ANY_ADDRESS 6
#define B_RANDOMIZED_BASE_ADDRESS 7
#define B_NO_LOCK 0
#define B_LAZY_LOCK 1
#define B_FULL_LOCK 2
#define B_READ_AREA 0x01
#define B_WRITE_AREA 0x02
#define B_EXECUTE_AREA 0x04
#define B_CLONEABLE_AREA 0x100
#define B_OVERCOMMITTING_AREA 0x1000

typedef struct area_info {
	area_id area;
	char name[B_OS_NAME_LENGTH];
	size_t size;
	uint32 lock;
	uint32 protection;
	team_id team;
	uint32 ram_size;
	uint32 copy_count;
	uint32 in_count;
	uint32 out_count;
	void* address;
} area_info;
_Static_assert(sizeof(area_info) == (sizeof(void*) == 8 ? 88 : 72), "area_info");

area_id create_area(const char* name, void** address, uint32 spec, size_t size, uint32 lock, uint32 protection);
area_id clone_area(const char* name, void** address, uint32 spec, uint32 protection, area_id source);
area_id find_area(const char* name);
area_id area_for(void* address);
status_t delete_area(area_id area);
status_t resize_area(area_id area, size_t size);
status_t set_area_protection(area_id area, uint32 protection);
status_t get_area_info(area_id area, area_info* info);
status_t get_next_area_info(team_id team, ssize_t* cookie, area_info* info);

/* Ports */
typedef struct port_info {
	port_id port;
	team_id team;
	char name[B_OS_NAME_LENGTH];
	int32 capacity;
	int32 queue_count;
	int32 total_count;
} port_info;

port_id create_port(int32 capacity, const char* name);
port_id find_port(const char* name);
status_t close_port(port_id port);
status_t delete_port(port_id port);
ssize_t read_port(port_id port, int32* code, void* buffer, size_t size);
ssize_t read_port_etc(port_id port, int32* code, void* buffer, size_t size, uint32 flags, bigtime_t timeout);
status_t write_port(port_id port, int32 code, const void* buffer, size_t size);
status_t write_port_etc(port_id port, int32 code, const void* buffer, size_t size, uint32 flags, bigtime_t timeout);
ssize_t port_buffer_size(port_id port);
ssize_t port_count(port_id port);
status_t get_port_info(port_id port, port_info* info);

/* Semaphores */
#define B_DO_NOT_RESCHEDULE 0x02
typedef struct sem_info {
	sem_id sem;
	team_id team;
	char name[B_OS_NAME_LENGTH];
	int32 count;
	thread_id latest_holder;
} sem_info;

sem_id create_sem(int32 count, const char* name);
status_t delete_sem(sem_id sem);
status_t acquire_sem(sem_id sem);
status_t acquire_sem_etc(sem_id sem, int32 count, uint32 flags, bigtime_t timeout);
status_t release_sem(sem_id sem);
status_t release_sem_etc(sem_id sem, int32 count, uint32 flags);
status_t get_sem_count(sem_id sem, int32* count);
status_t get_sem_info(sem_id sem, sem_info* info);

/* Teams and threads */
#define B_CURRENT_TEAM 0
#define B_LOW_PRIORITY 5
#define B_NORMAL_PRIORITY 10

typedef struct {
	team_id team;
	int32 thread_count;
	int32 image_count;
	int32 area_count;
	thread_id debugger_nub_thread;
	port_id debugger_nub_port;
	int32 argc;
	char args[64];
	uid_t uid;
	gid_t gid;
	/* what BeOS did not have */
	uid_t real_uid;
	gid_t real_gid;
	pid_t group_id;
	pid_t session_id;
	team_id parent;
	char name[B_OS_NAME_LENGTH];
	bigtime_t start_time;
} team_info;
_Static_assert(sizeof(team_info) == 160, "team_info");

typedef struct {
	thread_id thread;
	team_id team;
	char name[B_OS_NAME_LENGTH];
	uint32 state;
	int32 priority;
	sem_id sem;
	bigtime_t user_time;
	bigtime_t kernel_time;
	void* stack_base;
	void* stack_end;
} thread_info;
_Static_assert(sizeof(thread_info) == (sizeof(void*) == 8 ? 88 : 76), "thread_info");

typedef status_t (*thread_func)(void*);

thread_id spawn_thread(thread_func function, const char* name, int32 priority, void* data);
status_t resume_thread(thread_id thread);
status_t suspend_thread(thread_id thread);
status_t kill_thread(thread_id thread);
status_t wait_for_thread(thread_id thread, status_t* status);
status_t wait_for_thread_etc(thread_id thread, uint32 flags, bigtime_t timeout, status_t* status);
void exit_thread(status_t status) __attribute__((noreturn));
status_t on_exit_thread(void (*callback)(void*), void* data);
thread_id find_thread(const char* name);
status_t rename_thread(thread_id thread, const char* name);
status_t set_thread_priority(thread_id thread, int32 priority);
status_t send_data(thread_id thread, int32 code, const void* buffer, size_t size);
int32 receive_data(thread_id* sender, void* buffer, size_t size);
bool has_data(thread_id thread);
status_t get_thread_info(thread_id thread, thread_info* info);
status_t get_team_info(team_id team, team_info* info);
status_t send_signal(thread_id thread, unsigned signal);

/* Time */
#define B_SYSTEM_TIMEBASE 0
bigtime_t system_time(void);
bigtime_t system_time_nsecs(void);
bigtime_t real_time_clock_usecs(void);
uint32 real_time_clock(void);
status_t snooze(bigtime_t microseconds);
status_t snooze_until(bigtime_t time, int timebase);

/* The system */
typedef struct {
	bigtime_t boot_time;
	uint32 cpu_count;
	uint64 max_pages;
	uint64 used_pages;
	uint64 cached_pages;
	uint64 block_cache_pages;
	uint64 ignored_pages;
	uint64 needed_memory;
	uint64 free_memory;
	uint64 max_swap_pages;
	uint64 free_swap_pages;
	uint32 page_faults;
	uint32 max_sems;
	uint32 used_sems;
	uint32 max_ports;
	uint32 used_ports;
	uint32 max_threads;
	uint32 used_threads;
	uint32 max_teams;
	uint32 used_teams;
	char kernel_name[256];
	char kernel_build_date[32];
	char kernel_build_time[32];
	int64 kernel_version;
	uint32 abi;
} system_info;
_Static_assert(sizeof(system_info) == (sizeof(void*) == 8 ? 464 : 452), "system_info");

status_t get_system_info(system_info* info);
void debugger(const char* message);
