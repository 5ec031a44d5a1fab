/* The standard directories of a Haiku system. */
#include "libroot.h"
#include <FindDirectory.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
	directory_which which;
	const char* path;
} directories[] = {
	{B_DESKTOP_DIRECTORY, "/boot/home/Desktop"},
	{B_SYSTEM_DIRECTORY, "/boot/system"},
	{B_SYSTEM_ADDONS_DIRECTORY, "/boot/system/add-ons"},
	{B_SYSTEM_LIB_DIRECTORY, "/boot/system/lib"},
	{B_SYSTEM_SERVERS_DIRECTORY, "/boot/system/servers"},
	{B_SYSTEM_APPS_DIRECTORY, "/boot/system/apps"},
	{B_SYSTEM_BIN_DIRECTORY, "/boot/system/bin"},
	{B_SYSTEM_DATA_DIRECTORY, "/boot/system/data"},
	{B_SYSTEM_TEMP_DIRECTORY, "/boot/system/cache/tmp"},
	{B_USER_DIRECTORY, "/boot/home"},
	{B_USER_CONFIG_DIRECTORY, "/boot/home/config"},
	{B_USER_SETTINGS_DIRECTORY, "/boot/home/config/settings"},
	{B_APPS_DIRECTORY, "/boot/apps"},
};

/* Makes each directory on the way; one that is there already is no error. */
static status_t create_path(const char* path)
{
	char prefix[1024];
	size_t length = strlcpy(prefix, path, sizeof(prefix));
	for (size_t i = 1; i <= length; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		prefix[i] = '\0';
		if (mkdir(prefix, 0755) != 0 && errno != B_FILE_EXISTS)
			return errno;
		prefix[i] = path[i];
	}
	return B_OK;
}

EXPORT status_t find_directory(directory_which which, dev_t volume, bool create, char* path, int32 length)
{
	(void)volume;
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		if (directories[i].which != which)
			continue;
		if (length <= 0 || strlcpy(path, directories[i].path, length) >= (size_t)length)
			return E2BIG;
		return create ? create_path(path) : B_OK;
	}
	return B_BAD_VALUE;
}
