// SPDX-License-Identifier: Apache-2.0
//
// All command families of the engine, for tests that take any command.
#pragma once

#include <span>

#include "engine/command.h"

namespace dyno {

inline const std::span<const CommandSpec> kEngineFamilies[] = {
    kStringCommands,      kBitmapCommands,      kLcsCommands,     kHashCommands,
    kHashExpiryCommands,  kListCommands,        kSetCommands,     kZSetCommands,
    kZSetRangeCommands,   kZSetAlgebraCommands, kZSetPopCommands, kGeoCommands,
    kHyperLogLogCommands, kGenericCommands,     kExpiryCommands,  kScanCommands,
    kTransactionCommands, kSortCommands,        kDumpCommands,
};

}  // namespace dyno
