/*
 * The heap: one area that grows in place inside a reserved range, cut into chunks.
 *
 * Each chunk begins with a header that holds its own size and that of the chunk before it, so that a freed chunk
 * merges with free neighbours. Free chunks hang in lists by size: one list per multiple of 16 bytes for small
 * ones, one per power of two for the rest. The last chunk of the heap, `top`, is free but in no list.
 */
#include "libroot.h"
#include <stdlib.h>
#include <string.h>

#define HEAP_RESERVATION ((size_t)1024 * 1024 * 1024)
#define HEAP_INITIAL_SIZE ((size_t)256 * 1024)
#define HEAP_GROW_STEP ((size_t)512 * 1024)

#define HEADER_SIZE 16
#define MIN_CHUNK (2 * HEADER_SIZE)
#define SMALL_LISTS 64 /* chunks below 1024 bytes */
#define LISTS (SMALL_LISTS + 24)
#define IN_USE 1

struct chunk {
	size_t size;      /* with header; a multiple of 16; bit 0: IN_USE */
	size_t size_before; /* of the chunk below, 0 for the first */
	struct chunk* next __attribute__((aligned(16))); /* from here on only in free chunks */
	struct chunk** link;
};

static lock_t heap_lock;
static char* heap_base;
static size_t heap_size;
static area_id heap_area;
static struct chunk* top;
static struct chunk* lists[LISTS];

static inline size_t chunk_size(const struct chunk* chunk)
{
	return chunk->size & ~(size_t)IN_USE;
}

static inline struct chunk* chunk_after(struct chunk* chunk)
{
	return (struct chunk*)((char*)chunk + chunk_size(chunk));
}

static int list_for(size_t size)
{
	if (size < SMALL_LISTS * 16)
		return (int)(size / 16);
	int list = SMALL_LISTS;
	for (size >>= 11; size > 0 && list < LISTS - 1; size >>= 1)
		list++;
	return list;
}

static void insert_free(struct chunk* chunk)
{
	struct chunk** head = &lists[list_for(chunk_size(chunk))];
	chunk->next = *head;
	chunk->link = head;
	if (chunk->next != NULL)
		chunk->next->link = &chunk->next;
	*head = chunk;
}

static void remove_free(struct chunk* chunk)
{
	*chunk->link = chunk->next;
	if (chunk->next != NULL)
		chunk->next->link = chunk->link;
}

static void set_size(struct chunk* chunk, size_t size, size_t flags)
{
	chunk->size = size | flags;
	if (chunk != top)
		chunk_after(chunk)->size_before = size;
}

void heap_init(void)
{
	addr_t base = 0;
	if (_kern_reserve_address_range(&base, B_RANDOMIZED_ANY_ADDRESS, HEAP_RESERVATION) != B_OK)
		_kern_exit_team(B_NO_MEMORY);
	void* address = (void*)base;
	heap_area = _kern_create_area("heap area", &address, B_EXACT_ADDRESS, HEAP_INITIAL_SIZE, B_NO_LOCK,
		B_READ_AREA | B_WRITE_AREA);
	if (heap_area < 0)
		_kern_exit_team(heap_area);
	heap_base = address;
	heap_size = HEAP_INITIAL_SIZE;
	top = (struct chunk*)heap_base;
	top->size = heap_size;
	top->size_before = 0;
}

void heap_lock_for_fork(void)
{
	lock_acquire(&heap_lock);
}

void heap_unlock_after_fork(bool isChild)
{
	if (isChild)
		heap_area = _kern_area_for(heap_base);
	lock_release(&heap_lock);
}

static bool grow(size_t needed)
{
	size_t missing = needed - chunk_size(top);
	size_t grown = heap_size + ((missing + HEAP_GROW_STEP - 1) & ~(HEAP_GROW_STEP - 1));
	if (grown > HEAP_RESERVATION || _kern_resize_area(heap_area, grown) != B_OK)
		return false;
	top->size += grown - heap_size;
	heap_size = grown;
	return true;
}

/* Cuts `chunk` down to `size`, giving back the rest if it makes a chunk. */
static void trim(struct chunk* chunk, size_t size)
{
	size_t rest = chunk_size(chunk) - size;
	if (rest < MIN_CHUNK)
		return;
	chunk->size = size | (chunk->size & IN_USE);
	struct chunk* tail = chunk_after(chunk);
	tail->size_before = size;
	struct chunk* after = (struct chunk*)((char*)tail + rest);
	if (after == top) {
		size_t top_size = chunk_size(top);
		top = tail;
		top->size = rest + top_size;
		return;
	}
	if ((after->size & IN_USE) == 0) {
		remove_free(after);
		rest += chunk_size(after);
	}
	set_size(tail, rest, 0);
	insert_free(tail);
}

static struct chunk* take_from_lists(size_t size)
{
	for (int list = list_for(size); list < LISTS; list++) {
		for (struct chunk* chunk = lists[list]; chunk != NULL; chunk = chunk->next) {
			if (chunk_size(chunk) < size)
				continue;
			remove_free(chunk);
			chunk->size |= IN_USE;
			trim(chunk, size);
			return chunk;
		}
	}
	return NULL;
}

