#include "core/target.h"
// target.h first: it sets the instruction set
#include "greedy_select.h"
#include "greedy_select_cpu_factor.h"
#include "greedy_select_cpu_scans.h"

namespace netsculpt::NS_TARGET {
namespace {

template <class T>
void prepare(const GreedySelectArgs& a, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const int64_t b = r / a.units, i = r % a.units, n = a.lengths ? a.lengths[b] : a.units;
    if (i >= n || n > a.units) continue;
    const T* row = static_cast<const T*>(a.gram) + b * a.gram_batch_stride + i * a.gram_stride;
    greedy_prepare_row(SerialTeam{}, a, b, i, sum_row(row, n), static_cast<double>(row[i]));
  }
}

GreedyCrew* crew_of(const GreedySelectArgs& a, int64_t slot) { return static_cast<GreedyCrew*>(a.crews) + slot; }

template <class T>
bool begin(const GreedySelectArgs& a, int64_t b, int64_t slot, int64_t parts) {
  const SerialTeam team;
  a.status[b] = greedy_check(team, a, b);
  if (a.status[b] != kGreedyOk) return false;
  const GreedyProblem<T> p(a, b, slot);
  for (int64_t j = 0; j < a.units; ++j) p.weights[j] = 0;
  if (a.mode == GreedyMode::kLeastSquares) return factor_begin(a, p, parts, crew_of(a, slot));
  if (a.mode == GreedyMode::kUniform)
    greedy_uniform(team, a, p, GreedyUniformVecScan{});
  else
    greedy_line_search(team, a, p, GreedyLineVecScan{});
  return false;
}

}  // namespace

void greedy_prepare_cpu(const GreedySelectArgs& a, int64_t begin, int64_t end) {
  if (a.dtype == Dtype::kFloat64) return prepare<double>(a, begin, end);
  prepare<float>(a, begin, end);
}

bool greedy_begin_cpu(const GreedySelectArgs& a, int64_t b, int64_t slot, int64_t parts) {
  return a.dtype == Dtype::kFloat64 ? begin<double>(a, b, slot, parts) : begin<float>(a, b, slot, parts);
}

void greedy_join_cpu(const GreedySelectArgs& a, int64_t b, int64_t slot, int64_t worker, int64_t workers) {
  GreedyCrew* crew = crew_of(a, slot);
  if (a.dtype == Dtype::kFloat64) return factor_join(a, GreedyProblem<double>(a, b, slot), worker, workers, crew);
  factor_join(a, GreedyProblem<float>(a, b, slot), worker, workers, crew);
}

int64_t greedy_crew_bytes() { return sizeof(GreedyCrew); }

}  // namespace netsculpt::NS_TARGET
