"""Redaction without a store: what is found, what is left, and that it is all one how a text is split."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore import InvalidInput, RedactionFailed, Redactor, redact_secrets
from chatstore.redaction import LONGEST_WORD, REPLACEMENT, redacted_json, stream

LETTERS = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA"
PEM = "\n".join([LETTERS * 2] * 12)
SECRETS = {
    "OpenAI": ("key sk-proj-{}, ok", LETTERS),
    "Anthropic": ("sk-{}", f"ant-api03-{LETTERS}-{LETTERS}_{LETTERS}AA"),
    "AWS": ("AKIA{} is its id", "IOSFODNN7EXAMPLE"),
    "GitHub": ("token: ghp_{}.", LETTERS + "abcd"),
    "GitHub, fine-grained": ("github_pat_{}", f"11ABCDEFG0_{LETTERS}"),
    "Slack": ("(xoxb-{})", "123456789012-1234567890123-" + LETTERS),
    "Google": ("AIza{}\n", "SyA-" + LETTERS[:31]),
    "JSON Web Token": ("cookie=eyJ{}; path=/", f"hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{LETTERS}"),
    "private key": ("-----BEGIN RSA PRIVATE KEY-----{}-----END RSA PRIVATE KEY-----", f"\n{PEM}\n"),
    "private key in JSON": (
        r'{{"pem":"-----BEGIN PRIVATE KEY-----{}-----END PRIVATE KEY-----"}}',
        PEM.replace("\n", r"\n"),
    ),
    "encrypted private key": (
        "-----BEGIN EC PRIVATE KEY-----{}-----END EC PRIVATE KEY-----",
        f"\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\n{PEM}\n",
    ),
    "password": ("PGPASSWORD={} psql", "hunter2"),
    "password in prose": ("My password: {}", "correct.horse!battery)staple"),
    "password in Markdown": ("**Password:** {}\n", "hunter2"),
    "password in code": ("connect(password='{}')", "it is long, with \\' and spaces"),
    "password in JSON": ('{{"user":"bob","db_password": "{}"}}', 'my "pass", word'.replace('"', '\\"')),
    "password in JSON in JSON": (r'{{"body":"{{\"password\": \"{}\"}}"}}', "my pass, word"),
    "password in a URL's query": ("https://example.org/?user=bob&password={}&x=1", "hunter2"),
    "secret in the environment": ("AWS_SECRET_ACCESS_KEY={}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    "key in YAML": ("api-key: {}", "0123456789abcdef"),
    "clientSecret": ("clientSecret => {};", "abc"),
    "header": ("curl -H 'Authorization: Bearer {}'", "abc.def"),
    "header in JSON": ('{{"Authorization": "Basic {}"}}', "dXNlcjpwYXNz"),
    "bearer": ("Bearer {}", LETTERS),
    "GitLab": ("git push https://x glpat-{}", "aB3dE5gH7jK9mN1pQ2rS"),
    "Stripe": ("stripe.api_base; sk_live_{}.", "4eC39HqLyjWDarjtT1zdp7dc"),
    "Stripe, restricted": ("(rk_test_{})", "4eC39HqLyjWDarjtT1zdp7dc"),
    "Hugging Face": ("use hf_{} here", "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH"),
    "Google, OAuth": ("it is ya29.{}\n", f"a0AfB_by{LETTERS}"),
    "option": ("mysql --password {} -h db", "hunter2"),
    "option with an equals sign": ("mysql --password={} -h db", "hunter2"),
    "option in quotes": ("mysql --db-password '{}' -h db", "hunter two"),
    "element": ("<user>bob</user><password>{}</password>", "hunter 2"),
    "YAML on a line of its own": ("password:\n  {}\nuser: bob", "hunter2"),
    "German": ("Passwort: {}", "hunter2"),
    "French": ("Mot de passe\u00a0: {}\n", "hunter2"),
    "password with a comma": ("password = {} and", "a,b"),
    "password before other options": ("redis:6379,password={},ssl=True,x=y", "a,b"),
    "URL": ("postgresql://{}@db.example.org:5432/chat", "bob:p@ss:word"),
}
LEFT = [
    "The quick brown fox asks: what's a password? Secrets are kept, tasks done, and desk-bound people rest.",
    "Note: use sk-learn, sk-container-id-top-container or risk-free-and-simple-things-to-do. Bearer of good news!",
    "See https://example.org:8080/a/b?c=d#e and ssh://git@example.org/x.git, or mail bob@example.org: soon.",
    "def login(user: str, password: str = None, *, secret: None) -> str: ...",
    "AKIAIOSFODNN7EXAMPLEandMORE xoxb- ghp_short eyJ.eyJ.eyJ -----BEGIN PUBLIC KEY-----",
    '{"password": 1234, "passwords": ["x"], "token": "abc"}',
    "Use the --password option, or --password to be asked; --password <secret>, --password $PASSWORD, --password -h x.",
    "if password:\n    return\n",
    "properties:\n  password:\n    type: string\n  secret:\n    - a\nif secret:\n    return 5\n",
    "mysql -u <user> -p <password> -h <host>, hf_hub_enable_hf_transfer, sk_test_mode_is_on, glpat-x, ya29.x.",
    "密码是什么？我不知道：你好。Ключ 💬 " * 20,
]
PIECES = [
    *(
        "password",
        "=",
        ": ",
        '"',
        "'",
        "\\",
        "sk-",
        "ghp_",
        "AKIA",
        "eyJ",
        "://",
        "@",
        ":",
        "Bearer ",
        "Authorization: ",
        "--password ",
        "<password>",
        "</password>",
        "Passwort",
        "hf_",
        "sk_live_",
        "ya29.",
        ",",
        "x=",
        "1",
    ),
    *(
        "-----BEGIN PRIVATE KEY-----",
        "-----",
        "\n",
        " ",
        ".",
        "secret",
        "abc",
        "ABC123",
        LETTERS,
        "é",
        ")",
        "*",
        "[redacted]",
    ),
]


def in_pieces(redact: Redactor, pieces: list[str]) -> str:
    one = redact.stream()
    return "".join([*map(one.feed, pieces), one.end()])


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_replaced_and_nothing_else(name: str) -> None:
    around, secret = SECRETS[name]
    text = around.format(secret)
    shown = redact_secrets(text)
    assert secret not in shown and REPLACEMENT in shown
    before, after = around.format("\0").split("\0")
    assert before.startswith(shown[: shown.index(REPLACEMENT)]) and shown.endswith(after)
    assert redact_secrets(shown) == shown


@pytest.mark.parametrize("text", LEFT)
def test_what_is_no_secret_stays_and_is_not_held_back(text: str) -> None:
    assert redact_secrets(text) == text
    one = redact_secrets.stream()
    longest = 0
    for character in text:
        one.feed(character)
        longest = max(longest, one.held)
    assert longest <= 40


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_found_wherever_it_is_split(name: str) -> None:
    around, secret = SECRETS[name]
    text = f"before {around.format(secret)} after"
    whole = redact_secrets(text)
    for at in range(len(text) + 1):
        assert in_pieces(redact_secrets, [text[:at], text[at:]]) == whole, at
    for length in (1, 2, 3, 7):
        assert in_pieces(redact_secrets, [text[i : i + length] for i in range(0, len(text), length)]) == whole


@given(pieces=st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=25))
def test_pieces_become_what_the_whole_text_would(pieces: list[str]) -> None:
    assert in_pieces(redact_secrets, pieces) == redact_secrets("".join(pieces))


@given(text=st.lists(st.sampled_from(PIECES), max_size=25).map("".join), data=st.data())
def test_so_do_pieces_cut_anywhere_with_other_patterns_beside(text: str, data: st.DataObject) -> None:
    redact = redact_secrets.also([r"\bABC\d+\b", "(?<=é)é*"], hold=8)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert in_pieces(redact, pieces) == redact(text)


@pytest.mark.parametrize(
    "evil",
    [
        "sk-",
        "eyJ-",
        "password=",
        "password=a,",
        "password=a,b,",
        "password:\n ",
        "password>",
        "--password ",
        "://a:",
        "-----BEGIN PRIVATE KEY-----",
        "x",
        "\\",
        'secret="',
    ],
)
def test_no_text_takes_more_than_a_few_microseconds_a_character(evil: str) -> None:
    text = evil * (200_000 // len(evil))
    began = time.process_time()
    in_pieces(redact_secrets, [text[:100_000], text[100_000:]])
    assert time.process_time() - began < len(text) * 50e-6


def test_what_is_held_back_has_a_bound() -> None:
    one = redact_secrets.stream()
    one.feed("-----BEGIN PRIVATE KEY-----")
    for _ in range(1_000):
        one.feed(LETTERS)
        assert one.held <= 16_384 + len(LETTERS)


def test_a_pattern_of_ones_own_holds_back_as_much_as_it_matches() -> None:
    one = Redactor([r"EMP-\d{6}"], hold=10).stream()
    assert one.feed("it is EMP-12") == "it"
    assert one.feed("3456, and more text") == " is [redacted], and "[:-1]
    assert one.end() == " more text"


def test_of_a_pattern_with_a_group_that_alone_is_replaced() -> None:
    assert Redactor([r"name is (\w+)"])("My name is Bob.") == "My name is [redacted]."


@pytest.mark.parametrize(
    "wrong", [{"patterns": ["("]}, {"patterns": "x"}, {"patterns": ["x"], "hold": 0}, {"patterns": [5]}]
)
def test_what_is_no_pattern_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        Redactor(**wrong)  # type: ignore[arg-type]


def test_of_data_every_string_is_seen_and_those_of_secret_names_are_replaced() -> None:
    data = {"q": "password=x", "list": [f"sk-{LETTERS}", 5, None], "clientSecret": {"a": ["b"]}, "passwords": "many"}
    assert redacted_json(redact_secrets, data) == {
        "q": "password=[redacted]",
        "list": ["sk-[redacted]", 5, None],
        "clientSecret": {"a": [REPLACEMENT]},
        "passwords": "many",
    }


def test_a_plain_callable_sees_whole_words() -> None:
    seen = []

    def redact(text: str) -> str:
        seen.append(text)
        return text.upper()

    one = stream(redact)
    out = [one.feed(piece) for piece in ("a hun", "ter", "2 b", "\n", "", "x" * LONGEST_WORD, "y", "z")]
    assert (out, one.end()) == (["A ", "", "HUNTER2 ", "B\n", "", "", "X" * LONGEST_WORD + "Y", ""], "Z")
    assert seen == ["a ", "hunter2 ", "b\n", "x" * LONGEST_WORD + "y", "z"]


def test_text_that_a_plain_callable_refuses_is_not_taken_and_what_is_held_at_the_end_is_hidden() -> None:
    def redact(text: str) -> str:
        if "bad" in text:
            raise ValueError(text)
        return text

    one = stream(redact)
    assert one.feed("good go") == "good "
    with pytest.raises(RedactionFailed, match="raised ValueError"):
        one.feed("od bad ")
    assert one.feed("od ba") == "good "
    assert one.feed("d") == ""
    assert one.end() == REPLACEMENT
