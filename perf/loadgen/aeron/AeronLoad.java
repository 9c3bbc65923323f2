import io.aeron.Aeron;
import io.aeron.ExclusivePublication;
import io.aeron.FragmentAssembler;
import io.aeron.Publication;
import io.aeron.Subscription;
import io.aeron.archive.client.AeronArchive;
import io.aeron.archive.status.RecordingPos;
import io.aeron.logbuffer.FragmentHandler;
import java.io.IOException;
import java.io.PrintWriter;
import java.lang.management.ManagementFactory;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BooleanSupplier;
import java.util.function.LongConsumer;
import org.agrona.DirectBuffer;
import org.agrona.concurrent.UnsafeBuffer;
import org.agrona.concurrent.status.CountersReader;

/**
 * The load of millrace-loadgen on Aeron, whose own client is Java: the same workload, loop, checks,
 * flags and JSON as perf/loadgen/run_load.cc and load_report.cc, in one file that needs no build.
 *
 * <p>A JVM compiles what runs often while it runs, so the warm-up is longer by COMPILE_NS.
 */
public final class AeronLoad {
  static final long SECOND_NS = 1_000_000_000L;
  static final long COMPILE_NS = 3 * SECOND_NS;
  static final long DRAIN_NS = 30 * SECOND_NS;
  static final long CONNECT_NS = 20 * SECOND_NS;
  static final int IN_FLIGHT_MAX = 1 << 20; // a power of two
  static final int OFFERS_PER_POLL = 256;
  static final int FRAGMENTS_PER_POLL = 1024;
  static final int STAMP_BYTES = 16; // number, due_ns; little endian
  static final double TARGET_SHARE = 0.99;
  static final String IPC_ACROSS = "aeron-ipc-across"; // a thread sends, another receives
  static final int EXIT_FAILED = 1;
  static final int EXIT_USAGE = 2;

  public static void main(final String[] words) {
    try {
      final Options options = Options.read(words);
      try (Driver driver = makeDriver(options)) {
        final Load load = new Load(options, driver);
        load.run();
        new Report(options, load).write();
      }
    } catch (final IllegalArgumentException problem) {
      fail(problem, EXIT_USAGE);
    } catch (final Exception problem) {
      fail(problem, EXIT_FAILED);
    }
  }

  private static void fail(final Exception problem, final int code) {
    System.err.println("AeronLoad: " + problem.getMessage());
    System.exit(code);
  }

  private static Driver makeDriver(final Options options) throws IOException {
    switch (options.driver) {
      case "null":
        return new NullDriver(options.consumes);
      case "aeron-ipc":
      case IPC_ACROSS:
        return new AeronDriver(options, "aeron:ipc?", false);
      case "aeron-udp":
        return new AeronDriver(options, "aeron:udp?endpoint=127.0.0.1:" + freePort() + "|", false);
      case "aeron-archive":
        return new AeronDriver(options, "aeron:ipc?", true);
      default:
        throw new IllegalArgumentException("no driver '" + options.driver + "'; there are null, "
            + "aeron-ipc, " + IPC_ACROSS + ", aeron-udp, aeron-archive");
    }
  }

  private static int freePort() throws IOException {
    try (DatagramSocket one = new DatagramSocket(0, InetAddress.getByName("127.0.0.1"))) {
      return one.getLocalPort();
    }
  }
}

/** What the command line asks for. */
final class Options {
  String driver = "";
  String address = "";
  int payloadBytes = 100;
  int partitions = 1;
  long rate = 0; // 0: closed loop
  int window = 1024;
  boolean consumes = true;
  long warmUpNs = AeronLoad.SECOND_NS;
  long measuredNs = 5 * AeronLoad.SECOND_NS;
  String hgrmPrefix = "";

  static Options read(final String[] words) {
    final Options options = new Options();
    for (int i = 0; i < words.length; ++i) {
      if (words[i].equals("--publish-only")) {
        options.consumes = false;
      } else if (i + 1 < words.length) {
        options.set(words[i], words[++i]);
      } else {
        throw new IllegalArgumentException(words[i] + " is not known, or wants a value");
      }
    }
    return options;
  }

