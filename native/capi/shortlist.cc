// The C binding: arguments are checked here, and every error becomes a status and a message.

#include "shortlist/shortlist.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "native/capi/handles.h"
#include "native/core/cpu.h"
#include "native/core/error.h"
#include "native/serve/model.h"

namespace {

using shortlist::Error;
using shortlist::Model;
using shortlist::Status;
using shortlist::User;

struct UserState {
  std::shared_ptr<const Model> model;
  User user;
  std::mutex turn;  // held by the call that uses the user
};

// They are never destroyed, so that calls from a program's own destructors find them.
shortlist::Handles<shortlist_model, const Model>& models() {
  static auto& handles = *new shortlist::Handles<shortlist_model, const Model>();
  return handles;
}

shortlist::Handles<shortlist_user, UserState>& users() {
  static auto& handles = *new shortlist::Handles<shortlist_user, UserState>();
  return handles;
}

shortlist_status status_of(Status status) {
  switch (status) {
    case Status::file: return SHORTLIST_ERROR_FILE;
    case Status::model:
    case Status::program: return SHORTLIST_ERROR_MODEL;
    case Status::input: return SHORTLIST_ERROR_INPUT;
    case Status::option: return SHORTLIST_ERROR_OPTION;
    case Status::ok:
    case Status::executor: break;
  }
  return SHORTLIST_ERROR_SYSTEM;
}

shortlist_status report(shortlist_error* error, shortlist_status status, const char* message) {
  if (error) {
    error->status = status;
    size_t length = std::strlen(message);
    if (length >= sizeof error->message) {
      length = sizeof error->message - 1;
      while (length > 0 && (message[length] & 0xc0) == 0x80) --length;  // no half of a character
    }
    std::memcpy(error->message, message, length);
    error->message[length] = 0;
  }
  return status;
}

template <class Body>
shortlist_status guarded(shortlist_error* error, const Body& body) {
  try {
    body();
    return report(error, SHORTLIST_OK, "");
  } catch (const Error& failure) {
    return report(error, status_of(failure.status()), failure.what());
  } catch (const std::bad_alloc&) {
    return report(error, SHORTLIST_ERROR_SYSTEM, "Expected more memory but the system has none left");
  } catch (const std::exception& failure) {
    return report(error, SHORTLIST_ERROR_SYSTEM, failure.what());
  } catch (...) {
    return report(error, SHORTLIST_ERROR_SYSTEM, "Unknown failure");
  }
}

void require(bool condition, const char* expectation) {
  if (!condition) throw Error(Status::input, std::string("Expected ") + expectation);
}

std::shared_ptr<const Model> open_model(const shortlist_model* handle) {
  std::shared_ptr<const Model> model = models().find(handle);
  require(model != nullptr, handle ? "a model that is open but received one that was closed or never opened"
                                   : "a model but received NULL");
  return model;
}

std::shared_ptr<UserState> open_user(const shortlist_user* handle) {
  std::shared_ptr<UserState> user = users().find(handle);
  require(user != nullptr, handle ? "a user that exists but received one that was destroyed or never created"
                                  : "a user but received NULL");
  return user;
}

// Calls body(user, model) when no other call uses the user.
template <class Body>
void in_turn(const shortlist_user* handle, const Body& body) {
  const std::shared_ptr<UserState> state = open_user(handle);
  const std::lock_guard<std::mutex> turn(state->turn);
  body(state->user, *state->model);
}

// Calls body(users, model) when no other call uses one of the users, who must all be of one model. Nothing is called
// for no users. Users are locked by their addresses, so that calls with the same users do not wait for each other.
template <class Body>
void in_turn(const shortlist_user* const* handles, size_t count, const Body& body) {
  std::vector<std::shared_ptr<UserState>> states;
  std::vector<const User*> known;
  for (size_t i = 0; i < count; ++i) {
    states.push_back(open_user(handles[i]));
    known.push_back(&states.back()->user);
    require(states.back()->model == states.front()->model, "users of one model but received users of several");
  }
  if (states.empty()) return;
  std::vector<UserState*> order;
  for (const std::shared_ptr<UserState>& state : states) order.push_back(state.get());
  std::sort(order.begin(), order.end(), std::less<UserState*>());
  order.erase(std::unique(order.begin(), order.end()), order.end());  // one may be given twice
  std::vector<std::unique_lock<std::mutex>> turns;
  for (UserState* state : order) turns.emplace_back(state->turn);
  body(known, *states.front()->model);
}

void write_items(const Model& model, const std::vector<shortlist::Recommendation>& best, shortlist_item* items) {
  for (const shortlist::Recommendation& one : best)
    *items++ = {model.item_token(one.item).data(), one.score, one.probability};
}

// The ids of items, in order; 0 for those that the model does not know.
std::vector<int32_t> item_ids(const Model& model, const char* const* items, size_t count) {
  require(count == 0 || items, "items but received NULL");
  std::vector<int32_t> ids;
  ids.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    require(items[i], "an item but received NULL");
    shortlist::check_text(model.click()[0].name, items[i]);
    ids.push_back(model.item_id(items[i]));
  }
  return ids;
}

