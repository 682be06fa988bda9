/*
 * Tests the functions of shortlist.h that examples/recommend.c does not call: `api_check MODEL LINE ROUNDS`, where LINE
 * is a line of a log in the default schema and ROUNDS the number of calls of each of eight threads. A model may have
 * the columns "searches" and "languages" beside those of the default schema; then only its users' features are checked.
 * test/capi.test.ts runs it. It is compiled as C99, so that the header stays valid C.
 */
#include <pthread.h>
#include <shortlist/shortlist.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) {                                               \
      printf("%s:%d: expected %s\n", __FILE__, __LINE__, #condition); \
      ++failures;                                                     \
    }                                                                 \
  } while (0)

enum { TOP = 8, WIDTH = 4096, FIELDS = 6 };

/* Cuts `text` at the next separator and returns the part before it. */
static char* cut(char** text, char separator) {
  char* const begin = *text;
  char* const end = begin ? strchr(begin, separator) : NULL;
  *text = end ? end + 1 : NULL;
  if (end) *end = 0;
  return begin;
}

/* Builds the same user as shortlist_user_set_line, with calls for single fields. */
static void build(shortlist_user* user, char* line, size_t fields) {
  static const char* const columns[] = {"user_id", "province", "city", NULL, "phone", "searches", "languages"};
  for (int i = 0; i < 7 && line; i++) {
    char* field = cut(&line, '\t');
    CHECK(field);
    if (columns[i]) CHECK(shortlist_user_set(user, columns[i], field, NULL) == SHORTLIST_OK);
    for (char* clicks = columns[i] ? NULL : field; clicks;) {
      char* click = cut(&clicks, ';');
      const char* tokens[FIELDS];
      for (size_t t = 0; t < fields; t++) tokens[t] = cut(&click, ':');
      CHECK(shortlist_user_add_click(user, tokens, fields, NULL) == SHORTLIST_OK);
    }
  }
}

static void check_results(shortlist_model* model, shortlist_user* parsed, shortlist_user* built, const char* line) {
  static float a[WIDTH], b[WIDTH];
  const size_t width = shortlist_model_vector_width(model), all = shortlist_model_item_count(model);
  shortlist_item left[TOP], right[TOP];
  shortlist_item* items = malloc(all * sizeof *items);
  size_t count = 0, other = 0;
  double sum = 0;
  CHECK(width > 0 && width <= WIDTH && all > TOP && items);
  CHECK(shortlist_user_vector(parsed, a, WIDTH, NULL) == SHORTLIST_OK &&
        shortlist_user_vector(built, b, width, NULL) == SHORTLIST_OK);
  CHECK(memcmp(a, b, width * sizeof *a) == 0);
  CHECK(shortlist_user_recommend(parsed, false, left, TOP, &count, NULL) == SHORTLIST_OK && count == TOP);
  CHECK(shortlist_user_recommend(built, false, right, TOP, &other, NULL) == SHORTLIST_OK && other == TOP);
  for (size_t i = 0; i < TOP; i++) {
    char click[256];
    CHECK(left[i].item == right[i].item && left[i].score == right[i].score); /* the same string: the model's */
    CHECK(i == 0 || left[i].score <= left[i - 1].score);
    snprintf(click, sizeof click, ";%s:", left[i].item);
    CHECK(!strstr(line, click));
    click[0] = '\t';
    CHECK(!strstr(line, click));
  }
  /* All items but <unk>, which has the rest of the probability. */
  CHECK(shortlist_user_recommend(parsed, true, items, all, &count, NULL) == SHORTLIST_OK && count == all);
  for (size_t i = 0; i < count; i++) sum += items[i].probability;
  CHECK(sum > 0.5 && sum < 1 + 1e-5);
  CHECK(shortlist_user_recommend(parsed, false, items, all, &other, NULL) == SHORTLIST_OK && other < all);
  CHECK(shortlist_user_recommend(parsed, false, NULL, 0, &other, NULL) == SHORTLIST_OK && other == 0);
  free(items);
}

