# Builds the addon. The kernels are compiled once for each instruction set, as static libraries. native/core/cpu.cc refers
# to the op table of each, so the linker includes them. CMakeLists.txt builds the same from the same list of sources.
{
  "variables": {
    # -fno-math-errno and -fno-trapping-math change no result, NaN and infinity included. Never -ffast-math.
    "kernel_flags": ["-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math"],
  },
  "target_defaults": {
    "include_dirs": ["."],
    "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
    "cflags_cc": ["-std=c++17", "-O3", "-fPIC", "-Wall", "-Wextra", "-fvisibility=hidden"],
    "xcode_settings": {
      "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
      "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
      "GCC_ENABLE_CPP_RTTI": "YES",
      "GCC_OPTIMIZATION_LEVEL": "3",
      "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
      "MACOSX_DEPLOYMENT_TARGET": "11.0",
    },
  },
  "targets": [
    {
      "target_name": "shortlist",
      "sources": ["<!@(node scripts/sources.mjs core data train serve retrieve node)"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": [
        "NAPI_VERSION=8",
        "NAPI_CPP_EXCEPTIONS",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
        "SHORTLIST_VERSION=\"<!(node -p \"require('./package.json').version\")\"",
      ],
      "conditions": [
        ["target_arch == 'x64'", {"dependencies": ["ops_baseline", "ops_avx2", "ops_avx512", "ops_avx512_bf16",
                                                   "search_avx512_vnni"]}],
        ["target_arch == 'arm64'", {"dependencies": ["ops_neon"]}],
        ["target_arch not in 'x64 arm64'.split()", {"dependencies": ["ops_baseline"]}],
      ],
    },
  ],
  "conditions": [
    ["target_arch == 'x64'", {
      "targets": [
        {
          "target_name": "ops_baseline",
          "type": "static_library",
          "sources": ["<!@(node scripts/sources.mjs ops products search)"],
          "defines": ["SHORTLIST_ISA=baseline"],
          "cflags_cc": ["<@(kernel_flags)", "-march=x86-64-v2"],
          "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<@(kernel_flags)", "-march=x86-64-v2"]},
        },
        {
          "target_name": "ops_avx2",
          "type": "static_library",
          "sources": ["<!@(node scripts/sources.mjs ops products search)"],
          "defines": ["SHORTLIST_ISA=avx2"],
          "cflags_cc": ["<@(kernel_flags)", "-march=x86-64-v3"],
          "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<@(kernel_flags)", "-march=x86-64-v3"]},
        },
        {
          "target_name": "ops_avx512",
          "type": "static_library",
          "sources": ["<!@(node scripts/sources.mjs ops products search)"],
          "defines": ["SHORTLIST_ISA=avx512"],
          # GCC 12 warns about intentionally undefined lanes in its own AVX-512 header.
          "cflags_cc": ["<@(kernel_flags)", "-march=x86-64-v4",
                        "-Wno-unknown-warning-option", "-Wno-maybe-uninitialized"],
          "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<@(kernel_flags)", "-march=x86-64-v4"]},
        },
        {
          # Its products only; all other ops are those of avx512 (native/ops/registry.cc).
          "target_name": "ops_avx512_bf16",
          "type": "static_library",
          "sources": ["<!@(node scripts/sources.mjs products search)"],
          "defines": ["SHORTLIST_ISA=avx512_bf16", "SHORTLIST_BASE_ISA=avx512"],
          "cflags_cc": ["<@(kernel_flags)", "-march=x86-64-v4", "-mavx512bf16",
                        "-Wno-unknown-warning-option", "-Wno-maybe-uninitialized"],
          "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<@(kernel_flags)", "-march=x86-64-v4", "-mavx512bf16"]},
        },
        {
          # The search of avx512 on processors that also have VNNI (native/core/cpu.cc).
          "target_name": "search_avx512_vnni",
          "type": "static_library",
          "sources": ["<!@(node scripts/sources.mjs search)"],
          "defines": ["SHORTLIST_ISA=avx512_vnni"],
          "cflags_cc": ["<@(kernel_flags)", "-march=x86-64-v4", "-mavx512vnni",
                        "-Wno-unknown-warning-option", "-Wno-maybe-uninitialized"],
          "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<@(kernel_flags)", "-march=x86-64-v4", "-mavx512vnni"]},
        },
      ],
    }],
    ["target_arch == 'arm64'", {
      "targets": [
        {
          "target_name": "ops_neon",
          "type": "static_library",
          "sources": ["<!@(node scripts/sources.mjs ops products search)"],
          "defines": ["SHORTLIST_ISA=neon"],
          "cflags_cc": ["<@(kernel_flags)"],
          "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<@(kernel_flags)"]},
        },
      ],
    }],
    ["target_arch not in 'x64 arm64'.split()", {
      "targets": [
        {
          "target_name": "ops_baseline",
          "type": "static_library",
          "sources": ["<!@(node scripts/sources.mjs ops products search)"],
          "defines": ["SHORTLIST_ISA=baseline"],
          "cflags_cc": ["<@(kernel_flags)"],
        },
      ],
    }],
  ],
}
