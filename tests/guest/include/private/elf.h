/* The parts of the ELF format that Haiku's images use, for the word size being compiled. */
#pragma once
#include <SupportDefs.h>

#define ELF_IDENT_SIZE 16
#define ET_DYN 3
#define PT_LOAD 1
#define PT_DYNAMIC 2
#define PT_TLS 7
#define PF_EXECUTE 1
#define PF_WRITE 2

#define DT_NULL 0
#define DT_NEEDED 1
#define DT_PLTRELSZ 2
#define DT_HASH 4
#define DT_STRTAB 5
#define DT_SYMTAB 6
#define DT_RELA 7
#define DT_RELASZ 8
#define DT_INIT 12
#define DT_FINI 13
#define DT_SONAME 14
#define DT_REL 17
#define DT_RELSZ 18
#define DT_JMPREL 23
#define DT_INIT_ARRAY 25
#define DT_FINI_ARRAY 26
#define DT_INIT_ARRAYSZ 27
#define DT_FINI_ARRAYSZ 28

#define SHN_UNDEF 0
#define SHN_ABS 0xfff1
#define STB_LOCAL 0
#define STB_WEAK 2
#define STT_OBJECT 1
#define STT_FUNC 2
#define STT_TLS 6
#define ELF_ST_BIND(info) ((info) >> 4)
#define ELF_ST_TYPE(info) ((info) & 15)

#if defined(__x86_64__)

#define ELF_CLASS 2
#define ELF_MACHINE 62
#define ELF_R_SYM(info) ((uint32)((info) >> 32))
#define ELF_R_TYPE(info) ((uint32)(info))

typedef struct {
	uint32 name;
	uint8 info, other;
	uint16 section;
	addr_t value;
	uint64 size;
} elf_sym;

typedef struct {
	uint32 type, flags;
	uint64 offset;
	addr_t vaddr, paddr;
	uint64 file_size, memory_size, alignment;
} elf_phdr;

#else

#define ELF_CLASS 1
#define ELF_MACHINE 3
#define ELF_R_SYM(info) ((info) >> 8)
#define ELF_R_TYPE(info) ((info) & 0xff)

typedef struct {
	uint32 name;
	addr_t value;
	uint32 size;
	uint8 info, other;
	uint16 section;
} elf_sym;

typedef struct {
	uint32 type, offset;
	addr_t vaddr, paddr;
	uint32 file_size, memory_size, flags, alignment;
} elf_phdr;

#endif

typedef struct {
	uint8 ident[ELF_IDENT_SIZE];
	uint16 type, machine;
	uint32 version;
	addr_t entry, program_headers, section_headers;
	uint32 flags;
	uint16 header_size, phdr_size, phdr_count, shdr_size, shdr_count, string_section;
} elf_ehdr;

typedef struct {
	addr_t offset, info;
} elf_rel;

typedef struct {
	addr_t offset, info;
	intptr_t addend;
} elf_rela;

typedef struct {
	intptr_t tag;
	addr_t value;
} elf_dyn;
