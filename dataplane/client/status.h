// Status: from the node's words to the C ABI's, and to people's.
#pragma once

#include "dataplane/client/millrace.h"
#include "dataplane/protocol/native/codec.h"

namespace millrace::client {

mr_status to_status(native::Status status);

}  // namespace millrace::client
