// Matrix products, register-blocked in the manner of BLIS (Van Zee & van de Geijn 2015):
//
//   C [m, n] (= | +=) A [m, k] · B [k, n]; biases and ReLU are applied with the last block of k
//
// A tile is kTileRows × kTileColumns sums in registers (tile.h). It multiplies rows of A by a panel, which is one block
// of k (at most kDepth) of kTileColumns columns of B.
//
// A chunk of work is a block of C. For each block of k and each panel, it packs the panel into memory that stays in the
// L1 cache and multiplies its rows of A by it. A is read in place, along its rows, or across them for Aᵀ of a weight
// gradient. So a product needs one fork and join of the threads. There are three exceptions:
// - With few rows, whole panels of B are read in place, from the L2 cache. Packing would cost 20 % at 50 rows.
// - With many rows, every chunk would pack the same panels again (15 % of the time of 2048³). Then all of B is packed
//   first, with a fork and join of its own.
// - Rows of A are packed if they are multiplied by many panels, or if they are a multiple of 4 KiB apart, so that they
//   compete for the same sets of the cache.
//
// bfloat16 operands are rounded when they are packed. With avx512_bf16 (native/core/cpu.cc says when it is used) they
// are packed as pairs, two to a lane, and A is always packed. A tile then takes half as many steps, each a VDPBF16PS.
// Other instruction sets multiply the rounded numbers as float32. That gives the same products; it saves no time, and
// packing costs 5 %.
//
// Threads divide C among them, and k only in slabs (gemm.h). So an element is the same sum in whatever block of C it
// is.

#include "native/ops/gemm.h"

#include "native/ops/operands.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

// A chunk with at most so many rows reads B in place.
const int64_t kRowsInPlace = 64;
// With more elements (2 MiB) C does not fit the caches.
const int64_t kFarElements = int64_t{1} << 19;
// B is packed first if the chunks would otherwise pack more than so many elements again. On one thread packing first
// pays earlier, because there is no fork and join.
const int64_t kFewRepacked = int64_t{1} << 18;
const int64_t kFewRepackedAlone = int64_t{1} << 16;
// Steps of a tile between two prefetches of a far C.
const int64_t kStepsPerPrefetch = 64;
// The least work of a chunk, about 3 µs, and the number of chunks for each thread, for load balance.
const int64_t kFlopsPerChunk = 400000;
const int64_t kChunksPerThread = 4;
// Bounds of a chunk. It has at least kFewestRows rows, or twice as many if m exceeds kFewRows, because every chunk of
// rows packs its columns of B again.
const int64_t kMostRows = 32 * kTileRows;
const int64_t kMostColumns = 64 * kTileColumns;
const int64_t kFewRows = 8 * kTileRows;
const int64_t kFewestRows = (24 + kTileRows - 1) / kTileRows * kTileRows;
const int64_t kMostSlabs = 16;
// A slab has at least kShortSlab elements of k if C has at most kTinyElements, and kLongSlab up to kSmallElements.
const int64_t kTinyElements = int64_t{1} << 14;
const int64_t kSmallElements = int64_t{1} << 17;
const int64_t kShortSlab = 256;
const int64_t kLongSlab = 1024;
// A is packed if its rows are multiplied by so many columns; earlier if they are a multiple of 4 KiB apart.
const int64_t kManyColumns = 512;
const int64_t kManyColumnsOnOneSet = 128;
const int64_t kElementsPerPage = 1024;  // of 4 KiB
// Chunks of packing B, and of adding slabs.
const int64_t kPackedPerChunk = int64_t{1} << 15;
const int64_t kSummedPerChunk = int64_t{1} << 12;

// The number of steps that a tile takes for `depth` elements of k: with kDots a step multiplies pairs.
template <bool kDots>
SHORTLIST_INLINE int64_t steps_of(int64_t depth) {
  return kDots ? (depth + 1) / 2 : depth;
}

// The length of a slab of k; k if it is not cut. The condition and the reason are at `multiply` in gemm.h.
int64_t slab_of(int64_t m, int64_t n, int64_t k) {
  const int64_t shortest = m * n <= kTinyElements ? kShortSlab : m * n <= kSmallElements ? kLongSlab : k;
  const int64_t slab = (k + kMostSlabs - 1) / kMostSlabs;
  return k < 2 * shortest ? k : slab > shortest ? slab : shortest;
}

