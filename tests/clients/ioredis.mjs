// SPDX-License-Identifier: Apache-2.0
// ioredis, as installed from its package: connect with its ready check, then every kind of use.
// Prints "ok NAME" or "failed NAME: why" for each case. Argument: the port.
import { createRequire } from 'node:module'
import assert from 'node:assert/strict'
import { run, finish } from './cases.mjs'

const require = createRequire(process.env.CLIENT_MODULES + '/')
const { Redis } = require('ioredis')
const port = Number(process.argv[2])
const options = { port, host: '127.0.0.1', maxRetriesPerRequest: 1 }
const redis = new Redis(options)
redis.on('error', (error) => console.log('note: ' + error.message))

await run('connect and ready check', async () => {
  await redis.flushall()
  assert.equal(await redis.ping(), 'PONG')
  assert.equal(redis.status, 'ready')
})
await run('strings', async () => {
  assert.equal(await redis.set('k', 'v', 'EX', 100), 'OK')
  assert.equal(await redis.get('k'), 'v')
  assert.equal(await redis.get('none'), null)
  assert.equal(await redis.incrby('n', 5), 5)
  assert.deepEqual(await redis.mget('k', 'none', 'n'), ['v', null, '5'])
  const bytes = Buffer.from([0, 255, 13, 10])
  await redis.set('bin', bytes)
  assert.deepEqual(await redis.getBuffer('bin'), bytes)
  assert.equal(await redis.ttl('k'), 100)
})
await run('hashes', async () => {
  await redis.hset('h', { a: 1, b: 'two' })
  assert.deepEqual(await redis.hgetall('h'), { a: '1', b: 'two' })
  assert.deepEqual(await redis.hgetall('none'), {})
  assert.equal(await redis.hincrbyfloat('h', 'a', 1.5), '2.5')
})
await run('lists, sets, sorted sets', async () => {
  await redis.rpush('l', 1, 2, 3)
  assert.deepEqual(await redis.lrange('l', 0, -1), ['1', '2', '3'])
  await redis.sadd('s', 'a', 'b')
  assert.deepEqual((await redis.smembers('s')).sort(), ['a', 'b'])
  await redis.zadd('z', 1, 'a', 2.5, 'b')
  const scores = (await redis.zrange('z', 0, -1, 'WITHSCORES')).flat().map(String)
  assert.deepEqual(scores, ['a', '1', 'b', '2.5'])
  assert.equal(Number(await redis.zscore('z', 'b')), 2.5)
})
await run('pipeline', async () => {
  const pipeline = redis.pipeline()
  for (let i = 0; i < 1000; i++) pipeline.set('p' + i, i).get('p' + i)
  const results = await pipeline.exec()
  assert.equal(results.length, 2000)
  assert.deepEqual(results[1999], [null, '999'])
})
await run('multi and watch', async () => {
  assert.deepEqual(await redis.multi().set('m', 1).incr('m').exec(), [[null, 'OK'], [null, 2]])
  const other = new Redis(options)
  await redis.watch('m')
  await other.set('m', 'changed')
  assert.equal(await redis.multi().set('m', 'mine').exec(), null)
  other.disconnect()
})
await run('an error is an error', async () => {
  await assert.rejects(redis.lpush('k', 'x'), /WRONGTYPE/)
  await assert.rejects(redis.call('NOSUCH', 'x'), /unknown command/)
})
await run('blocking', async () => {
  const other = new Redis(options)
  const waiting = other.blpop('queue', 5)
  await redis.rpush('queue', 'job')
  assert.deepEqual(await waiting, ['queue', 'job'])
  assert.equal(await other.blpop('queue', 0.05), null)
  other.disconnect()
})
await run('scan stream', async () => {
  const keys = new Set()
  for await (const part of redis.scanStream({ match: 'p*', count: 100 })) {
    part.forEach((key) => keys.add(key))
  }
  assert.equal(keys.size, 1000)
})
await run('info', async () => {
  assert.match(await redis.info(), /redis_version:\d+\.\d+\.\d+/)
})
await run('auto pipelining', async () => {
  const auto = new Redis({ ...options, enableAutoPipelining: true, db: 3, connectionName: 'auto' })
  await Promise.all(Array.from({ length: 200 }, (_, i) => auto.set('a' + i, i)))
  assert.equal(await auto.dbsize(), 200)
  assert.equal(await auto.client('GETNAME'), 'auto')
  auto.disconnect()
})
redis.disconnect()
finish()
