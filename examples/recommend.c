/*
 * Prints a shortlist for each line of a click log, as `shortlist recommend --format text` does.
 *
 *   cmake -B build-capi && cmake --build build-capi --target recommend && build-capi/recommend MODEL LOG [TOP]
 */
#include <shortlist/shortlist.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const char* what, const shortlist_error* error) {
  fprintf(stderr, "error: %s: %s\n", what, error->message);
  return 1;
}

/* A whole line of any length without its end; NULL at the end of the file. The caller frees it. */
static char* read_line(FILE* file) {
  size_t length = 0, capacity = 256;
  char* line = malloc(capacity);
  int c;
  while (line && (c = getc(file)) != EOF && c != '\n') {
    line[length++] = (char)c;
    if (length == capacity) {
      char* larger = realloc(line, capacity *= 2);
      if (!larger) free(line);
      line = larger;
    }
  }
  if (line && length == 0 && feof(file)) {
    free(line);
    return NULL;
  }
  if (line) line[length] = 0;
  return line;
}

int main(int argc, char** argv) {
  const size_t top = argc > 3 ? strtoul(argv[3], NULL, 10) : 30;
  shortlist_model* model = NULL;
  shortlist_user* user = NULL;
  shortlist_item* items = calloc(top ? top : 1, sizeof *items);
  shortlist_error error = {SHORTLIST_OK, ""};
  FILE* log = NULL;
  char* line;
  int result = 1;
  if (argc < 3 || !items) {
    fprintf(stderr, "usage: %s MODEL LOG [TOP]\n", argv[0]);
  } else if (shortlist_model_open(argv[1], 1, &model, &error) || shortlist_user_create(model, &user, &error)) {
    fail(argv[1], &error);
  } else if (!(log = fopen(argv[2], "rb"))) {
    fprintf(stderr, "error: cannot read %s\n", argv[2]);
  } else {
    result = 0;
    while (!result && (line = read_line(log))) {
      size_t count = 0;
      if (shortlist_user_set_line(user, line, &error) || shortlist_user_recommend(user, false, items, top, &count, &error)) {
        result = fail(argv[2], &error);
      }
      for (size_t i = 0; !result && i < count; i++) printf("%s%s:%.6f", i ? "," : "", items[i].item, items[i].probability);
      if (!result) putchar('\n');
      free(line);
    }
  }
  if (log) fclose(log);
  shortlist_user_destroy(user);
  shortlist_model_close(model);
  free(items);
  return result;
}