struct TileOutput {
  float* c;
  int64_t stride;
  int64_t columns;  // ≤ kTileColumns
  bool accumulate;
  const float* column_bias;
  const float* row_bias;
  bool relu;
  bool far;  // whether C does not fit the caches
};

// Applies the epilogue to a tile's sums and stores their first `columns` columns.
template <int kRows>
SHORTLIST_INLINE void finish_tile(vf (*sum)[kTileVectors], const TileOutput& out, int64_t columns) {
  const auto each = [](const auto& body) __attribute__((always_inline)) { for_each_vector<kRows, kTileVectors>(body); };
  const auto place = [&](int i, int j) __attribute__((always_inline)) { return out.c + i * out.stride + j * kLanes; };
  const auto left = [&](int j) __attribute__((always_inline)) {
    return columns - j * kLanes > 0 ? columns - j * kLanes : 0;
  };
  if (out.accumulate) {
    each([&](int i, int j) __attribute__((always_inline)) { sum[i][j] = load_upto(place(i, j), left(j)) + sum[i][j]; });
  }
  if (out.column_bias) {
    vf bias[kTileVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kTileVectors; ++j) bias[j] = load_upto(out.column_bias + j * kLanes, left(j));
    each([&](int i, int j) __attribute__((always_inline)) { sum[i][j] += bias[j]; });
  }
  if (out.row_bias) each([&](int i, int j) __attribute__((always_inline)) { sum[i][j] += out.row_bias[i]; });
  if (out.relu) {
    each([&](int i, int j) __attribute__((always_inline)) { sum[i][j] = sum[i][j] < 0.0f ? splat(0.0f) : sum[i][j]; });
  }
  each([&](int i, int j) __attribute__((always_inline)) { store_upto(place(i, j), sum[i][j], left(j)); });
}

// Computes one tile of kRows ≤ kTileRows rows. The columns of step p of B are at b + p·b_stride. With kFar the elements
// of the next tile, below this one, are prefetched.
//
// Not inlined, because GCC 12 would keep some of the sums in memory.
template <int kRows, Layout kLayout, bool kDots, bool kFar = false>
__attribute__((noinline)) void tile(int64_t k, const float* __restrict a, int64_t a_stride, const float* __restrict b,
                                    int64_t b_stride, const TileOutput& out) {
  vf sum[kRows][kTileVectors];
  for_each_vector<kRows, kTileVectors>([&](int i, int j) __attribute__((always_inline)) { sum[i][j] = vf{}; });
  if (!kFar) {
    multiply_add<kRows, kTileVectors, kLayout, kDots>(k, a, a_stride, b, b_stride, sum);
  } else {
    // If C does not fit the caches, A often does not, either. Prefetching the start of each row of the next tile is
    // enough: the processor's own prefetcher then follows the row.
#pragma GCC unroll 16
    for (int i = kRows; i < 2 * kRows && kLayout == kAlong; ++i) {
      __builtin_prefetch(a + i * a_stride, 0, 3);
      __builtin_prefetch(a + i * a_stride + 16, 0, 3);
    }
    // C is prefetched a few lines at a time, because more would delay the lines of A.
    const int64_t slices = (k + kStepsPerPrefetch - 1) / kStepsPerPrefetch;
    const float* below = out.c + kRows * out.stride;
    for (int64_t p = 0; p < k; p += kStepsPerPrefetch) {
      for (int64_t i = 0; i < (kRows + slices - 1) / slices; ++i, below += out.stride) {
        for (int j = 0; j < kTileVectors; ++j) __builtin_prefetch(below + j * kLanes, 1, 3);
      }
      const int64_t steps = k - p < kStepsPerPrefetch ? k - p : kStepsPerPrefetch;
      const float* const from = a + p * (kLayout == kAlong ? 1 : kLayout == kStrip ? kStripWidth : a_stride);
      multiply_add<kRows, kTileVectors, kLayout, kDots>(steps, from, a_stride, b + p * b_stride, b_stride, sum);
    }
  }
  if (out.columns == kTileColumns) {
    finish_tile<kRows>(sum, out, kTileColumns);
  } else {
    finish_tile<kRows>(sum, out, out.columns);
  }
}

