// One register tile of a matrix product: the inner loop that weighted_gram and weighted_normal share.
#pragma once

#include "vec.h"

namespace netsculpt::NS_TARGET {

// Accumulators, one row of b and a broadcast fill the register file: 32 registers with AVX-512 and on
// aarch64, 16 elsewhere.
#if NS_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr int kTileRows = 8;
#else
constexpr int kTileRows = 4;
#endif
constexpr int kTileVecs = 3;

template <class T>
constexpr int64_t kWidth = kNativeWidth<T>;
template <class T>
using Register = Vec<T, kNativeWidth<T>>;

template <class T, int kRows, int kVecs>
struct RegisterTile {
  Register<T> at[kRows][kVecs];
};

// c[r][v] += sum over k < depth of a[k * a_step + r * kARow] * b[k * b_step + v * width ...].
template <int64_t kARow, class T, int kRows, int kVecs>
NS_HD void tile_add_product(RegisterTile<T, kRows, kVecs>& c, const T* NS_RESTRICT a, int64_t a_step,
                            const T* NS_RESTRICT b, int64_t b_step, int64_t depth) {
  for (int64_t k = 0; k < depth; ++k) {
    Register<T> row[kVecs];
    NS_UNROLL
    for (int v = 0; v < kVecs; ++v) row[v] = load_vec<Register<T>>(b + v * kWidth<T>);
    NS_UNROLL
    for (int r = 0; r < kRows; ++r) {
      NS_UNROLL
      for (int v = 0; v < kVecs; ++v) c.at[r][v] += a[r * kARow] * row[v];
    }
    a += a_step;
    b += b_step;
  }
}

// c += tile, converted to the type of c, whose rows are `c_row` apart.
template <class A, class T, int kRows, int kVecs>
NS_HD void add_tile(const RegisterTile<T, kRows, kVecs>& tile, A* c, int64_t c_row) {
  typedef A Wide __attribute__((vector_size(kWidth<T> * sizeof(A)), may_alias));
  NS_UNROLL
  for (int r = 0; r < kRows; ++r) {
    NS_UNROLL
    for (int v = 0; v < kVecs; ++v) {
      A* at = c + r * c_row + v * kWidth<T>;
      store_vec(at, load_vec<Wide>(at) + __builtin_convertvector(tile.at[r][v], Wide));
    }
  }
}

// sums[r] += a^T b for kRows rows: the whole update of one tile in memory.
template <int kRows, int kVecs, class T, class A>
NS_HD void add_product(const T* a, int64_t a_step, const T* b, int64_t b_step, int64_t depth, A* sums,
                       int64_t sum_row) {
  RegisterTile<T, kRows, kVecs> c{};
  tile_add_product<1>(c, a, a_step, b, b_step, depth);
  add_tile(c, sums, sum_row);
}

}  // namespace netsculpt::NS_TARGET
