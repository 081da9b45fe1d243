// What every contender needs and no documentation shows: its settings, its users, and word that it is ready.
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { randomBytes, randomUUID } from 'node:crypto'

// Read by the libraries when they are imported, so every contender imports this module first.
process.env.NODE_ENV = 'production'

export const port = Number(process.env.PORT)
export const host = '127.0.0.1'
export const origin = `http://${host}:${port}`
export const redisUrl = process.env.REDIS_URL
export const hello = { hello: 'world', items: [1, 2, 3] }

// A run lasts minutes; nothing may expire under its load.
export const LIFETIME_SECONDS = 12 * 60 * 60
export const ISSUER = 'https://auth.example.com'

export const users = Array.from({ length: Number(process.env.USERS ?? 1000) }, (_, index) => ({
  id: randomUUID(),
  name: `user${index}`,
  email: `user${index}@example.com`,
  roles: ['user', 'admin'],
}))
export const find = (name) => users.find((user) => user.name === name)

// 256 bits, as text because that is how a secret comes out of the environment.
export const secret = () => randomBytes(32).toString('base64url')

// The eight claims of an access token; the libraries add none of their own to them.
export function claims (user) {
  const now = Math.floor(Date.now() / 1000)
  return {
    iss: ISSUER,
    sub: user.id,
    sid: randomBytes(16).toString('base64url'),
    jti: randomBytes(16).toString('base64url'),
    iat: now,
    exp: now + LIFETIME_SECONDS,
    auth_time: now,
    roles: user.roles,
  }
}

export const bearer = (token) => `Authorization: Bearer ${token}`

// What a browser would send back after `response`.
export function cookies (response) {
  const set = response.headers.getSetCookie()
  if (!response.ok || set.length === 0) throw new Error(`login answered ${response.status} with ${set.length} cookies`)
  return `Cookie: ${set.map((cookie) => cookie.split(';', 1)[0]).join('; ')}`
}

// Logs every user in by the application's own `POST /login`, a few at a time.
export async function logins () {
  const headers = []
  for (let first = 0; first < users.length; first += 16) {
    const some = users.slice(first, first + 16).map((user) => fetch(`${origin}/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: user.name }),
    }))
    for (const response of await Promise.all(some)) {
      headers.push(cookies(response))
      await response.arrayBuffer()
    }
  }
  return headers
}

function version (name) {
  return JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version
}

export function versions (...packages) {
  return { node: process.versions.node, ...Object.fromEntries(packages.map((name) => [name, version(name)])) }
}

// Tells whoever started the contender: whole or not at all, so the file is written beside and renamed.
export function ready (headers, ...packages) {
  const said = { pid: process.pid, headers, versions: versions(...packages) }
  writeFileSync(`${process.env.READY}.part`, JSON.stringify(said), { mode: 0o600 })
  renameSync(`${process.env.READY}.part`, process.env.READY)
}
