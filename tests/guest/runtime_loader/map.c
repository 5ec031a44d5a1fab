/* Mapping one ELF file: headers, address range, a mapping per segment, zeroed memory behind it. */
#include "loader.h"
#include <fcntl.h>
#include <string.h>

#define MAX_PROGRAM_HEADERS 16
#define PROGRAM_BASE 0x200000 /* from here on a random base is looked for */
#define MAPPING_PRIVATE 1

static addr_t page_down(addr_t address)
{
	return address & ~(addr_t)(B_PAGE_SIZE - 1);
}

static addr_t page_up(addr_t address)
{
	return page_down(address + B_PAGE_SIZE - 1);
}

static status_t read_headers(int fd, elf_ehdr* header, elf_phdr* segments)
{
	if (_kern_read(fd, 0, header, sizeof(*header)) != sizeof(*header))
		return B_NOT_AN_EXECUTABLE;
	static const uint8 magic[4] = {0x7f, 'E', 'L', 'F'};
	for (int i = 0; i < 4; i++) {
		if (header->ident[i] != magic[i])
			return B_NOT_AN_EXECUTABLE;
	}
	if (header->ident[4] != ELF_CLASS || header->machine != ELF_MACHINE || header->type != ET_DYN
		|| header->phdr_size != sizeof(elf_phdr) || header->phdr_count == 0
		|| header->phdr_count > MAX_PROGRAM_HEADERS)
		return B_NOT_AN_EXECUTABLE;
	ssize_t size = header->phdr_count * sizeof(elf_phdr);
	if (_kern_read(fd, header->program_headers, segments, size) != size)
		return B_NOT_AN_EXECUTABLE;
	return B_OK;
}

static status_t add_region(struct image* image, struct region region)
{
	if (image->region_count == MAX_REGIONS)
		return B_NOT_AN_EXECUTABLE;
	image->regions[image->region_count++] = region;
	return B_OK;
}

/* One file region per PT_LOAD, and one of zeroes where its memory goes on for pages behind its contents. */
static status_t list_regions(struct image* image, const elf_phdr* segments, int count)
{
	for (int i = 0; i < count; i++) {
		const elf_phdr* segment = &segments[i];
		if (segment->type != PT_LOAD)
			continue;
		if (segment->file_size > segment->memory_size
			|| segment->vaddr % B_PAGE_SIZE != segment->offset % B_PAGE_SIZE)
			return B_NOT_AN_EXECUTABLE;

		uint32 protection = B_READ_AREA | ((segment->flags & PF_WRITE) != 0 ? B_WRITE_AREA : 0)
			| ((segment->flags & PF_EXECUTE) != 0 ? B_EXECUTE_AREA : 0);
		addr_t file_end = page_up(segment->vaddr + segment->file_size);
		addr_t memory_end = page_up(segment->vaddr + segment->memory_size);
		status_t status = B_OK;
		if (segment->file_size > 0) {
			status = add_region(image, (struct region){
				.vaddr = page_down(segment->vaddr),
				.size = file_end - page_down(segment->vaddr),
				.file_offset = page_down(segment->offset),
				.protection = protection,
				.zero_from = segment->memory_size > segment->file_size ? segment->vaddr + segment->file_size : 0,
			});
		} else
			file_end = page_down(segment->vaddr);
		if (status == B_OK && memory_end > file_end) {
			status = add_region(image, (struct region){
				.vaddr = file_end,
				.size = memory_end - file_end,
				.protection = protection,
				.anonymous = true,
			});
		}
		if (status != B_OK)
			return status;
	}
	return image->region_count > 0 ? B_OK : B_NOT_AN_EXECUTABLE;
}

static void name_region(const struct image* image, int index, char name[B_OS_NAME_LENGTH])
{
	const struct region* region = &image->regions[index];
	const char* suffix = (region->protection & B_WRITE_AREA) != 0 ? "rw" : "rx";
	size_t room = B_OS_NAME_LENGTH - sizeof("_seg0rx");
	string_copy(name, image->name, room + 1);
	size_t length = string_length(name);
	length += string_copy(name + length, "_seg", B_OS_NAME_LENGTH - length);
	name[length++] = '0' + index;
	string_copy(name + length, suffix, B_OS_NAME_LENGTH - length);
}

static status_t map_regions(struct image* image, int fd)
{
	struct region* first = &image->regions[0];
	struct region* last = &image->regions[image->region_count - 1];
	addr_t length = last->vaddr + last->size - first->vaddr;
	addr_t base = PROGRAM_BASE;
	status_t status = _kern_reserve_address_range(&base, B_RANDOMIZED_BASE_ADDRESS, length);
	if (status != B_OK)
		return status;
	image->delta = base - first->vaddr;

	for (int i = 0; i < image->region_count; i++) {
		struct region* region = &image->regions[i];
		char name[B_OS_NAME_LENGTH];
		name_region(image, i, name);
		region->start = region->vaddr + image->delta;
		void* address = (void*)region->start;
		if (region->anonymous) {
			region->area = _kern_create_area(name, &address, B_EXACT_ADDRESS, region->size, B_NO_LOCK,
				B_READ_AREA | B_WRITE_AREA);
		} else {
			uint32 protection = B_READ_AREA | B_WRITE_AREA;
			if ((region->protection & B_WRITE_AREA) == 0)
				protection |= B_OVERCOMMITTING_AREA;
			region->area = _kern_map_file(name, &address, B_EXACT_ADDRESS, region->size, protection,
				MAPPING_PRIVATE, false, fd, region->file_offset);
		}
		if (region->area < 0)
			return region->area;
		if (region->zero_from != 0) {
			addr_t from = region->zero_from + image->delta;
			memset((void*)from, 0, region->start + region->size - from);
		}
	}
	return B_OK;
}

