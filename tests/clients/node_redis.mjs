// SPDX-License-Identifier: Apache-2.0
// node-redis, as installed from its package, with RESP3 and with RESP2.
// Prints "ok NAME" or "failed NAME: why" for each case. Argument: the port.
import { createRequire } from 'node:module'
import assert from 'node:assert/strict'
import { run, finish } from './cases.mjs'

const require = createRequire(process.env.CLIENT_MODULES + '/')
const { createClient } = require('redis')
const url = 'redis://127.0.0.1:' + process.argv[2]

for (const RESP of [3, 2]) {
  const suffix = ' RESP' + RESP
  const client = createClient({ url, RESP, name: 'tester', database: 1 })
  client.on('error', (error) => console.log('note: ' + error.message))
  await run('connect' + suffix, async () => {
    await client.connect()
    await client.flushAll()
    assert.equal(await client.ping(), 'PONG')
    assert.equal(await client.clientGetName(), 'tester')
  })
  await run('strings' + suffix, async () => {
    assert.equal(await client.set('k', 'v', { EX: 100, NX: true }), 'OK')
    assert.equal(await client.set('k', 'v', { NX: true }), null)
    assert.equal(await client.get('k'), 'v')
    assert.equal(await client.incrByFloat('f', 0.5), '0.5')
    assert.deepEqual(await client.mGet(['k', 'none']), ['v', null])
  })
  await run('hashes' + suffix, async () => {
    await client.hSet('h', { a: '1', b: 'two' })
    assert.deepEqual({ ...(await client.hGetAll('h')) }, { a: '1', b: 'two' })
    assert.equal(await client.hGet('h', 'none'), null)
  })
  await run('sets and sorted sets' + suffix, async () => {
    await client.sAdd('s', ['a', 'b'])
    assert.deepEqual([...(await client.sMembers('s'))].sort(), ['a', 'b'])
    await client.zAdd('z', [{ score: 1, value: 'a' }, { score: 2.5, value: 'b' }])
    const expected = [{ value: 'a', score: 1 }, { value: 'b', score: 2.5 }]
    assert.deepEqual((await client.zRangeWithScores('z', 0, -1)).map((x) => ({ ...x })), expected)
    assert.equal(await client.zScore('z', 'b'), 2.5)
    assert.deepEqual({ ...(await client.zPopMin('z')) }, { value: 'a', score: 1 })
  })
  await run('geo' + suffix, async () => {
    await client.geoAdd('g', { longitude: 13.361389, latitude: 38.115556, member: 'Palermo' })
    const at = await client.geoPos('g', 'Palermo')
    assert.equal(Number(at[0].longitude).toFixed(3), '13.361')
  })
  await run('multi' + suffix, async () => {
    const replies = await client.multi().set('m', '1').incr('m').hGetAll('h').exec()
    assert.equal(replies[1], 2)
    assert.deepEqual({ ...replies[2] }, { a: '1', b: 'two' })
  })
  await run('watch' + suffix, async () => {
    const other = await client.duplicate().connect()
    await client.watch('m')
    await other.set('m', 'changed')
    await assert.rejects(client.multi().set('m', 'mine').exec())
    other.destroy()
  })
  await run('blocking' + suffix, async () => {
    const other = await client.duplicate().connect()
    const waiting = other.blPop('queue', 5)
    await client.rPush('queue', 'job')
    assert.deepEqual({ ...(await waiting) }, { key: 'queue', element: 'job' })
    other.destroy()
  })
  await run('many at once' + suffix, async () => {
    await Promise.all(Array.from({ length: 2000 }, (_, i) => client.set('p' + i, String(i))))
    const keys = new Set()
    for await (const part of client.scanIterator({ MATCH: 'p*', COUNT: 100 })) {
      for (const key of [part].flat()) keys.add(key)
    }
    assert.equal(keys.size, 2000)
  })
  await run('errors' + suffix, async () => {
    await assert.rejects(client.lPush('k', 'x'), /WRONGTYPE/)
    await assert.rejects(client.sendCommand(['NOSUCH', 'x']), /unknown command/)
  })
  await run('server' + suffix, async () => {
    assert.match(await client.info(), /redis_version:/)
    assert.equal((await client.configGet('databases')).databases, '16')
    assert.ok((await client.commandCount()) > 150)
    assert.ok(Array.isArray(await client.clientList()))
  })
  client.destroy()
}
finish()
