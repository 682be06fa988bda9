// A replacement of libFuzzer for compilers that lack it, without coverage feedback: it makes seeded mutations of the
// given files.
//
//   fuzz_json [-runs=N] [-max_total_time=SECONDS] [-seed=S] FILE_OR_FOLDER…
//
// The same seed makes the same inputs. A failure ends the program, so build with sanitizers.

#include <dirent.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

const size_t kMaxBytes = 1 << 14;
const char* const kTokens[] = {"{",
                               "}",
                               "[",
                               "]",
                               ",",
                               ":",
                               "\"",
                               "\\",
                               "\\u0000",
                               "\\ud800",
                               "-",
                               "0",
                               "1e9",
                               "9007199254740992",
                               "-1",
                               "null",
                               "true",
                               "\t",
                               "\n",
                               "\r\n",
                               ";",
                               "_",
                               "\xef\xbb\xbf",
                               "\xff",
                               "1e400",
                               "<unk>",
                               "2147483648"};

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  // A random number from 0 to below − 1.
  size_t operator()(size_t below) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return below > 0 ? state_ % below : 0;
  }

 private:
  uint64_t state_;
};

void load(const std::string& path, std::vector<std::string>* inputs) {
  if (DIR* const folder = opendir(path.c_str())) {
    while (const dirent* entry = readdir(folder)) {
      if (entry->d_name[0] != '.') load(path + "/" + entry->d_name, inputs);
    }
    closedir(folder);
    return;
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "%s: Expected an input or a folder of them\n", path.c_str());
    std::exit(2);
  }
  inputs->emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

std::string mutate(std::string text, const std::vector<std::string>& inputs, Random& random) {
  for (size_t left = 1 + random(6); left > 0; --left) {
    const size_t at = random(text.size() + 1), length = random(text.size() - at + 1);
    const std::string& other = inputs[random(inputs.size())];
    switch (random(7)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ 1 << random(8));
        break;
      case 1:
        if (at < text.size()) text[at] = static_cast<char>(random(256));
        break;
      case 2: text.erase(at, random(2) ? length : random(4)); break;
      case 3: text.insert(at, kTokens[random(sizeof kTokens / sizeof *kTokens)]); break;
      case 4: text.insert(at, text.substr(random(text.size() + 1), random(64))); break;
      case 5: text = text.substr(0, at) + other.substr(random(other.size() + 1)); break;
      case 6: text.insert(at, 1, static_cast<char>(random(256))); break;
    }
    if (text.size() > kMaxBytes) text.resize(kMaxBytes);
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  int64_t runs = -1, seconds = 0, seed = 1;
  std::vector<std::string> inputs = {""};
  for (int i = 1; i < argc; ++i) {
    if (std::sscanf(argv[i], "-runs=%ld", &runs) == 1 || std::sscanf(argv[i], "-max_total_time=%ld", &seconds) == 1 ||
        std::sscanf(argv[i], "-seed=%ld", &seed) == 1) {
      continue;
    }
    load(argv[i], &inputs);
  }
  Random random(static_cast<uint64_t>(seed));
  const auto start = std::chrono::steady_clock::now();
  int64_t done = 0;
  for (; runs < 0 || done < runs; ++done) {
    if (done % 1000 == 0 && seconds > 0 && std::chrono::steady_clock::now() - start > std::chrono::seconds(seconds))
      break;
    const std::string text = done < static_cast<int64_t>(inputs.size())
                                 ? inputs[done]
                                 : mutate(inputs[random(inputs.size())], inputs, random);
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  }
  std::printf("Done %lld runs\n", static_cast<long long>(done));
  return 0;
}
