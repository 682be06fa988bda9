/*
 * Prints a shortlist for each line of a click log, like `shortlist recommend --format text`.
 *
 *   cmake -B build-capi && cmake --build build-capi --target recommend && build-capi/recommend MODEL LOG [TOP]
 */
#include <errno.h>
#include <shortlist/shortlist.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Reads a line of any length, without its end. Returns NULL at the end of the file and if the file cannot be read. The
 * caller frees the line. *has_nul tells whether it contains a NUL byte: the library would read only the part before it.
 */
static char* read_line(FILE* file, int* has_nul) {
  size_t length = 0, capacity = 256;
  char* line = malloc(capacity);
  int c = EOF;
  while (line && (c = getc(file)) != EOF && c != '\n') {
    line[length++] = (char)c;
    if (length == capacity) {
      char* larger = realloc(line, capacity *= 2);
      if (!larger) free(line);
      line = larger;
    }
  }
  if (line && c == EOF && (length == 0 || ferror(file))) {
    free(line);
    return NULL;
  }
  if (line) line[length] = 0;
  *has_nul = line && strlen(line) < length;
  return line;
}

static int at_end(FILE* file) {
  const int c = getc(file);
  if (c != EOF) ungetc(c, file);
  return c == EOF;
}

static int recommend(shortlist_model* model, const char* path, FILE* log, shortlist_item* items, size_t top) {
  shortlist_user* user = NULL;
  shortlist_error error;
  size_t number = 0;
  int has_nul = 0;
  char* text;
  if (shortlist_user_create(model, &user, &error)) {
    fprintf(stderr, "error: %s\n", error.message);
    return 1;
  }
  while ((text = read_line(log, &has_nul))) {
    size_t count = 0;
    number++;
    if (has_nul) {
      fprintf(stderr, "error: %s:%zu: Expected text without NUL bytes but received one\n", path, number);
      free(text);
      shortlist_user_destroy(user);
      return 1;
    }
    /* A log may end with an empty line. */
    if ((!*text || !strcmp(text, "\r")) && at_end(log)) {
      free(text);
      break;
    }
    if (shortlist_user_set_line(user, text, &error) ||
        shortlist_user_recommend(user, false, items, top, &count, &error)) {
      fprintf(stderr, "error: %s:%zu: %s\n", path, number, error.message);
      free(text);
      shortlist_user_destroy(user);
      return 1;
    }
    for (size_t i = 0; i < count; i++) printf("%s%s:%.6f", i ? "," : "", items[i].item, items[i].probability);
    putchar('\n');
    free(text);
  }
  shortlist_user_destroy(user);
  if (!feof(log)) {
    fprintf(stderr, "error: cannot read %s: %s\n", path, strerror(errno));
    return 1;
  }
  if (fflush(stdout) || ferror(stdout)) {
    fprintf(stderr, "error: cannot write the shortlists: %s\n", strerror(errno));
    return 1;
  }
  return 0;
}

int main(int argc, char** argv) {
  const long top = argc > 3 ? strtol(argv[3], NULL, 10) : 30;
  shortlist_model* model = NULL;
  shortlist_item* items;
  shortlist_error error;
  FILE* log;
  int result = 1;
  if (argc < 3 || argc > 4 || top < 1) {
    fprintf(stderr, "usage: %s MODEL LOG [TOP]\n", argv[0]);
    return 1;
  }
  if (shortlist_model_open(argv[1], 1, &model, &error)) {
    fprintf(stderr, "error: %s\n", error.message);
    return 1;
  }
  items = calloc((size_t)top, sizeof *items);
  log = fopen(argv[2], "rb");
  if (!items) {
    fprintf(stderr, "error: %ld items need more memory than there is\n", top);
  } else if (!log) {
    fprintf(stderr, "error: cannot read %s: %s\n", argv[2], strerror(errno));
  } else {
    result = recommend(model, argv[2], log, items, (size_t)top);
  }
  if (log) fclose(log);
  free(items);
  shortlist_model_close(model);
  if (fflush(stdout)) result = 1;
  return result;
}