static void check_refusals(shortlist_model* model, shortlist_user* user) {
  const char* tokens[] = {"a", "b", "c"};
  const char* no_item[] = {NULL, "b", "c"};
  char long_name[2000];
  float vector[1];
  size_t count = 7;
  shortlist_error error;
  shortlist_model* other = model;
  shortlist_item item;
  CHECK(shortlist_user_set(user, "town", "x", &error) == SHORTLIST_ERROR_INPUT &&
        error.status == SHORTLIST_ERROR_INPUT);
  CHECK(strstr(error.message, "town"));
  CHECK(shortlist_user_set(user, "clicks", "x", &error) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_user_set(user, "city", "\xff", &error) == SHORTLIST_ERROR_INPUT && strstr(error.message, "UTF-8"));
  CHECK(shortlist_user_set(user, "city", NULL, &error) == SHORTLIST_OK && error.status == SHORTLIST_OK &&
        !*error.message);
  CHECK(shortlist_user_set(NULL, "city", "x", &error) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_user_add_click(user, tokens, 2, &error) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_user_add_click(user, no_item, 3, &error) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_user_set_line(user, "", &error) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_user_set_line(user, "u\tp\tc\tNULL\tm", &error) == SHORTLIST_OK);
  CHECK(shortlist_user_set_line(user, "\xef\xbb\xbfu\tp\tc\ta:b:c\tm\n", &error) == SHORTLIST_OK);
  CHECK(shortlist_user_set_line(user, "u\tp\t\xff\ta:b:c\tm", &error) == SHORTLIST_ERROR_INPUT &&
        strstr(error.message, "UTF-8"));
  CHECK(shortlist_user_set_line(user, "u\tp\t\xe2\x82\xac\ta:b:c\tm\r\n", &error) == SHORTLIST_OK);
  CHECK(shortlist_user_vector(user, vector, 1, &error) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_user_recommend(user, false, NULL, 1, &count, &error) == SHORTLIST_ERROR_INPUT && count == 0);
  CHECK(shortlist_user_recommend(user, false, &item, 1, NULL, NULL) == SHORTLIST_ERROR_INPUT);

  /* A message that does not fit is truncated between characters. */
  memset(long_name, 0, sizeof long_name);
  for (int i = 0; i < 600; i++) memcpy(long_name + 3 * i, "\xe2\x82\xac", 3);
  CHECK(shortlist_model_open(long_name, 1, &other, &error) == SHORTLIST_ERROR_FILE && !other);
  CHECK(strlen(error.message) < sizeof error.message && strlen(error.message) > 500);
  CHECK(strcmp(error.message + strlen(error.message) - 3, "\xe2\x82\xac") == 0);

  CHECK(shortlist_model_open("/nowhere", 0, &other, &error) == SHORTLIST_ERROR_OPTION && !other);
  CHECK(shortlist_model_open("/nowhere", 1, &other, &error) == SHORTLIST_ERROR_FILE &&
        strstr(error.message, "/nowhere/config.json"));
  CHECK(shortlist_model_open(NULL, 1, &other, NULL) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_model_open("/nowhere", 1, NULL, NULL) == SHORTLIST_ERROR_INPUT);
  shortlist_model_close(NULL);
  shortlist_user_destroy(NULL);
}

