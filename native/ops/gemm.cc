// Matrix product, register-blocked in the manner of BLIS (Van Zee & van de Geijn 2015).
//
//   C [m, n] (= | +=) A [m, k] · B [k, n], then biases and ReLU in the last block of k.    C aliases nothing
//
// A tile is kTileRows × kTileColumns accumulators, the most that the registers hold: it reads a panel of B, kTileColumns
// columns wide and packed, and broadcasts the elements of its rows of A, which are read where they lie, along a row or
// (Aᵀ of a weight gradient) across. A chunk of work is a block of C: for each block of k (kDepth) it packs its columns of B
// into memory of its thread, then goes through its rows, some 100 at a time, panel by panel (a panel stays in L1).
// So there is one fork and join to a product, and a column of B is packed once for hundreds of rows, at 3 % of the time for
// 256 of them. Where there are few rows, packing would cost 20 % at 50, and whole panels of B are read where they lie, from
// the L2 cache. (To copy rows of A that lie a multiple of 4 KiB apart, all on one set of the cache, gains nothing beside the
// prefetch.)
//
// Operands in bfloat16 are rounded as they are packed or copied, and multiplied as float32: the same products as those of
// VDPBF16PS, which takes 2.1 cycles on an Emerald Rapids core where two float32 multiply-adds of as many elements take 0.5
// each. So the sums are those of float32, and nothing is gained or lost in time but the copies (5 %).
//
// Threads share out blocks of C, and k among them only by slabs: an element is the same sum in whatever block it is
// (gemm.h).

#include "native/ops/gemm.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kDepth = 256;                           // a panel of 32 KiB at most
const int64_t kPackedElements = 131072;               // of B in a chunk: 512 KiB
const int64_t kFarElements = int64_t{1} << 19;        // of C: 2 MiB
const int64_t kRowsInPlace = 64;                      // of a chunk, at most, for which B is not packed
const int64_t kPackedOnStack = 32768;                 // in a product of one thread
const int64_t kRowsAtOnce = 112 / kTileRows * kTileRows;
const int64_t kRoundedStride = kDepth + 16;           // of rows of A that are rounded: 120 KiB on the stack
const int64_t kFlopsPerChunk = 400000;                // some 3 µs
const int64_t kChunksPerThread = 4;
const int64_t kMostRows = 64 * kTileRows;             // of a chunk
const int64_t kFewestRows = (24 + kTileRows - 1) / kTileRows * kTileRows;  // for which columns are packed again
const int64_t kMostSlabs = 16;

// Blocks of k: equal ones, none longer than kDepth. Depends on k alone.
int64_t depth_of(int64_t k) {
  const int64_t blocks = (k + kDepth - 1) / kDepth;
  return blocks == 0 ? 1 : (k + blocks - 1) / blocks;
}

// Slabs of k that are multiplied side by side: for sums that are long beside the size of C.
int64_t slab_of(int64_t m, int64_t n, int64_t k) {
  const int64_t shortest = m * n <= 16384 ? 256 : m * n <= 131072 ? 1024 : k;
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
  bool far;  // C is too large for the caches: its tile is asked for before it is met
};

// Stores the first `columns` columns of a tile's sums.
template <int kRows>
SHORTLIST_INLINE void finish_tile(const vf (*sum)[kTileVectors], const TileOutput& out, int64_t columns) {
  const bool accumulate = out.accumulate, relu = out.relu;
  const float* const row_bias = out.row_bias;
  vf column_bias[kTileVectors];
#pragma GCC unroll 4
  for (int j = 0; j < kTileVectors; ++j) {
    const int64_t left = columns - j * kLanes;
    column_bias[j] = out.column_bias && left > 0 ? load_upto(out.column_bias + j * kLanes, left) : vf{};
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    float* const c = out.c + i * out.stride;
#pragma GCC unroll 4
    for (int j = 0; j < kTileVectors; ++j) {
      const int64_t left = columns - j * kLanes;
      if (left <= 0) break;
      vf value = sum[i][j];
      if (accumulate) value = load_upto(c + j * kLanes, left) + value;
      value = value + column_bias[j];
      if (row_bias) value = value + row_bias[i];
      if (relu) value = value < 0.0f ? splat(0.0f) : value;
      store_upto(c + j * kLanes, value, left);
    }
  }
}

