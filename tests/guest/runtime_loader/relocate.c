/* Relocations. Both word sizes share the walk; they differ in table format and in the numbers of the types. */
#include "loader.h"
#include <string.h>

#if defined(__x86_64__)

enum {
	R_NONE = 0,
	R_WORD = 1, /* R_X86_64_64 */
	R_PC32 = 2,
	R_COPY = 5,
	R_GLOB_DAT = 6,
	R_JUMP_SLOT = 7,
	R_RELATIVE = 8,
	R_DTPMOD = 16,
	R_DTPOFF = 17,
	R_TPOFF = 18,
};
typedef elf_rela elf_relocation;
#define DT_RELOCATIONS DT_RELA
#define DT_RELOCATIONS_SIZE DT_RELASZ

static intptr_t addend_of(const elf_relocation* relocation, const addr_t* place)
{
	(void)place;
	return relocation->addend;
}

#else

enum {
	R_NONE = 0,
	R_WORD = 1, /* R_386_32 */
	R_PC32 = 2,
	R_COPY = 5,
	R_GLOB_DAT = 6,
	R_JUMP_SLOT = 7,
	R_RELATIVE = 8,
	R_TPOFF = 14,
	R_DTPMOD = 35,
	R_DTPOFF = 36,
};
typedef elf_rel elf_relocation;
#define DT_RELOCATIONS DT_REL
#define DT_RELOCATIONS_SIZE DT_RELSZ

/* GLOB_DAT and JUMP_SLOT have no addend: their place may hold the address of a stub for late binding. */
static intptr_t addend_of(const elf_relocation* relocation, const addr_t* place)
{
	uint32 type = ELF_R_TYPE(relocation->info);
	return type == R_GLOB_DAT || type == R_JUMP_SLOT ? 0 : (intptr_t)*place;
}

#endif

static void report_number(struct image* image, const char* what, uint32 number)
{
	char text[12];
	char* at = text + sizeof(text) - 1;
	*at = '\0';
	do {
		*--at = '0' + number % 10;
		number /= 10;
	} while (number > 0);
	report(image->path, ": ", what, " ", at, NULL);
}

/* What a relocation's symbol means: `value` is 0 and `owner` NULL for a weak one that nobody defines. */
struct resolved {
	addr_t value;
	size_t size;
	struct image* owner;
	const elf_sym* symbol;
};

static status_t resolve(struct image* image, uint32 index, struct image* skip, struct resolved* result)
{
	const elf_sym* symbol = &image->symbols[index];
	const elf_sym* definition = symbol;
	struct image* owner = image;
	if (ELF_ST_BIND(symbol->info) != STB_LOCAL) {
		const char* name = image->strings + symbol->name;
		definition = find_symbol(image, name, skip, &owner);
		if (definition == NULL) {
			*result = (struct resolved){0, 0, NULL, symbol};
			if (ELF_ST_BIND(symbol->info) == STB_WEAK)
				return B_OK;
			report(image->path, ": missing symbol ", name, NULL);
			return B_MISSING_SYMBOL;
		}
	}
	addr_t value = definition->value;
	if (definition->section != SHN_ABS && ELF_ST_TYPE(definition->info) != STT_TLS)
		value += owner->delta;
	*result = (struct resolved){value, definition->size, owner, definition};
	return B_OK;
}

static status_t apply(struct image* image, const elf_relocation* relocation)
{
	uint32 type = ELF_R_TYPE(relocation->info);
	uint32 index = ELF_R_SYM(relocation->info);
	addr_t* place = (addr_t*)(relocation->offset + image->delta);
	struct resolved target = {0, 0, image, NULL};

	if (type == R_NONE)
		return B_OK;
	intptr_t addend = addend_of(relocation, place);
	if (type == R_RELATIVE) {
		*place = image->delta + addend;
		return B_OK;
	}
	if (index != 0) {
		status_t status = resolve(image, index, type == R_COPY ? image : NULL, &target);
		if (status != B_OK)
			return status;
	}

	switch (type) {
		case R_WORD:
			*place = target.value + addend;
			return B_OK;
		case R_GLOB_DAT:
		case R_JUMP_SLOT:
			*place = target.value + addend;
			return B_OK;
		case R_PC32:
			*(uint32*)place = (uint32)(target.value + addend - (addr_t)place);
			return B_OK;
		case R_COPY:
			memcpy(place, (const void*)target.value, target.size);
			return B_OK;
		case R_DTPMOD:
			*place = target.owner->tls_module;
			return B_OK;
		case R_DTPOFF:
			*place = target.value + addend;
			return B_OK;
		case R_TPOFF:
			report(image->path, ": was built for static thread-local storage, which Haiku does not have", NULL);
			return B_BAD_DATA;
		default:
			report_number(image, "unknown relocation type", type);
			return B_BAD_DATA;
	}
}

static status_t apply_table(struct image* image, addr_t table, size_t size)
{
	const elf_relocation* relocation = (const elf_relocation*)(table + image->delta);
	for (size_t i = 0; i < size / sizeof(elf_relocation); i++) {
		status_t status = apply(image, &relocation[i]);
		if (status != B_OK)
			return status;
	}
	return B_OK;
}

status_t relocate_image(struct image* image)
{
	addr_t table = 0, plt_table = 0;
	size_t size = 0, plt_size = 0;
	for (const elf_dyn* entry = image->dynamic; entry->tag != DT_NULL; entry++) {
		switch (entry->tag) {
			case DT_RELOCATIONS:
				table = entry->value;
				break;
			case DT_RELOCATIONS_SIZE:
				size = entry->value;
				break;
			case DT_JMPREL:
				plt_table = entry->value;
				break;
			case DT_PLTRELSZ:
				plt_size = entry->value;
				break;
		}
	}
	status_t status = apply_table(image, table, size);
	if (status == B_OK)
		status = apply_table(image, plt_table, plt_size);
	return status;
}