  private void set(final String flag, final String value) {
    switch (flag) {
      case "--driver":
        driver = value;
        break;
      case "--address":
        address = value;
        break;
      case "--size":
        payloadBytes = Math.max(Integer.parseInt(value), AeronLoad.STAMP_BYTES);
        break;
      case "--partitions":
        partitions = Integer.parseInt(value);
        break;
      case "--rate":
        rate = Long.parseLong(value);
        break;
      case "--window":
        window = Integer.parseInt(value);
        break;
      case "--warm-up":
        warmUpNs = (long) (Double.parseDouble(value) * AeronLoad.SECOND_NS);
        break;
      case "--seconds":
        measuredNs = (long) (Double.parseDouble(value) * AeronLoad.SECOND_NS);
        break;
      case "--hgrm":
        hgrmPrefix = value;
        break;
      default:
        throw new IllegalArgumentException("no flag " + flag);
    }
  }
}

/** As in perf/loadgen/drivers/driver.h; what is made is prepared. */
interface Driver extends AutoCloseable {
  boolean offer(long number, UnsafeBuffer payload);

  /** On the thread that offers. */
  void pollAcknowledged(LongConsumer acknowledged);

  /** On one thread, of that one's choice. */
  void pollDelivered(Deliveries to);

  boolean acknowledges();

  boolean yields();

  @Override
  void close();
}

/** Answers at once: this program's own limit. */
final class NullDriver implements Driver {
  private final UnsafeBuffer stamps =
      new UnsafeBuffer(new byte[AeronLoad.IN_FLIGHT_MAX * AeronLoad.STAMP_BYTES]);
  private final boolean delivers;
  private long offered = 0;
  private long answered = 0;
  private long delivered = 0;

  NullDriver(final boolean delivers) {
    this.delivers = delivers;
  }

  private int at(final long number) {
    return (int) (number & (AeronLoad.IN_FLIGHT_MAX - 1)) * AeronLoad.STAMP_BYTES;
  }

  @Override
  public boolean offer(final long number, final UnsafeBuffer payload) {
    stamps.putBytes(at(number), payload, 0, AeronLoad.STAMP_BYTES);
    ++offered;
    return true;
  }

  @Override
  public void pollAcknowledged(final LongConsumer acknowledged) {
    for (; answered < offered; ++answered) acknowledged.accept(answered);
  }

  @Override
  public void pollDelivered(final Deliveries to) {
    for (; delivers && delivered < offered; ++delivered) {
      to.add(0, stamps, at(delivered), AeronLoad.STAMP_BYTES);
    }
  }

  @Override
  public boolean acknowledges() {
    return true;
  }

  @Override
  public boolean yields() {
    return false;
  }

  @Override
  public void close() {}
}

/**
 * One stream for each partition, published and subscribed to over one channel, and recorded if
 * asked: then a message is acknowledged once the recording's position, which follows the archive's
 * write and its flush, is past it. Subscribers are live and do not wait for the recording.
 */
final class AeronDriver implements Driver {
  private static final int FIRST_STREAM = 1001;
  // Each end of a stream has three terms; those of a thousand have to fit into memory, too.
  private static final int TERM_BYTES_MIN = 64 << 10;
  private static final int TERM_BYTES_MAX = 16 << 20;
  private static final int TERMS_BYTES = 128 << 20;

  private final Aeron aeron;
  private final AeronArchive archive; // null: nothing is recorded
  private final ExclusivePublication[] publications;
  private final Subscription[] subscriptions;
  private final FragmentHandler[] handlers;
  private final int[] recordings; // ids of the counters of their positions
  private final long[] positions = new long[AeronLoad.IN_FLIGHT_MAX]; // after each message
  private final boolean yields;
  private long offered = 0;
  private long acknowledged = 0;
  private Deliveries deliveries;

