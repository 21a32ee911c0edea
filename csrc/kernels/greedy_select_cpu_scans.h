// The O(n) passes of greedy_select's simplex modes with full vectors, for a team of one.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "core/vec.h"
#include "greedy_select.h"

namespace netsculpt::NS_TARGET {

constexpr int kLanes = kNativeWidth<double>;
using Doubles = Vec<double, kLanes>;
using Longs = Vec<int64_t, kLanes>;

// GCC 12 splits __builtin_convertvector at 256 bits; this is one instruction. (Its intrinsics without a mask warn.)
NS_HD Doubles widen_lanes(Vec<float, kLanes> v) {
#if defined(NS_TARGET_AVX512)
  return (Doubles)_mm512_maskz_cvtps_pd(0xff, (__m256)v);
#else
  return __builtin_convertvector(v, Doubles);
#endif
}
NS_HD Doubles widen_lanes(Doubles v) { return v; }

NS_HD void store_narrow(float* p, Doubles v) {
#if defined(NS_TARGET_AVX512)
  store_vec(p, _mm512_maskz_cvtpd_ps(0xff, (__m512d)v));
#else
  store_vec(p, __builtin_convertvector(v, Vec<float, kLanes>));
#endif
}
NS_HD void store_narrow(double* p, Doubles v) { store_vec(p, v); }

// kLanes values of T as float64.
template <class T>
NS_HD Doubles load_wide(const T* p) {
  return widen_lanes(load_vec<Vec<T, kLanes>>(p));
}

// The first `count` of them, zeros after.
template <class T>
NS_HD Doubles load_wide_part(const T* p, int64_t count) {
  T values[kLanes] = {};
  for (int64_t l = 0; l < count; ++l) values[l] = p[l];
  return load_wide(values);
}

// A running best in each lane. Later candidates must be strictly better, so the lowest index stays.
struct BestLanes {
  Doubles value;
  Longs index;

  // Not initialisers of the members: GCC would compile a constructor of its own for the baseline.
  NS_HD BestLanes() : value(Doubles{} - greedy_infinity()), index(Longs{} - 1) {}

  NS_HD void consider(Doubles v, int64_t j) {
    const Longs wins = v > value;
    value = wins ? v : value;
    index = wins ? Longs{} + j : index;  // of the vector's first lane
  }

  NS_HD Best best() const {
    Best winner{0, -1};
    for (int l = 0; l < kLanes; ++l)
      if (index[l] >= 0) winner = better(winner, Best{value[l], index[l] + l});
    return winner;
  }
};

// f(j, row values from j on) -> value of each candidate, for j = 0, kLanes, ... Scratch is padded, rows are not.
template <class T, class F>
NS_HD Best scan_row(const T* row, int64_t n, const F& f) {
  BestLanes even, odd;
  int64_t j = 0;
  for (; j + 2 * kLanes <= n; j += 2 * kLanes) {
    even.consider(f(j, load_wide(row + j)), j);
    odd.consider(f(j + kLanes, load_wide(row + j + kLanes)), j + kLanes);
  }
  for (; j < n; j += kLanes) even.consider(f(j, load_wide_part(row + j, std::min<int64_t>(kLanes, n - j))), j);
  return better(even.best(), odd.best());
}

NS_HD Doubles rate_vec(Doubles gain, Doubles cost) { return gain >= 0 ? gain / cost : gain * cost; }

struct GreedyUniformVecScan {
  template <class T>
  Best operator()(const SerialTeam&, const GreedyUniform<T>& u) const {
    const auto move = [&u](int64_t j, Doubles k) {
      const Doubles t = load_vec<Doubles>(u.target + j);
      const Doubles score = load_vec<Doubles>(u.score + j) + 2 * (u.n * k - t);
      store_vec(u.score + j, score);
      return score;
    };
    if (!u.cost) return scan_row(u.row, u.units, [&](int64_t j, Doubles k) { return -move(j, k); });
    return scan_row(u.row, u.units, [&](int64_t j, Doubles k) {
      return rate_vec(u.error - (u.base + u.slope * move(j, k)), load_vec<Doubles>(u.cost + j));
    });
  }
};

struct GreedyLineVecScan {
  template <class T>
  Best operator()(const SerialTeam&, const GreedyLine<T>& s) const {
    if (!s.cost) return scan_row(s.row, s.units, [&](int64_t j, Doubles k) { return decrease(s, j, k); });
    return scan_row(s.row, s.units,
                    [&](int64_t j, Doubles k) { return decrease(s, j, k) / load_vec<Doubles>(s.cost + j); });
  }

  // greedy_move, a vector at a time.
  template <class T>
  NS_HD static Doubles decrease(const GreedyLine<T>& s, int64_t j, Doubles k) {
    const Doubles a = load_vec<Doubles>(s.a + j), one = Doubles{} + 1;
    const Doubles ka = (1 - s.step) * load_vec<Doubles>(s.ka + j) + s.step * k;
    store_vec(s.ka + j, ka);
    const Doubles num = s.n * load_vec<Doubles>(s.target + j) - s.n * s.n * ka + s.offset();
    const Doubles den = s.n * s.n * (load_vec<Doubles>(s.diagonal + j) - 2 * ka + s.kaa);
    const Longs towards = num >= 0;
    const Doubles size = towards ? num : -num, bound_top = towards ? one : a, bound_bottom = towards ? one : one - a;
    const Longs inside = size * bound_bottom < bound_top * den;
    const Doubles magnitude = (inside ? size : bound_top) / (inside ? den : bound_bottom);
    return den > 0 ? magnitude * (2 * size - magnitude * den) : Doubles{};
  }
};

// Sum of a row; of several lanes, so that it runs at the speed of memory.
template <class T>
NS_HD double sum_row(const T* row, int64_t n) {
  Doubles sums[4] = {};
  int64_t j = 0;
  for (; j + 4 * kLanes <= n; j += 4 * kLanes)
    for (int q = 0; q < 4; ++q) sums[q] += load_wide(row + j + q * kLanes);
  for (; j < n; j += kLanes) sums[0] += load_wide_part(row + j, std::min<int64_t>(kLanes, n - j));
  return sum_vec<double, kLanes>((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

}  // namespace netsculpt::NS_TARGET
