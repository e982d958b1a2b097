# SPDX-License-Identifier: Apache-2.0
"""Templates of random commands, one text per family (the syntax is in command_grammar.py)."""

FAMILIES = {}

FAMILIES["string"] = r"""
6* SET <k> <v>
3* SET <k> <v> [EX <ttl> | PX <pttl> | EXAT <at> | PXAT <pat> | KEEPTTL] [NX | XX] [GET]
SET <k> <v> [NX] [XX] [EX <ttl>] [PX <pttl>] [KEEPTTL]
4* GET <k>
GETSET <k> <v>
GETDEL <k>
GETEX <k> [EX <ttl> | PX <pttl> | EXAT <at> | PXAT <pat> | PERSIST]
SETNX <k> <v>
SETEX <k> <ttl> <v>
PSETEX <k> <pttl> <v>
MSET {<k> <v>}
MSETNX {<k> <v>}
MSET {<k> <v>} <k>
MGET {<k>}
3* APPEND <k> <v>
STRLEN <k>
2* SETRANGE <k> <off> <v>
2* GETRANGE <k> <i> <i>
SUBSTR <k> <i> <i>
3* INCR <k>
2* DECR <k>
3* INCRBY <k> <incr>
2* DECRBY <k> <incr>
3* INCRBYFLOAT <k> <f>
LCS <k> <k> [LEN] [IDX] [MINMATCHLEN <i>] [WITHMATCHLEN]
SET <k> (ohmytext | mynewtext | abcdefabc | xaybzc)
SET <k> (0.1 | 1.5 | 10 | 3.0e3 | 1e17 | inf)
"""

FAMILIES["bitmap"] = r"""
4* SETBIT <k> <bitoff> <bit>
2* GETBIT <k> <bitoff>
2* BITCOUNT <k>
3* BITCOUNT <k> <i> <i> [BYTE | BIT]
BITCOUNT <k> <i>
3* BITPOS <k> <bit> [<i> [<i> [BYTE | BIT]]]
2* BITOP (AND | OR | XOR) <k> {<k>}
BITOP NOT <k> <k>
BITOP (NOT | FOO) <k> <k> [<k>]
2* BITFIELD <k> {GET <bftype> <bfoff>}
3* BITFIELD <k> {SET <bftype> <bfoff> <bfval>}
3* BITFIELD <k> {[OVERFLOW (WRAP | SAT | FAIL | foo)] INCRBY <bftype> <bfoff> <bfval>}
BITFIELD <k> GET <bftype> <bfoff> SET <bftype> <bfoff> <bfval> INCRBY <bftype> <bfoff> <bfval>
BITFIELD_RO <k> {GET <bftype> <bfoff>}
BITFIELD_RO <k> SET u8 0 1
BITFIELD <k>
SET <k> (foobar | <v>)
GET <k>
STRLEN <k>
"""

FAMILIES["hash"] = r"""
6* HSET <k> {<field> <v>}
2* HSET <k> <m> <v>
HSET <k> <field>
HMSET <k> {<field> <v>}
HSETNX <k> <field> <v>
3* HGET <k> <field>
2* HMGET <k> {<field>}
HGETALL <k> ~ pairs
HKEYS <k> ~ unordered
HVALS <k> ~ unordered
HLEN <k>
HSTRLEN <k> <field>
HEXISTS <k> <field>
3* HDEL <k> {<field>}
3* HINCRBY <k> <field> <incr>
3* HINCRBYFLOAT <k> <field> <f>
HRANDFIELD <k> <rndcnt> ~ random:HGETALL
HRANDFIELD <k> <rndcnt> WITHVALUES ~ random:HGETALL
HRANDFIELD <k> ~ random:HGETALL
HRANDFIELD <k> <rndcnt> foo
HSCAN <k> 0 COUNT <all> ~ scanpairs
HSCAN <k> 0 MATCH (f1* | * | [fm]?) COUNT <all> ~ scanpairs
HSCAN <k> <scancur> [COUNT <cnt>]
HSCAN <k> 0 COUNT (0 | -1 | abc)
HSET <k> <pairs>
2* HSET <k> <longpair>
DEL <k>
"""

