import pytest

from memory_r1.agents.answerer import AnswerAgent
from memory_r1.agents.manager import MemoryManager
from memory_r1.agents.prompts import Prompts
from memory_r1.data.synthetic import generate
from memory_r1.lm.base import Sampling
from memory_r1.rl.answer_task import AnswerTask, AnswerWorld
from memory_r1.rl.bank_state import BankSearch, Cut
from memory_r1.rl.build_options import AnswerOptions
from memory_r1.rl.build_synthetic import answer_problems, manager_problems
from memory_r1.rl.manager_task import ManagerTask, ManagerWorld
from memory_r1.rl.reader import FrozenReader
from memory_r1.rl.scoring import score_together
from memory_r1.testing import HashEmbedder


@pytest.mark.lm
def test_the_bundled_model_plays_and_reads(bundled_lm):
    made, prompts = [generate(4, sessions=3)], Prompts.load()
    search = BankSearch(HashEmbedder())
    reader = FrozenReader(AnswerAgent(bundled_lm, prompts, max_tokens=16))
    world = ManagerWorld(MemoryManager(bundled_lm, prompts), reader, search, cut=Cut(k=3))
    episodes = [ManagerTask(problem, world).start() for problem in manager_problems(made, search)[:2] for _ in range(2)]
    seen = [episode.observe() for episode in episodes]
    sampling = Sampling(max_tokens=max(one.max_tokens for one in seen), temperature=1.0, seed=1, json_object=True)
    for episode, done in zip(episodes, bundled_lm.complete([one.chat for one in seen], sampling), strict=True):
        episode.act(done.text, done.finish)
    rewards = score_together(episodes)
    assert all({"em", "f1", "format", "budget", "safety", "operation"} == set(reward.parts) for reward in rewards)
    asked = reader.asked
    assert 0 < asked <= sum(len(episode.asks()) for episode in episodes)
    assert score_together(episodes) == rewards
    assert reader.asked == asked

    problem = answer_problems(made, search, AnswerOptions(cut=Cut(k=3)))[0]
    episode = AnswerTask(problem, AnswerWorld(AnswerAgent(bundled_lm, prompts), max_tokens=16)).start()
    (done,) = bundled_lm.complete([episode.observe().chat], Sampling(max_tokens=16))
    episode.act(done.text, done.finish)
    assert 0 <= episode.score().parts["f1"] <= 1
    search.close()