typedef void (*Tile)(int64_t, const float*, int64_t, const float*, int64_t, const TileOutput&);

template <Layout kLayout, bool kDots>
struct Tiles {
  // The tiles with 1 … kTileRows rows.
  static constexpr Tile of[] = {
      tile<1, kLayout, kDots>,  tile<2, kLayout, kDots>,  tile<3, kLayout, kDots>,  tile<4, kLayout, kDots>,
#if defined(__AVX2__) || defined(__aarch64__)
      tile<5, kLayout, kDots>,  tile<6, kLayout, kDots>,
#endif
#if defined(__AVX512F__) || defined(__aarch64__)
      tile<7, kLayout, kDots>,  tile<8, kLayout, kDots>,
#endif
#if defined(__AVX512F__)
      tile<9, kLayout, kDots>,  tile<10, kLayout, kDots>, tile<11, kLayout, kDots>, tile<12, kLayout, kDots>,
      tile<13, kLayout, kDots>, tile<14, kLayout, kDots>,
#endif
  };
  static_assert(sizeof of == kTileRows * sizeof(Tile), "a tile of each height");
};

SHORTLIST_INLINE int64_t tile_width(int64_t columns_left) {
  return columns_left < kTileColumns ? columns_left : kTileColumns;
}

// The part of a matrix that begins at (row, column).
SHORTLIST_INLINE Matrix part_of(const Matrix& matrix, int64_t row, int64_t column) {
  const float* data = matrix.data + row * matrix.row_stride + column * matrix.column_stride;
  return {data, matrix.row_stride, matrix.column_stride, matrix.bf16};
}

// Packs depth × columns elements of a matrix into a panel [depth, kWidth], or of pairs [⌈depth / 2⌉, kWidth], where
// columns ≤ kWidth. Missing columns, and the second half of an incomplete pair, are 0. If the elements of a column are
// consecutive in memory, squares of them are transposed.
template <int kWidth, bool kDots>
void pack_panel(int64_t depth, int64_t columns, const Matrix& from, float* to) {
  const int kRowsPerStep = kDots ? 2 : 1;
  const auto step_of = [&](const auto& row) __attribute__((always_inline)) {
    if (kDots) return bf16_pairs(row(0), row(1));
    return from.bf16 ? round_to_bf16(row(0)) : row(0);
  };
  if (from.column_stride == 1) {
    const auto copy_rows = [&](int64_t own) __attribute__((always_inline)) {
      for (int64_t p = 0; p < depth; p += kRowsPerStep, to += kWidth) {
#pragma GCC unroll 4
        for (int j = 0; j < kWidth; j += kLanes) {
          const auto row = [&](int i) __attribute__((always_inline)) {
            return j < own && p + i < depth ? load_upto(from.data + (p + i) * from.row_stride + j, own - j) : vf{};
          };
          store(to + j, step_of(row));
        }
      }
    };
    if (columns == kWidth) {
      copy_rows(kWidth);
    } else {
      copy_rows(columns);
    }
    return;
  }
  for (int64_t j = 0; j < kWidth; j += kLanes) {
    const float* const column = from.data + j * from.column_stride;
    for (int64_t p = 0; p < depth; p += kLanes) {
      vf square[kLanes];
      load_transposed(column + p, from.column_stride, columns - j, depth - p, square);
      for (int i = 0; i < kLanes && p + i < depth; i += kRowsPerStep) {
        const auto row = [&](int next) __attribute__((always_inline)) { return square[i + next]; };
        store(to + (p + i) / kRowsPerStep * kWidth + j, step_of(row));
      }
    }
  }
}

// The panel that begins at `column`, for the block of k that begins at p and has `depth` elements. A packed matrix is a
// list of blocks of k, each of which is a list of panels.
template <bool kDots>
SHORTLIST_INLINE float* panel_at(const PackedMatrix& packed, int64_t p, int64_t depth, int64_t column) {
  return packed.data + steps_of<kDots>(p) * round_up(packed.n, kTileColumns) + column * steps_of<kDots>(depth);
}