FAMILIES["list"] = r"""
5* LPUSH <k> {<e>}
5* RPUSH <k> {<e>}
LPUSHX <k> {<e>}
RPUSHX <k> {<e>}
2* RPUSH <k> <elements>
LPUSH <k> <elements>
3* LPOP <k> [<cnt>]
3* RPOP <k> [<cnt>]
LLEN <k>
3* LINDEX <k> <i>
2* LSET <k> <i> <e>
3* LRANGE <k> <i> <i>
LRANGE <k> 0 -1
2* LTRIM <k> <i> <i>
2* LREM <k> <i> <e>
2* LINSERT <k> (BEFORE | AFTER | FOO) <e> <e>
2* LPOS <k> <e> [RANK <i>] [COUNT <limcnt>] [MAXLEN <limcnt>]
2* LMOVE <k> <k> (LEFT | RIGHT | up) (LEFT | RIGHT)
RPOPLPUSH <k> <k>
LMPOP <nkeys> <k> (LEFT | RIGHT) [COUNT <cnt>]
LMPOP 2 <k> <k> (LEFT | RIGHT) [COUNT <cnt>]
BLPOP <k> <bltime>
BRPOP <k> <k> <bltime>
BLMOVE <k> <k> LEFT RIGHT <bltime>
BRPOPLPUSH <k> <k> <bltime>
BLMPOP <bltime> 2 <k> <k> LEFT [COUNT <cnt>]
DEL <k>
"""

FAMILIES["set"] = r"""
5* SADD <k> {<m>}
2* SADD <k> {<num>}
SADD <k> <ints>
SADD <k> <members>
4* SREM <k> {<m>}
SREM <k> {<num>}
SREM <k> <ints>
SMEMBERS <k> ~ unordered
SISMEMBER <k> <m>
SMISMEMBER <k> {<m>}
SCARD <k>
SMOVE <k> <k> <m>
SINTER {<k>} ~ unordered
SUNION {<k>} ~ unordered
SDIFF {<k>} ~ unordered
SINTERSTORE <k> {<k>}
SUNIONSTORE <k> {<k>}
SDIFFSTORE <k> {<k>}
2* SINTERCARD <nkeys> {<k>} [LIMIT <limcnt>]
SINTERCARD 2 <k> <k> [LIMIT <limcnt>]
SRANDMEMBER <k> <rndcnt> ~ random:SMEMBERS
SRANDMEMBER <k> ~ random:SMEMBERS
SPOP <k> <cnt> ~ spop
SPOP <k> ~ spop
SSCAN <k> 0 COUNT <all> ~ scan
SSCAN <k> 0 MATCH <pattern> COUNT <all> ~ scan
SSCAN <k> <scancur> [COUNT <cnt>]
DEL <k>
"""

