"""Credentials on the wire: pure functions and immutable values, no I/O.

`keyring` holds secrets and signing keys, `jwt` makes and reads access tokens, `opaque` the other tokens. The rest is
what these stand on: `encoding`, `algorithms`, `jwk`, `jws`.
"""
