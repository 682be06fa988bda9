/*
 * libshortlist loads a model folder that `shortlist train` wrote, and computes user vectors and recommendations. It
 * needs no Node.
 *
 * Errors: a call that can fail returns a status. If `error` is not NULL, the call also writes the status and a message
 * there. The library never prints, throws or aborts.
 *
 * Memory: handles are opaque. The caller owns every buffer and passes its size beside it. All strings are UTF-8 and end
 * with a 0 byte.
 *
 * Handles: the library recognises a handle that was closed or destroyed, and one that it never gave out. A function
 * that returns a status then returns SHORTLIST_ERROR_INPUT; the others return what they return for NULL. So a handle
 * may be closed twice, or while another thread uses it: calls that run finish.
 *
 * Threads: any thread may call any function at any time. A model never changes after it was opened. Calls on different
 * users of one model run in parallel on the same weights; calls on the same user run one after the other.
 */
#ifndef SHORTLIST_H
#define SHORTLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SHORTLIST_API __attribute__((visibility("default")))
#else
#define SHORTLIST_API
#endif

typedef enum shortlist_status {
  SHORTLIST_OK = 0,
  SHORTLIST_ERROR_FILE = 1, /* a file cannot be read */
  SHORTLIST_ERROR_MODEL =
      2, /* the model folder is incomplete, truncated or inconsistent, or its results are not finite */
  SHORTLIST_ERROR_INPUT = 3,  /* an argument is NULL, too small, out of range or malformed */
  SHORTLIST_ERROR_OPTION = 4, /* the number of threads or the instruction set cannot be used */
  SHORTLIST_ERROR_SYSTEM = 5  /* out of memory, or a bug in the library */
} shortlist_status;

typedef struct shortlist_error {
  shortlist_status status;
  char message[512]; /* UTF-8, ends with a 0 byte; "" after SHORTLIST_OK */
} shortlist_error;

typedef struct shortlist_model shortlist_model;
typedef struct shortlist_user shortlist_user;

/* The version of the library, for example "0.1.0". */
SHORTLIST_API const char* shortlist_version(void);
/*
 * The instruction set that a model opened now would use, for example "avx2". It is "" if the environment variable
 * SHORTLIST_ISA names an instruction set that this machine or this library does not have.
 */
SHORTLIST_API const char* shortlist_isa(void);

/*
 * Opens a model folder and loads its weights into memory. If the folder is replaced at the same time, either the old
 * model or the new one is opened, never a mixture.
 *
 * `threads` (1 to 1024) is the number of threads that may work on one call, including the caller's. Only one call at a
 * time uses the additional threads. Other calls compute on their callers' threads and give the same results.
 *
 * The fastest instruction set of the machine is used unless the environment variable SHORTLIST_ISA names another one.
 * On failure *model is NULL. Any error status is possible.
 */
SHORTLIST_API shortlist_status shortlist_model_open(const char* folder, int threads, shortlist_model** model,
                                                    shortlist_error* error);
/*
 * Closes a model; NULL is allowed. Its users remain usable. The weights are freed when the model is closed and all of
 * its users are destroyed.
 */
SHORTLIST_API void shortlist_model_close(shortlist_model* model);
/* The instruction set that this model uses, for example "avx2"; "" for NULL. */
SHORTLIST_API const char* shortlist_model_isa(const shortlist_model* model);
/* The number of items that can be recommended; 0 for NULL. */
SHORTLIST_API size_t shortlist_model_item_count(const shortlist_model* model);
/* The number of elements of a user vector; 0 for NULL. */
SHORTLIST_API size_t shortlist_model_vector_width(const shortlist_model* model);

/*
 * The number of user features, and the name of each in the order of the columns of the click log. These are the names
 * that shortlist_user_set accepts. The name is NULL if `index` is not less than the number.
 */
SHORTLIST_API size_t shortlist_model_feature_count(const shortlist_model* model);
SHORTLIST_API const char* shortlist_model_feature(const shortlist_model* model, size_t index);
/*
 * The number of fields of a click, and the name of each in the order that shortlist_user_add_click expects; the item is
 * first. The name is NULL if `index` is not less than the number.
 */
SHORTLIST_API size_t shortlist_model_click_field_count(const shortlist_model* model);
SHORTLIST_API const char* shortlist_model_click_field(const shortlist_model* model, size_t index);

/*
 * Creates a user whose features are all missing and whose click history is empty. Destroy it with
 * shortlist_user_destroy. On failure *user is NULL. Errors: SHORTLIST_ERROR_INPUT, SHORTLIST_ERROR_SYSTEM.
 */
