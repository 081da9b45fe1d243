"""Settings: where they come from, what is refused, and what is never shown."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from coatcheck import ConfigurationError, Lifetimes, Mode, Policy
from coatcheck.secret_file import check_private
from coatcheck.service.run import is_loopback
from coatcheck.service.settings import READERS, Settings, load, shown_url

SECRET = "Vb2Kx9Tq7Lm4Wz8R-0123456789abcdef"


def _file(folder: Path, text: str, mode: int = 0o600) -> str:
    path = folder / "coatcheck.toml"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_nothing_given_means_the_defaults() -> None:
    """SQLite beside us, one worker, only this machine, the default policy."""
    settings = load({}, {})
    assert settings == Settings()
    assert (settings.host, settings.port, settings.database) == ("127.0.0.1", 8000, "sqlite:///coatcheck.db")
    assert settings.policy == Policy()


def test_the_command_line_goes_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    """Each source counts only where those before it are silent."""
    config = _file(tmp_path, 'host = "::1"\nport = 1\nworkers = 1\n')
    environ = {"COATCHECK_PORT": "2", "COATCHECK_WORKERS": "2", "COATCHECK_CONFIG": config}
    settings = load({"workers": "3", "host": None}, environ)
    assert (settings.host, settings.port, settings.workers) == ("::1", 2, 3)


def test_every_policy_setting_can_be_given_both_ways(tmp_path: Path) -> None:
    """The file and the environment lead to the same policy."""
    written = """
    [policy]
    modes = ["jwt", "session"]
    issuer = "https://auth.example"
    signing_algorithm = "EdDSA"
    max_staleness = 5
    table_entries = 10
    origins = ["https://app.example"]
    [policy.session]
    idle = 600
    [password]
    profile = "rfc9106-low-memory"
    min_length = 15
    words = ["acme"]
    """
    environ = {
        "COATCHECK_POLICY_MODES": "jwt,session",
        "COATCHECK_POLICY_ISSUER": "https://auth.example",
        "COATCHECK_POLICY_SIGNING_ALGORITHM": "EdDSA",
        "COATCHECK_POLICY_MAX_STALENESS": "5",
        "COATCHECK_POLICY_TABLE_ENTRIES": "10",
        "COATCHECK_POLICY_ORIGINS": "https://app.example",
        "COATCHECK_POLICY_SESSION_IDLE": "600",
        "COATCHECK_PASSWORD_PROFILE": "rfc9106-low-memory",
        "COATCHECK_PASSWORD_MIN_LENGTH": "15",
        "COATCHECK_PASSWORD_WORDS": "acme",
    }
    settings = load({"config": _file(tmp_path, written)}, {})
    assert settings == load({}, environ)
    assert settings.policy.modes == (Mode.JWT, Mode.SESSION)
    assert settings.policy.session == Lifetimes(idle=600.0, absolute=Policy().session.absolute)
    assert settings.password_policy().min_length == 15


def test_every_field_of_the_policy_is_a_setting() -> None:
    """And no two settings have the same variable."""
    for name in Policy.__dataclass_fields__:
        assert any(setting in (name, f"policy.{name}") or setting.startswith(f"policy.{name}.") for setting in READERS)
    assert len({name.replace(".", "_") for name in READERS}) == len(READERS)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("COATCHECK_PROT", "1", "did you mean COATCHECK_PORT?"),
        ("COATCHECK_PORT", "http", "COATCHECK_PORT must be a whole number from 0 to 65535"),
        ("COATCHECK_PORT", "65536", "COATCHECK_PORT must be a whole number"),
        ("COATCHECK_WORKERS", "-1", "COATCHECK_WORKERS must be a whole number"),
        ("COATCHECK_HOST", "", "COATCHECK_HOST must be a text"),
        ("COATCHECK_LOG_LEVEL", "loud", "COATCHECK_LOG_LEVEL must be one of debug, info"),
        ("COATCHECK_TRUSTED_PROXIES", "*", "COATCHECK_TRUSTED_PROXIES must be a list of addresses"),
        ("COATCHECK_PASSWORD_PROFILE", "cheap", "COATCHECK_PASSWORD_PROFILE must be one of owasp"),
        ("COATCHECK_PASSWORD_MIN_LENGTH", "4", "given by COATCHECK_PASSWORD_MIN_LENGTH"),
        ("COATCHECK_POLICY_MODES", "jwt,magic", "COATCHECK_POLICY_MODES must be a list of modes out of session"),
        ("COATCHECK_POLICY_MODES", "", "given by COATCHECK_POLICY_MODES"),
        ("COATCHECK_POLICY_MAX_STALENESS", "0.1", "given by COATCHECK_POLICY_MAX_STALENESS"),
        ("COATCHECK_POLICY_MAX_STALENESS", "nan", "COATCHECK_POLICY_MAX_STALENESS must be a number"),
        ("COATCHECK_POLICY_SESSION_IDLE", "1e9", "given by COATCHECK_POLICY_SESSION_IDLE"),
        ("COATCHECK_POLICY_TABLE_ENTRIES", "0", "COATCHECK_POLICY_TABLE_ENTRIES must be a whole number of at least 1"),
        ("COATCHECK_POLICY_ORIGINS", "app.example", "given by COATCHECK_POLICY_ORIGINS"),
        ("COATCHECK_TLS_KEY", "key.pem", "COATCHECK_TLS_KEY needs a certificate"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(variable: str, value: str, words: str) -> None:
    """The text says which setting it was, where it came from and what it must be."""
    with pytest.raises(ConfigurationError, match=_literally(words)):
        load({}, {variable: value})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1", "prot in "),
        ("port = '80'x", "is not TOML"),
        ("port = true", "port in "),
        ("workers = 1.5", "workers in "),
        ("host = 1", "host in "),
        ("[policy]\nmax_staleness = '2 s'", "policy.max_staleness in "),
        ("[policy]\nmax_staleness = true", "policy.max_staleness in "),
        ("[policy]\nsession = 3", "policy.session in "),
        ("[policy.session]\nidel = 3", "did you mean policy.session.idle?"),
        ("trusted_proxies = [1]", "trusted_proxies in "),
        ("[port]\nx = 1", "port.x in "),
    ],
)
def test_a_wrong_entry_of_the_file_is_refused_by_its_name(tmp_path: Path, text: str, words: str) -> None:
    """Unknown keys and wrong types, with the file that holds them."""
    with pytest.raises(ConfigurationError, match=_literally(words)) as caught:
        load({"config": _file(tmp_path, text)}, {})
    assert "coatcheck.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """It is not the same as an empty one."""
    with pytest.raises(ConfigurationError, match="cannot read the configuration file"):
        load({"config": str(tmp_path / "none.toml")}, {})


def test_secrets_are_read_newest_first(tmp_path: Path) -> None:
    """From a variable or a file, with commas or line ends between them."""
    both = (f"new-{SECRET}".encode(), f"old-{SECRET}".encode())
    assert load({}, {"COATCHECK_SECRET": f"new-{SECRET}, old-{SECRET}"}).secrets == both
    path = tmp_path / "secret"
    path.write_text(f"new-{SECRET}\nold-{SECRET}\n")
    for mode in (0o400, 0o600):
        path.chmod(mode)
        assert load({}, {"COATCHECK_SECRET_FILE": str(path)}).secrets == both


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o660, 0o444, 0o666, 0o644])
def test_a_secret_file_is_for_nobody_else(tmp_path: Path, mode: int) -> None:
    """Whatever others could read or write is refused, with the command that mends it: a secret or the configuration
    that holds one or a password."""
    path = tmp_path / "secret"
    path.write_text(SECRET)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load({}, {"COATCHECK_SECRET_FILE": str(path)})
    for text in (
        f'secret = "{SECRET}"',
        'database = "postgresql://ann:hunter2@db/x"',
        'sessions = "redis://:hunter2@r"',
    ):
        with pytest.raises(ConfigurationError, match="chmod 600") as caught:
            load({"config": _file(tmp_path, text, mode)}, {})
        assert "hunter2" not in str(caught.value)
    load({"config": _file(tmp_path, 'database = "postgresql://db/x"\nsessions = "redis://r"', 0o644)}, {})


def _status(mode: int, owner: int) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, owner, 0, 0, 0, 0, 0))


def test_who_may_own_a_secret_file() -> None:
    """This user, root, and beside a database its owner; nobody else, for an owner can read and replace it."""
    me, path = os.geteuid(), Path("/run/secrets/coatcheck")
    stranger = me + 4711
    for mode, owner in ((0o100600, me), (0o100400, 0)):
        check_private(_status(mode, owner), path, "the secret")
    check_private(_status(0o100440, 0), path, "the secret")  # by this user's group, as fsGroup of Kubernetes does it
    check_private(_status(0o100600, stranger), path, "the secret", owner=stranger)
    for mode, owner in ((0o100600, stranger), (0o100400, stranger), (0o100460, 0), (0o100444, 0)):
        with pytest.raises(ConfigurationError, match=r"run: ch(own|mod)"):
            check_private(_status(mode, owner), path, "the secret")


@pytest.mark.parametrize("secret", ["x" * 40, "changeme" * 5, "0123456789" * 4, "please-change-me-in-production-01"])
def test_a_secret_without_entropy(secret: str) -> None:
    """What nobody drew at random is refused by the name under which it was given, and never shown."""
    for environ in ({"COATCHECK_SECRET": secret}, {"COATCHECK_SECRET": f"{SECRET},{secret}"}):
        with pytest.raises(ConfigurationError, match=r"COATCHECK_SECRET.*can be guessed.*openssl rand") as caught:
            load({}, environ)
        assert secret not in str(caught.value)


def test_a_secret_is_given_in_one_way(tmp_path: Path) -> None:
    """Which of two would count is not left to be guessed."""
    with pytest.raises(ConfigurationError, match="not both"):
        load({}, {"COATCHECK_SECRET": SECRET, "COATCHECK_SECRET_FILE": str(tmp_path)})


def test_a_file_with_secrets_must_be_closed_to_others(tmp_path: Path) -> None:
    """The configuration file is usually readable by all; then it may hold no secret."""
    text = f'secret = ["{SECRET}"]\nservice_keys = ["{SECRET}"]\n'
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load({"config": _file(tmp_path, text, 0o644)}, {})
    settings = load({"config": _file(tmp_path, text, 0o600)}, {})
    assert settings.secrets == (SECRET.encode(),)
    assert settings.service_keys == (SECRET,)


def test_nothing_secret_is_shown() -> None:
    """Neither in repr nor in an error."""
    environ = {
        "COATCHECK_SECRET": SECRET,
        "COATCHECK_SERVICE_KEYS": f"k{SECRET}",
        "COATCHECK_DATABASE": "postgresql://ann:hunter2@db/x?password=hunter3",
        "COATCHECK_SESSIONS": "redis://:hunter4@cache",
    }
    shown = repr(load({}, environ))
    for secret in (SECRET, "hunter2", "hunter3", "hunter4", "ann"):
        assert secret not in shown
    with pytest.raises(ConfigurationError) as caught:
        load({}, {"COATCHECK_PORT": SECRET, "COATCHECK_SECRET": "hunter2"})
    assert SECRET not in str(caught.value)
    assert shown_url("sqlite:///a%40b.db") == "sqlite:///a%40b.db"


def test_what_kubernetes_sets_is_no_mistake() -> None:
    """A Service called coatcheck puts its own variables of these names into every container."""
    environ = {
        "COATCHECK_SERVICE_HOST": "10.0.0.1",
        "COATCHECK_SERVICE_PORT": "8000",
        "COATCHECK_SERVICE_PORT_HTTP": "8000",
        "COATCHECK_PORT": "tcp://10.0.0.1:8000",
        "COATCHECK_PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "COATCHECK_PORT_8000_TCP_ADDR": "10.0.0.1",
    }
    assert load({}, environ) == Settings()


def test_workers_get_the_same_settings() -> None:
    """They travel to another process whole, secrets included."""
    settings = load({"port": "1"}, {"COATCHECK_SECRET": SECRET, "COATCHECK_POLICY_MODES": "jwt"})
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize(
    ("host", "only_here"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("192.168.1.2", False), ("localhost.example", False), ("", False)],
)  # fmt: skip
def test_only_loopback_is_loopback(host: str, only_here: bool) -> None:
    """Whatever else can be reached from other machines, as far as we know."""
    assert is_loopback(host) is only_here


def _literally(words: str) -> str:
    return words.replace("?", r"\?").replace(".", r"\.")
