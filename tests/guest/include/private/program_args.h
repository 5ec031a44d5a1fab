/* What the kernel hands the runtime loader. */
#pragma once
#include <OS.h>

struct user_space_program_args {
	char program_name[B_OS_NAME_LENGTH];
	char program_path[1024];
	port_id error_port; /* where the parent waits for messages, negative for none */
	uint32 error_token;
	int32 arg_count;
	int32 env_count;
	char** args;
	char** env;
	mode_t umask; /* (mode_t)-1 for unset */
	bool disable_user_addons;
};
_Static_assert(sizeof(struct user_space_program_args) == (sizeof(void*) == 8 ? 1096 : 1088), "user_space_program_args");