  AeronDriver(final Options options, final String address, final boolean isRecorded) {
    if (!isRecorded && !options.consumes) {
      throw new IllegalArgumentException(
          "nothing answers for what is published, so it cannot be measured alone");
    }
    final String channel = address + "term-length=" + termBytes(options.partitions);
    // Two threads that spin and the media driver are one too many for two processors.
    yields = !options.driver.equals("aeron-ipc");
    aeron = Aeron.connect(new Aeron.Context().aeronDirectoryName(options.address));
    archive = isRecorded ? connectArchive() : null;
    publications = new ExclusivePublication[options.partitions];
    subscriptions = new Subscription[options.consumes ? options.partitions : 0];
    handlers = new FragmentHandler[subscriptions.length];
    recordings = new int[isRecorded ? options.partitions : 0];
    for (int i = 0; i < subscriptions.length; ++i) {
      final int source = i;
      subscriptions[i] = aeron.addSubscription(channel, FIRST_STREAM + i);
      handlers[i] = new FragmentAssembler((buffer, offset, bytes, header) ->
          deliveries.add(source, buffer, offset, bytes));
    }
    for (int i = 0; i < publications.length; ++i) {
      publications[i] = isRecorded
          ? archive.addRecordedExclusivePublication(channel, FIRST_STREAM + i)
          : aeron.addExclusivePublication(channel, FIRST_STREAM + i);
      if (isRecorded) recordings[i] = recordingOf(publications[i]);
    }
    for (final ExclusivePublication one : publications) waitUntil(one::isConnected);
    for (final Subscription one : subscriptions) waitUntil(one::isConnected);
  }

  private static int termBytes(final int streams) {
    final int share = Integer.highestOneBit(TERMS_BYTES / streams);
    return Math.max(TERM_BYTES_MIN, Math.min(share, TERM_BYTES_MAX));
  }

  private AeronArchive connectArchive() {
    return AeronArchive.connect(new AeronArchive.Context()
        .aeron(aeron)
        .ownsAeronClient(false)
        .controlRequestChannel(AeronArchive.Configuration.localControlChannel())
        .controlRequestStreamId(AeronArchive.Configuration.localControlStreamId())
        .controlResponseChannel("aeron:ipc"));
  }

  private int recordingOf(final ExclusivePublication publication) {
    final CountersReader counters = aeron.countersReader();
    final int session = publication.sessionId();
    final long id = archive.archiveId();
    waitUntil(() -> RecordingPos.findCounterIdBySession(counters, session, id)
        != CountersReader.NULL_COUNTER_ID);
    return RecordingPos.findCounterIdBySession(counters, session, id);
  }

  private static void waitUntil(final BooleanSupplier isDone) {
    final long giveUpNs = System.nanoTime() + AeronLoad.CONNECT_NS;
    while (!isDone.getAsBoolean()) {
      if (System.nanoTime() > giveUpNs) throw new IllegalStateException("streams do not connect");
      Thread.yield();
    }
  }

  @Override
  public boolean offer(final long number, final UnsafeBuffer payload) {
    final ExclusivePublication publication = publications[(int) (number % publications.length)];
    final long position = publication.offer(payload, 0, payload.capacity());
    if (position >= 0) {
      positions[(int) (number & (AeronLoad.IN_FLIGHT_MAX - 1))] = position;
      ++offered;
      return true;
    }
    if (position != Publication.BACK_PRESSURED && position != Publication.ADMIN_ACTION) {
      throw new IllegalStateException("offer: " + Publication.errorString(position));
    }
    return false;
  }

  @Override
  public void pollDelivered(final Deliveries to) {
    deliveries = to;
    for (int i = 0; i < subscriptions.length; ++i) {
      subscriptions[i].poll(handlers[i], AeronLoad.FRAGMENTS_PER_POLL);
    }
  }

