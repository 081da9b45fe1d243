// What one verification of a token costs in Node: each library, and the signature check alone.
//
//   node first_sight.mjs [--seconds N]
//
// prints one JSON document: {"versions": {…}, "microseconds": {algorithm: {way: [one figure a slice, …]}}}, in
// microseconds of processor time. All ways take turns in slices of about a millisecond, so that whatever else the
// machine does falls on all of them. N, 8 unless told, is for everything, from the start of the process.
import { claims, secret, users, versions, ISSUER } from './contender.mjs'
import * as crypto from 'node:crypto'
import { promisify, parseArgs } from 'node:util'
import { createVerifier } from 'fast-jwt'
import { jwtVerify } from 'jose'
import jwt from 'jsonwebtoken'

const SLICE_MILLISECONDS = 1
const WARM_UP_MILLISECONDS = 25
// A starved machine may take longer than it was given rather than say nothing.
const FEWEST_SLICES = 5
// More than one, so that nothing can be remembered of the last; few enough to stay in the processor's caches.
const TOKENS = 64
const AT_ONCE = 16
const generateKeyPair = promisify(crypto.generateKeyPair)

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

function tokensOf (algorithm, sign) {
  return users.slice(0, TOKENS).map((user) => {
    const input = `${encode({ alg: algorithm, typ: 'JWT' })}.${encode(claims(user))}`
    return `${input}.${sign(Buffer.from(input)).toString('base64url')}`
  })
}

// A way verifies one token and says, at once or by a promise, whether it is good; it may throw instead.
function withLibraries (algorithm, keys) {
  const ways = {}
  const options = { algorithms: [algorithm], issuer: ISSUER }
  if (keys.text) ways['jsonwebtoken string'] = (token) => jwt.verify(token, keys.text, options)
  // jsonwebtoken knows no EdDSA.
  if (algorithm !== 'EdDSA') ways['jsonwebtoken key object'] = (token) => jwt.verify(token, keys.object, options)
  ways['fast-jwt'] = createVerifier({ key: keys.pem, algorithms: [algorithm], allowedIss: ISSUER })
  ways.jose = (token) => jwtVerify(token, keys.web, options)
  return ways
}

async function hs256 () {
  const text = secret()
  const object = crypto.createSecretKey(Buffer.from(text))
  const web = await crypto.subtle.importKey('raw', Buffer.from(text), { name: 'HMAC', hash: 'SHA-256' }, false, ['verify'])
  const mac = (message) => crypto.createHmac('sha256', object).update(message).digest()
  return {
    tokens: tokensOf('HS256', mac),
    ways: withLibraries('HS256', { text, object, web, pem: text }),
    primitive: (message, signature) => mac(message).equals(signature),
  }
}

async function asymmetric (algorithm, [type, options], [web, usage], digest, extra = {}) {
  const { privateKey, publicKey } = await generateKeyPair(type, options)
  const pem = publicKey.export({ type: 'spki', format: 'pem' })
  const der = publicKey.export({ type: 'spki', format: 'der' })
  const cryptoKey = await crypto.subtle.importKey('spki', der, web, false, usage)
  const signing = { key: privateKey, ...extra }
  const verifying = { key: publicKey, ...extra }
  return {
    tokens: tokensOf(algorithm, (message) => crypto.sign(digest, message, signing)),
    ways: withLibraries(algorithm, { object: publicKey, web: cryptoKey, pem }),
    primitive: (message, signature) => crypto.verify(digest, message, verifying, signature),
  }
}

