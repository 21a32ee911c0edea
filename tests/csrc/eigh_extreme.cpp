// eigh_extreme_body on a team of threads: a Python module (NS_PYBIND), or a ThreadSanitizer program.
#include "../../csrc/kernels/eigh_extreme.h"

#include "harness.h"

using namespace netsculpt;

namespace {

struct Pairs {
  std::vector<double> values, vectors, residuals;
  std::vector<int32_t> status;
};

Pairs solve(const double* s, int64_t count, int64_t d, int team_size) {
  Pairs out{std::vector<double>(2 * count), std::vector<double>(2 * count * d), std::vector<double>(2 * count),
            std::vector<int32_t>(count)};
  const EighExtremeArgs args{
      s,     out.values.data(), out.vectors.data(), out.residuals.data(), out.status.data(), d * d, d, count, d, 0, 2,
      1e-10, Dtype::kFloat64};
  std::vector<double> scratch(NS_TARGET::eigh_direct_scratch(d)), pair(2 * d);
  run_team(team_size, [&](const ThreadTeam& team) {
    for (int64_t m = 0; m < count; ++m)
      NS_TARGET::eigh_extreme_body<double>(team, args, m, scratch.data(), pair.data());
  });
  return out;
}

}  // namespace

#ifdef NS_PYBIND
PYBIND11_MODULE(eigh_extreme_body, m) {
  m.def("run", [](Array s, int team_size) {
    const int64_t count = s.shape(0), d = s.shape(1);
    const Pairs out = solve(s.data(), count, d, team_size);
    return pybind11::make_tuple(to_array(out.values, {count, 2}), to_array(out.vectors, {count, 2, d}),
                                to_array(out.residuals, {count, 2}), out.status);
  });
}
#else
int main() {
  std::vector<double> s = symmetric(13, 1), second = symmetric(13, 2);
  s.insert(s.end(), second.begin(), second.end());
  return same_for_all_teams("eigh_extreme", [&](int size) { return solve(s.data(), 2, 13, size).values; });
}
#endif
