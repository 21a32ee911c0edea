// Fixed-width SIMD vectors on GCC's vector extension: +, -, *, /, comparisons and a ? b : c work on them.
#pragma once

#include <cstring>

#include "macros.h"

namespace netsculpt::NS_TARGET {

template <class T, int kWidth>
struct VecOf {
  typedef T type __attribute__((vector_size(kWidth * sizeof(T)), may_alias));
};

// A vector of kWidth values of T. kWidth is a power of two; wider than the machine is legal, just slower.
template <class T, int kWidth>
using Vec = typename VecOf<T, kWidth>::type;

// Values of T in the widest register of the target.
template <class T>
constexpr int kNativeWidth = NS_VECTOR_BYTES / static_cast<int>(sizeof(T));

template <class V, class T>
NS_HD V load_vec(const T* p) {  // unaligned
  V v;
  std::memcpy(&v, p, sizeof(V));
  return v;
}

template <class V, class T>
NS_HD void store_vec(T* p, V v) {  // unaligned
  std::memcpy(p, &v, sizeof(V));
}

// The sum of a vector's values, in a fixed tree order.
template <class T, int kWidth>
NS_HD T sum_vec(Vec<T, kWidth> v) {
  T lane[kWidth];
  std::memcpy(lane, &v, sizeof(v));
  for (int step = kWidth / 2; step > 0; step /= 2)
    for (int i = 0; i < step; ++i) lane[i] += lane[i + step];
  return lane[0];
}

}  // namespace netsculpt::NS_TARGET
