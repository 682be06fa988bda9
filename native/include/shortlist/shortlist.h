/*
 * libshortlist: serves a model folder that `shortlist train` wrote, without Node.
 *
 * Every call returns a status and, where one is given, fills a caller-owned shortlist_error. Handles are opaque;
 * buffers are the caller's, their sizes stand beside them. Nothing is printed, thrown or aborted. Texts are UTF-8.
 *
 * Threads: any of them may call at any time. An opened model never changes, and its users are independent of each
 * other: calls on different users of one model run side by side, over one copy of its weights. Calls on one user take
 * turns. A handle must not be in use when it is destroyed.
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
  SHORTLIST_ERROR_FILE = 1,   /* a file cannot be read */
  SHORTLIST_ERROR_MODEL = 2,  /* a model folder is incomplete, cut short or does not fit itself */
  SHORTLIST_ERROR_INPUT = 3,  /* an argument is missing, too small or out of range */
  SHORTLIST_ERROR_OPTION = 4, /* an impossible number of threads or instruction set */
  SHORTLIST_ERROR_SYSTEM = 5  /* out of memory, or a fault of the library itself */
} shortlist_status;

typedef struct shortlist_error {
  shortlist_status status;
  char message[512]; /* UTF-8, ended by 0 */
} shortlist_error;

typedef struct shortlist_model shortlist_model;
typedef struct shortlist_user shortlist_user;

/* "0.1.0" */
SHORTLIST_API const char* shortlist_version(void);
/* The instruction set that models will be run with, e.g. "avx2"; "" where SHORTLIST_ISA names one that is not usable.
 */
SHORTLIST_API const char* shortlist_isa(void);

/*
 * Opens a model folder; one that is replaced meanwhile is opened in its old version or in its new one. `threads`, at
 * least 1, is how many threads may compute one call, the caller's included; while one call has the others, further
 * calls compute on their callers' threads, with the same results. SHORTLIST_ISA in the environment forces an
 * instruction set. On error *model is NULL.
 */
SHORTLIST_API shortlist_status shortlist_model_open(const char* folder, int threads, shortlist_model** model,
                                                    shortlist_error* error);
/* NULL is fine. Its memory is freed at once, or with the last of its users, who can be asked until then. */
SHORTLIST_API void shortlist_model_close(shortlist_model* model);
/* The instruction set of the kernels, e.g. "avx2". */
SHORTLIST_API const char* shortlist_model_isa(const shortlist_model* model);
/* Items that can be recommended. */
SHORTLIST_API size_t shortlist_model_item_count(const shortlist_model* model);
/* Elements of a user vector. */
SHORTLIST_API size_t shortlist_model_vector_width(const shortlist_model* model);

/* The user features, for shortlist_user_set, in the order of the model's columns; NULL past the last one. */
SHORTLIST_API size_t shortlist_model_feature_count(const shortlist_model* model);
SHORTLIST_API const char* shortlist_model_feature(const shortlist_model* model, size_t index);
/* The fields of a click, the item first; NULL past the last one. */
SHORTLIST_API size_t shortlist_model_click_field_count(const shortlist_model* model);
SHORTLIST_API const char* shortlist_model_click_field(const shortlist_model* model, size_t index);

/* A user of whom nothing is known yet: every feature is missing, the history is empty. */
SHORTLIST_API shortlist_status shortlist_user_create(const shortlist_model* model, shortlist_user** user,
                                                     shortlist_error* error);
SHORTLIST_API void shortlist_user_destroy(shortlist_user* user);
/* Sets a user feature by the name of its column; numbers as text. NULL, "", "<unk>", the words of the schema's
 * "missing" and unknown tokens count as missing. */
SHORTLIST_API shortlist_status shortlist_user_set(shortlist_user* user, const char* feature, const char* token,
                                                  shortlist_error* error);
/*
 * Adds the newest click: one token for each field of the model's clicks (`count` of them), the item first; the values
 * of a multi-valued field are separated by "_". A field of kind "time" is a number or missing; it is not read: what is
 * asked for is what the user would watch now.
 */
SHORTLIST_API shortlist_status shortlist_user_add_click(shortlist_user* user, const char* const* tokens, size_t count,
                                                        shortlist_error* error);
/* Replaces all of it by a line of a click log in the model's schema; the clicks may be missing. */
SHORTLIST_API shortlist_status shortlist_user_set_line(shortlist_user* user, const char* line, shortlist_error* error);

/* Writes u [shortlist_model_vector_width]; `capacity` elements must be enough. [1; u] · [b; w] is an item's score. */
SHORTLIST_API shortlist_status shortlist_user_vector(shortlist_user* user, float* vector, size_t capacity,
                                                     shortlist_error* error);

typedef struct shortlist_item {
  const char* item;   /* owned by the model: valid until it is closed and the user destroyed */
  float score;        /* w·u + b */
  double probability; /* exp(score) / sum of exp(score) over all items */
} shortlist_item;

/*
 * Writes the best items, best first, and how many there are to *count (at most `capacity`). Items of the history are
 * left out unless keep_watched.
 */
SHORTLIST_API shortlist_status shortlist_user_recommend(shortlist_user* user, bool keep_watched, shortlist_item* items,
                                                        size_t capacity, size_t* count, shortlist_error* error);

#ifdef __cplusplus
}
#endif

#endif
