/* The system calls that this root uses itself. All calls of syscalls.tsv have a stub named _kern_<name>. */
#pragma once
#include <dirent.h>
#include <image.h>
#include <private/rld_export.h>
#include <private/thread_defs.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/uio.h>

int _kern_is_computer_on(void);
status_t _kern_generic_syscall(const char* subsystem, uint32 function, void* buffer, size_t size);

status_t _kern_mutex_lock(int32* mutex, const char* name, uint32 flags, bigtime_t timeout);
status_t _kern_mutex_unblock(int32* mutex, uint32 flags);
status_t _kern_mutex_switch_lock(int32* from, uint32 fromFlags, int32* to, const char* name, uint32 toFlags,
	bigtime_t timeout);

sem_id _kern_create_sem(int count, const char* name);
status_t _kern_delete_sem(sem_id sem);
status_t _kern_acquire_sem(sem_id sem);
status_t _kern_acquire_sem_etc(sem_id sem, uint32 count, uint32 flags, bigtime_t timeout);
status_t _kern_release_sem(sem_id sem);
status_t _kern_release_sem_etc(sem_id sem, uint32 count, uint32 flags);
status_t _kern_get_sem_count(sem_id sem, int32* count);
status_t _kern_get_sem_info(sem_id sem, sem_info* info, size_t size);

thread_id _kern_load_image(const char* const* flatArgs, size_t flatArgsSize, int32 argCount, int32 envCount,
	int32 priority, uint32 flags, port_id errorPort, uint32 errorToken);
void _kern_exit_team(status_t status) __attribute__((noreturn));
team_id _kern_get_current_team(void);
pid_t _kern_wait_for_child(thread_id child, uint32 flags, siginfo_t* info, void* usage);
status_t _kern_exec(const char* path, const char* const* flatArgs, size_t flatArgsSize, int32 argCount,
	int32 envCount, mode_t umask);
thread_id _kern_fork(void);
pid_t _kern_process_info(pid_t process, int32 which);

thread_id _kern_spawn_thread(struct thread_creation_attributes* attributes);
thread_id _kern_find_thread(const char* name);
status_t _kern_suspend_thread(thread_id thread);
status_t _kern_resume_thread(thread_id thread);
status_t _kern_rename_thread(thread_id thread, const char* name);
status_t _kern_set_thread_priority(thread_id thread, int32 priority);
status_t _kern_kill_thread(thread_id thread);
void _kern_exit_thread(status_t status) __attribute__((noreturn));
status_t _kern_wait_for_thread_etc(thread_id thread, uint32 flags, bigtime_t timeout, status_t* status);
bool _kern_has_data(thread_id thread);
status_t _kern_send_data(thread_id thread, int32 code, const void* buffer, size_t size);
int32 _kern_receive_data(thread_id* sender, void* buffer, size_t size);
status_t _kern_get_thread_info(thread_id thread, thread_info* info);
status_t _kern_get_team_info(team_id team, team_info* info, size_t size);
status_t _kern_getresgid(gid_t* real, gid_t* effective, gid_t* saved);
status_t _kern_getresuid(uid_t* real, uid_t* effective, uid_t* saved);

#define SIGNAL_FLAG_SEND_TO_THREAD 0x20000
status_t _kern_send_signal(int32 id, uint32 signal, const union sigval* value, uint32 flags);
status_t _kern_set_signal_mask(int how, const sigset_t* set, sigset_t* old);
status_t _kern_sigaction(int signal, const struct sigaction* action, struct sigaction* old);
status_t _kern_sigwait(const sigset_t* set, siginfo_t* info, uint32 flags, bigtime_t timeout);
status_t _kern_sigsuspend(const sigset_t* mask);
status_t _kern_sigpending(sigset_t* set);
status_t _kern_set_signal_stack(const stack_t* stack, stack_t* old);

image_id _kern_register_image(struct extended_image_info* info, size_t size);
status_t _kern_unregister_image(image_id image);
void _kern_image_relocated(image_id image);
void _kern_loading_app_failed(status_t error);
status_t _kern_get_image_info(image_id image, image_info* info, size_t size);
status_t _kern_get_next_image_info(team_id team, int32* cookie, image_info* info, size_t size);