// Packs panels [first, last) of every block of k.
template <bool kDots>
void pack_panels(const PackedMatrix& packed, const Matrix& b, int64_t first, int64_t last) {
  const int64_t depth = depth_of(packed.k);
  const int64_t column = first * kTileColumns, end = last * kTileColumns < packed.n ? last * kTileColumns : packed.n;
  for (int64_t p = 0; p < packed.k; p += depth) {
    const int64_t block = packed.k - p < depth ? packed.k - p : depth;
    for (int64_t c = column; c < end; c += kTileColumns) {
      Matrix part = part_of(b, p, c);
      part.bf16 = packed.bf16;
      pack_panel<kTileColumns, kDots>(block, tile_width(end - c), part, panel_at<kDots>(packed, p, block, c));
    }
  }
}

// Panels of B, packed or in place. They are `between` elements apart, and the steps of a panel are `stride` apart.
struct Panels {
  const float* data;
  int64_t stride;
  int64_t between;
};

SHORTLIST_INLINE Panels packed_panels(const float* data, int64_t steps) {
  return {data, kTileColumns, steps * kTileColumns};
}

// The number of columns of B that fit the L1 cache together. If k is short, rows of A are read once for several panels.
SHORTLIST_INLINE int64_t columns_at_once(int64_t steps) { return (steps > 0 ? kDepth / steps : 1) * kTileColumns; }

// Computes a rows × columns part of C over one block of k. With kStrip, the strips of A are steps · kStripWidth apart.
template <Layout kLayout, bool kDots = false>
SHORTLIST_INLINE void multiply_rows(int64_t rows, int64_t columns, int64_t steps, const float* a, int64_t stride,
                                    const Panels& b, const TileOutput& block) {
  TileOutput out = block;
  for (int64_t row = 0; row < rows; row += kTileRows) {
    const int64_t height = rows - row < kTileRows ? rows - row : kTileRows;
    out.row_bias = block.row_bias ? block.row_bias + row : nullptr;
    const float* panel = b.data;
    for (int64_t column = 0; column < columns; column += kTileColumns, panel += b.between) {
      out.c = block.c + row * block.stride + column;
      out.columns = tile_width(columns - column);
      out.column_bias = block.column_bias ? block.column_bias + column : nullptr;
      if (height == kTileRows && out.far) {
        tile<kTileRows, kLayout, kDots, true>(steps, a, stride, panel, b.stride, out);
      } else if (height == kTileRows) {
        tile<kTileRows, kLayout, kDots>(steps, a, stride, panel, b.stride, out);
      } else {
        Tiles<kLayout, kDots>::of[height - 1](steps, a, stride, panel, b.stride, out);
      }
    }
    a += kLayout == kAlong ? kTileRows * stride : kLayout == kAcross ? kTileRows : steps * kStripWidth;
  }
}

// The same with A in place.
void multiply_panels(int64_t rows, int64_t columns, int64_t depth, const Matrix& a, const Panels& b,
                     const TileOutput& out) {
  if (a.column_stride == 1) {
    multiply_rows<kAlong>(rows, columns, depth, a.data, a.row_stride, b, out);
  } else {
    multiply_rows<kAcross>(rows, columns, depth, a.data, a.column_stride, b, out);
  }
}

SHORTLIST_INLINE bool multiplies_pairs(const Matrix& a, const Matrix& b) { return kBf16Dots && (a.bf16 || b.bf16); }

SHORTLIST_INLINE bool packs_rows(const Matrix& a, const Matrix& b, int64_t columns) {
  const bool on_one_set = a.column_stride == 1 && a.row_stride % kElementsPerPage == 0;
  return a.bf16 || multiplies_pairs(a, b) || columns >= kManyColumns || (on_one_set && columns >= kManyColumnsOnOneSet);
}

// Packs rows × depth elements of A into strips of kTileRows rows.
template <bool kDots>
void pack_strips(int64_t rows, int64_t depth, const Matrix& a, float* to) {
  const Matrix transposed = {a.data, a.column_stride, a.row_stride, a.bf16};
  for (int64_t row = 0; row < rows; row += kTileRows, to += steps_of<kDots>(depth) * kStripWidth) {
    pack_panel<kStripWidth, kDots>(depth, rows - row < kTileRows ? rows - row : kTileRows, part_of(transposed, 0, row),
                                   to);
  }
}

void pack_panels(const PackedMatrix& packed, const Matrix& b, int64_t first, int64_t last) {
  if constexpr (kBf16Dots) {
    if (packed.bf16) return pack_panels<true>(packed, b, first, last);
  }
  pack_panels<false>(packed, b, first, last);
}