// One tile of `kRows` ≤ kTileRows rows. Element (i, p) of A is a[i·stride + p], or a[p·stride + i] where kAcross; the columns
// of step p of B are at b + p·b_stride. Rows that lie along are streams that no hardware prefetcher follows, fourteen at a
// time: each step asks for one line of the rows to come.
template <int kRows, bool kAcross>
void tile(int64_t k, const float* __restrict a, int64_t stride, const float* __restrict b, int64_t b_stride, const TileOutput& out) {
  vf sum[kRows][kTileVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kTileVectors; ++j) sum[i][j] = vf{};
  }
  if (out.far) {
    for (int i = 0; i < kRows; ++i) {
      for (int j = 0; j < kTileVectors; ++j) __builtin_prefetch(out.c + i * out.stride + j * kLanes, 1);
    }
  }
  // Four rows to a pointer: strides of 0 to 3 rows are addresses that one instruction can form.
  const float* row[(kRows + 3) / 4];
#pragma GCC unroll 4
  for (int i = 0; i < (kRows + 3) / 4; ++i) row[i] = a + 4 * i * stride;
  const auto step = [&]() __attribute__((always_inline)) {
    vf column[kTileVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kTileVectors; ++j) column[j] = load(b + j * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const vf element = splat(kAcross ? a[i] : row[i / 4][i % 4 * stride]);
#pragma GCC unroll 4
      for (int j = 0; j < kTileVectors; ++j) sum[i][j] = madd(element, column[j], sum[i][j]);
    }
    a += stride;
#pragma GCC unroll 4
    for (int i = 0; i < (kRows + 3) / 4; ++i) ++row[i];
    b += b_stride;
  };
  int64_t p = 0;
  if (!kAcross) {
    const float* ahead = a + kRows * stride;
    for (; p + kRows <= k; p += kRows, ahead += 16 - kRows * stride) {
      for (int i = 0; i < kRows; ++i, ahead += stride) {
        __builtin_prefetch(ahead);
        step();
      }
    }
  }
  for (; p < k; ++p) step();
  if (out.columns == kTileColumns) {
    finish_tile<kRows>(sum, out, kTileColumns);
  } else {
    finish_tile<kRows>(sum, out, out.columns);
  }
}

typedef void (*Tile)(int64_t, const float*, int64_t, const float*, int64_t, const TileOutput&);

template <bool kAcross>
SHORTLIST_INLINE Tile tile_of(int64_t rows) {
#if defined(__AVX512F__)
  static const Tile tiles[] = {tile<1, kAcross>,  tile<2, kAcross>,  tile<3, kAcross>,  tile<4, kAcross>,  tile<5, kAcross>,
                               tile<6, kAcross>,  tile<7, kAcross>,  tile<8, kAcross>,  tile<9, kAcross>,  tile<10, kAcross>,
                               tile<11, kAcross>, tile<12, kAcross>, tile<13, kAcross>, tile<14, kAcross>};
#elif defined(__AVX2__)
  static const Tile tiles[] = {tile<1, kAcross>, tile<2, kAcross>, tile<3, kAcross>,
                               tile<4, kAcross>, tile<5, kAcross>, tile<6, kAcross>};
#elif defined(__aarch64__)
  static const Tile tiles[] = {tile<1, kAcross>, tile<2, kAcross>, tile<3, kAcross>, tile<4, kAcross>,
                               tile<5, kAcross>, tile<6, kAcross>, tile<7, kAcross>, tile<8, kAcross>};
#else
  static const Tile tiles[] = {tile<1, kAcross>, tile<2, kAcross>, tile<3, kAcross>, tile<4, kAcross>};
#endif
  return tiles[rows - 1];
}

