#include "native/core/safetensors.h"

#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "test/native/check.h"

using namespace shortlist;

namespace {

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& bytes) {
    const int file = mkstemp(path_);
    if (file < 0 || write(file, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      report(__FILE__, __LINE__, "cannot write");
    close(file);
  }
  ~TemporaryFile() { unlink(path_); }
  const char* path() const { return path_; }

 private:
  char path_[32] = "/tmp/shortlist_test_XXXXXX";
};

std::string with_header(const std::string& header, const std::string& data) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(uint64_t{header.size()} >> (8 * i));
  return bytes + header + data;
}

std::string mistake(const std::string& bytes) {
  const TemporaryFile file(bytes);
  const std::string message = error_of(Status::model, [&] { Safetensors{file.path()}; });
  const std::string prefix = std::string(file.path()) + ": ";
  return message.rfind(prefix, 0) == 0 ? message.substr(prefix.size()) : message;
}

std::string mistake(const std::string& header, const std::string& data) { return mistake(with_header(header, data)); }

bool starts_with(const std::string& text, const char* start) { return text.rfind(start, 0) == 0; }

const float numbers[3] = {1, -2, 3.5f};
const std::string data(reinterpret_cast<const char*>(numbers), sizeof numbers);

void check_reading() {
  const TemporaryFile file(with_header(
      "{\"__metadata__\":{\"format\":\"pt\"},\"b\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[4,12]},"
      "\"empty\":{\"dtype\":\"I32\",\"shape\":[0,7],\"data_offsets\":[4,4]},"
      "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}   ",
      data));
  const Safetensors tensors(file.path());
  CHECK(tensors.entries().size() == 3);
  CHECK_TEXT(tensors.entries()[0].name, "a");
  CHECK(tensors.find_metadata("format") != nullptr && *tensors.find_metadata("format") == "pt" &&
        tensors.find_metadata("id") == nullptr);
  const Safetensors::Entry* b = tensors.find("b");
  CHECK(b != nullptr && b->elements == 2 && b->bytes == 8 && b->shape == (std::vector<int64_t>{2, 1}) &&
        b->dtype == "F32");
  float read[2];
  tensors.read(*b, 0, 8, read);
  CHECK(std::memcmp(read, numbers + 1, 8) == 0);
  tensors.read(*b, 4, 4, read);
  CHECK(read[0] == numbers[2]);
  CHECK(tensors.find("c") == nullptr);
  CHECK(error_of(Status::file, [] {
          Safetensors{"/tmp/shortlist_test_missing"};
        }).rfind("/tmp/shortlist_test_missing: ", 0) == 0);
}

std::string tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{\"t\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}";
}

void check_headers() {
  CHECK_TEXT(mistake(tensor("F32", "[3]", "[0,12]"), data), "no error");
  CHECK_TEXT(mistake(""), "expected a safetensors file but it has 0 bytes");
  CHECK(starts_with(mistake(std::string(8, '\xff')), "expected a header of at most 0 bytes"));
  CHECK(starts_with(mistake(with_header(tensor("F32", "[3]", "[0,12]"), data).substr(0, 20)),
                    "expected a header of at most 12 bytes"));
  CHECK(starts_with(mistake("{\"t\":", ""), "header: JSON: expected"));
  CHECK_TEXT(mistake("[]", ""), "header: expected an object");
  CHECK_TEXT(mistake(" {}", ""), "header: expected an object");
  CHECK_TEXT(mistake("\xef\xbb\xbf{}", ""), "header: expected an object");
  CHECK_TEXT(mistake("{\"__metadata__\":[]}", ""), "metadata is no object");
  CHECK_TEXT(mistake("{\"__metadata__\":{\"a\":1}}", ""), "metadata \"a\" is no text");
  CHECK_TEXT(mistake(tensor("F31", "[3]", "[0,12]"), data), "tensor \"t\" has an unknown dtype");
}

void check_dtypes_and_shapes() {
  // The format's other dtypes are accepted. Elements of less than a byte must fill whole bytes together.
  for (const char* dtype : {"BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"})
    CHECK_TEXT(mistake(tensor(dtype, "[12]", "[0,12]"), data), "no error");
  for (const char* dtype : {"I16", "U16", "F16", "BF16"})
    CHECK_TEXT(mistake(tensor(dtype, "[3,2]", "[0,12]"), data), "no error");
  CHECK_TEXT(mistake(tensor("F4", "[24]", "[0,12]"), data), "no error");
  CHECK_TEXT(mistake(tensor("F6_E2M3", "[16]", "[0,12]"), data), "no error");
  CHECK_TEXT(mistake(tensor("F4", "[23]", "[0,12]"), data),
             "tensor \"t\" has 12 bytes, which its dtype and shape do not fit");
  // Sizes are JSON numbers, in any notation.
  CHECK_TEXT(mistake(tensor("F32", "[3.0,1e0,-0]", "[0,0]"), ""), "no error");
  CHECK_TEXT(mistake(tensor("F32", "[0,9007199254740991,2]", "[0,0]"), ""), "no error");
  CHECK_TEXT(mistake(tensor("F32", "[9007199254740991,2,0]", "[0,0]"), ""), "tensor \"t\" has an impossible shape");
  CHECK_TEXT(mistake(tensor("F32", "[\"3\"]", "[0,12]"), data), "tensor \"t\" has an impossible shape");
  CHECK_TEXT(mistake(tensor("F32", "3", "[0,12]"), data), "tensor \"t\" has no shape");
  CHECK_TEXT(mistake(tensor("F32", "[-3]", "[0,12]"), data), "tensor \"t\" has an impossible shape");
  CHECK_TEXT(mistake(tensor("F32", "[9007199254740991,9007199254740991]", "[0,12]"), data),
             "tensor \"t\" has an impossible shape");
  CHECK_TEXT(mistake(tensor("F64", "[4503599627370496,1024]", "[0,12]"), data), "tensor \"t\" has an impossible shape");
}

void check_layout() {
  CHECK(starts_with(mistake("{\"t\":1,\"t\":1}", ""), "header: JSON: expected each name once"));
  CHECK_TEXT(mistake(tensor("F32", "[3]", "[0]"), data), "tensor \"t\" has no data_offsets");
  CHECK_TEXT(mistake(tensor("F32", "[2]", "[0,12]"), data),
             "tensor \"t\" has 12 bytes, which its dtype and shape do not fit");
  CHECK(starts_with(mistake(tensor("F32", "[4]", "[0,16]"), data),
                    "tensor \"t\" lies at bytes 0 to 16 of 12: the file is cut short"));
  CHECK(starts_with(mistake(tensor("F32", "[3]", "[12,0]"), data), "tensor \"t\" lies at bytes 12 to 0"));
  CHECK_TEXT(mistake(tensor("F32", "[2]", "[4,12]"), data),
             "tensor \"t\" leaves a gap before it or overlaps another one");
  CHECK_TEXT(mistake(tensor("F32", "[2]", "[0,8]"), data),
             "expected the data to end with the last tensor but 4 bytes follow");
  CHECK_TEXT(mistake("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\","
                     "\"shape\":[2],\"data_offsets\":[4,12]}}",
                     data),
             "tensor \"b\" leaves a gap before it or overlaps another one");
}

}  // namespace

int main() {
  check_reading();
  check_headers();
  check_dtypes_and_shapes();
  check_layout();
  return failures() > 0;
}
