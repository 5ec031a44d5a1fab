/* errno, and the messages for its values. */
#include "libroot.h"
#include <stdio.h>
#include <string.h>

EXPORT int* _errnop(void)
{
	return (int*)&tls_base()[TLS_ERRNO_SLOT];
}

static const struct {
	int code;
	const char* text;
} messages[] = {
	{B_OK, "No error"},
	{B_ERROR, "General system error"},
	{B_NO_MEMORY, "Out of memory"},
	{B_IO_ERROR, "I/O error"},
	{B_PERMISSION_DENIED, "Permission denied"},
	{B_BAD_VALUE, "Invalid Argument"},
	{B_NAME_NOT_FOUND, "Name not found"},
	{B_NAME_IN_USE, "Name in use"},
	{B_TIMED_OUT, "Operation timed out"},
	{B_INTERRUPTED, "Interrupted system call"},
	{B_WOULD_BLOCK, "Operation would block"},
	{B_CANCELED, "Operation canceled"},
	{B_BUSY, "Device/File/Resource busy"},
	{B_NOT_ALLOWED, "Operation not allowed"},
	{B_BAD_DATA, "Bad data"},
	{B_BAD_SEM_ID, "Bad semaphore ID"},
	{B_BAD_THREAD_ID, "Bad thread ID"},
	{B_BAD_THREAD_STATE, "Bad thread state"},
	{B_BAD_TEAM_ID, "Operation on invalid team"},
	{B_BAD_PORT_ID, "Bad port ID"},
	{B_BAD_IMAGE_ID, "Bad image ID"},
	{B_BAD_ADDRESS, "Bad address"},
	{B_NOT_AN_EXECUTABLE, "Not an executable"},
	{B_MISSING_LIBRARY, "Missing library"},
	{B_MISSING_SYMBOL, "Symbol not found"},
	{B_FILE_ERROR, "Bad file descriptor"},
	{B_FILE_EXISTS, "File or Directory already exists"},
	{B_ENTRY_NOT_FOUND, "No such file or directory"},
	{B_NAME_TOO_LONG, "File name too long"},
	{B_NOT_A_DIRECTORY, "Not a directory"},
	{B_DIRECTORY_NOT_EMPTY, "Directory not empty"},
	{B_DEVICE_FULL, "No space left on device"},
	{B_READ_ONLY_DEVICE, "Read-only file system"},
	{B_IS_A_DIRECTORY, "Is a directory"},
	{B_NO_MORE_FDS, "Too many open files"},
	{B_CROSS_DEVICE_LINK, "Cross-device link"},
	{B_LINK_LIMIT, "Too many symbolic links"},
	{B_BUSTED_PIPE, "Broken pipe"},
	{B_UNSUPPORTED, "Operation not supported"},
	{ECHILD, "No child process"},
	{ENOSYS, "Function not implemented"},
	{ENOTTY, "No tty"},
	{ESPIPE, "Seek not allowed on file descriptor"},
	{ESRCH, "No such process"},
	{ERANGE, "Numerical result out of range"},
};

EXPORT char* strerror(int error)
{
	static char unknown[32];
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		if (messages[i].code == error)
			return (char*)messages[i].text;
	}
	snprintf(unknown, sizeof(unknown), "Unknown error %#x", (unsigned)error);
	return unknown;
}

EXPORT void perror(const char* message)
{
	fprintf(stderr, "%s: %s\n", message, strerror(errno));
}