// The matrix from (row, column) on.
SHORTLIST_INLINE Matrix part_of(const Matrix& matrix, int64_t row, int64_t column) {
  const float* data = matrix.data + row * matrix.row_stride + column * matrix.column_stride;
  return {data, matrix.row_stride, matrix.column_stride, matrix.bf16};
}

// depth × columns of B into panels, one behind the other; columns past the last hold zeros. Rows that lie along are read
// through, each to all panels; else squares are transposed.
void pack_block(int64_t depth, int64_t columns, const Matrix& b, float* to) {
  const int64_t padded = round_up(columns, kTileColumns), whole = columns / kLanes * kLanes;
  const int64_t panel = depth * kTileColumns;
  if (b.column_stride == 1) {
    for (int64_t p = 0; p < depth; ++p) {
      const float* from = b.data + p * b.row_stride;
      float* row = to + p * kTileColumns;
      for (int64_t j = 0; j < padded; j += kLanes) {
        const vf part = j < whole ? load(from + j) : j < columns ? load_first(from + j, columns - j) : vf{};
        store(row + j / kTileColumns * panel + j % kTileColumns, b.bf16 ? round_to_bf16(part) : part);
      }
    }
    return;
  }
  for (int64_t j = 0; j < padded; j += kLanes) {
    const int64_t own = columns - j;
    const float* from = b.data + j * b.column_stride;
    float* column = to + j / kTileColumns * panel + j % kTileColumns;
    for (int64_t p = 0; p < depth; p += kLanes) {
      vf square[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) square[i] = i < own ? load_upto(from + i * b.column_stride + p, depth - p) : vf{};
      transpose(square);
      for (int i = 0; i < kLanes && p + i < depth; ++i) {
        store(column + (p + i) * kTileColumns, b.bf16 ? round_to_bf16(square[i]) : square[i]);
      }
    }
  }
}

// Panels [first, last) of every block of k; the blocks lie one behind the other, each with all its panels.
void pack_panels(const PackedMatrix& packed, const Matrix& b, int64_t first, int64_t last) {
  const int64_t depth = depth_of(packed.k), padded = round_up(packed.n, kTileColumns);
  const int64_t column = first * kTileColumns, end = last * kTileColumns < packed.n ? last * kTileColumns : packed.n;
  for (int64_t p = 0; p < packed.k; p += depth) {
    const int64_t block = packed.k - p < depth ? packed.k - p : depth;
    pack_block(block, end - column, part_of(b, p, column), packed.data + p * padded + column * block);
  }
}

// Columns of B by panels of kTileColumns, `between` elements apart, whose steps of k are `stride` apart.
struct Panels {
  const float* data;
  int64_t stride;
  int64_t between;
};

SHORTLIST_INLINE Panels packed_panels(const float* data, int64_t depth) { return {data, kTileColumns, depth * kTileColumns}; }

// C's rows × columns from one block of k. Panels outermost.
template <bool kAcross>
SHORTLIST_INLINE void multiply_rows(int64_t rows, int64_t depth, int64_t columns, const float* a, int64_t stride,
                                    const Panels& b, TileOutput out) {
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
      const float* from = a + (kAcross ? row : row * stride);
      const float* panel = b.data + column / kTileColumns * b.between;
      if (height == kTileRows) {
        tile<kTileRows, kAcross>(depth, from, stride, panel, b.stride, out);
      } else {
        tile_of<kAcross>(height)(depth, from, stride, panel, b.stride, out);
      }
    }
  }
}

// lines × width elements, `stride` apart, rounded to bfloat16 into lines `to_stride` apart.
SHORTLIST_INLINE void round_lines(int64_t lines, int64_t width, const float* from, int64_t stride, float* to, int64_t to_stride) {
  for (int64_t i = 0; i < lines; ++i) {
    for (int64_t j = 0; j < width; j += kLanes) {
      store_upto(to + i * to_stride + j, round_to_bf16(load_upto(from + i * stride + j, width - j)), width - j);
    }
  }
}

