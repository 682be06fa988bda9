#pragma once

// Which sanitizer the code is compiled with. GCC defines a macro for each; clang has __has_feature.

#if defined(__has_feature)
#define SHORTLIST_HAS_FEATURE(feature) __has_feature(feature)
#else
#define SHORTLIST_HAS_FEATURE(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || SHORTLIST_HAS_FEATURE(address_sanitizer)
#define SHORTLIST_ADDRESS_SANITIZER 1
#endif

#if defined(__SANITIZE_THREAD__) || SHORTLIST_HAS_FEATURE(thread_sanitizer)
#define SHORTLIST_THREAD_SANITIZER 1
#endif