  // In the order of their numbers, whatever their stream.
  @Override
  public void pollAcknowledged(final LongConsumer to) {
    if (archive == null) return;
    final CountersReader counters = aeron.countersReader();
    for (; acknowledged < offered; ++acknowledged) {
      final int recording = recordings[(int) (acknowledged % recordings.length)];
      final long recorded = counters.getCounterValue(recording);
      if (recorded < positions[(int) (acknowledged & (AeronLoad.IN_FLIGHT_MAX - 1))]) return;
      to.accept(acknowledged);
    }
  }

  @Override
  public boolean acknowledges() {
    return archive != null;
  }

  @Override
  public boolean yields() {
    return yields;
  }

  // What was recorded is no use to anybody.
  @Override
  public void close() {
    for (int i = 0; i < recordings.length; ++i) {
      final long recording = RecordingPos.getRecordingId(aeron.countersReader(), recordings[i]);
      final int counter = recordings[i];
      archive.stopRecording(publications[i]);
      waitUntil(() -> !RecordingPos.isActive(aeron.countersReader(), counter, recording));
      archive.purgeRecording(recording);
    }
    if (archive != null) archive.close();
    aeron.close();
  }
}

/** As dataplane/base/histogram.h: log-linear, 32 sub-buckets an octave. */
final class Histogram {
  static final int SUB_BUCKET_BITS = 5;
  static final int SUB_BUCKETS = 1 << SUB_BUCKET_BITS;
  static final int BUCKET_COUNT = (64 - SUB_BUCKET_BITS + 1) * SUB_BUCKETS;

  final long[] counts = new long[BUCKET_COUNT];
  long count = 0;
  long max = 0;
  private long sum = 0;
  private long min = Long.MAX_VALUE;

  void record(final long value) {
    ++counts[bucketOf(value)];
    ++count;
    sum += value;
    max = Math.max(max, value);
    min = Math.min(min, value);
  }

  long min() {
    return count == 0 ? 0 : min;
  }

  double mean() {
    return count == 0 ? 0 : (double) sum / count;
  }

  long quantile(final double share) {
    final long rank = Math.max(1, (long) (share * count + 0.999999));
    long seen = 0;
    for (int i = 0; i < BUCKET_COUNT; ++i) {
      seen += counts[i];
      if (seen >= rank) return highestIn(i);
    }
    return max;
  }

  static int bucketOf(final long value) {
    if (value < SUB_BUCKETS) return (int) value;
    final int octave = 64 - Long.numberOfLeadingZeros(value) - SUB_BUCKET_BITS; // from 1
    return octave * SUB_BUCKETS + ((int) (value >>> (octave - 1)) & (SUB_BUCKETS - 1));
  }

  // Never over max.
  long highestIn(final int bucket) {
    if (bucket < SUB_BUCKETS) return Math.min(bucket, max);
    final int octave = bucket / SUB_BUCKETS;
    final long lowest = (long) (SUB_BUCKETS + bucket % SUB_BUCKETS) << (octave - 1);
    return Math.min(lowest + ((1L << (octave - 1)) - 1), max);
  }
}

/** As perf/loadgen/delivery_check.h: whether each message came once, and in order. */
final class DeliveryCheck {
  private long[] seen = new long[1 << 16]; // bits
  private final long[] next; // by source
  long delivered = 0;
  long duplicated = 0;
  long reordered = 0;

  DeliveryCheck(final int sources) {
    next = new long[sources];
  }

  boolean add(final int source, final long number) {
    final int word = (int) (number >>> 6);
    if (word >= seen.length) seen = Arrays.copyOf(seen, Math.max(word + 1, 2 * seen.length));
    final long bit = 1L << (number & 63);
    if ((seen[word] & bit) != 0) {
      ++duplicated;
      return false;
    }
    seen[word] |= bit;
    ++delivered;
    if (number < next[source]) ++reordered;
    next[source] = Math.max(next[source], number + 1);
    return true;
  }
}

