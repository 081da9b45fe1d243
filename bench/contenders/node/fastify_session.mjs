// Fastify with @fastify/session and connect-redis, one of the express-session stores that it takes.
// @fastify/session, readme, "Usage", "store" and "cookie"; connect-redis, readme, "Full setup".
import { find, hello, host, logins, port, ready, redisUrl, secret } from './contender.mjs'
import Fastify from 'fastify'
import fastifyCookie from '@fastify/cookie'
import fastifySession from '@fastify/session'
import { RedisStore } from 'connect-redis'
import { createClient } from 'redis'

const redisClient = createClient({ url: redisUrl })
redisClient.on('error', console.error)
await redisClient.connect()

const fastify = Fastify({ trustProxy: true })
await fastify.register(fastifyCookie)
await fastify.register(fastifySession, {
  secret: secret(),
  store: new RedisStore({ client: redisClient, prefix: 'myapp:' }),
  saveUninitialized: false, // saves storage space and complies with the EU cookie law
  cookie: { secure: 'auto' }, // the loopback has no TLS
})

fastify.decorate('authenticate', async function (request, reply) {
  if (!request.session.user) return reply.code(401).send({ error: 'Unauthorized' })
})

fastify.get('/', { onRequest: [fastify.authenticate] }, async function (request, reply) {
  return hello
})

fastify.post('/login', async function (request, reply) {
  const user = find(request.body.name)
  if (!user) return reply.code(401).send({ error: 'Unauthorized' })
  await request.session.regenerate()
  request.session.user = { id: user.id, roles: user.roles, auth_time: Math.floor(Date.now() / 1000) }
  return reply.code(204).send()
})

await fastify.listen({ port, host })
ready(await logins(), 'fastify', '@fastify/session', '@fastify/cookie', 'connect-redis', 'redis')
