// tridiagonal_extreme: the lowest and the highest eigenpair of many symmetric tridiagonal matrices.
//
// Letters: k the size, alpha [k] the diagonal, beta [k - 1] the off-diagonal. T is a number, or a vector with one
// matrix per lane; A is the type that alpha and beta are stored in, which T can be added to.
#pragma once

#include "core/dtype.h"
#include "core/lanes.h"
#include "core/simd_level.h"
#include "core/team.h"

namespace netsculpt {

struct TridiagonalExtremeArgs {
  const void* alpha;                  // [m, k]
  const void* beta;                   // [m, k - 1]
  void* values;                       // [m, 2], lowest and highest, contiguous
  void* vectors;                      // [m, 2, k], unit rows, contiguous
  int64_t alpha_stride, beta_stride;  // between matrices; within one, contiguous
  int64_t count, size;                // m, k
  Dtype dtype;                        // float32 or float64
};

namespace NS_TARGET {

constexpr int kEnds = 2;  // 0 the lowest, 1 the highest

// A fixed, patternless number in (-1, 1): a starting vector that no matrix in practice is orthogonal to.
NS_HD double start_value(int64_t i) {
  uint64_t h = static_cast<uint64_t>(i) + 0x9e3779b97f4a7c15ull;  // splitmix64
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ull;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebull;
  h ^= h >> 31;
  return (static_cast<double>(h >> 11) + 0.5) * 0x1p-52 - 1.0;
}

// An interval that holds every eigenvalue (Gershgorin), and the largest |eigenvalue| that it allows.
template <class T, class A>
NS_HD void gershgorin(const A* alpha, const A* beta, int64_t k, T* low, T* high, T* norm) {
  T before = T{};
  for (int64_t i = 0; i < k; ++i) {
    const T diagonal = T{} + alpha[i];
    const T after = i + 1 < k ? absolute(T{} + beta[i]) : T{};
    const T below = diagonal - before - after, above = diagonal + before + after;
    *low = i == 0 ? below : -larger(-*low, -below);
    *high = i == 0 ? above : larger(*high, above);
    before = after;
  }
  *norm = larger(absolute(*low), absolute(*high));
}

// How many eigenvalues lie below x[0], and how many below x[1]: the negative pivots of T - x I. The two counts are
// independent chains of divisions, so doing both at once costs hardly more than one.
template <class T, class A>
NS_HD void sturm_counts(const A* alpha, const A* beta, int64_t k, const T x[kEnds], T tiny, T counts[kEnds]) {
  const T one = spread<T>(1);
  T pivot[kEnds];
  for (int e = 0; e < kEnds; ++e) counts[e] = T{};
  for (int64_t i = 0; i < k; ++i) {
    const T b = i > 0 ? T{} + beta[i - 1] : T{}, squared = b * b;
    for (int e = 0; e < kEnds; ++e) {
      pivot[e] = i > 0 ? alpha[i] - x[e] - squared / pivot[e] : alpha[i] - x[e];
      pivot[e] = select(absolute(pivot[e]) < tiny, -tiny, pivot[e]);  // as LAPACK's dstebz: a zero counts as negative
      counts[e] += select(pivot[e] < T{}, one, T{});
    }
  }
}

// The lowest and the highest eigenvalue, by bisection down to rounding error of the norm.
template <class T, class A>
NS_HD void bisect_extreme(const A* alpha, const A* beta, int64_t k, T values[kEnds]) {
  using S = ScalarOf<T>;
  T low = T{}, high = T{}, norm = T{};
  gershgorin(alpha, beta, k, &low, &high, &norm);
  // Every beta is at most the norm, so a pivot of this size moves a count by less than rounding does.
  const T tiny = larger(norm * kEpsilon<T> * kEpsilon<T>, spread<T>(sizeof(S) == 4 ? S(1e-36) : S(1e-290)));
  T lower[kEnds] = {low, low}, upper[kEnds] = {high, high};
  const T all = spread<T>(static_cast<S>(k));
  const int steps = sizeof(S) == 4 ? 26 : 55;  // bits of the fraction, and a few for the width of the interval
  for (int step = 0; step < steps; ++step) {
    T middle[kEnds], counts[kEnds];
    for (int e = 0; e < kEnds; ++e) middle[e] = lower[e] + S(0.5) * (upper[e] - lower[e]);
    sturm_counts(alpha, beta, k, middle, tiny, counts);
    for (int e = 0; e < kEnds; ++e) {
      const auto above = counts[e] < (e == 0 ? spread<T>(1) : all);  // the eigenvalue sought is not below middle
      lower[e] = select(above, middle[e], lower[e]);
      upper[e] = select(above, upper[e], middle[e]);
    }
  }
  for (int e = 0; e < kEnds; ++e) values[e] = lower[e] + S(0.5) * (upper[e] - lower[e]);
}

// The unit eigenvector of the eigenvalue nearest `value`, by inverse iteration with partial pivoting, into y [k].
// `work` is scratch [3, k]. Two steps suffice from a patternless start; the third is for ill-separated neighbours.
template <class T, class A>
NS_HD void inverse_iteration(const A* alpha, const A* beta, int64_t k, T value, T norm, T* y, T* work) {
  using S = ScalarOf<T>;
  T *pivots = work, *upper = work + k, *upper2 = work + 2 * k;
  const T floor = larger(norm * kEpsilon<T>, spread<T>(sizeof(S) == 4 ? S(1e-30) : S(1e-290)));
  for (int64_t i = 0; i < k; ++i) y[i] = spread<T>(static_cast<S>(start_value(i)));
  for (int repeat = 0; repeat < 3; ++repeat) {
    // Row i of the elimination is (d, u | b); the next row of the matrix is (l, d1, u1 | b1).
    T d = alpha[0] - value, u = k > 1 ? T{} + beta[0] : T{}, b = y[0];
    for (int64_t i = 0; i + 1 < k; ++i) {
      const T l = T{} + beta[i], d1 = alpha[i + 1] - value, b1 = y[i + 1];
      const T u1 = i + 2 < k ? T{} + beta[i + 1] : T{};
      const auto swap = absolute(d) < absolute(l);
      T pivot = select(swap, l, d);
      pivot = select(absolute(pivot) < floor, floor, pivot);
      const T pivot_u = select(swap, d1, u), pivot_u2 = select(swap, u1, T{}), pivot_b = select(swap, b1, b);
      const T factor = select(swap, d, l) / pivot;
      pivots[i] = pivot;
      upper[i] = pivot_u;
      upper2[i] = pivot_u2;
      y[i] = pivot_b;
      d = select(swap, u, d1) - factor * pivot_u;
      u = select(swap, T{}, u1) - factor * pivot_u2;
      b = select(swap, b, b1) - factor * pivot_b;
    }
    pivots[k - 1] = select(absolute(d) < floor, floor, d);
    y[k - 1] = b;
    T biggest = T{};
    for (int64_t i = k - 1; i >= 0; --i) {
      T right = y[i];
      if (i + 1 < k) right -= upper[i] * y[i + 1];
      if (i + 2 < k) right -= upper2[i] * y[i + 2];
      y[i] = right / pivots[i];
      biggest = larger(biggest, absolute(y[i]));
    }
    // Divide by the largest entry before squaring: the entries may be as large as 1 / floor.
    const T shrink = spread<T>(1) / select(biggest > T{}, biggest, spread<T>(1));
    T squares = T{};
    for (int64_t i = 0; i < k; ++i) {
      y[i] *= shrink;
      squares += y[i] * y[i];
    }
    const T scale = spread<T>(1) / square_root(squares);
    for (int64_t i = 0; i < k; ++i) y[i] *= scale;
  }
}

// One power of two that brings a magnitude near one; one for zero, and NaN for NaN.
NS_HD double unit_scale(double magnitude) {
  if (magnitude != magnitude) return magnitude;
  if (!(magnitude > 0)) return 1.0;
  const int exponent = ilogb(magnitude);
  return ldexp(1.0, exponent > 1000 ? -1000 : exponent < -1000 ? 1000 : -exponent);
}

// The largest |entry| of a tridiagonal matrix of numbers; NaN where one is NaN or infinite.
template <class T>
NS_HD double largest_entry(const T* alpha, const T* beta, int64_t k) {
  double biggest = 0, poison = 0;  // zero times an infinity or a NaN is a NaN
  for (int64_t i = 0; i < k; ++i) {
    const double diagonal = static_cast<double>(alpha[i]), after = i + 1 < k ? static_cast<double>(beta[i]) : 0.0;
    biggest = larger(biggest, larger(absolute(diagonal), absolute(after)));
    poison += 0.0 * diagonal + 0.0 * after;
  }
  return biggest + poison;
}

// Both eigenpairs of one matrix; a rank finds the eigenvector of one end. Scratch is [8, k].
template <class T, class Team>
NS_HD void tridiagonal_extreme_body(const Team& team, const TridiagonalExtremeArgs& a, int64_t m, T* scratch) {
  const int64_t k = a.size;
  const T* alpha_in = static_cast<const T*>(a.alpha) + m * a.alpha_stride;
  const T* beta_in = static_cast<const T*>(a.beta) + m * a.beta_stride;
  T *alpha = scratch, *beta = scratch + k;
  const double scale = unit_scale(largest_entry(alpha_in, beta_in, k));
  for (int64_t i = team.rank(); i < k; i += team.size()) {
    alpha[i] = static_cast<T>(scale * alpha_in[i]);
    beta[i] = i + 1 < k ? static_cast<T>(scale * beta_in[i]) : T(0);
  }
  team.sync();  // alpha, beta: written by every rank
  for (int e = team.rank(); e < kEnds; e += team.size()) {
    T low = T{}, high = T{}, norm = T{}, values[kEnds];
    gershgorin(alpha, beta, k, &low, &high, &norm);
    bisect_extreme(alpha, beta, k, values);
    T* y = static_cast<T*>(a.vectors) + (m * kEnds + e) * k;
    const T value = e == 0 ? values[0] : values[1];  // a run-time index would put the array in memory
    inverse_iteration(alpha, beta, k, value, norm, y, scratch + (2 + 3 * e) * k);
    static_cast<T*>(a.values)[m * kEnds + e] = static_cast<T>(value / scale);
  }
  team.sync();  // scratch may be reused for the next matrix
}

}  // namespace NS_TARGET
}  // namespace netsculpt

// Matrices [begin, end); scratch is tridiagonal_extreme_scratch(size) bytes, aligned to 64.
NS_DECLARE_CPU(void, tridiagonal_extreme_cpu,
               (const TridiagonalExtremeArgs& a, int64_t begin, int64_t end, void* scratch), (a, begin, end, scratch))

namespace netsculpt {
// Bytes of scratch that tridiagonal_extreme_cpu needs for matrices of size k: [6, k] vectors of 64 bytes.
inline int64_t tridiagonal_extreme_scratch(int64_t k) { return 6 * k * 64; }
}  // namespace netsculpt
