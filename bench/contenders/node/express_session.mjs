// Express with express-session and connect-redis.
// connect-redis, readme, "Full setup"; express-session, readme, "User login".
import { find, hello, host, logins, port, ready, redisUrl, secret } from './contender.mjs'
import express from 'express'
import session from 'express-session'
import { RedisStore } from 'connect-redis'
import { createClient } from 'redis'

const redisClient = createClient({ url: redisUrl })
redisClient.on('error', console.error)
await redisClient.connect()

const app = express()

app.set('trust proxy', 1) // trust first proxy
app.use(session({
  store: new RedisStore({ client: redisClient, prefix: 'myapp:' }),
  resave: false, // required: force lightweight session keep alive (touch)
  saveUninitialized: false, // recommended: only save session when data exists
  secret: secret(),
  cookie: { secure: 'auto' }, // the loopback has no TLS
}))

function isAuthenticated (req, res, next) {
  if (req.session.user) next()
  else res.sendStatus(401)
}

app.get('/', isAuthenticated, (req, res) => {
  res.json(hello)
})

app.post('/login', express.json(), (req, res, next) => {
  const user = find(req.body.name)
  if (!user) return res.sendStatus(401)
  // Regenerate the session, which is good practice to help guard against forms of session fixation.
  req.session.regenerate((err) => {
    if (err) return next(err)
    req.session.user = { id: user.id, roles: user.roles, auth_time: Math.floor(Date.now() / 1000) }
    req.session.save((err) => {
      if (err) return next(err)
      res.sendStatus(204)
    })
  })
})

app.listen(port, host, async () => {
  ready(await logins(), 'express', 'express-session', 'connect-redis', 'redis')
})
