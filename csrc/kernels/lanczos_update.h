// lanczos_update: one Lanczos step for all units of a layer, given the products r = S q of their newest basis vectors.
//
// Letters: m a unit, k the basis vectors so far, q one of them [d].
#pragma once

#include "core/dtype.h"
#include "core/lanes.h"
#include "core/simd_level.h"
#include "core/team.h"

namespace netsculpt {

struct LanczosUpdateArgs {
  const void* basis;                           // [m, k, d], orthonormal rows
  const void* r;                               // [m, d]
  void* alpha;                                 // [m]
  void* beta;                                  // [m]
  void* next;                                  // [m, d], contiguous
  int64_t basis_stride, row_stride, r_stride;  // between units, basis vectors, and units of r
  int64_t count, steps, size;                  // m, k, d
  Dtype dtype;                                 // float32 or float64
};

namespace NS_TARGET {

// The inner product of two vectors in float64; every rank gets it.
template <class T>
NS_HD double inner(const SerialTeam&, const T* x, const T* y, int64_t d) {
  constexpr int kChains = 16;  // partial sums, so that the compiler can use vectors
  double sums[kChains] = {};
  int64_t i = 0;
  for (; i + kChains <= d; i += kChains)
    for (int c = 0; c < kChains; ++c) sums[c] += static_cast<double>(x[i + c]) * static_cast<double>(y[i + c]);
  double total = 0;
  for (; i < d; ++i) total += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  for (int c = 0; c < kChains; ++c) total += sums[c];
  return total;
}

template <class T, class Team>
NS_HD double inner(const Team& team, const T* x, const T* y, int64_t d) {
  double total = 0;
  for (int64_t i = team.rank(); i < d; i += team.size()) total += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  return team.sum(total);
}

// x -= c q; a rank owns its entries of x, which only it reads before the next sum.
template <class T, class Team>
NS_HD void subtract(const Team& team, double c, const T* q, T* x, int64_t d) {
  const T weight = static_cast<T>(c);
  for (int64_t i = team.rank(); i < d; i += team.size()) x[i] -= weight * q[i];
}

// x -= Q' (Q x) for kRows basis vectors at once: x is then loaded once for all of them.
template <int kRows, class T>
NS_HD void remove_rows(const T* NS_RESTRICT q, int64_t row, T* NS_RESTRICT x, int64_t d) {
  constexpr int kChains = 16;  // partial sums, so that the compiler can use vectors
  T sums[kRows][kChains] = {}, total[kRows] = {};
  int64_t i = 0;
  for (; i + kChains <= d; i += kChains)
    for (int r = 0; r < kRows; ++r)
      for (int c = 0; c < kChains; ++c) sums[r][c] += q[r * row + i + c] * x[i + c];
  for (; i < d; ++i)
    for (int r = 0; r < kRows; ++r) total[r] += q[r * row + i] * x[i];
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < kChains; ++c) total[r] += sums[r][c];
  for (i = 0; i < d; ++i) {
    T part = T(0);
    for (int r = 0; r < kRows; ++r) part += total[r] * q[r * row + i];
    x[i] -= part;
  }
}

// Makes x orthogonal to all basis vectors, once: what rounding leaves is for the caller to judge.
template <class T>
NS_HD void remove_basis(const SerialTeam&, const T* basis, int64_t row, int64_t steps, T* x, int64_t d) {
  int64_t b = 0;
  for (; b + 4 <= steps; b += 4) remove_rows<4>(basis + b * row, row, x, d);
  for (; b < steps; ++b) remove_rows<1>(basis + b * row, row, x, d);
}

template <class T, class Team>
NS_HD void remove_basis(const Team& team, const T* basis, int64_t row, int64_t steps, T* x, int64_t d) {
  for (int64_t b = 0; b < steps; ++b) subtract(team, inner(team, basis + b * row, x, d), basis + b * row, x, d);
}

// Unit m: alpha, beta and the next basis vector, orthogonal to all before it by Gram-Schmidt.
template <class T, class Team>
NS_HD void lanczos_update_body(const Team& team, const LanczosUpdateArgs& a, int64_t m) {
  const int64_t d = a.size;
  const T* basis = static_cast<const T*>(a.basis) + m * a.basis_stride;
  const T* r = static_cast<const T*>(a.r) + m * a.r_stride;
  T* next = static_cast<T*>(a.next) + m * d;
  for (int64_t i = team.rank(); i < d; i += team.size()) next[i] = r[i];
  const double start = sqrt(inner(team, r, r, d));
  const double alpha = inner(team, basis + (a.steps - 1) * a.row_stride, r, d);

  // The three-term recurrence first; what remains is orthogonal already but for rounding, and the full pass mends that.
  for (int64_t b = a.steps - 1; b >= 0 && b >= a.steps - 2; --b) {
    const T* q = basis + b * a.row_stride;
    subtract(team, inner(team, q, next, d), q, next, d);
  }
  double norm = sqrt(inner(team, next, next, d));
  for (int repeat = 0; repeat < 3; ++repeat) {
    const double was = norm;
    remove_basis(team, basis, a.row_stride, a.steps, next, d);
    norm = sqrt(inner(team, next, next, d));
    if (norm > 0.7 * was) break;  // hardly anything was removed: orthogonal to rounding (Daniel et al. 1976)
  }
  // Nothing but rounding is left: the basis spans an invariant subspace, and there is no next vector. NaN is not that.
  const bool exhausted = norm <= 8 * static_cast<double>(kEpsilon<T>) * start;
  const double shrink = exhausted ? 0.0 : 1.0 / norm;
  for (int64_t i = team.rank(); i < d; i += team.size())
    next[i] = static_cast<T>(shrink * static_cast<double>(next[i]));
  if (team.rank() == 0) {
    static_cast<T*>(a.alpha)[m] = static_cast<T>(alpha);
    static_cast<T*>(a.beta)[m] = exhausted ? T(0) : static_cast<T>(norm);
  }
}

}  // namespace NS_TARGET
}  // namespace netsculpt

// Units [begin, end).
NS_DECLARE_CPU(void, lanczos_update_cpu, (const LanczosUpdateArgs& a, int64_t begin, int64_t end), (a, begin, end))
