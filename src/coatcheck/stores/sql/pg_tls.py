"""TLS to a PostgreSQL server: with the system's authorities, and what is wrong with it in an operator's words."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ...errors import ConfigurationError
from .pg_link import asyncpg

_HOST_MISMATCH: Final = frozenset((62, 64))
"""OpenSSL, X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""

_BAD_FILES: Final = ("[X509", "[PEM", "PEM lib", "KEY_VALUES_MISMATCH", "BAD_DECRYPT", "BAD_PASSWORD")
"""What OpenSSL says of a file, and of no server."""


def check_files(files: Mapping[str, str]) -> None:
    """Raise `ConfigurationError` unless every file that the URL names can be read. Its text has the option only."""
    for option, path in files.items():
        try:
            with Path(path).open("rb"):
                pass
        except OSError as error:
            raise ConfigurationError(
                f"the file that {option} in the database's URL names cannot be read ({type(error).__name__})"
            ) from None


def public_context(options: Mapping[str, str]) -> ssl.SSLContext:
    """``sslmode=verify-full`` with the authorities that this machine trusts: certificate and name are checked."""
    context = ssl.create_default_context()
    context.minimum_version = _version(options.get("ssl_min_protocol_version"), ssl.TLSVersion.TLSv1_2)
    context.maximum_version = _version(options.get("ssl_max_protocol_version"), ssl.TLSVersion.MAXIMUM_SUPPORTED)
    if ssl.HAS_ALPN:
        context.set_alpn_protocols(["postgresql"])
    if crl := options.get("sslcrl"):
        context.load_verify_locations(cafile=crl)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if certificate := options.get("sslcert"):
        password = options.get("sslpassword", "")
        context.load_cert_chain(certificate, options.get("sslkey"), password=lambda: password)
    return context


def _version(name: str | None, default: ssl.TLSVersion) -> ssl.TLSVersion:
    try:
        return ssl.TLSVersion[name.replace(".", "_")] if name else default
    except KeyError:
        raise ConfigurationError("ssl_min_protocol_version in the database's URL is TLSv1.2 or TLSv1.3") from None


def explain(error: BaseException | None) -> str:
    """What is wrong with TLS, empty when it is something else."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _HOST_MISMATCH:
            return "the database server's certificate is for another name than the URL's"
        return "the database server's certificate does not verify: is sslrootcert in the database's URL the right one?"
    if isinstance(error, ssl.SSLError) and any(sign in str(error) for sign in _BAD_FILES):
        return "a certificate or key that the database's URL names is none, or they do not belong together"
    if isinstance(error, asyncpg.ClientConfigurationError) and "root certificate" in str(error):
        return (
            "sslmode=verify-ca in the database's URL needs sslrootcert, or the file ~/.postgresql/root.crt; "
            "verify-full believes the authorities of this machine"
        )
    if isinstance(error, ConnectionError) and "rejected SSL upgrade" in str(error):
        return "the database server speaks no TLS, and sslmode in the database's URL demands it"
    return ""