FAMILIES["zset"] = r"""
6* ZADD <k> {<score> <m>}
3* ZADD <k> [NX | XX] [GT | LT] [CH] [INCR] {<score> <m>}
ZADD <k> [XX] [CH] INCR <score> <m>
ZADD <k> <scored>
3* ZINCRBY <k> <score> <m>
2* ZREM <k> {<m>}
ZSCORE <k> <m>
ZMSCORE <k> {<m>}
ZCARD <k>
2* ZCOUNT <k> <zmin> <zmin>
2* ZLEXCOUNT <k> <lex> <lex> ~ lex:1
ZRANK <k> <m>
ZREVRANK <k> <m>
2* ZRANGE <k> <i> <i> [REV] [WITHSCORES]
ZRANGE <k> 0 -1 WITHSCORES
2* ZRANGE <k> <zmin> <zmin> BYSCORE [REV] [LIMIT <limoff> <limcnt>] [WITHSCORES]
2* ZRANGE <k> <lex> <lex> BYLEX [REV] [LIMIT <limoff> <limcnt>] ~ lex:1
ZRANGE <k> <i> <i> [BYSCORE] [LIMIT <limoff> <limcnt>] [WITHSCORES]
ZRANGE <k> <lex> <lex> BYLEX BYSCORE WITHSCORES
ZREVRANGE <k> <i> <i> [WITHSCORES]
2* ZRANGEBYSCORE <k> <zmin> <zmin> [WITHSCORES] [LIMIT <limoff> <limcnt>]
ZREVRANGEBYSCORE <k> <zmin> <zmin> [WITHSCORES] [LIMIT <limoff> <limcnt>]
ZRANGEBYLEX <k> <lex> <lex> [LIMIT <limoff> <limcnt>] ~ lex:1
ZREVRANGEBYLEX <k> <lex> <lex> [LIMIT <limoff> <limcnt>] ~ lex:1
ZRANGESTORE <k> <k> <si> <si> [REV]
ZRANGESTORE <k> <k> <zmin> <zmin> BYSCORE [REV] [LIMIT <limoff> <limcnt>]
ZRANGESTORE <k> <k> <lex> <lex> BYLEX [LIMIT <limoff> <limcnt>] ~ lex:2
ZREMRANGEBYRANK <k> <i> <i>
ZREMRANGEBYSCORE <k> <zmin> <zmin>
ZREMRANGEBYLEX <k> <lex> <lex> ~ lex:1
2* ZPOPMIN <k> [<cnt>]
2* ZPOPMAX <k> [<cnt>]
ZMPOP 2 <k> <k> (MIN | MAX | mid) [COUNT <cnt>]
ZMPOP <nkeys> <k> MIN [COUNT <cnt>]
BZPOPMIN <k> <bltime>
BZPOPMAX <k> <k> <bltime>
BZMPOP <bltime> 1 <k> MIN [COUNT <cnt>]
2* ZUNION 2 <k> <k> [WEIGHTS <w> <w>] [AGGREGATE (SUM | MIN | MAX | avg)] [WITHSCORES]
2* ZINTER 2 <k> <k> [WEIGHTS <w> <w>] [AGGREGATE (SUM | MIN | MAX)] [WITHSCORES]
ZDIFF 2 <k> <k> [WITHSCORES]
ZUNIONSTORE <k> 2 <k> <k> [WEIGHTS <w> <w>] [AGGREGATE (SUM | MIN | MAX)]
ZINTERSTORE <k> 2 <k> <k> [WEIGHTS <w> <w>] [AGGREGATE (SUM | MIN | MAX)]
ZDIFFSTORE <k> 2 <k> <k>
ZUNIONSTORE <k> <nkeys> <k> <k> [WEIGHTS {<w>}]
ZINTERCARD <nkeys> {<k>} [LIMIT <limcnt>]
ZINTERCARD 2 <k> <k> [LIMIT <limcnt>]
ZRANDMEMBER <k> <rndcnt> ~ random:ZRANGE
ZRANDMEMBER <k> <rndcnt> WITHSCORES ~ random:ZRANGE
ZRANDMEMBER <k> ~ random:ZRANGE
ZSCAN <k> 0 COUNT <all> ~ scanpairs
ZSCAN <k> 0 MATCH <pattern> COUNT <all> ~ scanpairs
ZSCAN <k> <scancur> [COUNT <cnt>]
DEL <k>
"""

FAMILIES["hyperloglog"] = r"""
6* PFADD <k> {<hll>}
PFADD <k>
2* PFADD <k> <hlls>
4* PFCOUNT <k>
2* PFCOUNT {<k>}
2* PFMERGE <k> {<k>}
PFMERGE <k>
GET <k>
STRLEN <k>
SET <k> (HYLL | foo | <v>)
SETRANGE <k> (4 | 5 | 8) <si>
DEL <k>
EXPIRE <k> <ttl>
PERSIST <k>
TYPE <k>
OBJECT ENCODING <k> ~ encoding
"""

