#include "engine/command.h"
#include "src/server.h"
namespace dyno {
#define W(n) __attribute__((weak)) extern const std::span<const CommandSpec> n{};
W(kDumpCommands)
}