/* What is no open handle is refused by every function, and closing it again does nothing. */
static void check_closed(const shortlist_model* model, const char* folder) {
  const char* tokens[] = {"a", "b", "c"};
  static float vector[WIDTH];
  shortlist_item items[TOP];
  shortlist_error error;
  shortlist_model* closed = NULL;
  shortlist_user *destroyed = NULL, *none = NULL, *last = NULL;
  size_t count = 7;
  CHECK(shortlist_model_open(folder, 1, &closed, NULL) == SHORTLIST_OK);
  CHECK(shortlist_user_create(closed, &last, NULL) == SHORTLIST_OK);
  CHECK(shortlist_user_create(model, &destroyed, NULL) == SHORTLIST_OK);
  shortlist_model_close(closed);
  shortlist_model_close(closed);
  shortlist_user_destroy(destroyed);
  shortlist_user_destroy(destroyed);
  shortlist_user_destroy((shortlist_user*)&count);
  CHECK(shortlist_user_create(closed, &none, &error) == SHORTLIST_ERROR_INPUT && !none);
  CHECK(strcmp(error.message, "Expected a model that is open but received one that was closed or never opened") == 0);
  CHECK(shortlist_user_create(NULL, &none, NULL) == SHORTLIST_ERROR_INPUT && !none);
  CHECK(shortlist_user_create(model, NULL, NULL) == SHORTLIST_ERROR_INPUT);
  const shortlist_model* const models[] = {NULL, closed, (const shortlist_model*)&count};
  for (int i = 0; i < 3; i++) {
    CHECK(!*shortlist_model_isa(models[i]) && shortlist_model_item_count(models[i]) == 0);
    CHECK(shortlist_model_vector_width(models[i]) == 0 && shortlist_model_feature_count(models[i]) == 0);
    CHECK(!shortlist_model_feature(models[i], 0) && !shortlist_model_click_field(models[i], 0));
    CHECK(shortlist_model_click_field_count(models[i]) == 0);
  }
  shortlist_user* const users[] = {NULL, destroyed, (shortlist_user*)&count};
  for (int i = 0; i < 3; i++) {
    shortlist_user* const mixed[] = {last, users[i]};
    size_t counts[] = {7, 7};
    CHECK(shortlist_user_set(users[i], "city", "x", &error) == SHORTLIST_ERROR_INPUT);
    CHECK(strcmp(error.message, users[i]
                                    ? "Expected a user that exists but received one that was destroyed or never created"
                                    : "Expected a user but received NULL") == 0);
    CHECK(shortlist_user_add_click(users[i], tokens, 3, NULL) == SHORTLIST_ERROR_INPUT);
    CHECK(shortlist_user_set_line(users[i], "u\tp\tc\ta:b:c\tm", NULL) == SHORTLIST_ERROR_INPUT);
    CHECK(shortlist_user_vector(users[i], vector, WIDTH, NULL) == SHORTLIST_ERROR_INPUT);
    CHECK(shortlist_user_recommend(users[i], true, items, TOP, &count, NULL) == SHORTLIST_ERROR_INPUT && count == 0);
    CHECK(shortlist_users_vectors(mixed, 2, vector, WIDTH, NULL) == SHORTLIST_ERROR_INPUT);
    CHECK(shortlist_users_recommend(mixed, 2, true, items, TOP / 2, counts, NULL) == SHORTLIST_ERROR_INPUT);
    CHECK(shortlist_users_recommend_among(mixed, 2, NULL, items, TOP / 2, counts, NULL) == SHORTLIST_ERROR_INPUT);
    CHECK(shortlist_users_score(mixed, 2, tokens, 1, vector, WIDTH, NULL) == SHORTLIST_ERROR_INPUT);
    CHECK(shortlist_user_add_item(users[i], "v1", NULL) == SHORTLIST_ERROR_INPUT);
    CHECK(counts[0] == 0 && counts[1] == 0);
  }
  CHECK(shortlist_user_set(last, NULL, "x", NULL) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_user_set_line(last, NULL, NULL) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_user_add_click(last, NULL, 3, NULL) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_user_add_click(last, tokens, SIZE_MAX, NULL) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_user_set_line(last, "u\tp\tc\ta:b:c\tm\nu\tp\tc\ta:b:c\tm", NULL) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_user_vector(last, NULL, WIDTH, NULL) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_user_recommend(last, true, items, TOP, &count, NULL) == SHORTLIST_OK && count == TOP);
  shortlist_user_destroy(last);
}

