#pragma once

#include <optional>
#include <string>
#include <tuple>

#include "../kernels/greedy_select.h"
#include "common.h"

namespace netsculpt {

constexpr const char* kGreedySelect = "greedy_select";

struct GreedyOptions {
  int64_t k;
  GreedyMode mode;
  bool repeats;
  double ridge, tolerance;
};

// A call with everything it points to: arguments of the types that the kernels read, outputs and scratch.
struct GreedySelectCall {
  GreedySelectArgs args;
  Tensor gram, target, energy, diagonal, scratch, rows, order, weights, errors, status;
  std::optional<Tensor> lengths, cost;
};

inline GreedyOptions greedy_options(int64_t k, const std::string& mode, bool repeats, double ridge, double tolerance) {
  check(mode == "uniform" || mode == "line_search" || mode == "least_squares", kGreedySelect,
        ": mode must be uniform, line_search or least_squares, not ", mode);
  check(k >= 0, kGreedySelect, ": k must be at least 0, not ", k);
  check(ridge >= 0 && tolerance >= 0, kGreedySelect, ": ridge and tolerance must be at least 0");
  const GreedyMode kind = mode == "uniform"       ? GreedyMode::kUniform
                          : mode == "line_search" ? GreedyMode::kLineSearch
                                                  : GreedyMode::kLeastSquares;
  check(kind == GreedyMode::kLeastSquares || ridge == 0, kGreedySelect, ": ridge needs the mode least_squares");
  check(kind != GreedyMode::kLeastSquares || !repeats, kGreedySelect, ": least_squares chooses no unit twice");
  return {k, kind, repeats, ridge, tolerance};
}

// `t` as float64 in one piece, or a new tensor to be filled where there is none.
inline Tensor greedy_doubles(const std::optional<Tensor>& t, const Tensor& like, std::vector<int64_t> sizes,
                             const char* name) {
  if (!t) return new_tensor(like, sizes, ScalarType::Double);
  bool same = t->dim() == static_cast<int64_t>(sizes.size());
  for (size_t d = 0; same && d < sizes.size(); ++d) same = t->size(d) == sizes[d];
  check(same, kGreedySelect, ": ", name, " does not have the shape that gram asks for");
  full_dtype_of(*t, kGreedySelect, name);
  check_device(*t, like, kGreedySelect, name);
  return torch::stable::contiguous(torch::stable::to(*t, ScalarType::Double));
}

inline int64_t greedy_padded(int64_t count) { return round_up(count, kGreedyPad); }

// Checks the tensors and allocates the outputs.
inline GreedySelectCall greedy_select_call(const Tensor& gram_in, const std::optional<Tensor>& target,
                                           const std::optional<Tensor>& energy, const std::optional<Tensor>& lengths,
                                           const std::optional<Tensor>& cost, const GreedyOptions& options) {
  const Dtype dtype = full_dtype_of(gram_in, kGreedySelect, "gram");
  check(gram_in.dim() == 3 && gram_in.size(1) == gram_in.size(2), kGreedySelect, ": gram must be [B, N, N]");
  check(target.has_value() == energy.has_value(), kGreedySelect, ": target and target_energy come together");
  check(!lengths ||
            (lengths->scalar_type() == ScalarType::Long && lengths->dim() == 1 && lengths->size(0) == gram_in.size(0)),
        kGreedySelect, ": lengths must be [B] of int64");
  if (lengths) check_device(*lengths, gram_in, kGreedySelect, "lengths");
  const int64_t batch = gram_in.size(0), units = gram_in.size(1), k = options.k;
  GreedySelectCall c;
  c.gram = rows_contiguous(gram_in);
  c.target = greedy_doubles(target, gram_in, {batch, units}, "target");
  c.energy = greedy_doubles(energy, gram_in, {batch}, "target_energy");
  if (lengths) c.lengths = torch::stable::contiguous(*lengths);
  if (cost) c.cost = greedy_doubles(cost, gram_in, {batch, units}, "cost");
  c.diagonal = new_tensor(gram_in, {batch, units}, ScalarType::Double);
  c.order = new_tensor(gram_in, {batch, k}, ScalarType::Long);
  c.weights = new_tensor(gram_in, {batch, units}, gram_in.scalar_type());
  c.errors = new_tensor(gram_in, {batch, k}, ScalarType::Double);
  c.status = new_tensor(gram_in, {batch}, ScalarType::Int);
  GreedySelectArgs& a = c.args = {};
  a.batch = batch, a.units = units, a.k = k, a.steps = std::min(k, units);
  a.padded = greedy_padded(units), a.padded_steps = greedy_padded(a.steps);
  a.gram_batch_stride = c.gram.stride(0), a.gram_stride = c.gram.stride(1);
  a.ridge = options.ridge, a.tolerance = options.tolerance, a.mode = options.mode, a.repeats = options.repeats;
  a.has_target = target.has_value(), a.dtype = dtype;
  return c;
}

// Gives every slot its scratch, and points the arguments at the call's tensors.
inline void greedy_select_scratch(GreedySelectCall* c, int64_t slots) {
  GreedySelectArgs& a = c->args;
  const bool factor = a.mode == GreedyMode::kLeastSquares;
  const int64_t doubles = kGreedyVectors * a.padded + kGreedyStepVectors * a.padded_steps;
  c->scratch = new_tensor(c->gram, {slots * doubles}, ScalarType::Double);
  c->rows = new_tensor(c->gram, {factor ? slots * a.steps * a.padded : 0}, c->gram.scalar_type());
  a.gram = c->gram.data_ptr();
  a.target = static_cast<double*>(c->target.data_ptr());
  a.energy = static_cast<double*>(c->energy.data_ptr());
  a.lengths = c->lengths ? static_cast<const int64_t*>(c->lengths->data_ptr()) : nullptr;
  a.cost = c->cost ? static_cast<const double*>(c->cost->data_ptr()) : nullptr;
  a.diagonal = static_cast<double*>(c->diagonal.data_ptr());
  a.scratch = static_cast<double*>(c->scratch.data_ptr());
  a.rows = c->rows.data_ptr();
  a.order = static_cast<int64_t*>(c->order.data_ptr());
  a.weights = c->weights.data_ptr();
  a.errors = static_cast<double*>(c->errors.data_ptr());
  a.status = static_cast<int32_t*>(c->status.data_ptr());
}

// Throws for the first problem that could not be worked with. `status` is on the CPU.
inline void greedy_select_throw(const int32_t* status, int64_t batch) {
  const char* sentence[] = {
      "", "lengths must be between 0 and N in problem ", "gram has a NaN or an infinity in problem ",
      "target or target_energy has a NaN or an infinity in problem ", "cost must be positive and finite in problem "};
  for (int64_t b = 0; b < batch; ++b) check(status[b] == kGreedyOk, kGreedySelect, ": ", sentence[status[b]], b);
}

}  // namespace netsculpt
