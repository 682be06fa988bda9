#include "native/data/ingest.h"

#include <string>
#include <vector>

#include "native/core/json.h"
#include "native/data/click_cache.h"
#include "test/native/check.h"

using namespace shortlist;

namespace {

const char* const kSchema = R"({"columns":[{"name":"user_id","kind":"ignore"},{"name":"city"},
  {"name":"age","kind":"number"},{"name":"clicks"}],
  "click":[{"name":"item"},{"name":"tags","multiple":true},{"name":"time","kind":"time"},
           {"name":"shown","kind":"ignore"},{"name":"seen","kind":"weight"},
           {"name":"price","kind":"number"}]})";

uint32_t next(uint32_t* state) { return (*state = *state * 1664525 + 1013904223) >> 8; }

// About 2 MB: some segments. Every 97th line is bad, and some are empty.
std::string random_log(int lines) {
  uint32_t state = 5;
  std::string log;
  for (int line = 0; line < lines; ++line) {
    if (line % 97 == 13) log += "bad";
    if (line % 97 == 13 || line % 211 == 17) {
      log += '\n';
      continue;
    }
    const uint32_t user = next(&state) % 3 == 0 ? next(&state) % 50 : static_cast<uint32_t>(line) + 1000;
    log += "user" + std::to_string(user) + "\tcity-with-a-long-name-" + std::to_string(next(&state) % 40) + "\t" +
           (line % 5 == 0 ? "" : std::to_string(next(&state) % 90)) + "\t";
    const uint32_t clicks = 1 + next(&state) % 30;
    for (uint32_t i = 0; i < clicks; ++i) {
      const uint32_t item = next(&state) % (1 + next(&state) % 20000);
      log += (i > 0 ? ";v" : "v") + std::to_string(item) + ":t" + std::to_string(item % 7) + "_" +
             (item % 3 == 0 ? "" : "t" + std::to_string(item % 300)) + ":" + std::to_string(1000 + i) + ":note_" +
             std::to_string(i) + (i % 4 == 1 ? ":" : ":0." + std::to_string(item % 10)) +
             (i % 5 == 1 ? ":NULL" : ":-" + std::to_string(item % 90));
    }
    log += line % 2 == 0 ? "\r\n" : "\n";
  }
  return log + "the last line lacks its end";
}

// All that is read of a log.
std::string read(const std::string& log, int threads, size_t first, size_t step) {
  IngestOptions options;
  options.stop_at_bad_line = false;
  options.max_line_bytes = 4000;
  Ingest ingest(Schema::parse(Json::parse(kSchema)), options, threads);
  for (int times = 0; times < 2; ++times) {
    ingest.begin_log();
    for (size_t at = 0, size = first; at < log.size(); at += size, size = step)
      ingest.add(std::string_view(log).substr(at, size));
    ingest.end_log();
  }
  std::string text = std::to_string(ingest.rows()) + " " + std::to_string(ingest.clicks());
  for (const Ingest::Counts& counts : ingest.logs())
    text += " " + std::to_string(counts.lines) + " " + std::to_string(counts.skipped);
  for (const Ingest::BadLine& bad : ingest.bad_lines())
    text += "\n" + std::to_string(bad.log) + ":" + std::to_string(bad.line) + ": " + bad.problem;
  const auto add = [&](const auto& values) {
    for (const auto value : values) text += " " + std::to_string(value);
    text += "\n";
  };
  const std::vector<int64_t> limits = {1, 2, 0, 1};
  for (size_t f = 0; f < ingest.features(); ++f) {
    const TokenTable::Vocabulary vocabulary = ingest.vocabulary(f, limits[f]);
    std::vector<int32_t> ids(static_cast<size_t>(ingest.values(f)));
    ingest.take_ids(f, vocabulary.ids, ids.data());
    text += "\n" + vocabulary.lines;
    add(ids);
  }
  std::vector<int32_t> offsets(static_cast<size_t>(ingest.clicks()) + 1), rows(static_cast<size_t>(ingest.rows()) + 1);
  std::vector<float> numbers(static_cast<size_t>(ingest.rows()));
  std::vector<double> times(static_cast<size_t>(ingest.clicks()));
  CHECK(ingest.is_multiple(2) && !ingest.is_multiple(0) && !ingest.is_multiple(1) && !ingest.is_multiple(3));
  ingest.take_offsets(2, offsets.data());
  ingest.take_click_offsets(rows.data());
  ingest.take_numbers(0, numbers.data());
  ingest.take_times(times.data());
  std::vector<float> weights(static_cast<size_t>(ingest.clicks()));
  ingest.take_weights(weights.data());
  add(weights);
  std::vector<float> prices(static_cast<size_t>(ingest.clicks()));
  CHECK(ingest.click_number_fields() == 1);
  ingest.take_click_numbers(0, prices.data());
  add(prices);
  add(offsets);
  add(rows);
  add(numbers);
  add(times);
  return text;
}