/* Many users in one call get what each gets alone, bit for bit; histories of every length, one user twice. */
static void check_users(const shortlist_model* model, const char* folder, const char* line) {
  enum { USERS = 9 };
  static float together[USERS * WIDTH], alone[WIDTH];
  const size_t width = shortlist_model_vector_width(model);
  shortlist_user* users[USERS];
  shortlist_item items[USERS * TOP], own[TOP];
  shortlist_model* other_model = NULL;
  shortlist_user* other = NULL;
  shortlist_error error;
  size_t counts[USERS], count = 0;
  for (int i = 0; i < USERS - 1; i++) {
    CHECK(shortlist_user_create(model, &users[i], NULL) == SHORTLIST_OK);
    if (i > 1) CHECK(shortlist_user_set_line(users[i], line, NULL) == SHORTLIST_OK);
    for (int click = 0; click < 20 * i; click++) {
      char item[16];
      const char* tokens[] = {item, "c1", "t1_t2"};
      snprintf(item, sizeof item, "v%d", click * i % 119);
      CHECK(shortlist_user_add_click(users[i], tokens, 3, NULL) == SHORTLIST_OK);
    }
  }
  users[USERS - 1] = users[2];
  CHECK(shortlist_users_vectors(users, USERS, together, USERS * width, NULL) == SHORTLIST_OK);
  CHECK(shortlist_users_vectors(users, USERS, together, USERS * width - 1, NULL) == SHORTLIST_ERROR_INPUT);
  for (int keep = 0; keep < 2; keep++) {
    CHECK(shortlist_users_recommend(users, USERS, keep, items, TOP, counts, NULL) == SHORTLIST_OK);
    for (int i = 0; i < USERS; i++) {
      CHECK(shortlist_user_vector(users[i], alone, width, NULL) == SHORTLIST_OK);
      CHECK(memcmp(together + (size_t)i * width, alone, width * sizeof *alone) == 0);
      CHECK(shortlist_user_recommend(users[i], keep, own, TOP, &count, NULL) == SHORTLIST_OK && counts[i] == count);
      for (size_t j = 0; j < count; j++) {
        const shortlist_item* const item = &items[(size_t)i * TOP + j];
        CHECK(item->item == own[j].item && item->score == own[j].score && item->probability == own[j].probability);
      }
    }
  }
  CHECK(shortlist_users_vectors(NULL, 0, NULL, 0, NULL) == SHORTLIST_OK);
  CHECK(shortlist_users_recommend(NULL, 0, true, NULL, 0, NULL, NULL) == SHORTLIST_OK);
  CHECK(shortlist_users_vectors(NULL, 1, together, WIDTH, NULL) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_users_recommend(users, 2, true, NULL, TOP, counts, NULL) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_users_recommend(users, 2, true, items, TOP, NULL, NULL) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_users_recommend(users, 2, true, NULL, 0, counts, NULL) == SHORTLIST_OK && counts[1] == 0);
  CHECK(shortlist_model_open(folder, 1, &other_model, NULL) == SHORTLIST_OK &&
        shortlist_user_create(other_model, &other, NULL) == SHORTLIST_OK);
  users[USERS - 1] = other;
  CHECK(shortlist_users_recommend(users, USERS, true, items, TOP, counts, &error) == SHORTLIST_ERROR_INPUT);
  CHECK(strcmp(error.message, "Expected users of one model but received users of several") == 0 && counts[0] == 0);
  CHECK(shortlist_users_vectors(users, USERS, together, USERS * width, NULL) == SHORTLIST_ERROR_INPUT);
  for (int i = 0; i < USERS; i++) shortlist_user_destroy(users[i]);
  shortlist_model_close(other_model);
}

