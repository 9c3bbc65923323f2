// The one place where Shard is compiled for the running broker.
#include "dataplane/core/seams.h"
#include "dataplane/shard/shard_apply.h"

template class millrace::shard::Shard<millrace::storage::Log, millrace::core::EventOutbox>;
