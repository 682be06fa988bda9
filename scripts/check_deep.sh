#!/usr/bin/env bash
# What takes hours and guards the readers and kernels beyond .ci/run: all instruction sets under every sanitizer, GCC's
# UndefinedBehaviorSanitizer (it sees the lanes of vectors, clang's does not), and long fuzzing. `npm run check:deep`
#
#   SHORTLIST_FUZZ_SECONDS  seconds for each format's fuzzer, 600 unless given
#   SHORTLIST_MUTATIONS     inputs of each format for both readers, 200000 unless given
set -euo pipefail
cd "$(dirname "$0")/.."

checks() { # folder, options of cmake
  local folder=$1
  shift
  echo "== $folder: $*"
  cmake -S . -B "$folder" "$@" >/dev/null
  cmake --build "$folder" -j"$(nproc)" >/dev/null
  ctest --test-dir "$folder" --output-on-failure
}
clang=(-DCMAKE_CXX_COMPILER=clang++ -DCMAKE_C_COMPILER=clang)
gcc=(-DCMAKE_CXX_COMPILER=g++ -DCMAKE_C_COMPILER=gcc)
checks build-deep-address "${clang[@]}" -DSHORTLIST_SANITIZE=address,undefined -DSHORTLIST_FUZZ=ON \
  -DSHORTLIST_FUZZ_SECONDS="${SHORTLIST_FUZZ_SECONDS:-600}"
checks build-deep-thread "${clang[@]}" -DSHORTLIST_SANITIZE=thread
checks build-deep-undefined "${gcc[@]}" -DSHORTLIST_SANITIZE=undefined -DSHORTLIST_ISAS="baseline;avx2"
SHORTLIST_MUTATIONS=${SHORTLIST_MUTATIONS:-200000} npm test -- readers