status_t _kern_normalize_path(const char* path, bool traverseLink, char* buffer);
int _kern_open(int dir, const char* path, int flags, int mode);
int _kern_open_dir(int dir, const char* path);
status_t _kern_fcntl(int fd, int operation, size_t argument);
status_t _kern_fsync(int fd, bool dataOnly);
off_t _kern_seek(int fd, off_t offset, int whence);
status_t _kern_create_dir(int dir, const char* path, int mode);
status_t _kern_remove_dir(int dir, const char* path);
status_t _kern_read_link(int dir, const char* path, char* buffer, size_t* size);
status_t _kern_create_symlink(int dir, const char* path, const char* target, int mode);
status_t _kern_create_link(int dir, const char* path, int toDir, const char* toPath, bool traverseLink);
status_t _kern_unlink(int dir, const char* path);
status_t _kern_rename(int dir, const char* path, int toDir, const char* toPath);
status_t _kern_create_pipe(int* fds, int flags);
status_t _kern_access(int dir, const char* path, int mode, bool effective);
status_t _kern_getcwd(char* buffer, size_t size);
status_t _kern_setcwd(int dir, const char* path);
ssize_t _kern_read(int fd, off_t position, void* buffer, size_t size);
ssize_t _kern_readv(int fd, off_t position, const struct iovec* vecs, size_t count);
ssize_t _kern_write(int fd, off_t position, const void* buffer, size_t size);
ssize_t _kern_writev(int fd, off_t position, const struct iovec* vecs, size_t count);
status_t _kern_ioctl(int fd, uint32 command, void* data, size_t size);
ssize_t _kern_read_dir(int fd, struct dirent* buffer, size_t size, uint32 maxCount);
status_t _kern_rewind_dir(int fd);
status_t _kern_read_stat(int fd, const char* path, bool traverseLink, struct stat* info, size_t size);
status_t _kern_write_stat(int fd, const char* path, bool traverseLink, const struct stat* info, size_t size,
	int mask);
status_t _kern_close(int fd);
int _kern_dup(int fd);
int _kern_dup2(int from, int to, int flags);

status_t _kern_get_clock(clockid_t clock, bigtime_t* time);
bigtime_t _kern_system_time(void);
status_t _kern_snooze_etc(bigtime_t time, int timebase, int32 flags, bigtime_t* remaining);

area_id _kern_create_area(const char* name, void** address, uint32 spec, size_t size, uint32 lock,
	uint32 protection);
status_t _kern_delete_area(area_id area);
area_id _kern_area_for(void* address);
area_id _kern_find_area(const char* name);
status_t _kern_get_area_info(area_id area, area_info* info);
status_t _kern_get_next_area_info(team_id team, ssize_t* cookie, area_info* info);
status_t _kern_resize_area(area_id area, size_t size);
status_t _kern_set_area_protection(area_id area, uint32 protection);
area_id _kern_clone_area(const char* name, void** address, uint32 spec, uint32 protection, area_id source);
status_t _kern_reserve_address_range(addr_t* address, uint32 spec, addr_t size);
status_t _kern_unreserve_address_range(addr_t address, addr_t size);
area_id _kern_map_file(const char* name, void** address, uint32 spec, size_t size, uint32 protection,
	uint32 mapping, bool unmapAddressRange, int fd, off_t offset);
status_t _kern_unmap_memory(void* address, size_t size);
status_t _kern_set_memory_protection(void* address, size_t size, uint32 protection);
status_t _kern_sync_memory(void* address, size_t size, int flags);

port_id _kern_create_port(int32 capacity, const char* name);
status_t _kern_close_port(port_id port);
status_t _kern_delete_port(port_id port);
port_id _kern_find_port(const char* name);
status_t _kern_get_port_info(port_id port, port_info* info);
ssize_t _kern_port_buffer_size_etc(port_id port, uint32 flags, bigtime_t timeout);
int32 _kern_port_count(port_id port);
ssize_t _kern_read_port_etc(port_id port, int32* code, void* buffer, size_t size, uint32 flags, bigtime_t timeout);
status_t _kern_write_port_etc(port_id port, int32 code, const void* buffer, size_t size, uint32 flags,
	bigtime_t timeout);

status_t _kern_get_system_info(system_info* info);
void _kern_debugger(const char* message);
