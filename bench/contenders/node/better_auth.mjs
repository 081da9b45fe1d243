// better-auth on Express, its sessions in Redis. With the argument `cookie-cache` it reads them from its signed cookie.
// better-auth, "Express integration"; "Database", "Redis storage"; "Session management", "Cookie cache".
import { LIFETIME_SECONDS, cookies, hello, host, origin, port, ready, redisUrl, secret, users } from './contender.mjs'
import express from 'express'
import { betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { hashPassword } from 'better-auth/crypto'
import { fromNodeHeaders, toNodeHandler } from 'better-auth/node'
import { redisStorage } from '@better-auth/redis-storage'
import { Redis } from 'ioredis'

const password = secret()
const hashed = await hashPassword(password)
const now = new Date()

// The accounts, as if all had signed up before. Only a login asks for them, so that they are in memory and not in an
// SQL database is not felt by what is measured: a live session is read from Redis, or from its cookie.
const database = {
  user: users.map(({ id, name, email }) => ({ id, name, email, emailVerified: true, createdAt: now, updatedAt: now })),
  account: users.map(({ id }) => (
    { id, userId: id, accountId: id, providerId: 'credential', password: hashed, createdAt: now, updatedAt: now })),
  session: [],
  verification: [],
}

export const auth = betterAuth({
  baseURL: origin,
  secret: secret(),
  database: memoryAdapter(database),
  secondaryStorage: redisStorage({ client: new Redis(redisUrl) }),
  emailAndPassword: {
    enabled: true,
    // All have one password: a thousand scrypts are not what is measured.
    password: { verify: async (given) => given.hash === hashed && given.password === password },
  },
  session: process.argv[2] === 'cookie-cache'
    // The documentation says five minutes, after which a browser takes a new cookie. The load keeps the one it has.
    ? { cookieCache: { enabled: true, maxAge: LIFETIME_SECONDS } }
    : {},
})

const app = express()

app.all('/api/auth/*splat', toNodeHandler(auth))

app.get('/', async (req, res) => {
  const session = await auth.api.getSession({ headers: fromNodeHeaders(req.headers) })
  if (!session) return res.sendStatus(401)
  res.json(hello)
})

app.listen(port, host, async () => {
  const headers = []
  for (const { email } of users) {
    headers.push(cookies(await auth.api.signInEmail({ body: { email, password }, asResponse: true })))
  }
  ready(headers, 'express', 'better-auth', '@better-auth/redis-storage', 'ioredis')
})