// Computes C if k = 0.
void fill_empty(int64_t m, int64_t columns, float* c, int64_t c_stride, const Epilogue& epilogue) {
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      float value = epilogue.accumulate ? c[i * c_stride + j] : 0.0f;
      if (epilogue.column_bias) value += epilogue.column_bias[j];
      if (epilogue.row_bias) value += epilogue.row_bias[i];
      c[i * c_stride + j] = epilogue.relu && value < 0 ? 0.0f : value;
    }
  }
}

// The output of the tiles from `column` on, for the first, the last or another block of k.
SHORTLIST_INLINE TileOutput output_of(float* c, int64_t c_stride, const Epilogue& epilogue, int64_t column, bool first,
                                      bool last, bool far) {
  return {c + column,
          c_stride,
          kTileColumns,
          epilogue.accumulate || !first,
          last && epilogue.column_bias ? epilogue.column_bias + column : nullptr,
          last ? epilogue.row_bias : nullptr,
          last && epilogue.relu,
          far};
}

// multiply_packed for k > 0. With kDots the rows of A are packed, one strip at a time.
template <bool kDots>
void multiply_packed_panels(int64_t m, int64_t first_column, int64_t columns, const Matrix& a, const PackedMatrix& b,
                            float* c, int64_t c_stride, const Epilogue& epilogue) {
  const int64_t depth = depth_of(b.k);
  for (int64_t p = 0; p < b.k; p += depth) {
    const int64_t block = b.k - p < depth ? b.k - p : depth, steps = steps_of<kDots>(block);
    const float* const from = panel_at<kDots>(b, p, block, first_column);
    const int64_t columns_each = kDots ? columns : columns_at_once(steps), rows_each = kDots ? kTileRows : m;
    for (int64_t row = 0; row < m; row += rows_each) {
      const int64_t rows = m - row < rows_each ? m - row : rows_each;
      alignas(64) float strip[kDots ? kStripWidth * kDepth / 2 : 1];
      if (kDots) pack_strips<kDots>(rows, block, part_of(a, row, p), strip);
      for (int64_t column = 0; column < columns; column += columns_each) {
        const int64_t width = columns - column < columns_each ? columns - column : columns_each;
        const Panels panels = packed_panels(from + column * steps, steps);
        TileOutput out = output_of(c + row * c_stride, c_stride, epilogue, column, p == 0, p + block == b.k, false);
        if (out.row_bias) out.row_bias += row;
        if constexpr (kDots) {
          multiply_rows<kStrip, true>(rows, width, steps, strip, 0, panels, out);
        } else {
          multiply_panels(rows, width, steps, part_of(a, row, p), panels, out);
        }
      }
    }
  }
}

// Panels of B for one block of k: packed into `to`, or in place if few rows need them.
template <bool kDots>
SHORTLIST_INLINE Panels panels_of(int64_t rows, int64_t columns, int64_t depth, const Matrix& b, float* to) {
  if (rows <= kRowsInPlace && columns % kTileColumns == 0 && b.column_stride == 1 && !b.bf16 && !kDots) {
    return {b.data, b.row_stride, kTileColumns};
  }
  const int64_t steps = steps_of<kDots>(depth);
  for (int64_t j = 0; j < columns; j += kTileColumns) {
    pack_panel<kTileColumns, kDots>(depth, tile_width(columns - j), part_of(b, 0, j), to + j * steps);
  }
  return packed_panels(to, steps);
}

// The columns of B that a chunk needs: `matrix`, or if `packed` is not nullptr, its columns from first_column on.
struct Columns {
  Matrix matrix;
  const PackedMatrix* packed;
  int64_t first_column;
};

