/* Buffered files. */
#include "libroot.h"
#include "printf.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_READING = 1, FILE_WRITING = 2, FILE_AT_END = 4, FILE_FAILED = 8, FILE_OWNS_BUFFER = 16 };

/* One buffer serves both directions: `used` bytes wait to be written, or to be read from `position` on. */
struct guest_file {
	int fd;
	int flags;
	int mode;
	char* buffer;
	size_t size;
	size_t position;
	size_t used;
	lock_t lock;
	struct guest_file* next;
};

static char stdin_buffer[BUFSIZ];
static char stdout_buffer[BUFSIZ];
static FILE standard_files[3] = {
	{.fd = 0, .mode = _IOFBF, .buffer = stdin_buffer, .size = BUFSIZ, .next = &standard_files[1]},
	{.fd = 1, .mode = -1, .buffer = stdout_buffer, .size = BUFSIZ, .next = &standard_files[2]},
	{.fd = 2, .mode = _IONBF},
};
EXPORT FILE* stdin = &standard_files[0];
EXPORT FILE* stdout = &standard_files[1];
EXPORT FILE* stderr = &standard_files[2];

static lock_t files_lock;
static FILE* first_file = &standard_files[0];

/* All of `size` bytes, or false with errno set. */
static bool write_all(int fd, const char* data, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, data, size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		data += written;
		size -= written;
	}
	return true;
}

static int flush_locked(FILE* file)
{
	size_t used = file->used;
	if ((file->flags & FILE_WRITING) != 0) {
		file->used = 0;
		file->flags &= ~FILE_WRITING;
		if (!write_all(file->fd, file->buffer, used)) {
			file->flags |= FILE_FAILED;
			return EOF;
		}
	} else if ((file->flags & FILE_READING) != 0) {
		/* What was read ahead goes back, so that the descriptor stands where the program does. */
		if (file->position < used)
			lseek(file->fd, -(off_t)(used - file->position), SEEK_CUR);
		file->used = file->position = 0;
		file->flags &= ~FILE_READING;
	}
	return 0;
}

static void choose_mode(FILE* file)
{
	struct stat info;
	if (file->mode < 0) {
		bool is_device = fstat(file->fd, &info) == 0 && S_ISCHR(info.st_mode);
		file->mode = is_device && isatty(file->fd) ? _IOLBF : _IOFBF;
	}
}

static size_t write_locked(FILE* file, const char* data, size_t size)
{
	choose_mode(file);
	if ((file->flags & FILE_READING) != 0)
		flush_locked(file);
	if (file->mode == _IONBF || file->size == 0) {
		if (write_all(file->fd, data, size))
			return size;
		file->flags |= FILE_FAILED;
		return 0;
	}
	file->flags |= FILE_WRITING;
	if (size > file->size - file->used && flush_locked(file) != 0)
		return 0;
	if (size >= file->size) {
		if (write_all(file->fd, data, size))
			return size;
		file->flags |= FILE_FAILED;
		return 0;
	}
	file->flags |= FILE_WRITING;
	memcpy(file->buffer + file->used, data, size);
	file->used += size;
	if (file->mode == _IOLBF && memchr(data, '\n', size) != NULL && flush_locked(file) != 0)
		return 0;
	return size;
}

/* Makes at least one byte readable; false at the end of the file or on an error. */
static bool fill_locked(FILE* file)
{
	if ((file->flags & FILE_WRITING) != 0)
		flush_locked(file);
	if (file->position < file->used)
		return true;
	file->flags |= FILE_READING;
	file->position = file->used = 0;
	ssize_t got;
	do {
		got = read(file->fd, file->buffer, file->size);
	} while (got < 0 && errno == EINTR);
	if (got <= 0) {
		file->flags |= got == 0 ? FILE_AT_END : FILE_FAILED;
		return false;
	}
	file->used = got;
	return true;
}

