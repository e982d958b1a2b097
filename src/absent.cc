#include "engine/command.h"
#include "engine/value.h"
#include "src/server.h"
namespace dyno {
#define W(n) __attribute__((weak)) extern const std::span<const CommandSpec> n{};
W(kHashCommands) W(kHashExpiryCommands) W(kListCommands) W(kSetCommands) W(kZSetCommands) W(kZSetAlgebraCommands) W(kHyperLogLogCommands) W(kGeoCommands) W(kSortCommands) W(kDumpCommands)
W(kClientCommands) W(kServerCommands) W(kConfigCommands) W(kInfoCommands) W(kCommandCommands) W(kSlowLogCommands) W(kLatencyCommands) W(kMemoryCommands) W(kDebugCommands)
__attribute__((weak)) extern const ValueOps kListOps{}; __attribute__((weak)) extern const ValueOps kSetOps{}; __attribute__((weak)) extern const ValueOps kZSetOps{}; __attribute__((weak)) extern const ValueOps kHashOps{};
class Key;
__attribute__((weak)) int64_t expire_fields(Key&, int64_t) { return -1; }
__attribute__((weak)) int64_t next_field_deadline(const Entry*) { return -1; }
}
