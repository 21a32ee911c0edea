#include "core/target.h"
// target.h first: it sets the instruction set
#include "core/vec.h"
#include "taylor_gain.h"
#if defined(NS_TARGET_AVX2) || defined(NS_TARGET_AVX512)
#include <immintrin.h>
#endif

namespace netsculpt::NS_TARGET {
namespace {

constexpr int kRunLength = 8;  // products that a lane adds up in the compute type before float64 takes over
constexpr int kNarrow = NS_VECTOR_BYTES == 64 ? 8 : 4;  // vectors of channels whose sums fit the registers
constexpr int64_t kChannelBlock = 1024;                 // their float64 sums (32 KiB) stay in the nearest caches
constexpr int64_t kSegment = 512;                       // channels between two rounds of prefetching
constexpr int64_t kAhead = 4096;                        // bytes

template <class C>
struct BitsOf {
  using type = uint32_t;
};
template <>
struct BitsOf<double> {
  using type = uint64_t;
};

// Vectors of storage type T: Lanes in the compute type, and the same numbers as kHalves vectors of float64.
template <class T>
struct Simd {
  using C = typename ComputeType<T>::type;
  using Uint = typename BitsOf<C>::type;
  static constexpr int kWidth = kNativeWidth<C>;
  static constexpr int kWide = kNativeWidth<double>;
  static constexpr int kHalves = kWidth / kWide;
  using Lanes = Vec<C, kWidth>;
  using Bits = Vec<Uint, kWidth>;
  using Wide = Vec<double, kWide>;

  static NS_HD Lanes load(const float* p) { return load_vec<Lanes>(p); }
  static NS_HD Lanes load(const double* p) { return load_vec<Lanes>(p); }
  static NS_HD Lanes load(const BFloat16* p) {
    return (Lanes)(__builtin_convertvector((load_vec<Vec<uint16_t, kWidth>>(p)), Bits) << 16);
  }
  static NS_HD Lanes load(const Float16* p) {
#if defined(NS_TARGET_AVX512)
    return (Lanes)_mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif defined(NS_TARGET_AVX2)
    return (Lanes)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
    Lanes v;
    for (int i = 0; i < kWidth; ++i) v[i] = to_float(p[i]);
    return v;
#endif
  }

  static NS_HD Lanes magnitude(Lanes v) { return (Lanes)((Bits)v & (static_cast<Uint>(-1) >> 1)); }

  static NS_HD void widen_lanes(Lanes v, Wide* out) {
    Vec<C, kWide> part[kHalves];
    std::memcpy(part, &v, sizeof(v));
    for (int h = 0; h < kHalves; ++h) out[h] = __builtin_convertvector(part[h], Wide);
  }

  static NS_HD void add(Wide* sum, Lanes v) {
    Wide wide[kHalves];
    widen_lanes(v, wide);
    for (int h = 0; h < kHalves; ++h) sum[h] += wide[h];
  }

  static NS_HD void add_to_memory(double* sum, Lanes v) {
    Wide wide[kHalves];
    widen_lanes(v, wide);
    for (int h = 0; h < kHalves; ++h) store_vec(sum + h * kWide, load_vec<Wide>(sum + h * kWide) + wide[h]);
  }

