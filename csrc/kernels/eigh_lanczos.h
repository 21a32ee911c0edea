// The extreme eigenpairs of one large symmetric matrix by Lanczos with full re-orthogonalisation (Golub & Van Loan,
// 10.1; Parlett, "The Symmetric Eigenvalue Problem", ch. 13). For the CPU: the scaled lower triangle is packed into
// vectors once, so that each product reads half a matrix, mostly from the second-level cache.
//
// Letters: d the size, k the steps taken, q the basis, r the product being orthogonalised.
#pragma once

#include "core/sizes.h"
#include "core/vec_lanes.h"
#include "eigh_extreme.h"

namespace netsculpt::NS_TARGET {

template <class T>
constexpr int kLineWidth = 64 / static_cast<int>(sizeof(T));  // a cache line of T, and the vector used throughout
template <class T>
using Line = Vec<T, kLineWidth<T>>;
constexpr int kBlock = 4;  // rows taken together: each load of x and r then serves four products

template <class T>
NS_HD int64_t whole_lines(int64_t n) {
  return round_up(n, kLineWidth<T>);
}

// Beyond this many steps the direct method is cheaper.
NS_HD int64_t lanczos_limit(int64_t d) { return std::min(d, 48 + d / 2); }

template <class T>
NS_HD int64_t packed_length(int64_t d) {
  int64_t length = 0;
  for (int64_t i = 0; i < d; i += kBlock) length += kBlock * whole_lines<T>(i + kBlock);
  return length;
}

template <class T>
struct LanczosScratch {
  int64_t line;  // entries of one basis vector, padded
  T *packed, *basis, *r, *coefficients, *alpha, *beta;
  double* pair;
  Vec<double, kEnds>*ritz, *work;

