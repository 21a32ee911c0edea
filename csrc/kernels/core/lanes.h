// The few functions that let one body run on a number or on a vector of numbers, one problem per lane.
// A body written with select() instead of branches gives each lane what a scalar run would give it.
#pragma once

#include <cmath>

#include "macros.h"

namespace netsculpt::NS_TARGET {

// The number type inside T, and how many of them T holds. vec_lanes.h adds vectors.
template <class T>
struct LaneTraits {
  using Scalar = T;
  static constexpr int kLanes = 1;
  static NS_HD T square_root(T x) { return sizeof(T) == 4 ? T(sqrtf(static_cast<float>(x))) : T(sqrt(x)); }
};

template <class T>
using ScalarOf = typename LaneTraits<T>::Scalar;

// Machine epsilon: the gap above one.
template <class T>
constexpr ScalarOf<T> kEpsilon =
    sizeof(ScalarOf<T>) == 4 ? ScalarOf<T>(1.1920928955078125e-7) : ScalarOf<T>(2.220446049250313e-16);

// a where `take` holds, else b; lane by lane where they are vectors.
template <class Mask, class T>
NS_HD T select(Mask take, T a, T b) {
  return take ? a : b;
}

template <class T>
NS_HD T square_root(T x) {
  return LaneTraits<T>::square_root(x);
}

template <class T>
NS_HD T absolute(T x) {
  return select(x < T{}, -x, x);
}

template <class T>
NS_HD T larger(T a, T b) {
  return select(a < b, b, a);
}

// The same number in every lane.
template <class T>
NS_HD T spread(ScalarOf<T> x) {
  return T{} + x;
}

}  // namespace netsculpt::NS_TARGET
