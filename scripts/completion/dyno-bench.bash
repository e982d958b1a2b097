# SPDX-License-Identifier: Apache-2.0
# Bash completion of dyno-bench: options, the values of those that take a word, tests and help topics.
# Source it, or install it as /usr/share/bash-completion/completions/dyno-bench.

_dyno_bench() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local options="--host --port --socket --endpoint --user --pass --db --resp3 --tls --cacert --cert
    --key --sni --insecure --read-level --write-level --no-failover --timeout --clients --pipeline
    --threads --rate --arrivals --staircase --step --knee-p99 --requests --duration --warmup
    --on-error --seed --at --test --ratio --ycsb --command --weight --size --random-data --expire
    --deadline --keyspace --key-prefix --group --dist --load --load-only --load-command --records
    --prepare --verify --verify-types --verify-deletes --verify-settle --allow-stale --allow-down
    --server-pid --no-info --progress --quiet --json --csv --hgrm --report --histograms --version
    --help"
  local tests="ping_inline ping_mbulk ping set get incr lpush rpush lpop rpop sadd hset spop zadd
    zpopmin lrange_100 lrange_300 lrange_500 lrange_600 mset mget setex setnx getset append strlen
    getrange setrange incrby decr incrbyfloat exists del expire ttl type hset_many hget hmget hgetall
    hincrby hdel hexists hlen hget_big rpush_many lpush_many lpop_many rpop_many lindex lset llen
    lrange_10 sadd_many sismember srem scard smembers srandmember sismember_big zadd_many zscore
    zrank zincrby zrem zcard zrange_10 zrangebyscore zcount zscore_big zrank_big"
  local levels="dc_one dc_quorum dc_safe_quorum dc_each_safe_quorum"
  local choices=""
  case $before in
    -t | --test) choices=$tests ;;
    --arrivals) choices="fixed poisson" ;;
    --on-error) choices="continue stop" ;;
    --progress) choices="auto bar lines none" ;;
    --ycsb) choices="a b c d e f" ;;
    --dist) choices="uniform zipf hotspot sequential latest" ;;
    --verify-types) choices="string hash set zset counter list" ;;
    --read-level | --write-level) choices=$levels ;;
    --help | help) choices="connection load workload tests keys verify output compare" ;;
    -s | --socket | --cacert | --cert | --key | --json | --csv | --hgrm | --report)
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      return
      ;;
    dyno-bench | */dyno-bench) choices="compare $options" ;;
    *)
      choices=$options
      if [[ " ${COMP_WORDS[*]} " == *" compare "* ]]; then
        choices="$choices --target --rounds --restart --load-rounds --memory"
      fi
      ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$word")
}

complete -F _dyno_bench dyno-bench
