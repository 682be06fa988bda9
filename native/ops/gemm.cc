// Matrix product, packed and register-blocked in the manner of BLIS (Van Zee & van de Geijn 2015).
//
//   C [m, n] (= | +=) A [m, k] · B [k, n], then biases and ReLU in the last block of k.    C aliases nothing
//
// B is packed once into panels of kTileColumns columns and used by all. A chunk of work is a block of C: its rows of A
// are read in place where k is contiguous (each element is broadcast, so nothing is gained by a copy), and packed into
// panels of kTileRows rows otherwise (Aᵀ of a weight gradient). Loops, outermost first: columns and slabs of k, so that
// what is packed stays in cache (kPackedElements) however long k is; blocks of C, in parallel; blocks of k (kDepth);
// panels of B (one panel, 16 KiB, stays in L1); tiles of rows. A tile is kTileRows × kTileColumns accumulators, which is
// the most that the registers hold.
//
// C is cut into blocks by m, n and k alone, and k is never split among threads: the sums' order is fixed (gemm.h).

#include "native/ops/gemm.h"

#include <string.h>

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kDepth = 256;
const int64_t kPackedElements = int64_t{1} << 19;  // of A and of B at a time: 2 MiB each
const int64_t kFlopsPerChunk = 2000000;           // some 50 µs
const int64_t kMostChunks = 128;

// Blocks of k: equal ones, none longer than kDepth. Depends on k alone.
int64_t depth_of(int64_t k) {
  const int64_t blocks = (k + kDepth - 1) / kDepth;
  return blocks == 0 ? 1 : (k + blocks - 1) / blocks;
}

struct TileOutput {
  float* c;
  int64_t stride;
  int64_t columns;  // ≤ kTileColumns
  bool accumulate;
  const float* column_bias;
  const float* row_bias;
  bool relu;
};

// One tile: `rows` ≤ kTileRows accumulator rows. a is [rows, k] with k contiguous (kPacked false: rows lie a_stride
// apart), or packed, kTileRows elements a step (kPacked true). b is a packed panel.
template <int kRows, bool kPacked>
void tile(int64_t k, const float* __restrict a, int64_t a_stride, const float* __restrict b, const TileOutput& out) {
  vf sum[kRows][kTileVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kTileVectors; ++j) sum[i][j] = vf{};
  }
  for (int64_t p = 0; p < k; ++p) {
    vf column[kTileVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kTileVectors; ++j) column[j] = load(b + j * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const vf element = splat(kPacked ? a[i] : a[i * a_stride]);
#pragma GCC unroll 4
      for (int j = 0; j < kTileVectors; ++j) sum[i][j] = madd(element, column[j], sum[i][j]);
    }
    a += kPacked ? kTileRows : 1;
    b += kTileColumns;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    float* c = out.c + i * out.stride;
#pragma GCC unroll 4
    for (int j = 0; j < kTileVectors; ++j) {
      const int64_t left = out.columns - j * kLanes;
      if (left <= 0) break;
      vf value = sum[i][j];
      if (out.accumulate) value = load_upto(c + j * kLanes, left) + value;
      if (out.column_bias) value = value + load_upto(out.column_bias + j * kLanes, left);
      if (out.row_bias) value = value + out.row_bias[i];
      if (out.relu) value = value < 0.0f ? splat(0.0f) : value;
      store_upto(c + j * kLanes, value, left);
    }
  }
}

typedef void (*Tile)(int64_t, const float*, int64_t, const float*, const TileOutput&);

template <bool kPacked>
SHORTLIST_INLINE Tile tile_of(int64_t rows) {
#if defined(__AVX512F__)
  static const Tile tiles[] = {tile<1, kPacked>, tile<2, kPacked>,  tile<3, kPacked>,  tile<4, kPacked>,  tile<5, kPacked>,
                               tile<6, kPacked>, tile<7, kPacked>,  tile<8, kPacked>,  tile<9, kPacked>,  tile<10, kPacked>,
                               tile<11, kPacked>, tile<12, kPacked>, tile<13, kPacked>, tile<14, kPacked>};
#elif defined(__AVX2__)
  static const Tile tiles[] = {tile<1, kPacked>, tile<2, kPacked>, tile<3, kPacked>,
                               tile<4, kPacked>, tile<5, kPacked>, tile<6, kPacked>};
#elif defined(__aarch64__)
  static const Tile tiles[] = {tile<1, kPacked>, tile<2, kPacked>, tile<3, kPacked>, tile<4, kPacked>,
                               tile<5, kPacked>, tile<6, kPacked>, tile<7, kPacked>, tile<8, kPacked>};
#else
  static const Tile tiles[] = {tile<1, kPacked>, tile<2, kPacked>, tile<3, kPacked>, tile<4, kPacked>};
#endif
  return tiles[rows - 1];
}

