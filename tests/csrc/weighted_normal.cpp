// normal_tile_body on a team of threads, tile by tile: a Python module (NS_PYBIND), or a ThreadSanitizer program.
#include "../../csrc/kernels/weighted_normal.h"

#include "harness.h"

using namespace netsculpt;

namespace {

constexpr int kUnits = NS_TARGET::kNormalUnits, kCols = 32;

struct Sizes {
  int64_t rows, groups, width, units;
};

WeightedNormalArgs args_of(const double* x, const double* q, const double* v, const Sizes& s) {
  WeightedNormalArgs a{};
  a.x = x;
  a.q = q;
  a.v = v;
  a.rows = s.rows, a.groups = s.groups, a.units = s.units, a.width = s.width;
  a.x_row = s.groups * s.width, a.x_group = s.width, a.x_col = 1;
  a.q_row = s.groups * s.units, a.q_group = s.units, a.q_col = 1;
  a.v_group = s.units * s.width, a.v_unit = s.width, a.v_col = 1;
  a.dtype = a.v_dtype = Dtype::kFloat64;
  return a;
}

// `resident`: all slabs of x stay in scratch, as on a GPU where they fit its shared memory.
std::vector<double> run(const double* x, const double* q, const double* v, const Sizes& s, bool resident,
                        int team_size) {
  const WeightedNormalArgs a = args_of(x, q, v, s);
  const int64_t slabs = resident ? (s.width + kCols - 1) / kCols : 1;
  std::vector<double> scratch(NS_TARGET::normal_scratch<double, kCols>(slabs)), sums(kUnits * s.width);
  std::vector<double> out(s.groups * s.units * s.width);
  for (int64_t g = 0; g < s.groups; ++g)
    for (int64_t u = 0; u < s.units; u += kUnits) {
      const NS_TARGET::NormalTile tile{g, u, 0, s.rows, slabs};
      run_team(team_size, [&](const ThreadTeam& team) {
        NS_TARGET::normal_tile_body<double, kCols>(team, a, tile, scratch.data(), sums.data());
      });
      const int64_t count = std::min<int64_t>(kUnits, s.units - u) * s.width;
      std::copy(sums.begin(), sums.begin() + count, out.begin() + (g * s.units + u) * s.width);
    }
  return out;
}

}  // namespace

#ifdef NS_PYBIND
PYBIND11_MODULE(weighted_normal_body, m) {
  m.def("run", [](Array x, Array q, Array v, bool resident, int team_size) {
    const Sizes s{x.shape(0), x.shape(1), x.shape(2), q.shape(2)};
    return to_array(run(x.data(), q.data(), v.data(), s, resident, team_size), {s.groups, s.units, s.width});
  });
}
#else
int main() {
  const Sizes s{70, 2, 37, 35};
  const std::vector<double> x = normal(s.rows * s.groups * s.width, 1), q = normal(s.rows * s.groups * s.units, 2);
  const std::vector<double> v = normal(s.groups * s.units * s.width, 3);
  for (bool resident : {false, true})
    if (same_for_all_teams(
            "weighted_normal", [&](int size) { return run(x.data(), q.data(), v.data(), s, resident, size); }, 0))
      return 1;
  return 0;
}
#endif
