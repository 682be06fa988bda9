#include "native/serve/encoding.h"

#include <cmath>
#include <string_view>

#include "native/core/error.h"
#include "native/core/text.h"

namespace shortlist {
namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end; (end = text.find(separator, begin)) != std::string::npos; begin = end + 1)
    parts.push_back(text.substr(begin, end - begin));
  parts.push_back(text.substr(begin));
  return parts;
}

// What a text may hold.
void check_text(const std::string& name, std::string_view text) {
  if (!is_utf8(text))
    throw Error(Status::input, "Expected UTF-8 text for " + quoted(name) + " but received other bytes");
  if (text.find('\0') != std::string_view::npos)
    throw Error(Status::input, "Expected text without NUL bytes for " + quoted(name) + " but received one");
}

}  // namespace

User Encoding::new_user() const {
  return {std::vector<int32_t>(config.columns.size(), 0), std::vector<float>(config.columns.size(), 0), {}};
}

int32_t Encoding::id_of(const std::string& feature, const std::string& token) const {
  return is_missing(token) ? 0 : vocabularies.at(feature).id(token);
}

void Encoding::check_time(const std::string& name, const std::string& token) const {
  if (is_missing(token) || (is_decimal(token) && std::isfinite(parse_decimal(token)))) return;
  throw Error(Status::input, "Expected a number for " + quoted(name) + " but received " + quoted(token));
}

void Encoding::set_column(User& user, size_t column, const std::string& token) const {
  const Column& what = config.columns[column];
  check_text(what.name, token);
  if (what.kind == Column::Kind::categorical) {
    user.tokens[column] = id_of(what.name, token);
  } else if (what.kind == Column::Kind::number) {
    user.numbers[column] = 0;
    if (is_missing(token)) return;
    const float value =
        is_decimal(token) ? static_cast<float>(parse_decimal(token)) : HUGE_VALF;  // a dataset holds float32
    if (!std::isfinite(value))
      throw Error(Status::input, "Expected a number for " + quoted(what.name) + " but received " + quoted(token));
    const double scale = what.deviation > 0 ? 1 / what.deviation : 1;
    user.numbers[column] = static_cast<float>((static_cast<double>(value) - what.mean) * scale);
  }
}

void Encoding::set(User& user, const std::string& feature, const std::string& token) const {
  for (size_t column = 0; column < config.columns.size(); ++column) {
    const Column::Kind kind = config.columns[column].kind;
    if (config.columns[column].name != feature || (kind != Column::Kind::categorical && kind != Column::Kind::number))
      continue;
    set_column(user, column, token);
    return;
  }
  throw Error(Status::input, "The model has no user feature " + quoted(feature));
}

void Encoding::add_click(User& user, const std::vector<std::string>& tokens) const {
  if (tokens.size() != config.click.size()) {
    throw Error(Status::input, "Expected " + std::to_string(config.click.size()) + " fields of a click but received " +
                                   std::to_string(tokens.size()));
  }
  if (tokens[0].empty()) throw Error(Status::input, "Expected an item but received an empty field");
  std::vector<std::vector<int32_t>> ids(config.click.size());
  for (size_t field = 0; field < config.click.size(); ++field) {
    check_text(config.click[field].name, tokens[field]);
    if (config.click[field].is_time) {
      check_time(config.click[field].name, tokens[field]);
      continue;
    }
    const std::string& name = config.click[field].name;
    if (config.click[field].multiple) {
      for (const std::string& token : split(tokens[field], '_')) ids[field].push_back(id_of(name, token));
    } else {
      ids[field].push_back(id_of(name, tokens[field]));
    }
  }
  user.clicks.push_back(std::move(ids));
}

User Encoding::parse_line(const std::string& line) const {
  const size_t begin = line.compare(0, 3, "\xef\xbb\xbf") == 0 ? 3 : 0;  // a byte order mark
  size_t end = line.size();
  if (end > begin && line[end - 1] == '\n') --end;
  if (end > begin && line[end - 1] == '\r') --end;
  check_text("the line", line);
  if (static_cast<int64_t>(end - begin) > config.max_line_bytes) {
    throw Error(Status::input, "Expected at most " + std::to_string(config.max_line_bytes) +
                                   " bytes in a line but received " + std::to_string(end - begin));
  }
  const std::vector<std::string> fields = split(line.substr(begin, end - begin), '\t');
  if (fields.size() != config.columns.size()) {
    throw Error(Status::input, "Expected " + std::to_string(config.columns.size()) + " fields but received " +
                                   std::to_string(fields.size()));
  }
  User user = new_user();
  for (size_t column = 0; column < config.columns.size(); ++column) {
    if (config.columns[column].kind == Column::Kind::clicks) {
      if (is_missing(fields[column])) continue;  // a user without clicks
      for (const std::string& click : split(fields[column], ';')) add_click(user, split(click, ':'));
    } else {
      set_column(user, column, fields[column]);
    }
  }
  return user;
}

}  // namespace shortlist
