#include "greedy_select.h"

namespace netsculpt {
namespace {

// Parts of one problem for each worker: more than one, so that a worker that is held up can be helped out.
constexpr int64_t kPartsPerWorker = 4;

// Work that pays for waking another worker: about 20 microseconds of multiply-adds.
constexpr int64_t kGrain = 1 << 17;

// Workers for so many multiply-adds.
int64_t useful_workers(int64_t work) { return std::min<int64_t>(torch::stable::get_num_threads(), 1 + work / kGrain); }

// Fewer problems than workers: all workers join each problem in turn.
void select_together(const GreedySelectArgs& a, int64_t workers) {
  for (int64_t b = 0; b < a.batch; ++b) {
    if (!greedy_begin_cpu(a, b, 0, workers * kPartsPerWorker)) continue;
    for_workers(workers, [&](int64_t w) { greedy_join_cpu(a, b, 0, w, workers); });
  }
}

// A problem to a worker.
void select_apart(const GreedySelectArgs& a, int64_t workers) {
  for_workers(workers, [&](int64_t w) {
    for (int64_t b = w; b < a.batch; b += workers)
      if (greedy_begin_cpu(a, b, w, 1)) greedy_join_cpu(a, b, w, 0, 1);
  });
}

std::tuple<Tensor, Tensor, Tensor> greedy_select(const Tensor& gram, const std::optional<Tensor>& target,
                                                 const std::optional<Tensor>& target_energy,
                                                 const std::optional<Tensor>& lengths,
                                                 const std::optional<Tensor>& cost, int64_t k, const std::string& mode,
                                                 bool repeats, double ridge, double tolerance) {
  const GreedyOptions options = greedy_options(k, mode, repeats, ridge, tolerance);
  GreedySelectCall call = greedy_select_call(gram, target, target_energy, lengths, cost, options);
  GreedySelectArgs& a = call.args;
  const int64_t rows = a.batch * a.units, readers = useful_workers(rows * a.units);
  const int64_t each = a.mode == GreedyMode::kLeastSquares ? a.units * a.steps * a.steps / 2 : 8 * a.units * a.k;
  const int64_t workers = useful_workers(a.batch * each);
  const bool together = a.mode == GreedyMode::kLeastSquares && a.batch < workers;
  const int64_t slots = together ? 1 : std::min(a.batch, workers);
  greedy_select_scratch(&call, slots);
  const Tensor crews = new_tensor(gram, {slots * greedy_crew_bytes()}, ScalarType::Byte);
  a.crews = crews.data_ptr();
  for_workers(readers, [&](int64_t w) { greedy_prepare_cpu(a, rows * w / readers, rows * (w + 1) / readers); });
  if (together)
    select_together(a, workers);
  else
    select_apart(a, slots);
  greedy_select_throw(a.status, a.batch);
  return {call.order, call.weights, call.errors};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CPU, m) { m.impl("greedy_select", TORCH_BOX(&greedy_select)); }

}  // namespace netsculpt
