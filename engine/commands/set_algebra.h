// SPDX-License-Identifier: Apache-2.0
//
// Bodies of the commands that combine sets; their rows stand with those of the other set commands.
#pragma once

namespace dyno {

struct Context;

void sinter(Context& context);
void sinterstore(Context& context);
void sintercard(Context& context);
void sunion(Context& context);
void sunionstore(Context& context);
void sdiff(Context& context);
void sdiffstore(Context& context);

}  // namespace dyno
