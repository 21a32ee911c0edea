// The reduction of a symmetric matrix to tridiagonal form by Householder reflections (Golub & Van Loan, "Matrix
// Computations", 8.3.1), from the last row up, so that every reflection lies in a contiguous row.
//
// Letters: d the size, l the rows still to reduce, v a reflection I - tau v v'. T is a number, or a vector with one
// matrix per lane. Only lower triangles are read and written.
#pragma once

#include "core/lanes.h"
#include "core/team.h"
#include "tridiagonal_extreme.h"

namespace netsculpt::NS_TARGET {

// Rows of T are padded to an odd length, so that walking down a column does not hit one cache set.
NS_HD int64_t eigh_row_length(int64_t d) { return d | 1; }

// Entries of T that the direct method needs: the matrix, alpha, beta, tau, p, and per end a vector and its work.
NS_HD int64_t eigh_direct_scratch(int64_t d) { return d * eigh_row_length(d) + (4 + kEnds * 4) * d; }

template <class T>
struct EighScratch {
  T *matrix, *alpha, *beta, *tau, *p, *vectors, *work;
  NS_HD EighScratch(T* at, int64_t d) {
    matrix = at;
    alpha = matrix + d * eigh_row_length(d);
    beta = alpha + d;
    tau = beta + d;
    p = tau + d;
    vectors = p + d;
    work = vectors + kEnds * d;
  }
};

// y = A x, reading the lower triangle of A [l, l] only: one pass serves row i and column i, and two rows are taken
// together so that x and y are loaded half as often.
template <class T, class Source>
NS_HD void symmetric_product(const SerialTeam&, const Source* a, int64_t row, int64_t l, const T* NS_RESTRICT x,
                             T* NS_RESTRICT y) {
  // Numbers keep several partial sums, so that the compiler can use vectors; lanes already are vectors.
  constexpr int kChains = LaneTraits<T>::kLanes == 1 ? 16 : 1;
  for (int64_t i = 0; i < l; i += 2) {
    const bool pair = i + 1 < l;
    const Source* NS_RESTRICT a0 = a + i * row;
    const Source* NS_RESTRICT a1 = pair ? a0 + row : a0;
    const T x0 = x[i], x1 = pair ? x[i + 1] : T{};
    T sums0[kChains] = {}, sums1[kChains] = {};
    int64_t j = 0;
    for (; j + kChains <= i; j += kChains) {
      for (int c = 0; c < kChains; ++c) {
        const T p = T(a0[j + c]), q = T(a1[j + c]);
        sums0[c] += p * x[j + c];
        sums1[c] += q * x[j + c];
        y[j + c] += p * x0 + q * x1;
      }
    }
    for (; j < i; ++j) {
      const T p = T(a0[j]), q = T(a1[j]);
      sums0[0] += p * x[j];
      sums1[0] += q * x[j];
      y[j] += p * x0 + q * x1;
    }
    T total0 = T(a0[i]) * x0, total1 = T{};
    for (int c = 0; c < kChains; ++c) {
      total0 += sums0[c];
      total1 += sums1[c];
    }
    if (pair) {
      y[i + 1] = total1 + T(a1[i]) * x0 + T(a1[i + 1]) * x1;
      total0 += T(a1[i]) * x1;
    }
    y[i] = total0;
  }
}

// The same for a team: a rank owns entries of y. Column i of row j > i is read across ranks, hence coalesced.
template <class T, class Source, class Team>
NS_HD void symmetric_product(const Team& team, const Source* a, int64_t row, int64_t l, const T* x, T* y) {
  for (int64_t i = team.rank(); i < l; i += team.size()) {
    T total = T(0);
    for (int64_t j = 0; j <= i; ++j) total += T(a[i * row + j]) * x[j];
    for (int64_t j = i + 1; j < l; ++j) total += T(a[j * row + i]) * x[j];
    y[i] = total;
  }
}

// A -= v p' + p v' on the lower triangle of A [l, l], two rows at a time.
template <class T>
NS_HD void rank_two_update(const SerialTeam&, T* a, int64_t row, int64_t l, const T* v, const T* p) {
  for (int64_t i = 0; i < l; i += 2) {
    const bool pair = i + 1 < l;
    T* NS_RESTRICT a0 = a + i * row;
    const T v0 = v[i], p0 = p[i];
    if (!pair) {
      for (int64_t j = 0; j <= i; ++j) a0[j] -= v0 * p[j] + p0 * v[j];
      break;
    }
    T* NS_RESTRICT a1 = a0 + row;
    const T v1 = v[i + 1], p1 = p[i + 1];
    for (int64_t j = 0; j <= i; ++j) {
      const T p_j = p[j], v_j = v[j];
      a0[j] -= v0 * p_j + p0 * v_j;
      a1[j] -= v1 * p_j + p1 * v_j;
    }
    a1[i + 1] -= v1 * p1 + p1 * v1;
  }
}

// The same for a team.
template <class T, class Team>
NS_HD void rank_two_update(const Team& team, T* a, int64_t row, int64_t l, const T* v, const T* p) {
  for (int64_t i = 0; i < l; ++i) {
    T* NS_RESTRICT a_i = a + i * row;
    const T v_i = v[i], p_i = p[i];
    for (int64_t j = team.rank(); j <= i; j += team.size()) a_i[j] -= v_i * p[j] + p_i * v[j];
  }
}

// Reduces the lower triangle of w.matrix [d, d] to alpha, beta; the reflections stay in its rows, with w.tau.
template <class T, class Team>
NS_HD void tridiagonalize(const Team& team, const EighScratch<T>& w, int64_t d) {
  using S = ScalarOf<T>;
  const int64_t row = eigh_row_length(d);
  const T one = spread<T>(1);
  // Entries of the scaled matrix are at most two; a row whose rest is below this is already reduced, to rounding.
  const T negligible = spread<T>(S(0.01) * kEpsilon<T> * kEpsilon<T>);
  for (int64_t l = d - 1; l >= 1; --l) {
    T* v = w.matrix + l * row;
    const T last = v[l - 1];
    T squares = T{};
    for (int64_t j = team.rank(); j < l - 1; j += team.size()) squares += v[j] * v[j];
    squares = team.sum(squares);  // and every rank has read `last`
    const auto active = squares > negligible;
    const T norm = square_root(squares + last * last);
    const T reduced = select(active, select(last < T{}, norm, -norm), last);
    const T tau = select(active, one / select(active, norm * (norm + absolute(last)), one), T{});
    if (team.rank() == 0) {
      v[l - 1] = last - reduced;  // zero where not active, and tau is zero there too
      w.alpha[l] = v[l];
      w.beta[l - 1] = reduced;
      w.tau[l] = tau;
    }
    team.sync();  // v: written by rank 0
    symmetric_product(team, w.matrix, row, l, v, w.p);
    team.sync();  // p: written by every rank
    T overlap = T{};
    for (int64_t j = team.rank(); j < l; j += team.size()) overlap += v[j] * w.p[j];
    overlap = team.sum(overlap);
    const T shift = S(0.5) * tau * tau * overlap;
    for (int64_t j = team.rank(); j < l; j += team.size()) w.p[j] = tau * w.p[j] - shift * v[j];
    team.sync();  // p: written by every rank
    rank_two_update(team, w.matrix, row, l, v, w.p);
    team.sync();  // matrix: written by every rank
  }
  if (team.rank() == 0) w.alpha[0] = w.matrix[0];
  team.sync();  // alpha, beta, tau: written by rank 0
}

// y [d] <- Q y, where Q is the product of the reflections.
template <class T, class Team>
NS_HD void apply_reflections(const Team& team, const EighScratch<T>& w, int64_t d, T* y) {
  for (int64_t l = 1; l < d; ++l) {
    const T* v = w.matrix + l * eigh_row_length(d);
    T overlap = T{};
    for (int64_t j = team.rank(); j < l; j += team.size()) overlap += v[j] * y[j];
    overlap = w.tau[l] * team.sum(overlap);
    for (int64_t j = team.rank(); j < l; j += team.size()) y[j] -= overlap * v[j];
    team.sync();  // y: written by every rank
  }
}

}  // namespace netsculpt::NS_TARGET
