// greedy_select with simplex weights: the fixed step 1/m, and exact line search.
//
// The drivers are written once. What costs O(n) in each step is a Scan: this file has the plain ones,
// over any team; greedy_select_cpu.cpp has vectorised ones for a team of one.
#pragma once

#include "greedy_select_args.h"

namespace netsculpt::NS_TARGET {

// The state of the fixed step. With S_j = sum of K_ij over the chosen multiset and m units after this step,
//   score_j = n (2 S_j + K_jj) - 2 m t_j   and   J(choosing j) = base + slope * score_j,
// so a step adds 2 (n K_ij - t_j) to every score and the lowest score is the lowest error.
template <class T>
struct GreedyUniform {
  double *score, *target, *cost;  // cost is null without costs; a closed unit has score +infinity
  const T* row;                   // of the unit chosen last
  int64_t units;
  double n, base, slope, error;  // error before this step

  NS_HD double value(double score_j, int64_t j) const {
    return cost ? greedy_rate(error - (base + slope * score_j), cost[j]) : -score_j;
  }
};

struct GreedyUniformScan {
  template <class T, class Team>
  NS_HD Best operator()(const Team& team, const GreedyUniform<T>& u) const {
    Best best{0, -1};
    for (int64_t j = team.rank(); j < u.units; j += team.size()) {
      u.score[j] += 2 * (u.n * static_cast<double>(u.row[j]) - u.target[j]);
      best = greedy_consider(best, u.value(u.score[j], j), j);
    }
    return best;
  }
};

// The first unit, of either mode: a = e_j, so J = n^2 K_jj - 2 n t_j + energy.
template <class T, class Team>
NS_HD Best greedy_first(const Team& team, const GreedyProblem<T>& p, const double* cost) {
  const double n = static_cast<double>(p.n);
  Best best{0, -1};
  for (int64_t j = team.rank(); j < p.n; j += team.size()) {
    const double score = n * p.diagonal[j] - 2 * p.target[j];
    best = greedy_consider(best, cost ? greedy_rate(-n * score, cost[j]) : -score, j);
  }
  return best;
}

// Copies [0, n) of `from` and fills up to `padded`; a rank writes the entries that it scans.
template <class Team>
NS_HD void greedy_copy(const Team& team, const double* from, double fill, int64_t n, int64_t padded, double* to) {
  for (int64_t j = team.rank(); j < padded; j += team.size()) to[j] = j < n ? from[j] : fill;
}

template <class T, class Team, class Scan>
NS_HD void greedy_uniform(const Team& team, const GreedySelectArgs& a, const GreedyProblem<T>& p, const Scan& scan) {
  const double n = static_cast<double>(p.n);
  double* count = p.vector(3);
  GreedyUniform<T> u{p.vector(0), p.vector(1), p.cost ? p.vector(2) : nullptr, nullptr, p.n, n, 0, n, p.energy};
  for (int64_t j = team.rank(); j < p.padded; j += team.size()) {
    u.score[j] = j < p.n ? n * p.diagonal[j] - 2 * p.target[j] : greedy_infinity();
    count[j] = 0;
  }
  greedy_copy(team, p.target, 0, p.n, p.padded, u.target);
  if (u.cost) greedy_copy(team, p.cost, 1, p.n, p.padded, u.cost);
  team.sync();                                // score, target, cost: read by every rank below
  double chosen_gram = 0, chosen_target = 0;  // sum of K over the chosen pairs, of t over the chosen
  int64_t step = 0;
  for (bool done = false; step < p.k && !done;) {
    const double m = static_cast<double>(step + 1);
    u.slope = n / (m * m);
    u.base = p.energy + (n * n * chosen_gram - 2 * n * m * chosen_target) / (m * m);
    const Best chosen = team.best(step == 0 ? greedy_first(team, p, u.cost) : scan(team, u));
    if (chosen.index < 0) break;
    const double score = u.score[chosen.index], target = u.target[chosen.index];
    team.sync();  // score: read by every rank, closed or moved on below
    u.error = greedy_clamp(u.base + u.slope * score);
    chosen_gram += (score + 2 * m * target) / n;
    chosen_target += target;
    u.row = p.row(chosen.index);
    if (chosen.index % team.size() == team.rank()) {
      count[chosen.index] += 1;
      if (!a.repeats) u.score[chosen.index] = greedy_infinity();
    }
    done = greedy_record(team, p, a.tolerance, step++, chosen.index, u.error);
  }
  greedy_pad(team, p, step, u.error);
  for (int64_t j = team.rank(); j < p.n; j += team.size())
    p.weights[j] = static_cast<T>(step == 0 ? 0 : n * count[j] / static_cast<double>(step));
}

// The state of the line search: a is the weights, ka = K a, kaa = a'Ka, ta = a't.
template <class T>
struct GreedyLine {
  double *ka, *a, *target, *diagonal, *cost;  // a closed unit has diagonal +infinity: its decrease is NaN
  const T* row;                               // of the unit chosen last
  int64_t units;
  double n, step, kaa, ta;  // step: gamma of the last choice, still to be applied to ka

