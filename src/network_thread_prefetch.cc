// SPDX-License-Identifier: Apache-2.0
//
// The network thread's part that asks for memory ahead: of all requests of a batch at once.
#include "src/network_thread.h"

#include "engine/element_prefetch.h"
#include "src/client.h"
#include "src/server.h"

namespace dyno {

void NetworkThread::prefetch_batch() {
  Executor& executor = server_.executor();
  for (Request& r : batch_) {
    Args args(batch_args_.data() + r.first_arg, r.arg_count);
    r.prefetched = executor.prefetch_slot(*r.client, args, &r.prefetch);
  }
  // Once for neighbours with the same key, whose slot's lock is busy enough.
  const Executor::Prefetch* last = nullptr;
  bool has_repeated = false;
  auto is_new = [&](const Request& r) {
    bool repeats =
        last != nullptr && last->slot == r.prefetch.slot && last->position == r.prefetch.position;
    has_repeated |= repeats;
    last = &r.prefetch;
    return r.prefetched && !repeats;
  };
  for (Request& r : batch_) {
    if (is_new(r)) Executor::prefetch_group(r.prefetch);
  }
  last = nullptr;
  for (Request& r : batch_) {
    if (is_new(r)) Executor::prefetch_entry(r.prefetch);
  }
  if (has_repeated) prefetch_elements();
}

// Of each stretch of requests with the same key.
void NetworkThread::prefetch_elements() {
  std::string_view elements[kElementPrefetchMax];
  for (size_t begin = 0, end = 0; begin < batch_.size(); begin = end) {
    const Request& first = batch_[begin];
    size_t count = 0;
    for (end = begin; end < batch_.size(); ++end) {
      const Request& r = batch_[end];
      bool repeats = r.prefetched && r.prefetch.slot == first.prefetch.slot &&
                     r.prefetch.position == first.prefetch.position;
      if (!repeats && end > begin) break;
      if (r.arg_count < 3 || count == kElementPrefetchMax) continue;
      // A score stands before its member.
      std::string_view name = batch_args_[r.first_arg];
      bool is_scored = r.arg_count == 4 && !name.empty() && (name.front() | 32) == 'z';
      elements[count++] = batch_args_[r.first_arg + (is_scored ? 3 : 2)];
    }
    if (count < 2) continue;
    server_.executor().prefetch_elements(*first.client, first.prefetch,
                                         batch_args_[first.first_arg + 1], {elements, count});
  }
}

}  // namespace dyno