/* Candidates, scores and similar items: their results agree with each other, and misuse is an error. */
static void check_candidates(const shortlist_model* model, shortlist_user* user) {
  static const char* const none[] = {NULL};
  static const char* const broken[] = {"v1", "\xff"};
  shortlist_user* const users[] = {user, user};
  shortlist_candidates candidates = {0};
  shortlist_item best[2 * TOP], left[2 * TOP];
  shortlist_similar_item similar[2 * TOP];
  shortlist_error error;
  size_t counts[2], other[2];
  float scores[2 * TOP];
  CHECK(shortlist_users_recommend(users, 2, false, best, TOP, counts, NULL) == SHORTLIST_OK && counts[1] == TOP);
  CHECK(shortlist_users_recommend_among(users, 2, NULL, left, TOP, other, NULL) == SHORTLIST_OK && other[1] == TOP);
  for (int i = 0; i < 2 * TOP; i++) CHECK(left[i].item == best[i].item && left[i].probability == best[i].probability);

  /* Without the best and the third item; then these two alone, and a stranger. */
  const char* const two[] = {best[2].item, "a stranger", best[0].item, best[2].item};
  candidates.exclude = two;
  candidates.exclude_count = 4;
  CHECK(shortlist_users_recommend_among(users, 2, &candidates, left, TOP, other, NULL) == SHORTLIST_OK);
  CHECK(other[0] == TOP && left[0].item == best[1].item && left[0].score == best[1].score);
  CHECK(left[1].item == best[3].item && left[1].probability == best[3].probability && left[TOP].item == left[0].item);
  candidates.exclude_count = 0;
  candidates.allow = two;
  candidates.allow_count = 4;
  CHECK(shortlist_users_recommend_among(users, 2, &candidates, left, TOP, other, NULL) == SHORTLIST_OK);
  CHECK(other[0] == 2 && other[1] == 2 && left[0].item == best[0].item && left[1].item == best[2].item);
  CHECK(left[0].score == best[0].score && left[1].score == best[2].score && left[TOP + 1].score == best[2].score);
  const double sum = left[0].probability + left[1].probability;
  CHECK(sum > 1 - 1e-6 && sum < 1 + 1e-6);
  CHECK(shortlist_users_score(users, 2, two, 4, scores, 2 * TOP, NULL) == SHORTLIST_OK);
  CHECK(scores[0] == best[2].score && scores[1] != scores[1] && scores[2] == best[0].score && scores[3] == scores[0]);
  CHECK(memcmp(scores, scores + 4, sizeof *scores) == 0);
  candidates.allow_count = 0;
  CHECK(shortlist_users_recommend_among(users, 2, &candidates, left, TOP, other, NULL) == SHORTLIST_OK && !other[0]);

  CHECK(shortlist_model_has_item(model, best[0].item) && !shortlist_model_has_item(model, "a stranger"));
  CHECK(!shortlist_model_has_item(model, NULL) && !shortlist_model_has_item(NULL, best[0].item));
  CHECK(shortlist_items_similar(model, two, 2, NULL, similar, TOP, counts, NULL) == SHORTLIST_OK);
  CHECK(counts[0] == TOP && counts[1] == 0 && similar[0].item != best[2].item);
  for (int i = 1; i < TOP; i++) CHECK(similar[i].similarity <= similar[i - 1].similarity);
  const char* const nearest[] = {similar[0].item};
  candidates = (shortlist_candidates){0};
  candidates.exclude = nearest;
  candidates.exclude_count = 1;
  const shortlist_similar_item second = similar[1];
  CHECK(shortlist_items_similar(model, two, 1, &candidates, similar, TOP, counts, NULL) == SHORTLIST_OK);
  CHECK(similar[0].item == second.item && similar[0].similarity == second.similarity);

  const char* const* const wrong[] = {none, broken, NULL};
  for (int i = 0; i < 3; i++) {
    candidates = (shortlist_candidates){0};
    candidates.exclude = wrong[i];
    candidates.exclude_count = i == 0 ? 1 : 2;
    counts[0] = counts[1] = 7;
    CHECK(shortlist_users_recommend_among(users, 2, &candidates, left, TOP, counts, &error) == SHORTLIST_ERROR_INPUT);
    CHECK(*error.message && counts[0] == 0 && counts[1] == 0);
    CHECK(shortlist_items_similar(model, two, 1, &candidates, similar, TOP, counts, NULL) == SHORTLIST_ERROR_INPUT);
    CHECK(shortlist_items_similar(model, wrong[i], i == 0 ? 1 : 2, NULL, similar, TOP, counts, NULL) ==
          SHORTLIST_ERROR_INPUT);
    CHECK(shortlist_users_score(users, 2, wrong[i], i == 0 ? 1 : 2, scores, 4, NULL) == SHORTLIST_ERROR_INPUT);
  }
  CHECK(shortlist_users_score(users, 2, two, 4, scores, 7, &error) == SHORTLIST_ERROR_INPUT);
  CHECK(strstr(error.message, "Expected room for 4 scores a user"));
  CHECK(shortlist_users_score(users, 2, two, 4, NULL, 8, NULL) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_users_score(NULL, 2, two, 4, scores, 8, NULL) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_users_score(users, 2, NULL, 0, NULL, 0, NULL) == SHORTLIST_OK);
  CHECK(shortlist_users_score(NULL, 0, two, 4, NULL, 0, NULL) == SHORTLIST_OK);
  CHECK(shortlist_items_similar(NULL, two, 1, NULL, similar, TOP, counts, NULL) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_items_similar((const shortlist_model*)counts, two, 1, NULL, similar, TOP, counts, NULL) ==
        SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_items_similar(model, two, 1, NULL, NULL, TOP, counts, NULL) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_items_similar(model, two, 1, NULL, similar, TOP, NULL, NULL) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_items_similar(model, two, 4, NULL, NULL, 0, counts, NULL) == SHORTLIST_OK && counts[1] == 0);
  CHECK(shortlist_items_similar(model, NULL, 0, NULL, NULL, 0, NULL, NULL) == SHORTLIST_OK);
}

