"""OpenAI's chat protocol in terms of a plain chat model: messages, tools and schemas become text, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from memory_r1.agents.json_object import first_object
from memory_r1.errors import InvalidInputError
from memory_r1.lm.base import Message, Sampling
from memory_r1.lm.stopping import json_object_end

_Role = Literal["system", "user", "assistant"]
_ROLES: Mapping[str, _Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "user",
    "function": "user",
}
_MOST_STOPS = 16
_MOST_CALLS = 32


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request as a plain chat model takes it."""

    chat: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    json_object: bool = False
    tools: tuple[str, ...] = ()
    """Names of the tools that may be called."""
    forced: str | None = None
    """The one tool that must be called; then its bare arguments are a call too."""

    def sampling(self, most: int) -> Sampling:
        """How to decode, with at most `most` new tokens."""
        return Sampling(
            max_tokens=max(1, min(self.max_tokens or most, most)),
            temperature=self.temperature,
            top_p=self.top_p,
            stop=self.stop,
            seed=self.seed,
            json_object=self.json_object,
        )


def read_chat(body: Mapping[str, Any]) -> ChatRequest:
    """Read the body of a chat request.

    System messages become one, at the top; neighbours of the same role become one, because many chat templates want
    roles in turns. The results of tools are shown as the user's words.

    Raises:
        InvalidInputError: It is malformed, or asks for something that is not served.

    Example:
        >>> read_chat({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}).sampling(9).max_tokens
        5
    """
    if body.get("stream"):
        raise InvalidInputError("Streaming is not served here.", hint="Ask without stream.")
    if _number(body, "n", 1) != 1:
        raise InvalidInputError("Only one choice is served a request.", hint="Ask without n.")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidInputError("The request has no messages.")
    tools = _tools(body)
    notes = [*_tool_notes(tools, required=_must_call(body)), *_format_notes(body)]
    stop = body.get("stop") or ()
    stops = (stop,) if isinstance(stop, str) else tuple(str(text) for text in stop if text)
    seed = body.get("seed")
    return ChatRequest(
        chat=tuple(_merged([_message(one) for one in messages], notes)),
        max_tokens=int(_number(body, "max_completion_tokens", _number(body, "max_tokens", 0))) or None,
        temperature=_number(body, "temperature", 1.0),
        top_p=_number(body, "top_p", 1.0),
        stop=stops[:_MOST_STOPS],
        seed=seed if isinstance(seed, int) else None,
        # several calls are several objects, so a completion goes on behind the first
        json_object=_wants_json(body) or bool(tools and body.get("parallel_tool_calls") is False),
        tools=tuple(tools),
        forced=_forced(body, tools),
    )


def reply_message(request: ChatRequest, text: str, number: int) -> dict[str, Any]:
    """The assistant's message for a completion: its tool calls if it begins with any, else the text itself.

    Args:
        request: What was asked.
        text: What the model wrote.
        number: Makes the calls' ids unique.

    Example:
        >>> request = ChatRequest((), tools=("look_up",))
        >>> reply_message(request, '{"name": "look_up", "arguments": {"q": "tea"}}', 1)["tool_calls"][0]["function"]
        {'name': 'look_up', 'arguments': '{"q": "tea"}'}
    """
    calls = [
        {
            "id": f"call_{number}_{place}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)},
        }
        for place, (name, arguments) in enumerate(_calls(request, text))
    ]
    if not calls:
        return {"role": "assistant", "content": text}
    return {"role": "assistant", "content": None, "tool_calls": calls}


