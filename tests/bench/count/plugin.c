/*
 * A plugin for qemu-user (API version 1, qemu 6 to 8): counts the instructions that the emulated program executes, all of
 * them and those in memory files, which is where translators have their code. At the end it writes both to the file that the
 * option `out` names. The declarations are those of qemu's `qemu-plugin.h`, of which distributions ship no copy.
 *
 * Counting is by pieces of straight code, as qemu translates them: an instruction that faults ends its piece early, which is
 * then counted as a whole. Each thread counts for itself, so that threads lose nothing.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define NO_REGISTERS 0
#define THREADS 1024

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct qemu_info qemu_info_t;

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
	void (*callback)(qemu_plugin_id_t id, struct qemu_plugin_tb* block));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb* block,
	void (*callback)(unsigned cpu, void* data), int registers, void* data);
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t id, void* data), void* data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* block);
extern struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb* block, size_t index);
extern void* qemu_plugin_insn_haddr(const struct qemu_plugin_insn* insn);

EXPORT int qemu_plugin_version = 1;

static struct { uint64_t other, translated; } counts[THREADS];
static const char* out;

/* Whether the byte at `address` of qemu's own address space lies in a memory file. */
static bool in_memory_file(const void* address)
{
	FILE* maps = fopen("/proc/self/maps", "r");
	char line[512];
	bool found = false;
	while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
		uint64_t start, end;
		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) == 2
			&& (uintptr_t)address >= start && (uintptr_t)address < end) {
			found = strstr(line, "memfd:") != NULL;
			break;
		}
	}
	if (maps != NULL)
		fclose(maps);
	return found;
}

static void count_other(unsigned cpu, void* insns)
{
	counts[cpu % THREADS].other += (uintptr_t)insns;
}

static void count_translated(unsigned cpu, void* insns)
{
	counts[cpu % THREADS].translated += (uintptr_t)insns;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb* block)
{
	(void)id;
	size_t insns = qemu_plugin_tb_n_insns(block);
	if (insns == 0)
		return;
	bool translated = in_memory_file(qemu_plugin_insn_haddr(qemu_plugin_tb_get_insn(block, 0)));
	qemu_plugin_register_vcpu_tb_exec_cb(block, translated ? count_translated : count_other, NO_REGISTERS,
		(void*)(uintptr_t)insns);
}

static void at_exit(qemu_plugin_id_t id, void* data)
{
	(void)id, (void)data;
	uint64_t other = 0, translated = 0;
	for (int i = 0; i < THREADS; i++) {
		other += counts[i].other;
		translated += counts[i].translated;
	}
	FILE* file = fopen(out, "w");
	if (file == NULL || fprintf(file, "%" PRIu64 " %" PRIu64 "\n", other + translated, translated) < 0 || fclose(file) != 0)
		fprintf(stderr, "the counts cannot be written to %s\n", out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc, char** argv)
{
	(void)info;
	for (int i = 0; i < argc; i++)
		if (strncmp(argv[i], "out=", 4) == 0)
			out = strdup(argv[i] + 4);
	if (out == NULL)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
	qemu_plugin_register_atexit_cb(id, at_exit, NULL);
	return 0;
}
