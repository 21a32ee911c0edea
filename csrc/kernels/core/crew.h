// A Crew is whoever turns up: it works through phases, each a set of parts, with a serial step between.
//
// Parts are claimed, not assigned, so one member alone finishes everything: nobody ever waits for a thread
// that a pool has promised but not given. Which member does a part changes nothing but the time.
#pragma once

#include <sched.h>

#include "macros.h"

namespace netsculpt {

constexpr int64_t kCrewParts = 64;
constexpr int64_t kCrewOver = -1;

struct Crew {
  struct alignas(64) Counter {  // a cache line each: members write different ones at the same time
    int64_t value;
  };
  Counter phase;                // the phase that is open, or kCrewOver
  Counter left;                 // parts of it that are not done
  Counter claimed[kCrewParts];  // phases of each part that were claimed
  int64_t parts;
};

namespace NS_TARGET {

inline void crew_reset(Crew* crew, int64_t parts) {
  crew->phase.value = 0;
  crew->left.value = parts;
  crew->parts = parts;
  for (int64_t part = 0; part < parts; ++part) crew->claimed[part].value = 0;
}

// Spins for some microseconds, then lets others run: on a busy machine the member waited for may need this core.
inline void crew_wait(const Crew* crew, int64_t phase) {
  for (int spins = 0; __atomic_load_n(&crew->phase.value, __ATOMIC_ACQUIRE) == phase; ++spins) {
    if (spins > 200) sched_yield();
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
}

// Returns when all is over. work(part, phase) does one part; finish(phase), called once by whoever did the last
// part, sees what all parts wrote, and says whether there is another phase, which sees what it wrote.
template <class Work, class Finish>
inline void crew_join(Crew* crew, int64_t first, const Work& work, const Finish& finish) {
  for (;;) {
    const int64_t phase = __atomic_load_n(&crew->phase.value, __ATOMIC_ACQUIRE);
    if (phase == kCrewOver) return;
    for (int64_t turn = 0; turn < crew->parts; ++turn) {
      const int64_t part = (first + turn) % crew->parts;
      int64_t unclaimed = phase;
      int64_t* claimed = &crew->claimed[part].value;
      if (__atomic_load_n(claimed, __ATOMIC_RELAXED) != phase ||
          !__atomic_compare_exchange_n(claimed, &unclaimed, phase + 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
      work(part, phase);
      if (__atomic_sub_fetch(&crew->left.value, 1, __ATOMIC_ACQ_REL) > 0) continue;
      const bool more = finish(phase);
      crew->left.value = crew->parts;
      __atomic_store_n(&crew->phase.value, more ? phase + 1 : kCrewOver, __ATOMIC_RELEASE);
    }
    crew_wait(crew, phase);
  }
}

}  // namespace NS_TARGET
}  // namespace netsculpt
