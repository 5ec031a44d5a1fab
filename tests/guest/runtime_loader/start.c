/* From the kernel's hands to the program's _start, and what libroot asks of the loader later. */
#include "loader.h"
#include <fcntl.h>
#include <private/commpage.h>

struct image* first_image;
const struct user_space_program_args* program_args;
__attribute__((visibility("default"))) addr_t* __gCommPageAddress;

static void reinit_after_fork(void)
{
	heap_reinit_after_fork();
}

static status_t test_executable(const char* path)
{
	int fd = _kern_open(AT_FDCWD, path, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	elf_ehdr header;
	ssize_t size = _kern_read(fd, 0, &header, sizeof(header));
	_kern_close(fd);
	bool is_elf = size == sizeof(header) && header.ident[0] == 0x7f && header.ident[1] == 'E'
		&& header.ident[2] == 'L' && header.ident[3] == 'F';
	return is_elf ? B_OK : B_NOT_AN_EXECUTABLE;
}

static struct rld_export exported = {
	.get_tls_address = tls_get_address,
	.destroy_thread_tls = tls_destroy,
	.load_add_on = load_add_on_image,
	.get_image_symbol = find_image_symbol,
	.test_executable = test_executable,
	.reinit_after_fork = reinit_after_fork,
	.call_termination_hooks = call_termination_hooks,
};

static addr_t dynamic_value(const struct image* image, intptr_t tag)
{
	for (const elf_dyn* entry = image->dynamic; entry->tag != DT_NULL; entry++) {
		if (entry->tag == tag)
			return entry->value;
	}
	return 0;
}

static void call_hook(struct image* image, const char* name)
{
	const elf_sym* symbol = find_in_image(image, name);
	if (symbol != NULL)
		((void (*)(image_id))(symbol->value + image->delta))(image->id);
}

static void initialise_image(struct image* image)
{
	typedef void (*init_function)(image_id);
	image->is_initialised = true;
	call_hook(image, "initialize_before");
	addr_t init = dynamic_value(image, DT_INIT);
	if (init != 0)
		((init_function)(init + image->delta))(image->id);
	const init_function* array = (const init_function*)(dynamic_value(image, DT_INIT_ARRAY) + image->delta);
	size_t count = dynamic_value(image, DT_INIT_ARRAYSZ) / sizeof(init_function);
	for (size_t i = 0; i < count; i++)
		array[i](image->id);
	call_hook(image, "initialize_after");
}

static void terminate_image(struct image* image)
{
	typedef void (*term_function)(image_id);
	image->is_initialised = false;
	const term_function* array = (const term_function*)(dynamic_value(image, DT_FINI_ARRAY) + image->delta);
	size_t count = dynamic_value(image, DT_FINI_ARRAYSZ) / sizeof(term_function);
	while (count-- > 0)
		array[count](image->id);
	addr_t term = dynamic_value(image, DT_FINI);
	if (term != 0)
		((term_function)(term + image->delta))(image->id);
}

static void inject_loader_api(struct image* image)
{
	const elf_sym* symbol = find_in_image(image, "__gRuntimeLoader");
	if (symbol != NULL)
		*(const struct rld_export**)(symbol->value + image->delta) = &exported;
}

/* Calls `visit` for the images from `from` on, last loaded first, so that libraries precede their users. */
static status_t each_backwards(struct image* from, status_t (*visit)(struct image*))
{
	if (from == NULL)
		return B_OK;
	status_t status = each_backwards(from->next, visit);
	return status == B_OK ? visit(from) : status;
}

static status_t relocate_step(struct image* image)
{
	status_t status = relocate_image(image);
	if (status == B_OK)
		image->is_relocated = true;
	return status;
}

static status_t announce_step(struct image* image)
{
	_kern_image_relocated(image->id);
	return B_OK;
}

static status_t protect_step(struct image* image)
{
	protect_image(image);
	return B_OK;
}

static status_t initialise_step(struct image* image)
{
	inject_loader_api(image);
	initialise_image(image);
	return B_OK;
}

status_t relocate_and_initialise(struct image* from)
{
	status_t status = each_backwards(from, relocate_step);
	if (status != B_OK)
		return status;
	each_backwards(from, announce_step);
	each_backwards(from, protect_step);
	return each_backwards(from, initialise_step);
}

void call_termination_hooks(void)
{
	for (struct image* image = first_image; image != NULL; image = image->next) {
		if (image->is_initialised)
			terminate_image(image);
	}
}

image_id load_add_on_image(const char* path)
{
	struct image* loaded = find_loaded(path);
	if (loaded != NULL)
		return loaded->id;
	status_t status = map_image(path, B_ADD_ON_IMAGE, &loaded);
	if (status == B_OK)
		status = load_dependencies(loaded);
	if (status == B_OK)
		status = relocate_and_initialise(loaded);
	return status == B_OK ? loaded->id : status;
}

status_t find_image_symbol(image_id id, const char* name, int32 type, void** location)
{
	for (struct image* image = first_image; image != NULL; image = image->next) {
		if (image->id != id)
			continue;
		const elf_sym* symbol = find_in_image(image, name);
		if (symbol == NULL)
			return B_ENTRY_NOT_FOUND;
		bool is_text = ELF_ST_TYPE(symbol->info) == STT_FUNC;
		if ((type == B_SYMBOL_TYPE_TEXT && !is_text) || (type == B_SYMBOL_TYPE_DATA && is_text))
			return B_BAD_VALUE;
		*location = (void*)(symbol->value + image->delta);
		return B_OK;
	}
	return B_BAD_IMAGE_ID;
}

/* The kernel may have written the pointers of the flat arguments for a copy elsewhere: the strings directly follow
 * the pointers, so the first string tells how far off they all are. */
static void rebase_arguments(struct user_space_program_args* args)
{
	int32 count = args->arg_count + args->env_count + 2;
	if (args->arg_count == 0)
		return;
	ssize_t offset = (char*)(args->args + count) - args->args[0];
	if (offset == 0)
		return;
	for (int32 i = 0; i < count; i++) {
		if (args->args[i] != NULL)
			args->args[i] += offset;
	}
}

static void create_debug_area(void)
{
	void* address = NULL;
	area_id area = _kern_create_area("_rld_debug_", &address, B_RANDOMIZED_ANY_ADDRESS, B_PAGE_SIZE, B_NO_LOCK,
		B_READ_AREA | B_WRITE_AREA);
	if (area >= 0)
		*(struct image***)address = &first_image;
}

/* Where the kernel enters the team. Returns only if the program's _start does, into the kernel's thread-exit stub. */
__attribute__((visibility("default"))) int runtime_loader(void* _args, void* commpage)
{
	struct user_space_program_args* args = _args;
	__gCommPageAddress = commpage;
	program_args = args;
	exported.commpage_address = commpage;
	exported.program_args = args;
	rebase_arguments(args);
	heap_init();
	create_debug_area();

	struct image* program;
	status_t status = map_image(args->program_path, B_APP_IMAGE, &program);
	if (status != B_OK)
		report("cannot load ", args->program_path, NULL);
	else
		status = load_dependencies(program);
	if (status == B_OK)
		status = relocate_and_initialise(program);
	if (status != B_OK) {
		_kern_loading_app_failed(status);
		return status;
	}
	return ((int (*)(int, char**, char**))program->entry)(args->arg_count, args->args, args->env);
}
