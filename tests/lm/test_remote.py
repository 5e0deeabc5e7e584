import threading
import time

import pytest

from memory_r1.errors import ConfigError, EndpointError, InvalidInputError, ModelError, PromptTooLongError
from memory_r1.lm.base import LanguageModel, Sampling
from memory_r1.lm.remote import RemoteLM
from memory_r1.testing.server import Failure, OpenAIStub, Raw

CHAT = [{"role": "user", "content": "Where does Ann live?"}]


@pytest.fixture
def connect(monkeypatch):
    """Makes models that are closed at the end; no key in the environment."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    made = []

    def make(url, **options):
        lm = RemoteLM("test-model", base_url=url, **{"max_retries": 0, "timeout_s": 10} | options)
        made.append(lm)
        return lm

    yield make
    for lm in made:
        lm.close()


def test_answers_with_usage(connect):
    with OpenAIStub("In Paris.") as stub:
        lm = connect(stub.url)
        assert isinstance(lm, LanguageModel)
        [answer] = lm.complete([CHAT], Sampling(max_tokens=20, temperature=0.5, top_p=0.9, seed=3, stop=("\n",)))
        sent = stub.calls[0].body
    assert (answer.text, answer.finish, answer.prompt_tokens, answer.completion_tokens) == ("In Paris.", "stop", 9, 3)
    assert sent["messages"] == CHAT
    assert (sent["temperature"], sent["top_p"], sent["seed"], sent["stop"]) == (0.5, 0.9, 3, ["\n"])


def test_estimates_tokens_without_usage(connect):
    with OpenAIStub("In Paris.", usage=False) as stub:
        [answer] = connect(stub.url).complete([CHAT])
    assert (answer.prompt_tokens, answer.completion_tokens) == (9, 3)


def test_batch_keeps_order_and_runs_at_once(connect):
    gate = threading.Barrier(4, timeout=10)

    class Gated(OpenAIStub):
        def answer(self, call):
            gate.wait()  # only passes if four requests are in flight together
            return super().answer(call)

    chats = [[{"role": "user", "content": str(index)}] for index in range(4)]
    with Gated(lambda body: f"answer to {body['messages'][0]['content']}") as stub:
        answers = connect(stub.url, concurrency=4).complete(chats)
    assert [answer.text for answer in answers] == [f"answer to {index}" for index in range(4)]


def test_retries_after_rate_limit_and_server_error(connect):
    hurry = {"retry-after-ms": "1"}
    with OpenAIStub([Failure(429, headers=hurry), Failure(503, headers=hurry), "done"]) as stub:
        [answer] = connect(stub.url, max_retries=2).complete([CHAT])
        assert answer.text == "done"
        assert len(stub.calls) == 3


@pytest.mark.parametrize(
    ("failure", "kind", "says"),
    [
        (Failure(401, "bad key"), EndpointError, "OPENAI_API_KEY"),
        (Failure(403, "no access"), EndpointError, "permissions"),
        (Failure(404, "no such model"), EndpointError, "model name 'test-model'"),
        (Failure(429, "quota"), EndpointError, "rate limit"),
        (Failure(500, "boom"), EndpointError, "itself failed"),
        (Failure(400, "strange request"), EndpointError, "strange request"),
        (Failure(400, "too big", code="context_length_exceeded"), PromptTooLongError, "Shorten"),
        (Failure(400, "This model's maximum context length is 4096 tokens."), PromptTooLongError, "4096"),
        (Raw("{'not json"), EndpointError, "OpenAI-compatible"),
        (Raw("<html>hello</html>", "text/html"), EndpointError, "/v1"),
        (Raw("{}"), EndpointError, "/v1"),
        (Raw('{"choices": []}'), EndpointError, "/v1"),
        ("", EndpointError, "empty answer"),
    ],
)
def test_failures_say_what_to_check(connect, failure, kind, says):
    with OpenAIStub(failure) as stub, pytest.raises(kind, match=says):
        connect(stub.url).complete([CHAT])


def test_dead_endpoint(connect):
    with OpenAIStub() as stub:
        url = stub.url
    with pytest.raises(EndpointError, match=r"cannot be reached.*server is running"):
        connect(url).complete([CHAT])


def test_slow_endpoint_times_out(connect):
    with OpenAIStub(latency_s=0.5) as stub, pytest.raises(EndpointError, match="in time"):
        connect(stub.url, timeout_s=0.05).complete([CHAT])


def test_first_failure_ends_a_batch(connect):
    with OpenAIStub(Failure(401)) as stub:
        with pytest.raises(EndpointError):
            connect(stub.url, concurrency=1).complete([CHAT] * 50)
        assert len(stub.calls) < 50


@pytest.mark.parametrize("parameter", ["response_format", "seed", "temperature", "stop", "top_p", "logprobs"])
def test_leaves_out_a_parameter_the_endpoint_refuses(connect, parameter):
    sampling = Sampling(temperature=1, top_p=0.5, seed=1, stop=("END",), logprobs=True, json_object=True)
    with OpenAIStub('{"a": 1} END tail', unknown=[parameter]) as stub:
        lm = connect(stub.url)
        assert [lm.complete([CHAT], sampling)[0].text for _ in range(2)] == ['{"a": 1}'] * 2
        assert [parameter in call.body for call in stub.calls] == [True, False, False]  # and it remembers


def test_newer_name_of_max_tokens(connect):
    script = [Failure(400, "Use 'max_completion_tokens' instead.", param="max_tokens"), "fine"]
    with OpenAIStub(script) as stub:
        connect(stub.url).complete([CHAT], Sampling(max_tokens=7))
        assert "max_tokens" not in stub.calls[1].body
        assert stub.calls[1].body["max_completion_tokens"] == 7


def test_stop_and_json_hold_even_if_the_endpoint_ignores_them(connect):
    with OpenAIStub('Sure: {"op": "NOOP"} and more') as stub:
        lm = connect(stub.url)
        assert lm.complete([CHAT], Sampling(json_object=True))[0].text == 'Sure: {"op": "NOOP"}'
        assert lm.complete([CHAT], Sampling(stop=(" and",)))[0].text == 'Sure: {"op": "NOOP"}'
        assert stub.calls[0].body["response_format"] == {"type": "json_object"}


def test_length_and_logprobs(connect):
    with OpenAIStub("one two three four") as stub:
        [answer] = connect(stub.url).complete([CHAT], Sampling(max_tokens=2, logprobs=True))
    assert answer.finish == "length"
    assert answer.logprobs == (-0.5, -0.5)
    assert answer.token_ids is None


def test_key_is_sent_but_never_told(connect):
    key = "sk-very-secret-0123456789"
    with OpenAIStub(Failure(401, f"Incorrect API key provided: {key}")) as stub:
        lm = connect(stub.url, api_key=key)
        with pytest.raises(EndpointError) as caught:
            lm.complete([CHAT])
        assert stub.calls[0].headers["authorization"] == f"Bearer {key}"
    assert key not in str(caught.value)
    assert key not in repr(lm)


def test_key_of_the_environment_stays_away_from_local_servers(connect, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    with OpenAIStub() as stub:
        connect(stub.url).complete([CHAT])
        assert "sk-mine" not in stub.calls[0].headers["authorization"]


def test_no_key_for_a_distant_endpoint(connect):
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        connect("https://api.example.com/v1").complete([CHAT])


def test_surrogates_do_not_break_a_request(connect):
    with OpenAIStub() as stub:
        connect(stub.url).complete([[{"role": "user", "content": "a\ud800b"}]])
        assert stub.calls[0].body["messages"][0]["content"] == "a\ufffdb"


def test_contract_corners(connect):
    with OpenAIStub() as stub:
        lm = connect(stub.url)
        assert lm.complete([]) == []
        with pytest.raises(ConfigError, match="adapter"):
            lm.complete([CHAT], adapter="manager")
        with pytest.raises(InvalidInputError):
            lm.complete([[]])
        assert stub.calls == []
        lm.close()
        lm.close()
        with pytest.raises(ModelError, match="closed"):
            lm.complete([CHAT])


@pytest.mark.parametrize("options", [{"base_url": "localhost:8000"}, {"timeout_s": 0}, {"concurrency": 0}])
def test_unusable_options(options):
    with pytest.raises(ConfigError):
        RemoteLM("m", **options)


def test_seconds_of_a_batch_add_up_to_its_wall_time(connect):
    with OpenAIStub(latency_s=0.1) as stub:
        started = time.perf_counter()
        answers = connect(stub.url, concurrency=8).complete([CHAT] * 8)
        wall = time.perf_counter() - started
    assert 0.1 <= sum(answer.seconds for answer in answers) <= wall
