// SPDX-License-Identifier: Apache-2.0
// The help texts: an overview and one screen per topic.
#include <string>

#include "bench/options.h"
#include "bench/test_catalog.h"

namespace dyno::bench {

namespace {

constexpr std::string_view kOverview =
    R"(dyno-bench: load, latency and correctness of Redis-compatible servers

  dyno-bench [options]           run a load and report
  dyno-bench compare [options]   the same load against several servers in turn

  dyno-bench -c 50 -P 32 -d 32 -r 1M --duration 10s --load
  dyno-bench -t set,get -n 1M                    as redis-benchmark
  dyno-bench --rate 50k --arrivals poisson       open loop: honest latencies
  dyno-bench --staircase 1k                      find the knee
  dyno-bench --ycsb a --load --report out.html
  dyno-bench --verify -e 127.0.0.1:7001 -e 127.0.0.1:7002 --duration 30s

Topics, each one screen:  dyno-bench --help TOPIC
  connection   where to, how, who            keys      which keys, how large values
  load         clients, loops, schedules     verify    checking what is read
  workload     what is sent                  output    reports and files
  tests        the names that -t takes       compare   several servers
Exit code: 0 fine, 1 verification failed, 2 impossible settings, 3 the server failed.
)";

constexpr std::string_view kConnection = R"(Connection
  -h, --host HOST         127.0.0.1            -p, --port PORT     6379
  -s, --socket PATH       a unix socket
  -e, --endpoint WHERE    HOST:PORT or unix:PATH, then ,dc=NAME ,rack=NAME; repeat it for several.
                          Clients are spread over them; each has its own row in the reports
      --no-failover       a client whose connection breaks tries the same endpoint again,
                          not the next one
  -a, --pass PASSWORD     AUTH; with --user NAME of an ACL user
      --db N              SELECT N
  -3, --resp3             HELLO 3
      --read-level L, --write-level L   CLIENT CONSISTENCY of a Dyno ring: dc_one, dc_quorum …
      --tls               with --cacert FILE --cert FILE --key FILE --sni NAME; --insecure
                          accepts any certificate
      --timeout TIME      5s: a request without an answer for so long breaks its connection
)";

constexpr std::string_view kLoad = R"(Load
  -c, --clients N         50 connections       -P, --pipeline N    1
      --threads N         1
  -n, --requests N        until so many        --duration TIME     10s, measured part
      --warmup TIME       a tenth of the duration, at most 1s; not counted
Closed loop (no --rate): every client sends its pipeline, waits for the replies, goes on.
Open loop: requests are due at set times whatever the server does; latency counts from then.
      --rate R            requests per second of all clients: 50000, 50k, 1.5M
      --arrivals KIND     fixed (even spacing) or poisson
      --staircase R       from R upwards: doubles until a step does not hold, then closes in
      --step TIME         5s per step
      --knee-p99 TIME     a step holds if 99 % of the rate is answered and p99 is within this
                          (ten times the first step's p99, at least 1 ms)
      --on-error WHAT     continue (count it) or stop
      --at TIME:COMMAND   send a command at that time of the run, on a connection of its own
      --at TIME:exec:SH   run a shell command then (kill a node …); marked in the reports
      --seed N            1: the same keys and values in every run
)";

constexpr std::string_view kWorkload = R"(Workload: one of
      --ratio SET:GET     1:9, the default
  -t, --test NAMES        named tests, one after the other (--help tests)
      --ycsb LETTER       a … f on hashes of ten fields (zipf keys; d: latest)
      --command "CMD"     arbitrary, repeatable, each with --weight W behind it. Placeholders:
        __key__  prefix and 12 digits, each drawn anew     __data__  a value
        __id__ the digits of the first key                 __number__ 1000000000 + it
        __group__ its collection, __member__ its place there (--group)
        __rand_int__ 12 digits drawn anew                  __int__ nine random digits
        __ttl__ seconds drawn from --expire                __deadline__ unix ms, --deadline
Loading, apart from the run:
      --load              fill first: once for each of --records N (the keyspace)
      --load-only         and stop there
      --load-command CMD  what to fill with; repeatable
      --prepare CMD       sent once before everything, such as FLUSHALL; repeatable
)";

