// Fastify without authentication: the ceiling of what stands on it.
// Fastify, Guides, "Getting started".
import { hello, host, port, ready } from './contender.mjs'
import Fastify from 'fastify'

const fastify = Fastify()

fastify.get('/', async function handler (request, reply) {
  return hello
})

await fastify.listen({ port, host })
ready([], 'fastify')