/** What became of messages, and when: what of them was measured is by when they were due. */
final class Deliveries {
  final Histogram ns = new Histogram();
  final DeliveryCheck check;
  long measured = 0;
  long foreign = 0;

  private final AtomicLong delivered = new AtomicLong(); // for the thread that sends
  private final Clock clock;

  Deliveries(final int sources, final Span span, final boolean isAcross) {
    check = new DeliveryCheck(sources);
    clock = new Clock(span, isAcross);
  }

  /** Whether the driver had something. */
  boolean poll(final Driver driver) {
    clock.startTurn();
    driver.pollDelivered(this);
    if (clock.events != 0) delivered.lazySet(check.delivered);
    return clock.events != 0;
  }

  long delivered() {
    return delivered.get();
  }

  void add(final int source, final DirectBuffer buffer, final int offset, final int bytes) {
    final long now = clock.nowNs();
    final long number = bytes < AeronLoad.STAMP_BYTES ? -1
        : buffer.getLong(offset, ByteOrder.LITTLE_ENDIAN);
    final long due = number < 0 ? 0 : buffer.getLong(offset + 8, ByteOrder.LITTLE_ENDIAN);
    if (number < 0 || due < clock.span.startNs) {
      ++foreign;
      return;
    }
    if (!check.add(source, number)) return;
    if (clock.span.isMeasured(due)) ns.record(Math.max(0, now - due));
    if (clock.span.isMeasured(now)) ++measured;
  }
}

/** From when until when is measured. */
final class Span {
  final long startNs = System.nanoTime();
  final long fromNs;
  final long toNs;

  Span(final Options options) {
    fromNs = startNs + AeronLoad.COMPILE_NS + options.warmUpNs;
    toNs = fromNs + options.measuredNs;
  }

  boolean isMeasured(final long ns) {
    return ns >= fromNs && ns < toNs;
  }
}

/**
 * Of a thread's turns: read once in each, when something is there; each time where more may come
 * from another thread meanwhile.
 */
final class Clock {
  final Span span;
  long events = 0;
  private final boolean isReadEachTime;
  private long seenNs = 0;

  Clock(final Span span, final boolean isReadEachTime) {
    this.span = span;
    this.isReadEachTime = isReadEachTime;
  }

  void startTurn() {
    events = 0;
    seenNs = 0;
  }

  long nowNs() {
    ++events;
    if (seenNs == 0 || isReadEachTime) seenNs = System.nanoTime();
    return seenNs;
  }
}

/** As perf/loadgen/run_load.cc, which says what each thing means. */
final class Load {
  final Histogram acknowledgedNs = new Histogram();
  Deliveries deliveries;
  long measuredSent = 0;
  long measuredAcknowledged = 0;
  long sent = 0;
  double cpuSeconds = 0;
  double runSeconds = 0;

  private final Options options;
  private final Driver driver;
  private final UnsafeBuffer payload;
  private final long[] dueNs = new long[AeronLoad.IN_FLIGHT_MAX];
  private final long inFlightMax;
  private final boolean isAcross;
  private final LongConsumer onAcknowledged = this::acknowledged;
  private volatile boolean isOver = false;
  private RuntimeException receiverFailure; // read when its thread has ended
  private long acknowledged = 0;
  private Span span;
  private Clock clock;

  Load(final Options options, final Driver driver) {
    this.options = options;
    this.driver = driver;
    isAcross = options.driver.equals(AeronLoad.IPC_ACROSS);
    payload = new UnsafeBuffer(ByteBuffer.allocateDirect(options.payloadBytes));
    payload.setMemory(0, options.payloadBytes, (byte) 'm');
    inFlightMax = options.rate == 0 ? Math.min(options.window, AeronLoad.IN_FLIGHT_MAX)
        : AeronLoad.IN_FLIGHT_MAX;
  }

