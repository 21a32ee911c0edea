// What the body tests share: numbers, NumPy arrays, and "every team size gives the same answer".
#pragma once

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "thread_team.h"

#ifdef NS_PYBIND
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace netsculpt {
using Array = pybind11::array_t<double, pybind11::array::c_style | pybind11::array::forcecast>;

inline pybind11::array_t<double> to_array(const std::vector<double>& values, std::vector<int64_t> shape) {
  return pybind11::array_t<double>(std::move(shape), values.data());
}
}  // namespace netsculpt
#endif

namespace netsculpt {

inline std::vector<double> normal(int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> draw;
  std::vector<double> values(count);
  for (double& v : values) v = draw(generator);
  return values;
}

inline std::vector<double> symmetric(int64_t size, unsigned seed) {
  std::vector<double> s = normal(size * size, seed);
  for (int64_t i = 0; i < size; ++i)
    for (int64_t j = 0; j < i; ++j) s[i * size + j] = s[j * size + i];
  return s;
}

// Exit status of a test program: 0 where run(size) agrees with run(1) to `tolerance` for teams of 2, 7 and 32.
template <class Run>
int same_for_all_teams(const char* name, const Run& run, double tolerance = 1e-10) {
  const std::vector<double> serial = run(1);
  for (int size : {2, 7, 32}) {
    const std::vector<double> team = run(size);
    for (size_t i = 0; i < serial.size(); ++i) {
      if (!(std::abs(team[i] - serial[i]) <= tolerance * (1 + std::abs(serial[i])))) {
        std::printf("%s: team of %d gives %.17g at %zu, a team of one %.17g\n", name, size, team[i], i, serial[i]);
        return 1;
      }
    }
  }
  std::printf("%s: teams of 1, 2, 7 and 32 agree\n", name);
  return 0;
}

}  // namespace netsculpt