SHORTLIST_API shortlist_status shortlist_user_create(const shortlist_model* model, shortlist_user** user,
                                                     shortlist_error* error);
/* Destroys a user; NULL is allowed. */
SHORTLIST_API void shortlist_user_destroy(shortlist_user* user);
/*
 * Sets one user feature. A numeric feature takes a decimal number as text. A feature with several values takes them
 * separated by "_". A column of searches takes the user's past queries separated by ";", the oldest first. Among
 * several values or queries, these characters and backslashes are escaped as in a log (docs/click_log.md). NULL, "",
 * "<unk>" and the words that the model's schema lists under "missing" mean that the value is missing. A token that is
 * not in the vocabulary is treated as missing, too.
 *
 * Errors: SHORTLIST_ERROR_INPUT if the model has no such feature, the text is not UTF-8, or a numeric feature is no
 * finite number, which leaves the user unchanged; SHORTLIST_ERROR_SYSTEM.
 */
SHORTLIST_API shortlist_status shortlist_user_set(shortlist_user* user, const char* feature, const char* token,
                                                  shortlist_error* error);
/*
 * Appends a click to the history, as the newest one. `tokens` has one token for each field of a click: `count` must be
 * shortlist_model_click_field_count, and the item is first. The values of a field with several values are separated by
 * "_" and escaped as in a log. A field of kind "time" must be a number or missing. Its value is not used, because
 * recommendations are always for the present. A field of kind "weight" must be a number of at least 0 or missing, and
 * is not used either. A field of kind "number" must be a number that float32 can hold, or missing. A field of kind
 * "ignore" takes any UTF-8 text.
 *
 * Errors: SHORTLIST_ERROR_INPUT, which leaves the user unchanged; SHORTLIST_ERROR_SYSTEM.
 */
SHORTLIST_API shortlist_status shortlist_user_add_click(shortlist_user* user, const char* const* tokens, size_t count,
                                                        shortlist_error* error);
/*
 * Appends a click on an item to the history, as the newest one, with the attributes that the item had in the training
 * log. They are missing for an item that the model does not know, and in models that were saved without them. Numbers
 * of the click are missing.
 *
 * Errors: SHORTLIST_ERROR_INPUT, which leaves the user unchanged; SHORTLIST_ERROR_SYSTEM.
 */
SHORTLIST_API shortlist_status shortlist_user_add_item(shortlist_user* user, const char* item, shortlist_error* error);
/*
 * Replaces all features and the history by those of one line of a click log, whose columns are those of the model's
 * schema (docs/click_log.md). The field of the clicks may be missing; the history is then empty.
 *
 * Errors: SHORTLIST_ERROR_INPUT, which leaves the user unchanged; SHORTLIST_ERROR_SYSTEM.
 */
SHORTLIST_API shortlist_status shortlist_user_set_line(shortlist_user* user, const char* line, shortlist_error* error);

/*
 * Computes the user vector u and writes its shortlist_model_vector_width elements to `vector`, which has room for
 * `capacity` elements. The score of an item is w·u + b, where w is the item's vector and b its bias. This is the inner
 * product of [1; u] and [b; w], which `shortlist vectors` exports.
 *
 * Errors: SHORTLIST_ERROR_INPUT if `capacity` is too small; SHORTLIST_ERROR_MODEL if an element is not finite;
 * SHORTLIST_ERROR_SYSTEM.
 */
SHORTLIST_API shortlist_status shortlist_user_vector(shortlist_user* user, float* vector, size_t capacity,
                                                     shortlist_error* error);
/*
 * Computes the vectors of many users in one run, which takes less time than a run for each. All users must be of one
 * model; a user may be given more than once. The vectors stand one behind the other in `vectors`, which has room for
 * `capacity` elements in all. Without users (`user_count` 0) nothing is done.
 *
 * Errors: those of shortlist_user_vector, and SHORTLIST_ERROR_INPUT for users of different models.
 */
SHORTLIST_API shortlist_status shortlist_users_vectors(shortlist_user* const* users, size_t user_count, float* vectors,
                                                       size_t capacity, shortlist_error* error);

typedef struct shortlist_item {
  const char* item;   /* the item's token; valid while the model is open or the user exists */
  float score;        /* w·u + b */
  double probability; /* exp(score) / sum of exp(score) over all items */
} shortlist_item;

