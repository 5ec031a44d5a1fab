/* Thread-local data of images: a block per thread and image, made when the thread first touches it. */
#include "loader.h"

/* A thread's blocks, in its slot TLS_DYNAMIC_THREAD_VECTOR; module n has blocks[n - 1]. */
struct thread_vector {
	unsigned long count;
	struct {
		void* memory;
		char* data; /* memory, aligned */
	} blocks[];
};

static struct image* tls_images;
static unsigned long module_count;

void tls_register(struct image* image, const elf_phdr* segment)
{
	image->tls_image = (const void*)(segment->vaddr + image->delta);
	image->tls_file_size = segment->file_size;
	image->tls_memory_size = segment->memory_size;
	image->tls_alignment = segment->alignment > 0 ? segment->alignment : 1;
	image->tls_module = ++module_count;
	image->next_tls = tls_images;
	tls_images = image;
}

static void out_of_memory(void)
{
	report("no memory for thread-local data", NULL);
	_kern_exit_team(B_NO_MEMORY);
}

static struct thread_vector* vector_for(unsigned long module)
{
	void** slot = &tls_base()[TLS_DYNAMIC_THREAD_VECTOR];
	struct thread_vector* old = *slot;
	if (old != NULL && old->count >= module)
		return old;

	struct thread_vector* vector = heap_alloc(sizeof(*vector) + module_count * sizeof(vector->blocks[0]));
	if (vector == NULL)
		out_of_memory();
	vector->count = module_count;
	for (unsigned long i = 0; old != NULL && i < old->count; i++)
		vector->blocks[i] = old->blocks[i];
	*slot = vector;
	heap_free(old);
	return vector;
}

void* tls_get_address(unsigned long module, unsigned long offset)
{
	struct thread_vector* vector = vector_for(module);
	if (vector->blocks[module - 1].data != NULL)
		return vector->blocks[module - 1].data + offset;

	const struct image* image = tls_images;
	while (image->tls_module != module)
		image = image->next_tls;
	char* memory = heap_alloc(image->tls_memory_size + image->tls_alignment);
	if (memory == NULL)
		out_of_memory();
	char* data = (char*)(((addr_t)memory + image->tls_alignment - 1) & ~(addr_t)(image->tls_alignment - 1));
	for (size_t i = 0; i < image->tls_file_size; i++)
		data[i] = ((const char*)image->tls_image)[i];
	vector->blocks[module - 1].memory = memory;
	vector->blocks[module - 1].data = data;
	return data + offset;
}

/* Frees what the calling thread had. */
void tls_destroy(void)
{
	void** slot = &tls_base()[TLS_DYNAMIC_THREAD_VECTOR];
	struct thread_vector* vector = *slot;
	if (vector == NULL)
		return;
	*slot = NULL;
	for (unsigned long i = 0; i < vector->count; i++)
		heap_free(vector->blocks[i].memory);
	heap_free(vector);
}