static FILE* make_file(int fd)
{
	FILE* file = calloc(1, sizeof(FILE));
	if (file == NULL)
		return NULL;
	file->buffer = malloc(BUFSIZ);
	if (file->buffer == NULL) {
		free(file);
		return NULL;
	}
	file->fd = fd;
	file->mode = _IOFBF;
	file->size = BUFSIZ;
	file->flags = FILE_OWNS_BUFFER;
	lock_acquire(&files_lock);
	file->next = first_file;
	first_file = file;
	lock_release(&files_lock);
	return file;
}

EXPORT FILE* fdopen(int fd, const char* mode)
{
	(void)mode;
	return make_file(fd);
}

/* A descriptor for `path` in one of fopen()'s modes, or -1 with errno set. */
static int open_in_mode(const char* path, const char* mode)
{
	bool both = strchr(mode, '+') != NULL;
	int flags = both ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;
	if (mode[0] == 'w')
		flags |= O_CREAT | O_TRUNC;
	else if (mode[0] == 'a')
		flags |= O_CREAT | O_APPEND;
	else if (mode[0] != 'r') {
		errno = EINVAL;
		return -1;
	}
	return open(path, flags, 0666);
}

EXPORT FILE* fopen(const char* restrict path, const char* restrict mode)
{
	int fd = open_in_mode(path, mode);
	if (fd < 0)
		return NULL;
	FILE* file = make_file(fd);
	if (file == NULL)
		close(fd);
	return file;
}

EXPORT int fflush(FILE* file)
{
	if (file == NULL) {
		stdio_flush_all();
		return 0;
	}
	lock_acquire(&file->lock);
	int result = flush_locked(file);
	lock_release(&file->lock);
	return result;
}

void stdio_flush_all(void)
{
	lock_acquire(&files_lock);
	for (FILE* file = first_file; file != NULL; file = file->next)
		fflush(file);
	lock_release(&files_lock);
}

EXPORT int fclose(FILE* file)
{
	int result = fflush(file);
	lock_acquire(&files_lock);
	for (FILE** link = &first_file; *link != NULL; link = &(*link)->next) {
		if (*link == file) {
			*link = file->next;
			break;
		}
	}
	lock_release(&files_lock);
	if (close(file->fd) != 0)
		result = EOF;
	if ((file->flags & FILE_OWNS_BUFFER) != 0) {
		free(file->buffer);
		free(file);
	}
	return result;
}

EXPORT FILE* freopen(const char* restrict path, const char* restrict mode, FILE* restrict file)
{
	fflush(file);
	int fd = open_in_mode(path, mode);
	if (fd < 0)
		return NULL;
	close(file->fd);
	file->fd = fd;
	file->flags &= FILE_OWNS_BUFFER;
	file->position = file->used = 0;
	return file;
}

/* A caller's buffer is taken if given; the old one stays allocated until fclose() otherwise. */
EXPORT int setvbuf(FILE* restrict file, char* restrict buffer, int mode, size_t size)
{
	if (mode < _IOFBF || mode > _IONBF)
		return -1;
	fflush(file);
	file->mode = mode;
	if (buffer != NULL && size > 0 && (file->flags & FILE_OWNS_BUFFER) == 0) {
		file->buffer = buffer;
		file->size = size;
	}
	return 0;
}

EXPORT size_t fread(void* restrict buffer, size_t size, size_t count, FILE* restrict file)
{
	size_t total = size * count, done = 0;
	lock_acquire(&file->lock);
	while (done < total && fill_locked(file)) {
		size_t part = file->used - file->position;
		if (part > total - done)
			part = total - done;
		memcpy((char*)buffer + done, file->buffer + file->position, part);
		file->position += part;
		done += part;
	}
	lock_release(&file->lock);
	return size > 0 ? done / size : 0;
}

EXPORT size_t fwrite(const void* restrict buffer, size_t size, size_t count, FILE* restrict file)
{
	lock_acquire(&file->lock);
	size_t written = write_locked(file, buffer, size * count);
	lock_release(&file->lock);
	return size > 0 ? written / size : 0;
}

EXPORT int fseeko(FILE* file, off_t offset, int whence)
{
	lock_acquire(&file->lock);
	int result = flush_locked(file);
	if (result == 0)
		result = lseek(file->fd, offset, whence) < 0 ? -1 : 0;
	file->flags &= ~FILE_AT_END;
	lock_release(&file->lock);
	return result;
}

