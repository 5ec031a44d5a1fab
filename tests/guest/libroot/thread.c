/* Haiku's threads. */
#include "libroot.h"
#include <stdlib.h>

struct exit_callback {
	void (*function)(void*);
	void* data;
	struct exit_callback* next;
};

static status_t thread_entry(void* function, void* thread)
{
	exit_thread(((thread_func)function)(((struct pthread_thread*)thread)->argument));
}

/* The new thread is suspended until resume_thread(). */
EXPORT thread_id spawn_thread(thread_func function, const char* name, int32 priority, void* data)
{
	struct pthread_thread* thread = pthread_allocate(NULL, data);
	if (thread == NULL)
		return B_NO_MEMORY;
	struct thread_creation_attributes attributes = {
		.entry = thread_entry,
		.name = name,
		.args1 = (void*)function,
		.args2 = thread,
		.stack_size = USER_STACK_SIZE,
		.guard_size = USER_STACK_GUARD_SIZE,
		.pthread = thread,
		.priority = priority,
	};
	pthread_detach(thread);
	thread_id id = _kern_spawn_thread(&attributes);
	if (id >= 0)
		thread->id = id;
	else
		free(thread);
	return id;
}

EXPORT status_t on_exit_thread(void (*callback)(void*), void* data)
{
	struct exit_callback* entry = malloc(sizeof(*entry));
	if (entry == NULL)
		return B_NO_MEMORY;
	struct exit_callback** head = (struct exit_callback**)&tls_base()[TLS_ON_EXIT_THREAD_SLOT];
	*entry = (struct exit_callback){callback, data, *head};
	*head = entry;
	return B_OK;
}

void thread_run_exit_callbacks(void)
{
	struct exit_callback** head = (struct exit_callback**)&tls_base()[TLS_ON_EXIT_THREAD_SLOT];
	while (*head != NULL) {
		struct exit_callback* entry = *head;
		*head = entry->next;
		entry->function(entry->data);
		free(entry);
	}
}

EXPORT void exit_thread(status_t status)
{
	thread_run_exit_callbacks();
	pthread_thread_ends();
	__gRuntimeLoader->destroy_thread_tls();
	_kern_exit_thread(status);
}

/* The caller's own id is in its local storage; a name is looked up by the kernel. */
EXPORT thread_id find_thread(const char* name)
{
	if (name == NULL)
		return *(thread_id*)&tls_base()[TLS_THREAD_ID_SLOT];
	return _kern_find_thread(name);
}

EXPORT status_t resume_thread(thread_id thread)
{
	return _kern_resume_thread(thread);
}

EXPORT status_t suspend_thread(thread_id thread)
{
	return _kern_suspend_thread(thread);
}

EXPORT status_t kill_thread(thread_id thread)
{
	return _kern_kill_thread(thread);
}

EXPORT status_t wait_for_thread(thread_id thread, status_t* status)
{
	return _kern_wait_for_thread_etc(thread, 0, 0, status);
}

EXPORT status_t wait_for_thread_etc(thread_id thread, uint32 flags, bigtime_t timeout, status_t* status)
{
	return _kern_wait_for_thread_etc(thread, flags, timeout, status);
}

EXPORT status_t rename_thread(thread_id thread, const char* name)
{
	return _kern_rename_thread(thread, name);
}

EXPORT status_t set_thread_priority(thread_id thread, int32 priority)
{
	return _kern_set_thread_priority(thread, priority);
}

EXPORT status_t send_data(thread_id thread, int32 code, const void* buffer, size_t size)
{
	return _kern_send_data(thread, code, buffer, size);
}

EXPORT int32 receive_data(thread_id* sender, void* buffer, size_t size)
{
	return _kern_receive_data(sender, buffer, size);
}

EXPORT bool has_data(thread_id thread)
{
	return _kern_has_data(thread);
}

EXPORT status_t get_thread_info(thread_id thread, thread_info* info)
{
	return _kern_get_thread_info(thread, info);
}

EXPORT status_t get_team_info(team_id team, team_info* info)
{
	return _kern_get_team_info(team, info, sizeof(*info));
}