  static NS_HD double total(Wide* sum) {
    for (int h = 1; h < kHalves; ++h) sum[0] += sum[h];
    return sum_vec<double, kWide>(sum[0]);
  }
};

// n adjacent positions.
template <class T>
TaylorPair row_sums(const T* NS_RESTRICT a, const T* NS_RESTRICT g, int64_t n) {
  using S = Simd<T>;
  using Lanes = typename S::Lanes;
  constexpr int w = S::kWidth;
  TaylorPair sum{0, 0};
  int64_t i = 0;
  if (n >= w) {
    typename S::Wide total[S::kHalves] = {}, absolute[S::kHalves] = {};
    for (; i + kRunLength * w <= n; i += kRunLength * w) {
      Lanes x[2] = {}, y[2] = {};  // two chains of additions hide their latency
      for (int k = 0; k < kRunLength; ++k) {
        const Lanes p = S::load(a + i + k * w) * S::load(g + i + k * w);
        x[k % 2] += p;
        y[k % 2] += S::magnitude(p);
      }
      S::add(total, x[0] + x[1]);
      S::add(absolute, y[0] + y[1]);
    }
    Lanes x = {}, y = {};
    for (; i + w <= n; i += w) {
      const Lanes p = S::load(a + i) * S::load(g + i);
      x += p;
      y += S::magnitude(p);
    }
    S::add(total, x);
    S::add(absolute, y);
    sum = {S::total(total), S::total(absolute)};
  }
  add_strided(a + i, g + i, n - i, 1, 1, &sum);
  return sum;
}

// The sums of the channels in `r` belong to a whole sample: square them and start anew.
void close_sample(const TaylorRange& r, const TaylorSums& sums) {
  for (int64_t c = r.channel_begin; c < r.channel_end; ++c) {
    sums.total[c] += sums.run[c];
    sums.squared[c] += sums.run[c] * sums.run[c];
    sums.run[c] = 0;
  }
}

template <class T>
void add_rows(const TaylorView& v, const TaylorRange& r, const TaylorSums& sums) {
  const TaylorSlice& s = v.slice;
  const int64_t n = r.inner_end - r.inner_begin;
  for (int64_t b = r.sample_begin; b < r.sample_end; ++b) {
    for (int64_t o = r.outer_begin; o < r.outer_end; ++o) {
      const T* a = static_cast<const T*>(s.a) + b * v.a_sample + o * s.a_outer + r.inner_begin;
      const T* g = static_cast<const T*>(s.g) + b * v.g_sample + o * s.g_outer + r.inner_begin;
      for (int64_t c = r.channel_begin; c < r.channel_end; ++c) {
        const TaylorPair row = row_sums(a + c * s.a_channel, g + c * s.g_channel, n);
        sums.run[c] += row.total;
        sums.absolute[c] += row.absolute;
      }
    }
    if (r.closes) close_sample(r, sums);
  }
}

// Asks for the memory `ahead` elements past a segment. Two tensors that are read in turns defeat the hardware's own
// prefetching once their rows are long.
template <class T>
NS_HD void prefetch(const T* p, int64_t ahead, int64_t count) {
  const char* line = reinterpret_cast<const char*>(p + ahead);
  const char* end = line + count * static_cast<int64_t>(sizeof(T));
  for (; line < end; line += 64) __builtin_prefetch(line, 0, 2);
}

// The elements in as many rows as make kAhead bytes.
template <class T>
NS_HD int64_t rows_ahead(int64_t step) {
  const int64_t bytes = step * static_cast<int64_t>(sizeof(T));
  return bytes > 0 ? ceil_div(kAhead, bytes) * step : 0;
}

// `rows` positions, at most kRunLength, of kVectors vectors of channels, with their sums in registers.
template <class T, int kVectors>
void add_narrow(const T* a, const T* g, int64_t rows, int64_t a_step, int64_t g_step, double* run, double* absolute) {
  using S = Simd<T>;
  typename S::Lanes x[kVectors] = {}, y[kVectors] = {};
  for (int64_t i = 0; i < rows; ++i) {
    for (int k = 0; k < kVectors; ++k) {
      const typename S::Lanes p = S::load(a + i * a_step + k * S::kWidth) * S::load(g + i * g_step + k * S::kWidth);
      x[k] += p;
      y[k] += S::magnitude(p);
    }
  }
  for (int k = 0; k < kVectors; ++k) {
    S::add_to_memory(run + k * S::kWidth, x[k]);
    S::add_to_memory(absolute + k * S::kWidth, y[k]);
  }
}

// The same for any number of channels up to kChannelBlock (a multiple of the vector's width): row after row, as they
// lie in memory, which is worth more than keeping sums in registers.
template <class T>
void add_wide(const T* a, const T* g, int64_t rows, int64_t a_step, int64_t g_step, int64_t channels, double* run,
              double* absolute) {
  using S = Simd<T>;
  using Lanes = typename S::Lanes;
  alignas(64) typename S::C sums[2 * kChannelBlock];  // a vector of sums and one of magnitudes, in turns
  std::memset(sums, 0, static_cast<size_t>(channels) * 2 * sizeof(*sums));
  const int64_t a_ahead = rows_ahead<T>(a_step), g_ahead = rows_ahead<T>(g_step);
  for (int64_t i = 0; i < rows; ++i, a += a_step, g += g_step) {
    for (int64_t begin = 0; begin < channels; begin += kSegment) {
      const int64_t end = std::min(begin + kSegment, channels);
      prefetch(a + begin, a_ahead, end - begin);
      prefetch(g + begin, g_ahead, end - begin);
      for (int64_t c = begin; c < end; c += S::kWidth) {
        const Lanes p = S::load(a + c) * S::load(g + c);
        store_vec(sums + 2 * c, load_vec<Lanes>(sums + 2 * c) + p);
        store_vec(sums + 2 * c + S::kWidth, load_vec<Lanes>(sums + 2 * c + S::kWidth) + S::magnitude(p));
      }
    }
  }
  for (int64_t c = 0; c < channels; c += S::kWidth) {
    S::add_to_memory(run + c, load_vec<Lanes>(sums + 2 * c));
    S::add_to_memory(absolute + c, load_vec<Lanes>(sums + 2 * c + S::kWidth));
  }
}

template <class T, int kVectors = kNarrow>
void add_block(const T* a, const T* g, int64_t rows, int64_t a_step, int64_t g_step, int64_t channels, double* run,
               double* absolute) {
  constexpr int64_t covered = kVectors * Simd<T>::kWidth;
  if (channels == covered) return add_narrow<T, kVectors>(a, g, rows, a_step, g_step, run, absolute);
  if constexpr (kVectors > 1)
    return add_block<T, kVectors - 1>(a, g, rows, a_step, g_step, channels, run, absolute);
  else
    return add_wide<T>(a, g, rows, a_step, g_step, channels, run, absolute);
}

// Positions [r.outer_begin, r.outer_end) of one sample, whose position 0 and channel 0 are at a and g.
template <class T>
void add_columns_of_sample(const TaylorSlice& s, const T* a, const T* g, const TaylorRange& r, const TaylorSums& sums) {
  const int64_t begin = r.channel_begin, whole = (r.channel_end - begin) / Simd<T>::kWidth * Simd<T>::kWidth;
  for (int64_t o = r.outer_begin; o < r.outer_end; o += kRunLength) {
    const int64_t rows = std::min<int64_t>(kRunLength, r.outer_end - o);
    const T *ao = a + o * s.a_outer, *go = g + o * s.g_outer;
    add_block<T>(ao + begin, go + begin, rows, s.a_outer, s.g_outer, whole, sums.run + begin, sums.absolute + begin);
    for (int64_t c = begin + whole; c < r.channel_end; ++c) {
      TaylorPair sum{sums.run[c], sums.absolute[c]};
      add_strided(ao + c, go + c, rows, s.a_outer, s.g_outer, &sum);
      sums.run[c] = sum.total;
      sums.absolute[c] = sum.absolute;
    }
  }
}

// Samples of one position: each product is squared at once.
template <class T>
void add_single_columns(const TaylorView& v, const TaylorRange& r, const TaylorSums& sums) {
  using S = Simd<T>;
  using Wide = typename S::Wide;
  const auto add = [](double* place, Wide x) { store_vec(place, load_vec<Wide>(place) + x); };
  for (int64_t b = r.sample_begin; b < r.sample_end; ++b) {
    const T* a = static_cast<const T*>(v.slice.a) + b * v.a_sample;
    const T* g = static_cast<const T*>(v.slice.g) + b * v.g_sample;
    prefetch(a + r.channel_begin, rows_ahead<T>(v.a_sample), r.channel_end - r.channel_begin);
    prefetch(g + r.channel_begin, rows_ahead<T>(v.g_sample), r.channel_end - r.channel_begin);
    int64_t c = r.channel_begin;
    for (; c + S::kWidth <= r.channel_end; c += S::kWidth) {
      Wide p[S::kHalves], magnitude[S::kHalves];
      const typename S::Lanes product = S::load(a + c) * S::load(g + c);
      S::widen_lanes(product, p);
      S::widen_lanes(S::magnitude(product), magnitude);
      for (int h = 0; h < S::kHalves; ++h) {
        add(sums.total + c + h * S::kWide, p[h]);
        add(sums.absolute + c + h * S::kWide, magnitude[h]);
        add(sums.squared + c + h * S::kWide, p[h] * p[h]);
      }
    }
    for (; c < r.channel_end; ++c) {
      TaylorPair one{0, 0};
      add_strided(a + c, g + c, 1, 0, 0, &one);
      sums.total[c] += one.total;
      sums.absolute[c] += one.absolute;
      sums.squared[c] += one.total * one.total;
    }
  }
}

template <class T>
void add_columns(const TaylorView& v, TaylorRange r, const TaylorSums& sums) {
  const int64_t end = r.channel_end;
  for (; r.channel_begin < end; r.channel_begin = r.channel_end) {
    r.channel_end = std::min(r.channel_begin + kChannelBlock, end);
    if (v.slice.outer == 1 && r.closes) {
      add_single_columns<T>(v, r, sums);
      continue;
    }
    for (int64_t b = r.sample_begin; b < r.sample_end; ++b) {
      const T* a = static_cast<const T*>(v.slice.a) + b * v.a_sample;
      const T* g = static_cast<const T*>(v.slice.g) + b * v.g_sample;
      add_columns_of_sample(v.slice, a, g, r, sums);
      if (r.closes) close_sample(r, sums);
    }
  }
}

}  // namespace

void taylor_gain_cpu(const TaylorView& v, const TaylorRange& r, const TaylorSums& sums) {
  for_dtype(v.slice.dtype, [&](auto t) {
    using T = decltype(t);
    if (v.slice.by_row)
      add_rows<T>(v, r, sums);
    else
      add_columns<T>(v, r, sums);
  });
}

}  // namespace netsculpt::NS_TARGET
