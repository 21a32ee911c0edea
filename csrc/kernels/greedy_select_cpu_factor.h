// greedy_select's least squares by a Crew: each part of the units has its own panels of the factor.
//
// A step streams all of the factor once, so it is bound by memory. A panel holds kPanel units for all steps,
// one step after another: a member reads its panels front to back, and finds them in its own cache as long as
// they fit. A panel's sums stay in registers over all steps.
#pragma once

#include "core/crew.h"
#include "greedy_select_cpu_scans.h"

namespace netsculpt::NS_TARGET {

constexpr int kSums = NS_VECTOR_BYTES == 64 ? 16 : 8;  // half of the registers
constexpr int kPanel = kSums * kLanes;
static_assert(kGreedyPad % kPanel == 0, "units are padded to whole panels");

// What the members of one problem share beside the vectors.
struct GreedyCrew {
  Crew crew;
  Best best[kCrewParts];  // of each part
  double error;
  int64_t steps, unit;  // chosen so far, and the last of them
};

template <class T>
struct GreedyPanels {
  const GreedyProblem<T>& p;
  const GreedyFactor<T>& f;
  int64_t steps;  // rows in a panel
  int64_t panels;

  T* row(int64_t panel, int64_t s) const { return p.rows + (panel * steps + s) * kPanel; }
  T at(int64_t s, int64_t j) const { return row(j / kPanel, s)[j % kPanel]; }
};

template <class T>
NS_HD Doubles factor_value_vec(const GreedyFactor<T>& f, int64_t j, Doubles d, Doubles b, Doubles floor) {
  Doubles gain = b * b / d;
  if (f.cost) gain /= load_vec<Doubles>(f.cost + j);
  return d > floor ? gain : Doubles{} - greedy_infinity();
}

// New row `last` of one panel, for the unit whose gram row and column of the factor are given.
template <class T>
inline void panel_row(const GreedyPanels<T>& g, int64_t panel, int64_t last, const T* gram_row, BestLanes* best) {
  const int64_t j0 = panel * kPanel, count = std::min<int64_t>(kPanel, g.p.n - j0);
  Doubles sums[kSums];
  for (int q = 0; q < kSums; ++q) {
    const int64_t part = std::min<int64_t>(kLanes, count - q * kLanes);
    sums[q] = part == kLanes ? load_wide(gram_row + j0 + q * kLanes)
              : part > 0     ? load_wide_part(gram_row + j0 + q * kLanes, part)
                             : Doubles{};
  }
  const T* rows = g.row(panel, 0);
  for (int64_t s = 0; s < last; ++s) {
    const double r = g.f.column[s];
#pragma GCC unroll 16
    for (int q = 0; q < kSums; ++q) sums[q] -= r * load_wide(rows + s * kPanel + q * kLanes);
  }
  const double scale = 1 / g.f.pivot[last], beta = g.f.beta[last], doubt = g.f.doubt[last];
  T* stored = g.row(panel, last);
#pragma GCC unroll 16
  for (int q = 0; q < kSums; ++q) {
    const int64_t j = j0 + q * kLanes;
    store_narrow(stored + q * kLanes, sums[q] * scale);
    const Doubles r = load_wide(stored + q * kLanes);
    const Doubles d = load_vec<Doubles>(g.f.d + j) - r * r, b = load_vec<Doubles>(g.f.b + j) - r * beta;
    store_vec(g.f.d + j, d);
    store_vec(g.f.b + j, b);
    const Doubles floor = load_vec<Doubles>(g.f.floor + j) + r * r * doubt;
    store_vec(g.f.floor + j, floor);
    best->consider(factor_value_vec(g.f, j, d, b, floor), j);
  }
}

// Phase 0 only scores; phase s applies the unit chosen in step s - 1 first.
template <class T>
inline Best factor_part(const GreedyPanels<T>& g, const GreedyCrew& c, int64_t part, int64_t phase) {
  const int64_t begin = part * g.panels / c.crew.parts, end = (part + 1) * g.panels / c.crew.parts;
  BestLanes best;
  for (int64_t panel = begin; panel < end; ++panel) {
    if (phase > 0) {
      panel_row(g, panel, phase - 1, g.p.row(c.unit), &best);
      continue;
    }
    for (int64_t j = panel * kPanel; j < (panel + 1) * kPanel; j += kLanes) {
      const Doubles d = load_vec<Doubles>(g.f.d + j), b = load_vec<Doubles>(g.f.b + j);
      best.consider(factor_value_vec(g.f, j, d, b, load_vec<Doubles>(g.f.floor + j)), j);
    }
  }
  return best.best();
}

// Takes the best unit of all parts; false where there is none, or no more are wanted.
template <class T>
inline bool factor_choose(const GreedyPanels<T>& g, double tolerance, GreedyCrew* c) {
  Best best{0, -1};
  for (int64_t part = 0; part < c->crew.parts; ++part) best = better(best, c->best[part]);
  const int64_t i = best.index, step = c->steps;
  if (i < 0) return false;
  const double pivot = std::sqrt(g.f.d[i]), beta = g.f.b[i] / pivot;
  for (int64_t s = 0; s < step; ++s) g.f.column[s] = static_cast<double>(g.at(s, i));
  g.f.pivot[step] = pivot;
  g.f.beta[step] = beta;
  g.f.doubt[step] = g.f.floor[i] / g.f.d[i];
  g.f.floor[i] = greedy_infinity();
  c->unit = i;
  c->error = greedy_clamp(c->error - beta * beta);
  const bool done = greedy_record(SerialTeam{}, g.p, tolerance, c->steps++, i, c->error);
  return !done && c->steps < g.p.k;
}

template <class T>
inline bool factor_begin(const GreedySelectArgs& a, const GreedyProblem<T>& p, int64_t parts, GreedyCrew* c) {
  greedy_factor_start(SerialTeam{}, p, a.ridge, GreedyFactor<T>(p));
  const int64_t panels = ceil_div(p.n, kPanel);
  crew_reset(&c->crew, std::min(std::min(parts, kCrewParts), panels));
  c->error = p.energy, c->steps = 0, c->unit = -1;
  if (p.n > 0 && p.k > 0) return true;
  greedy_pad(SerialTeam{}, p, 0, p.energy);
  return false;
}

template <class T>
inline void factor_join(const GreedySelectArgs& a, const GreedyProblem<T>& p, int64_t worker, int64_t workers,
                        GreedyCrew* c) {
  const GreedyFactor<T> f(p);
  const GreedyPanels<T> g{p, f, a.steps, ceil_div(p.n, kPanel)};
  const auto work = [&](int64_t part, int64_t phase) { c->best[part] = factor_part(g, *c, part, phase); };
  const auto finish = [&](int64_t) {
    if (factor_choose(g, a.tolerance, c)) return true;
    greedy_pad(SerialTeam{}, p, c->steps, c->error);
    greedy_factor_solve(SerialTeam{}, p, f, c->steps, [&](int64_t s, int64_t j) { return g.at(s, j); });
    return false;
  };
  crew_join(&c->crew, worker * c->crew.parts / workers, work, finish);
}

}  // namespace netsculpt::NS_TARGET