def _calls(request: ChatRequest, text: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The calls that a completion holds, up to the first object that is none."""
    calls: list[tuple[str, Mapping[str, Any]]] = []
    while request.tools and len(calls) < _MOST_CALLS:
        found, end = first_object(text), json_object_end(text)
        call = _call(request, found) if isinstance(found, dict) else None
        if call is None:
            break
        calls.append(call)
        if end is None or request.json_object:
            break
        text = text[end:]
    return calls


def _call(request: ChatRequest, found: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    name = found.get("name", found.get("function"))
    if name in request.tools:
        arguments = found.get("arguments", found.get("parameters"))
        if isinstance(arguments, str):
            parsed = first_object(arguments)
            arguments = parsed if isinstance(parsed, dict) else None
        return (str(name), arguments) if isinstance(arguments, dict) else None
    return (request.forced, found) if request.forced and "arguments" not in found else None


def _message(one: Any) -> Message:
    role = _ROLES.get(str(one.get("role"))) if isinstance(one, Mapping) else None
    if role is None:
        raise InvalidInputError(f"A message has no role of {', '.join(_ROLES)}.")
    text = _content(one.get("content"))
    if calls := one.get("tool_calls"):
        written = [_call_text(call) for call in calls if isinstance(call, Mapping)]
        text = "\n".join([*([text] if text else []), *written])
    return {"role": role, "content": f"Result: {text}" if one["role"] in ("tool", "function") else text}


def _call_text(call: Mapping[str, Any]) -> str:
    function = call.get("function") or {}
    arguments = first_object(str(function.get("arguments", "")))
    return json.dumps(
        {"name": function.get("name"), "arguments": arguments if isinstance(arguments, dict) else {}},
        ensure_ascii=False,
    )


def _content(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise InvalidInputError("A message's content must be a text or a list of parts.")
    parts = []
    for part in content:
        if not isinstance(part, Mapping) or not isinstance(part.get("text"), str):
            raise InvalidInputError("A message holds something that is no text.", hint="Only text is served here.")
        parts.append(part["text"])
    return "\n".join(parts)


def _merged(messages: Sequence[Message], notes: Sequence[str]) -> list[Message]:
    system = [one["content"] for one in messages if one["role"] == "system" and one["content"]]
    merged: list[Message] = []
    if system or notes:
        merged.append({"role": "system", "content": "\n\n".join([*system, *notes])})
    for one in messages:
        if one["role"] == "system":
            continue
        if merged and merged[-1]["role"] == one["role"]:
            merged[-1] = {"role": one["role"], "content": f"{merged[-1]['content']}\n\n{one['content']}"}
        else:
            merged.append(one)
    return merged


def _tools(body: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    if body.get("tool_choice") == "none":
        return {}
    found = {}
    for tool in body.get("tools") or ():
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not function.get("name"):
            raise InvalidInputError("A tool has no name.", hint="Give tools of type function.")
        found[str(function["name"])] = function
    return found


def _tool_notes(tools: Mapping[str, Mapping[str, Any]], *, required: bool) -> list[str]:
    if not tools:
        return []
    lines = [
        f"- {name}: {' '.join(str(tool.get('description') or '').split())} "
        f"Arguments: {json.dumps(tool.get('parameters') or {}, ensure_ascii=False)}"
        for name, tool in tools.items()
    ]
    how = 'To call tools, write only JSON objects, one a line, each as: {"name": "TOOL", "arguments": {...}}'
    return ["\n".join(["Tools:", *lines, how, *(["Call at least one of them now."] if required else [])])]


def _format_notes(body: Mapping[str, Any]) -> list[str]:
    wanted = body.get("response_format")
    schema = wanted.get("json_schema") if isinstance(wanted, Mapping) else None
    if not isinstance(schema, Mapping):
        return []
    return [f"Write one JSON object of this schema: {json.dumps(schema.get('schema') or {}, ensure_ascii=False)}"]


def _wants_json(body: Mapping[str, Any]) -> bool:
    wanted = body.get("response_format")
    return isinstance(wanted, Mapping) and wanted.get("type") in ("json_object", "json_schema")


def _must_call(body: Mapping[str, Any]) -> bool:
    return body.get("tool_choice") in ("required", "any") or isinstance(body.get("tool_choice"), Mapping)


def _forced(body: Mapping[str, Any], tools: Mapping[str, Any]) -> str | None:
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping):
        name = (choice.get("function") or {}).get("name")
        if name not in tools:
            raise InvalidInputError(f"The tool {name!r} that must be called is not among the tools.")
        return str(name)
    return next(iter(tools)) if len(tools) == 1 and _must_call(body) else None


def _number(body: Mapping[str, Any], name: str, default: float) -> float:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInputError(f"{name} is {value!r}, which is no number.")
    return value
