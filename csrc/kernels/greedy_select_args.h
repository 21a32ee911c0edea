// greedy_select's arguments, and what all its modes share.
//
// Letters: K gram, t target, n units of one problem, a simplex weights, m units chosen so far.
// Unit i contributes c_i; phi_i = n c_i; the thin layer is sum_i a_i phi_i, the full one has a_i = 1/n.
#pragma once

#include "core/dtype.h"
#include "core/sizes.h"
#include "core/team.h"

namespace netsculpt {

enum class GreedyMode : int { kUniform, kLineSearch, kLeastSquares };
enum GreedyStatus : int32_t { kGreedyOk, kGreedyBadLength, kGreedyBadGram, kGreedyBadTarget, kGreedyBadCost };

constexpr int64_t kGreedyVectors = 5;      // float64 scratch vectors of `padded` entries for each slot
constexpr int64_t kGreedyStepVectors = 4;  // and of `padded_steps` entries
constexpr int64_t kGreedyPad = 128;        // so that vectors and panels of every SIMD width have no tail

// Rounding the gram matrix to its dtype moves a diagonal entry by no more than this many eps of itself.
constexpr double kGreedyIndependent = 64;

// Arrays are contiguous except the gram, whose strides are in elements. A slot is the scratch of one
// problem at a time: CUDA has a slot for each problem, the CPU one for each problem in flight.
struct GreedySelectArgs {
  const void* gram;        // [batch, units, units]
  const int64_t* lengths;  // [batch], or null: every problem has all units
  const double* cost;      // [batch, units], or null
  double* target;          // [batch, units]; filled by prepare unless has_target
  double* energy;          // [batch]; filled unless has_target
  double* diagonal;        // [batch, units], filled by prepare: K_jj, NaN where row j is not finite
  double* scratch;         // [slots, kGreedyVectors * padded + kGreedyStepVectors * padded_steps]
  void* rows;              // [slots, steps, padded], of the gram's type; least squares only
  void* crews;             // [slots] of GreedyCrew; least squares on the CPU only
  int64_t* order;          // [batch, k]
  void* weights;           // [batch, units], of the gram's type
  double* errors;          // [batch, k]
  int32_t* status;         // [batch] of GreedyStatus
  int64_t gram_batch_stride, gram_stride;
  int64_t batch, units, k;
  int64_t steps;                 // min(k, units): rows that least squares can need
  int64_t padded, padded_steps;  // units and steps rounded up to kGreedyPad
  double ridge, tolerance;
  GreedyMode mode;
  bool repeats, has_target;
  Dtype dtype;  // float32 or float64
};

namespace NS_TARGET {

// One problem: its own part of the arguments, and its slot of scratch.
template <class T>
struct GreedyProblem {
  const T* gram;
  const double *cost, *target, *diagonal;
  double *vectors, *step_vectors;
  T *rows, *weights;
  int64_t* order;
  double* errors;
  int64_t n, k, gram_stride, padded, padded_steps;
  double energy;

  NS_HD GreedyProblem(const GreedySelectArgs& a, int64_t b, int64_t slot)
      : gram(static_cast<const T*>(a.gram) + b * a.gram_batch_stride),
        cost(a.cost ? a.cost + b * a.units : nullptr),
        target(a.target + b * a.units),
        diagonal(a.diagonal + b * a.units),
        vectors(a.scratch + slot * (kGreedyVectors * a.padded + kGreedyStepVectors * a.padded_steps)),
        step_vectors(vectors + kGreedyVectors * a.padded),
        rows(static_cast<T*>(a.rows) + slot * a.steps * a.padded),
        weights(static_cast<T*>(a.weights) + b * a.units),
        order(a.order + b * a.k),
        errors(a.errors + b * a.k),
        n(a.lengths ? a.lengths[b] : a.units),
        k(a.k),
        gram_stride(a.gram_stride),
        padded(a.padded),
        padded_steps(a.padded_steps),
        energy(a.energy[b]) {}

  NS_HD const T* row(int64_t i) const { return gram + i * gram_stride; }
  NS_HD double* vector(int64_t v) const { return vectors + v * padded; }
  NS_HD double* step_vector(int64_t v) const { return step_vectors + v * padded_steps; }
};

NS_HD bool greedy_finite(double x) { return x - x == 0; }
NS_HD double greedy_infinity() { return __builtin_huge_val(); }

// What one candidate is worth: its gain, per cost where costs are given. Dear units make a loss worse.
NS_HD double greedy_rate(double gain, double cost) { return gain >= 0 ? gain / cost : gain * cost; }

// Rounding can carry an objective that is truly zero or tiny below zero.
NS_HD double greedy_clamp(double error) { return error > 0 ? error : 0; }

// The candidate enters the choice unless it is closed, which is a value of -infinity or NaN.
NS_HD Best greedy_consider(const Best& best, double value, int64_t j) {
  return value > -greedy_infinity() ? better(best, Best{value, j}) : best;
}

// Writes down a step; true where the tolerance is met.
template <class T, class Team>
NS_HD bool greedy_record(const Team& team, const GreedyProblem<T>& p, double tolerance, int64_t step, int64_t unit,
                         double error) {
  if (team.rank() == 0) {
    p.order[step] = unit;
    p.errors[step] = error;
  }
  return tolerance > 0 && error <= tolerance * p.energy;
}

// After a stop: no unit, and the error stays what it was.
template <class T, class Team>
NS_HD void greedy_pad(const Team& team, const GreedyProblem<T>& p, int64_t steps, double error) {
  for (int64_t s = steps + team.rank(); s < p.k; s += team.size()) {
    p.order[s] = -1;
    p.errors[s] = error;
  }
}

// Row i of problem b: K_ii, and its sum where that is the target. Any entry that is not finite makes the
// sum not finite, which is left as a NaN on the diagonal.
template <class Team>
NS_HD void greedy_prepare_row(const Team& team, const GreedySelectArgs& a, int64_t b, int64_t i, double sum,
                              double diagonal) {
  if (team.rank() != 0) return;
  a.diagonal[b * a.units + i] = greedy_finite(sum) ? diagonal : sum - sum;
  if (!a.has_target) a.target[b * a.units + i] = sum;
}

// Whether the numbers of problem b can be worked with; the energy of the default target on the way.
template <class Team>
NS_HD GreedyStatus greedy_check(const Team& team, const GreedySelectArgs& a, int64_t b) {
  const int64_t n = a.lengths ? a.lengths[b] : a.units;
  if (n < 0 || n > a.units) return kGreedyBadLength;
  double bad_gram = 0, bad_target = 0, bad_cost = 0, energy = 0;
  for (int64_t j = team.rank(); j < n; j += team.size()) {
    const double t = a.target[b * a.units + j];
    energy += t;
    bad_gram += !greedy_finite(a.diagonal[b * a.units + j]);
    bad_target += !greedy_finite(t);
    if (a.cost) bad_cost += !(a.cost[b * a.units + j] > 0 && greedy_finite(a.cost[b * a.units + j]));
  }
  energy = team.sum(energy);
  if (team.sum(bad_gram) > 0) return kGreedyBadGram;
  if (!a.has_target && team.rank() == 0) a.energy[b] = energy;
  team.sync();  // energy: written by rank 0
  if (team.sum(bad_target) > 0 || !greedy_finite(a.energy[b])) return kGreedyBadTarget;
  return team.sum(bad_cost) > 0 ? kGreedyBadCost : kGreedyOk;
}

}  // namespace NS_TARGET
}  // namespace netsculpt