// C [rows, columns] (= | +=) A [rows, k] · B [k, columns] on one thread, `depth` elements of k at a time. Panels of B
// are packed when they are needed, unless B is packed already. A is packed into `strips` if it is not nullptr.
template <bool kDots>
void multiply_block(int64_t rows, int64_t columns, int64_t k, int64_t depth, const Matrix& a, const Columns& b,
                    float* c, int64_t c_stride, const Epilogue& epilogue, bool far, float* strips) {
  alignas(64) float packed[kDepth * kTileColumns];
  for (int64_t p = 0; p < k; p += depth) {
    const int64_t block = k - p < depth ? k - p : depth, steps = steps_of<kDots>(block),
                  at_once = columns_at_once(steps);
    if (strips) pack_strips<kDots>(rows, block, part_of(a, 0, p), strips);
    for (int64_t column = 0; column < columns; column += at_once) {
      const int64_t width = columns - column < at_once ? columns - column : at_once;
      const Panels panels = b.packed
                                ? packed_panels(panel_at<kDots>(*b.packed, p, block, b.first_column + column), steps)
                                : panels_of<kDots>(rows, width, block, part_of(b.matrix, p, column), packed);
      const TileOutput out = output_of(c, c_stride, epilogue, column, p == 0, p + block == k, far);
      if (strips) {
        multiply_rows<kStrip, kDots>(rows, width, steps, strips, 0, panels, out);
      } else {
        multiply_panels(rows, width, block, part_of(a, 0, p), panels, out);
      }
    }
  }
}

void multiply_block(int64_t rows, int64_t columns, int64_t k, int64_t depth, const Matrix& a, const Columns& b,
                    float* c, int64_t c_stride, const Epilogue& epilogue, bool far, float* strips) {
  if constexpr (kBf16Dots) {
    if (multiplies_pairs(a, b.matrix))
      return multiply_block<true>(rows, columns, k, depth, a, b, c, c_stride, epilogue, far, strips);
  }
  multiply_block<false>(rows, columns, k, depth, a, b, c, c_stride, epilogue, far, strips);
}

// The rows and columns of a chunk. Blocks are halved until there are enough chunks for all threads, or too little work.
// Columns are halved first, because every chunk of rows packs its columns again. (The bits of C do not depend on this.)
struct Blocks {
  int64_t rows;
  int64_t columns;
};

SHORTLIST_INLINE int64_t half_of(int64_t n, int64_t multiple) { return round_up((n + 1) / 2, multiple); }

Blocks blocks_of(const Call& call, int64_t m, int64_t n, int64_t k, int64_t slabs) {
  const double chunks = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) / kFlopsPerChunk;
  const int64_t threads = worker_count(call), most = threads == 1 ? 1 : kChunksPerThread * threads;
  const int64_t wanted = (chunks < static_cast<double>(most) ? static_cast<int64_t>(chunks) + 1 : most) / slabs;
  const int64_t rows = round_up(m, kTileRows), columns = round_up(n, kTileColumns);
  const int64_t fewest = m <= kFewRows ? kFewestRows : 2 * kFewestRows;
  Blocks blocks = {rows < kMostRows ? rows : kMostRows, columns < kMostColumns ? columns : kMostColumns};
  while (((m + blocks.rows - 1) / blocks.rows) * ((n + blocks.columns - 1) / blocks.columns) < wanted) {
    if (blocks.columns > kTileColumns) {
      blocks.columns = half_of(blocks.columns, kTileColumns);
    } else if (half_of(blocks.rows, kTileRows) >= fewest) {
      blocks.rows = half_of(blocks.rows, kTileRows);
    } else {
      break;
    }
  }
  return blocks;
}

}  // namespace

int64_t packed_elements(int64_t k, int64_t n) { return k * round_up(n, kTileColumns); }

int64_t strip_elements(int64_t rows, int64_t k) {
  return (rows + kTileRows - 1) / kTileRows * kStripWidth * (k < kDepth ? k + k % 2 : kDepth);
}

void pack(const PackedMatrix& packed, const Matrix& b) {
  pack_panels(packed, b, 0, round_up(packed.n, kTileColumns) / kTileColumns);
}

void pack(const Call& call, const PackedMatrix& packed, const Matrix& b) {
  const int64_t panels_per_chunk = rows_with_elements(kPackedPerChunk, packed.k * kTileColumns);
  parallel_blocks(call, round_up(packed.n, kTileColumns) / kTileColumns, panels_per_chunk,
                  [&](int64_t begin, int64_t end) { pack_panels(packed, b, begin, end); });
}

void multiply_packed(int64_t m, int64_t first_column, int64_t columns, const Matrix& a, const PackedMatrix& b, float* c,
                     int64_t c_stride, const Epilogue& epilogue) {
  if (m == 0 || columns == 0) return;
  if (b.k == 0) return fill_empty(m, columns, c, c_stride, epilogue);
  if constexpr (kBf16Dots) {
    if (b.bf16) return multiply_packed_panels<true>(m, first_column, columns, a, b, c, c_stride, epilogue);
  }
  multiply_packed_panels<false>(m, first_column, columns, a, b, c, c_stride, epilogue);
}

