// weighted_normal: out_k = sum over rows p of x_p q[p,k] (x_p . v_k), for every unit k of every group.
#pragma once

#include "core/dtype.h"
#include "core/simd_level.h"
#include "core/team.h"
#include "weighted_rows.h"

namespace netsculpt {

struct WeightedNormalArgs : WeightedRows {
  const void* v;  // [groups, units, width], any strides, of x's type or the result's
  void* out;      // [groups, units, width], contiguous, float32, or float64 for float64 x
  int64_t v_group, v_unit, v_col;
  Dtype v_dtype;
};

// How the CPU op cuts its work. It depends on the sizes only, never on the number of threads, and so do
// the bits of the result. An item is one chunk of rows of one tile of groups and units.
struct WeightedNormalPlan {
  int64_t row_tile, group_tile, unit_tile, unit_panel, x_panel, chunk_rows, chunks;
  int64_t items, panels;  // panels: pieces of v, packed before the items run
  int64_t panel_size;     // values of a packed panel
  int64_t out_row;        // values of a padded row of a chunk's sums
  int64_t scratch_bytes, packed_bytes, partial_bytes;
};

namespace NS_TARGET {

// The tile of the Team body: units, rows, and columns of x at a time (kCols, a multiple of 16).
constexpr int kNormalUnits = 32;
template <class T>
constexpr int kNormalRows = 256 / sizeof(T);

// Scratch of normal_tile_body in values of T, when `slabs` slabs of kCols columns of x stay in it. Rows are one
// value longer than needed, so that the rows of a column lie in different banks of shared memory.
template <class T, int kCols>
NS_HD int64_t normal_scratch(int64_t slabs) {
  return (slabs * kNormalRows<T> + kNormalUnits) * (kCols + 1) + kNormalRows<T> * (kNormalUnits + 1);
}

struct NormalTile {
  int64_t group, unit;  // the first unit
  int64_t begin, end;   // rows of x, at least one
  int64_t slabs;        // slabs of x in scratch: all of them, or one that is read twice
};

// to[r][c] = from[r, c] inside rows x cols, else zero; the tile is tile_rows x kCols.
template <int kCols, class S, class T, class Team>
NS_HD void stage_slab(const Team& team, const S* from, int64_t row_step, int64_t col_step, int64_t rows, int64_t cols,
                      int tile_rows, T* to) {
  for (int e = team.rank(); e < tile_rows * kCols; e += team.size()) {
    const int r = e / kCols, c = e % kCols;
    to[r * (kCols + 1) + c] = r < rows && c < cols ? widen<T>(from[r * row_step + c * col_step]) : T(0);
  }
}

// y[r][u] (+)= x_r . v_u over one slab of `cols` columns. Each rank owns blocks of 4 x 4 values of y.
template <int kCols, class T, class Team>
NS_HD void project_slab(const Team& team, const T* xs, const T* vs, int cols, bool first, T* y) {
  constexpr int kAcross = kNormalUnits / 4, kDown = kNormalRows<T> / 4;
  for (int b = team.rank(); b < kAcross * kDown; b += team.size()) {
    const int r0 = b / kAcross, u0 = b % kAcross;
    T sum[4][4];
    NS_UNROLL
    for (int i = 0; i < 16; ++i)
      sum[i / 4][i % 4] = first ? T(0) : y[(r0 + i / 4 * kDown) * (kNormalUnits + 1) + u0 + i % 4 * kAcross];
    for (int c = 0; c < cols; ++c) {
      T xr[4], vu[4];
      NS_UNROLL
      for (int i = 0; i < 4; ++i) xr[i] = xs[(r0 + i * kDown) * (kCols + 1) + c];
      NS_UNROLL
      for (int i = 0; i < 4; ++i) vu[i] = vs[(u0 + i * kAcross) * (kCols + 1) + c];
      NS_UNROLL
      for (int i = 0; i < 16; ++i) sum[i / 4][i % 4] += xr[i / 4] * vu[i % 4];
    }
    NS_UNROLL
    for (int i = 0; i < 16; ++i)
      y[(r0 + i / 4 * kDown) * (kNormalUnits + 1) + u0 + i % 4 * kAcross] = sum[i / 4][i % 4];
  }
}

// sums[u, c] (+)= sum over r of y[r][u] x[r][c] for one slab. Each rank owns blocks of 4 x kCols / 16 values.
template <int kCols, class T, class Team>
NS_HD void collect_slab(const Team& team, const T* xs, const T* y, int rows, int cols, bool first, T* sums,
                        int64_t sum_row) {
  constexpr int kAcross = 16, kWide = kCols / kAcross, kDown = kNormalUnits / 4;
  for (int b = team.rank(); b < kAcross * kDown; b += team.size()) {
    const int u0 = b / kAcross, c0 = b % kAcross;
    T sum[4][kWide] = {};
    for (int r = 0; r < rows; ++r) {
      T yu[4], xc[kWide];
      NS_UNROLL
      for (int i = 0; i < 4; ++i) yu[i] = y[r * (kNormalUnits + 1) + u0 + i * kDown];
      NS_UNROLL
      for (int i = 0; i < kWide; ++i) xc[i] = xs[r * (kCols + 1) + c0 + i * kAcross];
      NS_UNROLL
      for (int i = 0; i < 4 * kWide; ++i) sum[i / kWide][i % kWide] += yu[i / kWide] * xc[i % kWide];
    }
    NS_UNROLL
    for (int i = 0; i < 4 * kWide; ++i) {
      const int c = c0 + i % kWide * kAcross;
      if (c >= cols) continue;
      T* at = sums + (u0 + i / kWide * kDown) * sum_row + c;
      *at = first ? sum[i / kWide][i % kWide] : *at + sum[i / kWide][i % kWide];
    }
  }
}

// sums[u, :] for kNormalUnits units (rows of `width` values; units past the last one are zero) over the tile's
// rows. `scratch` has normal_scratch<T, kCols>(tile.slabs) values and is not sums.
template <class S, int kCols, class Team>
NS_HD void normal_tile_body(const Team& team, const WeightedNormalArgs& a, const NormalTile& t,
                            typename ComputeType<S>::type* scratch, typename ComputeType<S>::type* sums) {
  using T = typename ComputeType<S>::type;
  constexpr int kRows = kNormalRows<T>;
  const S* x = static_cast<const S*>(a.x) + t.group * a.x_group;
  const S* q = static_cast<const S*>(a.q) + t.group * a.q_group + t.unit * a.q_col;
  const int64_t v_first = t.group * a.v_group + t.unit * a.v_unit;
  T* const vs = scratch + t.slabs * kRows * (kCols + 1);
  T* const y = vs + kNormalUnits * (kCols + 1);
  for (int64_t p = t.begin; p < t.end; p += kRows) {
    const int64_t rows = t.end - p < kRows ? t.end - p : kRows;
    const auto stage_x = [&](int64_t c, T* xs) {
      stage_slab<kCols>(team, x + p * a.x_row + c * a.x_col, a.x_row, a.x_col, rows, a.width - c, kRows, xs);
    };
    T* xs = scratch;
    for (int64_t c = 0; c < a.width; c += kCols) {
      team.sync();  // xs, vs, y: still read by the round before
      stage_x(c, xs);
      const int64_t units = a.units - t.unit, v_at = v_first + c * a.v_col;
      if (a.v_dtype == a.dtype)
        stage_slab<kCols>(team, static_cast<const S*>(a.v) + v_at, a.v_unit, a.v_col, units, a.width - c, kNormalUnits,
                          vs);
      else
        stage_slab<kCols>(team, static_cast<const T*>(a.v) + v_at, a.v_unit, a.v_col, units, a.width - c, kNormalUnits,
                          vs);
      team.sync();  // xs, vs: written by all ranks
      project_slab<kCols>(team, xs, vs, static_cast<int>(a.width - c < kCols ? a.width - c : kCols), c == 0, y);
      if (t.slabs > 1) xs += kRows * (kCols + 1);
    }
    team.sync();  // y: written by all ranks
    for (int e = team.rank(); e < kRows * kNormalUnits; e += team.size()) {
      const int r = e / kNormalUnits, u = e % kNormalUnits;
      T* at = y + r * (kNormalUnits + 1) + u;
      *at = r < rows && t.unit + u < a.units ? *at * widen<T>(q[(p + r) * a.q_row + u * a.q_col]) : T(0);
    }
    team.sync();  // y: weighted by all ranks
    xs = scratch;
    for (int64_t c = 0; c < a.width; c += kCols) {
      if (t.slabs == 1 && a.width > kCols) {
        team.sync();  // xs: still read by the slab before
        stage_x(c, xs);
        team.sync();  // xs: written by all ranks
      }
      const int cols = static_cast<int>(a.width - c < kCols ? a.width - c : kCols);
      collect_slab<kCols>(team, xs, y, static_cast<int>(rows), cols, p == t.begin, sums + c, a.width);
      if (t.slabs > 1) xs += kRows * (kCols + 1);
    }
  }
}

}  // namespace NS_TARGET
}  // namespace netsculpt

NS_DECLARE_CPU(WeightedNormalPlan, weighted_normal_plan, (const WeightedNormalArgs& a), (a))
NS_DECLARE_CPU(void, weighted_normal_pack,
               (const WeightedNormalArgs& a, const WeightedNormalPlan& plan, int64_t panel, void* packed),
               (a, plan, panel, packed))
// One item: its chunk's sums, into partial.
NS_DECLARE_CPU(void, weighted_normal_cpu,
               (const WeightedNormalArgs& a, const WeightedNormalPlan& plan, int64_t item, const void* packed,
                void* scratch, void* partial),
               (a, plan, item, packed, scratch, partial))
// Row k of groups * units of the result: the chunks, added in their order.
NS_DECLARE_CPU(void, weighted_normal_finish,
               (const WeightedNormalArgs& a, const WeightedNormalPlan& plan, int64_t k, const void* partial),
               (a, plan, k, partial))