/*
 * Writes the items with the highest scores to `items`, highest first, and their number to *count. There are at most
 * `capacity` of them. Items of the user's history are left out unless `keep_watched` is true.
 *
 * Errors: SHORTLIST_ERROR_INPUT for NULL pointers; SHORTLIST_ERROR_MODEL if a score is not finite;
 * SHORTLIST_ERROR_SYSTEM. On failure *count is 0.
 */
SHORTLIST_API shortlist_status shortlist_user_recommend(shortlist_user* user, bool keep_watched, shortlist_item* items,
                                                        size_t capacity, size_t* count, shortlist_error* error);
/*
 * Recommends items to many users in one run, which takes less time than a run for each. All users must be of one model;
 * a user may be given more than once. User i has room for `capacity` items from items[i * capacity] on, and the number
 * of the user's items is written to counts[i]. Without users (`user_count` 0) nothing is done.
 *
 * Errors: those of shortlist_user_recommend, and SHORTLIST_ERROR_INPUT for users of different models. On failure all
 * counts are 0.
 */
SHORTLIST_API shortlist_status shortlist_users_recommend(shortlist_user* const* users, size_t user_count,
                                                         bool keep_watched, shortlist_item* items, size_t capacity,
                                                         size_t* counts, shortlist_error* error);

/*
 * Which items a call may return. Begin with {0}: all items, except those of the user's history. Items that the model
 * does not know are ignored.
 */
typedef struct shortlist_candidates {
  const char* const* exclude; /* items that are not returned, or NULL */
  size_t exclude_count;
  const char* const* allow; /* the only items that may be returned, or NULL for all items */
  size_t allow_count;       /* 0 if `allow` is NULL */
  bool keep_watched;        /* whether to return items of the user's history, too */
} shortlist_candidates;

/*
 * shortlist_users_recommend among some candidates. `candidates` holds for all users; NULL is the same as {0}. If
 * `allow` is not NULL, only the allowed items are scored, which takes a time in proportion to their number, and
 * probabilities are shares among the allowed items. An item that is both excluded and allowed is not returned.
 *
 * Errors: those of shortlist_users_recommend, and SHORTLIST_ERROR_INPUT for a NULL item or one that is not UTF-8.
 */
SHORTLIST_API shortlist_status shortlist_users_recommend_among(shortlist_user* const* users, size_t user_count,
                                                               const shortlist_candidates* candidates,
                                                               shortlist_item* items, size_t capacity, size_t* counts,
                                                               shortlist_error* error);
/*
 * Computes the scores of some items for many users, with the same bits as on a shortlist. The score of item j for user
 * i is written to scores[i * item_count + j]; it is NAN for an item that the model does not know. `capacity` is the
 * number of scores that there is room for. All users must be of one model.
 *
 * Errors: SHORTLIST_ERROR_INPUT for NULL pointers, users of different models, an item that is not UTF-8, or too small a
 * `capacity`; SHORTLIST_ERROR_MODEL if a score is not finite; SHORTLIST_ERROR_SYSTEM.
 */
SHORTLIST_API shortlist_status shortlist_users_score(shortlist_user* const* users, size_t user_count,
                                                     const char* const* items, size_t item_count, float* scores,
                                                     size_t capacity, shortlist_error* error);

/* Whether the model knows an item; false for NULL. */
SHORTLIST_API bool shortlist_model_has_item(const shortlist_model* model, const char* item);

typedef struct shortlist_similar_item {
  const char* item; /* the item's token; valid while the model is open or a user of it exists */
  float similarity; /* cosine between the output weights of the two items */
} shortlist_similar_item;

/*
 * Finds the items that are most similar to each of some items: those that the same users would click next. For item i,
 * at most `capacity` of them are written from similar[i * capacity] on, most similar first and without the item itself,
 * and their number to counts[i]. It is 0 for an item that the model does not know. `candidates` may be NULL; its
 * `keep_watched` has no meaning here. The first call copies the output weights, which takes their memory once more.
 *
 * Errors: SHORTLIST_ERROR_INPUT for NULL pointers or an item that is not UTF-8; SHORTLIST_ERROR_MODEL if a similarity
 * is not finite; SHORTLIST_ERROR_SYSTEM. On failure all counts are 0.
 */
SHORTLIST_API shortlist_status shortlist_items_similar(const shortlist_model* model, const char* const* items,
                                                       size_t item_count, const shortlist_candidates* candidates,
                                                       shortlist_similar_item* similar, size_t capacity, size_t* counts,
                                                       shortlist_error* error);

#ifdef __cplusplus
}
#endif

#endif