// The same for any number of rows, some at a time.
void multiply_block(int64_t rows, int64_t depth, int64_t columns, const Matrix& a, const Panels& b, const TileOutput& out) {
  const bool across = a.column_stride != 1;
  for (int64_t row = 0; row < rows; row += kRowsAtOnce) {
    const int64_t own = rows - row < kRowsAtOnce ? rows - row : kRowsAtOnce;
    const Matrix from = part_of(a, row, 0);
    TileOutput own_out = out;
    own_out.c = out.c + row * out.stride;
    own_out.row_bias = out.row_bias ? out.row_bias + row : nullptr;
    if (!a.bf16) {
      if (across) {
        multiply_rows<true>(own, depth, columns, from.data, a.column_stride, b, own_out);
      } else {
        multiply_rows<false>(own, depth, columns, from.data, a.row_stride, b, own_out);
      }
      continue;
    }
    alignas(64) float rounded[kRowsAtOnce * kRoundedStride];
    if (across) {
      round_lines(depth, own, from.data, a.column_stride, rounded, kRowsAtOnce);
      multiply_rows<true>(own, depth, columns, rounded, kRowsAtOnce, b, own_out);
    } else {
      round_lines(own, depth, from.data, a.row_stride, rounded, kRoundedStride);
      multiply_rows<false>(own, depth, columns, rounded, kRoundedStride, b, own_out);
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

// What a tile does with the block of k that ends at `end`.
SHORTLIST_INLINE TileOutput output_of(float* c, int64_t c_stride, const Epilogue& epilogue, int64_t row, int64_t column, bool first,
                                      bool last) {
  return {c + row * c_stride + column,
          c_stride,
          0,
          epilogue.accumulate || !first,
          last && epilogue.column_bias ? epilogue.column_bias + column : nullptr,
          last && epilogue.row_bias ? epilogue.row_bias + row : nullptr,
          last && epilogue.relu,
          false};
}

// Columns of B that can be packed at a time.
SHORTLIST_INLINE int64_t fitting_columns(int64_t elements, int64_t depth) {
  return elements / depth / kTileColumns * kTileColumns;
}

// Rows and columns of a chunk's block of C, so that there are some chunks for each thread where there is work for them.
// (Elements of C do not depend on the block that they are in.) Columns are halved first: each is then packed once.
struct Blocks {
  int64_t rows;
  int64_t columns;
};

SHORTLIST_INLINE int64_t half_of(int64_t n, int64_t multiple) { return round_up((n + 1) / 2, multiple); }

Blocks blocks_of(const Call& call, int64_t m, int64_t n, int64_t k, int64_t depth, int64_t slabs) {
  const double chunks = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) / kFlopsPerChunk;
  const int64_t threads = worker_count(call), most = threads == 1 ? 1 : kChunksPerThread * threads;
  const int64_t wanted = (chunks < static_cast<double>(most) ? static_cast<int64_t>(chunks) + 1 : most) / slabs;
  const int64_t fitting = fitting_columns(kPackedElements, depth);
  const int64_t rows = round_up(m, kTileRows), columns = round_up(n, kTileColumns);
  const int64_t fewest = m <= kRowsAtOnce ? kFewestRows : 2 * kFewestRows;
  Blocks blocks = {rows < kMostRows ? rows : kMostRows, columns < fitting ? columns : fitting};
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

void pack(const PackedMatrix& packed, const Matrix& b) { pack_panels(packed, b, 0, round_up(packed.n, kTileColumns) / kTileColumns); }

void pack(const Call& call, const PackedMatrix& packed, const Matrix& b) {
  const int64_t panels_per_chunk = 32768 / (packed.k * kTileColumns + 1) + 1;
  parallel_blocks(call, round_up(packed.n, kTileColumns) / kTileColumns, panels_per_chunk,
                  [&](int64_t begin, int64_t end) { pack_panels(packed, b, begin, end); });
}

void multiply_packed(int64_t m, int64_t first_column, int64_t columns, const Matrix& a, const PackedMatrix& b, float* c,
                     int64_t c_stride, const Epilogue& epilogue) {
  if (m == 0 || columns == 0) return;
  if (b.k == 0) return fill_empty(m, columns, c, c_stride, epilogue);
  const int64_t depth = depth_of(b.k), padded = round_up(b.n, kTileColumns);
  for (int64_t p = 0; p < b.k; p += depth) {
    const int64_t block = b.k - p < depth ? b.k - p : depth;
    multiply_block(m, block, columns, part_of(a, 0, p), packed_panels(b.data + p * padded + first_column * block, block),
                   output_of(c, c_stride, epilogue, 0, 0, p == 0, p + block == b.k));
  }
}

void multiply_alone(int64_t m, int64_t n, int64_t k, const Matrix& a, const Matrix& b, float* c, int64_t c_stride,
                    const Epilogue& epilogue) {
  if (m == 0 || n == 0) return;
  if (k == 0) return fill_empty(m, n, c, c_stride, epilogue);
  const int64_t depth = depth_of(k), fitting = fitting_columns(kPackedOnStack, depth);
  alignas(64) float packed[kPackedOnStack];
  for (int64_t column = 0; column < n; column += fitting) {
    const int64_t columns = n - column < fitting ? n - column : fitting;
    for (int64_t p = 0; p < k; p += depth) {
      const int64_t block = k - p < depth ? k - p : depth;
      pack_block(block, columns, part_of(b, p, column), packed);
      multiply_block(m, block, columns, part_of(a, 0, p), packed_panels(packed, block),
                     output_of(c, c_stride, epilogue, 0, column, p == 0, p + block == k));
    }
  }
}

void multiply(const Call& call, int64_t m, int64_t n, int64_t k, const Matrix& a, const Matrix& b, float* c,
              int64_t c_stride, const Epilogue& epilogue) {
  if (m == 0 || n == 0) return;
  if (k == 0) return fill_empty(m, n, c, c_stride, epilogue);
  const int64_t slab = slab_of(m, n, k), slabs = (k + slab - 1) / slab, depth = depth_of(slab);
  const Blocks blocks = blocks_of(call, m, n, k, depth, slabs);
  const int64_t across = (n + blocks.columns - 1) / blocks.columns, down = (m + blocks.rows - 1) / blocks.rows;
  const int64_t buffer = packed_elements(depth, blocks.columns);
  float* buffers = static_cast<float*>(scratch(call, worker_count(call) * buffer));
  float* partial = slabs > 1 ? static_cast<float*>(scratch(call, slabs * m * n)) : nullptr;  // [slabs, m, n]

  parallel(call, slabs * down * across, [&](int64_t chunk) {
    const int64_t s = chunk / (down * across), row = chunk / across % down * blocks.rows, column = chunk % across * blocks.columns;
    const int64_t rows = m - row < blocks.rows ? m - row : blocks.rows;
    const int64_t columns = n - column < blocks.columns ? n - column : blocks.columns;
    const int64_t begin = s * slab, end = begin + slab < k ? begin + slab : k;
    float* packed = buffers + this_worker() * buffer;
    for (int64_t p = begin; p < end; p += depth) {
      const int64_t block = end - p < depth ? end - p : depth;
      TileOutput out = partial ? output_of(partial + s * m * n, n, {}, row, column, p == begin, false)
                               : output_of(c, c_stride, epilogue, row, column, p == begin, p + block == end);
      out.far = m * n > kFarElements;
      const Matrix from = part_of(a, row, p);
      // Whole panels are read where they lie if few rows need them.
      const int64_t in_place = b.column_stride == 1 && !b.bf16 && rows <= kRowsInPlace ? columns / kTileColumns * kTileColumns : 0;
      if (in_place > 0) {
        multiply_block(rows, block, in_place, from, {part_of(b, p, column).data, b.row_stride, kTileColumns}, out);
      }
      if (in_place < columns) {
        pack_block(block, columns - in_place, part_of(b, p, column + in_place), packed);
        TileOutput rest = out;
        rest.c += in_place;
        if (rest.column_bias) rest.column_bias += in_place;
        multiply_block(rows, block, columns - in_place, from, packed_panels(packed, block), rest);
      }
    }
  });
  if (!partial) return;
  parallel_blocks(call, m, 4096 / n + 1, [&](int64_t begin, int64_t end) {
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