FAMILIES["geo"] = r"""
6* GEOADD <k> {<lon> <lat> <member>}
2* GEOADD <k> [NX | XX] [CH] <lon> <lat> <member>
2* GEOPOS <k> {<member>}
GEOPOS <k>
3* GEODIST <k> <member> <member> [<unit>]
2* GEOHASH <k> {<member>}
3* GEOSEARCH <k> FROMMEMBER <member> BYRADIUS <radius> <unit> (ASC | DESC) [COUNT <cnt>] \
    [WITHCOORD] [WITHDIST] [WITHHASH] ~ geo
3* GEOSEARCH <k> FROMLONLAT <lon> <lat> BYBOX <radius> <radius> <unit> [ASC | DESC] [WITHCOORD] \
    [WITHDIST] [WITHHASH] ~ geo
GEOSEARCH <k> [FROMLONLAT <lon> <lat>] [FROMMEMBER <member>] [BYBOX <radius> <radius> <unit>] \
    [BYRADIUS <radius> <unit>] ~ geo
GEOSEARCHSTORE <k> <k> FROMMEMBER <member> BYRADIUS <radius> <unit> [ASC | DESC] \
    [STOREDIST]
GEORADIUS <k> <lon> <lat> <radius> <unit> [WITHDIST] [WITHCOORD] [WITHHASH] [COUNT <cnt>] [ASC \
    | DESC] ~ geo
GEORADIUS_RO <k> <lon> <lat> <radius> <unit> [WITHDIST] [ASC | DESC] ~ geo
GEORADIUSBYMEMBER <k> <member> <radius> <unit> [WITHDIST] [ASC | DESC] ~ geo
GEORADIUSBYMEMBER_RO <k> <member> <radius> <unit> [COUNT <cnt>] ~ geo
GEORADIUS <k> <lon> <lat> <radius> <unit> (STORE | STOREDIST) <k>
GEORADIUSBYMEMBER <k> <member> <radius> <unit> [WITHDIST] STORE <k>
ZRANGE <k> 0 -1
ZREM <k> <member>
DEL <k>
"""

FAMILIES["generic"] = r"""
3* DEL {<K>}
UNLINK {<K>}
2* EXISTS {<K>}
TOUCH {<K>}
2* TYPE <K>
4* EXPIRE <K> <ttl> [NX | XX]
EXPIRE <K> <ttl> NX (XX | GT | LT)
EXPIRE <K> (0 | -1 | abc) (GT | LT)
2* PEXPIRE <K> <pttl> [NX | XX]
EXPIREAT <K> <at> [NX | XX | GT | LT]
PEXPIREAT <K> <pat> [NX | XX | GT | LT]
2* PERSIST <K>
TTL <K> ~ ttl
PTTL <K> ~ pttl
EXPIRETIME <K> ~ ttl
PEXPIRETIME <K> ~ pttl
2* RENAME <K> <K>
2* RENAMENX <K> <K>
2* COPY <K> <K> [REPLACE]
COPY <K> <K> DB <db> [REPLACE]
MOVE <K> <db>
KEYS <pattern> ~ unordered
SCAN 0 COUNT <all> ~ scan
SCAN 0 MATCH <pattern> COUNT <all> ~ scan
SCAN 0 COUNT <all> TYPE <type> ~ scan
SCAN <scancur> [COUNT <cnt>]
SCAN 0 (COUNT | MATCH | TYPE | FOO)
SCAN 0 COUNT (0 | -1 | abc)
RANDOMKEY ~ random:KEYS
2* OBJECT ENCODING <K> ~ encoding
OBJECT (FREQ | FOO) <K>
OBJECT ENCODING
2* SORT <K> [DESC | ASC] [LIMIT <limoff> <limcnt>]
SORT <K> [ASC] [ALPHA] ~ sort
SORT <K> BY <sortby> [ALPHA] [GET <sortget>] ~ sort
SORT <K> BY nosort [DESC] LIMIT <limoff> <limcnt> ~ shape
SORT <K> [ALPHA] {GET <sortget>} ~ sort
SORT <K> [DESC] STORE <K>
SORT_RO <K> [DESC] [LIMIT <limoff> <limcnt>]
SORT_RO <K> ALPHA ~ sort
SORT_RO <K> STORE x
ECHO <v>
PING [<v>]
SELECT (16 | -1 | abc | 2147483648)
WAIT 0 0
FOOBAR <v> <v>
<odd> <v>
SWAPDB (0 | 17 | a) (0 | -1 | b)
DUMP nokey
RESTORE <K> 0 garbage
"""
