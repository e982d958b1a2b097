// SPDX-License-Identifier: Apache-2.0
// Runs named cases one after another and prints how each one ended.
let failed = 0
const limit_ms = 15000

export async function run(name, body) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer within 15 s')), limit_ms)
  })
  try {
    await Promise.race([body(), late])
    console.log('ok ' + name)
  } catch (error) {
    failed++
    console.log('failed ' + name + ': ' + String(error.message).replaceAll('\n', ' '))
  }
  clearTimeout(timer)
}

export function finish() {
  process.exit(failed ? 1 : 0)
}
