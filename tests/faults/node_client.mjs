// A client as a Node program would have it: nothing but Node's own fetch and crypto.
import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";

const [base, email, password] = process.argv.slice(2);
const decode = (segment) => JSON.parse(Buffer.from(segment, "base64url").toString("utf8"));
const post = (path, body, token) =>
  fetch(`${base}${path}`, {
    method: "POST",
    headers: {
      ...(body ? { "Content-Type": "application/json" } : {}),
      ...(token ? { Authorization: `Bearer ${token}` } : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
const session = (token) => fetch(`${base}/auth/session`, { headers: { Authorization: `Bearer ${token}` } });

// Verifies as a resource server in another language does: by the published keys alone.
async function verified(token) {
  const { keys } = await (await fetch(`${base}/auth/.well-known/jwks.json`)).json();
  const [header, payload, signature] = token.split(".");
  const { alg, typ, kid } = decode(header);
  assert.equal(alg, "ES256");
  assert.equal(typ, "at+jwt");
  const jwk = keys.find((key) => key.kid === kid);
  assert.ok(jwk, "the key is published");
  assert.equal(jwk.d, undefined, "and only its public half");
  const key = { key: createPublicKey({ key: jwk, format: "jwk" }), dsaEncoding: "ieee-p1363" };
  const check = (text) => verify("sha256", Buffer.from(text), key, Buffer.from(signature, "base64url"));
  assert.ok(check(`${header}.${payload}`));
  assert.ok(!check(`${header}.${payload}x`));
  return decode(payload);
}

const login = await post("/auth/login", { email, password, mode: "jwt" });
assert.equal(login.status, 200);
assert.equal(login.headers.get("set-cookie"), null);
assert.equal(login.headers.get("cache-control"), "no-store");
const first = await login.json();
assert.equal(first.token_type, "Bearer");

const claims = await verified(first.access_token);
assert.equal(claims.sub, first.subject.id);
assert.equal(claims.sid, first.session.id);
assert.equal(claims.exp - claims.iat, first.expires_in);
assert.ok(Math.abs(claims.iat - Date.now() / 1000) < 60);
assert.equal((await session(first.access_token)).status, 200);

const refreshed = await post("/auth/refresh", { refresh_token: first.refresh_token });
assert.equal(refreshed.status, 200);
const second = await refreshed.json();
assert.notEqual(second.refresh_token, first.refresh_token);
assert.equal((await verified(second.access_token)).sid, claims.sid);
assert.equal((await session(second.access_token)).status, 200);

assert.equal((await post("/auth/logout", null, second.access_token)).status, 204);
for (const token of [first.access_token, second.access_token]) {
  const refused = await session(token);
  assert.equal(refused.status, 401);
  assert.match(refused.headers.get("www-authenticate"), /^Bearer/);
  assert.equal((await refused.json()).code, "invalid_credential");
}
for (const token of [first.refresh_token, second.refresh_token]) {
  assert.equal((await post("/auth/refresh", { refresh_token: token })).status, 401);
}
console.log("ok");