shortlist::Candidates candidates_of(const Model& model, const shortlist_candidates* given) {
  shortlist::Candidates candidates;
  if (!given) return candidates;
  candidates.exclude = shortlist::known_items(item_ids(model, given->exclude, given->exclude_count));
  candidates.only_allowed = given->allow != nullptr;
  candidates.allow = shortlist::known_items(item_ids(model, given->allow, given->allow_count));
  candidates.keep_watched = given->keep_watched;
  return candidates;
}

// The number of items to ask for where there is room for `capacity`.
int64_t top_of(size_t capacity) { return capacity < INT32_MAX ? static_cast<int64_t>(capacity) : INT32_MAX; }

}  // namespace

extern "C" {

const char* shortlist_version(void) { return SHORTLIST_VERSION; }

const char* shortlist_isa(void) {
  try {
    return shortlist::select_isa("").name;
  } catch (...) {
    return "";
  }
}

shortlist_status shortlist_model_open(const char* folder, int threads, shortlist_model** model,
                                      shortlist_error* error) {
  if (model) *model = nullptr;
  return guarded(error, [&] {
    require(folder && model, "a folder and a place for the model");
    *model = models().open(Model::open(folder, shortlist::checked_thread_count(threads)));
  });
}

void shortlist_model_close(shortlist_model* model) { models().close(model); }

const char* shortlist_model_isa(const shortlist_model* handle) {
  const auto model = models().find(handle);
  return model ? model->isa() : "";
}

size_t shortlist_model_item_count(const shortlist_model* handle) {
  const auto model = models().find(handle);
  return model ? static_cast<size_t>(model->item_count()) : 0;
}

size_t shortlist_model_vector_width(const shortlist_model* handle) {
  const auto model = models().find(handle);
  return model ? static_cast<size_t>(model->vector_width()) : 0;
}

size_t shortlist_model_feature_count(const shortlist_model* handle) {
  const auto model = models().find(handle);
  return model ? model->user_features().size() : 0;
}

const char* shortlist_model_feature(const shortlist_model* handle, size_t index) {
  const auto model = models().find(handle);
  return model && index < model->user_features().size() ? model->user_features()[index].c_str() : nullptr;
}

size_t shortlist_model_click_field_count(const shortlist_model* handle) {
  const auto model = models().find(handle);
  return model ? model->click().size() : 0;
}

const char* shortlist_model_click_field(const shortlist_model* handle, size_t index) {
  const auto model = models().find(handle);
  return model && index < model->click().size() ? model->click()[index].name.c_str() : nullptr;
}

shortlist_status shortlist_user_create(const shortlist_model* handle, shortlist_user** user, shortlist_error* error) {
  if (user) *user = nullptr;
  return guarded(error, [&] {
    require(user, "a place for the user");
    const auto state = std::make_shared<UserState>();
    state->model = open_model(handle);
    state->user = state->model->encoding().new_user();
    *user = users().open(state);
  });
}

void shortlist_user_destroy(shortlist_user* user) { users().close(user); }

shortlist_status shortlist_user_set(shortlist_user* user, const char* feature, const char* token,
                                    shortlist_error* error) {
  return guarded(error, [&] {
    require(feature, "the name of a feature but received NULL");
    in_turn(user, [&](User& known, const Model& model) { model.encoding().set(&known, feature, token ? token : ""); });
  });
}

shortlist_status shortlist_user_add_click(shortlist_user* user, const char* const* tokens, size_t count,
                                          shortlist_error* error) {
  return guarded(error, [&] {
    in_turn(user, [&](User& known, const Model& model) {
      require(tokens, "the tokens of a click but received NULL");
      if (count != model.click().size()) {
        throw Error(Status::input, "Expected " + std::to_string(model.click().size()) +
                                       " fields of a click but received " + std::to_string(count));
      }
      std::vector<std::string> fields;
      for (size_t i = 0; i < count; ++i) fields.push_back(tokens[i] ? tokens[i] : "");
      model.encoding().add_click(&known, fields);
    });
  });
}

shortlist_status shortlist_user_add_item(shortlist_user* user, const char* item, shortlist_error* error) {
  return guarded(error, [&] {
    require(item, "an item but received NULL");
    in_turn(user, [&](User& known, const Model& model) { model.add_item(&known, item); });
  });
}

shortlist_status shortlist_user_set_line(shortlist_user* user, const char* line, shortlist_error* error) {
  return guarded(error, [&] {
    require(line, "a line but received NULL");
    in_turn(user, [&](User& known, const Model& model) { known = model.encoding().parse_line(line); });
  });
}

shortlist_status shortlist_user_vector(shortlist_user* user, float* vector, size_t capacity, shortlist_error* error) {
  return shortlist_users_vectors(&user, 1, vector, capacity, error);
}

shortlist_status shortlist_users_vectors(shortlist_user* const* users, size_t user_count, float* vectors,
                                         size_t capacity, shortlist_error* error) {
  return guarded(error, [&] {
    require(user_count == 0 || (users && vectors), "users and room for their vectors but received NULL");
    in_turn(users, user_count, [&](const std::vector<const User*>& known, const Model& model) {
      const size_t width = static_cast<size_t>(model.vector_width());
      if (capacity / width < user_count) {
        throw Error(Status::input, "Expected room for shortlist_model_vector_width elements a user, " +
                                       std::to_string(width) + ", but received room for " + std::to_string(capacity));
      }
      const std::vector<float> values = model.user_vectors(known);
      std::memcpy(vectors, values.data(), values.size() * sizeof(float));
    });
  });
}

shortlist_status shortlist_user_recommend(shortlist_user* user, bool keep_watched, shortlist_item* items,
                                          size_t capacity, size_t* count, shortlist_error* error) {
  return shortlist_users_recommend(&user, 1, keep_watched, items, capacity, count, error);
}

shortlist_status shortlist_users_recommend(shortlist_user* const* users, size_t user_count, bool keep_watched,
                                           shortlist_item* items, size_t capacity, size_t* counts,
                                           shortlist_error* error) {
  shortlist_candidates candidates = {};
  candidates.keep_watched = keep_watched;
  return shortlist_users_recommend_among(users, user_count, &candidates, items, capacity, counts, error);
}

shortlist_status shortlist_users_recommend_among(shortlist_user* const* users, size_t user_count,
                                                 const shortlist_candidates* candidates, shortlist_item* items,
                                                 size_t capacity, size_t* counts, shortlist_error* error) {
  if (counts) std::fill(counts, counts + user_count, 0);
  return guarded(error, [&] {
    require(user_count == 0 || (users && counts), "users and room for the numbers of their items but received NULL");
    require(user_count == 0 || capacity == 0 || items, "room for items but received NULL");
    in_turn(users, user_count, [&](const std::vector<const User*>& known, const Model& model) {
      const auto lists = model.recommend(known, top_of(capacity), candidates_of(model, candidates));
      for (size_t user = 0; user < lists.size(); ++user) {
        write_items(model, lists[user], items + user * capacity);
        counts[user] = lists[user].size();
      }
    });
  });
}

shortlist_status shortlist_users_score(shortlist_user* const* users, size_t user_count, const char* const* items,
                                       size_t item_count, float* scores, size_t capacity, shortlist_error* error) {
  return guarded(error, [&] {
    require(user_count == 0 || (users && (item_count == 0 || scores)),
            "users and room for their scores but received NULL");
    in_turn(users, user_count, [&](const std::vector<const User*>& known, const Model& model) {
      const std::vector<int32_t> ids = item_ids(model, items, item_count);
      if (item_count > 0 && capacity / item_count < user_count) {
        throw Error(Status::input, "Expected room for " + std::to_string(item_count) + " scores a user but received " +
                                       "room for " + std::to_string(capacity));
      }
      const std::vector<float> values = model.score(known, ids);
      if (!values.empty()) std::memcpy(scores, values.data(), values.size() * sizeof(float));
    });
  });
}

bool shortlist_model_has_item(const shortlist_model* handle, const char* item) {
  const auto model = models().find(handle);
  return model && item && model->item_id(item) != 0;
}

shortlist_status shortlist_items_similar(const shortlist_model* handle, const char* const* items, size_t item_count,
                                         const shortlist_candidates* candidates, shortlist_similar_item* similar,
                                         size_t capacity, size_t* counts, shortlist_error* error) {
  if (counts) std::fill(counts, counts + item_count, 0);
  return guarded(error, [&] {
    const std::shared_ptr<const Model> model = open_model(handle);
    require(item_count == 0 || counts, "room for the numbers of similar items but received NULL");
    require(item_count == 0 || capacity == 0 || similar, "room for similar items but received NULL");
    const std::vector<int32_t> ids = item_ids(*model, items, item_count);
    const auto lists = model->similar(ids, top_of(capacity), candidates_of(*model, candidates));
    for (size_t i = 0; i < lists.size(); ++i) {
      for (size_t j = 0; j < lists[i].size(); ++j)
        similar[i * capacity + j] = {model->item_token(lists[i][j].item).data(), lists[i][j].similarity};
      counts[i] = lists[i].size();
    }
  });
}

}  // extern "C"
