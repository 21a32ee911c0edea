// The bodies of taylor_gain on a team of threads: a Python module (NS_PYBIND), or a ThreadSanitizer program.
#include "../../csrc/kernels/taylor_gain.h"

#include "harness.h"

using namespace netsculpt;

namespace {

// `by_row`: a and g are [samples, channels, positions]; else [samples, positions, channels].
std::vector<double> run(const double* a, const double* g, int64_t samples, int64_t channels, int64_t positions,
                        int64_t positions_per_piece, bool by_row, int team_size) {
  const int64_t outer = by_row ? 1 : positions, inner = by_row ? positions : 1, sample = channels * positions;
  const int64_t channel = by_row ? positions : 1;
  const TaylorView view{{a, g, outer, inner, channels, channels, channel, channel, Dtype::kFloat64, by_row},
                        samples,
                        channels,
                        sample,
                        sample};
  const int64_t width = std::min<int64_t>(team_size, 3);  // leaves ranks idle where 3 does not divide the team
  const TaylorPlan plan = taylor_plan(view, positions_per_piece, by_row ? 1 : team_size / width);
  std::vector<double> partial(kTaylorKinds * channels * plan.pieces), out(3 * channels);
  std::vector<double> values(kTaylorKinds * team_size);
  const TaylorGainArgs args{view, plan, partial.data(), out.data()};
  run_team(team_size, [&](const ThreadTeam& team) {
    for (int64_t p = 0; p < plan.pieces; ++p) {
      for (int64_t c = 0; by_row && c < channels; ++c) NS_TARGET::taylor_row_body<double>(team, args, p, c);
      for (int64_t tile = 0; !by_row && tile * width < channels; ++tile) {
        NS_TARGET::taylor_column_body<double>(team, args, p, tile, width, values.data());
        team.sync();  // values may be reused
      }
    }
    team.sync();  // partial: written by all
    for (int64_t c = 0; c < channels; ++c) NS_TARGET::taylor_combine_body(team, args, c);
  });
  return out;
}

}  // namespace

#ifdef NS_PYBIND
PYBIND11_MODULE(taylor_gain_body, m) {
  m.def("run", [](Array a, Array g, int64_t per_piece, bool by_row, int team_size) {
    const int64_t channels = a.shape(by_row ? 1 : 2), positions = a.shape(by_row ? 2 : 1);
    return to_array(run(a.data(), g.data(), a.shape(0), channels, positions, per_piece, by_row, team_size),
                    {3, channels});
  });
}
#else
int main() {
  const std::vector<double> a = normal(9 * 8 * 21, 1), g = normal(9 * 8 * 21, 2);
  int status = 0;
  for (bool by_row : {true, false})
    for (int64_t per_piece : {5, 70})  // samples that are cut, and samples that are gathered
      status |= same_for_all_teams(by_row ? "taylor_gain rows" : "taylor_gain columns", [&](int size) {
        return run(a.data(), g.data(), 9, 8, 21, per_piece, by_row, size);
      });
  return status;
}
#endif