// rows × depth of A in panels of kTileRows rows, each `depth` steps of kTileRows elements; rows past the end are not
// written (their sums are not either).
void pack_rows(int64_t rows, int64_t depth, const Matrix& a, float* to) {
  const int64_t whole = a.row_stride == 1 ? rows / kTileRows * kTileRows : 0;
  // A step's rows lie side by side: they are read through, and dealt to the panels.
  for (int64_t p = 0; whole > 0 && p < depth; ++p) {
    const float* from = a.data + p * a.column_stride;
    for (int64_t i = 0; i < whole; i += kTileRows) {
      memcpy(to + i * depth + p * kTileRows, from + i, sizeof(float) * kTileRows);
    }
  }
  for (int64_t i = whole; i < rows; i += kTileRows) {
    const float* from = a.data + i * a.row_stride;
    float* panel = to + i * depth;
    const int64_t height = rows - i < kTileRows ? rows - i : kTileRows;
    for (int64_t p = 0; p < depth; ++p) {
      for (int64_t r = 0; r < height; ++r) panel[p * kTileRows + r] = from[r * a.row_stride + p * a.column_stride];
    }
  }
}

// depth × columns of B into one panel.
void pack_panel(int64_t depth, int64_t columns, const Matrix& b, float* to) {
  if (columns == kTileColumns && b.column_stride == 1) {
    for (int64_t p = 0; p < depth; ++p) {
      for (int j = 0; j < kTileVectors; ++j) store(to + p * kTileColumns + j * kLanes, load(b.data + p * b.row_stride + j * kLanes));
    }
    return;
  }
  if (b.row_stride == 1) {
    for (int64_t j = 0; j < columns; ++j) {
      const float* from = b.data + j * b.column_stride;
      for (int64_t p = 0; p < depth; ++p) to[p * kTileColumns + j] = from[p];
    }
  } else {
    for (int64_t p = 0; p < depth; ++p) {
      for (int64_t j = 0; j < columns; ++j) to[p * kTileColumns + j] = b.data[p * b.row_stride + j * b.column_stride];
    }
  }
  for (int64_t p = 0; columns < kTileColumns && p < depth; ++p) {
    for (int64_t j = columns; j < kTileColumns; ++j) to[p * kTileColumns + j] = 0;
  }
}

// Panels [first, last) of every block of k, `depth` long. Blocks lie one behind the other, each with all its panels.
void pack_panels(const PackedMatrix& packed, int64_t depth, const Matrix& b, int64_t first, int64_t last) {
  const int64_t padded = round_up(packed.n, kTileColumns);
  for (int64_t p = 0; p < packed.k; p += depth) {
    const int64_t block = packed.k - p < depth ? packed.k - p : depth;
    for (int64_t panel = first; panel < last; ++panel) {
      const int64_t column = panel * kTileColumns;
      const int64_t columns = packed.n - column < kTileColumns ? packed.n - column : kTileColumns;
      const Matrix from = {b.data + p * b.row_stride + column * b.column_stride, b.row_stride, b.column_stride};
      pack_panel(block, columns, from, packed.data + p * padded + column * block);
    }
  }
}