/* A click on an item alone has the attributes that the item had in the training log, which `line` has. */
static void check_items_alone(const shortlist_model* model, const char* line) {
  static float whole[WIDTH], alone[WIDTH];
  shortlist_user *left = NULL, *right = NULL;
  shortlist_error error;
  char clicks[4096], *list = clicks;
  const char* field = line;
  for (int i = 0; i < 3; i++) field = strchr(field, '\t') + 1;
  CHECK(strcspn(field, "\t") < sizeof clicks);
  snprintf(clicks, sizeof clicks, "%.*s", (int)strcspn(field, "\t"), field);
  CHECK(shortlist_user_create(model, &left, NULL) == SHORTLIST_OK);
  CHECK(shortlist_user_create(model, &right, NULL) == SHORTLIST_OK);
  while (list) {
    char* click = cut(&list, ';');
    const char* tokens[3];
    for (int t = 0; t < 3; t++) tokens[t] = cut(&click, ':');
    CHECK(shortlist_user_add_click(left, tokens, 3, NULL) == SHORTLIST_OK);
    CHECK(shortlist_user_add_item(right, tokens[0], NULL) == SHORTLIST_OK);
  }
  CHECK(shortlist_user_vector(left, whole, WIDTH, NULL) == SHORTLIST_OK);
  CHECK(shortlist_user_vector(right, alone, WIDTH, NULL) == SHORTLIST_OK);
  CHECK(memcmp(whole, alone, shortlist_model_vector_width(model) * sizeof *whole) == 0);
  CHECK(shortlist_user_add_item(right, "a stranger", NULL) == SHORTLIST_OK);
  CHECK(shortlist_user_add_item(right, "NULL", NULL) == SHORTLIST_OK);
  CHECK(shortlist_user_add_item(right, NULL, NULL) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_user_add_item(right, "", NULL) == SHORTLIST_ERROR_INPUT);
  CHECK(shortlist_user_add_item(right, "\xff", &error) == SHORTLIST_ERROR_INPUT && strstr(error.message, "UTF-8"));
  CHECK(shortlist_user_add_item(NULL, "v1", NULL) == SHORTLIST_ERROR_INPUT);
  shortlist_user_destroy(left);
  shortlist_user_destroy(right);
}

