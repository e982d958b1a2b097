// SPDX-License-Identifier: Apache-2.0
#include "engine/replica/shared_counter.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "protocol/number.h"

namespace dyno {
namespace {

std::vector<Total>::iterator place_of(std::vector<Total>& totals, Actor actor) {
  return std::lower_bound(totals.begin(), totals.end(), actor,
                          [](const Total& total, Actor wanted) { return total.actor < wanted; });
}

const Total* find(const std::vector<Total>& totals, Actor actor) {
  auto at = place_of(const_cast<std::vector<Total>&>(totals), actor);
  return at != totals.end() && at->actor == actor ? &*at : nullptr;
}

bool raise(std::vector<Total>& totals, const Total& total) {
  auto at = place_of(totals, total.actor);
  if (at == totals.end() || at->actor != total.actor) {
    totals.insert(at, total);
    return true;
  }
  if (!is_later(total, *at)) return false;
  *at = total;
  return true;
}

std::string format_whole(__int128 value) {
  bool negative = value < 0;
  auto rest =
      negative ? -static_cast<unsigned __int128>(value) : static_cast<unsigned __int128>(value);
  std::string digits;
  do {
    digits.push_back(static_cast<char>('0' + static_cast<int>(rest % 10)));
    rest /= 10;
  } while (rest != 0);
  if (negative) digits.push_back('-');
  std::reverse(digits.begin(), digits.end());
  return digits;
}

}  // namespace

bool SharedCounter::set_base(Base base) {
  auto rank = [](const Base& b) { return std::tie(b.stamp, b.exists, b.text, b.score); };
  if (rank(base) <= rank(base_)) return false;
  base_ = std::move(base);
  settled_at_ = 0;
  return true;
}

bool SharedCounter::add_total(const Total& total) {
  if (!raise(totals_, total)) return false;
  settled_at_ = 0;
  return true;
}

bool SharedCounter::add_observed(const Total& total) {
  if (!raise(observed_, total)) return false;
  settled_at_ = 0;
  return true;
}

const Total* SharedCounter::observed_of(Actor actor) const {
  return find(observed_, actor);
}

bool SharedCounter::counts(const Total& total, const Cut& cut) const {
  if (total.stamp < cut.totals) return false;
  const Total* seen = observed_of(total.actor);
  return seen == nullptr || is_later(total, *seen);
}

Total SharedCounter::add(Actor actor, Stamp stamp, Amount amount, bool has_generations) {
  Total next{actor, stamp, stamp, amount};
  if (!has_generations) next.generation = actor_rack(actor);
  const Total* own = find(totals_, actor);
  if (own != nullptr && (counts(*own, {}) || !has_generations)) {
    next.generation = own->generation;
    next.sum = own->sum + amount;
  }
  add_total(next);
  return next;
}

void SharedCounter::observe_older(Stamp stamp) {
  for (const Total& total : totals_) {
    if (total.stamp < stamp) raise(observed_, total);
  }
  settled_at_ = 0;
}

void SharedCounter::forget(const Cut& cut) {
  if (base_.stamp < cut.base) base_ = {};
  std::erase_if(totals_, [&](const Total& total) { return total.stamp < cut.totals; });
  std::erase_if(observed_, [&](const Total& total) {
    return total.stamp < cut.totals && find(totals_, total.actor) == nullptr;
  });
  settled_at_ = 0;
}

bool SharedCounter::has_unobserved(const Cut& cut) const {
  return std::any_of(totals_.begin(), totals_.end(),
                     [&](const Total& total) { return counts(total, cut); });
}

// The floating parts are added to the base's in the order of the actors, so that every replica gets
// the same bits.
Amount SharedCounter::unobserved(const Cut& cut, long double base_part) const {
  Amount sum{0, base_part};
  for (const Total& total : totals_) {
    if (!counts(total, cut)) continue;
    const Total* seen = observed_of(total.actor);
    bool same_generation = seen != nullptr && seen->generation == total.generation;
    sum = sum + (same_generation ? total.sum - seen->sum : total.sum);
  }
  return sum;
}

std::string SharedCounter::text(const Cut& cut) const {
  bool based = has_base(cut);
  if (based && !has_unobserved(cut)) return base_.text;
  Amount sum;
  if (auto whole = based ? parse_int64(base_.text) : 0) {
    sum = unobserved(cut, 0) + Amount{.whole = *whole};
    if (sum.part == 0) return format_whole(sum.whole);
  } else if (auto part = parse_long_double(base_.text)) {
    sum = unobserved(cut, *part);
  } else {
    return base_.text;
  }
  return format_long_double(static_cast<long double>(sum.whole) + sum.part);
}

double SharedCounter::score(const Cut& cut) const {
  bool based = has_base(cut);
  if (based && !has_unobserved(cut)) return base_.score;
  Amount sum = unobserved(cut, based ? static_cast<long double>(base_.score) : 0);
  auto score = static_cast<double>(static_cast<long double>(sum.whole) + sum.part);
  return std::isnan(score) ? 0 : score;
}

Stamp SharedCounter::latest() const {
  Stamp latest = base_.stamp;
  for (const Total& total : totals_) latest = std::max(latest, total.stamp);
  for (const Total& total : observed_) latest = std::max(latest, total.stamp);
  return latest;
}

bool SharedCounter::collect(const Cut& cut, Stamp horizon, Stamp now) {
  if (has_unobserved(cut) || latest() > horizon) {
    settled_at_ = 0;
    return false;
  }
  if (settled_at_ == 0) settled_at_ = now;
  if (horizon < settled_at_) return false;
  totals_.clear();
  observed_.clear();
  settled_at_ = 0;
  return true;
}

}  // namespace dyno