template <bool kPacked>
SHORTLIST_INLINE void multiply_block(int64_t rows, int64_t depth, int64_t columns, const float* a, int64_t a_stride,
                                     const float* b, TileOutput out) {
  float* const c = out.c;
  const float* const column_bias = out.column_bias;
  const float* const row_bias = out.row_bias;
  for (int64_t column = 0; column < columns; column += kTileColumns) {
    out.columns = columns - column < kTileColumns ? columns - column : kTileColumns;
    out.column_bias = column_bias ? column_bias + column : nullptr;
    for (int64_t row = 0; row < rows; row += kTileRows) {
      const int64_t height = rows - row < kTileRows ? rows - row : kTileRows;
      out.c = c + row * out.stride + column;
      out.row_bias = row_bias ? row_bias + row : nullptr;
      const float* from = a + row * (kPacked ? depth : a_stride);
      if (height == kTileRows) {
        tile<kTileRows, kPacked>(depth, from, a_stride, b + column * depth, out);
      } else {
        tile_of<kPacked>(height)(depth, from, a_stride, b + column * depth, out);
      }
    }
  }
}

// C where k = 0.
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

// Rows and columns of a chunk's block of C, so that there is work for `wanted` chunks.
struct Blocks {
  int64_t rows;
  int64_t columns;
};

Blocks blocks_of(int64_t m, int64_t n, int64_t k) {
  const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  const double chunks = flops / kFlopsPerChunk;
  const int64_t wanted = chunks < kMostChunks ? static_cast<int64_t>(chunks) + 1 : kMostChunks;
  Blocks blocks = {kPackedRows, round_up(n, kTileColumns)};
  while (((m + blocks.rows - 1) / blocks.rows) * ((n + blocks.columns - 1) / blocks.columns) < wanted) {
    if (blocks.rows > 24 && m > 24) {
      blocks.rows = round_up((m < blocks.rows ? m : blocks.rows) / 2, kTileRows);
    } else if (blocks.columns > 2 * kTileColumns) {
      blocks.columns = round_up(blocks.columns / 2, kTileColumns);
    } else {
      break;
    }
  }
  return blocks;
}

void pack_on_all_threads(const Call& call, const PackedMatrix& packed, int64_t depth, const Matrix& b) {
  const int64_t panels = (packed.n + kTileColumns - 1) / kTileColumns;
  const int64_t panels_per_chunk = 32768 / (packed.k * kTileColumns + 1) + 1;
  parallel_blocks(call, panels, panels_per_chunk,
                  [&](int64_t begin, int64_t end) { pack_panels(packed, depth, b, begin, end); });
}

}  // namespace

int64_t packed_elements(int64_t k, int64_t n) { return k * round_up(n, kTileColumns); }

void pack(const PackedMatrix& packed, const Matrix& b) {
  pack_panels(packed, depth_of(packed.k), b, 0, (packed.n + kTileColumns - 1) / kTileColumns);
}

void pack(const Call& call, const PackedMatrix& packed, const Matrix& b) {
  pack_on_all_threads(call, packed, depth_of(packed.k), b);
}

void multiply_packed(int64_t m, int64_t first_column, int64_t columns, const Matrix& a, const PackedMatrix& b, float* c,
                     int64_t c_stride, const Epilogue& epilogue) {
  if (m == 0 || columns == 0) return;
  if (b.k == 0) return fill_empty(m, columns, c, c_stride, epilogue);
  const int64_t depth = depth_of(b.k), padded = round_up(b.n, kTileColumns);
  for (int64_t p = 0; p < b.k; p += depth) {
    const int64_t block = b.k - p < depth ? b.k - p : depth;
    const bool last = p + block == b.k;
    const float* panels = b.data + p * padded + first_column * block;
    TileOutput out = {c, c_stride, 0, epilogue.accumulate || p > 0, last ? epilogue.column_bias : nullptr,
                      last ? epilogue.row_bias : nullptr, last && epilogue.relu};
    if (a.column_stride == 1) {
      multiply_block<false>(m, block, columns, a.data + p, a.row_stride, panels, out);
      continue;
    }
    alignas(64) float packed_rows[kPackedRows * kDepth];
    for (int64_t row = 0; row < m; row += kPackedRows) {
      const int64_t rows = m - row < kPackedRows ? m - row : kPackedRows;
      pack_rows(rows, block, {a.data + row * a.row_stride + p * a.column_stride, a.row_stride, a.column_stride}, packed_rows);
      out.c = c + row * c_stride;
      out.row_bias = last && epilogue.row_bias ? epilogue.row_bias + row : nullptr;
      multiply_block<true>(rows, block, columns, packed_rows, 0, panels, out);
    }
  }
}

