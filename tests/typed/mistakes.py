"""What a strict type checker must refuse, a line each; `test_types` names the error of each."""

from __future__ import annotations

import creatify
from creatify import AsyncCreatify, Creatify, user

M = "gemini-2.5-flash"


async def mistakes(client: Creatify, async_client: AsyncCreatify) -> None:
    tg, async_tg = client.text_generator, async_client.text_generator
    tg.create(model_nam=M, messages=[user("a misspelt field")])
    tg.create(model_name=M, messages=[user("a wrong type")], system_instruction=3)
    tg.create(model_name=M, messages="a text for a list of messages")
    tg.create(model_name=M)
    tg.generate(model_name=M, messages=[user("x")], temperature=0.5)
    tg.generate(model_name=M, messages=[user("x")], timeout="60")
    tg.stream(model_name=M, messages=[user("x")], idle_timout=3.0)
    await async_tg.create(model_nam=M, messages=[user("a misspelt field")])
    await async_tg.generate(model_name=M, messages=[user("a wrong type")], sync="yes")
    async_tg.stream(model_name=M, messages=[{"role": "user", "content": "a dict"}])
    tg.generate(model_name=M, messages=[user("x")], output=3)
    int(tg.generate(model_name=M, messages=[user("x")], output=str).output.nothing)
    tg.run_tools([user("x")], tools=[print], model_nam=M)
    tg.run_tools([user("x")], tools=print, model_name=M)
    tg.run_tools([user("x")], tools=[print], model_name=M, on_error="ignore")
    await async_tg.run_tools(tools=[print], model_name=M)
    Creatify(api_keys="x")
    print(creatify.Creatfy)
