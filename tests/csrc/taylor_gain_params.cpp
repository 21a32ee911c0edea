// The body of taylor_gain_params on a team of threads: a Python module (NS_PYBIND), or a ThreadSanitizer program.
#include "../../csrc/kernels/taylor_gain_params.h"

#include "harness.h"

using namespace netsculpt;

namespace {

// Three entries from the same numbers: [channels, n], [n, channels], and both again in a second call that accumulates.
std::vector<double> run(const double* a, const double* g, int64_t channels, int64_t n, int team_size) {
  const TaylorSlice rows{a, g, 1, n, 0, 0, n, n, Dtype::kFloat64, true};
  const TaylorSlice columns{a, g, n, 1, channels, channels, 1, 1, Dtype::kFloat64, false};
  std::vector<double> out(3 * channels), values(2 * team_size);
  const TaylorParamsArgs first{{rows, columns}, out.data(), channels, 2, false};
  const TaylorParamsArgs second{{columns}, out.data(), channels, 1, true};
  const int64_t width = std::min(team_size, 3);  // leaves ranks idle where 3 does not divide the team
  run_team(team_size, [&](const ThreadTeam& team) {
    for (const TaylorParamsArgs* args : {&first, &second}) {
      for (int64_t tile = 0; tile * width < channels; ++tile)
        NS_TARGET::taylor_gain_params_body(team, *args, tile, width, values.data());
      team.sync();  // out: written by the ranks that own channels
    }
  });
  return out;
}

}  // namespace

#ifdef NS_PYBIND
PYBIND11_MODULE(taylor_gain_params_body, m) {
  m.def("run", [](Array a, Array g, int64_t channels, int team_size) {
    return to_array(run(a.data(), g.data(), channels, a.size() / channels, team_size), {3, channels});
  });
}
#else
int main() {
  const std::vector<double> a = normal(10 * 45, 1), g = normal(10 * 45, 2);
  return same_for_all_teams("taylor_gain_params", [&](int size) { return run(a.data(), g.data(), 10, 45, size); });
}
#endif