  // Lays the arrays out from `at`, and returns the bytes that they take.
  int64_t lay_out(char* at, int64_t d) {
    const int64_t limit = lanczos_limit(d), rows = round_up(limit + 1, kBlock);
    line = whole_lines<T>(d + kBlock);
    const char* start = at;
    const auto take = [&at](auto** array, int64_t count) {
      *array = reinterpret_cast<std::remove_reference_t<decltype(*array)>>(at);
      at += (count * static_cast<int64_t>(sizeof(**array)) + 63) / 64 * 64;
    };
    take(&packed, packed_length<T>(d));
    take(&basis, rows * line);
    take(&r, line);
    take(&coefficients, rows);
    take(&alpha, limit);
    take(&beta, limit);
    take(&pair, 2 * d);
    take(&ritz, limit);
    take(&work, 3 * limit);
    return at - start;
  }
};

// The lower triangle, times `scale`, in blocks of four rows padded with zeros. Diagonal entries are halved: the product
// then adds each twice, once as a row and once as a column, without a special case.
template <class T>
void pack_lower(const T* s, int64_t row, int64_t d, double scale, T* packed) {
  for (int64_t i0 = 0; i0 < d; i0 += kBlock) {
    const int64_t length = whole_lines<T>(i0 + kBlock);
    for (int64_t i = i0; i < i0 + kBlock; ++i, packed += length) {
      const int64_t used = i < d ? i + 1 : 0;
      for (int64_t j = 0; j < used; ++j) packed[j] = static_cast<T>(scale * static_cast<double>(s[i * row + j]));
      for (int64_t j = used; j < length; ++j) packed[j] = T(0);
      if (used > 0) packed[i] *= T(0.5);
    }
  }
}

// r = A x for the packed A; x and r are padded with zeros to whole lines.
template <class T>
void packed_product(const T* NS_RESTRICT packed, int64_t d, int64_t line, const T* NS_RESTRICT x, T* NS_RESTRICT r) {
  using V = Line<T>;
  constexpr int kW = kLineWidth<T>;
  for (int64_t j = 0; j < line; j += kW) store_vec(r + j, V{});
  for (int64_t i0 = 0; i0 < d; i0 += kBlock) {
    const int64_t length = whole_lines<T>(i0 + kBlock);
    const V x0 = V{} + x[i0], x1 = V{} + x[i0 + 1], x2 = V{} + x[i0 + 2], x3 = V{} + x[i0 + 3];
    V sum0{}, sum1{}, sum2{}, sum3{};
    for (int64_t j = 0; j < length; j += kW) {
      const V x_j = load_vec<V>(x + j);
      const V a0 = load_vec<V>(packed + j), a1 = load_vec<V>(packed + length + j);
      const V a2 = load_vec<V>(packed + 2 * length + j), a3 = load_vec<V>(packed + 3 * length + j);
      sum0 += a0 * x_j;
      sum1 += a1 * x_j;
      sum2 += a2 * x_j;
      sum3 += a3 * x_j;
      store_vec(r + j, load_vec<V>(r + j) + (a0 * x0 + a1 * x1) + (a2 * x2 + a3 * x3));
    }
    packed += kBlock * length;
    r[i0] += sum_vec<T, kW>(sum0);
    r[i0 + 1] += sum_vec<T, kW>(sum1);
    r[i0 + 2] += sum_vec<T, kW>(sum2);
    r[i0 + 3] += sum_vec<T, kW>(sum3);
  }
}

template <class T>
double dot(const T* x, const T* y, int64_t line) {
  using V = Line<T>;
  V even{}, odd{};
  int64_t j = 0;
  for (; j + 2 * kLineWidth<T> <= line; j += 2 * kLineWidth<T>) {
    even += load_vec<V>(x + j) * load_vec<V>(y + j);
    odd += load_vec<V>(x + j + kLineWidth<T>) * load_vec<V>(y + j + kLineWidth<T>);
  }
  if (j < line) even += load_vec<V>(x + j) * load_vec<V>(y + j);
  return static_cast<double>(sum_vec<T, kLineWidth<T>>(even + odd));
}

// r -= Q' (Q r) for the first k basis vectors; rows up to the next multiple of four are zero.
template <class T>
void orthogonalise(const T* basis, int64_t k, int64_t line, T* coefficients, T* NS_RESTRICT r) {
  using V = Line<T>;
  constexpr int kW = kLineWidth<T>;
  for (int64_t b = 0; b < k; b += kBlock) {
    const T* q = basis + b * line;
    V sums[kBlock] = {};
    for (int64_t j = 0; j < line; j += kW) {
      const V r_j = load_vec<V>(r + j);
      for (int i = 0; i < kBlock; ++i) sums[i] += load_vec<V>(q + i * line + j) * r_j;
    }
    for (int i = 0; i < kBlock; ++i) coefficients[b + i] = sum_vec<T, kW>(sums[i]);
  }
  for (int64_t b = 0; b < k; b += kBlock) {
    const T* q = basis + b * line;
    const T* c = coefficients + b;
    for (int64_t j = 0; j < line; j += kW) {
      V r_j = load_vec<V>(r + j);
      for (int i = 0; i < kBlock; ++i) r_j -= c[i] * load_vec<V>(q + i * line + j);
      store_vec(r + j, r_j);
    }
  }
}

// One Lanczos step: r = A q_k made orthogonal to the basis. Sets alpha[k - 1], and returns the norm of what is left.
template <class T>
double lanczos_step(const LanczosScratch<T>& w, int64_t d, int64_t k) {
  using V = Line<T>;
  const T* q = w.basis + (k - 1) * w.line;
  packed_product(w.packed, d, w.line, q, w.r);
  w.alpha[k - 1] = static_cast<T>(dot(q, w.r, w.line));
  const T a = w.alpha[k - 1], b = k > 1 ? w.beta[k - 2] : T(0);
  const T* before = k > 1 ? q - w.line : q;
  for (int64_t j = 0; j < w.line; j += kLineWidth<T>)
    store_vec(w.r + j, load_vec<V>(w.r + j) - a * load_vec<V>(q + j) - b * load_vec<V>(before + j));
  double norm = std::sqrt(dot(w.r, w.r, w.line));
  for (int repeat = 0; repeat < 2; ++repeat) {
    const double was = norm;
    orthogonalise(w.basis, k, w.line, w.coefficients, w.r);
    norm = std::sqrt(dot(w.r, w.r, w.line));
    if (norm > 0.7 * was) break;  // hardly anything was removed: orthogonal to rounding (Daniel et al. 1976)
  }
  return norm;
}

// The extreme eigenvalues of the k by k tridiagonal matrix, to rounding of T: each pass tries a whole vector of shifts
// for either end at once, so the chain of divisions is walked far less often than in bisection.
template <class T>
void ritz_values(const T* alpha, const T* beta, int64_t k, double values[kEnds], double* norm) {
  using V = Line<T>;
  constexpr int kW = kLineWidth<T>;
  double low = 0, high = 0;
  gershgorin(alpha, beta, k, &low, &high, norm);
  double lower[kEnds] = {low, low}, upper[kEnds] = {high, high};
  const V tiny = V{} + static_cast<T>(*norm * static_cast<double>(kEpsilon<T>) * kEpsilon<T> + 1e-30);
  const int passes = sizeof(T) == 4 ? 7 : 18;
  for (int pass = 0; pass < passes; ++pass) {
    V x[kEnds], counts[kEnds];
    for (int e = 0; e < kEnds; ++e)
      for (int i = 0; i < kW; ++i) x[e][i] = static_cast<T>(lower[e] + (upper[e] - lower[e]) * (i + 1) / (kW + 1));
    sturm_counts(alpha, beta, k, x, tiny, counts);
    for (int e = 0; e < kEnds; ++e) {
      int above = 0;  // how many shifts the eigenvalue sought is not below
      while (above < kW && counts[e][above] < T(e == 0 ? 1 : k)) ++above;
      const double left = above == 0 ? lower[e] : static_cast<double>(x[e][above - 1]);
      upper[e] = above == kW ? upper[e] : static_cast<double>(x[e][above]);
      lower[e] = left;
    }
  }
  for (int e = 0; e < kEnds; ++e) values[e] = 0.5 * (lower[e] + upper[e]);
}

// What the k by k tridiagonal matrix says: its extreme eigenvalues, their unit vectors (in w.ritz, a lane each), and
// the residuals that the Ritz pairs would have, all in units of the scaled matrix.
struct RitzPairs {
  double values[kEnds], residuals[kEnds], norm;
};

template <class T>
RitzPairs ritz_pairs(const LanczosScratch<T>& w, int64_t k, double rest) {
  using Both = Vec<double, kEnds>;
  RitzPairs found;
  double bound = 0;
  ritz_values(w.alpha, w.beta, k, found.values, &bound);
  inverse_iteration(w.alpha, w.beta, k, Both{found.values[0], found.values[1]}, Both{bound, bound}, w.ritz, w.work);
  for (int e = 0; e < kEnds; ++e) found.residuals[e] = rest * std::abs(w.ritz[k - 1][e]);
  found.norm = std::max(std::abs(found.values[0]), std::abs(found.values[1]));
  return found;
}

// Runs until the ends asked for have converged to half the tolerance, or the limit is reached, where the direct method
// takes over. Looks at the tridiagonal matrix only now and then: the residual falls geometrically, so the last two
// looks tell when the next is worth it. Returns the steps taken.
template <class T>
int64_t lanczos(const EighExtremeArgs& a, const LanczosScratch<T>& w, RitzPairs* found) {
  const int64_t d = a.size, limit = lanczos_limit(d);
  double squares = 0;
  for (int64_t j = 0; j < w.line; ++j) {
    w.basis[j] = j < d ? static_cast<T>(start_value(j)) : T(0);
    squares += static_cast<double>(w.basis[j]) * static_cast<double>(w.basis[j]);
  }
  for (int64_t j = 0; j < d; ++j) w.basis[j] *= static_cast<T>(1.0 / std::sqrt(squares));
  int64_t next_look = std::min<int64_t>(12, limit), last_look = 0;
  double last_excess = 0;  // log of residual / target
  for (int64_t k = 1;; ++k) {
    if ((k - 1) % kBlock == 0)  // a new block of four basis rows begins: those to come are zero so far
      std::memset(w.basis + k * w.line, 0, (kBlock - 1) * w.line * sizeof(T));
    const double rest = lanczos_step(w, d, k);
    const bool exhausted = rest <= static_cast<double>(kEpsilon<T>) * 4;  // the basis spans an invariant subspace
    if (k >= next_look || k == limit || exhausted) {
      *found = ritz_pairs(w, k, rest);
      double worst = 0;
      for (int e = a.first_end; e < a.first_end + a.ends; ++e) worst = std::max(worst, found->residuals[e]);
      const double target = 0.5 * a.tol * found->norm;
      if (exhausted || worst <= target || k == limit) return k;
      const double excess = std::log(worst / std::max(target, 1e-300));
      const double rate = last_look > 0 ? (last_excess - excess) / static_cast<double>(k - last_look) : 0;
      const int64_t guess = rate > 0 ? static_cast<int64_t>(excess / rate) : k / 3;
      next_look = k + std::clamp<int64_t>(guess, 2, 6 + k / 3);
      last_look = k;
      last_excess = excess;
    }
    w.beta[k - 1] = static_cast<T>(rest);
    T* q = w.basis + k * w.line;
    const T shrink = static_cast<T>(1.0 / rest);
    for (int64_t j = 0; j < w.line; ++j) q[j] = shrink * w.r[j];
  }
}

// v [d] = the Ritz vector of end e: the basis times the eigenvector of the tridiagonal matrix.
template <class T>
void ritz_vector(const LanczosScratch<T>& w, int64_t d, int64_t k, int e, double* v) {
  for (int64_t j = 0; j < w.line; ++j) w.r[j] = T(0);
  for (int64_t b = 0; b < k; ++b) {
    const T* NS_RESTRICT q = w.basis + b * w.line;
    const T weight = static_cast<T>(w.ritz[b][e]);
    for (int64_t j = 0; j < w.line; ++j) w.r[j] += weight * q[j];
  }
  for (int64_t j = 0; j < d; ++j) v[j] = static_cast<double>(w.r[j]);
}

// Matrix m, in the matrices' own type.
template <class T>
void eigh_lanczos(const EighExtremeArgs& a, int64_t m, char* scratch) {
  const int64_t d = a.size;
  const T* s = static_cast<const T*>(a.s) + m * a.matrix_stride;
  const MatrixScale scaled = find_scale(SerialTeam{}, s, a.row_stride, d);
  if (!scaled.finite) {
    a.status[m] = kNotFinite;
    return;
  }
  LanczosScratch<T> w;
  w.lay_out(scratch, d);
  pack_lower(s, a.row_stride, d, scaled.scale, w.packed);
  RitzPairs found;
  const int64_t k = lanczos(a, w, &found);
  bool converged = true;
  for (int e = a.first_end; e < a.first_end + a.ends; ++e) {
    ritz_vector(w, d, k, e, w.pair);
    converged &= finish_pair<T>(SerialTeam{}, a, m, e, scaled.scale, found.norm, w.pair, w.pair + d);
  }
  a.status[m] = converged ? kConverged : kNotConverged;
}

}  // namespace netsculpt::NS_TARGET
