/* Finding the libraries that an image needs. */
#include "loader.h"
#include <fcntl.h>

static const char default_library_path[]
	= "%A/lib:/boot/home/config/non-packaged/lib:/boot/home/config/lib:/boot/system/non-packaged/lib:/boot/system/lib";

static const char* environment(const char* name)
{
	size_t length = string_length(name);
	for (char** entry = program_args->env; *entry != NULL; entry++) {
		size_t i = 0;
		while (i < length && (*entry)[i] == name[i])
			i++;
		if (i == length && (*entry)[i] == '=')
			return *entry + length + 1;
	}
	return NULL;
}

struct image* find_loaded(const char* name)
{
	const char* leaf = string_leaf(name);
	for (struct image* image = first_image; image != NULL; image = image->next) {
		if (string_equal(image->name, leaf) || (image->soname != NULL && string_equal(image->soname, leaf)))
			return image;
	}
	return NULL;
}

/* Appends to the path being built; false when it is full. */
static bool append(char* path, size_t size, size_t* length, const char* text, size_t count)
{
	if (*length + count >= size)
		return false;
	for (size_t i = 0; i < count; i++)
		path[(*length)++] = text[i];
	path[*length] = '\0';
	return true;
}

/* `%A` at the start of a search directory stands for the program's own. */
static bool make_candidate(char* path, size_t size, const char* dir, size_t dir_length, const char* name)
{
	size_t length = 0;
	if (dir_length >= 2 && dir[0] == '%' && dir[1] == 'A') {
		const char* program = first_image->path;
		size_t program_dir = string_leaf(program) - program;
		if (!append(path, size, &length, program, program_dir > 0 ? program_dir - 1 : 0))
			return false;
		dir += 2;
		dir_length -= 2;
	}
	return append(path, size, &length, dir, dir_length) && append(path, size, &length, "/", 1)
		&& append(path, size, &length, name, string_length(name));
}

static status_t map_library(const char* name, struct image** result)
{
	struct stat node;
	if (string_leaf(name) != name)
		return map_image(name, B_LIBRARY_IMAGE, result);

	const char* directories = environment("LIBRARY_PATH");
	if (directories == NULL)
		directories = default_library_path;
	while (*directories != '\0') {
		size_t length = 0;
		while (directories[length] != '\0' && directories[length] != ':')
			length++;
		char path[1024];
		if (length > 0 && make_candidate(path, sizeof(path), directories, length, name)
			&& _kern_read_stat(AT_FDCWD, path, true, &node, sizeof(node)) == B_OK)
			return map_image(path, B_LIBRARY_IMAGE, result);
		directories += length;
		if (*directories == ':')
			directories++;
	}
	return B_MISSING_LIBRARY;
}

/* Maps what `image` needs and what those need: going through the list while it grows makes the order breadth first. */
status_t load_dependencies(struct image* image)
{
	for (; image != NULL; image = image->next) {
		for (int i = 0; i < image->needed_count; i++) {
			struct image* library;
			if (find_loaded(image->needed[i]) != NULL)
				continue;
			status_t status = map_library(image->needed[i], &library);
			if (status == B_MISSING_LIBRARY)
				report(image->path, ": missing library ", image->needed[i], NULL);
			else if (status != B_OK)
				report(image->path, ": cannot load library ", image->needed[i], NULL);
			if (status != B_OK)
				return status;
		}
	}
	return B_OK;
}
