"""The local endpoint, asked by the clients that real packages use."""

import json
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
from openai import BadRequestError, InternalServerError, NotFoundError, OpenAI

from memory_r1.bench.endpoint import LocalEndpoint
from memory_r1.bench.openai_chat import read_chat, reply_message
from memory_r1.errors import EndpointError, InvalidInputError, PromptTooLongError
from memory_r1.lm.remote import RemoteLM
from memory_r1.retrieval.remote import RemoteEmbedder
from memory_r1.testing import Endless, HashEmbedder, ScriptedLM

HELLO = [{"role": "user", "content": "Hello"}]
LOOK_UP = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks\nsomething up.",
        "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
    },
}


@pytest.fixture
def serve():
    """Serves a script; hands back the endpoint, a client of it and the model."""
    opened = []

    def served(script, **options):
        lm = ScriptedLM(script)
        endpoint = LocalEndpoint(lm, HashEmbedder(16), **options)
        client = OpenAI(base_url=endpoint.url, api_key="any", max_retries=2)
        opened.append((endpoint, client))
        return endpoint, client, lm

    yield served
    for endpoint, client in opened:
        client.close()
        endpoint.close()


def test_a_chat_is_answered_counted_and_decoded_as_asked(serve):
    endpoint, client, lm = serve("Hi!")
    reply = client.chat.completions.create(
        model="m", messages=HELLO, temperature=0, max_tokens=7, top_p=0.5, stop=["\n"], seed=3
    )
    assert reply.choices[0].message.content == "Hi!"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model == "scripted"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0
    sampling = lm.calls[0].sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p) == (7, 0.0, 0.5)
    assert (sampling.stop, sampling.seed, sampling.json_object) == (("\n",), 3, False)
    assert (endpoint.cost.calls, endpoint.cost.prompt_tokens) == (1, reply.usage.prompt_tokens)
    assert endpoint.cost.seconds > 0
    endpoint.check()


def test_no_completion_is_longer_than_the_endpoint_allows(serve):
    _, client, lm = serve(Endless("la "), max_tokens=5)
    reply = client.chat.completions.create(model="m", messages=HELLO, max_completion_tokens=4000)
    assert reply.choices[0].finish_reason == "length"
    assert lm.calls[0].sampling.max_tokens == 5


def test_json_formats_end_at_the_object_and_show_their_schema(serve):
    _, client, lm = serve('{"a": 1} and more')
    reply = client.chat.completions.create(model="m", messages=HELLO, response_format={"type": "json_object"})
    assert reply.choices[0].message.content == '{"a": 1}'
    schema = {"name": "x", "schema": {"type": "object", "required": ["a"]}}
    client.chat.completions.create(
        model="m", messages=HELLO, response_format={"type": "json_schema", "json_schema": schema}
    )
    assert len(lm.calls[0].chat) == 1
    assert '"required": ["a"]' in lm.calls[1].chat[0]["content"]
    assert lm.calls[1].sampling.json_object


def test_tools_are_shown_as_text_and_calls_are_read_from_it(serve):
    _, client, lm = serve(['{"name": "look_up", "arguments": {"q": "tea"}}', "It is a drink.", '{"q": "tea"}'])
    reply = client.chat.completions.create(model="m", messages=HELLO, tools=[LOOK_UP])
    [call] = reply.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("look_up", {"q": "tea"})
    assert reply.choices[0].finish_reason == "tool_calls"
    assert lm.calls[0].chat[0]["role"] == "system"
    assert "- look_up: Looks something up. Arguments: {" in lm.calls[0].chat[0]["content"]
    history = [
        *HELLO,
        reply.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "a leaf"},
    ]
    reply = client.chat.completions.create(model="m", messages=history, tools=[LOOK_UP])
    assert (reply.choices[0].message.content, reply.choices[0].message.tool_calls) == ("It is a drink.", None)
    assert [message["content"] for message in lm.calls[1].chat[1:]] == [
        "Hello",
        '{"name": "look_up", "arguments": {"q": "tea"}}',
        "Result: a leaf",
    ]
    # a call that must come may be written as bare arguments
    reply = client.chat.completions.create(model="m", messages=HELLO, tools=[LOOK_UP], tool_choice="required")
    assert reply.choices[0].message.tool_calls[0].function.arguments == '{"q": "tea"}'
    assert "Call at least one of them now." in lm.calls[2].prompt


