#include "dataplane/client/status.h"

namespace millrace::client {

mr_status to_status(native::Status status) {
  switch (status) {
    case native::Status::ok:
    case native::Status::duplicate:
      return MR_OK;
    case native::Status::unknown_topic:
    case native::Status::partition_gone:
      return MR_UNKNOWN_TOPIC;
    case native::Status::out_of_order:
      return MR_OUT_OF_ORDER;
    case native::Status::fenced:
      return MR_FENCED;
    case native::Status::corrupt:
      return MR_CORRUPT;
    case native::Status::too_large:
      return MR_TOO_LARGE;
    case native::Status::journal_full:
      return MR_REFUSED_FULL;
    case native::Status::disk_full:
      return MR_DISK_FULL;
    case native::Status::too_many_producers:
    case native::Status::too_many_streams:
      return MR_TOO_MANY_PRODUCERS;
    case native::Status::too_many_subscriptions:
      return MR_TOO_MANY_SUBSCRIPTIONS;
    case native::Status::offset_out_of_range:
      return MR_OUT_OF_RANGE;
    case native::Status::partition_damaged:
      return MR_DAMAGED;
    case native::Status::storage_failed:
      return MR_STORAGE_FAILED;
    case native::Status::not_ready:
      return MR_NOT_READY;
    case native::Status::session_table_full:
      return MR_SERVER_FULL;
    case native::Status::unsupported_version:
      return MR_UNSUPPORTED;
    case native::Status::unknown_session:
    case native::Status::unknown_stream:
    case native::Status::unknown_subscription:
    case native::Status::idle_timeout:
    case native::Status::shutting_down:
      return MR_NOT_CONNECTED;
    case native::Status::unknown_type:
    case native::Status::bad_request:
      return MR_INVALID;
  }
  return MR_INVALID;  // a newer node's code
}

}  // namespace millrace::client

extern "C" const char* mr_status_text(int status) {
  switch (status) {
    case MR_OK:
      return "ok";
    case MR_BACK_PRESSURED:
      return "buffers are full of unacknowledged records: poll and try again";
    case MR_NOT_CONNECTED:
      return "not connected (yet): poll and try again";
    case MR_NOT_READY:
      return "the node is still starting: poll and try again";
    case MR_SERVER_FULL:
      return "the node has no session left: poll and try again";
    case MR_INVALID:
      return "invalid argument or call";
    case MR_TOO_LARGE:
      return "the record does not fit a batch of 1 MiB";
    case MR_BAD_ADDRESS:
      return "the address does not read";
    case MR_TIMED_OUT:
      return "not acknowledged in time";
    case MR_REFUSED_FULL:
      return "the log has no room";
    case MR_DISK_FULL:
      return "the node's disk is nearly full: delete topics or records, or lower retention";
    case MR_UNKNOWN_TOPIC:
      return "no such topic or partition";
    case MR_FENCED:
      return "a newer instance of this producer took over";
    case MR_OUT_OF_ORDER:
      return "the node misses earlier records of this producer";
    case MR_CORRUPT:
      return "a batch arrived damaged";
    case MR_TOO_MANY_PRODUCERS:
      return "the node has too many producers";
    case MR_TOO_MANY_SUBSCRIPTIONS:
      return "the node has too many subscriptions";
    case MR_OUT_OF_RANGE:
      return "the offset is not in the log (any more)";
    case MR_DAMAGED:
      return "the partition is damaged on the node's disk";
    case MR_STORAGE_FAILED:
      return "the node's disk failed";
    case MR_UNSUPPORTED:
      return "not supported by this library";
    case MR_NO_MEMORY:
      return "out of memory";
    case MR_NO_PORT:
      return "the socket or port did not open";
    default:
      return "unknown status";
  }
}
