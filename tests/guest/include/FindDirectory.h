/* Where the system keeps its things. */
#pragma once
#include <SupportDefs.h>

typedef enum {
	B_DESKTOP_DIRECTORY = 0,
	B_SYSTEM_DIRECTORY = 1000,
	B_SYSTEM_ADDONS_DIRECTORY = 1002,
	B_SYSTEM_LIB_DIRECTORY = 1005,
	B_SYSTEM_SERVERS_DIRECTORY = 1006,
	B_SYSTEM_APPS_DIRECTORY = 1007,
	B_SYSTEM_BIN_DIRECTORY = 1008,
	B_SYSTEM_DATA_DIRECTORY = 1015,
	B_SYSTEM_TEMP_DIRECTORY = 2014,
	B_USER_DIRECTORY = 3000,
	B_USER_CONFIG_DIRECTORY = 3001,
	B_USER_SETTINGS_DIRECTORY = 3006,
	B_APPS_DIRECTORY = 4000,
} directory_which;

status_t find_directory(directory_which which, dev_t volume, bool create, char* path, int32 length);
