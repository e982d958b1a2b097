// SPDX-License-Identifier: Apache-2.0
//
// The state of the server as INFO tells it.
#pragma once

#include <string>

#include "engine/session.h"

namespace dyno {

class Server;

// Lines "name:value", in sections; `names` as INFO takes them. Any thread.
[[nodiscard]] std::string info_text(Server& server, Args names);

}  // namespace dyno
