// Node's own HTTP server and nothing else: the ceiling of every contender here.
// Node.js, API, "HTTP", example of `http.createServer`.
import { hello, host, port, ready } from './contender.mjs'
import { createServer } from 'node:http'

const server = createServer((req, res) => {
  res.writeHead(200, { 'Content-Type': 'application/json' })
  res.end(JSON.stringify(hello))
})

server.listen(port, host, () => ready([]))