def test_several_calls_are_several_objects(serve):
    call = '{"name": "look_up", "arguments": {"q": "%s"}}'
    endpoint, client, lm = serve(f"{call % 'tea'}\n{call % 'cups {'}\nand so on {{}} {call % 'never'}")
    asked = {"model": "m", "messages": HELLO, "tools": [LOOK_UP]}
    reply = client.chat.completions.create(**asked)
    calls = reply.choices[0].message.tool_calls
    assert [json.loads(one.function.arguments)["q"] for one in calls] == ["tea", "cups {"]
    assert len({one.id for one in calls}) == 2
    reply = client.chat.completions.create(**asked, parallel_tool_calls=False)
    assert len(reply.choices[0].message.tool_calls) == 1
    assert [one.sampling.json_object for one in lm.calls] == [False, True]
    endpoint.check()


@pytest.mark.parametrize(
    "text", ["Hello", '{"name": "other", "arguments": {}}', '{"name": "look_up", "arguments": 3}', '{"name": "look_up"']
)
def test_what_is_no_call_of_a_known_tool_stays_text(text):
    request = read_chat({"messages": HELLO, "tools": [LOOK_UP]})
    assert reply_message(request, text, 1) == {"role": "assistant", "content": text}


def test_messages_become_a_plain_chat():
    body = {
        "messages": [
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}]},
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Three"},
            {"role": "assistant", "content": None, "tool_calls": []},
        ],
        "tools": [LOOK_UP],
        "tool_choice": "none",
    }
    request = read_chat(body)
    assert request.tools == ()
    assert list(request.chat) == [
        {"role": "system", "content": "Be kind.\n\nBe brief."},
        {"role": "user", "content": "One\ntwo\n\nThree"},
        {"role": "assistant", "content": ""},
    ]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"messages": []}, "no messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "no role"),
        ({"messages": ["Hello"]}, "no role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "no text"),
        ({"stream": True}, "Streaming"),
        ({"n": 2}, "one choice"),
        ({"temperature": "hot"}, "no number"),
        ({"tools": [{"type": "function"}]}, "no name"),
        ({"tool_choice": {"function": {"name": "x"}}}, "not among the tools"),
    ],
)
def test_what_is_not_served_is_refused(serve, change, what):
    endpoint, client, lm = serve("Hi")
    body = {"model": "m", "messages": HELLO, **change}
    with pytest.raises(InvalidInputError, match=what):
        read_chat(body)
    with pytest.raises(BadRequestError, match=what):
        client.post("/chat/completions", body=body, cast_to=object)
    assert lm.calls == []
    endpoint.check()


def test_embeddings_come_as_numbers_and_packed(serve):
    endpoint, client, _ = serve("")
    expected = HashEmbedder(16).embed(["tea", "car"])
    for options in ({}, {"encoding_format": "float"}):
        reply = client.embeddings.create(model="e", input=["tea", "car"], **options)
        assert np.allclose([item.embedding for item in reply.data], expected)
    assert np.allclose(client.embeddings.create(model="e", input="car").data[0].embedding, expected[1])
    with pytest.raises(BadRequestError, match="tokenising"):
        client.embeddings.create(model="e", input=[1, 2, 3])
    embedder = RemoteEmbedder("e", base_url=endpoint.url)
    assert np.allclose(embedder.embed(["tea", "car"]), expected)
    embedder.close()


def test_models_are_listed_and_other_paths_are_not(serve):
    endpoint, client, _ = serve("")
    assert [model.id for model in client.models.list()] == ["scripted", "hash-16"]
    with pytest.raises(NotFoundError):
        client.completions.create(model="m", prompt="x")
    request = urllib.request.Request(f"{endpoint.url}/chat/completions", data=b"[1")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 400
    caught.value.close()


def test_a_long_prompt_is_told_and_is_no_failure(serve):
    endpoint, client, _ = serve(PromptTooLongError("The prompt has 9000 tokens; the model takes 8192."))
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(model="m", messages=HELLO)
    assert caught.value.code == "context_length_exceeded"
    endpoint.check()
    lm = RemoteLM("m", base_url=endpoint.url)
    with pytest.raises(PromptTooLongError):
        lm.complete([HELLO])
    lm.close()


@pytest.mark.parametrize("error", [EndpointError("The judge is gone."), RuntimeError("out of memory")])
def test_a_dead_model_is_told_once_and_kept_for_whoever_drives_the_package(serve, error):
    endpoint, client, lm = serve(error)
    with pytest.raises(InternalServerError, match=str(error)):
        client.chat.completions.create(model="m", messages=HELLO)
    assert len(lm.calls) == 1
    with pytest.raises(type(error), match=str(error)):
        endpoint.check()


def test_requests_are_served_side_by_side(serve):
    gate = threading.Barrier(4, timeout=30)

    def together(chat):
        gate.wait()
        return chat[-1]["content"]

    endpoint, client, _ = serve(together)
    answers = {}

    def ask(number):
        reply = client.chat.completions.create(model="m", messages=[{"role": "user", "content": f"number {number}"}])
        answers[number] = reply.choices[0].message.content

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: f"number {number}" for number in range(4)}
    assert endpoint.cost.calls == 4
