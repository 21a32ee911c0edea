// N real threads as one team, for running kernel bodies under ThreadSanitizer and from Python.
#pragma once

#include <barrier>
#include <thread>
#include <vector>

#include "../../csrc/kernels/core/team.h"

namespace netsculpt {

struct TeamShared {
  explicit TeamShared(int size) : barrier(size), values(size), bests(size) {}
  std::barrier<> barrier;
  std::vector<double> values;
  std::vector<Best> bests;
};

struct ThreadTeam {
  TeamShared* shared;
  int my_rank, my_size;

  int rank() const { return my_rank; }
  int size() const { return my_size; }
  void sync() const { shared->barrier.arrive_and_wait(); }

  template <class T>
  T sum(T x) const {
    shared->values[my_rank] = static_cast<double>(x);
    sync();  // values: written by every rank
    T total = 0;
    for (int r = 0; r < my_size; ++r) total += static_cast<T>(shared->values[r]);
    sync();  // values may be reused
    return total;
  }

  Best best(Best x) const {
    shared->bests[my_rank] = x;
    sync();  // bests: written by every rank
    Best winner{0, -1};
    for (int r = 0; r < my_size; ++r) winner = better(winner, shared->bests[r]);
    sync();  // bests may be reused
    return winner;
  }
};

// Runs body(team) on `size` threads and waits for all of them.
template <class Body>
void run_team(int size, const Body& body) {
  TeamShared shared(size);
  std::vector<std::thread> threads;
  for (int r = 0; r < size; ++r) threads.emplace_back([&, r] { body(ThreadTeam{&shared, r, size}); });
  for (std::thread& t : threads) t.join();
}

}  // namespace netsculpt
