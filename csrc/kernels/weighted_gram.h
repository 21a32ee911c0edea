// weighted_gram: S_k = sum over rows p of q[p,k] x_p x_p^T, for every unit k of every group.
#pragma once

#include "core/dtype.h"
#include "core/simd_level.h"
#include "core/team.h"
#include "weighted_rows.h"

namespace netsculpt {

struct WeightedGramArgs : WeightedRows {
  void* out;        // [groups, units, width, width], contiguous, float32 or float64
  bool accumulate;  // add to out, which holds symmetric matrices
  Dtype out_dtype;
};

// How the CPU op cuts its work. It depends on the sizes only, never on the number of threads, and so do
// the bits of the result. An item is one chunk of rows of one tile of groups, units and pairs (i <= j).
struct WeightedGramPlan {
  int64_t pairs, group_tile, unit_tile, pair_tile, chunk_rows, chunks;
  int64_t items;
  int64_t scratch_bytes;  // for each worker
  int64_t partial_bytes;  // sums of single chunks; 0 where one chunk covers all rows
};

namespace NS_TARGET {

// The tile of the Team body: units, and rows and columns of the matrices.
constexpr int kGramUnits = 16, kGramSide = 16, kGramRows = 32;
// Rows after which the sums of one rank are added to the result: float32 sums stay short.
constexpr int64_t kGramFlush = 1024;

// One tile of one group: which one, and which rows it sums.
struct GramTile {
  int64_t group, unit, i, j;  // the first unit, row and column
  int64_t begin, end;         // rows of x
};

// Scratch of gram_tile_body, in values of the compute type.
constexpr int kGramScratch = kGramRows * (2 * kGramSide + kGramUnits);

// to[r][c] = from[begin + r, first + c], zero outside.
template <class S, class T, class Team>
NS_HD void stage_tile(const Team& team, const S* from, int64_t row_step, int64_t col_step, int64_t begin, int64_t end,
                      int64_t first, int64_t cols, int tile_cols, T* to) {
  for (int e = team.rank(); e < kGramRows * tile_cols; e += team.size()) {
    const int64_t r = begin + e / tile_cols, c = first + e % tile_cols;
    to[e] = r < end && c < cols ? widen<T>(from[r * row_step + c * col_step]) : T(0);
  }
}

// sums[unit, i, j] of one tile (all kGramUnits * kGramSide^2 of them) over the tile's rows. kPer is at least
// kGramSide^2 / team.size(): a rank owns that many (i, j), each for all units, so that a product x_i x_j is
// formed once. `sums` holds values of the result's type; `scratch` has kGramScratch values of T.
template <class S, class A, int kPer, class Team>
NS_HD void gram_tile_body(const Team& team, const WeightedGramArgs& a, const GramTile& t,
                          typename ComputeType<S>::type* scratch, A* sums) {
  using T = typename ComputeType<S>::type;
  constexpr int kEntries = kGramSide * kGramSide;
  const S* x = static_cast<const S*>(a.x) + t.group * a.x_group;
  const S* q = static_cast<const S*>(a.q) + t.group * a.q_group;
  T *xi = scratch, *xj = xi + kGramRows * kGramSide, *qs = xj + kGramRows * kGramSide;
  for (int e = team.rank(); e < kEntries; e += team.size())
    for (int u = 0; u < kGramUnits; ++u) sums[u * kEntries + e] = 0;
  for (int64_t flush = t.begin; flush < t.end; flush += kGramFlush) {
    const int64_t flush_end = flush + kGramFlush < t.end ? flush + kGramFlush : t.end;
    T total[kPer][kGramUnits] = {};
    for (int64_t p = flush; p < flush_end; p += kGramRows) {
      team.sync();  // scratch: still read by the round before
      stage_tile(team, x, a.x_row, a.x_col, p, flush_end, t.i, a.width, kGramSide, xi);
      stage_tile(team, x, a.x_row, a.x_col, p, flush_end, t.j, a.width, kGramSide, xj);
      stage_tile(team, q, a.q_row, a.q_col, p, flush_end, t.unit, a.units, kGramUnits, qs);
      team.sync();  // scratch: written by all ranks
      for (int r = 0; r < kGramRows; ++r) {
        NS_UNROLL
        for (int s = 0; s < kPer; ++s) {
          const int e = team.rank() + s * team.size();
          if (e >= kEntries) break;
          const T z = xi[r * kGramSide + e / kGramSide] * xj[r * kGramSide + e % kGramSide];
          NS_UNROLL
          for (int u = 0; u < kGramUnits; ++u) total[s][u] += qs[r * kGramUnits + u] * z;
        }
      }
    }
    NS_UNROLL
    for (int s = 0; s < kPer; ++s) {
      const int e = team.rank() + s * team.size();
      if (e >= kEntries) break;
      NS_UNROLL
      for (int u = 0; u < kGramUnits; ++u) sums[u * kEntries + e] += static_cast<A>(total[s][u]);
    }
  }
}

}  // namespace NS_TARGET
}  // namespace netsculpt

NS_DECLARE_CPU(WeightedGramPlan, weighted_gram_plan, (const WeightedGramArgs& a), (a))
// One item of the plan: into `partial`, or straight into out's upper triangles where it is null.
NS_DECLARE_CPU(void, weighted_gram_cpu,
               (const WeightedGramArgs& a, const WeightedGramPlan& plan, int64_t item, void* scratch, void* partial),
               (a, plan, item, scratch, partial))
// Matrix `k` of groups * units, once all items are done: adds up its chunks and fills its lower triangle.
NS_DECLARE_CPU(void, weighted_gram_finish,
               (const WeightedGramArgs& a, const WeightedGramPlan& plan, int64_t k, const void* partial),
               (a, plan, k, partial))
