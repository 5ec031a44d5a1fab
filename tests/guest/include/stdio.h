/* Buffered files and formatted text. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct guest_file FILE;
typedef off_t fpos_t;

#define EOF (-1)
#define BUFSIZ 4096
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2
#define _IOFBF 0
#define _IOLBF 1
#define _IONBF 2

extern FILE* stdin;
extern FILE* stdout;
extern FILE* stderr;

FILE* fopen(const char* restrict path, const char* restrict mode);
FILE* fdopen(int fd, const char* mode);
FILE* freopen(const char* restrict path, const char* restrict mode, FILE* restrict file);
int fclose(FILE* file);
int fflush(FILE* file);
int setvbuf(FILE* restrict file, char* restrict buffer, int mode, size_t size);
size_t fread(void* restrict buffer, size_t size, size_t count, FILE* restrict file);
size_t fwrite(const void* restrict buffer, size_t size, size_t count, FILE* restrict file);
int fseek(FILE* file, long offset, int whence);
int fseeko(FILE* file, off_t offset, int whence);
long ftell(FILE* file);
off_t ftello(FILE* file);
void rewind(FILE* file);
int feof(FILE* file);
int ferror(FILE* file);
void clearerr(FILE* file);
int fileno(FILE* file);

int fgetc(FILE* file);
int getc(FILE* file);
int getchar(void);
int ungetc(int c, FILE* file);
char* fgets(char* restrict buffer, int size, FILE* restrict file);
int fputc(int c, FILE* file);
int putc(int c, FILE* file);
int putchar(int c);
int fputs(const char* restrict string, FILE* restrict file);
int puts(const char* string);

int printf(const char* restrict format, ...) __attribute__((format(printf, 1, 2)));
int fprintf(FILE* restrict file, const char* restrict format, ...) __attribute__((format(printf, 2, 3)));
int dprintf(int fd, const char* restrict format, ...) __attribute__((format(printf, 2, 3)));
int sprintf(char* restrict buffer, const char* restrict format, ...) __attribute__((format(printf, 2, 3)));
int snprintf(char* restrict buffer, size_t size, const char* restrict format, ...)
	__attribute__((format(printf, 3, 4)));
int vprintf(const char* restrict format, va_list args);
int vfprintf(FILE* restrict file, const char* restrict format, va_list args);
int vsnprintf(char* restrict buffer, size_t size, const char* restrict format, va_list args);

void perror(const char* message);
int remove(const char* path);
int rename(const char* from, const char* to);