/* The calls that a thread repeats, with their expected results, and whether one was different. */
typedef struct work {
  const shortlist_model* model;
  shortlist_user* user; /* the user that all threads call, or NULL if each creates its own */
  const char* line;
  long rounds;
  shortlist_item expected[2][TOP]; /* without and with keep_watched */
  int failed;
} work;

static void expect(work* mine, shortlist_user* user, bool keep_watched) {
  shortlist_item items[TOP];
  size_t count = 0;
  mine->failed = mine->failed || shortlist_user_recommend(user, keep_watched, items, TOP, &count, NULL) || count != TOP;
  for (size_t i = 0; i < count; i++) {
    const shortlist_item* const expected = &mine->expected[keep_watched][i];
    mine->failed = mine->failed || items[i].item != expected->item || items[i].score != expected->score ||
                   items[i].probability != expected->probability;
  }
}

static void* ask(void* argument) {
  work* const mine = argument;
  shortlist_user* user = mine->user;
  mine->failed = !user && shortlist_user_create(mine->model, &user, NULL);
  for (long round = 0; round < mine->rounds && !mine->failed; round++) {
    if (round % 100 == 0) mine->failed = shortlist_user_set_line(user, mine->line, NULL) != SHORTLIST_OK;
    expect(mine, user, round % 2);
  }
  if (!mine->user) shortlist_user_destroy(user);
  return NULL;
}

/*
 * Eight threads over one model, all with users of their own or all with one user: each gets, call for call, what it
 * gets where nobody else asks.
 */
static void check_threads(const shortlist_model* model, const char* line, long rounds, bool one_user) {
  enum { THREADS = 8 };
  pthread_t threads[THREADS];
  static work jobs[THREADS];
  char lines[THREADS][128];
  shortlist_user* user = NULL;
  CHECK(shortlist_user_create(model, &user, NULL) == SHORTLIST_OK);
  for (int i = 0; i < THREADS; i++) {
    size_t count = 0;
    snprintf(lines[i], sizeof lines[i], "u%d\tp%d\tc%d\tv%d:c:t\tm%d", i, i, i, i, i);
    jobs[i].model = model;
    jobs[i].user = one_user ? user : NULL;
    jobs[i].line = i == 0 || one_user ? line : lines[i];
    jobs[i].rounds = rounds;
    jobs[i].failed = 0;
    CHECK(shortlist_user_set_line(user, jobs[i].line, NULL) == SHORTLIST_OK);
    for (int keep = 0; keep < 2; keep++) {
      CHECK(shortlist_user_recommend(user, keep, jobs[i].expected[keep], TOP, &count, NULL) == SHORTLIST_OK &&
            count == TOP);
    }
  }
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, ask, &jobs[i]) == 0);
  for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0 && !jobs[i].failed);
  shortlist_user_destroy(user);
}

/* Users whom several threads ask together, in one order and in the other one. */
static void* ask_together(void* argument) {
  shortlist_user* const* const users = argument;
  shortlist_item items[3 * TOP];
  size_t counts[3];
  for (int round = 0; round < 200; round++) {
    shortlist_user* const turned[] = {users[2], users[round % 3], users[0]};
    if (shortlist_users_recommend(round % 2 ? users : turned, 3, true, items, TOP, counts, NULL) || counts[2] != TOP)
      return argument;
    if (shortlist_user_set(users[round % 3], "city", "c1", NULL)) return argument;
  }
  return NULL;
}

/* A user whom another thread may destroy at any time: answered, or refused. */
static void* ask_until_destroyed(void* argument) {
  shortlist_user* const user = *(shortlist_user**)argument;
  shortlist_item items[TOP];
  shortlist_status status = SHORTLIST_OK;
  size_t count = 0;
  while (status == SHORTLIST_OK) status = shortlist_user_recommend(user, true, items, TOP, &count, NULL);
  return status == SHORTLIST_ERROR_INPUT ? NULL : argument;
}

