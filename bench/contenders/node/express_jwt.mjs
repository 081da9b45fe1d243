// Express with jsonwebtoken. The argument is the key: `string` (HS256 with a secret as every guide has it, from the
// environment), `key-object` (HS256) or `rs256` (key objects).
// jsonwebtoken, readme, "jwt.sign" and "jwt.verify".
import { ISSUER, bearer, claims, hello, host, port, ready, secret, users } from './contender.mjs'
import { createSecretKey, generateKeyPairSync } from 'node:crypto'
import express from 'express'
import jwt from 'jsonwebtoken'

const keys = {
  string: () => {
    const key = secret()
    return ['HS256', key, key]
  },
  'key-object': () => {
    const key = createSecretKey(Buffer.from(secret()))
    return ['HS256', key, key]
  },
  rs256: () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    return ['RS256', privateKey, publicKey]
  },
}
const [algorithm, signingKey, verificationKey] = keys[process.argv[2]]()

const app = express()

function authenticateToken (req, res, next) {
  const authHeader = req.headers.authorization
  const token = authHeader && authHeader.split(' ')[1]
  if (token == null) return res.sendStatus(401)
  jwt.verify(token, verificationKey, { algorithms: [algorithm], issuer: ISSUER }, (err, user) => {
    if (err) return res.sendStatus(401)
    req.user = user
    next()
  })
}

app.get('/', authenticateToken, (req, res) => {
  res.json(hello)
})

app.listen(port, host, () => {
  ready(users.map((user) => bearer(jwt.sign(claims(user), signingKey, { algorithm }))), 'express', 'jsonwebtoken')
})