  void run() throws InterruptedException {
    final double cpuBefore = cpuSecondsSoFar();
    span = new Span(options);
    clock = new Clock(span, false);
    deliveries = new Deliveries(options.partitions, span, isAcross);
    final Thread receiver = new Thread(this::receive);
    if (isAcross) receiver.start();
    try {
      while (System.nanoTime() < span.toNs && !isOver) turn(true);
      final long giveUpNs = System.nanoTime() + AeronLoad.DRAIN_NS;
      while (inFlight() != 0 && System.nanoTime() < giveUpNs && !isOver) turn(false);
    } finally {
      isOver = true;
      if (isAcross) receiver.join();
    }
    if (receiverFailure != null) throw receiverFailure;
    cpuSeconds = cpuSecondsSoFar() - cpuBefore;
    runSeconds = (double) (System.nanoTime() - span.startNs) / AeronLoad.SECOND_NS;
  }

  long unacknowledged() {
    return driver.acknowledges() ? sent - acknowledged : 0;
  }

  private static double cpuSecondsSoFar() {
    final var system = (com.sun.management.OperatingSystemMXBean)
        ManagementFactory.getOperatingSystemMXBean();
    return (double) system.getProcessCpuTime() / AeronLoad.SECOND_NS;
  }

  private void receive() {
    try {
      while (!isOver) {
        if (!deliveries.poll(driver) && driver.yields()) Thread.yield();
      }
    } catch (final RuntimeException problem) {
      receiverFailure = problem;
      isOver = true;
    }
  }

  private void turn(final boolean sends) {
    if (sends) offerSome();
    clock.startTurn();
    driver.pollAcknowledged(onAcknowledged);
    final boolean received = !isAcross && deliveries.poll(driver);
    if (clock.events == 0 && !received && driver.yields()) Thread.yield();
  }

  private void offerSome() {
    final long now = System.nanoTime();
    for (int i = 0; i < AeronLoad.OFFERS_PER_POLL && inFlight() < inFlightMax; ++i) {
      final long due = options.rate == 0 ? now : dueAtNs(sent);
      if (due > now || due >= span.toNs) return;
      payload.putLong(0, sent, ByteOrder.LITTLE_ENDIAN);
      payload.putLong(8, due, ByteOrder.LITTLE_ENDIAN);
      if (!driver.offer(sent, payload)) return;
      dueNs[(int) (sent & (dueNs.length - 1))] = due;
      ++sent;
      if (span.isMeasured(now)) ++measuredSent;
    }
  }

  private long inFlight() {
    long done = sent;
    if (driver.acknowledges()) done = Math.min(done, acknowledged);
    if (options.consumes) done = Math.min(done, deliveries.delivered());
    return sent - done;
  }

  private long dueAtNs(final long number) {
    return span.startNs + (long) ((double) number * AeronLoad.SECOND_NS / options.rate);
  }

  private void acknowledged(final long number) {
    final long now = clock.nowNs();
    final long due = dueNs[(int) (number & (dueNs.length - 1))];
    ++acknowledged;
    if (span.isMeasured(due)) acknowledgedNs.record(Math.max(0, now - due));
    if (span.isMeasured(now)) ++measuredAcknowledged;
  }
}

/** As perf/loadgen/load_report.cc. */
final class Report {
  private final Options options;
  private final Load load;

  Report(final Options options, final Load load) {
    this.options = options;
    this.load = load;
  }

  void write() throws IOException {
    if (!options.hgrmPrefix.isEmpty()) {
      writeHgrm("acknowledged", load.acknowledgedNs);
      writeHgrm("delivered", load.deliveries.ns);
    }
    System.out.println("{" + workload() + "," + rates() + "," + checks()
        + ",\"acknowledged\":" + latency(load.acknowledgedNs)
        + ",\"delivered\":" + latency(load.deliveries.ns) + "}");
  }

  private String workload() {
    return format("\"driver\":\"%s\",\"workload\":{\"payload_bytes\":%d,\"partitions\":%d,"
        + "\"rate_per_s\":%d,\"window\":%s,\"consumes\":%b,\"measured_ns\":%d}",
        options.driver, options.payloadBytes, options.partitions, options.rate,
        options.rate == 0 ? Integer.toString(options.window) : "null", options.consumes,
        options.measuredNs);
  }