void multiply(const Call& call, int64_t m, int64_t n, int64_t k, const Matrix& a, const Matrix& b, float* c,
              int64_t c_stride, const Epilogue& epilogue) {
  if (m == 0 || n == 0) return;
  if (k == 0) return fill_empty(m, n, c, c_stride, epilogue);
  const int64_t depth = depth_of(k);
  const bool in_place = a.column_stride == 1;
  // What is packed at a time: `width` columns of B and `height` rows of A, `slab` (blocks of depth) of each.
  const int64_t most = kPackedElements / depth / kTileColumns * kTileColumns;
  const int64_t width = n <= most ? n : most;
  const int64_t height = in_place ? m : round_up(m <= most ? m : most, kTileRows);
  const int64_t side = in_place || width > height ? round_up(width, kTileColumns) : height;
  const int64_t blocks_per_slab = kPackedElements / side / depth;
  const int64_t slab = (blocks_per_slab > 0 ? blocks_per_slab : 1) * depth, longest = k < slab ? k : slab;
  float* packed_columns = static_cast<float*>(scratch(call, packed_elements(longest, width)));
  float* packed_rows = in_place ? nullptr : static_cast<float*>(scratch(call, longest * height));

  for (int64_t column = 0; column < n; column += width) {
    const int64_t columns = n - column < width ? n - column : width, padded = round_up(columns, kTileColumns);
    for (int64_t p = 0; p < k; p += slab) {
      const int64_t steps = k - p < slab ? k - p : slab;
      pack_on_all_threads(call, {packed_columns, steps, columns}, depth,
                          {b.data + p * b.row_stride + column * b.column_stride, b.row_stride, b.column_stride});
      for (int64_t row = 0; row < m; row += height) {
        const int64_t rows = m - row < height ? m - row : height;
        const Matrix from = {a.data + row * a.row_stride + p * a.column_stride, a.row_stride, a.column_stride};
        const int64_t padded_rows = round_up(rows, kTileRows);
        if (!in_place) {
          const int64_t across = (rows + kPackedRows - 1) / kPackedRows;
          parallel(call, (steps + depth - 1) / depth * across, [&](int64_t chunk) {
            const int64_t i = chunk % across * kPackedRows, first = chunk / across * depth;
            const int64_t block = steps - first < depth ? steps - first : depth;
            pack_rows(rows - i < kPackedRows ? rows - i : kPackedRows, block,
                      {from.data + i * from.row_stride + first * from.column_stride, from.row_stride, from.column_stride},
                      packed_rows + first * padded_rows + i * block);
          });
        }
        const Blocks blocks = blocks_of(rows, columns, steps);
        const int64_t across = (columns + blocks.columns - 1) / blocks.columns;
        const int64_t down = (rows + blocks.rows - 1) / blocks.rows;
        parallel(call, across * down, [&](int64_t chunk) {
          const int64_t i = chunk / across * blocks.rows, j = chunk % across * blocks.columns;
          const int64_t own_rows = rows - i < blocks.rows ? rows - i : blocks.rows;
          const int64_t own_columns = columns - j < blocks.columns ? columns - j : blocks.columns;
          for (int64_t q = 0; q < steps; q += depth) {
            const int64_t block = steps - q < depth ? steps - q : depth;
            const bool last = p + q + block == k;
            const float* panels = packed_columns + q * padded + j * block;
            const TileOutput out = {c + (row + i) * c_stride + column + j, c_stride, 0, epilogue.accumulate || p + q > 0,
                                    last && epilogue.column_bias ? epilogue.column_bias + column + j : nullptr,
                                    last && epilogue.row_bias ? epilogue.row_bias + row + i : nullptr, last && epilogue.relu};
            if (in_place) {
              multiply_block<false>(own_rows, block, own_columns, from.data + i * from.row_stride + q, from.row_stride, panels, out);
            } else {
              multiply_block<true>(own_rows, block, own_columns, packed_rows + q * padded_rows + i * block, 0, panels, out);
            }
          }
        });
      }
    }
  }
}

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
