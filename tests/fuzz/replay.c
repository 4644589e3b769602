/*
 * replay - a harness without a fuzzer: every file named, and every file of a folder named, once.  What a corpus holds is
 * tried so by all compilers, in `make check`.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <stdio.h>

#include "fuzz.h"

static unsigned files;

static uint8_t *
resize(uint8_t *data, size_t n)
{
	uint8_t *p = realloc(data, n);

	if (p == NULL)
		abort();
	return p;
}

static int
replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = NULL;
	size_t n = 0, room = 0, got;

	if (f == NULL)
		return -1;
	do {
		if (n == room)
			data = resize(data, room = room * 2 + 65536);
		got = fread(data + n, 1, room - n, f);
		n += got;
	} while (got > 0);
	fclose(f);
	/* Of exactly that size: an octet read behind it is seen by the sanitizers. */
	if (n > 0)
		data = resize(data, n);
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(data, n);
	free(data);
	files++;
	return 0;
}

static int
replay_folder(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char file[4096];
	int rc = d == NULL ? -1 : 0;

	while (rc == 0 && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(file, sizeof file, "%s/%s", path, e->d_name);
		rc = replay_file(file);
	}
	if (d != NULL)
		closedir(d);
	return rc;
}

int
main(int argc, char **argv)
{
	struct stat st;
	int i;

	for (i = 1; i < argc; i++)
		if (stat(argv[i], &st) == -1 ||
		    (S_ISDIR(st.st_mode) ? replay_folder(argv[i]) : replay_file(argv[i])) == -1) {
			perror(argv[i]);
			return 2;
		}
	printf("%u inputs\n", files);
	return 0;
}
