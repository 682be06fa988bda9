// The C binding: arguments are checked here, and every error becomes a status and a message.

#include "shortlist/shortlist.h"

#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "native/core/cpu.h"
#include "native/core/error.h"
#include "native/serve/model.h"

struct shortlist_model {
  std::shared_ptr<const shortlist::Model> model;
};

struct shortlist_user {
  std::shared_ptr<const shortlist::Model> model;  // may outlive its handle
  shortlist::User user;
  std::mutex turn;  // of the calls on this user
};

namespace {

using shortlist::Error;
using shortlist::Model;
using shortlist::Status;
using shortlist::User;

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

// Calls body(user, model) when it is this call's turn with the user.
template <class Body>
void in_turn(shortlist_user* handle, const Body& body) {
  const std::lock_guard<std::mutex> turn(handle->turn);
  body(handle->user, *handle->model);
}

void require(bool condition, const char* expectation) {
  if (!condition) throw Error(Status::input, std::string("Expected ") + expectation);
}

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
    if (threads < 1 || threads > 1024)
      throw Error(Status::option, "Expected 1 to 1024 threads but received " + std::to_string(threads));
    auto opened = std::make_unique<shortlist_model>();
    opened->model = shortlist::Model::open(folder, threads);
    *model = opened.release();
  });
}

void shortlist_model_close(shortlist_model* model) { delete model; }

const char* shortlist_model_isa(const shortlist_model* model) { return model ? model->model->isa() : ""; }

size_t shortlist_model_item_count(const shortlist_model* model) {
  return model ? static_cast<size_t>(model->model->item_count()) : 0;
}

size_t shortlist_model_vector_width(const shortlist_model* model) {
  return model ? static_cast<size_t>(model->model->vector_width()) : 0;
}

size_t shortlist_model_feature_count(const shortlist_model* model) {
  return model ? model->model->user_features().size() : 0;
}

const char* shortlist_model_feature(const shortlist_model* model, size_t index) {
  return index < shortlist_model_feature_count(model) ? model->model->user_features()[index].c_str() : nullptr;
}

size_t shortlist_model_click_field_count(const shortlist_model* model) {
  return model ? model->model->click().size() : 0;
}

const char* shortlist_model_click_field(const shortlist_model* model, size_t index) {
  return index < shortlist_model_click_field_count(model) ? model->model->click()[index].name.c_str() : nullptr;
}

shortlist_status shortlist_user_create(const shortlist_model* model, shortlist_user** user, shortlist_error* error) {
  if (user) *user = nullptr;
  return guarded(error, [&] {
    require(model && user, "a model and a place for the user");
    *user = new shortlist_user{model->model, model->model->encoding().new_user(), {}};
  });
}

void shortlist_user_destroy(shortlist_user* user) { delete user; }

shortlist_status shortlist_user_set(shortlist_user* user, const char* feature, const char* token,
                                    shortlist_error* error) {
  return guarded(error, [&] {
    require(user && feature, "a user and a feature");
    in_turn(user, [&](User& known, const Model& model) { model.encoding().set(&known, feature, token ? token : ""); });
  });
}

shortlist_status shortlist_user_add_click(shortlist_user* user, const char* const* tokens, size_t count,
                                          shortlist_error* error) {
  return guarded(error, [&] {
    require(user && tokens, "a user and the tokens of a click");
    std::vector<std::string> fields;
    for (size_t i = 0; i < count; ++i) fields.push_back(tokens[i] ? tokens[i] : "");
    in_turn(user, [&](User& known, const Model& model) { model.encoding().add_click(&known, fields); });
  });
}

shortlist_status shortlist_user_set_line(shortlist_user* user, const char* line, shortlist_error* error) {
  return guarded(error, [&] {
    require(user && line, "a user and a line");
    in_turn(user, [&](User& known, const Model& model) { known = model.encoding().parse_line(line); });
  });
}

shortlist_status shortlist_user_vector(shortlist_user* user, float* vector, size_t capacity, shortlist_error* error) {
  return guarded(error, [&] {
    require(user && vector, "a user and a place for the vector");
    in_turn(user, [&](User& known, const Model& model) {
      require(capacity >= static_cast<size_t>(model.vector_width()), "room for shortlist_model_vector_width elements");
      const std::vector<float> values = model.user_vectors({&known});
      std::memcpy(vector, values.data(), values.size() * sizeof(float));
    });
  });
}

shortlist_status shortlist_user_recommend(shortlist_user* user, bool keep_watched, shortlist_item* items,
                                          size_t capacity, size_t* count, shortlist_error* error) {
  if (count) *count = 0;
  return guarded(error, [&] {
    require(user && count && (items || capacity == 0), "a user and places for items and their count");
    const int64_t top = capacity < INT32_MAX ? static_cast<int64_t>(capacity) : INT32_MAX;
    in_turn(user, [&](User& known, const Model& model) {
      const auto best = std::move(model.recommend({&known}, top, keep_watched)[0]);
      for (size_t i = 0; i < best.size(); ++i)
        items[i] = {model.item_token(best[i].item).data(), best[i].score, best[i].probability};
      *count = best.size();
    });
  });
}

}  // extern "C"