const algorithms = {
  HS256: hs256,
  RS256: () => asymmetric('RS256', ['rsa', { modulusLength: 2048 }],
    [{ name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, ['verify']], 'sha256'),
  ES256: () => asymmetric('ES256', ['ec', { namedCurve: 'P-256' }],
    [{ name: 'ECDSA', namedCurve: 'P-256' }, ['verify']], 'sha256', { dsaEncoding: 'ieee-p1363' }),
  EdDSA: () => asymmetric('EdDSA', ['ed25519', {}], [{ name: 'Ed25519' }, ['verify']], null),
}

// A measurement of a way that refuses what is good, or takes what is not, would be worth nothing.
async function check (name, way, good, bad) {
  const accepts = async (token) => {
    try {
      return Boolean(await way(token))
    } catch {
      return false
    }
  }
  if (!await accepts(good)) throw new Error(`${name} refuses a good token`)
  if (await accepts(bad)) throw new Error(`${name} accepts a tampered token`)
}

function tampered (token) {
  const [header, payload, signature] = token.split('.')
  return `${header}.${payload}.${signature[0] === 'A' ? 'B' : 'A'}${signature.slice(1)}`
}

// Each runner makes `calls` verifications; those that wait do so on every call, or on AT_ONCE of them together.
const inTurn = (way, inputs) => (calls) => {
  for (let call = 0; call < calls; call++) way(inputs[call % TOKENS])
}
const waiting = (way, inputs) => async (calls) => {
  for (let call = 0; call < calls; call++) await way(inputs[call % TOKENS])
}
const together = (way, inputs) => async (calls) => {
  for (let call = 0; call < calls; call += AT_ONCE) {
    await Promise.all(inputs.slice(call % TOKENS, call % TOKENS + AT_ONCE).map(way))
  }
}

async function runnersOf (algorithm) {
  const { tokens, ways, primitive } = await algorithms[algorithm]()
  const runners = []
  const add = (name, run) => runners.push({ algorithm, name, run, calls: AT_ONCE, slices: [] })
  for (const [name, way] of Object.entries(ways)) {
    await check(`${name} ${algorithm}`, way, tokens[0], tampered(tokens[0]))
    if (name !== 'jose') {
      add(name, inTurn(way, tokens))
    } else {
      add('jose, one at a time', waiting(way, tokens))
      add(`jose, ${AT_ONCE} at once`, together((token) => way(token), tokens))
    }
  }
  const split = (token) => {
    const [input, signature] = [token.slice(0, token.lastIndexOf('.')), token.slice(token.lastIndexOf('.') + 1)]
    return [Buffer.from(input), Buffer.from(signature, 'base64url')]
  }
  const alone = ([message, signature]) => primitive(message, signature)
  await check(`primitive ${algorithm}`, alone, split(tokens[0]), split(tampered(tokens[0])))
  add('primitive', inTurn(alone, tokens.map(split)))
  return runners
}

// Processor time of the whole process: jose's work is done on other threads, and other processes are not our cost.
async function microseconds (runner) {
  const begin = process.cpuUsage()
  await runner.run(runner.calls)
  const spent = process.cpuUsage(begin)
  return (spent.user + spent.system) / runner.calls
}

// Lets the compiler see each way, and finds how many calls fill a slice.
async function warmUp (runner) {
  const until = performance.now() + WARM_UP_MILLISECONDS
  let cost = await microseconds(runner)
  while (performance.now() < until) cost = Math.min(cost, await microseconds(runner))
  runner.calls = Math.max(1, Math.round(SLICE_MILLISECONDS * 1000 / cost / AT_ONCE)) * AT_ONCE
}

async function main () {
  const { values } = parseArgs({ options: { seconds: { type: 'string', default: '8' } } })
  // performance.now() counts from the start of the process, so what was spent on loading is in the seconds, too.
  const end = Number(values.seconds) * 1000
  const runners = (await Promise.all(Object.keys(algorithms).map(runnersOf))).flat()
  for (const runner of runners) await warmUp(runner)
  let longest = 0
  for (let round = 0; round < FEWEST_SLICES || performance.now() + longest < end; round++) {
    const begin = performance.now()
    for (const runner of runners) runner.slices.push(await microseconds(runner))
    longest = Math.max(longest, performance.now() - begin)
  }
  const measured = Object.fromEntries(Object.keys(algorithms).map((algorithm) => [algorithm, {}]))
  for (const { algorithm, name, slices } of runners) {
    measured[algorithm][name] = slices.map((slice) => Number(slice.toFixed(3)))
  }
  console.log(JSON.stringify({ versions: versions('jsonwebtoken', 'jose', 'fast-jwt'), microseconds: measured }))
}

await main()
