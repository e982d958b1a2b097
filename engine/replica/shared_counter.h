// SPDX-License-Identifier: Apache-2.0
//
// A counter that several replicas add to at once: a string, a field or a score that INCR or one of
// its kin has touched.
//
//   counter := base, which the last SET or DEL left; per actor a running total of what it added;
//              per actor the total that writes of the base had seen, the observed one
//   value   := base + for each actor what of its total is not observed
//
// So every increment counts once, and a SET or DEL takes away exactly those increments that its
// issuer had seen, whether or not it is the SET that wins. Three rules carry this, each found by
// model checking after a simpler one had failed: observed totals are the largest of all writes of
// the base, not those of the winning one; an actor whose total is absent or fully observed begins a
// new generation at zero; a total and its observed mark are dropped together, and only when every
// replica is known to have both and all that was written before it knew.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/entry.h"
#include "engine/replica/delta.h"

namespace dyno {

class SharedCounter {
 public:
  // A string's or field's text, or a score.
  struct Base {
    Stamp stamp = 0;
    bool exists = false;
    std::string text = {};
    double score = 0;
  };

  // What is older is gone: the base by a deletion or an expiry, totals by an expiry alone. Unlike a
  // deletion, which observes totals once for all, an expiry is void when its deadline was extended
  // by a write that comes late; so it only hides.
  struct Cut {
    Stamp base = 0;
    Stamp totals = 0;
  };

  explicit SharedCounter(Type type) : type_(type) {}

  [[nodiscard]] Type type() const { return type_; }
  [[nodiscard]] const Base& base() const { return base_; }
  [[nodiscard]] const std::vector<Total>& totals() const { return totals_; }
  [[nodiscard]] const std::vector<Total>& observed() const { return observed_; }

  // Merge; true when something changed. Of two bases with one stamp the larger bytes win.
  bool set_base(Base base);
  bool add_total(const Total& total);
  bool add_observed(const Total& total);

  // The origin's own writes. What `actor` has added once `amount` is added at `stamp`. Without
  // generations an observed or collected total is continued: a fault for tests.
  [[nodiscard]] Total add(Actor actor, Stamp stamp, Amount amount, bool has_generations = true);
  // A SET or DEL here has seen everything that is here; or what is older than a stamp.
  void observe_all() { observe_older(UINT64_MAX); }
  void observe_older(Stamp stamp);
  // What the cut takes has gone for good, as all replicas know.
  void forget(const Cut& cut);

  [[nodiscard]] bool has_base(const Cut& cut) const {
    return base_.exists && base_.stamp >= cut.base;
  }
  [[nodiscard]] bool is_alive(const Cut& cut) const { return has_base(cut) || has_unobserved(cut); }
  [[nodiscard]] bool has_unobserved(const Cut& cut) const;
  // The observed total that takes something from `total`, or null. `total` counts unless the
  // observed one is as late as it.
  [[nodiscard]] const Total* observed_of(Actor actor) const;
  [[nodiscard]] bool counts(const Total& total, const Cut& cut) const;

  // What GET or HGET shows. Bytes that are no number stay as they are, whatever was added to them.
  [[nodiscard]] std::string text(const Cut& cut) const;
  [[nodiscard]] double score(const Cut& cut) const;

  // Largest stamp in it.
  [[nodiscard]] Stamp latest() const;
  // Drops totals that are observed, in two steps. In the first call after `horizon`, up to which
  // every replica has every write, has passed them, it notes `now`, the node's clock; when the
  // horizon has passed that too, they go. True when only the base is left.
  bool collect(const Cut& cut, Stamp horizon, Stamp now);
  // The first of the two steps was taken.
  [[nodiscard]] bool is_settling() const { return settled_at_ != 0; }

 private:
  [[nodiscard]] Amount unobserved(const Cut& cut, long double base_part) const;

  Type type_;
  Base base_;
  std::vector<Total> totals_;  // By actor, ascending, as are observed_.
  std::vector<Total> observed_;
  Stamp settled_at_ = 0;
};

}  // namespace dyno
