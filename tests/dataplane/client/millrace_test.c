/* The C ABI as a C compiler sees it: it compiles, links and keeps its word on bad calls. */
#include "millrace.h"

#include <stdio.h>
#include <string.h>

static int failures;
#define EXPECT(condition)                                             \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      ++failures;                                                     \
    }                                                                 \
  } while (0)

static void ignore(void* context, const mr_record* record) {
  (void)context;
  (void)record;
}

static void null_handles_are_refused(void) {
  mr_acks acks;
  mr_position position;
  mr_stats stats;
  void* room;
  mr_close(NULL);
  mr_producer_close(NULL);
  EXPECT(mr_unsubscribe(NULL) == MR_OK);
  EXPECT(mr_connection_status(NULL) == MR_INVALID);
  EXPECT(mr_poll(NULL, ignore, NULL, 1) == MR_INVALID);
  EXPECT(mr_wait(NULL, 1) == MR_INVALID);
  EXPECT(mr_get_stats(NULL, &stats) == MR_INVALID);
  EXPECT(mr_offer(NULL, NULL, 0, "v", 1) == MR_INVALID);
  EXPECT(mr_claim(NULL, NULL, 0, 1, &room) == MR_INVALID);
  EXPECT(mr_commit(NULL) == MR_INVALID);
  EXPECT(mr_abort(NULL) == MR_INVALID);
  EXPECT(mr_flush(NULL) == MR_INVALID);
  EXPECT(mr_drain(NULL, 1) == MR_INVALID);
  EXPECT(mr_poll_acks(NULL, &acks) == MR_INVALID);
  EXPECT(mr_next_sequence(NULL) == MR_INVALID);
  EXPECT(mr_producer_retry(NULL) == MR_INVALID);
  EXPECT(mr_subscription_position(NULL, &position) == MR_INVALID);
}

static void bad_options_are_refused_with_a_text(void) {
  mr_options options;
  mr_client* client = (mr_client*)&options;
  char error[200] = "untouched";
  mr_options_init(&options);
  options.address = "127.0.0.1:nowhere";
  EXPECT(mr_connect(&options, &client, error, sizeof error) == MR_BAD_ADDRESS);
  EXPECT(client == NULL);
  EXPECT(strstr(error, "nowhere") != NULL);
  mr_options_init(&options);
  options.packet_buffers = 7;
  EXPECT(mr_connect(&options, &client, error, sizeof error) == MR_INVALID);
  EXPECT(strstr(error, "packet_buffers") != NULL);
  mr_options_init(&options);
  options.silence_timeout_ms = 0;
  EXPECT(mr_connect(&options, &client, NULL, 0) == MR_INVALID);
  EXPECT(mr_connect(NULL, &client, error, 4) == MR_INVALID);
  EXPECT(strlen(error) == 3);
}

static void a_client_of_an_absent_node_works_and_closes(void) {
  mr_options options;
  mr_producer_options producer_options;
  mr_subscription_options subscription_options;
  mr_client* client;
  mr_producer* producer;
  mr_subscription* subscription;
  char error[400];
  mr_options_init(&options);
  options.address = "127.0.0.1:9";
  options.packet_buffers = 16;
  EXPECT(mr_connect(&options, &client, error, sizeof error) == MR_OK);
  if (client == NULL) {
    fprintf(stderr, "%s\n", error);
    return;
  }
  EXPECT(mr_path(client)[0] != '\0');
  mr_producer_options_init(&producer_options);
  EXPECT(mr_producer_open(client, &producer_options, &producer) == MR_INVALID); /* no topic */
  producer_options.topic = "t";
  EXPECT(mr_producer_open(client, &producer_options, &producer) == MR_OK);
  mr_subscription_options_init(&subscription_options);
  subscription_options.topic = "t";
  subscription_options.context = &options;
  EXPECT(mr_subscribe(client, &subscription_options, &subscription) == MR_OK);
  EXPECT(mr_subscription_context(subscription) == &options);
  EXPECT(mr_poll(client, ignore, NULL, 10) == 0);
  EXPECT(mr_poll(client, NULL, NULL, 10) == MR_INVALID);
  EXPECT(mr_connection_status(client) == MR_NOT_CONNECTED);
  EXPECT(mr_offer(producer, NULL, 0, "v", 1) == MR_NOT_CONNECTED);
  EXPECT(mr_offer(producer, NULL, 1, "v", 1) == MR_INVALID);
  EXPECT(mr_drain(producer, 0) == MR_OK); /* nothing was taken */
  mr_close(client);
}

static void every_status_has_a_text(void) {
  EXPECT(strcmp(mr_status_text(MR_OK), "ok") == 0);
  EXPECT(strcmp(mr_status_text(MR_FENCED), mr_status_text(-999)) != 0);
  EXPECT(mr_version()[0] != '\0');
}

int main(void) {
  null_handles_are_refused();
  bad_options_are_refused_with_a_text();
  a_client_of_an_absent_node_works_and_closes();
  every_status_has_a_text();
  return failures == 0 ? 0 : 1;
}
