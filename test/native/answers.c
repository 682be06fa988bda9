/*
 * Prints what the C library answers, with the bits of every score, so that test/capi.test.ts can compare them with the
 * answers of the Node library: `answers MODEL LOG EXCLUDE ALLOW`, where EXCLUDE and ALLOW are items separated by
 * commas. All users of the log, at most 400, are asked in one call.
 */
#include <inttypes.h>
#include <shortlist/shortlist.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOP = 7, USERS = 400, ITEMS = 64, LINE = 1 << 16 };

static int fail(const char* what, const shortlist_error* error) {
  fprintf(stderr, "%s: %s\n", what, error->message);
  return 1;
}

static uint32_t float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/* Cuts the items of a list. Returns their number. */
static size_t cut(char* list, const char** items) {
  size_t count = 0;
  for (char* item = strtok(list, ","); item && count < ITEMS; item = strtok(NULL, ",")) items[count++] = item;
  return count;
}

static void print_lists(const char* what, const shortlist_item* items, const size_t* counts, size_t users) {
  for (size_t i = 0; i < users; i++) {
    printf("%s", what);
    for (size_t j = 0; j < counts[i]; j++) {
      const shortlist_item* const item = &items[i * TOP + j];
      printf(" %s:%08" PRIx32 ":%.17g", item->item, float_bits(item->score), item->probability);
    }
    putchar('\n');
  }
}

int main(int argc, char** argv) {
  static char line[LINE];
  static shortlist_user* users[USERS];
  static shortlist_item items[USERS * TOP];
  static shortlist_similar_item similar[ITEMS * TOP];
  static float scores[USERS * ITEMS];
  static size_t counts[USERS];
  const char *exclude[ITEMS], *allow[ITEMS];
  shortlist_candidates candidates = {0};
  shortlist_model* model = NULL;
  shortlist_error error;
  size_t count = 0, allow_count;
  FILE* log;
  if (argc != 5 || !(log = fopen(argv[2], "rb"))) return 2;
  if (shortlist_model_open(argv[1], 2, &model, &error)) return fail("open", &error);
  while (count < USERS && fgets(line, sizeof line, log)) {
    line[strcspn(line, "\n")] = 0;
    if (shortlist_user_create(model, &users[count], &error) || shortlist_user_set_line(users[count], line, &error))
      return fail("user", &error);
    count++;
  }
  fclose(log);
  candidates.exclude = exclude;
  candidates.exclude_count = cut(argv[3], exclude);
  allow_count = cut(argv[4], allow);
  if (shortlist_users_recommend(users, count, false, items, TOP, counts, &error)) return fail("recommend", &error);
  print_lists("all", items, counts, count);
  if (shortlist_users_recommend_among(users, count, &candidates, items, TOP, counts, &error))
    return fail("exclude", &error);
  print_lists("exclude", items, counts, count);
  candidates.allow = allow;
  candidates.allow_count = allow_count;
  candidates.keep_watched = true;
  if (shortlist_users_recommend_among(users, count, &candidates, items, TOP, counts, &error))
    return fail("allow", &error);
  print_lists("allow", items, counts, count);
  if (shortlist_users_score(users, count, allow, allow_count, scores, USERS * ITEMS, &error))
    return fail("score", &error);
  for (size_t i = 0; i < count; i++) {
    printf("score");
    for (size_t j = 0; j < allow_count; j++) {
      const float score = scores[i * allow_count + j];
      if (score == score) printf(" %s:%08" PRIx32, allow[j], float_bits(score)); /* not NAN */
    }
    putchar('\n');
  }
  candidates.allow = NULL;
  candidates.allow_count = 0;
  if (shortlist_items_similar(model, allow, allow_count, &candidates, similar, TOP, counts, &error))
    return fail("similar", &error);
  for (size_t i = 0; i < allow_count; i++) {
    printf("similar");
    for (size_t j = 0; j < counts[i]; j++)
      printf(" %s:%08" PRIx32, similar[i * TOP + j].item, float_bits(similar[i * TOP + j].similarity));
    putchar('\n');
  }
  for (size_t i = 0; i < count; i++) shortlist_user_destroy(users[i]);
  shortlist_model_close(model);
  return 0;
}
