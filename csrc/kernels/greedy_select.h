// greedy_select: forward selection of units on a Gram matrix, one problem to a team.
#pragma once

#include <type_traits>

#include "core/simd_level.h"
#include "greedy_select_least_squares.h"
#include "greedy_select_simplex.h"

namespace netsculpt {
namespace NS_TARGET {

// Reads row i of problem b: the diagonal, whether all is finite, and the default target.
template <class T, class Team>
NS_HD void greedy_prepare_body(const Team& team, const GreedySelectArgs& a, int64_t b, int64_t i) {
  const int64_t n = a.lengths ? a.lengths[b] : a.units;
  if (i >= n || n > a.units) return;
  const T* row = static_cast<const T*>(a.gram) + b * a.gram_batch_stride + i * a.gram_stride;
  double sum = 0;
  for (int64_t j = team.rank(); j < n; j += team.size()) sum += static_cast<double>(row[j]);
  greedy_prepare_row(team, a, b, i, team.sum(sum), static_cast<double>(row[i]));
}

// Selects the units of problem b, after every row of it was prepared. Outputs hold nothing of use where the
// status is not kGreedyOk. The mode is a.mode, known when compiling so that a kernel has the registers of one.
template <class T, GreedyMode kMode, class Team>
NS_HD void greedy_select_body(const Team& team, const GreedySelectArgs& a, int64_t b, int64_t slot) {
  const GreedyStatus status = greedy_check(team, a, b);
  if (team.rank() == 0) a.status[b] = status;
  if (status != kGreedyOk) return;
  const GreedyProblem<T> p(a, b, slot);
  for (int64_t j = team.rank(); j < a.units; j += team.size()) p.weights[j] = 0;
  team.sync();  // weights: zeroed by every rank, written by others below
  if constexpr (kMode == GreedyMode::kUniform)
    greedy_uniform(team, a, p, GreedyUniformScan{});
  else if constexpr (kMode == GreedyMode::kLineSearch)
    greedy_line_search(team, a, p, GreedyLineScan{});
  else
    greedy_least_squares(team, a, p);
}

// Calls f(mode as a constant) with the mode that `mode` names.
template <class F>
inline auto for_greedy_mode(GreedyMode mode, const F& f) {
  using enum GreedyMode;
  if (mode == kUniform) return f(std::integral_constant<GreedyMode, kUniform>{});
  if (mode == kLineSearch) return f(std::integral_constant<GreedyMode, kLineSearch>{});
  return f(std::integral_constant<GreedyMode, kLeastSquares>{});
}

}  // namespace NS_TARGET
}  // namespace netsculpt

// Rows [begin, end) of all problems' rows, numbered b * units + i.
NS_DECLARE_CPU(void, greedy_prepare_cpu, (const GreedySelectArgs& a, int64_t begin, int64_t end), (a, begin, end))

// Checks problem b and, in the simplex modes, solves it; least squares is left ready for greedy_join_cpu,
// to be done in at most `parts` parts at a time. False where there is nothing to join.
NS_DECLARE_CPU(bool, greedy_begin_cpu, (const GreedySelectArgs& a, int64_t b, int64_t slot, int64_t parts),
               (a, b, slot, parts))

// Works on problem b in `slot` until it is solved, together with whoever else joins; `worker` of `workers`
// prefers its own share of the units, which then stays in its cache.
NS_DECLARE_CPU(void, greedy_join_cpu,
               (const GreedySelectArgs& a, int64_t b, int64_t slot, int64_t worker, int64_t workers),
               (a, b, slot, worker, workers))

// Bytes of one GreedyCrew of the arguments' `crews`.
NS_DECLARE_CPU(int64_t, greedy_crew_bytes, (), ())
