// eigh_extreme: the lowest and the highest eigenpair of many symmetric matrices, to a stated residual.
//
// The direct method here reduces a matrix to tridiagonal form (householder.h), takes the extreme pairs of that, and
// turns the vectors back. eigh_lanczos.h has the CPU's method for large matrices. Only the lower triangle is read.
//
// Letters: d the size, e an end (0 lowest, 1 highest).
#pragma once

#include <type_traits>

#include "core/dtype.h"
#include "core/lanes.h"
#include "core/simd_level.h"
#include "core/team.h"
#include "householder.h"
#include "tridiagonal_extreme.h"

namespace netsculpt {

enum EighStatus : int32_t { kConverged = 0, kNotConverged = 1, kNotFinite = 2 };

struct EighExtremeArgs {
  const void* s;                      // [m, d, d]
  void* values;                       // [m, ends]
  void* vectors;                      // [m, ends, d], unit rows
  void* residuals;                    // [m, ends], ‖Sv - value v‖ / ‖S‖
  int32_t* status;                    // [m], EighStatus
  int64_t matrix_stride, row_stride;  // of s; columns are contiguous
  int64_t count, size;                // m, d
  int first_end, ends;                // which ends are asked for
  double tol;                         // the largest residual that counts as converged
  Dtype dtype;                        // float32 or float64
};

namespace NS_TARGET {

// What find_scale finds in one matrix: the power of two that brings it near one, or that it is not finite.
struct MatrixScale {
  double scale;
  bool finite;
};

template <class T, class Team>
NS_HD MatrixScale find_scale(const Team& team, const T* s, int64_t row, int64_t d) {
  constexpr int kChains = std::is_same_v<Team, SerialTeam> ? 16 : 1;  // partial results, so that it can use vectors
  T biggest[kChains] = {}, poison[kChains] = {};                      // zero times an infinity or a NaN is a NaN
  for (int64_t i = 0; i < d; ++i) {
    const T* s_i = s + i * row;
    int64_t j = team.rank();
    for (; j + (kChains - 1) * team.size() <= i; j += kChains * team.size()) {
      for (int c = 0; c < kChains; ++c) {
        const T x = s_i[j + c * team.size()];
        biggest[c] = larger(biggest[c], absolute(x));
        poison[c] += T(0) * x;
      }
    }
    for (; j <= i; j += team.size()) {
      biggest[0] = larger(biggest[0], absolute(s_i[j]));
      poison[0] += T(0) * s_i[j];
    }
  }
  for (int c = 1; c < kChains; ++c) {
    biggest[0] = larger(biggest[0], biggest[c]);
    poison[0] += poison[c];
  }
  const double most = team.best(Best{static_cast<double>(biggest[0]), team.rank()}).value;
  return {unit_scale(most), team.sum(poison[0]) == T(0)};
}

// Normalises v [d] and writes one eigenpair, with the residual as measured on the matrix itself in float64 and on the
// vector as stored. Returns whether it is within the tolerance. v and y are scratch of d doubles; `norm` is of the
// scaled matrix.
template <class T, class Team>
NS_HD bool finish_pair(const Team& team, const EighExtremeArgs& a, int64_t m, int e, double scale, double norm,
                       double* v, double* y) {
  const int64_t d = a.size, out = m * a.ends + (e - a.first_end);
  T* stored = static_cast<T*>(a.vectors) + out * d;
  double squares = 0;
  for (int64_t i = team.rank(); i < d; i += team.size()) squares += v[i] * v[i];
  const double shrink = 1.0 / sqrt(team.sum(squares));
  for (int64_t i = team.rank(); i < d; i += team.size()) {
    stored[i] = static_cast<T>(v[i] * shrink);
    v[i] = static_cast<double>(stored[i]) * scale;  // the product below is then that of the scaled matrix
  }
  team.sync();  // v: written by every rank
  const T* s = static_cast<const T*>(a.s) + m * a.matrix_stride;
  symmetric_product(team, s, a.row_stride, d, v, y);
  double product = 0, length = 0;
  for (int64_t i = team.rank(); i < d; i += team.size()) {
    product += static_cast<double>(stored[i]) * y[i];
    length += static_cast<double>(stored[i]) * static_cast<double>(stored[i]);
  }
  const double value = team.sum(product) / team.sum(length);
  double rest = 0;
  for (int64_t i = team.rank(); i < d; i += team.size()) {
    const double r = y[i] - value * static_cast<double>(stored[i]);
    rest += r * r;
  }
  rest = sqrt(team.sum(rest));
  const double residual = rest > 0 ? rest / larger(norm, absolute(value)) : 0.0;
  if (team.rank() == 0) {
    static_cast<T*>(a.values)[out] = static_cast<T>(value / scale);
    static_cast<T*>(a.residuals)[out] = static_cast<T>(residual);
  }
  team.sync();  // v, y may be reused
  return residual <= a.tol;
}

// Matrix m by the direct method, computed in C (the matrices' type, or float64 to be surer). `scratch` holds
// eigh_direct_scratch(d) entries of C, `pair` 2 d doubles.
template <class T, class C, class Team>
NS_HD void eigh_extreme_body(const Team& team, const EighExtremeArgs& a, int64_t m, C* scratch, double* pair) {
  const int64_t d = a.size, row = eigh_row_length(d);
  const T* s = static_cast<const T*>(a.s) + m * a.matrix_stride;
  const MatrixScale found = find_scale(team, s, a.row_stride, d);
  if (!found.finite) {
    if (team.rank() == 0) a.status[m] = kNotFinite;
    return;
  }
  const EighScratch<C> w(scratch, d);
  for (int64_t i = 0; i < d; ++i)
    for (int64_t j = team.rank(); j <= i; j += team.size())
      w.matrix[i * row + j] = static_cast<C>(found.scale * static_cast<double>(s[i * a.row_stride + j]));
  team.sync();  // matrix: written by every rank
  tridiagonalize(team, w, d);
  C low = C(0), high = C(0), bound = C(0), values[kEnds];
  gershgorin(w.alpha, w.beta, d, &low, &high, &bound);
  bisect_extreme(w.alpha, w.beta, d, values);
  for (int e = team.rank(); e < kEnds; e += team.size())
    inverse_iteration(w.alpha, w.beta, d, e == 0 ? values[0] : values[1], bound, w.vectors + e * d, w.work + 3 * e * d);
  team.sync();  // vectors: one rank wrote each
  const double norm = static_cast<double>(larger(absolute(values[0]), absolute(values[1])));
  bool converged = true;
  for (int e = a.first_end; e < a.first_end + a.ends; ++e) {
    C* y = w.vectors + e * d;
    apply_reflections(team, w, d, y);
    for (int64_t i = team.rank(); i < d; i += team.size()) pair[i] = static_cast<double>(y[i]);
    converged &= finish_pair<T>(team, a, m, e, found.scale, norm, pair, pair + d);
  }
  if (team.rank() == 0) a.status[m] = converged ? kConverged : kNotConverged;
}

}  // namespace NS_TARGET
}  // namespace netsculpt

// Matrices [begin, end) by the method that suits their size, computed in their own type; scratch is
// eigh_extreme_scratch bytes, aligned to 64.
NS_DECLARE_CPU(void, eigh_extreme_cpu, (const EighExtremeArgs& a, int64_t begin, int64_t end, void* scratch),
               (a, begin, end, scratch))
// Matrix m by the direct method in float64; scratch is eigh_float64_scratch(d) doubles.
NS_DECLARE_CPU(void, eigh_extreme_float64_cpu, (const EighExtremeArgs& a, int64_t m, void* scratch), (a, m, scratch))
// How many matrices eigh_extreme_cpu treats side by side, and its scratch in bytes.
NS_DECLARE_CPU(int64_t, eigh_extreme_group, (const EighExtremeArgs& a), (a))
NS_DECLARE_CPU(int64_t, eigh_extreme_scratch, (const EighExtremeArgs& a), (a))

namespace netsculpt {
inline int64_t eigh_float64_scratch(int64_t d) { return NS_TARGET::eigh_direct_scratch(d) + 2 * d; }
}  // namespace netsculpt
