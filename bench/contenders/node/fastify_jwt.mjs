// Fastify with @fastify/jwt, HS256. With the argument `cache` its verifier keeps the tokens it has verified.
// @fastify/jwt, readme, "Usage" and "verify".
import { ISSUER, bearer, claims, hello, host, port, ready, secret, users } from './contender.mjs'
import Fastify from 'fastify'
import fastifyJwt from '@fastify/jwt'

const verify = { algorithms: ['HS256'], allowedIss: ISSUER }
// `true` means 1000 tokens. More users than that need more, or each new token pushes out one that is still in use.
if (process.argv[2] === 'cache') verify.cache = users.length > 1000 ? users.length : true

const fastify = Fastify()
await fastify.register(fastifyJwt, { secret: secret(), verify })

fastify.decorate('authenticate', async function (request, reply) {
  try {
    await request.jwtVerify()
  } catch (err) {
    reply.send(err)
  }
})

fastify.get('/', { onRequest: [fastify.authenticate] }, async function (request, reply) {
  return hello
})

await fastify.listen({ port, host })
ready(users.map((user) => bearer(fastify.jwt.sign(claims(user)))), 'fastify', '@fastify/jwt', 'fast-jwt')