static struct chunk* take_from_top(size_t size)
{
	if (chunk_size(top) < size + MIN_CHUNK && !grow(size + MIN_CHUNK))
		return NULL;
	struct chunk* chunk = top;
	size_t rest = chunk_size(top) - size;
	chunk->size = size | IN_USE;
	top = chunk_after(chunk);
	top->size = rest;
	top->size_before = size;
	return chunk;
}

/* The size of the chunk that holds `size` bytes; 0 if that is more than the heap can ever hold. */
static size_t padded_size(size_t size)
{
	if (size > HEAP_RESERVATION)
		return 0;
	size = (size + HEADER_SIZE + 15) & ~(size_t)15;
	return size < MIN_CHUNK ? MIN_CHUNK : size;
}

static void release(struct chunk* chunk)
{
	size_t size = chunk_size(chunk);
	struct chunk* after = chunk_after(chunk);
	if (chunk->size_before != 0) {
		struct chunk* before = (struct chunk*)((char*)chunk - chunk->size_before);
		if ((before->size & IN_USE) == 0) {
			remove_free(before);
			size += chunk_size(before);
			chunk = before;
		}
	}
	if (after == top) {
		size += chunk_size(top);
		top = chunk;
		top->size = size;
		return;
	}
	if ((after->size & IN_USE) == 0) {
		remove_free(after);
		size += chunk_size(after);
	}
	set_size(chunk, size, 0);
	insert_free(chunk);
}

EXPORT void* malloc(size_t size)
{
	size_t padded = padded_size(size);
	struct chunk* chunk = NULL;
	if (padded != 0) {
		lock_acquire(&heap_lock);
		chunk = take_from_lists(padded);
		if (chunk == NULL)
			chunk = take_from_top(padded);
		lock_release(&heap_lock);
	}
	if (chunk == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	return (char*)chunk + HEADER_SIZE;
}

EXPORT void free(void* block)
{
	if (block == NULL)
		return;
	lock_acquire(&heap_lock);
	release((struct chunk*)((char*)block - HEADER_SIZE));
	lock_release(&heap_lock);
}

EXPORT void* calloc(size_t count, size_t size)
{
	size_t total;
	if (__builtin_mul_overflow(count, size, &total)) {
		errno = ENOMEM;
		return NULL;
	}
	void* block = malloc(total);
	if (block != NULL)
		memset(block, 0, total);
	return block;
}

EXPORT void* realloc(void* block, size_t size)
{
	if (block == NULL)
		return malloc(size);
	struct chunk* chunk = (struct chunk*)((char*)block - HEADER_SIZE);
	size_t padded = padded_size(size);
	size_t old = chunk_size(chunk);
	if (padded != 0 && padded <= old) {
		lock_acquire(&heap_lock);
		trim(chunk, padded);
		lock_release(&heap_lock);
		return block;
	}
	void* moved = malloc(size);
	if (moved == NULL)
		return NULL;
	memcpy(moved, block, old - HEADER_SIZE);
	free(block);
	return moved;
}

/* Takes a chunk that is too large and frees what lies before the aligned address. */
EXPORT int posix_memalign(void** result, size_t alignment, size_t size)
{
	if (alignment < sizeof(void*) || (alignment & (alignment - 1)) != 0)
		return EINVAL;
	if (alignment <= 16) {
		*result = malloc(size);
		return *result != NULL ? 0 : ENOMEM;
	}
	size_t wanted;
	if (__builtin_add_overflow(size, alignment + MIN_CHUNK, &wanted))
		return ENOMEM;
	char* block = malloc(wanted);
	if (block == NULL)
		return ENOMEM;
	lock_acquire(&heap_lock);
	struct chunk* chunk = (struct chunk*)(block - HEADER_SIZE);
	addr_t aligned = ((addr_t)block + alignment - 1) & ~(addr_t)(alignment - 1);
	if (aligned != (addr_t)block) {
		if (aligned - (addr_t)block < MIN_CHUNK)
			aligned += alignment;
		size_t lead = aligned - (addr_t)block;
		size_t rest = chunk_size(chunk) - lead;
		struct chunk* kept = (struct chunk*)((char*)chunk + lead);
		kept->size_before = lead;
		set_size(kept, rest, IN_USE);
		chunk->size = lead | IN_USE;
		release(chunk);
		chunk = kept;
	}
	trim(chunk, padded_size(size));
	lock_release(&heap_lock);
	*result = (char*)chunk + HEADER_SIZE;
	return 0;
}

EXPORT void* aligned_alloc(size_t alignment, size_t size)
{
	void* block = NULL;
	int error = posix_memalign(&block, alignment < sizeof(void*) ? sizeof(void*) : alignment, size);
	if (error != 0)
		errno = error;
	return error == 0 ? block : NULL;
}