constexpr std::string_view kKeys = R"(Keys and values
  -r, --keyspace N        1M key numbers       --key-prefix TEXT   key:
      --dist KIND         uniform
                          zipf[:S]             S 0.99; exact; hot keys are scattered
                          hotspot[:K[:R]]      a share K (0.2) of the keys gets R (0.8)
                          sequential
                          latest[:S]           zipf over age, newest hottest
      --group N           elements per collection for __group__ and __member__
  -d, --size SIZE         32; a range 10-1000; or weighted 32:70,100-500:20,64000:10
      --random-data       another value each time, not the same bytes
      --expire S[-S]      SET … EX with seconds drawn from the range
      --deadline TIME     what __deadline__ is, counted from the beginning of the load
)";

constexpr std::string_view kVerify = R"(Verify: every value can be recognised, every read is checked
      --verify            strings, hash fields, set and sorted set members, counters, lists are
                          written, read and deleted; at the end all are read back from every
                          endpoint. Loss, resurrection, corruption, wrong counters and endpoints
                          that disagree are counted and listed, and the exit code is 1.
      --verify-types T    string,hash,set,zset,counter,list (all)
      --verify-deletes S  0.05 of the writes are deletes
      --verify-settle T   wait before reading back: let a ring converge
      --allow-stale       stale reads during the run are shown, not failed (weak levels)
      --allow-down        an endpoint that cannot be read back is shown, not failed
  -r, --keyspace N        10k cells            --ratio W:R         1:1
A write answered with an error, or lost with its connection, may or may not have happened; both
are accepted. Keys carry the number of the run, so old data does not disturb.
)";

constexpr std::string_view kOutput = R"(Output
      --progress STYLE    auto: a bar on a terminal, else a line per second; bar, lines, none
  -q, --quiet             one line of result
      --json FILE         everything, documented and stable; - is standard output
      --histograms        with all buckets, so that results merge without loss
      --csv FILE          one row per second, written as it happens
      --hgrm FILE         latency distribution in HdrHistogram's text format, in ms
      --report FILE       one HTML page with curves; opens without a network
      --server-pid PIDS   CPU per request and resident memory of processes on this machine
      --no-info           do not ask the server for INFO before and after
      --version
Latencies are kept with a relative error of at most 0.1 %.
)";

constexpr std::string_view kCompare =
    R"(Compare: dyno-bench compare --target T --target T … [load options]
      --target NAME=WHERE[=COMMAND LINE]
                          WHERE as --endpoint. With a command line the server is started, waited
                          for until it answers PING, measured (CPU, memory) and stopped
      --rounds N          5; targets take turns within a round, in alternating order
      --restart           start the servers anew for every round
      --load-rounds       load again before every round
      --memory ELEMENTS   bytes of resident memory per element: loads once, measures growth
      --json FILE         all rounds, medians and ratios
Every round's figures are divided by those of the first target in the same round, so that a
machine that drifts does not count; medians of these ratios are shown.
)";

std::string tests_text() {
  std::string text =
      "Tests for -t. Those of redis-benchmark send exactly its commands; the others use many\n"
      "collections of ten or a hundred elements. Give --load to fill what they read.\n";
  std::string_view family;
  size_t column = 0;
  for (const std::string_view wanted : {"server", "string", "key", "hash", "list", "set", "zset"}) {
    for (const TestRow& row : test_catalog()) {
      if (row.family != wanted) continue;
      if (row.family != family || column + row.name.size() > 92) {
        std::string head = row.family == family ? "" : std::string(row.family);
        head.resize(8, ' ');
        text += "\n  " + head;
        column = 10;
        family = row.family;
      }
      text += " " + std::string(row.name);
      column += row.name.size() + 1;
    }
  }
  return text + "\n";
}

}  // namespace

std::string help_text(std::string_view topic) {
  if (topic == "-") return std::string(kOverview);
  if (topic == "connection") return std::string(kConnection);
  if (topic == "load") return std::string(kLoad);
  if (topic == "workload") return std::string(kWorkload);
  if (topic == "keys") return std::string(kKeys);
  if (topic == "verify") return std::string(kVerify);
  if (topic == "output") return std::string(kOutput);
  if (topic == "compare") return std::string(kCompare);
  if (topic == "tests") return tests_text();
  return {};
}

}  // namespace dyno::bench
