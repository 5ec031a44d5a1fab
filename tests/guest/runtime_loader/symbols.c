/* Symbol look-up through DT_HASH, over all images in the order of loading. */
#include "loader.h"

static uint32 hash_name(const char* name)
{
	uint32 hash = 0;
	for (; *name != '\0'; name++) {
		hash = (hash << 4) + (uint8)*name;
		uint32 top = hash & 0xf0000000;
		hash ^= top >> 24;
		hash &= ~top;
	}
	return hash;
}

static const elf_sym* find_hashed(const struct image* image, const char* name, uint32 hash)
{
	uint32 bucket_count = image->hash[0];
	const uint32* buckets = image->hash + 2;
	const uint32* chains = buckets + bucket_count;
	for (uint32 i = buckets[hash % bucket_count]; i != 0; i = chains[i]) {
		const elf_sym* symbol = &image->symbols[i];
		if (symbol->section != SHN_UNDEF && ELF_ST_BIND(symbol->info) != STB_LOCAL
			&& string_equal(image->strings + symbol->name, name))
			return symbol;
	}
	return NULL;
}

const elf_sym* find_in_image(const struct image* image, const char* name)
{
	return find_hashed(image, name, hash_name(name));
}

/* The first definition of `name`: add-ons see the program's images before themselves; `skip` is passed over. */
const elf_sym* find_symbol(struct image* user, const char* name, struct image* skip, struct image** found)
{
	uint32 hash = hash_name(name);
	for (struct image* image = first_image; image != NULL; image = image->next) {
		if (image == skip || (image->type == B_ADD_ON_IMAGE && image != user))
			continue;
		const elf_sym* symbol = find_hashed(image, name, hash);
		if (symbol != NULL) {
			*found = image;
			return symbol;
		}
	}
	return NULL;
}
