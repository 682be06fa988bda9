#!/usr/bin/env bash
# Checks of the readers and kernels that take hours, in addition to .ci/run: every sanitizer on all instruction sets,
# GCC's UndefinedBehaviorSanitizer (unlike clang's, it checks the lanes of vectors), and long fuzzing.
# `npm run check:deep` runs it.
#
#   SHORTLIST_FUZZ_SECONDS  seconds that the fuzzer of each format runs, default 600
#   SHORTLIST_MUTATIONS     number of inputs of each format for both readers, default 200000
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