  private String rates() {
    final long due = options.rate == 0 ? load.measuredSent
        : (long) ((double) options.rate * options.measuredNs / AeronLoad.SECOND_NS);
    final boolean reached =
        options.rate == 0 || load.measuredSent >= AeronLoad.TARGET_SHARE * due;
    return format("\"reached_target\":%b,\"sent_per_s\":%f,\"acknowledged_per_s\":%f,"
        + "\"delivered_per_s\":%f", reached, perSecond(load.measuredSent),
        perSecond(load.measuredAcknowledged), perSecond(load.deliveries.measured));
  }

  private String checks() {
    return format("\"unacknowledged\":%d,\"lost\":%d,\"duplicated\":%d,\"reordered\":%d,"
        + "\"foreign\":%d,\"client_cpu_s\":%f,\"client_run_s\":%f",
        load.unacknowledged(),
        options.consumes ? load.sent - load.deliveries.check.delivered : 0, load.deliveries.check.duplicated,
        load.deliveries.check.reordered, load.deliveries.foreign, load.cpuSeconds, load.runSeconds);
  }

  private String latency(final Histogram histogram) {
    if (histogram.count == 0) return "null";
    final StringBuilder buckets = new StringBuilder();
    for (int i = 0; i < Histogram.BUCKET_COUNT; ++i) {
      if (histogram.counts[i] == 0) continue;
      if (buckets.length() != 0) buckets.append(',');
      buckets.append('[').append(histogram.highestIn(i)).append(',').append(histogram.counts[i])
          .append(']');
    }
    return format("{\"count\":%d,\"min_ns\":%d,\"mean_ns\":%f,\"p50_ns\":%d,\"p90_ns\":%d,"
        + "\"p99_ns\":%d,\"p999_ns\":%d,\"p9999_ns\":%d,\"max_ns\":%d,\"buckets\":[%s]}",
        histogram.count, histogram.min(), histogram.mean(), histogram.quantile(0.5),
        histogram.quantile(0.9), histogram.quantile(0.99), histogram.quantile(0.999),
        histogram.quantile(0.9999), histogram.max, buckets);
  }

  private void writeHgrm(final String name, final Histogram histogram) throws IOException {
    if (histogram.count == 0) return;
    try (PrintWriter out = new PrintWriter(options.hgrmPrefix + "-" + name + ".hgrm")) {
      out.print(format("%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
          "1/(1-Percentile)"));
      long reached = 0;
      double squares = 0;
      for (int i = 0; i < Histogram.BUCKET_COUNT; ++i) {
        if (histogram.counts[i] == 0) continue;
        reached += histogram.counts[i];
        final double share = (double) reached / histogram.count;
        final double fromMean = histogram.highestIn(i) - histogram.mean();
        squares += fromMean * fromMean * histogram.counts[i];
        out.print(format("%12.3f %2.12f %10d", histogram.highestIn(i) / 1e3, share, reached));
        out.print(reached == histogram.count ? "\n" : format(" %14.2f\n", 1 / (1 - share)));
      }
      out.print(format("#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", histogram.mean() / 1e3,
          Math.sqrt(squares / histogram.count) / 1e3));
      out.print(format("#[Max     = %12.3f, Total count    = %12d]\n", histogram.max / 1e3,
          histogram.count));
      out.print(format("#[Buckets = %12d, SubBuckets     = %12d]\n",
          Histogram.BUCKET_COUNT / Histogram.SUB_BUCKETS, Histogram.SUB_BUCKETS));
    }
  }

  private double perSecond(final long count) {
    return (double) count * AeronLoad.SECOND_NS / options.measuredNs;
  }

  private static String format(final String pattern, final Object... values) {
    return String.format(Locale.ROOT, pattern, values);
  }
}
