/* Semaphores, ports, areas, images: thin covers of the system calls. */
#include "libroot.h"
#include <sys/mman.h>

EXPORT sem_id create_sem(int32 count, const char* name)
{
	return _kern_create_sem(count, name);
}

EXPORT status_t delete_sem(sem_id sem)
{
	return _kern_delete_sem(sem);
}

EXPORT status_t acquire_sem(sem_id sem)
{
	return _kern_acquire_sem(sem);
}

EXPORT status_t acquire_sem_etc(sem_id sem, int32 count, uint32 flags, bigtime_t timeout)
{
	return _kern_acquire_sem_etc(sem, count, flags, timeout);
}

EXPORT status_t release_sem(sem_id sem)
{
	return _kern_release_sem(sem);
}

EXPORT status_t release_sem_etc(sem_id sem, int32 count, uint32 flags)
{
	return _kern_release_sem_etc(sem, count, flags);
}

EXPORT status_t get_sem_count(sem_id sem, int32* count)
{
	return _kern_get_sem_count(sem, count);
}

EXPORT status_t get_sem_info(sem_id sem, sem_info* info)
{
	return _kern_get_sem_info(sem, info, sizeof(*info));
}

EXPORT port_id create_port(int32 capacity, const char* name)
{
	return _kern_create_port(capacity, name);
}

EXPORT port_id find_port(const char* name)
{
	return _kern_find_port(name);
}

EXPORT status_t close_port(port_id port)
{
	return _kern_close_port(port);
}

EXPORT status_t delete_port(port_id port)
{
	return _kern_delete_port(port);
}

EXPORT ssize_t read_port_etc(port_id port, int32* code, void* buffer, size_t size, uint32 flags, bigtime_t timeout)
{
	return _kern_read_port_etc(port, code, buffer, size, flags, timeout);
}

EXPORT ssize_t read_port(port_id port, int32* code, void* buffer, size_t size)
{
	return _kern_read_port_etc(port, code, buffer, size, 0, 0);
}

EXPORT status_t write_port_etc(port_id port, int32 code, const void* buffer, size_t size, uint32 flags,
	bigtime_t timeout)
{
	return _kern_write_port_etc(port, code, buffer, size, flags, timeout);
}

EXPORT status_t write_port(port_id port, int32 code, const void* buffer, size_t size)
{
	return _kern_write_port_etc(port, code, buffer, size, 0, 0);
}

EXPORT ssize_t port_buffer_size(port_id port)
{
	return _kern_port_buffer_size_etc(port, 0, 0);
}

EXPORT ssize_t port_count(port_id port)
{
	return _kern_port_count(port);
}

EXPORT status_t get_port_info(port_id port, port_info* info)
{
	return _kern_get_port_info(port, info);
}

EXPORT area_id create_area(const char* name, void** address, uint32 spec, size_t size, uint32 lock,
	uint32 protection)
{
	return _kern_create_area(name, address, spec, size, lock, protection);
}

EXPORT area_id clone_area(const char* name, void** address, uint32 spec, uint32 protection, area_id source)
{
	return _kern_clone_area(name, address, spec, protection, source);
}

EXPORT area_id find_area(const char* name)
{
	return _kern_find_area(name);
}

EXPORT area_id area_for(void* address)
{
	return _kern_area_for(address);
}

EXPORT status_t delete_area(area_id area)
{
	return _kern_delete_area(area);
}

EXPORT status_t resize_area(area_id area, size_t size)
{
	return _kern_resize_area(area, size);
}

EXPORT status_t set_area_protection(area_id area, uint32 protection)
{
	return _kern_set_area_protection(area, protection);
}

EXPORT status_t get_area_info(area_id area, area_info* info)
{
	return _kern_get_area_info(area, info);
}

EXPORT status_t get_next_area_info(team_id team, ssize_t* cookie, area_info* info)
{
	return _kern_get_next_area_info(team, cookie, info);
}

EXPORT status_t get_image_info(image_id image, image_info* info)
{
	return _kern_get_image_info(image, info, sizeof(*info));
}

EXPORT status_t get_next_image_info(team_id team, int32* cookie, image_info* info)
{
	return _kern_get_next_image_info(team, cookie, info, sizeof(*info));
}

EXPORT image_id load_add_on(const char* path)
{
	return __gRuntimeLoader->load_add_on(path);
}

EXPORT status_t get_image_symbol(image_id image, const char* name, int32 type, void** location)
{
	return __gRuntimeLoader->get_image_symbol(image, name, type, location);
}

EXPORT status_t get_system_info(system_info* info)
{
	return _kern_get_system_info(info);
}

EXPORT void debugger(const char* message)
{
	_kern_debugger(message);
}

EXPORT void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset)
{
	uint32 spec = address == NULL ? B_RANDOMIZED_ANY_ADDRESS : B_RANDOMIZED_BASE_ADDRESS;
	uint32 mapping = (flags & MAP_SHARED) != 0 ? 0 : 1;
	bool unmap = (flags & MAP_FIXED) != 0;
	if (length == 0 || (offset & (B_PAGE_SIZE - 1)) != 0) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	if (unmap)
		spec = B_EXACT_ADDRESS;
	uint32 areaProtection = protection & (B_READ_AREA | B_WRITE_AREA | B_EXECUTE_AREA);
	if ((flags & MAP_NORESERVE) != 0)
		areaProtection |= B_OVERCOMMITTING_AREA;
	if ((flags & MAP_ANONYMOUS) != 0) {
		fd = -1;
		offset = 0;
	}
	length = (length + B_PAGE_SIZE - 1) & ~(size_t)(B_PAGE_SIZE - 1);
	area_id area = _kern_map_file("mmap area", &address, spec, length, areaProtection, mapping, unmap, fd, offset);
	if (area < 0) {
		errno = area;
		return MAP_FAILED;
	}
	return address;
}

EXPORT int munmap(void* address, size_t length)
{
	return set_errno(_kern_unmap_memory(address, length));
}

EXPORT int mprotect(void* address, size_t length, int protection)
{
	return set_errno(_kern_set_memory_protection(address, length, protection));
}

EXPORT int msync(void* address, size_t length, int flags)
{
	return set_errno(_kern_sync_memory(address, length, flags));
}
