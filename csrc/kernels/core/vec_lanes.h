// lanes.h for vectors: a Vec<T, kWidth> is kWidth problems side by side.
#pragma once

#include "lanes.h"
#include "vec.h"

namespace netsculpt::NS_TARGET {

template <class T, int kWidth>
struct VecLaneTraits {
  using Scalar = T;
  static constexpr int kLanes = kWidth;
  static NS_HD Vec<T, kWidth> square_root(Vec<T, kWidth> x) {
    for (int lane = 0; lane < kWidth; ++lane) x[lane] = LaneTraits<T>::square_root(x[lane]);
    return x;
  }
};

// The vectors that bodies are instantiated with; width cannot be deduced from a vector type.
template <>
struct LaneTraits<Vec<float, 16>> : VecLaneTraits<float, 16> {};
template <>
struct LaneTraits<Vec<double, 8>> : VecLaneTraits<double, 8> {};
template <>
struct LaneTraits<Vec<double, 2>> : VecLaneTraits<double, 2> {};

}  // namespace netsculpt::NS_TARGET