void multiply_alone(int64_t m, int64_t n, int64_t k, const Matrix& a, const Matrix& b, float* c, int64_t c_stride,
                    const Epilogue& epilogue, float* strips) {
  if (m == 0 || n == 0) return;
  if (k == 0) return fill_empty(m, n, c, c_stride, epilogue);
  multiply_block(m, n, k, depth_of(k), a, {b, nullptr, 0}, c, c_stride, epilogue, false, strips);
}

void multiply(const Call& call, int64_t m, int64_t n, int64_t k, const Matrix& a, const Matrix& b, float* c,
              int64_t c_stride, const Epilogue& epilogue) {
  if (m == 0 || n == 0) return;
  if (k == 0) return fill_empty(m, n, c, c_stride, epilogue);
  const int64_t slab = epilogue.whole_sums ? k : slab_of(m, n, k), slabs = (k + slab - 1) / slab,
                depth = depth_of(slab);
  const Blocks blocks = blocks_of(call, m, n, k, slabs);
  const int64_t across = (n + blocks.columns - 1) / blocks.columns, down = (m + blocks.rows - 1) / blocks.rows;
  const bool far = m * n > kFarElements;
  const int64_t buffer = strip_elements(blocks.rows, depth), threads = worker_count(call);
  float* strips = packs_rows(a, b, blocks.columns) ? static_cast<float*>(scratch(call, threads * buffer)) : nullptr;
  PackedMatrix packed = {nullptr, k, n, a.bf16 || b.bf16};
  const bool pack_first = slabs == 1 && (down - 1) * k * n > (threads == 1 ? kFewRepackedAlone : kFewRepacked);
  if (pack_first) {
    packed.data = static_cast<float*>(scratch(call, packed_elements(k, n)));
    pack(call, packed, b);
  }
  float* partial = slabs > 1 ? static_cast<float*>(scratch(call, slabs * m * n)) : nullptr;  // [slabs, m, n]

  const auto multiply_chunk = [&](int64_t chunk) {
    const int64_t s = chunk / (down * across), row = chunk / across % down * blocks.rows,
                  column = chunk % across * blocks.columns;
    const int64_t rows = m - row < blocks.rows ? m - row : blocks.rows;
    const int64_t columns = n - column < blocks.columns ? n - column : blocks.columns;
    const int64_t begin = s * slab, steps = k - begin < slab ? k - begin : slab;
    const int64_t to_stride = partial ? n : c_stride;
    float* const to = (partial ? partial + s * m * n : c) + row * to_stride + column;
    Epilogue own;
    if (!partial) {
      own = epilogue;
      if (own.column_bias) own.column_bias += column;
      if (own.row_bias) own.row_bias += row;
    }
    const Columns own_columns = {part_of(b, begin, column), pack_first ? &packed : nullptr, column};
    multiply_block(rows, columns, steps, depth, part_of(a, row, begin), own_columns, to, to_stride, own, far,
                   strips ? strips + this_worker() * buffer : nullptr);
  };
  // In order if the last row of blocks, which may be lower than the others, is several chunks.
  parallel(call, slabs * down * across, multiply_chunk, across > 1);
  if (!partial) return;
  parallel_blocks(call, m, rows_with_elements(kSummedPerChunk, n), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const vf row_bias = splat(epilogue.row_bias ? epilogue.row_bias[i] : 0.0f);
      for (int64_t j = 0; j < n; j += kLanes) {
        const int64_t left = n - j;
        vf value = load_upto(partial + i * n + j, left);
        for (int64_t s = 1; s < slabs; ++s) value += load_upto(partial + (s * m + i) * n + j, left);
        if (epilogue.accumulate) value = load_upto(c + i * c_stride + j, left) + value;
        if (epilogue.column_bias) value = value + load_upto(epilogue.column_bias + j, left);
        if (epilogue.row_bias) value = value + row_bias;
        if (epilogue.relu) value = value < 0.0f ? splat(0.0f) : value;
        store_upto(c + i * c_stride + j, value, left);
      }
    }
  });
}

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