static status_t read_dynamic(struct image* image, const elf_phdr* segments, int count)
{
	for (int i = 0; i < count; i++) {
		if (segments[i].type == PT_DYNAMIC)
			image->dynamic = (const elf_dyn*)(segments[i].vaddr + image->delta);
		else if (segments[i].type == PT_TLS)
			tls_register(image, &segments[i]);
	}
	if (image->dynamic == NULL)
		return B_NOT_AN_EXECUTABLE;
	for (const elf_dyn* entry = image->dynamic; entry->tag != DT_NULL; entry++) {
		addr_t address = entry->value + image->delta;
		if (entry->tag == DT_HASH)
			image->hash = (const uint32*)address;
		else if (entry->tag == DT_STRTAB)
			image->strings = (const char*)address;
		else if (entry->tag == DT_SYMTAB)
			image->symbols = (const elf_sym*)address;
	}
	if (image->hash == NULL || image->strings == NULL || image->symbols == NULL)
		return B_NOT_AN_EXECUTABLE;
	for (const elf_dyn* entry = image->dynamic; entry->tag != DT_NULL; entry++) {
		if (entry->tag == DT_SONAME)
			image->soname = image->strings + entry->value;
		if (entry->tag == DT_NEEDED) {
			if (image->needed_count == MAX_NEEDED)
				return B_NOT_AN_EXECUTABLE;
			image->needed[image->needed_count++] = image->strings + entry->value;
		}
	}
	return B_OK;
}

static status_t register_with_kernel(struct image* image, int fd)
{
	static struct extended_image_info info;
	memset(&info, 0, sizeof(info));
	struct stat node;
	if (_kern_read_stat(fd, NULL, false, &node, sizeof(node)) == B_OK) {
		info.basic_info.device = node.st_dev;
		info.basic_info.node = node.st_ino;
	}
	info.basic_info.type = image->type;
	string_copy(info.basic_info.name, image->path, sizeof(info.basic_info.name));
	for (int i = 0; i < image->region_count; i++) {
		const struct region* region = &image->regions[i];
		if ((region->protection & B_WRITE_AREA) == 0) {
			if (info.basic_info.text == NULL)
				info.basic_info.text = (void*)region->start;
			info.basic_info.text_size = region->start + region->size - (addr_t)info.basic_info.text;
		} else {
			if (info.basic_info.data == NULL)
				info.basic_info.data = (void*)region->start;
			info.basic_info.data_size = region->start + region->size - (addr_t)info.basic_info.data;
		}
	}
	info.text_delta = image->delta;
	info.symbol_table = (void*)image->symbols;
	info.symbol_hash = (void*)image->hash;
	info.string_table = (void*)image->strings;
	image->id = _kern_register_image(&info, sizeof(info));
	return image->id < 0 ? image->id : B_OK;
}

/* Maps the file at `path` and appends it to the list of images. Its text is writable until protect_image(). */
status_t map_image(const char* path, int32 type, struct image** result)
{
	struct image* image = heap_alloc(sizeof(*image));
	if (image == NULL)
		return B_NO_MEMORY;
	int fd = _kern_open(AT_FDCWD, path, O_RDONLY, 0);
	if (fd < 0) {
		heap_free(image);
		return fd;
	}
	if (_kern_normalize_path(path, true, image->path) != B_OK)
		string_copy(image->path, path, sizeof(image->path));
	image->name = string_leaf(image->path);
	image->type = type;

	elf_ehdr header;
	elf_phdr segments[MAX_PROGRAM_HEADERS];
	status_t status = read_headers(fd, &header, segments);
	if (status == B_OK)
		status = list_regions(image, segments, header.phdr_count);
	if (status == B_OK)
		status = map_regions(image, fd);
	if (status == B_OK)
		status = read_dynamic(image, segments, header.phdr_count);
	if (status == B_OK)
		status = register_with_kernel(image, fd);
	_kern_close(fd);
	if (status != B_OK)
		return status;

	image->entry = header.entry + image->delta;
	struct image** link = &first_image;
	while (*link != NULL)
		link = &(*link)->next;
	*link = image;
	*result = image;
	return B_OK;
}

/* Gives each region the protection that its segment asks for. */
void protect_image(struct image* image)
{
	for (int i = 0; i < image->region_count; i++) {
		struct region* region = &image->regions[i];
		if (region->protection != (B_READ_AREA | B_WRITE_AREA))
			_kern_set_area_protection(region->area, region->protection);
	}
}