void test_click_cache() {
  ClickCache cache(8);
  std::vector<int32_t> numbers;
  for (int32_t i = 0; i < 16; ++i) numbers.push_back(i);
  const auto is_kept = [&](const std::string& text, size_t count) {
    cache.put(HashedToken(text), numbers.data(), count);
    const int32_t* const found = cache.find(HashedToken(text));
    return found != nullptr && std::vector<int32_t>(found, found + count) ==
                                   std::vector<int32_t>(numbers.begin(), numbers.begin() + static_cast<int>(count));
  };
  CHECK(cache.find(HashedToken("a:b")) == nullptr);
  CHECK(is_kept("a:b", 2) && is_kept("a:" + std::string(62, 'b'), 14));
  CHECK(!is_kept("a:" + std::string(63, 'b'), 2) && !is_kept("a:c", 15));
  int replaced = 0;
  for (int i = 0; i < 20; ++i) {
    CHECK(is_kept("v" + std::to_string(i), 3));
    for (int j = 0; j < i; ++j) replaced += cache.find(HashedToken("v" + std::to_string(j))) == nullptr;
  }
  CHECK(replaced > 0);
}

// It is tried again and again whether looking up pays.
void test_click_cache_pays() {
  ClickCache cache(64);
  const int32_t number = 7;
  int paid = 0;
  for (int segment = 0; segment < 100; ++segment) {
    if (!cache.pays()) continue;
    ++paid;
    for (int i = 0; i < 100; ++i) {
      // From the 50th segment on, all clicks are the same.
      const std::string text = "v" + std::to_string(segment < 50 ? 1000 * segment + i : 0);
      if (!cache.find(HashedToken(text))) cache.put(HashedToken(text), &number, 1);
    }
  }
  CHECK(paid > 35 && paid < 60);
}

void test_same_for_all_divisions() {
  const std::string log = random_log(4000);
  const std::string expected = read(log, 1, log.size(), log.size());
  CHECK(expected.find("0:14: field 2 (city): Expected 4 fields separated by tabs but received 1") != std::string::npos);
  CHECK(expected.find("0:18: Expected 4 fields but received an empty line") != std::string::npos);
  for (const int threads : {1, 3}) {
    for (const size_t step : {size_t{1009}, size_t{300000}}) {
      for (const size_t first : {size_t{1}, size_t{257}}) {
        CHECK(read(log, threads, first, step) == expected);
      }
    }
  }
}

// A log as bytes, and where its lines begin and end.
void test_lines() {
  const std::string bom = "\xef\xbb\xbf";
  const auto problems = [&](const std::string& log, size_t step, bool stop) {
    IngestOptions options;
    options.stop_at_bad_line = stop;
    options.max_line_bytes = 10;
    Ingest ingest(Schema::parse(Json::parse(R"({"columns":[{"name":"clicks"}],"click":[{"name":"item"}]})")), options,
                  2);
    ingest.begin_log();
    for (size_t at = 0; at < log.size(); at += step) ingest.add(std::string_view(log).substr(at, step));
    ingest.end_log();
    std::string text = std::to_string(ingest.rows()) + " rows";
    for (const Ingest::BadLine& bad : ingest.bad_lines())
      text += "; " + std::to_string(bad.line) + ": " + bad.problem.substr(9);
    return text;
  };
  const std::string many = "a;b\n12345678901\n\nc\n" + bom + "1234567890\r\n" + std::string(50, 'x') + "\nd\n\n";
  for (size_t step = 1; step < many.size() + 2; ++step) {
    CHECK_TEXT(
        problems(many, step, false),
        "4 rows; 2: at most 10 bytes in a line (--max-line-bytes) but received more; 3: 1 fields but received an "
        "empty line; 6: at most 10 bytes in a line (--max-line-bytes) but received more");
    CHECK_TEXT(problems(many, step, true),
               "1 rows; 2: at most 10 bytes in a line (--max-line-bytes) but received more");
    CHECK_TEXT(problems("a\n\n\n", step, false), "1 rows; 2: 1 fields but received an empty line");
    CHECK_TEXT(problems("a\n" + bom + "\r", step, false), "1 rows");
    CHECK_TEXT(problems("a\n\nb", step, true), "1 rows; 2: 1 fields but received an empty line");
  }
  CHECK_TEXT(problems("", 1, true), "0 rows");
}

void test_hash() {
  // Tokens of every length differ in one byte; none is read beyond its end (under the address sanitizer).
  for (size_t length = 1; length < 70; ++length) {
    const std::vector<char> zeros(length, 'a');
    const uint64_t hash = HashedToken({zeros.data(), length}).hash;
    for (size_t i = 0; i < length; ++i) {
      std::vector<char> other = zeros;
      other[i] = 'b';
      CHECK(HashedToken({other.data(), length}).hash != hash);
    }
  }
}

}  // namespace

int main() {
  test_click_cache();
  test_click_cache_pays();
  test_same_for_all_divisions();
  test_lines();
  test_hash();
  return failures() > 0;
}
