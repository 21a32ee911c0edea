// Two tensors of one shape seen as samples x outer x channels x inner, without a copy where their layout allows it.
#pragma once

#include "../kernels/taylor_view.h"
#include "common.h"

namespace netsculpt {

struct TaylorTensors {
  Tensor a, g;  // keep what the view points to alive
  TaylorView view;
};

struct TaylorDim {
  int64_t size, a_stride, g_stride;
};

// The dimensions of `a` and `g` except those in `skip`, widest stride of a first, neighbours merged where both
// tensors allow it. The order of positions does not matter to a sum over them.
inline std::vector<TaylorDim> merged_positions(const Tensor& a, const Tensor& g, std::initializer_list<int64_t> skip) {
  std::vector<TaylorDim> dims;
  for (int64_t d = 0; d < a.dim(); ++d)
    if (std::find(skip.begin(), skip.end(), d) == skip.end() && a.size(d) != 1)
      dims.push_back({a.size(d), a.stride(d), g.stride(d)});
  std::stable_sort(dims.begin(), dims.end(),
                   [](const TaylorDim& x, const TaylorDim& y) { return x.a_stride > y.a_stride; });
  std::vector<TaylorDim> merged;
  for (const TaylorDim& d : dims) {
    TaylorDim* last = merged.empty() ? nullptr : &merged.back();
    if (last && last->a_stride == d.size * d.a_stride && last->g_stride == d.size * d.g_stride)
      *last = {last->size * d.size, d.a_stride, d.g_stride};
    else
      merged.push_back(d);
  }
  return merged;
}

// Describes the pair with `channel` as channel dimension and dimension 0 as samples where `batched` (channel is then
// 1); false where neither positions nor channels are adjacent in memory in both tensors.
inline bool taylor_view(const Tensor& a, const Tensor& g, bool batched, int64_t channel, TaylorView* view) {
  const int64_t samples = batched ? a.size(0) : 1, channels = a.size(channel);
  if (a.numel() == 0) {  // strides mean nothing then
    *view = {{nullptr, nullptr, 1, 0, 0, 0, 0, 0, Dtype::kFloat32, true}, samples, channels, 0, 0};
    return true;
  }
  const std::vector<TaylorDim> dims = merged_positions(a, g, {batched ? 0 : channel, channel});
  TaylorDim outer{1, 0, 0}, inner{1, 1, 1};
  const bool by_row = !dims.empty() && dims.back().a_stride == 1 && dims.back().g_stride == 1;
  if (dims.size() > (by_row ? 2 : 1)) return false;
  if (by_row) inner = dims.back();
  if (dims.size() == (by_row ? 2 : 1)) outer = dims.front();
  if (!by_row && channels > 1 && (a.stride(channel) != 1 || g.stride(channel) != 1)) return false;
  *view = {{a.data_ptr(), g.data_ptr(), outer.size, inner.size, outer.a_stride, outer.g_stride, a.stride(channel),
            g.stride(channel), Dtype::kFloat32, by_row},
           samples,
           channels,
           batched ? a.stride(0) : 0,
           batched ? g.stride(0) : 0};
  return true;
}

// A copy of `t` laid out as `model` is, or densely where model has gaps.
inline Tensor copy_like(const Tensor& t, const Tensor& model) {
  Tensor copy = torch::stable::empty_like(model);
  torch::stable::copy_(copy, t);
  return copy;
}

// The view of a and g, after a copy of the one that is laid out oddly (or of both, where both are).
inline TaylorTensors taylor_tensors(const Tensor& a, const Tensor& g, bool batched, int64_t channel, Dtype dtype) {
  TaylorTensors t{a, g, {}};
  const bool seen = taylor_view(t.a, t.g, batched, channel, &t.view) ||
                    taylor_view(t.a, t.g = copy_like(g, a), batched, channel, &t.view) ||
                    taylor_view(t.a = copy_like(a, g), t.g = g, batched, channel, &t.view);
  if (!seen) {
    t.a = torch::stable::contiguous(a);
    t.g = torch::stable::contiguous(g);
    taylor_view(t.a, t.g, batched, channel, &t.view);
  }
  t.view.slice.dtype = dtype;
  return t;
}

}  // namespace netsculpt
