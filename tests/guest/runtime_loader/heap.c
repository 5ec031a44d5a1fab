/* The loader's memory: an area that grows in place inside a reserved range. Freed blocks are kept for their size. */
#include "loader.h"
#include <private/lock.h>

#define RESERVED_SIZE 0x100000
#define INITIAL_SIZE 0x10000
#define GROW_STEP 0x10000

struct block {
	size_t size;
	struct block* next_free;
};
#define BLOCK_HEADER 16

static lock_t heap_lock;
static addr_t heap_base, heap_used, heap_size;
static area_id heap_area;
static struct block* free_blocks;

void heap_init(void)
{
	addr_t base = 0;
	if (_kern_reserve_address_range(&base, B_RANDOMIZED_ANY_ADDRESS, RESERVED_SIZE) != B_OK)
		_kern_loading_app_failed(B_NO_MEMORY);
	heap_base = base;
	heap_area = _kern_create_area("rld heap", (void**)&heap_base, B_EXACT_ADDRESS, INITIAL_SIZE, B_NO_LOCK,
		B_READ_AREA | B_WRITE_AREA);
	if (heap_area < 0)
		_kern_loading_app_failed(heap_area);
	heap_size = INITIAL_SIZE;
}

/* The child's areas have ids of their own, and no other thread of the parent lives to release the lock. */
void heap_reinit_after_fork(void)
{
	heap_lock.word = 0;
	heap_area = _kern_area_for((void*)heap_base);
}

static struct block* take_free(size_t size)
{
	for (struct block** link = &free_blocks; *link != NULL; link = &(*link)->next_free) {
		struct block* block = *link;
		if (block->size == size) {
			*link = block->next_free;
			return block;
		}
	}
	return NULL;
}

/* Zeroed memory, aligned to 16 bytes; NULL when the reserved range is full. */
void* heap_alloc(size_t size)
{
	size = (size + BLOCK_HEADER + 15) & ~(size_t)15;
	lock_acquire(&heap_lock);
	struct block* block = take_free(size);
	if (block == NULL && size <= RESERVED_SIZE - heap_used) {
		addr_t needed = heap_used + size;
		if (needed > heap_size) {
			addr_t grown = (needed + GROW_STEP - 1) & ~(addr_t)(GROW_STEP - 1);
			if (_kern_resize_area(heap_area, grown) == B_OK)
				heap_size = grown;
		}
		if (needed <= heap_size) {
			block = (struct block*)(heap_base + heap_used);
			heap_used = needed;
		}
	}
	lock_release(&heap_lock);
	if (block == NULL)
		return NULL;

	block->size = size;
	char* memory = (char*)block + BLOCK_HEADER;
	for (size_t i = 0; i < size - BLOCK_HEADER; i++)
		memory[i] = 0;
	return memory;
}

void heap_free(void* memory)
{
	if (memory == NULL)
		return;
	struct block* block = (struct block*)((char*)memory - BLOCK_HEADER);
	lock_acquire(&heap_lock);
	block->next_free = free_blocks;
	free_blocks = block;
	lock_release(&heap_lock);
}