static void check_shared_users(const shortlist_model* model) {
  pthread_t threads[4];
  shortlist_user* users[3];
  void* failed = NULL;
  for (int i = 0; i < 3; i++) CHECK(shortlist_user_create(model, &users[i], NULL) == SHORTLIST_OK);
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, ask_together, users) == 0);
  for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], &failed) == 0 && !failed);
  for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, ask_until_destroyed, &users[i]) == 0);
  for (int i = 0; i < 3; i++) shortlist_user_destroy(users[i]);
  for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], &failed) == 0 && !failed);
}

int main(int argc, char** argv) {
  static const char* const features[] = {"user_id", "province", "city", "phone", "searches", "languages"};
  static const char* const fields[FIELDS] = {"item", "category", "tags", "seen", "shown", "price"};
  shortlist_model* model = NULL;
  shortlist_user* parsed = NULL;
  shortlist_user* built = NULL;
  shortlist_error error;
  shortlist_item items[TOP];
  size_t count = 0;
  char* copy;
  if (argc != 4) return 2;
  if (shortlist_model_open(argv[1], 2, &model, &error)) {
    printf("%s\n", error.message);
    return 1;
  }
  CHECK(*shortlist_version() && strcmp(shortlist_isa(), shortlist_model_isa(model)) == 0);
  const size_t feature_count = shortlist_model_feature_count(model);
  CHECK((feature_count == 4 || feature_count == 6) && !shortlist_model_feature(model, feature_count));
  for (size_t i = 0; i < feature_count; i++) CHECK(strcmp(shortlist_model_feature(model, i), features[i]) == 0);
  const size_t field_count = shortlist_model_click_field_count(model);
  CHECK((field_count == 3 || field_count == FIELDS) && !shortlist_model_click_field(model, field_count));
  for (size_t i = 0; i < field_count; i++) CHECK(strcmp(shortlist_model_click_field(model, i), fields[i]) == 0);
  CHECK(shortlist_user_create(model, &parsed, NULL) == SHORTLIST_OK &&
        shortlist_user_create(model, &built, NULL) == SHORTLIST_OK);
  CHECK(shortlist_user_set_line(parsed, argv[2], &error) == SHORTLIST_OK);
  copy = malloc(strlen(argv[2]) + 1);
  if (!copy) return 2;
  build(built, strcpy(copy, argv[2]), field_count);
  check_results(model, parsed, built, argv[2]);
  if (field_count == FIELDS) {
    const char* tokens[FIELDS] = {"v1", "c1", "t1", "-1", "x", ""};
    CHECK(shortlist_user_add_click(built, tokens, FIELDS, &error) == SHORTLIST_ERROR_INPUT);
    CHECK(strstr(error.message, "Expected a number of at least 0 for \"seen\" but received \"-1\""));
    tokens[3] = "1";
    tokens[5] = "dear";
    CHECK(shortlist_user_add_click(built, tokens, FIELDS, &error) == SHORTLIST_ERROR_INPUT);
    CHECK(strstr(error.message, "Expected a number for \"price\" but received \"dear\""));
  }
  if (feature_count == 4) {
    check_refusals(model, parsed);
    check_closed(model, argv[1]);
    check_users(model, argv[1], argv[2]);
    check_candidates(model, parsed);
    check_items_alone(model, argv[2]);
    check_shared_users(model);
    check_threads(model, argv[2], atol(argv[3]), false);
    check_threads(model, argv[2], 100, true);
  }
  free(copy);
  shortlist_user_destroy(parsed);
  /* A user remains usable after its model was closed. */
  shortlist_model_close(model);
  CHECK(shortlist_user_set_line(built, argv[2], NULL) == SHORTLIST_OK);
  CHECK(shortlist_user_recommend(built, true, items, TOP, &count, NULL) == SHORTLIST_OK && count == TOP &&
        *items[0].item);
  shortlist_user_destroy(built);
  return failures > 0;
}