EXPORT int fseek(FILE* file, long offset, int whence)
{
	return fseeko(file, offset, whence);
}

EXPORT off_t ftello(FILE* file)
{
	lock_acquire(&file->lock);
	off_t position = lseek(file->fd, 0, SEEK_CUR);
	if (position >= 0 && (file->flags & FILE_WRITING) != 0)
		position += file->used;
	else if (position >= 0)
		position -= file->used - file->position;
	lock_release(&file->lock);
	return position;
}

EXPORT long ftell(FILE* file)
{
	return ftello(file);
}

EXPORT void rewind(FILE* file)
{
	fseeko(file, 0, SEEK_SET);
	file->flags &= ~FILE_FAILED;
}

EXPORT int feof(FILE* file)
{
	return (file->flags & FILE_AT_END) != 0;
}

EXPORT int ferror(FILE* file)
{
	return (file->flags & FILE_FAILED) != 0;
}

EXPORT void clearerr(FILE* file)
{
	file->flags &= ~(FILE_AT_END | FILE_FAILED);
}

EXPORT int fileno(FILE* file)
{
	return file->fd;
}

EXPORT int fgetc(FILE* file)
{
	unsigned char c;
	return fread(&c, 1, 1, file) == 1 ? c : EOF;
}

EXPORT int getc(FILE* file)
{
	return fgetc(file);
}

EXPORT int getchar(void)
{
	return fgetc(stdin);
}

/* Only what has just been read can go back. */
EXPORT int ungetc(int c, FILE* file)
{
	lock_acquire(&file->lock);
	bool fits = c != EOF && file->position > 0;
	if (fits) {
		file->buffer[--file->position] = c;
		file->flags &= ~FILE_AT_END;
	}
	lock_release(&file->lock);
	return fits ? c : EOF;
}

EXPORT char* fgets(char* restrict buffer, int size, FILE* restrict file)
{
	int length = 0;
	lock_acquire(&file->lock);
	while (length < size - 1 && fill_locked(file)) {
		char c = file->buffer[file->position++];
		buffer[length++] = c;
		if (c == '\n')
			break;
	}
	lock_release(&file->lock);
	if (length == 0)
		return NULL;
	buffer[length] = '\0';
	return buffer;
}

EXPORT int fputc(int c, FILE* file)
{
	char byte = c;
	return fwrite(&byte, 1, 1, file) == 1 ? (unsigned char)c : EOF;
}

EXPORT int putc(int c, FILE* file)
{
	return fputc(c, file);
}

EXPORT int putchar(int c)
{
	return fputc(c, stdout);
}

EXPORT int fputs(const char* restrict string, FILE* restrict file)
{
	size_t length = strlen(string);
	return fwrite(string, 1, length, file) == length ? 0 : EOF;
}

EXPORT int puts(const char* string)
{
	return fputs(string, stdout) == 0 && fputc('\n', stdout) != EOF ? 0 : EOF;
}

struct file_sink {
	struct sink sink;
	FILE* file;
	bool failed;
};

static void put_to_file(struct sink* sink, const char* text, size_t length)
{
	struct file_sink* to = (struct file_sink*)sink;
	if (write_locked(to->file, text, length) != length)
		to->failed = true;
}

EXPORT int vfprintf(FILE* restrict file, const char* restrict format, va_list args)
{
	struct file_sink sink = {{put_to_file, 0}, file, false};
	lock_acquire(&file->lock);
	format_text(&sink.sink, format, args);
	lock_release(&file->lock);
	return sink.failed ? -1 : (int)sink.sink.total;
}

EXPORT int vprintf(const char* restrict format, va_list args)
{
	return vfprintf(stdout, format, args);
}

EXPORT int fprintf(FILE* restrict file, const char* restrict format, ...)
{
	va_list args;
	va_start(args, format);
	int result = vfprintf(file, format, args);
	va_end(args);
	return result;
}

EXPORT int printf(const char* restrict format, ...)
{
	va_list args;
	va_start(args, format);
	int result = vfprintf(stdout, format, args);
	va_end(args);
	return result;
}
