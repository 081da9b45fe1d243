// Express without authentication: the ceiling of what stands on it.
// Express, "Hello world example" and "Production best practices: performance and reliability".
import { hello, host, port, ready } from './contender.mjs'
import express from 'express'

const app = express()

app.get('/', (req, res) => {
  res.json(hello)
})

app.listen(port, host, () => ready([], 'express'))