  NS_HD double offset() const { return n * n * kaa - n * ta; }
};

struct GreedyMove {
  double gamma, decrease, weight;  // weight: the unit's own after the move
};

// The best step towards or away from unit j: gamma = num / den clipped to [-a_j / (1 - a_j), 1]. One division:
// top / bottom is the magnitude of gamma, whichever bound holds.
template <class T>
NS_HD GreedyMove greedy_move(const GreedyLine<T>& s, double ka, double a, double target, double diagonal) {
  const double num = s.n * target - s.n * s.n * ka + s.offset();
  const double den = s.n * s.n * (diagonal - 2 * ka + s.kaa);
  if (!(den > 0)) return {0, 0, a};
  const bool towards = num >= 0;
  const double size = towards ? num : -num, bound_top = towards ? 1 : a, bound_bottom = towards ? 1 : 1 - a;
  const bool inside = size * bound_bottom < bound_top * den;
  const double magnitude = (inside ? size : bound_top) / (inside ? den : bound_bottom);
  const double gamma = towards ? magnitude : -magnitude;
  const double weight = inside ? (1 - gamma) * a + gamma : towards ? 1 : 0;
  return {gamma, magnitude * (2 * size - magnitude * den), weight > 0 ? weight : 0};
}

struct GreedyLineScan {
  template <class T, class Team>
  NS_HD Best operator()(const Team& team, const GreedyLine<T>& s) const {
    Best best{0, -1};
    for (int64_t j = team.rank(); j < s.units; j += team.size()) {
      s.ka[j] = (1 - s.step) * s.ka[j] + s.step * static_cast<double>(s.row[j]);
      const double decrease = greedy_move(s, s.ka[j], s.a[j], s.target[j], s.diagonal[j]).decrease;
      best = greedy_consider(best, s.cost ? decrease / s.cost[j] : decrease, j);
    }
    return best;
  }
};

template <class T, class Team>
NS_HD void greedy_line_start(const Team& team, const GreedyProblem<T>& p, const GreedyLine<T>& s) {
  for (int64_t j = team.rank(); j < p.padded; j += team.size()) s.ka[j] = s.a[j] = 0;
  greedy_copy(team, p.target, 0, p.n, p.padded, s.target);
  greedy_copy(team, p.diagonal, greedy_infinity(), p.n, p.padded, s.diagonal);
  if (s.cost) greedy_copy(team, p.cost, 1, p.n, p.padded, s.cost);
  team.sync();  // all of them: read by every rank below
}

template <class T, class Team, class Scan>
NS_HD void greedy_line_search(const Team& team, const GreedySelectArgs& a, const GreedyProblem<T>& p,
                              const Scan& scan) {
  const double n = static_cast<double>(p.n);
  double* cost = p.cost ? p.vector(4) : nullptr;
  GreedyLine<T> s{p.vector(0), p.vector(1), p.vector(2), p.vector(3), cost, nullptr, p.n, n, 0, 0, 0};
  greedy_line_start(team, p, s);
  double error = p.energy;
  int64_t step = 0;
  for (bool done = false; step < p.k && !done;) {
    const Best chosen = team.best(step == 0 ? greedy_first(team, p, s.cost) : scan(team, s));
    const int64_t i = chosen.index;
    if (i < 0 || (step > 0 && !(chosen.value > 0))) break;
    const double ka = s.ka[i], target = s.target[i], diagonal = p.diagonal[i];
    const GreedyMove move = step == 0 ? GreedyMove{1, 0, 1} : greedy_move(s, ka, s.a[i], target, diagonal);
    const double g = move.gamma, keep = 1 - g;
    const double kaa = keep * keep * s.kaa + 2 * g * keep * ka + g * g * diagonal, ta = keep * s.ta + g * target;
    const double next = greedy_clamp(n * n * kaa - 2 * n * ta + p.energy);
    team.sync();                             // ka, a: read by every rank, moved on below
    if (step > 0 && !(next < error)) break;  // no step decreases the error in float64
    for (int64_t j = team.rank(); j < p.n; j += team.size()) s.a[j] = j == i ? move.weight : keep * s.a[j];
    if (!a.repeats && i % team.size() == team.rank()) s.diagonal[i] = greedy_infinity();
    s.row = p.row(i);
    s.step = g, s.kaa = kaa, s.ta = ta, error = next;
    done = greedy_record(team, p, a.tolerance, step++, i, error);
  }
  greedy_pad(team, p, step, error);
  for (int64_t j = team.rank(); j < p.n; j += team.size()) p.weights[j] = static_cast<T>(n * s.a[j]);
}

}  // namespace netsculpt::NS_TARGET
